"""The number of concurrent requests, against simulated servers with known latency."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.models.endpoint.pacing import START, ConcurrencyLimit


def simulate(limit, answers, *, bears=None, refuses=None, seconds=0.1):
    """Answer so many requests; returns the limit after each.

    A server that `bears` so many at once makes more of them wait in proportion; one that `refuses` more pushes back.
    """
    trace = []
    for _ in range(answers):
        at_once = int(limit.value)
        if refuses is not None and at_once > refuses:
            limit.on_overload(limit.epoch)
        else:
            limit.on_response(seconds * max(1.0, at_once / (bears or at_once)), full=True)
        trace.append(limit.value)
    return trace


def test_a_server_that_bears_all_is_given_all():
    assert simulate(ConcurrencyLimit(64), 500)[-1] == 64


@pytest.mark.parametrize("bears", [4, 12, 30])
def test_growth_that_only_makes_everybody_wait_is_taken_back(bears):
    trace = simulate(ConcurrencyLimit(256), 20_000, bears=bears)
    settled = trace[len(trace) // 2 :]
    assert bears <= max(settled) <= 2.6 * max(bears, START)
    assert min(settled) >= min(bears, START)


@pytest.mark.parametrize("refuses", [1, 3, 20])
def test_a_server_that_pushes_back_is_given_about_what_it_takes(refuses):
    settled = simulate(ConcurrencyLimit(256), 5000, refuses=refuses)[2500:]
    assert max(settled) < refuses + 2
    assert sum(settled) / len(settled) >= 0.6 * refuses


def test_one_wave_of_refusals_halves_it_once():
    limit = ConcurrencyLimit(64)
    simulate(limit, 200)
    sent_under = limit.epoch
    for _ in range(50):
        limit.on_overload(sent_under)
    assert limit.value == 32


def test_answers_to_too_few_requests_say_nothing_about_more():
    limit = ConcurrencyLimit(64)
    for _ in range(100):
        limit.on_response(0.1, full=False)
    assert limit.value == START


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 300), st.lists(st.one_of(st.none(), st.floats(1e-6, 100))))
def test_it_stays_between_one_and_the_most(most, events):
    limit = ConcurrencyLimit(most)
    for event in events:
        if event is None:
            limit.on_overload(limit.epoch)
        else:
            limit.on_response(event, full=True)
        assert 1 <= limit.value <= most
