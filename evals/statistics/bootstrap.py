"""Confidence intervals from the cluster bootstrap, and Wilson's interval for proportions.

The scores of one cluster (for example, the questions about one image) are correlated. Whole clusters are therefore
resampled; resampling single items would make the intervals too narrow. Where no interval exists, the result is None.

Letters in array names: N items, C clusters, K columns, M counts, U distinct rows, G groups, B resamples, D resamples
drawn at once.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Interval = tuple[float, float] | None
"""Lower and upper end, or None where the data do not allow one."""

RESAMPLES = 10_000
LEVEL = 0.95
_SEED = 20_170_415
_CHUNK = 1 << 22
"""Cluster draws per chunk: 32 MiB of counts."""
_WEIGHTS_CHUNK = 1 << 19
"""Item weights per chunk: 4 MiB, so that the arrays computed from them stay in the processor cache."""
_EXACT_BITS = 52
"""A float64 adds whole numbers up to 2 to this power exactly, in any order."""


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
    sums_CK, counts_CK, steps_K = _by_cluster(values, clusters, [None] * len(values) if masks is None else masks)
    drawn_sums_BK, drawn_counts_BK = _resample(sums_CK, counts_CK, resamples)
    spread_K = np.count_nonzero(counts_CK, axis=0) > 1
    return [
        percentile_interval(sums[counts > 0] / counts[counts > 0] * step, level) if spread else None
        for sums, counts, step, spread in zip(drawn_sums_BK.T, drawn_counts_BK.T, steps_K, spread_K, strict=True)
    ]


def resampled_totals(
    values: Sequence[Floats], clusters: Sequence[str], *, resamples: int = RESAMPLES
) -> tuple[Floats, Floats]:
    """Sum columns over resampled clusters, for statistics that are functions of sums (a ratio, an error reduction).

    Args:
        values: K columns of N finite values.
        clusters: N cluster names; items with the same name are drawn together.
        resamples: number of resamples B.

    Returns:
        The sum of each column in each resample, (B, K), and the number of items in each resample, (B,).

    Raises:
        ValueError: for the same reasons as in `cluster_bootstrap`.

    Example:
        >>> sums, sizes = resampled_totals([np.ones(3), np.zeros(3)], ["a", "a", "b"], resamples=5)
        >>> bool((sums[:, 0] == sizes).all()), float(sums[:, 1].max())
        (True, 0.0)
    """
    sums_CK, counts_CK, steps_K = _by_cluster(values, clusters, [None] * len(values))
    drawn_BK, sizes_BK = _resample(sums_CK, counts_CK, resamples)
    return drawn_BK * steps_K, sizes_BK[:, 0]


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
    names, codes_N = np.unique(np.array(list(clusters)), return_inverse=True)
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
    names, codes_N = np.unique(np.array(list(clusters)), return_inverse=True)
    generator = _generator(stream)
    at_once = max(1, _WEIGHTS_CHUNK // len(codes_N))
    for start in range(0, resamples, at_once):
        picks_DC = generator.integers(0, len(names), size=(min(at_once, resamples - start), len(names)))
        times_DC = np.stack([np.bincount(picks, minlength=len(names)) for picks in picks_DC])
        yield times_DC[:, codes_N].astype(np.float64)


def two_level_indices(sizes: Sequence[int], stream: str, *, resamples: int = 2_000) -> NDArray[np.intp]:
    """Draw indices for a bootstrap of two levels: groups, and members within each drawn group.

    A resample draws G of the G groups with replacement and, from each drawn group, as many members as the largest
    group has, so that every group has the same weight. This covers variation between groups and within groups.

    Args:
        sizes: the number of members of each group (for example, the repetitions of each process), at least one each.
        stream: name of the random stream; streams with different names are independent.
        resamples: number of resamples B.

    Returns:
        Indices into the concatenated values of all groups, (B, G x largest size).

    Source: Kalibera and Jones, Rigorous benchmarking in reasonable time, ISMM (2013).

    Example:
        >>> values = np.array([1.0, 1.1, 2.0, 2.1, 3.0, 3.1])
        >>> low, high = percentile_interval(np.median(values[two_level_indices([2, 2, 2], "example")], axis=-1))
        >>> low < 1.6 and high > 2.5
        True
    """
    generator, groups, largest = _generator(stream), len(sizes), max(sizes)
    starts_G, sizes_G = np.cumsum([0, *sizes[:-1]]), np.array(sizes)
    picked_BG = generator.integers(0, groups, size=(resamples, groups))
    within_BGM = generator.random((resamples, groups, largest)) * sizes_G[picked_BG][:, :, None]
    indices_BM: NDArray[np.intp] = (starts_G[picked_BG][:, :, None] + within_BGM.astype(np.intp)).reshape(resamples, -1)
    return indices_BM


def percentile_interval(values_B: Floats, level: float = LEVEL) -> Interval:
    """Compute the percentile interval of the resampled values of a statistic; None if they do not vary."""
    if not len(values_B) or values_B.min() == values_B.max():
        return None
    low, high = np.quantile(values_B, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


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
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return low, high


def _by_cluster(
    values: Sequence[Floats], clusters: Sequence[str], masks: Sequence[Mask | None]
) -> tuple[Floats, Floats, Floats]:
    """Sum columns by cluster: sums in whole grid steps and item counts, both (C, K), and the step sizes (K)."""
    names = {name: code for code, name in enumerate(sorted(set(clusters)))}
    codes_N = np.fromiter((names[name] for name in clusters), dtype=np.intp, count=len(clusters))
    totals = [_totals(column, mask, codes_N, len(names)) for column, mask in zip(values, masks, strict=True)]
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
