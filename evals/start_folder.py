"""The folder in which a command was started: relative paths mean those of it, whatever code of a user does meanwhile.

    absolute(path)    the same place after the working folder has changed
    shown(path)       as the user named it, for messages

Hooks, and the tasks and models of packages, run in the process of the command and may change its working folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_started: list[Path] = []
"""The working folder of the command that is running; empty for calls of the Python API."""


@contextmanager
def starting_here() -> Iterator[None]:
    """Let all relative paths of a command mean those of the folder in which it was started."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it has been removed: only absolute paths can be meant
        yield
        return
    _started.append(here)
    try:
        yield
    finally:
        _started.remove(here)


def _start() -> Path:
    return _started[-1] if _started else Path.cwd()


def absolute(path: Path) -> Path:
    """Return a path that means the same place wherever the working folder is later.

    Example:
        >>> absolute(Path("runs/vl")).is_absolute()
        True
    """
    return path if path.is_absolute() else _start() / path


def shown(path: Path) -> Path:
    """Return a path for a message: relative to the folder of the command if it is below it.

    Example:
        >>> shown(absolute(Path("runs/vl"))).as_posix(), shown(Path("/elsewhere/vl")).as_posix()
        ('runs/vl', '/elsewhere/vl')
    """
    return path.relative_to(_start()) if path.is_relative_to(_start()) else path
