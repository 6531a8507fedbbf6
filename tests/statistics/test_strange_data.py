"""Intervals and tests of data that strangers bring: one sample, one cluster, all ties, constants, unequal clusters.

python -m pytest tests/statistics/test_strange_data.py
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.statistics import paired
from evals.statistics.intervals import FEW_ITEMS, mean_intervals

VALUES = {
    "right or wrong": st.sampled_from([0.0, 1.0]),
    "all right": st.just(1.0),
    "all wrong": st.just(0.0),
    "soft": st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]),
    "any share": st.floats(0, 1),
    "large": st.sampled_from([0.0, 1e9, 1e9 + 1]),
    "tiny": st.floats(0, 1e-300),
}
NAMES = {
    "alone": lambda draw, n: [str(item) for item in range(n)],
    "one cluster": lambda draw, n: ["all"] * n,
    "two clusters": lambda draw, n: draw(st.lists(st.sampled_from("ab"), min_size=n, max_size=n)),
    "one giant": lambda draw, n: ["giant" if item > 4 else str(item) for item in range(n)],
    "some": lambda draw, n: draw(st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n)),
}


@st.composite
def clustered(draw, systems=1, kinds=tuple(VALUES)):
    """The values of one or two systems on the same items, and the names of the items' clusters."""
    kind, names = draw(st.sampled_from(kinds)), draw(st.sampled_from(sorted(NAMES)))
    n = draw(st.integers(1, 40))
    columns = [np.array(draw(st.lists(VALUES[kind], min_size=n, max_size=n))) for _ in range(systems)]
    return *columns, NAMES[names](draw, n)


@given(st.integers(1, 300), st.data())
def test_more_right_answers_never_lower_an_end(n, data):
    right = data.draw(st.integers(0, n - 1))
    clusters = [str(item) for item in range(n)]
    fewer, more = (np.arange(n) < count for count in (right, right + 1))
    (low, high), (higher_low, higher_high) = (
        mean_intervals([answers.astype(float)], clusters)[0] for answers in (fewer, more)
    )
    assert low < higher_low
    assert high <= higher_high
    assert (low, high) == pytest.approx(proportion_interval(right, n))


def proportion_interval(right, n):
    """SciPy's interval: an independent reference."""
    interval = scipy.stats.binomtest(right, n).proportion_ci(0.95, method="wilson" if n >= FEW_ITEMS else "exact")
    return interval.low, interval.high


@settings(max_examples=300)
@given(clustered())
def test_an_interval_of_a_mean_contains_it(data):
    values_N, clusters = data
    (interval,) = mean_intervals([values_N], clusters)
    if interval is None:
        assert values_N.max() > 1
        return
    low, high = interval
    slack = 1e-9 * max(1.0, abs(values_N).max())
    assert low - slack <= values_N.mean() <= high + slack
    if values_N.max() <= 1:
        assert 0 <= low < high <= 1
        (mirrored,) = mean_intervals([1 - values_N], clusters)
        assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


@settings(max_examples=300)
@given(clustered(systems=2))
def test_a_difference_and_its_opposite_say_the_same(data):
    a_N, b_N, clusters = data
    forth, back = paired.difference(a_N, b_N, clusters), paired.difference(b_N, a_N, clusters)
    p, interval = forth.p_value(), forth.interval()
    assert forth.value == -back.value
    assert 0 < p <= 1
    assert p == pytest.approx(back.p_value(), rel=1e-9)
    if interval is None:
        assert back.interval() is None
        return
    assert back.interval() == pytest.approx((-interval[1], -interval[0]), rel=1e-6, abs=1e-9)
    slack = 1e-9 * max(1.0, abs(a_N).max(), abs(b_N).max())
    assert interval[0] - slack <= forth.value <= interval[1] + slack
    assert (p < 0.05) == (not interval[0] <= 0 <= interval[1])
    if max(a_N.max(), b_N.max()) <= 1:
        assert -1 <= interval[0] <= interval[1] <= 1


@settings(max_examples=200)
@given(clustered(systems=2, kinds=("right or wrong", "soft", "any share")))
def test_repeated_items_of_a_cluster_are_no_further_evidence(data):
    """Every item ten times, in the cluster of its first: the clusters, and so interval and test, remain."""
    a_N, b_N, clusters = data
    once = paired.difference(a_N, b_N, [f"of {name}" for name in clusters])
    often = paired.difference(np.repeat(a_N, 10), np.repeat(b_N, 10), np.repeat([f"of {c}" for c in clusters], 10))
    assert often.value == pytest.approx(once.value, abs=1e-9)
    assert often.p_value() >= 0.999 * once.p_value() or once.clusters == once.n
    if once.interval() and often.interval() and once.clusters < once.n:
        assert often.interval() == pytest.approx(once.interval(), abs=1e-6)


@given(clustered(systems=2), st.randoms())
def test_the_order_of_the_items_and_the_names_of_clusters_change_nothing(data, random):
    a_N, b_N, clusters = data
    order = list(range(len(a_N)))
    random.shuffle(order)
    renamed = [f"cluster {sorted(set(clusters)).index(name):05d}" for name in clusters]
    first = paired.difference(a_N, b_N, clusters)
    second = paired.difference(a_N[order], b_N[order], [renamed[item] for item in order])
    assert second.p_value() == pytest.approx(first.p_value(), rel=1e-6)
    (interval,) = mean_intervals([a_N], clusters)
    assert mean_intervals([a_N[order]], [clusters[item] for item in order]) == [interval]


@given(clustered(systems=2, kinds=("right or wrong", "soft", "any share")))
def test_all_relations_agree_on_who_is_better(data):
    a_N, b_N, clusters = data
    a_N, b_N = a_N + 0.5, b_N + 0.5  # so that there is a ratio
    difference, ratio = paired.difference(a_N, b_N, clusters), paired.ratio(a_N, b_N, clusters)
    if ratio is None:
        return
    # the same t statistic; its degrees of freedom are estimated about another value
    assert ratio.p_value(1.0) == pytest.approx(difference.p_value(), rel=0.3)
    assert np.sign(round(ratio.value - 1, 9)) == np.sign(round(difference.value, 9))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_has_neither_interval_nor_test(bad):
    values_N, clusters = np.array([1.0, bad, 0.0]), list("abc")
    with pytest.raises(ValueError, match="not finite"):
        mean_intervals([values_N], clusters)
    for relation in (paired.difference, paired.ratio, paired.error_reduction):
        with pytest.raises(ValueError, match="not finite"):
            relation(values_N, np.ones(3), clusters)
        with pytest.raises(ValueError, match="not finite"):
            relation(np.ones(3), values_N, clusters)


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_one_cluster_shows_no_difference(n):
    estimate = paired.difference(np.ones(n), np.zeros(n), ["all"] * n)
    assert (estimate.value, estimate.p_value(), estimate.interval()) == (1.0, 1.0, None)
    assert estimate.minimum_detectable is None


@pytest.mark.parametrize("clusters", range(1, 9))
def test_what_no_test_can_find_is_not_promised(clusters):
    """All samples won: from six clusters on, the exact test is significant."""
    estimate = paired.difference(np.ones(clusters), np.zeros(clusters), [str(n) for n in range(clusters)])
    assert (estimate.p_value() < 0.05) == (clusters >= 6)
    assert (estimate.minimum_detectable is None) == (clusters < 6)
