"""The bookkeeping of leases, by property: any order of events, with workers that die."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.execution.windows import BatchId, Lease, WholePlan
from evals.execution.workers.leases import LeaseTable

WINDOW = 4


class Simulated:
    """A worker that takes one step at a time: asks for a window in advance, for a batch, or finishes one."""

    def __init__(self, number, table, ids):
        self.number, self.table, self.ids = number, table, ids
        self.windows, self.batches, self.prepared, self.is_idle = [], [], [], True

    def lease(self):
        lease = self.table.lease(self.number)
        if lease is not None:
            self.is_idle = False
            self.prepared.append(lease)
            # Two samples per batch, so a window has one or two batches.
            length = len(self.ids[lease.start : lease.start + WINDOW])
            numbers = list(range((length + 1) // 2))
            self.windows.append((lease.start, numbers[::-1] if lease.from_end else numbers, len(numbers)))
        return lease

    def members(self, batch_id):
        first = batch_id.window + 2 * batch_id.number
        return set(self.ids[first : min(first + 2, batch_id.window + WINDOW)])

    def step(self, draw, asked, finished):
        """Do one thing, as the loop would, and record what is asked and finished."""
        if self.is_idle:
            self.lease()
            return
        if self.batches and (draw.random() < 0.5 or not self.windows):
            batch_id = self.batches.pop(0)
            finished |= self.members(batch_id)
            self.table.finish([batch_id])
            return
        if not self.windows:
            self.is_idle = True
            return
        if len(self.windows) == 1:
            self.lease()
        start, numbers, count = self.windows[0]
        self.table.plan(start, count)
        if numbers:
            batch_id = BatchId(start, numbers.pop(0))
            if self.table.acquire(self.number, batch_id, self.members(batch_id)):
                self.batches.append(batch_id)
                asked.append(batch_id)
        else:
            self.windows.pop(0)
            self.table.leave(self.number, start)


@settings(max_examples=400, deadline=None)
@given(
    count=st.integers(1, 60), worker_count=st.integers(1, 5), deaths=st.integers(0, 4), seed=st.integers(0, 10**6),
    share_on_disk=st.sampled_from([0.0, 0.3, 0.9]),
)  # fmt: skip
def test_every_sample_is_computed_in_any_order_of_events(count, worker_count, deaths, seed, share_on_disk):
    draw = random.Random(seed)
    ids = [str(index) for index in range(count)]
    on_disk = {id for id in ids if draw.random() < share_on_disk}
    finished, asked, lost = set(on_disk), [], []
    table = LeaseTable(ids, window=WINDOW, finished_ids=finished, workers=range(worker_count))
    workers = [Simulated(number, table, ids) for number in range(worker_count)]
    all_workers, steps = list(workers), 0
    while not table.done:
        steps += 1
        assert steps < 10_000, "the workers wait for ever"
        able = [worker for worker in workers if not worker.is_idle or table.offers(worker.number)]
        assert able, "somebody can compute what is left"
        if len(workers) > 1 and len(lost) < deaths and draw.random() < 0.05:
            dead = draw.choice(workers)
            workers.remove(dead)
            table.release(dead.number)
            lost.append(dead)
        else:
            draw.choice(able).step(draw, asked, finished)
    assert finished == set(ids)
    under_way = sum(len(worker.batches) for worker in lost)
    assert len(asked) - len(set(asked)) <= under_way, "asked twice beyond what the dead were computing"
    leases = [lease for worker in all_workers for lease in worker.prepared]
    assert sum(lease.from_end for lease in leases) <= worker_count
    if not lost:
        first = [lease.start for lease in leases if not lease.from_end]
        assert len(first) == len(set(first)), "a window is prepared once, but for the windows that workers join"
        whole = [start for start in range(0, count, WINDOW) if set(ids[start : start + WINDOW]) <= on_disk]
        assert not set(whole) & {lease.start for lease in leases}, "windows on disk are not prepared"


def test_a_window_in_advance_is_left_to_workers_without_one():
    ids = [str(index) for index in range(2 * WINDOW)]
    table = LeaseTable(ids, window=WINDOW, finished_ids=set(), workers=[0, 1])
    assert table.lease(0) == Lease(0)
    assert table.lease(0) is None, "worker 1 has none yet"
    assert table.lease(1) == Lease(WINDOW)


def test_the_leases_of_a_dead_worker_return_at_once():
    ids = [str(index) for index in range(WINDOW)]
    table = LeaseTable(ids, window=WINDOW, finished_ids=set(), workers=[0, 1])
    table.lease(0)
    table.plan(0, 2)
    assert table.acquire(0, BatchId(0, 0), {"0", "1"})
    table.finish([BatchId(0, 0)])
    assert table.acquire(0, BatchId(0, 1), {"2", "3"})
    assert not table.offers(1), "nothing is left to take"
    table.release(0)
    assert table.lease(1) == Lease(0)
    assert not table.acquire(1, BatchId(0, 0), {"0", "1"}), "it is computed"
    assert table.acquire(1, BatchId(0, 1), {"2", "3"})
    table.finish([BatchId(0, 1)])
    assert table.done


def test_batches_on_disk_are_not_granted():
    plan = WholePlan(["a", "b", "c"], 2, {"a", "b"})
    assert plan.next_window() == Lease(2)
    assert plan.next_window() is None
    assert not plan.acquire(BatchId(0, 0), {"a"})


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_workers_whose_plans_differ_do_not_wait_for_ever(order):
    table = LeaseTable(["a", "b"], window=2, finished_ids=set(), workers=[0, 1])
    table.lease(0)
    table.lease(1)
    for worker in order:
        table.plan(0, 1 + worker)
    assert table.acquire(0, BatchId(0, 0), {"a", "b"})
    table.finish([BatchId(0, 0)])
    table.leave(0, 0)
    assert not table.acquire(1, BatchId(0, 0), {"a"})
    if table.acquire(1, BatchId(0, 1), {"b"}):
        table.finish([BatchId(0, 1)])
    table.leave(1, 0)
    assert table.done
