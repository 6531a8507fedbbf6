"""Paired comparison of two systems on the same items: estimates with intervals, and tests.

    difference(a, b, clusters)        mean of a - b
    ratio(a, b, clusters)             mean of a divided by mean of b (retention, speed-up)
    error_reduction(a, b, clusters)   share of b's errors that a avoids
    holm(p_values)                    correction for several comparisons

The clusters (for example, the questions about one image) are the units of the interval and of the test alike. All
three relations say "equal" where the mean of a - b is zero, and there they have the same t statistic. Whether the
intervals of two systems overlap says nothing about their difference; use the paired estimate.

Letters in array names: N items, C clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from evals.errors import counted
from evals.statistics.clusters import Floats, cluster_totals, degrees_of_freedom, variance_of_sum
from evals.statistics.exact_tests import mcnemar, sign_flips
from evals.statistics.intervals import LEVEL, Interval, t_quantile, two_sided_p
from evals.statistics.power import detectable_by_mcnemar, minimum_detectable

_FEWEST_EXACT = 6
"""Number of clusters from which an exact test can be significant at 5 %: of 2^6 choices of signs, 2 are as extreme."""


_SAME = 1e-9
"""Share of the gap from the null hypothesis below which a standard error is rounding."""


class TwoSystemEstimate(Protocol):
    """An estimated relation of two systems, with an interval and a test that rest on the same units."""

    @property
    def value(self) -> float:
        """The statistic of all items."""

    @property
    def n(self) -> int:
        """Number of items."""

    @property
    def minimum_detectable(self) -> float | None:
        """The smallest true difference from equality that is found significant with 80 % power; None if none is."""

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the interval, or None where the data do not allow one."""

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of the hypothesis that the true value is `null`."""


@dataclass(frozen=True, slots=True)
class PairedEstimate:
    """A quotient of sums over clusters, with Fieller's interval and Student's t test."""

    value: float
    """The quotient of all items."""
    n: int
    """Number of items."""
    equality: float
    """The quotient of two equal systems: 0 for differences, 1 for ratios."""
    numerator_C: Floats = field(repr=False)
    """(C,) the numerator's sum of each cluster."""
    denominator_C: Floats = field(repr=False)
    """(C,) the denominator's sum of each cluster."""
    sizes_C: Floats = field(repr=False)
    """(C,) the number of items of each cluster."""
    exact_p: float | None = None
    """The p-value of `mcnemar` or `sign_flips` against equality; None for items that are not right or wrong."""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """The smallest and the largest possible value, within which the interval is cut."""

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the interval; None with one cluster, without variation, or if the denominator may be zero.

        The interval includes equality wherever the exact test does not reject it, so that both say the same.
        """
        fitted = self._fieller(level)
        if fitted is None:
            return None
        low, high = max(fitted[0], self.limits[0]), min(fitted[1], self.limits[1])
        if self.exact_p is None or self.exact_p < 1 - level:
            return low, high
        return min(low, self.equality), max(high, self.equality)

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of the hypothesis that the true value is `null`; never zero.

        It is the p-value of the t test that the interval inverts. For equality it is that of the exact test, if there
        is one; with clusters, the larger of both.
        """
        gap = abs(self.value - null) * abs(float(self.denominator_C.sum()))
        exact = self.exact_p if null == self.equality and self.exact_p is not None else 0.0
        if self.clusters < 2 or gap <= 1e-12 * max(1.0, abs(float(self.numerator_C.sum()))):
            return 1.0
        if exact and self.clusters == self.n:
            return exact
        error = self._error(null)
        if error <= _SAME * gap:  # all clusters agree: the sign test
            return max(exact, 2.0 ** (1 - min(self.clusters, 1000)))
        return max(exact, two_sided_p(gap / error, self._freedom), 5e-324)

    @property
    def test(self) -> str:
        """The name of the test that `p_value` computes for equality."""
        if self.exact_p is None and self.clusters > 1 and self.value != self.equality and not self._varies:
            return f"sign test of {counted(self.clusters, 'cluster')}, all of which differ alike"
        if self.exact_p is None:
            return f"Student's t on the differences of {counted(self.clusters, 'cluster')}"
        if self.clusters == self.n:
            return "McNemar, exact"
        return f"sign flips of {counted(self.clusters, 'cluster')} (exact) and Student's t, the larger p"

    @property
    def clusters(self) -> int:
        """Number of clusters, the sampling units."""
        return len(self.sizes_C)

    @property
    def standard_error(self) -> float:
        """The standard error of the value; 0 with one cluster."""
        return 0.0 if self.clusters < 2 else self._error(self.value) / abs(float(self.denominator_C.sum()))

    @property
    def minimum_detectable(self) -> float | None:
        """The smallest true difference from equality that is found significant with 80 % power.

        It is that of McNemar's exact test with as many discordant items, and of Student's t otherwise. None if no
        difference can be significant: with one cluster, where the exact test has less than six, or where the
        difference would be greater than is possible.
        """
        if self.clusters < 2 or (self.exact_p is not None and self.clusters < _FEWEST_EXACT):
            return None
        if self.exact_p is not None and self.clusters == self.n:
            gap = detectable_by_mcnemar(self._discordant, self.n)
            return None if gap is None else gap * self.n / abs(float(self.denominator_C.sum()))
        least = minimum_detectable(self.standard_error, self._freedom)
        return least if least <= self.limits[1] - self.equality else None

    @property
    def _discordant(self) -> int:
        """Number of independent items on which exactly one of the systems is right."""
        return int(np.count_nonzero(np.rint(self.numerator_C - self.equality * self.denominator_C)))

    @property
    def _varies(self) -> bool:
        gap = abs(self.value - self.equality) * abs(float(self.denominator_C.sum()))
        return self._error(self.equality) > _SAME * gap

    @property
    def _freedom(self) -> float:
        return degrees_of_freedom(self._residuals(self.value), self.sizes_C)

    def _residuals(self, quotient: float) -> Floats:
        """Return what each cluster's `numerator - quotient x denominator` exceeds the mean of its size by."""
        gaps_C = self.numerator_C - quotient * self.denominator_C
        residuals_C: Floats = gaps_C - self.sizes_C * (gaps_C.sum() / self.sizes_C.sum())
        return residuals_C

    def _error(self, quotient: float) -> float:
        """Return the standard error of the sum of `numerator - quotient x denominator`."""
        return math.sqrt(variance_of_sum(self._residuals(quotient)))

    def _fieller(self, level: float) -> Interval:
        """Return the quotients that the t test does not reject."""
        if self.clusters < 2 or self.standard_error <= 1e-12 * max(1.0, abs(self.value)):
            return None
        scale = self.clusters / (self.clusters - 1) * t_quantile(level, self._freedom) ** 2
        above_C = self._residuals(0.0)
        below_C = above_C - self._residuals(1.0)
        top, bottom = float(self.numerator_C.sum()), float(self.denominator_C.sum())
        squared = bottom**2 - scale * float((below_C**2).sum())
        mixed = top * bottom - scale * float((above_C * below_C).sum())
        constant = top**2 - scale * float((above_C**2).sum())
        if squared <= 0:
            return None
        root = math.sqrt(max(0.0, mixed**2 - squared * constant))
        return (mixed - root) / squared, (mixed + root) / squared


def one_sided_bounds(estimate: TwoSystemEstimate, level: float = LEVEL) -> tuple[float | None, float | None]:
    """Return the one-sided lower and upper confidence bounds, each of the given level; None without an interval.

    Example:
        >>> estimate = difference(np.arange(9.0), np.zeros(9), list("abcdefghi"))
        >>> [round(bound, 2) for bound in one_sided_bounds(estimate)]
        [2.3, 5.7]
    """
    return estimate.interval(2 * level - 1) or (None, None)


def difference(a_N: Floats, b_N: Floats, clusters: Sequence[str]) -> PairedEstimate:
    """Estimate the mean of a - b on the same items.

    Args:
        a_N: the values of the first system, one per item.
        b_N: the values of the second system, for the same items in the same order.
        clusters: N cluster names; items with the same name are correlated.

    Raises:
        ValueError: the lengths differ, there are no items, or a value is not finite.

    Example:
        >>> difference(np.array([1.0, 1, 0, 1]), np.array([1.0, 0, 0, 0]), list("abcd")).value
        0.5
    """
    _check(a_N, b_N, clusters)
    (gaps_C,), sizes_C = _sums([a_N - b_N], clusters)
    exact, limits = _exact(a_N, b_N, gaps_C), (-1.0, 1.0) if _shares(a_N, b_N) else (-math.inf, math.inf)
    value = float((a_N - b_N).mean())
    return PairedEstimate(value, len(a_N), 0.0, gaps_C, sizes_C, sizes_C, exact_p=exact, limits=limits)


def ratio(a_N: Floats, b_N: Floats, clusters: Sequence[str]) -> PairedEstimate | None:
    """Estimate the mean of a divided by the mean of b; None if the 95 % interval of b's mean touches zero.

    Raises:
        ValueError: for the same reasons as in `difference`.

    Example:
        >>> ratio(np.array([4.0, 4.2, 5.0]), np.array([2.0, 2.1, 2.5]), ["a", "b", "c"]).value
        2.0
    """
    _check(a_N, b_N, clusters)
    (a_C, b_C, gaps_C), sizes_C = _sums([a_N, b_N, a_N - b_N], clusters)
    if not _positive(b_C, sizes_C):
        return None
    value, limits = float(a_N.sum()) / float(b_N.sum()), (0.0 if (a_N >= 0).all() else -math.inf, math.inf)
    exact = _exact(a_N, b_N, gaps_C)
    return PairedEstimate(value, len(a_N), 1.0, a_C, b_C, sizes_C, exact_p=exact, limits=limits)


def error_reduction(a_N: Floats, b_N: Floats, clusters: Sequence[str]) -> PairedEstimate | None:
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
    (gaps_C, errors_C), sizes_C = _sums([a_N - b_N, 1 - b_N], clusters)
    if not _positive(errors_C, sizes_C):
        return None
    value = float((a_N - b_N).sum()) / float((1 - b_N).sum())
    exact, limits = _exact(a_N, b_N, gaps_C), (-math.inf, 1.0 if _shares(a_N, b_N) else math.inf)
    return PairedEstimate(value, len(a_N), 0.0, gaps_C, errors_C, sizes_C, exact_p=exact, limits=limits)


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


def _sums(columns: Sequence[Floats], clusters: Sequence[str]) -> tuple[list[Floats], Floats]:
    """Sum columns by cluster, and count the items of each cluster."""
    sums_CK, counts_CK, steps_K = cluster_totals(columns, clusters)
    return list((sums_CK * steps_K).T), counts_CK[:, 0]


def _exact(a_N: Floats, b_N: Floats, gaps_C: Floats) -> float | None:
    """Return the exact p-value of equality if both systems are right (1) or wrong (0) on each item, else None."""
    if not np.isin(np.concatenate([a_N, b_N]), (0, 1)).all():
        return None
    return mcnemar(a_N, b_N) if len(gaps_C) == len(a_N) else sign_flips(gaps_C)


def _shares(a_N: Floats, b_N: Floats) -> bool:
    """Whether all values lie between 0 and 1."""
    return bool(min(a_N.min(), b_N.min()) >= 0 and max(a_N.max(), b_N.max()) <= 1)


def _positive(sums_C: Floats, sizes_C: Floats) -> bool:
    """Whether the 95 % interval of a mean lies above zero."""
    mean = PairedEstimate(float(sums_C.sum() / sizes_C.sum()), 0, 0.0, sums_C, sizes_C, sizes_C)
    interval = mean.interval()
    return mean.value > 0 if interval is None else interval[0] > 0


def _check(a_N: Floats, b_N: Floats, clusters: Sequence[str]) -> None:
    if not len(a_N) == len(b_N) == len(clusters) or not len(a_N):
        raise ValueError(
            f"{len(a_N)} and {len(b_N)} values, {len(clusters)} cluster names: expected the same number, at least 1"
        )
