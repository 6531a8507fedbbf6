"""Names to tasks, families and variants.

A module registers by one plain call, `TASKS.add(Task(...))`, as its last statement. `discover` imports every module
of the packages `tasks` and `models` once, then what outside packages offer under the entry-point group
`evals.plugins`, so a plug-in makes the same call in its own module.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from evals.errors import InputError, UnknownName
from evals.schema import Family, Task, Variant

PLUGIN_GROUP = "evals.plugins"
_ROOT = Path(__file__).parents[1]


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

    def __init__(self, kind: str) -> None:
        """Make an empty table for a kind of thing, named in the singular."""
        self.kind = kind
        self._values: dict[str, T] = {}

    def add(self, value: T) -> None:
        """Register a value under its name. Raises `InputError` when the name is taken by another."""
        if value.name in self._values:
            raise InputError(f"two {self.kind}s are named {value.name!r}: rename one of them")
        self._values[value.name] = value

    def get(self, name: str) -> T:
        """Return the value of a name. Raises `UnknownName`, which offers the near ones."""
        if name not in self._values:
            raise UnknownName(self.kind, name, self._values)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        """Say whether a name is registered."""
        return name in self._values

    def __iter__(self) -> Iterator[T]:
        """Go through the values in the order of their names."""
        return iter(sorted(self._values.values(), key=lambda value: value.name))


TASKS: Registry[Task] = Registry("task")
FAMILIES: Registry[Family] = Registry("family")
VARIANTS: Registry[Variant] = Registry("model")


@functools.cache
def discover() -> None:
    """Fill the tables: import the project's adapters and families, then every plug-in. Once a process."""
    for package in ("tasks", "models"):
        folder = _own_folder(package)
        for module in pkgutil.iter_modules([str(folder)]):
            if not module.ispkg and not module.name.startswith("_"):
                importlib.import_module(f"{package}.{module.name}")
    for plugin in importlib.metadata.entry_points(group=PLUGIN_GROUP):
        _load_plugin(plugin)


def _own_folder(package: str) -> Path:
    """Find a package of the project, and refuse one of the same name that lies in its way."""
    expected = _ROOT / package
    spec = importlib.util.find_spec(package)
    found = Path(spec.origin) if spec and spec.origin else None
    if found is None or found.parent.resolve() != expected.resolve():
        where = found or (list(spec.submodule_search_locations or []) if spec else "nothing")
        raise InputError(
            f"'import {package}' would load {where} instead of {expected / '__init__.py'}: "
            f"run from another folder or rename that file"
        )
    return expected


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
