"""What the rows can show, looks over time and permutations: against simulation, prefixes of the log, and invariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from draws import examples
from experiment_logs import cells_of
from hypothesis import given
from hypothesis import strategies as st

from evals.statistics.experiments.analysis import analyse
from evals.statistics.experiments.arms import RowSums, arm_of_rows
from evals.statistics.experiments.comparison import ArmPair, compare
from evals.statistics.experiments.looks import looks_of, sequence_over_time
from evals.statistics.experiments.proportions import ProportionPair
from evals.statistics.experiments.sequences import boundary
from evals.statistics.experiments.skewness import permuted


def shares(*counts):
    """Cells of variants with successes of rows each."""
    values = np.concatenate([np.arange(rows) < successes for successes, rows in counts]).astype(float)
    arms = np.repeat(np.arange(len(counts)), [rows for _, rows in counts])
    cells = cells_of(values, arms)
    return replace(cells, variants=tuple("ABCDE"[: len(counts)]))


def skewed(rng, rows, share):
    arms = rng.random(rows) < share
    return np.where(rng.random(rows) < 0.3, rng.lognormal(3, 1.2, rows), 0.0) * np.where(arms, 1.4, 1.0), arms


@examples(20, 400)
@given(st.data(), st.booleans())
def test_a_difference_is_decided_exactly_from_the_rows_that_it_needs(data, growing):
    sizes = data.draw(st.lists(st.integers(30, 1500), min_size=2, max_size=4))
    counts = [(data.draw(st.integers(25, rows - 3)), rows) for rows in sizes]
    analysis = analyse(shares(*counts), sizes, growing=growing)
    for row in analysis.comparisons:
        here = row.baseline_rows + row.variant_rows
        is_decided = analysis.decision(row) in {"better", "worse"}
        if row.rows_for_significance is None:
            assert row.difference.value == 0 or growing
            continue
        assert row.rows_for_significance <= row.rows_for_power
        if abs(row.rows_for_significance - here) > 1:
            assert is_decided == (row.rows_for_significance <= here)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_skewed_numbers_are_decided_from_the_rows_that_they_need(share):
    rng = np.random.default_rng(4)
    for _ in range(20):
        values, arms = skewed(rng, 600, share)
        (row,) = analyse(cells_of(values, arms), [1 - share, share]).comparisons
        assert (row.skewness is not None) == (share == 0.1)
        assert (row.p <= 0.05) == (row.rows_for_significance <= 600)
        assert (row.p <= 0.05) == (not row.difference.low <= 0 <= row.difference.high)
        if row.lift.low is not None and row.lift.high is not None:
            assert (row.p <= 0.05) == (not row.lift.low <= 0 <= row.lift.high)


@pytest.mark.parametrize("counts", [((450, 9000), (30, 1000)), ((400, 9000), (60, 1000)), ((10, 60), (25, 60))])
@pytest.mark.parametrize("growing", [False, True])
def test_the_rows_for_power_find_the_difference_four_times_in_five(counts, growing):
    (row,) = analyse(shares(*counts), [n for _, n in counts], growing=growing).comparisons
    total = sum(n for _, n in counts)
    if row.rows_for_power is None:
        assert growing
        return
    sizes = [round(row.rows_for_power * n / total) for _, n in counts]
    rng = np.random.default_rng(1)
    x, y = (rng.binomial(size, k / n, 20_000) / size for size, (k, n) in zip(sizes, counts, strict=True))
    if growing:
        error = np.sqrt(x * (1 - x) / (sizes[0] - 1) + y * (1 - y) / (sizes[1] - 1))
        found = np.abs(y - x) > boundary(float(sum(sizes)), 0.05) * error
    else:
        pooled = (sizes[0] * x + sizes[1] * y) / sum(sizes)
        variance = pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]) * sum(sizes) / (sum(sizes) - 1)
        found = np.abs(y - x) >= 1.959964 * np.sqrt(variance)
    assert found.mean() == pytest.approx(0.8, abs=0.04 if growing else 0.02)


def test_a_detectable_difference_is_found_four_times_in_five():
    (row,) = analyse(shares((450, 9000), (50, 1000)), [9, 1]).comparisons
    rng = np.random.default_rng(2)
    rates = []
    for sign in (1, -1):
        x, y = rng.binomial(9000, 0.05, 4000) / 9000, rng.binomial(1000, 0.05 + sign * row.detectable, 4000) / 1000
        rates.append(
            np.mean([abs(ProportionPair(a, b, 9000, 1000).z()) >= 1.959964 for a, b in zip(x, y, strict=True)])
        )
    assert min(rates) == pytest.approx(0.8, abs=0.03)
    assert max(rates) >= 0.8
    (tiny,) = analyse(shares((1, 2), (1, 1)), [2, 1]).comparisons
    assert tiny.detectable is None, "over 100 points"


@examples(12, 200)
@given(st.floats(-1e4, 1e4), st.sampled_from([0.01, 1.0, 50.0]), st.booleans(), st.integers(0, 9))
def test_nothing_but_the_ratio_depends_on_the_origin_or_the_scale(origin, scale, clustered, seed):
    rng = np.random.default_rng(seed)
    units = rng.integers(0, 150, 500) if clustered else None
    values, arms = skewed(rng, 500, 0.3)
    if clustered:
        arms = units % 3 == 0
    pairs = [
        ArmPair(cells_of(outcomes, arms, units), 1, None, clustered) for outcomes in (values, values * scale + origin)
    ]
    first, second = ([compare(pair, 0.05), *looks_of(pair, 0.05)] for pair in pairs)
    assert len(first) == len(second), "the sequence began at another look"
    assert second[0].p == pytest.approx(first[0].p, rel=1e-5)
    assert (first[0].sequence is None) == (second[0].sequence is None)
    for before, after in zip(first[1:], second[1:], strict=True):
        assert (after.low, after.high) == pytest.approx((before.low * scale, before.high * scale), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("is_share", [False, True])
def test_each_look_is_the_report_of_the_rows_until_then(clustered, is_share):
    """Of users who come back, in both variants or in one: their later rows count from their own times on."""
    rng = np.random.default_rng(5)
    units = rng.integers(0, 300, 2_000)
    arms = rng.random(2_000) < np.where(units < 100, 0.5, units % 2)
    values = rng.normal(size=300)[units] + rng.normal(size=2_000)
    values = (values > 0.8).astype(float) if is_share else values
    looks = looks_of(ArmPair(cells_of(values, arms, units if clustered else None), 1, None, clustered), 0.05)
    assert len(looks) > 100
    for look in (*looks[:3], looks[len(looks) // 2], looks[-1]):
        until = slice(0, look.time + 1)
        cells = cells_of(values[until], arms[until], units[until] if clustered else None)
        row = compare(ArmPair(cells, 1, None, clustered), 0.05)
        assert look.rows == look.time + 1
        assert (look.difference, look.low, look.high) == pytest.approx(
            (row.difference.value, row.sequence.low, row.sequence.high)
        )


def test_moments_and_p_are_those_of_random_assignments():
    rng = np.random.default_rng(6)
    values = np.where(rng.random(400) < 0.2, rng.lognormal(0, 0.7, 400), 0.0)
    arms = np.arange(400) < 60
    sums = ArmPair(cells_of(values, arms), 1, None, False).sums
    test = permuted(sums.baseline, sums.variant)
    picks = np.argsort(rng.random((20_000, 400)), axis=1)[:, :60]
    means = values[picks].mean(axis=1)
    differences = means - (values.sum() - 60 * means) / 340
    centred = differences - differences.mean()
    assert test.skewness == pytest.approx((centred**3).mean() / centred.std() ** 3, abs=0.08)
    for share in (0.01, 0.025, 0.975, 0.99):
        p = test.p(float(np.quantile(differences, share)))
        assert p == pytest.approx(2 * min(share, 1 - share), rel=0.25)
    low, high = test.ends(0.95)
    assert (test.p(low * test.standard_error), test.p(high * test.standard_error)) == pytest.approx((0.05, 0.05))


def test_a_skewed_sequence_reaches_farther_where_the_smaller_variant_is_lucky():
    """Of equal variants in shares of 90:10; few large outcomes in the smaller one must not end its sequence early."""
    rng = np.random.default_rng(8)
    outside, begun, logs, rows = 0, 0, 60, 10_000
    for _ in range(logs):
        arms = rng.random(rows) < 0.1
        values = np.where(rng.random(rows) < 0.05, rng.lognormal(3, 1, rows), 0.0)
        pair = ArmPair(cells_of(values, arms), 1, None, False)
        looks = sequence_over_time(pair, np.arange(200, rows, 40), 0.05)
        begun += len(looks["rows"]) > 0
        outside += bool(((looks["difference"] > looks["below"]) | (looks["difference"] < -looks["above"])).any())
    assert begun > logs / 2
    assert outside <= 6, "13.8 % were outside when the ends were those of the t statistic"


def test_few_skewed_outcomes_decide_nothing():
    values = [0.0] * 995 + [100.0, 120, 90, 110, 100] + [0.0] * 90 + [100.0, 120, 110, 90, 100, 95, 105, 100, 90, 120]
    arms = [0] * 1000 + [1] * 100
    analysis = analyse(cells_of(values, arms), [10, 1])
    (row,) = analysis.comparisons
    assert (row.p < 0.05, row.events < 5, analysis.decision(row)) == (True, True, "undecided")
    assert row.rows_for_significance > len(values)
    doubled = analyse(cells_of(values * 2, arms * 2), [10, 1])
    assert doubled.decision(doubled.comparisons[0]) == "better"


@examples(30, 300)
@given(st.floats(-100, 100), st.integers(2, 400), st.sampled_from([0.0, 0.1, 7.3]))
def test_equal_outcomes_far_from_the_shift_do_not_vary(shift, rows, value):
    """While a log grows, its first outcomes may all be 0, and the shift is the mean of later ones."""
    powers = [np.cumsum(np.full(rows, value - shift) ** power) for power in (1, 2, 3, 4)]
    arm = arm_of_rows(RowSums(np.arange(1.0, rows + 1), *powers, shift=shift, is_share=False))
    assert not arm.squared_error.any()
    assert not arm.events.any()


@pytest.mark.parametrize("growing", [False, True])
def test_a_difference_whose_p_is_too_small_for_a_float_is_decided(growing):
    analysis = analyse(
        shares((6_000, 30_000), (12_000, 30_000), (6_000, 30_000)), [1, 1, 1], growing=growing, looks=False
    )
    row = analysis.comparisons[0]
    assert (row.p, analysis.decision(row)) == (0.0, "better")
    assert row.rows_for_significance < 60_000


def test_outcomes_that_do_not_vary_have_no_test():
    for growing in (False, True):
        analysis = analyse(cells_of([0.1] * 50 + [0.4] * 50, [0] * 50 + [1] * 50), [1, 1], growing=growing)
        (row,) = analysis.comparisons
        assert (row.p, row.adjusted_p, row.sequence, row.detectable) == (None, None, None, None)
        assert analysis.decision(row) == "undecided"
        assert analysis.looks == ((),)
