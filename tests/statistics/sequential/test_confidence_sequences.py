"""Confidence sequences: against `confseq`, against all orders of a small set, and what may be asked of any of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from evals.statistics.sequential import capital, looks, means, races
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.sampled import SampledClusters, sampled_clusters

GRADED = np.array([(k * k * 7 % 11) / 10 for k in range(400)])
RIGHT = np.array([float((k * k + 3 * k) % 7 < 4) for k in range(400)])
CONFSEQ = {
    ("graded", 500, True): [
        (10, 0.2355, 0.95975), (50, 0.46475, 0.7125),
        (200, 0.542, 0.6495), (400, 0.57375, 0.62325),
    ],
    ("graded", 500, False): [
        (10, 0.23275, 0.96425), (50, 0.45825, 0.719),
        (200, 0.52675, 0.664), (400, 0.54875, 0.6475),
    ],
    ("graded", 5000, True): [
        (10, 0.1095, 0.99918), (50, 0.4485, 0.72575),
        (200, 0.52775, 0.66375), (400, 0.54875, 0.646),
    ],
    ("right", 500, True): [
        (10, 0.01, 0.97875), (50, 0.25225, 0.6425),
        (200, 0.3485, 0.5175), (400, 0.39225, 0.46925),
    ],
    ("right", 500, False): [
        (10, 0.00125, 0.983), (50, 0.24225, 0.65275),
        (200, 0.32575, 0.5405), (400, 0.35425, 0.50775),
    ],
    ("right", 5000, False): [
        (10, 0.0, 1.0), (50, 0.2385, 0.6535),
        (200, 0.3245, 0.53975), (400, 0.35325, 0.51025),
    ],
}  # fmt: skip
"""Intervals (n, low, high) of `betting_cs` of confseq at commit 70b1ef3 (2024-10-27), with breaks=4000, alpha=0.05, N
stated or None without a finite set, and for each horizon h of `capital.horizons(N)` the bets
`lambda_predmix_eb(x, fixed_n=h, alpha=0.05 / (2 * len(horizons)))`, positive and negative."""
BREAK = 1 / 4000


def drawn(values, total, sizes=None):
    sizes = np.ones(len(values)) if sizes is None else np.asarray(sizes, dtype=float)
    return SampledClusters(np.asarray(values, dtype=float), sizes, total)


def alone(samples):
    return FiniteSet(samples, samples, 1)


@pytest.mark.parametrize(("name", "total", "finite"), CONFSEQ)
def test_intervals_are_those_of_confseq(name, total, finite):
    values = {"graded": GRADED.clip(0, 1), "right": RIGHT}[name]
    for n, low, high in CONFSEQ[name, total, finite]:
        ends = means.mean_sequence(drawn(values[:n], alone(total)), finite=finite)
        assert low - 2e-6 <= ends[0] <= low + BREAK + 2e-6  # confseq looks at a grid, and includes one step more
        assert high - BREAK - 2e-6 <= ends[1] <= high + 2e-6


SETS = [
    ([1.0, 0.0, 1.0, 1.0, 0.0], [1, 1, 1, 1, 1]),
    ([3.0, 0.0, 1.5, 1.0, 0.25, 2.0], [3, 1, 2, 4, 1, 2]),
    ([9.0, 0.0, 0.0, 1.0, 0.0], [9, 1, 1, 1, 2]),
]
"""Sums and sizes of all clusters of small sets."""


@pytest.mark.parametrize(("sums", "sizes"), SETS)
@pytest.mark.parametrize("higher", [True, False])
def test_a_bet_against_the_true_mean_is_fair_over_all_orders(sums, sizes, higher):
    whole, mean = FiniteSet.of_sizes(sizes), sum(sums) / sum(sizes)
    capitals = []
    for order in itertools.permutations(range(len(sums))):
        units = drawn([sums[c] for c in order], whole, [sizes[c] for c in order])
        bets = capital.wagers(units, 0.05, finite=True)
        capitals.append(np.exp(bets.log_capital(mean, higher=higher)))
        assert bets.last_log_capital(mean, higher=higher) == pytest.approx(math.log(capitals[-1][-1]))
    assert np.mean(capitals, axis=0) == pytest.approx(np.ones(len(sums)))
    assert np.std(capitals, axis=0).min() > 0


def plain_capital(units, mean, higher, finite):
    """The capital after the last cluster, written as the paper has it, one cluster after the other."""
    whole, total = units.drawn_from, 0.0
    size, horizons = whole.samples / whole.clusters, capital.horizons(whole.clusters)
    for horizon in horizons:
        money, seen_sum, seen_size, squares = 1.0, 0.0, 0.0, 0.0
        for number, (value, count) in enumerate(zip(units.sums_C, units.sizes_C, strict=True)):
            expected = (mean * seen_size - seen_sum) / (whole.clusters - number) if finite else 0.0
            variance = (size**2 / 4 + squares) / (number + 1)
            stake = math.sqrt(2 * math.log(2 * len(horizons) / 0.05) / (variance * horizon))
            lowest, highest = -mean * whole.largest - expected, (1 - mean) * whole.largest - expected
            gain = value - mean * count - expected
            money *= 1 + min(stake, 0.5 / -lowest) * gain if higher else 1 - min(stake, 0.5 / highest) * gain
            seen_sum, seen_size = seen_sum + value, seen_size + count
            squares += (value - (size / 2 + seen_sum) / (size + seen_size) * count) ** 2
        total += money / len(horizons)
    return total


@pytest.mark.parametrize("finite", [True, False])
def test_the_ends_of_an_interval_are_where_a_gambler_has_won(finite):
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 9, 150).astype(float)
    units = drawn(np.minimum(sizes, rng.binomial(8, 0.4, 150)), FiniteSet(900, 200, 8), sizes)
    low, high = means.mean_sequence(units, finite=finite)
    assert 0.02 < low < units.mean < high < 0.98
    for end, higher in ((low, True), (high, False)):
        outside, inside = (end - 2e-6, end + 2e-6) if higher else (end + 2e-6, end - 2e-6)
        assert plain_capital(units, outside, higher, finite) >= 40 > plain_capital(units, inside, higher, finite)


def test_the_interval_of_a_finite_set_narrows_to_its_mean_and_keeps_to_what_is_possible():
    widths = []
    for n in looks.looks(400):
        units = drawn(RIGHT[:n], alone(400))
        low, high = means.mean_sequence(units)
        assert RIGHT[:n].sum() / 400 <= low <= units.mean <= high <= 1 - (n - RIGHT[:n].sum()) / 400
        population = means.mean_sequence(units, finite=False)
        assert population[1] - population[0] > high - low
        widths.append(high - low)
    assert widths[-1] == 0
    assert low == high == RIGHT.mean()
    nearly = means.mean_sequence(drawn(RIGHT[:399], alone(400)))
    assert nearly == pytest.approx((RIGHT[:399].sum() / 400, (RIGHT[:399].sum() + 1) / 400), abs=1e-5)


def test_an_interval_does_not_depend_on_names_of_right_and_wrong():
    units, mirrored = (drawn(values, alone(1000)) for values in (RIGHT, 1 - RIGHT))
    for finite in (True, False):
        low, high = means.mean_sequence(units, finite=finite)
        assert means.mean_sequence(mirrored, finite=finite) == pytest.approx((1 - high, 1 - low), abs=1e-6)
    low, high = means.difference_sequence(units)
    assert means.difference_sequence(mirrored) == pytest.approx((-high, -low), abs=4e-6)


def test_alike_clusters_and_the_smallest_sets_have_intervals():
    assert means.mean_sequence(drawn([1.0], alone(1))) == (1.0, 1.0)
    assert means.mean_sequence(drawn([1.0], alone(2))) == (0.5, 1.0)
    low, high = means.mean_sequence(drawn(np.ones(3000), alone(10**6)))
    assert 0.99 < low < high == 1
    low, high = means.difference_sequence(drawn(np.full(3000, 0.5), alone(10**6)))
    assert -0.01 < low < 0 < high < 0.01


@pytest.mark.parametrize(
    ("sums", "sizes", "whole"),
    [
        ([1.0], [1.0, 1.0], (5, 5, 1)),
        ([], [], (5, 5, 1)),
        ([2.0], [1.0], (5, 5, 1)),
        ([-0.1], [1.0], (5, 5, 1)),
        ([math.nan], [1.0], (5, 5, 1)),
        ([1.0], [2.0], (5, 5, 1)),
        ([1.0, 1.0], [4.0, 4.0], (6, 3, 4)),
        ([1.0], [1.0], (5, 2, 2)),
        ([1.0], [1.0], (0, 0, 0)),
    ],
)
def test_what_cannot_be_drawn_from_a_set_is_refused(sums, sizes, whole):
    with pytest.raises(ValueError, match=r"sums|sizes|sum|no set"):
        drawn(sums, FiniteSet(*whole), sizes)


def test_values_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match="not between 0 and 1"):
        sampled_clusters(np.array([0.5, 1.5, 0.0]), [0], FiniteSet(9, 3, 3))


def test_looks_grow_and_end_with_the_whole_set():
    for clusters in (1, 15, 16, 17, 500, 20_000, 1_000_000):
        counts = looks.looks(clusters)
        assert counts[-1] == clusters
        assert counts == sorted(set(counts))
        assert len(counts) <= (60 if clusters <= 20_000 else 80)


# Races


def race(values, starts=None, whole=None, **more):
    length = len(next(iter(values.values())))
    return races.standing(
        values, range(length) if starts is None else starts, whole or alone(10 * length), **more
    )  # fmt: skip


def test_models_are_out_when_another_one_is_shown_to_be_better():
    rng = np.random.default_rng(0)
    values = {name: (rng.random(800) < rate) * 1.0 for name, rate in (("a", 0.3), ("b", 0.8), ("c", 0.78), ("d", 0.5))}
    now = race(values, level=races.pair_level(4))
    assert now.remaining == ("b", "c")
    assert {name: pair.first for name, pair in now.out.items()}.keys() == {"a", "d"}
    assert all(pair.low > 0 for pair in now.out.values())
    assert len(now.pairs) == 6
    assert not now.is_decided
    assert race(values, level=races.pair_level(4), margin=0.2).tied


def test_two_models_have_one_interval_seen_from_either_side():
    a, b = RIGHT, np.roll(RIGHT, 3)
    (pair,) = race({"a": a, "b": b}, level=0.95).pairs
    (mirrored,) = race({"b": b, "a": a}, level=0.95).pairs
    seen = mirrored.seen_from("a")
    assert (seen.first, seen.second, seen.samples) == ("a", "b", 400)
    assert seen.seen_from("a") == seen
    assert (seen.difference, seen.low, seen.high) == pytest.approx((pair.difference, pair.low, pair.high), abs=4e-6)
    assert pair.difference == pytest.approx(a.mean() - b.mean())


def test_a_difference_of_the_set_alone_decides_nothing():
    """399 of 400 samples show which model is ahead on the set, and nothing about other samples."""
    a, b = RIGHT.copy(), RIGHT.copy()
    b[:3] = 0
    a[:1] = 1
    assert (a - b)[:399].sum() > 1
    (pair,) = race({"a": a[:399], "b": b[:399]}, whole=alone(400), level=0.95).pairs
    assert pair.low < 0
    assert not race({"a": a[:399], "b": b[:399]}, whole=alone(400), level=0.95).is_decided


def test_the_level_is_divided_among_all_pairs():
    assert [
        round((1 - races.pair_level(models)) * pairs, 9) for models, pairs in ((1, 1), (2, 1), (3, 3), (5, 10))
    ] == [0.05] * 4
