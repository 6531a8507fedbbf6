"""What holds for the interval and the test of any scores: 200 random sets of one to sixty samples.

python -m pytest tests/statistics/test_random_score_sets.py
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

from evals.statistics import exact_tests, paired
from evals.statistics.intervals import mean_intervals
from evals.statistics.power import detectable_by_mcnemar

SETS = 200


def score_set(seed):
    """Return the scores of two systems on the same samples, and the samples' clusters."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 61))
    values = [[0.0, 1.0], [0.0, 0.3, 0.6, 0.9, 1.0], rng.random(3), [rng.choice([0.0, 0.3, 0.5, 1.0])]][seed % 4]
    shares = rng.dirichlet(np.full(len(values), rng.choice([0.2, 1.0, 5.0])))
    first, second = (rng.choice(values, n, p=shares) for _ in range(2))
    sizes = {
        "alone": np.arange(n),
        "one": np.zeros(n),
        "two": rng.integers(0, 2, n),
        "one is large": np.maximum(0, np.arange(n) - n // 2),
        "many sizes": np.floor(np.sqrt(np.arange(n) * rng.integers(1, 4))),
        "alike within": np.arange(n) // 4,
    }
    kind = list(sizes)[seed // 4 % len(sizes)]
    if kind == "alike within":
        first, second = first[np.arange(n) // 4 * 4], second[np.arange(n) // 4 * 4]
    return first, second, [f"cluster {int(name)}" for name in sizes[kind]]


@pytest.fixture(scope="module")
def score_sets():
    return [score_set(seed) for seed in range(SETS)]


def interval_of(values, clusters):
    (interval,) = mean_intervals([values], clusters)
    return interval


def test_every_share_has_an_interval_that_contains_it_and_is_possible(score_sets):
    for values, _, clusters in score_sets:
        low, high = interval_of(values, clusters)
        assert 0 <= low <= values.mean() + 1e-12
        assert values.mean() - 1e-12 <= high <= 1
        assert low < high


def test_wrong_answers_have_the_mirrored_interval(score_sets):
    for values, _, clusters in score_sets:
        low, high = interval_of(values, clusters)
        assert interval_of(1 - values, clusters) == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_neither_order_nor_names_count(score_sets):
    for seed, (first, second, clusters) in enumerate(score_sets):
        order = np.random.default_rng(seed).permutation(len(first))
        renamed = [f"{sum(map(ord, clusters[item]))}/{clusters[item][::-1]}" for item in order]
        assert interval_of(first[order], renamed) == pytest.approx(interval_of(first, clusters), abs=1e-9)
        forth, shuffled = (
            paired.difference(first, second, clusters),
            paired.difference(first[order], second[order], renamed),
        )
        assert shuffled.p_value() == pytest.approx(forth.p_value(), rel=1e-6)
        assert (shuffled.interval() is None) == (forth.interval() is None)
        if forth.interval():
            assert shuffled.interval() == pytest.approx(forth.interval(), abs=1e-6)


def test_a_swap_of_the_runs_turns_the_difference_round(score_sets):
    for first, second, clusters in score_sets:
        forth, back = paired.difference(first, second, clusters), paired.difference(second, first, clusters)
        assert (forth.value, forth.p_value()) == pytest.approx((-back.value, back.p_value()), rel=1e-9)
        assert forth.minimum_detectable == pytest.approx(back.minimum_detectable)
        if forth.interval() is None:
            assert back.interval() is None
        else:
            assert forth.interval() == pytest.approx([-end for end in reversed(back.interval())], abs=1e-9)


def test_a_difference_is_significant_exactly_where_its_interval_excludes_zero(score_sets):
    """A difference that does not vary has no interval: then the test alone counts."""
    for first, second, clusters in score_sets:
        estimate = paired.difference(first, second, clusters)
        if interval := estimate.interval():
            assert interval[0] - 1e-12 <= estimate.value <= interval[1] + 1e-12
            assert -1 <= interval[0] <= interval[1] <= 1
            assert (estimate.p_value() < 0.05) == (not interval[0] <= 0 <= interval[1])
        else:
            gaps = dict.fromkeys(clusters, 0.0)
            for name, gap in zip(clusters, first - second, strict=True):
                gaps[name] += gap / clusters.count(name)
            assert np.ptp(list(gaps.values())) < 1e-9


def test_a_run_has_no_difference_from_itself(score_sets):
    for first, _, clusters in score_sets:
        estimate = paired.difference(first, first, clusters)
        assert (estimate.value, estimate.p_value(), estimate.interval()) == (0.0, 1.0, None)


@pytest.mark.parametrize("more", [0.0, 1.0])
def test_a_further_answer_moves_no_end_the_wrong_way(more):
    """Adding a right answer never lowers the lower end, and adding a wrong one never raises the upper end."""
    for n in range(1, 60):
        for right in range(n + 1):
            values = (np.arange(n + 1) < right) * 1.0
            values[n] = more
            names = [str(item) for item in range(n + 1)]
            before, after = interval_of(values[:n], names[:n]), interval_of(values, names)
            if more:
                assert after[0] >= before[0] - 1e-12
            else:
                assert after[1] <= before[1] + 1e-12


def power_at(gap, discordant, n, runs=1_000):
    """How often McNemar's test finds a true difference, by simulation."""
    rng = np.random.default_rng(n)
    share = max(discordant, gap)
    found = 0
    for differ in rng.binomial(n, share, runs):
        found += p_of(rng.binomial(differ, (1 + gap / share) / 2), differ) < 0.05
    return found / runs


@functools.cache
def p_of(wins, differ):
    return exact_tests.mcnemar((np.arange(differ) < wins) * 1.0, (np.arange(differ) >= wins) * 1.0)


@pytest.mark.parametrize(("discordant", "n"), [(0, 60), (6, 60), (18, 60), (10, 200), (40, 200), (130, 1319)])
def test_the_detectable_difference_is_found_four_times_in_five(discordant, n):
    gap = detectable_by_mcnemar(discordant, n)
    assert power_at(gap, discordant / n, n) == pytest.approx(0.8, abs=0.03)


def test_samples_that_are_too_few_detect_nothing():
    assert [detectable_by_mcnemar(0, n) is None for n in (1, 5, 6)] == [True, True, False]
    with pytest.raises(ValueError, match="expected 0 <= discordant"):
        detectable_by_mcnemar(7, 6)
