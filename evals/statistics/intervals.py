"""Confidence intervals for means of clustered values: Wilson's interval with the effective number of items.

The effective number of items is the number of independent items that would give the same variance of the mean. The
normal quantile of Wilson's interval is replaced by that of Student's t, so that few clusters that vary give a wide
interval. Fewer than ten independent items have an exact interval, and fewer than thirty clusters that of a model of
clusters (`few_clusters`).
`tests/benchmarks/coverage.py` measures the coverage; docs/statistics.md has its table.

Letters in array names: N items, C clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from evals.statistics.clusters import Floats, Mask, cluster_totals, degrees_of_freedom, variance_of_sum
from evals.statistics.few_clusters import beta_binomial_interval

LEVEL = 0.95
FEW_ITEMS = 10
"""Number of independent items below which Wilson's interval covers extreme proportions too rarely."""
FEW_CLUSTERS = 30
"""Number of clusters below which they may be alike by chance, so that their variance says too little."""
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
        One interval per column. A column of independent zeros and ones has Wilson's interval, and the exact one with
        fewer than `FEW_ITEMS` of them. Another column of values between 0 and 1 has Wilson's interval with the
        effective number of items, and that of the beta-binomial model with fewer than `FEW_CLUSTERS` clusters. If all
        its clusters have the same mean, each counts as one item. A column of other values has the t interval, or None
        if its clusters do not vary.

    Raises:
        ValueError: there are no items, a column has another length or no items, or a value is not finite.

    Source: Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data, Survey Methodology 24 (1998), for the effective number of items.

    Example:
        >>> import numpy as np
        >>> right = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        >>> [round(end, 3) for end in mean_intervals([right], list("abcdefgh"))[0]]
        [0.349, 0.968]
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
            return _independent(value, len(sums_C), level)
    residuals_C = sums_C - value * sizes_C
    error = math.sqrt(variance_of_sum(residuals_C)) / float(sizes_C.sum()) if len(sums_C) > 1 else 0.0
    if error <= 1e-12 * max(1.0, abs(value)):
        return _independent(value, len(sums_C), level) if is_share else None
    if is_share and len(sums_C) < (FEW_ITEMS if (sizes_C == 1).all() else FEW_CLUSTERS):
        low, high = beta_binomial_interval(sums_C.clip(0, sizes_C), sizes_C, level)
        return min(low, value), max(high, value)
    quantile = t_quantile(level, degrees_of_freedom(residuals_C, sizes_C))
    if not is_share:
        return value - quantile * error, value + quantile * error
    return score_interval(value, value * (1 - value) / error**2, quantile)


def _independent(share: float, units: int, level: float) -> tuple[float, float]:
    """Compute the interval of the share of independent units that are right."""
    return (clopper_pearson if units < FEW_ITEMS else wilson)(share * units, units, level)


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


def clopper_pearson(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Compute the exact interval for a proportion of independent trials: it covers in at least `level` of all cases.

    Args:
        successes: the number of successful trials, or the sum of scores between 0 and 1.
        n: the number of trials.
        level: confidence level, between 0 and 1.

    Raises:
        ValueError: `n` is 0, or `successes` is not between 0 and `n`.

    Source: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26 (1934).

    Example:
        >>> [round(end, 4) for end in clopper_pearson(3, 4)]
        [0.1941, 0.9937]
    """
    _check_trials(successes, n)
    from scipy.special import betaincinv

    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, (1 - level) / 2))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, (1 + level) / 2))
    return low, high


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
    _check_trials(successes, n)
    return score_interval(successes / n, n, NormalDist().inv_cdf((1 + level) / 2))


def _check_trials(successes: float, n: int) -> None:
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} trials: expected 0 <= successes <= n and n >= 1")


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
