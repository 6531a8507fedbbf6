"""Paired comparison of two systems on the same items: estimates with intervals, and tests.

    difference(a, b, clusters)        mean of a - b
    ratio(a, b, clusters)             mean of a divided by mean of b (retention, speed-up)
    error_reduction(a, b, clusters)   share of b's errors that a avoids
    mcnemar(a, b)                     exact test for items that are right or wrong
    holm(p_values)                    correction for several comparisons

An estimate keeps its resampled values, so that its intervals, bounds and tests all use the same resamples. Items of
one cluster (for example, the questions about one image) are drawn together. Whether the intervals of two systems
overlap says nothing about their difference; use the paired estimate.

Letters in array names: N items, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evals.statistics.bootstrap import LEVEL, RESAMPLES, Floats, Interval, percentile_interval, resampled_totals
from evals.statistics.power import minimum_detectable


@dataclass(frozen=True, slots=True)
class BootstrapEstimate:
    """A statistic of all items, and its value in each bootstrap resample."""

    value: float
    """The statistic of all items."""
    n: int
    """Number of items."""
    resampled_B: Floats = field(repr=False)
    """(B,) the statistic of each resample in which it is defined."""

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the percentile interval, or None if the resampled values do not vary."""
        return percentile_interval(self.resampled_B, level)

    def lower_bound(self, level: float = LEVEL) -> float | None:
        """Return the one-sided lower confidence bound, or None without resamples."""
        return float(np.quantile(self.resampled_B, 1 - level)) if len(self.resampled_B) else None

    def upper_bound(self, level: float = LEVEL) -> float | None:
        """Return the one-sided upper confidence bound, or None without resamples."""
        return float(np.quantile(self.resampled_B, level)) if len(self.resampled_B) else None

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of the hypothesis that the true value is `null`; never zero.

        The test inverts the percentile interval.
        """
        below, above = (self.resampled_B <= null).sum(), (self.resampled_B >= null).sum()
        return float(min(1.0, 2 * (min(below, above) + 1) / (len(self.resampled_B) + 1)))

    @property
    def standard_error(self) -> float:
        """The bootstrap standard error; 0 if there are fewer than two resamples."""
        return float(self.resampled_B.std(ddof=1)) if len(self.resampled_B) > 1 else 0.0

    @property
    def minimum_detectable(self) -> float:
        """The smallest true difference from the null that is found significant with 80 % power."""
        return minimum_detectable(self.standard_error)


def difference(a_N: Floats, b_N: Floats, clusters: Sequence[str], *, resamples: int = RESAMPLES) -> BootstrapEstimate:
    """Estimate the mean of a - b on the same items.

    Args:
        a_N: the values of the first system, one per item.
        b_N: the values of the second system, for the same items in the same order.
        clusters: N cluster names; items with the same name are drawn together.
        resamples: number of resamples.

    Raises:
        ValueError: the lengths differ, there are no items, or a value is not finite.

    Example:
        >>> difference(np.array([1.0, 1, 0, 1]), np.array([1.0, 0, 0, 0]), list("abcd")).value
        0.5
    """
    _check(a_N, b_N, clusters)
    sums_BK, sizes_B = resampled_totals([a_N - b_N], clusters, resamples=resamples)
    return BootstrapEstimate(float((a_N - b_N).mean()), len(a_N), sums_BK[:, 0] / sizes_B)


def ratio(a_N: Floats, b_N: Floats, clusters: Sequence[str], *, resamples: int = RESAMPLES) -> BootstrapEstimate | None:
    """Estimate the mean of a divided by the mean of b; None if the 95 % interval of b's mean touches zero.

    Raises:
        ValueError: for the same reasons as in `difference`.

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
    """Estimate the share of b's errors that a avoids, (e_b - e_a) / e_b with e = 1 - value; None if b may have none.

    Raises:
        ValueError: for the same reasons as in `difference`.

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
    """Compute the exact two-sided p-value of McNemar's test of equal wins and losses on the same items.

    Args:
        a_N: 1 where the first system is right, 0 where it is wrong.
        b_N: the same for the second system, in the same order.

    Raises:
        ValueError: a value is neither 0 nor 1, or the lengths differ.

    Source: McNemar, Psychometrika 12 (1947); the exact form is a binomial test on the discordant pairs.

    Example:
        >>> mcnemar(np.array([1.0] * 8 + [0, 0]), np.array([0.0] * 8 + [1, 0]))
        0.0390625
    """
    if len(a_N) != len(b_N) or not np.isin([*a_N, *b_N], (0, 1)).all():
        raise ValueError("McNemar's test needs two systems that are right (1) or wrong (0) on the same items")
    wins, losses = int(((a_N == 1) & (b_N == 0)).sum()), int(((a_N == 0) & (b_N == 1)).sum())
    if wins + losses == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons by Holm's method; the order of the input is kept.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _quotient(
    numerator: float, denominator: float, numerator_B: Floats, denominator_B: Floats, n: int
) -> BootstrapEstimate | None:
    """Divide sums; None if the interval of the denominator touches zero."""
    if denominator <= 0 or np.quantile(denominator_B, (1 - LEVEL) / 2) <= 0:
        return None
    positive_B = denominator_B > 0
    return BootstrapEstimate(numerator / denominator, n, numerator_B[positive_B] / denominator_B[positive_B])


def _check(a_N: Floats, b_N: Floats, clusters: Sequence[str]) -> None:
    if not len(a_N) == len(b_N) == len(clusters) or not len(a_N):
        raise ValueError(
            f"{len(a_N)} and {len(b_N)} values, {len(clusters)} cluster names: expected the same number, at least 1"
        )
