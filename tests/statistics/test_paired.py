"""Paired statistics and decisions: against theory, SciPy, simulation, and cases worked by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.statistics import exact_tests, paired
from evals.statistics.decisions import EQUIVALENCE_LEVEL, against_band, against_bound, equivalent, ordered


def own(n):
    return [str(number) for number in range(n)]


def answers(rng, n, first, second, same=0.6):
    """Two systems' right and wrong answers, which go together on a part of the items."""
    both = rng.random(n) < same
    u, v = rng.random(n), rng.random(n)
    return (u < first) * 1.0, (np.where(both, u, v) < second) * 1.0


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 9))
def test_mcnemar_is_the_sum_of_binomial_tails(wins, losses, ties):
    a = np.array([1.0] * wins + [0.0] * losses + [1.0] * ties)
    b = np.array([0.0] * wins + [1.0] * losses + [1.0] * ties)
    n, least = wins + losses, min(wins, losses)
    tail = sum(math.comb(n, k) for k in range(least + 1)) / 2**n
    expected = 1.0 if wins == losses else min(1.0, 2 * tail)
    assert exact_tests.mcnemar(a, b) == pytest.approx(expected, abs=1e-12)


def test_mcnemar_wants_right_and_wrong():
    with pytest.raises(ValueError, match="right"):
        exact_tests.mcnemar(np.array([0.3, 1.0]), np.array([1.0, 1.0]))


def test_the_difference_has_the_paired_standard_error():
    a, b = answers(np.random.default_rng(1), 2000, 0.8, 0.75)
    found = paired.difference(a, b, own(2000))
    error = (a - b).std(ddof=1) / math.sqrt(2000)
    assert found.value == pytest.approx((a - b).mean())
    assert found.standard_error == pytest.approx(error, rel=0.03)
    low, high = found.interval()
    assert (low, high) == (pytest.approx(found.value - 1.96 * error, abs=0.1 * error),
                           pytest.approx(found.value + 1.96 * error, abs=0.1 * error))  # fmt: skip
    assert found.minimum_detectable == pytest.approx(2.8016 * error, rel=0.03)
    unpaired = math.sqrt(a.var() / 2000 + b.var() / 2000)
    assert error < 0.9 * unpaired  # what pairing is for


def test_clusters_widen_what_goes_together():
    rng = np.random.default_rng(2)
    shift = np.repeat(rng.normal(0, 0.2, 100), 10)
    a, b = 0.5 + shift + rng.normal(0, 0.1, 1000), np.full(1000, 0.5)
    images = [str(n) for n in range(100) for _ in range(10)]
    assert paired.difference(a, b, images).standard_error > 2.5 * paired.difference(a, b, own(1000)).standard_error


def test_p_values_are_those_of_the_t_test():
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.03, 0.06):
        gaps = rng.normal(shift, 0.5, 1500)
        found = paired.difference(gaps, np.zeros(1500), own(1500)).p_value()
        assert found == pytest.approx(scipy.stats.ttest_1samp(gaps, 0).pvalue, abs=0.02)


def test_p_is_uniform_where_nothing_differs():
    rng = np.random.default_rng(4)
    ps = [paired.difference(*answers(rng, 300, 0.7, 0.7), own(300)).p_value() for _ in range(300)]
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.035)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9))
def test_sign_flips_are_what_enumeration_says(sums):
    signs = itertools.product((-1, 1), repeat=len(sums))
    totals = [abs(sum(sign * each for sign, each in zip(choice, sums, strict=True))) for choice in signs]
    share = sum(total >= abs(sum(sums)) for total in totals) / len(totals)
    assert exact_tests.sign_flips(np.array(sums, float)) == pytest.approx(share, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([4, 12, 60]), st.sampled_from([1, 5]), st.booleans())
def test_interval_and_test_always_say_the_same(seed, clusters, size, binary):
    rng = np.random.default_rng(seed)
    names = [str(n) for n in rng.integers(0, clusters, clusters * size)] if size > 1 else own(clusters)
    a, b = answers(rng, len(names), 0.8, 0.6, same=0.4)
    if not binary:
        a, b = a + rng.integers(0, 3, len(a)) / 10, b + 0.05
    estimates = [paired.difference(a, b, names), paired.ratio(a + 0.0, b, names), paired.error_reduction(a, b, names)]
    for estimate in filter(None, estimates):
        interval = estimate.interval()
        if interval is not None:
            p = estimate.p_value(estimate.equality)
            assert (p < 0.05) == (not interval[0] <= estimate.equality <= interval[1])


def test_shared_images_are_the_units_of_the_test():
    """McNemar's test takes 40 questions on 4 images, all of one sign on each, for 40 independent ones."""
    gaps = np.repeat([1.0, 1.0, 1.0, 0.0], 10)
    images = [str(n // 10) for n in range(40)]
    found = paired.difference(gaps, np.zeros(40), images)
    assert exact_tests.mcnemar(gaps, np.zeros(40)) < 1e-6
    assert found.p_value() == pytest.approx(0.25)
    assert found.interval()[0] <= 0


def test_ratios_agree_with_fieller():
    rng = np.random.default_rng(5)
    a, b = rng.gamma(9, 2, 400), rng.gamma(16, 2, 400)
    found = paired.ratio(a, b, own(400))
    t, n = 1.96, 400
    va, vb, cab = a.var(ddof=1) / n, b.var(ddof=1) / n, np.cov(a, b)[0, 1] / n
    ma, mb = a.mean(), b.mean()
    qa, qb, qc = mb**2 - t**2 * vb, ma * mb - t**2 * cab, ma**2 - t**2 * va
    root = math.sqrt(qb**2 - qa * qc)
    low, high = found.interval()
    assert found.value == pytest.approx(ma / mb)
    assert (low, high) == (pytest.approx((qb - root) / qa, rel=0.01), pytest.approx((qb + root) / qa, rel=0.01))


def test_saved_errors_by_hand():
    # of 279 errors in 1000, 62 are avoided and none is new: 22.2 %
    b = np.array([0.0] * 279 + [1.0] * 721)
    a = np.array([1.0] * 62 + [0.0] * 217 + [1.0] * 721)
    found = paired.error_reduction(a, b, own(1000))
    low, high = found.interval()
    assert found.value == pytest.approx(62 / 279)
    share = scipy.stats.binomtest(62, 279).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(share.low, abs=0.01), pytest.approx(share.high, abs=0.01))


def test_there_is_no_ratio_to_what_may_be_nothing():
    assert paired.ratio(np.ones(5), np.array([0.0, 0, 0, 0, 1]), own(5)) is None
    assert paired.error_reduction(np.ones(50), np.ones(50), own(50)) is None


def test_one_sided_bounds_are_the_ends_of_the_wider_interval():
    a, b = answers(np.random.default_rng(6), 500, 0.8, 0.7)
    found = paired.difference(a, b, own(500))
    low, high = found.interval(EQUIVALENCE_LEVEL)
    assert paired.one_sided_bounds(found) == (pytest.approx(low), pytest.approx(high))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_what_its_definition_says(ps):
    adjusted = paired.holm(ps)
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, index in enumerate(order):  # step down until one stays
            if ps[index] * (len(ps) - rank) > alpha:
                break
            rejected.add(index)
        assert rejected == {index for index, p in enumerate(adjusted) if p <= alpha}


def test_holm_by_hand():
    assert paired.holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])


@pytest.mark.parametrize("wrong", [([1.0], [1.0, 2.0], ["a"]), ([], [], []), ([1.0], [1.0], [])])
def test_what_does_not_pair_is_refused(wrong):
    a, b, clusters = wrong
    with pytest.raises(ValueError, match="expected the same number"):
        paired.difference(np.array(a), np.array(b), clusters)


# Decisions


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(0, 1))
def test_decisions_exclude_each_other(low, width, start, size):
    interval, band = (low, low + width), (start, start + size)
    found = against_band(interval, band)
    assert (found == "supported") == (band[0] <= interval[0] and interval[1] <= band[1])
    if found == "refuted":
        assert interval[1] < band[0] or band[1] < interval[0]
    assert (
        ordered(interval)
        == {"supported": "refuted", "refuted": "supported", "inconclusive": "inconclusive"}[
            ordered((-interval[1], -interval[0]))
        ]
    )


def test_no_interval_decides_nothing():
    assert against_band(None, (0, 1)) == ordered(None) == against_bound(None, None, 0.5, least=True) == "inconclusive"


@pytest.mark.parametrize(
    ("lower", "upper", "least", "expected"),
    [
        (0.86, 0.9, True, "supported"), (0.8, 0.9, True, "inconclusive"), (0.7, 0.84, True, "refuted"),
        (0.86, 0.9, False, "refuted"), (0.8, 0.9, False, "inconclusive"), (0.7, 0.84, False, "supported"),
    ],
)  # fmt: skip
def test_bounds_are_one_sided(lower, upper, least, expected):
    assert against_bound(lower, upper, 0.85, least=least) == expected


def test_equivalence_is_two_one_sided_t_tests():
    rng = np.random.default_rng(7)
    for shift in (0.0, 0.035, 0.08):
        gaps = rng.normal(shift, 0.4, 800)
        interval = paired.difference(gaps, np.zeros(800), own(800)).interval(EQUIVALENCE_LEVEL)
        above = scipy.stats.ttest_1samp(gaps, -0.05, alternative="greater").pvalue
        below = scipy.stats.ttest_1samp(gaps, 0.05, alternative="less").pvalue
        assert (equivalent(interval, (-0.05, 0.05)) == "supported") == (max(above, below) < 0.05)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=2, max_size=6))
def test_no_difference_of_shares_over_one_is_said_to_be_detectable(values):
    a_N = np.array(values)
    least = paired.difference(a_N, a_N[::-1], [str(number) for number in range(len(a_N))]).minimum_detectable
    assert least is None or 0 <= least <= 1
