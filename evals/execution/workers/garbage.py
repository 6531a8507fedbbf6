"""Collect garbage rarely while a function runs that makes many objects and no cycles of them."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_THRESHOLD = 200_000
"""Number of new objects after which the youngest are looked at; Python's own is 700 to 2,000."""

P = ParamSpec("P")
T = TypeVar("T")


def collected_rarely(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function that Python interrupts less often; what exists when it begins is not looked at at all.

    Example:
        >>> @collected_rarely
        ... def threshold():
        ...     return gc.get_threshold()[0]
        >>> before = gc.get_threshold()
        >>> threshold(), gc.get_threshold() == before
        (200000, True)
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        first, *others = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(max(first, _THRESHOLD) if first else 0, *others)
        try:
            return function(*args, **kwargs)
        finally:
            gc.set_threshold(first, *others)
            gc.unfreeze()

    return wrapped
