"""Intervals of differences and ratios: against likelihoods, SciPy, loops over units, and simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from draws import examples
from experiment_logs import cells_of
from hypothesis import given
from hypothesis import strategies as st

from evals.statistics.experiments import arms
from evals.statistics.experiments.analysis import analyse
from evals.statistics.experiments.comparison import ArmPair, compare
from evals.statistics.experiments.exact_shares import exact_quantile, exact_shares
from evals.statistics.experiments.looks import sequence_over_time
from evals.statistics.experiments.means import MeanPair
from evals.statistics.experiments.proportions import ProportionPair
from evals.statistics.experiments.sample_ratio import CONCENTRATIONS, independence_p, sample_ratio
from evals.statistics.experiments.segments import holm
from evals.statistics.experiments.sequences import anytime_p, boundary
from evals.statistics.power import compare_proportions

Z = 1.959963984540054


def score(successes, trials, other_successes, other_trials, relation):
    """The score statistic of a hypothesis, by a search for the most likely shares: no closed form."""
    variant_of, slope, low, high = relation

    def unlikelihood(baseline):
        variant = variant_of(baseline)
        terms = [(successes, variant), (trials - successes, 1 - variant)]
        terms += [(other_successes, baseline), (other_trials - other_successes, 1 - baseline)]
        return -sum(count * math.log(max(share, 1e-300)) for count, share in terms if count)

    grid = np.linspace(low, high, 401)
    best = min(grid, key=unlikelihood)
    bounds = (max(best - (high - low) / 400, low), min(best + (high - low) / 400, high))
    baseline = scipy.optimize.minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    variant = variant_of(baseline)
    variance = variant * (1 - variant) / trials + slope**2 * baseline * (1 - baseline) / other_trials
    variance *= (trials + other_trials) / (trials + other_trials - 1)
    return (successes / trials - variant_of(other_successes / other_trials)) / math.sqrt(variance)


TABLES = [(62, 1000, 50, 1000), (1, 2000, 6, 1500), (5, 12, 1, 9), (9, 10, 7, 10), (300, 400, 100, 900)]


@pytest.mark.parametrize("table", TABLES)
def test_the_ends_are_where_the_score_statistic_is_the_quantile(table):
    x, m, y, n = table
    pair = ProportionPair(y / n, x / m, n, m)
    for end, sign in zip(pair.difference_interval(Z), (1, -1), strict=True):
        assert score(*table, (lambda p, end=end: p + end, 1.0, max(0, -end), min(1, 1 - end))) == pytest.approx(
            sign * Z, abs=1e-5
        )
    for end, sign in zip(pair.ratio_interval(Z), (1, -1), strict=True):
        assert score(*table, (lambda p, end=end: p * end, end, 0, min(1, 1 / end))) == pytest.approx(sign * Z, abs=1e-5)


def test_z_and_ratios_are_those_of_statsmodels():
    """statsmodels 0.15, `test_proportions_2indep` and `confint_proportions_2indep(compare="ratio", method="score")`."""
    stated = {(62, 1000, 50, 1000): (0.865093, 1.778127, 1.16675), (1, 2000, 6, 1500): (0.019774, 0.789538, -2.293255),
              (5, 12, 0, 9): (1.190757, math.inf, 2.165064)}  # fmt: skip
    for (x, m, y, n), expected in stated.items():
        pair = ProportionPair(y / n, x / m, n, m)
        assert (*pair.ratio_interval(Z), pair.z()) == pytest.approx(expected, abs=1e-6)


@examples(60, 1000)
@given(st.data(), st.integers(1, 400), st.integers(1, 400))
def test_difference_ratio_and_p_agree(data, m, n):
    x, y = data.draw(st.integers(0, m)), data.draw(st.integers(0, n))
    pair = ProportionPair(y / n, x / m, n, m)
    low, high = pair.difference_interval(Z)
    least, most = pair.ratio_interval(Z)
    assert -1 <= low <= x / m - y / n <= high <= 1
    assert 0 <= least <= most
    is_clear = abs(pair.z()) > Z
    if abs(abs(pair.z()) - Z) > 1e-6:
        assert is_clear == (not low <= 0 <= high) == (not least <= 1 <= most)
    mirrored = ProportionPair(1 - y / n, 1 - x / m, n, m).difference_interval(Z)
    assert mirrored == pytest.approx((-high, -low), abs=1e-8)


def test_exact_coverage_of_the_difference():
    """The sum over all tables of their probability, where the interval covers."""
    for n, m, first, second in ((40, 60, 0.1, 0.3), (80, 80, 0.5, 0.5)):
        xs, ys = np.arange(n + 1), np.arange(m + 1)
        weights = np.outer(scipy.stats.binom.pmf(xs, n, first), scipy.stats.binom.pmf(ys, m, second))
        likely = np.argwhere(weights > 1e-6)
        inside = 0.0
        for x, y in likely.tolist():
            pair = ProportionPair(x / n, y / m, n, m)
            inside += weights[x, y] * (abs(pair._z_of_difference(second - first)) <= Z)
        assert 0.94 <= inside <= 0.965


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (5, 5), (12, 12), (3, 16), (60, 2)])
def test_small_samples_of_equal_shares_differ_in_at_most_one_of_twenty_logs(sizes):
    """The sum over all tables of their probability, where the p-value is small; and p and both intervals agree."""
    baseline, variant = sizes
    small = np.zeros((baseline + 1, variant + 1))
    quantile = max(Z, exact_quantile(baseline, variant, 0.05))
    for x, y in np.ndindex(*small.shape):
        cells = cells_of(
            np.array([1.0] * x + [0.0] * (baseline - x) + [1.0] * y + [0.0] * (variant - y)),
            np.array([0] * baseline + [1] * variant),
        )
        row = compare(ArmPair(replace(cells, is_share=True, shift=0.0), 1, None, False), 0.05)
        small[x, y] = row.p <= 0.05
        low, high = row.difference.low, row.difference.high
        assert small[x, y] == (not low <= 0 <= high), (x, y)
        least, most = ProportionPair(x / baseline, y / variant, baseline, variant).ratio_interval(quantile)
        assert small[x, y] == (not least <= 1 <= most), (x, y)
    for share in np.linspace(0.003, 0.997, 143):
        chances = [scipy.stats.binom.pmf(np.arange(size + 1), size, share) for size in sizes]
        assert chances[0] @ small @ chances[1] <= 0.0501


def test_the_exact_p_is_that_of_scipy():
    for x, n, y, m in ((9, 12, 3, 12), (3, 3, 0, 3), (12, 12, 9, 12), (1, 30, 6, 25)):
        pair = ProportionPair(x / n, y / m, n, m)
        expected = scipy.stats.barnard_exact([[x, y], [n - x, m - y]], pooled=True, n=64).pvalue
        assert exact_shares(n, m).p(pair.z()) == pytest.approx(expected, abs=2e-4)
    assert exact_shares(300, 300) is None


def test_numbers_are_compared_as_welch_does():
    rng = np.random.default_rng(5)
    values, arms = rng.gamma(2, 3, 300), rng.random(300) < 0.4
    values[arms] *= 1.5
    row = compare(ArmPair(cells_of(values, arms), 1, None, False), 0.05)
    expected = scipy.stats.ttest_ind(values[arms], values[~arms], equal_var=False)
    assert row.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (row.difference.low, row.difference.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


@pytest.mark.parametrize("ratio_of", [0, 1])
def test_fieller_s_ends_are_where_t_is_the_quantile(ratio_of):
    pair = MeanPair(3.0, 4.0, 0.09, 0.16, covariance=0.02)
    end = pair.ratio_interval(2.1)[ratio_of]
    variance = pair.variant_variance + end**2 * pair.baseline_variance - 2 * end * pair.covariance
    assert abs(pair.variant - end * pair.baseline) / math.sqrt(variance) == pytest.approx(2.1)
    assert MeanPair(0.1, 4.0, 0.09, 0.16).ratio_interval(2.1) is None


def test_the_variance_of_units_is_that_of_leaving_out_each():
    rng = np.random.default_rng(6)
    units = np.minimum(rng.integers(0, 160, 900), 120)
    arms = units % 3 == 0
    values = rng.normal(size=121)[units] + rng.normal(size=900) + 3.0
    row = compare(ArmPair(cells_of(values, arms, units), 1, None, True), 0.05)
    variance = 0.0
    for arm in (False, True):
        mine = arms == arm
        mean, names = values[mine].mean(), set(units[mine].tolist())
        changes = [float(values[mine & (units != name)].mean() - mean) for name in names]
        variance += sum(change**2 for change in changes) * (len(names) - 1) / len(names)
    assert row.standard_error == pytest.approx(math.sqrt(variance), rel=1e-9)
    half = (row.difference.high - row.difference.low) / 2
    assert 4.3 < half / math.sqrt(variance) < 12.7, "a third of the rows are of one unit"


@examples(20, 300)
@given(st.data())
def test_freedom_of_a_jackknife_is_that_of_its_quadratic_form(data):
    """Against traces of matrices: of all the units' changes, if their sums have given variances."""
    sizes = np.array(data.draw(st.lists(st.integers(1, 40), min_size=2, max_size=9)), float)
    for power in (1, 2):
        shares = sizes / sizes.sum()
        changes = (np.eye(len(sizes)) - np.outer(shares, np.ones(len(sizes)))) / (1 - shares)[:, None]
        form = changes.T @ changes @ np.diag(sizes**power)
        expected = np.trace(form) ** 2 / np.trace(form @ form)
        assert arms._freedom(sizes, sizes**power) == pytest.approx(expected, rel=1e-9)


def test_one_unit_with_most_rows_decides_little():
    """20 users of one row and one of 380: the interval is much wider than that of independent rows."""
    units = np.concatenate([np.arange(20), np.full(380, 20), 21 + np.arange(20), np.full(380, 41)])
    rng = np.random.default_rng(3)
    values, arms_N = (rng.random(800) < 0.3).astype(float), units >= 21
    pair = ArmPair(cells_of(values, arms_N, units), 1, None, True)
    independent = compare(ArmPair(cells_of(values, arms_N), 1, None, False), 0.05)
    row = compare(pair, 0.05)
    assert pair.freedom < 4
    assert row.difference.high - row.difference.low > 2 * (independent.difference.high - independent.difference.low)
    assert not pair.is_ready, "one unit decides the mean"
    assert [summary.units for summary in analyse(pair.cells, [1, 1]).variants] == [21, 21]


@pytest.mark.parametrize("share", [True, False])
def test_doubling_every_row_of_a_unit_changes_nothing(share):
    rng = np.random.default_rng(7)
    units = np.arange(600)
    arms = rng.random(600) < 0.5
    values = (rng.random(600) < 0.2 + 0.1 * arms).astype(float) if share else rng.normal(5, 1, 600)
    whole = compare(ArmPair(cells_of(values, arms, units), 1, None, True), 0.05)
    twice = [np.repeat(column, 2) for column in (values, arms, units)]
    doubled = compare(ArmPair(cells_of(*twice), 1, None, True), 0.05)
    assert doubled.difference.low == pytest.approx(whole.difference.low, abs=2e-5)
    assert doubled.p == pytest.approx(whole.p, rel=1e-2)
    without = compare(ArmPair(cells_of(*twice[:2]), 1, None, False), 0.05)
    assert without.p < whole.p, "rows that repeat would go unnoticed without units"


def test_units_in_both_variants_make_a_paired_comparison():
    rng = np.random.default_rng(8)
    units = np.repeat(np.arange(200), 2)
    arms = np.tile([False, True], 200)
    values = np.repeat(rng.normal(10, 3, 200), 2) + rng.normal(size=400) + 0.3 * arms
    pair = ArmPair(cells_of(values, arms, units), 1, None, True)
    expected = scipy.stats.ttest_rel(values[1::2], values[::2])
    assert pair.means.z() == pytest.approx(expected.statistic, rel=0.01)
    assert compare(pair, 0.05).p == pytest.approx(expected.pvalue, rel=0.3)


def test_rows_needed_are_those_of_the_power_analysis():
    """0.3 points at an error rate of 5 %: 41,700 rows of each variant for significance, 85,200 for a power of 80 %."""
    values = np.repeat([1.0, 0.0, 1.0, 0.0], [530, 9470, 500, 9500])
    (row,) = analyse(cells_of(values, np.repeat([False, True], 10_000)), [1, 1]).comparisons
    expected = compare_proportions(0.05, 0.053)
    assert row.rows_for_significance == pytest.approx(2 * expected.n_for_significance, rel=1e-4)
    assert row.rows_for_power == pytest.approx(2 * expected.n_for_power, rel=1e-4)
    assert round(row.rows_for_significance / 2, -2) == 41_700
    assert round(row.rows_for_power / 2, -2) == 85_200


@given(st.floats(0, 12), st.floats(1, 1e8), st.floats(0.001, 0.2))
def test_the_sequence_excludes_exactly_where_its_p_is_small(z, units, alpha):
    bound = boundary(units, alpha)
    if abs(z - bound) > 1e-9 * bound:
        assert (z > bound) == (anytime_p(z, units, alpha) < alpha)


def test_no_more_than_one_log_in_twenty_is_ever_outside_its_sequence():
    rng = np.random.default_rng(9)
    misses, logs, rows = 0, 300, 4_000
    for _ in range(logs):
        arms = rng.random(rows) < 0.5
        pair = ArmPair(cells_of(rng.random(rows) < np.where(arms, 0.11, 0.1), arms), 1, None, False)
        looks = sequence_over_time(pair, np.arange(rows), 0.05)
        assert looks["rows"][0] < 1_000
        misses += bool((np.abs(looks["difference"] - 0.01) > looks["above"]).any())
    assert misses <= scipy.stats.binom.ppf(0.999, logs, 0.05)


@examples(30, 300)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_the_sequential_ratio_test_is_its_product_of_predictions(drawn):
    """Step by step: the chance of each assignment by the mixture so far, over the planned one."""
    planned, sizes = np.array([0.5, 0.3, 0.2]), np.array(CONCENTRATIONS)
    seen, factors = np.zeros(3), np.ones(3)
    for arm in drawn:
        factors *= (sizes * planned[arm] + seen[arm]) / (sizes + seen.sum()) / planned[arm]
        seen[arm] += 1
    ratio = sample_ratio(seen.astype(int).tolist(), [5, 3, 2])
    assert ratio.anytime_p == pytest.approx(min(1.0, 1 / factors.mean()), rel=1e-6)
    assert ratio.p == pytest.approx(scipy.stats.chisquare(seen, planned * len(drawn)).pvalue)


def test_independence_needs_two_rows_and_columns():
    assert independence_p([[5, 0], [7, 0]]) == 1.0
    with pytest.raises(ValueError, match="expected two or more positive shares"):
        sample_ratio([1, 2], [1, 0])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_the_step_down_definition(p_values):
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected, order = set(), sorted(range(len(p_values)), key=lambda index: p_values[index])
        for rank, index in enumerate(order):
            if p_values[index] * (len(p_values) - rank) > level:
                break
            rejected.add(index)
        assert {index for index, p in enumerate(adjusted) if p <= level} == rejected
