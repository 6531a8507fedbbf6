"""Names to tasks, families and variants.

A module registers by one plain call, `TASKS.add(Task(...))`, as its last statement. The first look into a table
imports every module of the rooms that hold tasks and families, then what outside packages offer under the entry-point
group `evals.plugins`, so a plug-in makes the same call in its own module.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from evals.errors import InputError, UnknownName
from evals.schema import Family, Task, Variant

__all__ = ["FAMILIES", "TASKS", "VARIANTS", "Registry", "discover"]

PLUGIN_GROUP = "evals.plugins"
ROOMS = ("evals.tasks", "evals.models", "evals.models.families", "evals.models.endpoint")
"""The packages whose modules register something; not those inside them."""


class Named(Protocol):
    """Anything that can be registered."""

    @property
    def name(self) -> str:
        """What it is found by."""


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

    def __init__(self, kind: str, fill: Callable[[], None] | None = None) -> None:
        """Make an empty table for a kind of thing, named in the singular; `fill` is called before the first look."""
        self.kind = kind
        self._fill = fill
        self._entries: dict[str, T] = {}

    def add(self, value: T) -> None:
        """Register a value under its name. Raises `InputError` when the name is taken by another."""
        if value.name in self._entries:
            raise InputError(f"two {self.kind}s are named {value.name!r}: rename one of them")
        self._entries[value.name] = value

    def get(self, name: str) -> T:
        """Return the value of a name. Raises `UnknownName`, which offers the near ones."""
        if name not in self._values:
            raise UnknownName(self.kind, name, self._values)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        """Say whether a name is registered."""
        return name in self._values

    @property
    def _values(self) -> dict[str, T]:
        if self._fill is not None:
            self._fill()
        return self._entries

    def __iter__(self) -> Iterator[T]:
        """Go through the values in the order of their names."""
        return iter(sorted(self._values.values(), key=lambda value: value.name))


def discover() -> None:
    """Fill the tables: import the project's tasks and families, then every plug-in. Once a process.

    The tables call it themselves. A plug-in that does not load is an error at every look, not at the first alone.
    """
    if _state["filled"]:
        return
    _state["filled"] = True  # what is imported may look into the tables
    try:
        _import_all()
    except BaseException:
        _state["filled"] = False
        raise


TASKS: Registry[Task] = Registry("task", discover)
FAMILIES: Registry[Family] = Registry("family", discover)
VARIANTS: Registry[Variant] = Registry("model", discover)
_state = {"filled": False}


def _import_all() -> None:
    for room in ROOMS:
        for module in pkgutil.iter_modules(importlib.import_module(room).__path__):
            importlib.import_module(f"{room}.{module.name}")
    for plugin in importlib.metadata.entry_points(group=PLUGIN_GROUP):
        _load_plugin(plugin)


def _load_plugin(plugin: importlib.metadata.EntryPoint) -> None:
    """Import what a plug-in names; calling it, when it is a function, is its registration."""
    try:
        loaded = plugin.load()
        if callable(loaded):
            loaded()
    except InputError:
        raise
    except Exception as error:  # whatever a stranger's module raises, the user must learn whose it was
        raise InputError(f"plug-in {plugin.name!r} ({plugin.value}) does not load: {error!r}") from error
