"""Two systems on the same items: what their difference, ratio or saved errors may be, and how sure a sign is.

    difference(a, b, clusters)        mean of a - b
    ratio(a, b, clusters)             mean of a over mean of b: retention, speed-up
    error_reduction(a, b, clusters)   share of b's errors that a avoids
    mcnemar(a, b)                     exact, for items that are right or wrong
    holm(ps)                          several claims of one document

Each estimate keeps its resampled values, so that one interval, one bound or one test is read from the same draws.
Items of one cluster (the questions of one image) are drawn together. Two intervals that overlap say nothing of the
difference: only the paired estimate does.

Letters in the names of arrays: N items, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evals.statistics.bootstrap import LEVEL, RESAMPLES, Floats, Interval, percentile_interval, resampled_totals
from evals.statistics.power import minimum_detectable


@dataclass(frozen=True, slots=True)
class BootstrapEstimate:
    """A statistic of paired items and its resampled values."""

    value: float
    """From all items."""
    n: int
    """How many items there are."""
    resampled_B: Floats = field(repr=False)
    """The statistic in each resample that has one."""

    def interval(self, level: float = LEVEL) -> Interval:
        """Its percentile interval, or None where nothing shows how it might vary."""
        return percentile_interval(self.resampled_B, level)

    def lower_bound(self, level: float = LEVEL) -> float | None:
        """Its one-sided lower bound: below it with a probability of 1 - level."""
        return float(np.quantile(self.resampled_B, 1 - level)) if len(self.resampled_B) else None

    def upper_bound(self, level: float = LEVEL) -> float | None:
        """Its one-sided upper bound."""
        return float(np.quantile(self.resampled_B, level)) if len(self.resampled_B) else None

    def p_value(self, null: float = 0.0) -> float:
        """The two-sided p-value of its being `null`, by inverting the percentile interval; never zero."""
        below, above = (self.resampled_B <= null).sum(), (self.resampled_B >= null).sum()
        return float(min(1.0, 2 * (min(below, above) + 1) / (len(self.resampled_B) + 1)))

    @property
    def standard_error(self) -> float:
        """Its standard error."""
        return float(self.resampled_B.std(ddof=1)) if len(self.resampled_B) > 1 else 0.0

    @property
    def minimum_detectable(self) -> float:
        """The smallest true value apart from the null that would be found significant four times in five."""
        return minimum_detectable(self.standard_error)


def difference(a_N: Floats, b_N: Floats, clusters: Sequence[str], *, resamples: int = RESAMPLES) -> BootstrapEstimate:
    """BootstrapEstimate the mean of a - b on the same items.

    Args:
        a_N: the figures of one system, an item each.
        b_N: those of the other, in the same order.
        clusters: N names; items of one name are drawn together.
        resamples: how many times the clusters are drawn.

    Raises:
        ValueError: lengths differ, there are no items, or a value is not finite.

    Example:
        >>> difference(np.array([1.0, 1, 0, 1]), np.array([1.0, 0, 0, 0]), list("abcd")).value
        0.5
    """
    _check(a_N, b_N, clusters)
    sums_BK, sizes_B = resampled_totals([a_N - b_N], clusters, resamples=resamples)
    return BootstrapEstimate(float((a_N - b_N).mean()), len(a_N), sums_BK[:, 0] / sizes_B)


def ratio(a_N: Floats, b_N: Floats, clusters: Sequence[str], *, resamples: int = RESAMPLES) -> BootstrapEstimate | None:
    """BootstrapEstimate the mean of a over the mean of b; None where b's mean may be zero, so that there is no ratio.

    Raises:
        ValueError: as `difference` does.

    Example:
        >>> ratio(np.array([2.0, 4.0]), np.array([1.0, 2.0]), ["a", "b"]).value
        2.0
    """
    _check(a_N, b_N, clusters)
    sums_BK, _ = resampled_totals([a_N, b_N], clusters, resamples=resamples)
    return _quotient(float(a_N.sum()), float(b_N.sum()), sums_BK[:, 0], sums_BK[:, 1], len(a_N))


def error_reduction(
    a_N: Floats, b_N: Floats, clusters: Sequence[str], *, resamples: int = RESAMPLES
) -> BootstrapEstimate | None:
    """BootstrapEstimate the share of b's errors that a avoids, (e_b - e_a) / e_b with e = 1 - figure; None if b may have none.

    Raises:
        ValueError: as `difference` does.

    Example:
        >>> error_reduction(np.array([1.0, 1, 1, 1]), np.array([1.0, 1, 1, 0]), list("abcd")) is None
        True
        >>> right = np.arange(400) % 4
        >>> clusters = [str(n) for n in range(400)]
        >>> round(error_reduction((right < 3) * 1.0, (right < 2) * 1.0, clusters).value, 4)
        0.5
    """
    _check(a_N, b_N, clusters)
    sums_BK, _ = resampled_totals([a_N - b_N, 1 - b_N], clusters, resamples=resamples)
    return _quotient(float((a_N - b_N).sum()), float((1 - b_N).sum()), sums_BK[:, 0], sums_BK[:, 1], len(a_N))


def mcnemar(a_N: Floats, b_N: Floats) -> float:
    """Give the exact two-sided p-value of McNemar's test: are wins and losses on the same items even?

    Args:
        a_N: 1 where one system is right, 0 where it is wrong.
        b_N: the same of the other, in the same order.

    Raises:
        ValueError: a figure is neither 0 nor 1, or lengths differ.

    Source: McNemar, Psychometrika 12 (1947); the exact form is a binomial test of the discordant pairs.

    Example:
        >>> mcnemar(np.array([1.0] * 8 + [0, 0]), np.array([0.0] * 8 + [1, 0]))
        0.0390625
    """
    if len(a_N) != len(b_N) or not np.isin([*a_N, *b_N], (0, 1)).all():
        raise ValueError("McNemar's test is of two systems that are right (1) or wrong (0) on the same items")
    wins, losses = int(((a_N == 1) & (b_N == 0)).sum()), int(((a_N == 0) & (b_N == 1)).sum())
    if wins + losses == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust p-values for how many there are, in the order given.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted


def _quotient(above: float, below: float, above_B: Floats, below_B: Floats, n: int) -> BootstrapEstimate | None:
    """Divide sums, unless the divisor's own interval touches zero."""
    if below <= 0 or np.quantile(below_B, (1 - LEVEL) / 2) <= 0:
        return None
    some = below_B > 0
    return BootstrapEstimate(above / below, n, above_B[some] / below_B[some])


def _check(a_N: Floats, b_N: Floats, clusters: Sequence[str]) -> None:
    if not len(a_N) == len(b_N) == len(clusters) or not len(a_N):
        raise ValueError(f"{len(a_N)} and {len(b_N)} figures in {len(clusters)} clusters: expected as many of each")
