"""Plans of comparisons: the promised power is that of the tests of `compare`, by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from evals.statistics import paired
from evals.statistics.planning import (
    PairedDesign,
    mean_cluster_size,
    pilot_pairs,
    power_of,
    samples_for_set,
    samples_needed,
    smallest_difference,
)

REPEATS = 200
LEAST, MOST = 0.72, 0.93
"""For 80 %: three standard errors of the simulation below, and above it what whole samples and caution add."""


def pairs_of(rng, n, discordance, gap):
    """Right and wrong of two systems on n independent samples."""
    kinds = rng.choice(3, size=n, p=[(discordance + gap) / 2, (discordance - gap) / 2, 1 - discordance])
    return (kinds == 0).astype(float), (kinds == 1).astype(float)


@pytest.mark.parametrize(("discordance", "gap"), [(0.1, 0.04), (0.3, 0.08)])
def test_the_samples_of_a_plan_show_the_difference_by_mcnemars_test(discordance, gap):
    n = samples_needed(PairedDesign(5000, discordance), gap)
    rng = np.random.default_rng(1)
    shown = 0
    for _ in range(REPEATS):
        a_N, b_N = pairs_of(rng, n, discordance, gap)
        estimate = paired.difference(a_N, b_N, [str(k) for k in range(n)])
        shown += estimate.p_value() < 0.05 and estimate.value > 0
    assert LEAST < shown / REPEATS < MOST


def test_the_samples_of_a_plan_show_the_difference_of_clustered_samples():
    size, gap, discordance, correlation = 1500, 0.07, 0.2, 0.5
    clusters = [str(k // 5) for k in range(size)]
    design = PairedDesign(size, discordance, mean_cluster_size(clusters), correlation)
    n = samples_needed(design, gap)
    alone = samples_needed(PairedDesign(size, discordance), gap)
    assert n > alone * 1.3
    rng = np.random.default_rng(2)
    shown = 0
    for _ in range(REPEATS):
        a_N, b_N = pairs_of(rng, size, discordance, gap)
        shared_a, shared_b = pairs_of(rng, size // 5, discordance, gap)
        joint = rng.random(size) < correlation**0.5
        a_N, b_N = np.where(joint, np.repeat(shared_a, 5), a_N), np.where(joint, np.repeat(shared_b, 5), b_N)
        chosen = np.sort(rng.permutation(size)[:n])
        estimate = paired.difference(a_N[chosen], b_N[chosen], [clusters[k] for k in chosen])
        shown += estimate.p_value() < 0.05 and estimate.value > 0
    assert LEAST < shown / REPEATS < MOST


def test_the_samples_for_a_set_alone_decide_which_system_is_better_on_it():
    size, gap, discordance = 1000, 0.03, 0.1
    a_N = np.zeros(size)
    b_N = np.zeros(size)
    a_N[: round(size * (discordance + gap) / 2)] = 1
    b_N[round(size * (discordance + gap) / 2) : round(size * discordance)] = 1
    n = samples_for_set(PairedDesign(size, discordance), gap)
    assert n < size
    rng = np.random.default_rng(3)
    gaps_RN = np.array([(a_N - b_N)[rng.permutation(size)[:n]] for _ in range(2000)])
    errors_R = gaps_RN.std(axis=1, ddof=1) * np.sqrt((1 - n / size) / n)
    shown = (gaps_RN.mean(axis=1) / errors_R > 1.96).mean()
    assert 0.77 < shown < 0.86


def test_a_set_that_is_too_small_is_not_planned_for():
    small = PairedDesign(277, 0.1)
    least = smallest_difference(small)
    assert samples_needed(small, least + 0.001) <= 277
    assert samples_needed(small, least - 0.002) is None
    assert smallest_difference(PairedDesign(5, 0.1)) is None
    clustered = PairedDesign(277, 0.1, cluster_size=5, correlation=1.0)
    assert smallest_difference(clustered) > least


def test_more_disagreement_and_more_alike_clusters_need_more():
    gap = 0.05
    by_discordance = [samples_needed(PairedDesign(20_000, share), gap) for share in (0.05, 0.1, 0.2, 0.4)]
    assert by_discordance == sorted(by_discordance)
    by_correlation = [samples_needed(PairedDesign(20_000, 0.2, 4.0, r), gap) for r in (0.0, 0.3, 1.0)]
    assert by_correlation == sorted(by_correlation)
    assert power_of(PairedDesign(100, 0.2), 100, 1.0) == pytest.approx(1.0)


def test_a_pilot_gives_discordance_and_correlation():
    rng = np.random.default_rng(4)
    a_N, b_N = np.repeat(rng.integers(0, 2, 400), 3).astype(float), np.repeat(rng.integers(0, 2, 400), 3).astype(float)
    pairs = pilot_pairs(a_N, b_N, [str(k // 3) for k in range(1200)])
    assert pairs.correlation == pytest.approx(1.0, abs=0.02)
    assert pairs.low < pairs.discordance < pairs.high
    loose = pilot_pairs(rng.permutation(a_N), rng.permutation(b_N), [str(k // 3) for k in range(1200)])
    assert loose.correlation < 0.1
    assert pilot_pairs(a_N[:60], b_N[:60], [str(k) for k in range(60)]).correlation is None
