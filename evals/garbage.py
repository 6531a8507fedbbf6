"""Pause the garbage collector while objects are made that nearly all stay: modules, and data that are read."""

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
