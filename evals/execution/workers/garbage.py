"""Collect garbage rarely while a function runs that makes many objects and no cycles of them."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_THRESHOLD = 2_000_000
"""Number of new objects after which the youngest are looked at; Python's own is 700 to 2,000. One round of 256 workers
makes some 200,000 that live until it is recorded."""

_before: list[tuple[int, ...]] = []
"""The thresholds before the first of the functions that run now; several run in turn if runs share workers."""

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
        (2000000, True)
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if not _before:
            first, *others = gc.get_threshold()
            gc.freeze()
            gc.set_threshold(max(first, _THRESHOLD) if first else 0, *others)
            _before.append((first, *others))
        else:
            _before.append(_before[0])
        try:
            return function(*args, **kwargs)
        finally:
            before = _before.pop()
            if not _before:
                gc.set_threshold(*before)
                gc.unfreeze()

    return wrapped
