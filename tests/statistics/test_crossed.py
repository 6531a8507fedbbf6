"""The mean over crossed prompts and samples: its parts against the analysis of variance, its interval by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evals.statistics.crossed import crossed_mean

DRAWS = np.random.default_rng(9).standard_normal(200_000)


def drawn(rng, prompts, samples, spread, cluster=1):
    """Right and wrong of samples under prompts, by a logistic model; also the mean over all prompts and samples."""
    of_samples = np.repeat(rng.standard_normal(samples // cluster), cluster)
    logits = 1 + spread * rng.standard_normal((prompts, 1)) + 2 * of_samples + rng.standard_normal((prompts, samples))
    values_PN = (rng.random((prompts, samples)) < 1 / (1 + np.exp(-logits))).astype(float)
    return values_PN, float((1 / (1 + np.exp(-1 - math.sqrt(spread**2 + 5) * DRAWS))).mean())


@pytest.mark.parametrize(
    ("prompts", "samples", "spread", "cluster"),
    [(5, 60, 0.0, 1), (5, 60, 0.4, 4), (5, 300, 0.4, 1), (3, 100, 1.0, 1)],
)
def test_the_interval_covers_the_mean_over_all_prompts_and_samples(prompts, samples, spread, cluster):
    rng = np.random.default_rng(prompts * samples)
    clusters = [str(k // cluster) for k in range(samples)]
    covered = by_samples = 0
    for _ in range(160):
        values_PN, truth = drawn(rng, prompts, samples, spread, cluster)
        mean = crossed_mean(values_PN, clusters)
        low, high = mean.interval
        covered += low <= truth <= high
        low, high = mean.sample_interval
        by_samples += low <= truth <= high
    assert covered / 160 >= 0.91
    if spread >= 0.4 and cluster == 1:
        assert by_samples / 160 < 0.9  # which the interval over samples alone does not


def test_the_parts_are_those_of_the_analysis_of_variance():
    rng = np.random.default_rng(1)
    values_PN, _ = drawn(rng, 4, 50, 0.8)
    P, N = values_PN.shape
    mean = crossed_mean(values_PN, [str(k) for k in range(N)])
    grand = values_PN.mean()
    between = N * np.square(values_PN.mean(axis=1) - grand).sum() / (P - 1)
    of_samples = P * np.square(values_PN.mean(axis=0) - grand).sum() / (N - 1)
    total = np.square(values_PN - grand).sum()
    rest = (total - between * (P - 1) - of_samples * (N - 1)) / ((P - 1) * (N - 1))
    assert mean.spread == pytest.approx(math.sqrt(max(0.0, (between - rest) / N)))
    assert mean.prompt_error == pytest.approx(math.sqrt(between / (P * N)))
    assert mean.sample_error == pytest.approx(math.sqrt(of_samples / (P * N)))
    assert mean.range == pytest.approx(np.ptp(values_PN.mean(axis=1)))


def test_equal_prompts_have_no_spread_and_one_prompt_is_refused():
    same_PN = np.tile(np.array([1.0, 0, 1, 1, 0, 1, 0, 1]), (3, 1))
    mean = crossed_mean(same_PN, list("abcdefgh"))
    assert (mean.spread, mean.prompt_error, mean.range) == (0, 0, 0)
    assert mean.interval == mean.sample_interval
    with pytest.raises(ValueError, match="1 prompts"):
        crossed_mean(same_PN[:1], list("abcdefgh"))
    constant = crossed_mean(np.ones((2, 4)), list("abcd"))
    assert constant.interval == constant.sample_interval
    assert constant.interval[0] < 0.8
