"""Predictions as a control variate: fair over all orders, monotone, and useful if they are good."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evals.statistics.sequential import capital, means
from evals.statistics.sequential.control import adjusted_mean, control_variate
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.sampled import PredictedClusters, SampledClusters

SUMS, SIZES = np.array([3.0, 0.0, 1.5, 1.0, 0.25, 2.0]), np.array([3.0, 1, 2, 4, 1, 2])
WHOLE = FiniteSet.of_sizes(SIZES.astype(int).tolist())
PREDICTORS = {
    "right": SUMS, "wrong": SIZES - SUMS, "all": SIZES, "none": np.zeros(6), "rare": np.array([0.0, 1, 0, 0, 0, 0]),
    "mixed": np.array([3.0, 0, 0, 4, 0.5, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_bet_against_the_true_mean_is_fair_over_all_orders_and_loses_at_most_half(name):
    """Exactly: the mean over all 720 orders of six clusters of different sizes, after every cluster."""
    predictions, mean = PREDICTORS[name], SUMS.sum() / SIZES.sum()
    capitals = {True: [], False: []}
    for order in map(list, itertools.permutations(range(6))):
        drawn = SampledClusters(SUMS[order], SIZES[order], WHOLE)
        bets = capital.wagers(
            drawn, 0.05, finite=True, predicted=PredictedClusters.of(predictions[order], SIZES[order])
        )
        for higher, of_claim in capitals.items():
            of_claim.append(np.exp(bets.log_capital(mean, higher=higher)))
    for of_claim in capitals.values():
        assert np.mean(of_claim, axis=0) == pytest.approx(np.ones(6))
        logs = np.log(np.array(of_claim))
        assert np.diff(np.hstack([np.zeros((720, 1)), logs]), axis=1).min() >= np.log(capital.MOST_LOST) - 1e-12
        assert not np.isclose(np.array(of_claim).min(), capital.MOST_LOST**6), "the limit is never what makes it fair"


def simulated(rng, clusters, *, alike):
    """A set in random order: the clusters' sums, sizes, and predictions of which a share is drawn anew."""
    sizes = rng.integers(1, 6, clusters).astype(float)
    sums = rng.binomial(sizes.astype(int), 0.6).astype(float)
    anew = rng.random(clusters) > alike
    predictions = np.where(anew, rng.binomial(sizes.astype(int), 0.5), sums).astype(float)
    whole = FiniteSet.of_sizes(sizes.astype(int).tolist())
    return sums, sizes, PredictedClusters.of(predictions, sizes), whole


def test_the_capital_is_monotone_in_the_mean():
    rng = np.random.default_rng(5)
    for number in range(20):
        sums, sizes, predicted, whole = simulated(rng, 60, alike=(-1, 0.5, 1)[number % 3])
        drawn = SampledClusters(sums, sizes, whole).first(20 + number)
        if number % 4 == 0:  # against the values
            predicted = PredictedClusters.of(sizes - predicted.sums_C, sizes)
        bets = capital.wagers(drawn, 0.05, finite=True, predicted=predicted.first(20 + number))
        low = sums[: 20 + number].sum() / whole.samples
        grid = np.linspace(low, low + 1 - drawn.samples / whole.samples, 30)
        for higher in (True, False):
            capitals = [bets.last_log_capital(mean, higher=higher) for mean in grid]
            assert np.all(np.diff(capitals) <= 1e-9 if higher else np.diff(capitals) >= -1e-9)


def test_good_predictions_narrow_the_interval_and_others_hardly_widen_it():
    rng = np.random.default_rng(6)
    widths = {}
    for alike in (0, 0.5, 0.9):
        ratios = []
        for _ in range(4):
            sums, sizes, predicted, whole = simulated(rng, 400, alike=alike)
            drawn = SampledClusters(sums, sizes, whole).first(150)
            plain, helped = means.mean_sequence(drawn), means.mean_sequence(drawn, predicted=predicted.first(150))
            assert helped[0] <= adjusted_mean(drawn, predicted.first(150)) <= helped[1]
            ratios.append((helped[1] - helped[0]) / (plain[1] - plain[0]))
        widths[alike] = np.mean(ratios)
    assert widths[0] < 1.04
    assert 0.8 < widths[0.5] < 0.99
    assert widths[0.9] < 0.85


def test_a_set_that_is_known_whole_has_its_mean():
    sums, sizes, predicted, whole = simulated(np.random.default_rng(7), 40, alike=0.5)
    mean = sums.sum() / sizes.sum()
    assert means.mean_sequence(SampledClusters(sums, sizes, whole), predicted=predicted) == pytest.approx((mean, mean))


def test_predictions_of_other_samples_are_refused():
    predicted = PredictedClusters.of(SUMS, SIZES)
    with pytest.raises(ValueError, match="predictions of 6 clusters, values of 2"):
        control_variate(SampledClusters(SUMS, SIZES, WHOLE).first(2), predicted)
    with pytest.raises(ValueError, match="no sum of predictions"):
        PredictedClusters.of(SIZES + 1, SIZES)
