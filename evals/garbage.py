"""Spare the garbage collector objects that nearly all stay: modules, and data that are read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Collect no garbage inside the block; the collector would traverse millions of new live objects again and again.

    Objects that nothing refers to are freed as usual; only cycles of them wait for the end of the block.

    Example:
        >>> with paused():
        ...     gc.isenabled()
        False
        >>> gc.isenabled()
        True
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def keep_modules() -> None:
    """Leave what exists now out of all later collections, if the collector is paused.

    Called between the first imports of the large libraries and the making of a model: their million objects would be
    traversed three times, and nearly none is ever freed. What a model consists of is still collected.

    Example:
        >>> before = gc.get_freeze_count()
        >>> keep_modules()  # not paused
        >>> gc.get_freeze_count() == before
        True
    """
    if not gc.isenabled():
        gc.freeze()
