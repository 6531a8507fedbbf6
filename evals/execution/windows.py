"""Which windows and batches of a plan a process computes: the permissions that the loop asks for.

A process that computes everything alone has them all (`WholePlan`); several workers are granted theirs by their parent
(`evals.execution.workers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Protocol

WINDOW = 1024
"""Number of samples planned together: enough for evenly filled batches, few enough that memory does not grow with the
split."""


class BatchId(NamedTuple):
    """Identifies a batch of the plan."""

    window: int
    """Index of the window's first sample."""
    number: int
    """Index of the batch in the window's plan; -1 for the requests that could not be tokenised."""


class Lease(NamedTuple):
    """The permission to prepare a window."""

    start: int
    """Index of the window's first sample."""
    from_end: bool = False
    """Whether to acquire the window's batches from the last to the first, because another worker has begun at the
    first."""


class Leases(Protocol):
    """Says what is to be computed: by this process alone, or by one of several workers. Called from one thread."""

    def next_window(self) -> Lease | None:
        """Lease the next window before any of its samples is built; None if there is none to lease now."""

    def plan(self, start: int, batch_count: int) -> None:
        """Report how many batches a leased window has."""

    def acquire(self, batch_id: BatchId, ids: set[str]) -> bool:
        """Ask for a batch, with the ids of its samples, before computing it; False if it is not to be computed."""

    def leave(self, start: int) -> None:
        """Report that every batch of a leased window was asked for."""


def unfinished_windows(ids: Sequence[str], window: int, finished_ids: AbstractSet[str]) -> list[int]:
    """Return the starts of the windows that are not on disk as a whole.

    Example:
        >>> unfinished_windows(["a", "b", "c", "d", "e"], 2, {"a", "c", "d"})
        [0, 4]
    """
    starts = range(0, len(ids), window)
    return [start for start in starts if not finished_ids >= set(ids[start : start + window])]


class WholePlan:
    """The leases of a process that computes everything alone."""

    def __init__(self, ids: Sequence[str], window: int, finished_ids: AbstractSet[str] = frozenset()) -> None:
        """Lease every window that is not on disk.

        Args:
            ids: ids of the samples that are computed.
            window: number of samples per window.
            finished_ids: ids that are on disk; may grow meanwhile.
        """
        self._starts = iter(unfinished_windows(ids, window, finished_ids))
        self._finished_ids = finished_ids

    def next_window(self) -> Lease | None:
        """Return the next window, or None after the last."""
        return next(map(Lease, self._starts), None)

    def plan(self, start: int, batch_count: int) -> None:
        """Do nothing: no other process needs to know."""

    def acquire(self, batch_id: BatchId, ids: set[str]) -> bool:
        """Return whether a sample of the batch is not on disk."""
        return not ids <= self._finished_ids

    def leave(self, start: int) -> None:
        """Do nothing: no other process needs to know."""
