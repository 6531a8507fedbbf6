"""Plan a paired comparison of two systems: how many samples it needs, and what a finite set of samples can show.

    PairedDesign(size, ...)          the set, and how the two systems are expected to differ on it
    smallest_difference(design)      what all samples of the set show with 80 % power
    samples_needed(design, gap)      how many samples show a difference, or None if all of them do not
    samples_for_set(design, gap)     how many samples decide which system is better on this set alone

A sample's difference d is a - b. Its mean square, the discordance, is for right and wrong the share of samples on which
exactly one of the systems is right. The variance of d is the discordance minus the squared mean, so the discordance is
all that a plan must know. The plan is for the tests of `compare`: McNemar's exact test for independent samples that are
right or wrong, and Student's t otherwise. They are about samples like those of the set.

Clusters (questions about one image) are drawn sample by sample, as `--limit` does. Of n of N samples, whose clusters
have the mean size M as seen from a sample, a sample has (n - 1) / (N - 1) (M - 1) others of its cluster on average.
With the correlation r of two differences of one cluster, the variance of the mean is that of n independent samples
times 1 + r (M - 1) (n - 1) / (N - 1): Kish, Survey Sampling (1965), section 5.4, for a random part of the clusters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evals.statistics.clusters import Floats, cluster_totals
from evals.statistics.intervals import wilson
from evals.statistics.power import LEVEL, POWER, mcnemar_power

_NORMAL = NormalDist()
_FEWEST_PAIRS = 30
"""Pairs of samples of one cluster from which a pilot says how they are correlated."""


@dataclass(frozen=True, slots=True)
class PairedDesign:
    """A set of samples, and how two systems are expected to differ on it."""

    size: int
    """Number of samples of the set, at least 1."""
    discordance: float
    """Mean square of the differences of single samples, from 0 to 1."""
    cluster_size: float = 1.0
    """Mean size of a sample's cluster: the sum of the squared sizes divided by the number of samples."""
    correlation: float = 0.0
    """Of the differences of two samples of one cluster, from 0 to 1."""
    exact: bool = True
    """Whether samples are right or wrong, so that McNemar's exact test is used if they are independent."""

    @property
    def independent(self) -> bool:
        """Whether the test is McNemar's: samples are right or wrong, and each is its own cluster."""
        return self.exact and self.cluster_size == 1


@dataclass(frozen=True, slots=True)
class PilotPairs:
    """What a pilot of two systems on the same samples says about their differences."""

    n: int
    discordance: float
    low: float
    high: float
    """The 95 % interval of the discordance (Wilson's; for scores between 0 and 1 conservative)."""
    difference: float
    correlation: float | None
    """Of the differences of two samples of one cluster; None if fewer than 30 pairs show it."""
    exact: bool


def mean_cluster_size(clusters: Sequence[str]) -> float:
    """Compute the mean size of a sample's cluster.

    Example:
        >>> mean_cluster_size(["a", "a", "a", "b"])
        2.5
    """
    return sum(size**2 for size in Counter(clusters).values()) / len(clusters)


def pilot_pairs(a_N: Floats, b_N: Floats, clusters: Sequence[str]) -> PilotPairs:
    """Estimate from a pilot how two systems differ.

    Args:
        a_N: values of the first system, from 0 to 1, one per sample.
        b_N: those of the second system on the same samples.
        clusters: N cluster names.

    Example:
        >>> pairs = pilot_pairs(np.array([1.0, 1, 0, 1]), np.array([1.0, 0, 1, 1]), list("abcd"))
        >>> pairs.discordance, pairs.difference, pairs.exact
        (0.5, 0.0, True)
    """
    gaps_N = a_N - b_N
    squares = float(np.square(gaps_N).sum())
    low, high = wilson(min(squares, len(gaps_N)), len(gaps_N))
    sums_CK, counts_CK, steps_K = cluster_totals([gaps_N - gaps_N.mean()], clusters)
    sums_C, sizes_C = sums_CK[:, 0] * steps_K[0], counts_CK[:, 0]
    pairs, variance = float((sizes_C * (sizes_C - 1)).sum()), float(np.square(gaps_N - gaps_N.mean()).mean())
    correlation = None
    if pairs / 2 >= _FEWEST_PAIRS and variance > 0:
        products = float(np.square(sums_C).sum()) - variance * len(gaps_N)
        correlation = min(1.0, max(0.0, products / pairs / variance))
    return PilotPairs(
        len(gaps_N), squares / len(gaps_N), low, high, float(gaps_N.mean()), correlation,
        exact=bool(np.isin(np.concatenate([a_N, b_N]), (0, 1)).all()),
    )  # fmt: skip


def independent_discordance(share: float, gap: float) -> float:
    """Return the discordance of two systems whose errors are independent; real ones mostly disagree less.

    Args:
        share: the share of right samples of the first system.
        gap: the difference of the shares of the two, whichever sign it has.

    Example:
        >>> round(independent_discordance(0.8, 0.02), 3)
        0.332
    """
    others = [min(1.0, max(0.0, share + sign * gap)) for sign in (-1, 1)]
    return max(share * (1 - other) + other * (1 - share) for other in others)


def power_of(design: PairedDesign, n: int, gap: float, *, level: float = LEVEL) -> float:
    """Compute the probability that a difference is found significant with n random samples of the set.

    Args:
        design: the set.
        n: number of samples, from 1 to the size of the set.
        gap: the true difference, from 0 to 1; the discordance is at least as large.
        level: confidence level of the two-sided test.

    Source: McNemar's test by Duffy, Biometrics 40 (1984); others by the normal approximation of Connor, Sample size for
    testing differences in proportions for the paired-sample design, Biometrics 43 (1987).

    Example:
        >>> round(power_of(PairedDesign(2000, 0.2), 1319, 0.04), 3)
        0.894
    """
    discordance = max(design.discordance, gap)
    if design.independent:
        return mcnemar_power(gap, discordance, n, level)
    effective = n / _inflation(design, n)
    spread = math.sqrt(max(0.0, discordance - gap**2))
    margin = gap * math.sqrt(effective) - _NORMAL.inv_cdf((1 + level) / 2) * math.sqrt(discordance)
    return float(margin >= 0) if spread == 0 else _NORMAL.cdf(margin / spread)


def smallest_difference(design: PairedDesign, *, level: float = LEVEL, power: float = POWER) -> float | None:
    """Compute the smallest true difference that all samples of the set show; None if they show none.

    Example:
        >>> round(smallest_difference(PairedDesign(277, 0.2)), 3), smallest_difference(PairedDesign(5, 0.2))
        (0.077, None)
    """
    if power_of(design, design.size, 1.0, level=level) < power:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        enough = power_of(design, design.size, middle, level=level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def samples_needed(design: PairedDesign, gap: float, *, level: float = LEVEL, power: float = POWER) -> int | None:
    """Compute how many random samples of the set show a true difference; None if even all of them do not.

    Example:
        >>> samples_needed(PairedDesign(1319, 0.1), 0.03), samples_needed(PairedDesign(277, 0.1), 0.02)
        (920, None)
    """
    if power_of(design, design.size, gap, level=level) < power:
        return None
    low, high = 0, design.size
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of(design, middle, gap, level=level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def samples_for_set(design: PairedDesign, gap: float, *, level: float = LEVEL, power: float = POWER) -> int:
    """Compute how many random samples of a finite set decide which of two systems is better on this set alone.

    With all samples the answer is known, so the variance of n of N samples is multiplied by 1 - n / N, and clusters
    do not matter. It says nothing about other samples: `samples_needed` does.

    Source: Cochran, Sampling Techniques (1977), sections 2.6 and 4.6.

    Example:
        >>> samples_for_set(PairedDesign(277, 0.1), 0.02), samples_for_set(PairedDesign(20000, 0.1), 0.02)
        (243, 1785)
    """
    discordance = max(design.discordance, gap)
    null, true = math.sqrt(discordance), math.sqrt(max(0.0, discordance - gap**2))
    unlimited = ((_NORMAL.inv_cdf((1 + level) / 2) * null + _NORMAL.inv_cdf(power) * true) / gap) ** 2
    return min(design.size, math.ceil(unlimited / (1 + unlimited / design.size)))


def _inflation(design: PairedDesign, n: int) -> float:
    """Return by how much the correlation within clusters inflates the variance of the mean of n samples."""
    if design.size < 2:
        return 1.0
    return 1 + design.correlation * (design.cluster_size - 1) * (n - 1) / (design.size - 1)
