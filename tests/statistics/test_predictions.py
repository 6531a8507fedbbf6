"""Intervals with predictions: right whatever the predictions are, narrow where they are good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.statistics.finite import hypergeometric_interval
from evals.statistics.predictions import FEWEST_IN_GROUP, MOST_GROUPS, post_stratified, strata


@st.composite
def predicted(draw):
    """Values between 0 and 1, and predictions of any kind, equal ones among them."""
    n = draw(st.integers(10, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.random(n), np.round(rng.random(n) * 10, draw(st.integers(0, 3)))


@given(predicted(), st.floats(0.05, 1))
def test_groups_are_of_like_predictions_and_large_enough(case, share):
    _, predictions = case
    n = max(1, round(share * len(predictions)))
    groups = strata(predictions, n)
    order = np.argsort(predictions, kind="stable")
    assert (np.diff(groups[order]) >= 0).all()
    assert all(len(set(groups[predictions == level])) == 1 for level in set(predictions))
    counts = np.bincount(groups)
    assert len(counts) <= MOST_GROUPS or len(set(predictions)) <= MOST_GROUPS
    assert len(counts) == 1 or counts.min() >= FEWEST_IN_GROUP * len(predictions) / n - 1e-6


@given(predicted())
def test_a_known_set_has_no_interval_left(case):
    values, predictions = case
    groups = strata(predictions, len(values))
    names = [str(n) for n in range(len(values))]
    estimate = post_stratified(values, groups, np.bincount(groups).tolist(), names)
    assert estimate.low == pytest.approx(estimate.high) == pytest.approx(values.mean()) == pytest.approx(estimate.value)


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(0, 60))
def test_predictions_that_are_all_equal_give_the_interval_without_them(right, unknown):
    values = np.array([1.0] * right + [0.0] * (40 - right))
    estimate = post_stratified(values, np.zeros(40, dtype=int), [40 + unknown], [str(n) for n in range(40)])
    assert (estimate.low, estimate.high) == pytest.approx(hypergeometric_interval(right, 40, 40 + unknown))
    assert estimate.gain == 1


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [1, 4])
@pytest.mark.parametrize("quality", [0.0, 0.5, 0.9])
def test_the_interval_covers_and_good_predictions_make_it_narrow(cluster, quality):
    rng = np.random.default_rng(7)
    covered, gains = 0, []
    for _ in range(60):
        rates = np.repeat(rng.beta(2, 1, 400 // cluster), cluster)
        values = (rng.random(400) < rates) * 1.0
        predictions = np.where(rng.random(400) < quality, values, rng.random(400) < 0.5) * 1.0
        chosen, groups = rng.choice(400, 120, replace=False), strata(predictions, 120)
        names = [str(n // cluster) for n in chosen]
        estimate = post_stratified(values[chosen], groups[chosen], np.bincount(groups).tolist(), names)
        covered += estimate.low - 1e-9 <= values.mean() <= estimate.high + 1e-9
        gains.append(estimate.gain)
    assert covered >= 52  # binomial(60, 0.95) is below in one of 2,000 cases
    assert {0.0: 0.9, 0.5: 1.1, 0.9: 2}[quality] < np.median(gains) < {0.0: 1.1, 0.5: 1.6, 0.9: 8}[quality]


def test_where_nothing_is_sure_there_is_no_estimate():
    values, names = np.ones(20), [str(n) for n in range(20)]
    assert post_stratified(values, np.zeros(20, dtype=int), [20, 5], names) is None
    few = [str(n // 2) for n in range(20)]
    assert post_stratified(values, np.arange(20) % 2, [20, 20], few) is None


@pytest.mark.parametrize(
    ("values", "groups", "sizes", "message"),
    [
        ([1.0], [0, 0], [5], "expected equal numbers"),
        ([1.5], [0], [5], "not between 0 and 1"),
        ([1.0, 1.0], [0, 0], [1], "cannot be part"),
        ([1.0], [1], [5], "cannot be part"),
    ],
)
def test_what_does_not_fit_is_refused(values, groups, sizes, message):
    with pytest.raises(ValueError, match=message):
        post_stratified(np.array(values), np.array(groups), sizes, ["a"] * len(values))
