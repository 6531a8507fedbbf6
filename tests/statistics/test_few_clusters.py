"""Intervals of few clusters and of few items: against SciPy, by simulation, and data that show nearly nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from evals.statistics.few_clusters import beta_binomial_interval
from evals.statistics.intervals import FEW_ITEMS, clopper_pearson, mean_intervals


def integrated(right, sizes):
    """The same interval from SciPy's distributions, on a plain grid."""
    edges = np.linspace(0, 1, 2001)
    means, likelihoods = (edges[1:] + edges[:-1]) / 2, np.zeros(2000)
    for quantile in (np.arange(100) + 0.5) / 100:
        correlation = scipy.stats.beta(1, 0.5).ppf(quantile)
        scale = (1 - correlation) / correlation
        likelihood = np.ones(len(means))
        for count, size in zip(right, sizes, strict=True):
            likelihood *= scipy.stats.betabinom(size, means * scale, (1 - means) * scale).pmf(count)
        likelihoods += likelihood
    ends = []
    for share, near, far in ((0.025, 1 / 12, 7 / 12), (0.975, 7 / 12, 1 / 12)):
        cumulated = np.cumsum(likelihoods * np.diff(scipy.stats.beta(near, far).cdf(edges)))
        ends.append(np.interp(share, np.concatenate([[0], cumulated]) / cumulated[-1], edges))
    return ends


@pytest.mark.parametrize(
    ("right", "sizes"),
    [((3, 4, 5), (5, 5, 5)), ((97, 100, 82), (100,) * 3), ((1, 0, 9, 2), (2, 3, 20, 2)), ((0, 1), (4, 1))],
)
def test_the_interval_is_what_integration_says(right, sizes):
    ours = beta_binomial_interval(np.array(right, float), np.array(sizes, float), 0.95)
    assert ours == pytest.approx(integrated(right, sizes), abs=0.004)


def test_large_clusters_that_agree_show_much():
    """The correlation may be nearly nothing: nine groups of 10,000 with 70 % each."""
    low, high = beta_binomial_interval(7000.0 + np.arange(-40, 50, 10), np.full(9, 10_000.0), 0.95)
    assert 0.690 < low < 0.698
    assert 0.702 < high < 0.710


def covered(clusters, sizes, mean, icc, runs=200):
    """How often the interval of answers with a correlation within clusters holds their mean."""
    count, weight = 0, (1 - icc) / icc
    for run in range(runs):
        rng = np.random.default_rng([run, clusters])
        counts = rng.integers(sizes[0], sizes[1] + 1, clusters)
        rates = rng.beta(mean * weight, (1 - mean) * weight, clusters)
        names = np.repeat(np.arange(clusters), counts)
        right = (rng.random(len(names)) < rates[names]) * 1.0
        ((low, high),) = mean_intervals([right], [str(name) for name in names])
        count += low <= mean <= high
    return count / runs


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [3, 6])
@pytest.mark.parametrize("mean", [0.6, 0.95])
@pytest.mark.parametrize("icc", [0.1, 0.3])
def test_few_clusters_are_covered(clusters, mean, icc):
    assert covered(clusters, (100, 100), mean, icc) >= 0.91  # noise of 200 runs: 1.5 points


@pytest.mark.parametrize("clusters", [3, 5, 7])
def test_few_small_clusters_are_covered_exactly(clusters):
    """All possible answers of clusters of three samples: their probabilities are added up, not drawn."""
    outcomes = list(itertools.combinations_with_replacement(range(4), clusters))
    counts = [[outcome.count(right) for right in range(4)] for outcome in outcomes]
    names = np.repeat(np.arange(clusters), 3).astype(str).tolist()
    answers = [np.concatenate([(np.arange(3) < right) * 1.0 for right in outcome]) for outcome in outcomes]
    lows, highs = np.transpose([mean_intervals([right], names)[0] for right in answers])
    for icc, mean in itertools.product((0.3, 0.6, 0.9), (0.5, 0.6, 0.7, 0.8)):
        weight = (1 - icc) / icc
        chances = scipy.stats.betabinom(3, mean * weight, (1 - mean) * weight).pmf(range(4))
        covered = (lows <= mean) & (mean <= highs)
        assert scipy.stats.multinomial.pmf(counts, clusters, chances)[covered].sum() >= 0.93


@pytest.mark.parametrize("n", range(1, FEW_ITEMS))
def test_few_items_are_covered_whatever_the_truth(n):
    ends = [mean_intervals([np.arange(n) < right], [str(item) for item in range(n)])[0] for right in range(n + 1)]
    for truth in np.linspace(0, 1, 201):
        chances = scipy.stats.binom.pmf(range(n + 1), n, truth)
        assert sum(p for p, (low, high) in zip(chances, ends, strict=True) if low <= truth <= high) >= 0.95


@pytest.mark.parametrize("n", [1, 2, 4, 9])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_exact_interval_is_that_of_scipy(n, share):
    right = int(share * n)
    theirs = scipy.stats.binomtest(right, n).proportion_ci(0.9, method="exact")
    assert clopper_pearson(right, n, 0.9) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("clusters", [1, 2, 9])
@pytest.mark.parametrize("value", [0.0, 0.3, 0.7, 1.0])
def test_equal_scores_are_no_certainty(n, clusters, value):
    names = [str(item % clusters) for item in range(n)]
    ((low, high),) = mean_intervals([np.full(n, value)], names)
    assert low <= value <= high
    assert high - low > 0.3
    if n > 1:
        ((low, high),) = mean_intervals([np.array([value] * (n - 1) + [abs(value - 1e-3)])], names)
        assert high - low > 0.2
