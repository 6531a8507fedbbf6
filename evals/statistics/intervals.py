"""Confidence intervals for means of clustered values: Wilson's interval with the effective number of items.

The effective number of items is the number of independent items that would give the same variance of the mean. The
normal quantile of Wilson's interval is replaced by that of Student's t, so that few clusters, or few clusters that
vary, give a wide interval. `tests/benchmarks/coverage.py` measures the coverage; docs/statistics.md has its table.

Letters in array names: N items, C clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from evals.statistics.clusters import Floats, Mask, cluster_totals, degrees_of_freedom, variance_of_sum

LEVEL = 0.95
Interval = tuple[float, float] | None
"""Lower and upper end, or None where the data do not allow one."""


def mean_intervals(
    values: Sequence[Floats],
    clusters: Sequence[str],
    masks: Sequence[Mask | None] | None = None,
    *,
    level: float = LEVEL,
) -> list[Interval]:
    """Compute intervals for the means of several columns over clustered items.

    The result does not depend on the order of the items.

    Args:
        values: K columns of N finite values.
        clusters: N cluster names; items with the same name are correlated.
        masks: for each column, the items that belong to it, or None for all of them.
        level: confidence level, between 0 and 1.

    Returns:
        One interval per column. A column of independent zeros and ones has Wilson's interval. Another column of values
        between 0 and 1 has it with the effective number of items; if all its clusters have the same mean, the number of
        clusters takes that place. A column of other values has the t interval, or None if its clusters do not vary.

    Raises:
        ValueError: there are no items, a column has another length or no items, or a value is not finite.

    Source: Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data, Survey Methodology 24 (1998), for the effective number of items.

    Example:
        >>> import numpy as np
        >>> right = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        >>> [round(end, 3) for end in mean_intervals([right], list("abcdefgh"))[0]]
        [0.409, 0.929]
        >>> mean_intervals([right * 100], ["a"] * 8)
        [None]
    """
    sums_CK, counts_CK, steps_K = cluster_totals(values, clusters, masks)
    bounded = [bool(((column >= 0) & (column <= 1)).all()) for column in values]
    return [
        _mean_interval(sums_C[counts_C > 0] * step, counts_C[counts_C > 0], level, is_share)
        for sums_C, counts_C, step, is_share in zip(sums_CK.T, counts_CK.T, steps_K, bounded, strict=True)
    ]


def _mean_interval(sums_C: Floats, sizes_C: Floats, level: float, is_share: bool) -> Interval:
    value = float(sums_C.sum() / sizes_C.sum())
    if is_share:
        value = min(1.0, max(0.0, value))
        if (sizes_C == 1).all() and ((sums_C == 0) | (sums_C == 1)).all():  # independent, and right or wrong
            return wilson(value * len(sums_C), len(sums_C), level)
    residuals_C = sums_C - value * sizes_C
    error = math.sqrt(variance_of_sum(residuals_C)) / float(sizes_C.sum()) if len(sums_C) > 1 else 0.0
    if error <= 1e-12 * max(1.0, abs(value)):
        return wilson(value * len(sums_C), len(sums_C), level) if is_share else None
    quantile = t_quantile(level, degrees_of_freedom(residuals_C, sizes_C))
    if not is_share:
        return value - quantile * error, value + quantile * error
    return score_interval(value, value * (1 - value) / error**2, quantile)


def t_quantile(level: float, freedom: float) -> float:
    """Return the quantile of Student's t that bounds a two-sided interval of a level.

    Example:
        >>> round(t_quantile(0.95, 2), 3), round(t_quantile(0.95, 1e6), 3)
        (4.303, 1.96)
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def two_sided_p(statistic: float, freedom: float) -> float:
    """Return the two-sided p-value of a t statistic.

    Example:
        >>> round(two_sided_p(-4.303, 2), 3)
        0.05
    """
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(statistic)))


def wilson(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Compute Wilson's score interval for a proportion of independent trials.

    Args:
        successes: the number of successful trials, or the sum of scores between 0 and 1. For scores the interval is
            conservative: of all scores with a given mean, zeros and ones vary most.
        n: the number of trials.
        level: confidence level, between 0 and 1.

    Returns:
        The lower and the upper end, within [0, 1].

    Raises:
        ValueError: `n` is 0, or `successes` is not between 0 and `n`.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    Example:
        >>> [round(end, 4) for end in wilson(8, 10)]
        [0.4902, 0.9433]
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} trials: expected 0 <= successes <= n and n >= 1")
    return score_interval(successes / n, n, NormalDist().inv_cdf((1 + level) / 2))


def score_interval(share: float, trials: float, quantile: float) -> tuple[float, float]:
    """Compute Wilson's interval from a share, a (possibly effective) number of trials and a quantile.

    Example:
        >>> [round(end, 4) for end in score_interval(0.8, 10, 1.959964)]
        [0.4902, 0.9433]
    """
    squared = quantile * quantile
    centre = share + squared / (2 * trials)
    half = quantile * math.sqrt(share * (1 - share) / trials + squared / (4 * trials * trials))
    scale = 1 + squared / trials
    low = 0.0 if share == 0 else (centre - half) / scale
    high = 1.0 if share == 1 else (centre + half) / scale
    return low, high
