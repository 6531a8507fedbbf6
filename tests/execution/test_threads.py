"""The pool of daemon threads: each call returns once, and calls that have not begun can be cancelled."""

from __future__ import annotations

import threading

import pytest

from evals.execution.threads import DaemonThreadPool


def results(pool):
    """Wait for all calls that were given; what they returned, and the messages of what they raised."""
    ended = []
    while pool.pending:
        ended += pool.completed()
    return sorted(done.result for done in ended if done.error is None), [str(d.error) for d in ended if d.error]


@pytest.mark.parametrize("count", [1, 4, 100])
def test_every_call_comes_back_once_also_those_that_raise(count):
    def act(number):
        if number % 10 == 7:
            raise ValueError(f"not {number}")
        return number

    pool = DaemonThreadPool(act, count)
    for number in range(50):
        pool.submit(number)
    returned, raised = results(pool)
    assert returned == [number for number in range(50) if number % 10 != 7]
    assert sorted(raised) == ["not 17", "not 27", "not 37", "not 47", "not 7"]
    pool.shutdown()


def test_dismissed_hands_end_the_call_that_they_are_making_and_begin_no_other():
    begun, going, release = [], threading.Event(), threading.Event()

    def act(number):
        begun.append(number)
        going.set()
        release.wait(10)
        return number

    pool = DaemonThreadPool(act, 1)
    for number in range(5):
        pool.submit(number)
    assert going.wait(10)
    pool.shutdown()
    release.set()
    assert results(pool) == ([0], [])
    assert begun == [0]
