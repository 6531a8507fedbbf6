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

    @property
    def done(self) -> bool:
        """Whether every batch is computed."""
        return not self._free and not self._leased

    def offers(self, worker: int) -> bool:
        """Whether `lease` would return a window."""
        return self._offer(worker) is not None

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
        self._leased.setdefault(lease.start, _LeasedWindow(lease.start)).holders.add(worker)
        return lease

    def plan(self, start: int, batch_count: int) -> None:
        """Note how many batches a window has, once a worker has planned it."""
        window = self._leased.get(start)
        if window is not None:
            window.batch_count = batch_count
            self._close_if_done(window)

    def acquire(self, worker: int, batch_id: BatchId, ids: AbstractSet[str]) -> bool:
        """Grant a batch to a worker, unless another one has it or its samples (`ids`) are all on disk."""
        window = self._leased.get(batch_id.window)
        if window is None or batch_id.number in window.done or batch_id.number in window.granted:
            return False
        if ids <= self._finished_ids:
            window.done.add(batch_id.number)
            self._close_if_done(window)
            return False
        window.granted[batch_id.number] = worker
        return True

    def finish(self, batch_ids: Iterable[BatchId]) -> None:
        """Note that batches are computed."""
        for batch_id in batch_ids:
            window = self._leased.get(batch_id.window)
            if window is not None:
                window.granted.pop(batch_id.number, None)
                window.done.add(batch_id.number)
                self._close_if_done(window)

    def leave(self, worker: int, start: int) -> None:
        """Note that a worker has asked for every batch of a window; what it was granted it may still be computing."""
        window = self._leased.get(start)
        if window is not None:
            window.holders.discard(worker)
            self._close_if_done(window)

    def release(self, worker: int) -> None:
        """Free the windows and the unfinished batches of a worker that has died."""
        self._workers.discard(worker)
        for window in self._leased.values():
            window.holders.discard(worker)
            window.granted = {number: holder for number, holder in window.granted.items() if holder != worker}

    def _offer(self, worker: int) -> Lease | None:
        """Choose a window for a worker: one that a dead worker left, else a new one, else one to join."""
        holders = {holder for window in self._leased.values() for holder in window.holders}
        abandoned = [window.start for window in self._leased.values() if window.untaken and not window.holders]
        if worker in holders:
            waiting = len(self._workers - holders)
            return Lease(self._free[0]) if len(self._free) > waiting and not abandoned else None
        if abandoned:
            return Lease(min(abandoned))
        if self._free:
            return Lease(self._free[0])
        shared = [window for window in self._leased.values() if window.untaken]
        if not shared or not self._joins_left:
            return None
        return Lease(max(shared, key=lambda window: (window.untaken, window.start)).start, from_end=True)

    def _close_if_done(self, window: _LeasedWindow) -> None:
        if not window.granted and not window.untaken:
            self._leased.pop(window.start, None)
