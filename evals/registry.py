"""The registered tasks, families, variants and metrics of plug-ins, by name.

A module registers its task or family with one plain call as its last statement: `TASKS.add(Task(...))`. The first
look-up in a table imports every module of `ROOMS`, then the plug-ins that other packages declare under the entry-point
group `evals.plugins`. A plug-in makes the same call in its own module.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from evals.errors import InputError, UnknownName
from evals.schema import Family, SampleMetric, Task, Variant
from evals.schema.contracts import check_family, check_task, check_variant

__all__ = ["FAMILIES", "METRICS", "TASKS", "VARIANTS", "Registry", "discover"]

PLUGIN_GROUP = "evals.plugins"
ROOMS = ("evals.tasks", "evals.models", "evals.models.families", "evals.models.endpoint")
"""Packages whose modules and sub-packages are imported; modules inside a sub-package are not."""


class Named(Protocol):
    """Anything that can be registered."""

    @property
    def name(self) -> str:
        """The name that users type."""


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """A table from names to values of one kind.

    Example:
        >>> from evals.schema import Variant
        >>> variants: Registry[Variant] = Registry("model")
        >>> variants.add(Variant("vl", family="vision_language", summary="", checkpoints={}))
        >>> [variant.name for variant in variants]
        ['vl']
        >>> variants.get("v1")
        Traceback (most recent call last):
            ...
        evals.errors.UnknownName: no model is named 'v1'; did you mean 'vl'? known: vl
    """

    def __init__(
        self, kind: str, fill: Callable[[], None] | None = None, check: Callable[[T], None] | None = None
    ) -> None:
        """Make an empty table.

        Args:
            kind: the kind of value, in the singular.
            fill: called before a look-up.
            check: called with every value that is added; raises `InputError`.
        """
        self.kind = kind
        self._check = check
        self._fill = fill
        self._entries: dict[str, T] = {}
        self._read_file: Callable[[Path], T] | None = None
        self._of_files: dict[tuple[Path, int, int], T] = {}

    def read_files(self, read: Callable[[Path], T]) -> None:
        """Let names that end in `.yaml` be files: `read` makes the value of one."""
        self._read_file = read

    def add(self, value: T) -> None:
        """Register a value under its name.

        Raises:
            InputError: the name is registered already, or a field is not what its documentation says.
        """
        if self._check is not None:
            self._check(value)
        if value.name in self._entries:
            raise InputError(f"the {self.kind} name {value.name!r} is registered twice: rename one of the two")
        self._entries[value.name] = value

    def get(self, name: str) -> T:
        """Return the value of a name, or of a file.

        Raises:
            UnknownName: there is none; the message suggests similar names.
            InputError: the file cannot be read, or has the name of another value.
        """
        if (value := self._of_file(name)) is not None:
            return value
        if name not in self._values:
            raise UnknownName(self.kind, name, self._values)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        """Return whether a name is registered, or is a file that can be read."""
        return name in self._values or (isinstance(name, str) and self._of_file(name) is not None)

    def _of_file(self, name: str) -> T | None:
        """Return the value of a file, which is read once in each version of it; None for other names."""
        if not name.endswith((".yaml", ".yml")) or name in self._values or self._read_file is None:
            return None
        path = Path(name).expanduser().absolute()
        version = (path, *((status.st_mtime_ns, status.st_size) if (status := _status(path)) else (0, 0)))
        if version not in self._of_files:
            value = self._read_file(Path(name).expanduser())
            if value.name in self._entries:
                raise InputError(f"{name}: the name {value.name!r} is that of a {self.kind} of the suite; give another")
            self._of_files[version] = value
        return self._of_files[version]

    @property
    def _values(self) -> dict[str, T]:
        if self._fill is not None:
            self._fill()
        return self._entries

    def __iter__(self) -> Iterator[T]:
        """Iterate over the values in the order of their names."""
        return iter(sorted(self._values.values(), key=lambda value: value.name))


def _status(path: Path) -> os.stat_result | None:
    """Return the state of a file, or None where there is none."""
    try:
        return path.stat()
    except OSError:
        return None


def discover() -> None:
    """Fill the tables: import the project's tasks and families, then every plug-in; once per process.

    The tables call this function before a look-up. If a plug-in does not load, every look-up fails, and not only the
    first.
    """
    if _state["filled"]:
        return
    _state["filled"] = True  # the imported modules may look up names
    try:
        _import_all()
    except BaseException:
        _state["filled"] = False
        raise


TASKS: Registry[Task] = Registry("task", discover, check_task)
FAMILIES: Registry[Family] = Registry("family", discover, check_family)
VARIANTS: Registry[Variant] = Registry("model", discover, check_variant)
METRICS: Registry[SampleMetric] = Registry("metric", discover)
_state = {"filled": False}


def _import_all() -> None:
    for room in ROOMS:
        for module in pkgutil.iter_modules(importlib.import_module(room).__path__):
            importlib.import_module(f"{room}.{module.name}")
    for plugin in importlib.metadata.entry_points(group=PLUGIN_GROUP):
        _load_plugin(plugin)


def _load_plugin(plugin: importlib.metadata.EntryPoint) -> None:
    """Import what a plug-in declares, and call it if it is a function."""
    try:
        loaded = plugin.load()
        if callable(loaded):
            loaded()
    except InputError:
        raise
    except Exception as error:  # a plug-in can raise anything, and the message must name it
        raise InputError(f"plug-in {plugin.name!r} ({plugin.value}) does not load: {error!r}") from error
