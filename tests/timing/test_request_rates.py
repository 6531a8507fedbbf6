"""Arrivals, the serving loop and its statistics against queueing theory, on a virtual clock: nothing here waits.

pytest tests/timing/test_request_rates.py
"""

from __future__ import annotations

import math
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import InputError
from evals.schema import Options
from evals.timing import arrivals, replays
from evals.timing.arrivals import Load
from evals.timing.serving import send, serve


class VirtualServer:
    """A server whose clock only moves while it works or sleeps: `service(size)` seconds for a batch of this size."""

    def __init__(self, service=lambda size: 1.0):
        self.now, self.service = 0.0, service

    def answer(self, indices, waiting):
        self.now += self.service(len(indices))
        return list(indices)

    def sleep(self, seconds):
        self.now += seconds

    def replay(self, times, batch=1):
        return serve(times, self.answer, batch=batch, clock=lambda: self.now, sleep=self.sleep)


def md1(load, requests, seed):
    """The latencies of an M/D/1 queue in units of its service time, by the loop."""
    return VirtualServer().replay(arrivals.schedule("poisson", load, requests, seed))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_waiting_times_are_those_of_an_m_d_1_queue(load):
    units, idle = [], []
    for replay in range(20):
        served = md1(load, 4000, f"{load}/{replay}")[500:]
        units.append(np.mean([request.start - request.arrival for request in served]))
        idle.append(np.mean([request.start == request.arrival for request in served]))
    expected = load / (2 * (1 - load))  # Pollaczek and Khinchine, with a constant service time of 1
    waiting, alone = replays.mean(units), replays.mean(idle)
    half = (waiting.high - waiting.low) / 2
    assert abs(waiting.value - expected) < 2 * half < 0.2 * expected
    assert abs(alone.value - (1 - load)) < (alone.high - alone.low)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=40), st.integers(1, 4))
def test_no_arrival_is_left_out_and_the_order_is_kept(gaps, batch):
    times = list(np.cumsum(gaps))
    served = VirtualServer(lambda size: 1 + size / 4).replay(times, batch)
    assert [request.answer for request in served] == list(range(len(times)))
    assert [request.arrival for request in served] == times
    assert all(request.start >= request.arrival for request in served)
    starts = sorted({(request.start, request.end, request.together) for request in served})
    for (_, end, _), (start, _, _) in pairwise(starts):
        assert start >= end - 1e-9  # one loop: no two batches at once
    for request in served:
        assert 1 <= request.together <= batch
        ended = sum(other.arrival <= request.start for other in served)
        done = sum(other.start < request.start for other in served)
        assert request.waiting + request.together == ended - done
    if batch == 1:  # Lindley's recursion
        wait, free = 0.0, 0.0
        for request in served:
            wait = max(0.0, free - request.arrival)
            assert request.start - request.arrival == pytest.approx(wait, abs=1e-6)
            free = request.arrival + wait + 1.25


def test_a_pause_of_the_server_counts_for_all_that_arrive_in_it():
    """A closed loop would ask once during the pause and report one slow request: coordinated omission."""
    server = VirtualServer()
    pauses = iter([0.01] * 50 + [10.0] + [0.01] * 149)
    server.service = lambda size: next(pauses)
    served = server.replay(arrivals.schedule("constant", 10, 200, ""))
    slow = [request for request in served if request.end - request.arrival > 1]
    assert len(slow) > 90


def test_a_server_gets_requests_while_others_are_under_way():
    barrier = threading.Barrier(5, timeout=10)

    def ask(index, on_token):
        barrier.wait()  # passes only if all five are under way at once
        on_token()
        return index

    served = send([0.0, 0.001, 0.002, 0.003, 0.02], ask)
    assert [request.answer for request in served] == [0, 1, 2, 3, 4]
    assert all(request.arrival <= request.start <= request.first <= request.end for request in served)


def test_what_a_client_sends_late_has_waited():
    served = send([0.0, 0.0, 0.0], lambda index, on_token: time.sleep(0.02), most=1)
    assert served[2].end - served[2].arrival > 0.055
    assert served[2].start > 0.035


@pytest.mark.parametrize(("load", "overloaded"), [(0.5, False), (1.3, True)])
def test_overload_is_noticed(load, overloaded):
    grows, used = [], []
    for replay in range(5):
        served = md1(load, 260, f"overload/{replay}")
        measured = [20 <= index < 240 for index in range(260)]
        grows.append(replays.growth([r.arrival for r in served], [r.end for r in served], measured))
        used.append(load * np.mean([r.end - r.start for r in served]))
    spread = replays.mean(grows)
    assert replays.is_overloaded(spread, None) is overloaded
    assert replays.is_overloaded(spread, replays.ReplayEstimate(load, load - 0.01, load + 0.01)) is overloaded
    if overloaded:
        assert spread.low <= 1 - 1 / load <= spread.high


def test_one_replay_or_too_few_requests_show_no_overload():
    assert replays.is_overloaded(replays.mean([0.3]), None) is None
    assert replays.is_overloaded(replays.ReplayEstimate(0.05, -0.1, 0.2), None) is None


def test_a_machine_that_is_busy_during_some_replays_does_not_hide_the_overload():
    load = replays.mean([3.8, 15.6, 16.3], 0)  # each far above 1; Student's t of the three reaches 0
    assert load.low == 0
    assert replays.is_overloaded(replays.mean([0.87, 0.95, 0.9], most=1), load) is True
    assert replays.is_overloaded(replays.mean([0.87, 0.95, 0.9], most=1), load._replace(value=0.97)) is None
    assert replays.is_overloaded(replays.mean([0.0, 0.9, 0.5], most=1), load) is None


def test_a_percentile_covers_the_true_one():
    """Of a queue at 30 % load the simulated 90th percentile is inside 95 % of the intervals, give or take."""
    long = [request.end - request.arrival for request in md1(0.3, 60_000, "long")[100:]]
    truth, inside = replays.percentile(0.9, [long]).value, 0
    for trial in range(40):
        groups = [[r.end - r.arrival for r in md1(0.3, 140, f"{trial}/{n}")[40:]] for n in range(5)]
        spread = replays.percentile(0.9, groups)
        assert spread.low <= spread.value <= spread.high
        inside += spread.low <= truth <= spread.high
    assert inside >= 34


def test_a_tail_of_few_independent_requests_has_no_interval():
    calm = [1.0] * 95
    spread = replays.percentile(0.99, [[*calm, *[9.0] * 5]] * 5)
    assert (spread.value, spread.low) == (9.0, None)
    assert "count as 100 independent ones; an interval needs 1,000, so about 997 requests a replay" in spread.why
    assert replays.percentile(0.5, [[1.0, 2.0]]).low is None


def test_requests_that_wait_for_each_other_count_as_fewer():
    """Of an autoregression the autocorrelation time is known: (1 + r) / (1 - r)."""
    rng = np.random.default_rng(3)
    for r in (0.0, 0.5, 0.9):
        noise, level, series = rng.normal(size=(5, 4000)), np.zeros(5), []
        for step in noise.T:
            level = r * level + step
            series.append(level)
        assert replays.independent(np.transpose(series)) == pytest.approx(20_000 * (1 - r) / (1 + r), rel=0.15)
    assert replays.independent([[1.0, math.inf], [1.0, 1.0, 1.0]]) == 5


def test_requests_that_failed_are_the_slowest():
    groups = [[1.0, 2.0, 3.0, math.inf]] * 3
    assert replays.percentile(0.5, groups).value == 2.5  # between the two in the middle
    assert replays.percentile(0.9, groups) is None


def test_a_load_trace_is_read_and_stretched(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("user,time\na,10\nb,10.5\nc,12\n")
    load = Load.of(Options(arrivals=str(trace)))
    assert (load.times("0", 3), load.rate, load.arrivals) == ([0.0, 0.5, 2.0], 1.0, "trace.csv")
    assert Load.of(Options(arrivals=str(trace), rate=4.0)).times("1", 3) == [0.0, 0.125, 0.5]
    trace.write_text("10\n10.5\n", encoding="utf-8-sig")
    assert Load.of(Options(arrivals=str(trace))).times("0", 2) == [0.0, 0.5]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"rate": 0.0}, "more than 0"),
        ({"rate": math.nan}, "more than 0"),
        ({"rate": 1e9}, "at most"),
        ({"arrivals": "poisson"}, "--rate"),
        ({"batch": 2}, "--rate"),
        ({"rate": 1.0, "arrivals": "nowhere.csv"}, "poisson, constant or CSV"),
    ],
)
def test_loads_that_cannot_be_are_refused(options, word):
    with pytest.raises(InputError, match=word):
        Load.of(Options(**options))


@pytest.mark.parametrize(
    "text", ["", "time\n", "1\n0\n", "time\n1\nx\n", "1\nnan\n", "5\n5\n", "\x00", "user,at\n1,2\n3,4\n"]
)
def test_damaged_traces_are_refused(tmp_path, text):
    trace = tmp_path / "trace.csv"
    trace.write_text(text)
    with pytest.raises(InputError, match="--arrivals"):
        Load.of(Options(arrivals=str(trace)))


def test_arrivals_are_drawn_from_the_seed_and_the_replay():
    one, other = Load.of(Options(rate=5.0)), Load.of(Options(rate=5.0, seed=1))
    assert one.times("0", 9) == one.times("0", 9) != one.times("1", 9)
    assert one.times("0", 9) != other.times("0", 9)
    gaps = np.diff(one.times("0", 4000))
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(1, abs=0.1)  # exponential
