"""The mean of a finite set from a random part of it, with predictions of every item: prediction-powered intervals.

    strata(predictions, n)                            groups of items with like predictions
    post_stratified(values, groups, sizes, clusters)  the mean of the set, and how much the predictions helped

The predictor (a smaller model's values, or an item's mean over earlier runs) has a value for every item of the set, the
model only for a random part. Items are grouped by their predictions before anything is known of the model; the mean of
the set is that of the groups, weighted by their known sizes. A predictor that knows nothing costs almost nothing, and a
wrong one cannot make the interval wrong, since within a group the items of the part are a random part of it.

It is prediction-powered inference (Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Science 382 (2023)) of a finite
set, with the predictions replaced by their groups, so that the power tuning of PPI++ (Angelopoulos, Duchi and Zrnic,
2023) is not needed. The estimate is that of post-stratification: Cochran, Sampling techniques (1977), section 5A.9.

Letters in array names: N items of the set, n items of the part, H groups, C clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.statistics.clusters import Floats, cluster_totals, degrees_of_freedom, variance_of_sum
from evals.statistics.finite import finite_correction, hypergeometric_interval
from evals.statistics.intervals import FEW_CLUSTERS, LEVEL, mean_intervals, score_interval, t_quantile

GroupNumbers = NDArray[np.intp]

MOST_GROUPS = 5
"""Five groups take away most of what a predictor explains (Cochran 1977, section 5A.8)."""
FEWEST_IN_GROUP = 10
"""Items of the part that a group is expected to have, so that its own interval is narrow enough to be of use."""


@dataclass(frozen=True, slots=True)
class PredictionPowered:
    """The mean of a set, estimated with predictions of all its items."""

    value: float
    low: float
    high: float
    n: int
    """Items of the part."""
    of: int
    """Items of the set."""
    gain: float
    """How many times as many items would give as narrow an interval without the predictions; below 1 they cost."""


def strata(predictions_N: Floats, n: int) -> GroupNumbers:
    """Group items by their predictions: (N,) numbers from 0, in the order of the predictions.

    Equal predictions are in one group. Of a part of `n` items chosen at random, each group has at least
    `FEWEST_IN_GROUP` on average; there are at most `MOST_GROUPS`, of sizes as equal as equal predictions allow.

    Args:
        predictions_N: finite numbers, at least one.
        n: the number of items of the part, between 1 and N.

    Example:
        >>> strata(np.array([0.0] * 60 + [1.0] * 40), 50).tolist() == [0] * 60 + [1] * 40
        True
        >>> set(strata(np.array([0.0] * 99 + [1.0]), 50).tolist())  # one item alone is no group
        {0}
    """
    total = len(predictions_N)
    levels_L, code_N = np.unique(predictions_N, return_inverse=True)
    counts_L = np.bincount(code_N, minlength=len(levels_L))
    least = max(total / MOST_GROUPS if len(levels_L) > MOST_GROUPS else 0.0, FEWEST_IN_GROUP * total / n)
    group_L, group, held = np.zeros(len(levels_L), dtype=np.intp), 0, 0
    for level, count in enumerate(counts_L):
        group_L[level] = group
        held += int(count)
        if held >= least - 1e-9 * total and total - counts_L[: level + 1].sum() >= least - 1e-9 * total:
            group, held = group + 1, 0
    return group_L[code_N]


def post_stratified(
    values_n: Floats, groups_n: GroupNumbers, sizes_H: Sequence[int], clusters: Sequence[str], *, level: float = LEVEL
) -> PredictionPowered | None:
    """Estimate the mean of a set from a random part of it, by groups of known sizes.

    Args:
        values_n: the values of the part's items, between 0 and 1.
        groups_n: the group of each of them.
        sizes_H: the number of the set's items in each group.
        clusters: n cluster names of the part's items.
        level: confidence level, between 0 and 1.

    Returns:
        None where no interval is sure: a group of which the part has no item, or fewer than thirty clusters of several
        items.

    Raises:
        ValueError: the lengths differ, a value is not between 0 and 1, or a group has more items than its size.

    Source of the interval: Zou and Donner, Construction of confidence limits about effect measures, Statistics in
    Medicine 27 (2008), from the intervals of the groups. With clusters each side is at least that of Wilson's interval
    with the variance of the clusters' residuals (Särndal, Swensson and Wretman, Model assisted survey sampling (1992),
    result 6.6.1).

    Example:
        >>> right = np.array([1.0] * 45 + [0.0] * 5 + [1.0] * 5 + [0.0] * 45)
        >>> known = post_stratified(right, np.arange(100) // 50, [500, 500], [str(n) for n in range(100)])
        >>> round(known.value, 3), round(known.low, 3), round(known.high, 3), round(known.gain, 1)
        (0.5, 0.436, 0.564, 2.2)
    """
    counts_H = np.bincount(groups_n, minlength=len(sizes_H))
    _check(values_n, groups_n, counts_H, sizes_H, clusters)
    n, total = len(values_n), sum(sizes_H)
    alone = len(set(clusters)) == n
    if (counts_H[np.asarray(sizes_H) > 0] == 0).any() or (not alone and len(set(clusters)) < FEW_CLUSTERS):
        return None
    shares_H = np.asarray(sizes_H, dtype=np.float64) / total
    means_H, below_H, above_H = np.zeros((3, len(sizes_H)))
    for group in np.flatnonzero(counts_H).tolist():
        inside = values_n[groups_n == group]
        means_H[group] = inside.mean()
        low, high = _interval(inside, sizes_H[group], level)
        below_H[group], above_H[group] = means_H[group] - low, high - means_H[group]
    value = float(shares_H @ means_H)
    below, above = (math.sqrt(float(((shares_H * side) ** 2).sum())) for side in (below_H, above_H))
    if not alone:
        weights_n = shares_H[groups_n] / counts_H[groups_n]
        low, high = _clustered((values_n - means_H[groups_n]) * weights_n, value, clusters, level)
        low, high = finite_correction((low, high), value, n, total)
        below, above = max(below, value - low), max(above, high - value)
    low = max(value - below, float(values_n.sum()) / total)
    high = min(value + above, (float(values_n.sum()) + total - n) / total)
    alone_low, alone_high = _alone(values_n, clusters, total, level)
    if np.count_nonzero(sizes_H) == 1:  # nothing is known of any item
        return PredictionPowered(value, alone_low, alone_high, n, total, 1.0)
    gain = ((alone_high - alone_low) / (high - low)) ** 2 if high > low else 1.0
    return PredictionPowered(value, low, high, n, total, gain)


def _interval(values: Floats, total: int, level: float) -> tuple[float, float]:
    """Return the interval of the mean of a group, of which some items are known, each its own cluster."""
    if len(values) == total:
        return float(values.mean()), float(values.mean())
    if np.isin(values, (0, 1)).all():
        return hypergeometric_interval(int(values.sum()), len(values), total, level)
    (interval,) = mean_intervals([values], [str(index) for index in range(len(values))], level=level)
    assert interval is not None  # values between 0 and 1 always have one
    return finite_correction(interval, float(values.mean()), len(values), total)


def _clustered(residuals_n: Floats, value: float, clusters: Sequence[str], level: float) -> tuple[float, float]:
    """Return Wilson's interval with the effective number of items, from the sum of weighted residuals by cluster."""
    sums_CK, counts_CK, steps_K = cluster_totals([residuals_n], clusters)
    sums_C = sums_CK[:, 0] * steps_K[0]
    variance = variance_of_sum(sums_C)
    if variance <= 1e-24 or not 0 < value < 1:
        return value, value
    quantile = t_quantile(level, degrees_of_freedom(sums_C, counts_CK[:, 0]))
    return score_interval(value, value * (1 - value) / variance, quantile)


def _alone(values_n: Floats, clusters: Sequence[str], total: int, level: float) -> tuple[float, float]:
    """Return the interval without predictions."""
    if len(set(clusters)) == len(values_n):
        return _interval(values_n, total, level)
    (interval,) = mean_intervals([values_n], clusters, level=level)
    assert interval is not None  # values between 0 and 1 always have one
    return finite_correction(interval, float(values_n.mean()), len(values_n), total)


def _check(
    values_n: Floats,
    groups_n: GroupNumbers,
    counts_H: NDArray[np.intp],
    sizes_H: Sequence[int],
    clusters: Sequence[str],
) -> None:
    if not len(values_n) == len(groups_n) == len(clusters) or not len(values_n):
        raise ValueError(
            f"{len(values_n)} values, {len(groups_n)} groups and {len(clusters)} clusters: expected equal numbers"
        )
    if not ((values_n >= 0) & (values_n <= 1)).all():
        raise ValueError("a value is not between 0 and 1")
    if len(counts_H) > len(sizes_H) or (counts_H > np.asarray(sizes_H)).any():
        raise ValueError(f"groups of {counts_H.tolist()} items cannot be part of groups of {list(sizes_H)}")
