"""Decide which worker prepares which window, and which worker computes which batch: bookkeeping without processes.

A window is leased to one worker, which prepares it (tokenises, plans) and computes its batches from the first to the
last. A worker that computes one window may lease the next in advance. When every window is leased, a worker without one
joins another worker's window: it prepares that window too, and takes batches from the last to the first, until the two
meet. At most one window per worker is prepared a second time in this way. When a worker dies, its windows and the
batches that it was computing are free at once.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from evals.execution.windows import BatchId, Lease, unfinished_windows


@dataclass
class _LeasedWindow:
    """A window that some worker has prepared, or is preparing, and that is not done."""

    start: int
    holders: set[int] = field(default_factory=set)
    """The workers that go through its batches."""
    batch_count: int | None = None
    """Number of its batches; None until a worker has planned it."""
    granted: dict[int, int] = field(default_factory=dict)
    """The worker of each batch that is being computed, by the batch's number."""
    done: set[int] = field(default_factory=set)
    """Numbers of the batches that are computed, or whose samples were all on disk."""

    @property
    def untaken(self) -> float:
        """Number of batches that no worker has taken; infinite while it is not known."""
        if self.batch_count is None:
            return math.inf
        return max(0, self.batch_count - len(self.granted) - len(self.done))


@dataclass(frozen=True)
class Work:
    """What a run that has begun has for one more worker."""

    windows: int
    """Number of windows that no worker has taken, or will take as soon as it has loaded."""
    can_join: bool
    """Whether other workers' windows have batches that no worker has taken."""
    seconds: float = math.inf
    """Estimated time until the run is complete with the workers that it has."""

    @property
    def any(self) -> bool:
        """Whether there is something to compute."""
        return self.windows > 0 or self.can_join


class LeaseTable:
    """The leases of one pass of all workers over some samples.

    Example:
        >>> table = LeaseTable(["a", "b", "c"], window=2, finished_ids=set(), workers=[0, 1])
        >>> table.lease(0), table.lease(1)
        (Lease(start=0, from_end=False), Lease(start=2, from_end=False))
        >>> table.plan(2, batch_count=1)
        >>> table.acquire(1, BatchId(2, 0), {"c"})
        True
        >>> table.finish([BatchId(2, 0)])
        >>> table.leave(1, 2)
        >>> table.lease(1)  # every window is leased: help with the batches of worker 0, from the last to the first
        Lease(start=0, from_end=True)
    """

    def __init__(
        self, ids: Sequence[str], *, window: int, finished_ids: AbstractSet[str], workers: Iterable[int]
    ) -> None:
        """Lay out the windows.

        Args:
            ids: ids of the samples that are computed.
            window: number of samples per window, at least 1.
            finished_ids: ids that are on disk; may grow meanwhile. A window that is on disk as a whole is not leased.
            workers: numbers of the workers.
        """
        self._finished_ids = finished_ids
        self._free = unfinished_windows(ids, window, finished_ids)
        """Starts of the windows that were never leased; a heap."""
        self._leased: dict[int, _LeasedWindow] = {}
        self._workers = set(workers)
        self._joins_left = len(self._workers)
        self._held = Counter[int]()
        """Number of windows that each worker holds; workers without one are left out."""
        self._open: set[int] = set()
        """Starts of the leased windows with batches that no worker has taken."""
        self._abandoned: set[int] = set()
        """Those of them that no worker goes through, because it has died."""

    @property
    def done(self) -> bool:
        """Whether every batch is computed."""
        return not self._free and not self._leased

    def work(self, loading: int, seconds: float) -> Work:
        """Return what there is for one more worker.

        Args:
            loading: number of workers that will take a window as soon as they have loaded.
            seconds: estimated time until everything is computed.
        """
        return Work(max(0, len(self._free) + len(self._abandoned) - loading), bool(self._open), seconds)

    def add(self, worker: int) -> None:
        """Add a worker that has joined."""
        self._workers.add(worker)
        self._joins_left += 1

    def offers(self, worker: int) -> bool:
        """Whether `lease` would return a window."""
        return self._offer(worker) is not None

    def computes(self, worker: int) -> bool:
        """Whether a worker was granted a batch that it has not finished. Takes time in proportion to the windows."""
        return any(worker in window.granted.values() for window in self._leased.values())

    def lease(self, worker: int) -> Lease | None:
        """Lease a window to a worker.

        Args:
            worker: its number. If it holds a window already, it gets another one only if the workers without a window
                do not need it.

        Returns:
            The window, or None if there is none for this worker now.
        """
        lease = self._offer(worker)
        if lease is None:
            return None
        if self._free and lease.start == self._free[0]:
            heapq.heappop(self._free)
        self._joins_left -= lease.from_end
        window = self._leased.setdefault(lease.start, _LeasedWindow(lease.start))
        window.holders.add(worker)
        self._held[worker] += 1
        self._changed(window)
        return lease

    def plan(self, start: int, batch_count: int) -> None:
        """Note how many batches a window has, once a worker has planned it."""
        window = self._leased.get(start)
        if window is not None:
            window.batch_count = batch_count
            self._changed(window)

    def acquire(self, worker: int, batch_id: BatchId, ids: AbstractSet[str]) -> bool:
        """Grant a batch to a worker, unless another one has it or its samples (`ids`) are all on disk."""
        window = self._leased.get(batch_id.window)
        if window is None or batch_id.number in window.done or batch_id.number in window.granted:
            return False
        is_granted = not ids <= self._finished_ids
        if is_granted:
            window.granted[batch_id.number] = worker
        else:
            window.done.add(batch_id.number)
        self._changed(window)
        return is_granted

    def finish(self, batch_ids: Iterable[BatchId]) -> None:
        """Note that batches are computed."""
        for batch_id in batch_ids:
            window = self._leased.get(batch_id.window)
            if window is not None:
                window.granted.pop(batch_id.number, None)
                window.done.add(batch_id.number)
                self._changed(window)

    def leave(self, worker: int, start: int) -> None:
        """Note that a worker has asked for every batch of a window; what it was granted it may still be computing."""
        window = self._leased.get(start)
        if window is not None:
            self._let_go(worker, window)
            self._changed(window)

    def release(self, worker: int) -> None:
        """Free the windows and the unfinished batches of a worker that has died."""
        self._workers.discard(worker)
        for window in list(self._leased.values()):
            self._let_go(worker, window)
            window.granted = {number: holder for number, holder in window.granted.items() if holder != worker}
            self._changed(window)

    def _offer(self, worker: int) -> Lease | None:
        """Choose a window for a worker: one that a dead worker left, else a new one, else one to join."""
        if worker in self._held:
            waiting = len(self._workers) - len(self._held)
            return Lease(self._free[0]) if len(self._free) > waiting and not self._abandoned else None
        if self._abandoned:
            return Lease(min(self._abandoned))
        if self._free:
            return Lease(self._free[0])
        if not self._open or not self._joins_left:
            return None
        return Lease(max(self._open, key=lambda start: (self._leased[start].untaken, start)), from_end=True)

    def _let_go(self, worker: int, window: _LeasedWindow) -> None:
        """Take a worker from the holders of a window."""
        if worker in window.holders:
            window.holders.discard(worker)
            self._held[worker] -= 1
            if not self._held[worker]:
                del self._held[worker]

    def _changed(self, window: _LeasedWindow) -> None:
        """Keep the indices after a change of a window; a window that is done is no longer leased."""
        is_open = window.untaken > 0
        (self._open.add if is_open else self._open.discard)(window.start)
        (self._abandoned.add if is_open and not window.holders else self._abandoned.discard)(window.start)
        if not is_open and not window.granted and self._leased.pop(window.start, None) is not None:
            for worker in list(window.holders):
                self._let_go(worker, window)
