"""Confidence intervals from the cluster bootstrap, for statistics that are not means (F1, correlations, median ranks).

The scores of one cluster (for example, the questions about one image) are correlated. Whole clusters are therefore
resampled; resampling single items would make the intervals too narrow. Where no interval exists, the result is None.

Letters in array names: N items, C clusters, K columns, M counts, U distinct rows, B resamples, D resamples drawn at
once.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from evals.statistics.clusters import Floats, Mask, cluster_totals
from evals.statistics.intervals import LEVEL, Interval

RESAMPLES = 10_000
_SEED = 20_170_415
_CHUNK = 1 << 22
"""Cluster draws per chunk: 32 MiB of counts."""
_WEIGHTS_CHUNK = 1 << 19
"""Item weights per chunk: 4 MiB, so that the arrays computed from them stay in the processor cache."""


def cluster_bootstrap(
    values: Sequence[Floats],
    clusters: Sequence[str],
    masks: Sequence[Mask | None] | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> list[Interval]:
    """Compute percentile intervals for the means of several columns from one set of resampled clusters.

    Each resample draws C of the C clusters with replacement. A column's mean in a resample is the sum of the drawn
    items divided by their number. A resample without any item of a column's subset is left out of that column's
    percentiles. The result is bitwise identical for any number of threads and any order of the items: values are
    rounded to a grid that is fine enough (2^-20 of the largest value, or finer) for every sum to be exact.

    Args:
        values: K columns of N finite values.
        clusters: N cluster names; items with the same name are drawn together.
        masks: for each column, the items that belong to it, or None for all of them.
        resamples: number of resamples.
        level: confidence level, between 0 and 1.

    Returns:
        One interval per column. It is None if all items of the column lie in one cluster, or if every resample has
        the same mean (for example because all values are equal).

    Raises:
        ValueError: there are no items, a column has another length or no items, or a value is not finite.

    Source: Field and Welsh, Bootstrapping clustered data, J. R. Statist. Soc. B 69 (2007), the cluster bootstrap.

    Example:
        >>> right = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
        >>> low, high = cluster_bootstrap([right], ["a", "a", "b", "b", "c", "c"])[0]
        >>> low, high
        (0.0, 1.0)
        >>> cluster_bootstrap([right], ["a"] * 6)
        [None]
    """
    sums_CK, counts_CK, steps_K = cluster_totals(values, clusters, masks)
    drawn_sums_BK, drawn_counts_BK = _resample(sums_CK, counts_CK, resamples)
    spread_K = np.count_nonzero(counts_CK, axis=0) > 1
    return [
        percentile_interval(sums[counts > 0] / counts[counts > 0] * step, level) if spread else None
        for sums, counts, step, spread in zip(drawn_sums_BK.T, drawn_counts_BK.T, steps_K, spread_K, strict=True)
    ]


def resampled_counts(
    counts_NM: NDArray[np.integer], clusters: Sequence[str], stream: str, *, resamples: int = RESAMPLES
) -> Floats:
    """Sum integer counts over resampled clusters, for statistics that are functions of counts.

    Clusters with equal totals are interchangeable, and a classification has few distinct totals. Each resample is
    therefore one multinomial draw over the distinct totals, whatever the number of items.

    Args:
        counts_NM: integer counts of each item, for example a one in the cell of its target and answer.
        clusters: N cluster names; items with the same name are drawn together.
        stream: name of the random stream; streams with different names are independent.
        resamples: number of resamples B.

    Returns:
        The sums of each resample, (B, M), as whole numbers.

    Example:
        >>> resampled_counts(np.array([[1, 0], [1, 0], [0, 1]]), ["a", "b", "c"], "example").mean(axis=0).round(1)
        array([2., 1.])
    """
    names, codes_N = _codes(clusters)
    totals_CM = np.zeros((len(names), counts_NM.shape[1]))
    np.add.at(totals_CM, codes_N, counts_NM)
    kinds_UM, common_U = np.unique(totals_CM, axis=0, return_counts=True)
    drawn_BU = _generator(stream).multinomial(len(names), common_U / len(names), size=resamples)
    return drawn_BU @ kinds_UM


def resampled_weights(clusters: Sequence[str], stream: str, *, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Yield how often each item is drawn, for statistics that need all items of a resample.

    Args:
        clusters: N cluster names; items with the same name are drawn together.
        stream: name of the random stream; streams with different names are independent.
        resamples: number of resamples B.

    Yields:
        The number of times that each item occurs in each of the next D resamples, (D, N); B resamples in total.

    Example:
        >>> weights_DN = next(resampled_weights(["a", "a", "b"], "example", resamples=4))
        >>> weights_DN.shape, bool((weights_DN[:, 0] + weights_DN[:, 2] == 2).all())
        ((4, 3), True)
    """
    names, codes_N = _codes(clusters)
    generator = _generator(stream)
    at_once = max(1, _WEIGHTS_CHUNK // len(codes_N))
    for start in range(0, resamples, at_once):
        picks_DC = generator.integers(0, len(names), size=(min(at_once, resamples - start), len(names)))
        times_DC = np.stack([np.bincount(picks, minlength=len(names)) for picks in picks_DC])
        yield times_DC[:, codes_N].astype(np.float64)


def percentile_interval(values_B: Floats, level: float = LEVEL) -> Interval:
    """Compute the percentile interval of the resampled values of a statistic; None if they do not vary."""
    if not len(values_B) or values_B.min() == values_B.max():
        return None
    low, high = np.quantile(values_B, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resample(sums_CK: Floats, counts_CK: Floats, resamples: int) -> tuple[Floats, Floats]:
    """Resample the clusters and return the sums and item counts of each column, both (B, K).

    The matrix (D, C) holds how often each cluster is drawn; its product with the totals gives all sums. The product
    uses one thread: on busy cores, threads that wait for each other take ten times as long.
    """
    clusters, columns = sums_CK.shape
    totals = np.concatenate([sums_CK, counts_CK], axis=1)
    generator = np.random.Generator(np.random.PCG64(_SEED))
    drawn = np.empty((resamples, 2 * columns))
    at_once = max(1, _CHUNK // clusters)
    times_DC = np.empty((at_once, clusters))
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        picks_DC = generator.integers(0, clusters, size=(size, clusters), dtype=np.uint32)
        for row, picks in enumerate(picks_DC):
            times_DC[row] = np.bincount(picks, minlength=clusters)
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            np.matmul(times_DC[:size], totals, out=drawn[start : start + size])
    return drawn[:, :columns], drawn[:, columns:]


def _generator(stream: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([_SEED, zlib.crc32(stream.encode())]))


def _codes(clusters: Sequence[str]) -> tuple[NDArray[np.str_], NDArray[np.intp]]:
    """Return the clusters in their order, and the number of each item's."""
    ended = np.array([f"{name}\x01" for name in clusters])  # NumPy's texts lose the zeros at their end
    names, codes_N = np.unique(ended, return_inverse=True)
    return names, codes_N
