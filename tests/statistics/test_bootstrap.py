"""Confidence intervals: against theory, against SciPy, and cases without an interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.statistics.bootstrap import cluster_bootstrap
from evals.statistics.intervals import wilson


def correlated(rng, clusters, size, between=0.3, within=0.3):
    """Values that share a part with the others of their cluster, and the clusters' names."""
    values = np.repeat(rng.normal(0.5, between, clusters), size) + rng.normal(0, within, clusters * size)
    return values, [str(cluster) for cluster in range(clusters) for _ in range(size)]


def coverage(cluster_of, runs=300):
    """How often the interval holds the true mean, 0.5."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(runs):
        values, clusters = correlated(rng, clusters=50, size=5)
        low, high = cluster_bootstrap([values], cluster_of(clusters), resamples=800)[0]
        held += low <= 0.5 <= high
    return held / runs


@pytest.mark.slow
def test_coverage_is_what_it_says():
    # of 300 runs; a percentile interval over 50 clusters covers a little less than it says
    assert 0.90 <= coverage(lambda clusters: clusters) <= 0.98


@pytest.mark.slow
def test_the_coverage_test_would_notice_forgotten_clusters():
    assert coverage(lambda clusters: [str(n) for n in range(len(clusters))]) < 0.80


def test_width_is_that_of_the_clustered_standard_error():
    values, clusters = correlated(np.random.default_rng(2), clusters=2000, size=4)
    sums = (values - values.mean()).reshape(-1, 4).sum(axis=1)
    error = math.sqrt((sums**2).sum()) / len(values)  # of a mean, by Taylor expansion, clusters as units
    low, high = cluster_bootstrap([values], clusters)[0]
    assert (high - low) / (2 * 1.959964 * error) == pytest.approx(1, abs=0.03)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.1 * error)


def test_without_clusters_it_is_the_plain_bootstrap():
    values = np.random.default_rng(3).beta(2, 1, 300)
    low, high = cluster_bootstrap([values], [str(n) for n in range(300)])[0]
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4), batch=500
    )
    tolerance = 0.1 * theirs.standard_error
    assert (low, high) == (
        pytest.approx(theirs.confidence_interval.low, abs=tolerance),
        pytest.approx(theirs.confidence_interval.high, abs=tolerance),
    )


def test_a_subset_is_a_ratio_over_the_same_resampled_clusters():
    rng = np.random.default_rng(5)
    values, clusters = correlated(rng, clusters=40, size=5)
    mask = rng.random(200) < 0.3
    names = sorted(set(clusters))
    sums = np.array([values[[c == name and m for c, m in zip(clusters, mask, strict=True)]].sum() for name in names])
    counts = np.array([sum(c == name and m for c, m in zip(clusters, mask, strict=True)) for name in names])
    draws = rng.integers(0, 40, (20_000, 40))
    low, high = np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), [0.025, 0.975])
    _, ours = cluster_bootstrap([values, values], clusters, [None, mask])
    assert ours == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_columns_do_not_disturb_each_other():
    rng = np.random.default_rng(6)
    values, clusters = correlated(rng, clusters=30, size=3)
    mask = rng.random(90) < 0.5
    together = cluster_bootstrap([values, 1000 * values, values], clusters, [None, None, mask], resamples=500)
    apart = [cluster_bootstrap([v], clusters, [m], resamples=500)[0] for v, m in [(values, None), (values, mask)]]
    assert [together[0], together[2]] == apart
    assert together[1] == pytest.approx([1000 * end for end in together[0]], rel=1e-9)


def test_resamples_without_a_subset_are_left_out():
    # Two of forty clusters hold the subset, so one resample in eight has none of it.
    values = np.array([0.0, 1.0] * 20)
    mask = np.zeros(40, dtype=bool)
    mask[:2] = True
    assert cluster_bootstrap([values], [str(n) for n in range(40)], [mask]) == [(0.0, 1.0)]


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.sampled_from("abcdef")), min_size=2, max_size=40), st.randoms())
@settings(max_examples=50, deadline=None)
def test_neither_order_nor_threads_change_a_bit(items, random):
    def interval(pairs):
        return cluster_bootstrap([np.array([value for value, _ in pairs])], [name for _, name in pairs], resamples=200)

    shuffled = items[:]
    random.shuffle(shuffled)
    with threadpoolctl.threadpool_limits(1):
        expected = interval(items)
    assert interval(shuffled) == expected


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_an_interval_lies_within_the_values_or_there_is_none(items):
    values, clusters = np.array([value for value, _ in items]), [str(cluster) for _, cluster in items]
    interval = cluster_bootstrap([values], clusters, resamples=200)[0]
    if interval is None:
        assert len(set(clusters)) == 1 or values.max() - values.min() < 1e-6 or means_agree(values, clusters)
    else:
        slack = 1e-9
        assert values.min() - slack <= interval[0] <= interval[1] <= values.max() + slack


def means_agree(values, clusters):
    """Whether every cluster has the same mean, so that no resample differs."""
    means = [values[[c == name for c in clusters]].mean() for name in set(clusters)]
    return max(means) - min(means) < 1e-6


def test_there_is_no_interval_where_nothing_could_vary():
    values, clusters = np.array([0.0, 1.0, 1.0, 1.0]), ["a", "a", "b", "c"]
    assert cluster_bootstrap([values], ["a"] * 4) == [None]
    assert cluster_bootstrap([np.ones(4)], clusters) == [None]
    only_a = np.array([True, True, False, False])
    everything, within_a, right = cluster_bootstrap([values] * 3, clusters, [None, only_a, ~only_a])
    assert everything is not None
    assert (within_a, right) == (None, None)


@pytest.mark.parametrize(
    ("values", "clusters", "mask", "problem"),
    [
        ([], [], None, "no items"),
        ([1.0, 0.0], ["a", "b"], [False, False], "no items"),
        ([1.0, math.nan], ["a", "b"], None, "not finite"),
        ([1.0, math.inf], ["a", "b"], None, "not finite"),
        ([1.0], ["a", "b"], None, "1 values for 2 items"),
        ([1.0, 0.0], ["a", "b"], [True], "2 values for 2 items"),
    ],
)
def test_what_has_no_mean_is_refused(values, clusters, mask, problem):
    masks = None if mask is None else [np.array(mask)]
    with pytest.raises(ValueError, match=problem):
        cluster_bootstrap([np.array(values)], clusters, masks)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (515, 1319)])
def test_wilson_against_scipy(successes, n, level):
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert wilson(successes, n, level) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_proportion(successes, n):
    with pytest.raises(ValueError, match="successes of"):
        wilson(successes, n)
