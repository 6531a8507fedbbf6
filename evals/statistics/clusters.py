"""Sums by cluster, and how many degrees of freedom their variance has.

The scores of one cluster (for example, the questions about one image) are correlated, so the clusters and not the items
are the units of every interval and test.

Letters in array names: N items, C clusters, K columns.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_EXACT_BITS = 52
"""A float64 adds whole numbers up to 2 to this power exactly, in any order."""


def cluster_totals(
    values: Sequence[Floats], clusters: Sequence[str], masks: Sequence[Mask | None] | None = None
) -> tuple[Floats, Floats, Floats]:
    """Sum columns by cluster.

    The sums do not depend on the order of the items: values are rounded to a grid that is fine enough (2^-20 of the
    largest value, or finer) for every sum to be exact.

    Args:
        values: K columns of N finite values.
        clusters: N cluster names.
        masks: for each column, the items that belong to it, or None for all of them.

    Returns:
        Sums in whole grid steps and item counts, both (C, K), and the step sizes, (K,). Clusters are in the order of
        their names.

    Raises:
        ValueError: there are no items, a column has another length or no items, or a value is not finite.

    Example:
        >>> sums_CK, counts_CK, steps_K = cluster_totals([np.array([1.0, 0.0, 1.0])], ["b", "a", "b"])
        >>> (sums_CK * steps_K).tolist(), counts_CK.tolist()
        ([[0.0], [2.0]], [[1.0], [2.0]])
    """
    names = {name: code for code, name in enumerate(sorted(set(clusters)))}
    codes_N = np.fromiter((names[name] for name in clusters), dtype=np.intp, count=len(clusters))
    columns = zip(values, [None] * len(values) if masks is None else masks, strict=True)
    totals = [_totals(column, mask, codes_N, len(names)) for column, mask in columns]
    sums, counts, steps = zip(*totals, strict=True)
    return np.stack(sums, axis=1), np.stack(counts, axis=1), np.array(steps)


def _totals(
    values_N: Floats, mask_N: Mask | None, codes_N: NDArray[np.intp], clusters: int
) -> tuple[Floats, Floats, float]:
    """Sum one column by cluster: sums in whole grid steps, item counts, and the step size."""
    if len(values_N) != len(codes_N) or (mask_N is not None and len(mask_N) != len(codes_N)):
        raise ValueError(f"a column has {len(values_N)} values for {len(codes_N)} items")
    if mask_N is not None:
        values_N, codes_N = values_N[mask_N], codes_N[mask_N]
    if not len(values_N):
        raise ValueError("a column has no items, so its mean has no interval")
    if not np.isfinite(values_N).all():
        raise ValueError("a column has a value that is not finite")
    counts_C = np.bincount(codes_N, minlength=clusters).astype(np.float64)
    # Upper bound of any resampled sum: C clusters of the largest size, in which every item has the largest value.
    bound = float(np.abs(values_N).max()) * counts_C.max() * clusters
    step = 2.0 ** max(math.frexp(bound)[1] - _EXACT_BITS, sys.float_info.min_exp)
    sums_C = np.bincount(codes_N, weights=np.rint(values_N / step), minlength=clusters).astype(np.float64)
    return sums_C, counts_C, step


def freedom_by_size(sizes_C: Floats) -> float:
    """Return the degrees of freedom of the squared residuals of a ratio of sums, `sums - ratio * sizes`.

    They are those of clusters whose sums vary as their sizes do (items of a cluster are alike): C - 1 with equal sizes,
    and fewer where a few clusters hold most items.

    Args:
        sizes_C: the size of each cluster, positive; at least two clusters.

    Source: Bell and McCaffrey, Bias reduction in standard errors for linear regression with multi-stage samples, Survey
    Methodology 28 (2002).

    Example:
        >>> round(freedom_by_size(np.array([4.0, 4.0, 4.0])), 3), round(freedom_by_size(np.array([1.0, 1.0, 10.0])), 3)
        (2.0, 1.312)
    """
    weights_C, variances_C = sizes_C / sizes_C.sum(), np.square(sizes_C / sizes_C.max())
    total, squared, mixed = variances_C.sum(), (weights_C**2).sum(), (weights_C * variances_C).sum()
    # The residuals' covariance is V - w v' - v w' + sum(v) w w'; these are its trace and its squared norm.
    trace = total - 2 * mixed + total * squared
    norm = (variances_C**2).sum() + 2 * (squared * (variances_C**2).sum() + mixed**2) + (total * squared) ** 2
    norm += 2 * total * (variances_C * weights_C**2).sum() - 4 * (variances_C**2 * weights_C).sum()
    norm -= 4 * total * squared * mixed
    return float(max(1.0, trace**2 / norm))


def variance_of_sum(residuals_C: Floats) -> float:
    """Return the variance of a sum over clusters, from residuals about its model; at least two clusters.

    Example:
        >>> variance_of_sum(np.array([1.0, -1.0]))
        4.0
    """
    return float(np.square(residuals_C).sum()) * len(residuals_C) / (len(residuals_C) - 1)


def degrees_of_freedom(residuals_C: Floats, sizes_C: Floats) -> float:
    """Return the degrees of freedom of the sum of squared residuals, at least 1.

    It is the smaller of two numbers: that of `freedom_by_size`, and twice the squared mean of the squared residuals
    over their variance. The latter is C for normal residuals, and about twice the number of clusters that vary where
    few do (an accuracy of 98 %).

    Example:
        >>> degrees_of_freedom(np.array([1.0, -1.0, 1.0, -1.0]), np.ones(4)).__round__(6)
        3.0
        >>> rare = np.array([1.0] * 4 + [-0.02] * 196)
        >>> round(degrees_of_freedom(rare, np.ones(200)), 1)
        8.5
    """
    squares_C = np.square(residuals_C)
    variation = float(np.square(squares_C).sum() - squares_C.sum() ** 2 / len(squares_C))
    by_size = freedom_by_size(sizes_C)
    scale = float(squares_C.sum() ** 2)
    return by_size if variation <= 1e-12 * scale else max(1.0, min(by_size, 2 * scale / variation))
