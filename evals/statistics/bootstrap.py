"""Intervals: how far a number may be off because the benchmark is a sample.

Scores of one cluster (the questions of one image) rise and fall together, so whole clusters are resampled; taking the
questions one by one would make intervals too narrow. Nothing here invents a number: what has no interval gets None.

Letters in the names of arrays: N items, C clusters, K columns, M counts, B resamples, D resamples drawn at once.
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
"""Lower and upper end, or None where the data allow none."""

RESAMPLES = 10_000
LEVEL = 0.95
_SEED = 20_170_415
_CHUNK = 1 << 22
"""Clusters drawn at once: 32 MiB of counts."""
_WEIGHTS_CHUNK = 1 << 19
"""Weights of items handed out at once: 4 MiB, so that what is computed from them stays in the cache."""
_EXACT_BITS = 52
"""Whole numbers up to 2 to this power add up exactly in a float64, in any order."""


def cluster_bootstrap(
    values: Sequence[Floats],
    clusters: Sequence[str],
    masks: Sequence[Mask | None] | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> list[Interval]:
    """Give percentile intervals for the means of many columns, from one set of resampled clusters.

    A resample draws as many clusters as there are, with replacement; a column's mean in it is the sum of the drawn
    items over their number. A resample that holds no item of a column's subset says nothing of that column and is left
    out of its percentiles. The same arguments give the same bits on any number of threads and in any order of the
    items: values are rounded to a grid so fine (2^-20 of the largest, or finer) that no sum of them is ever rounded.

    Args:
        values: K columns of N finite values.
        clusters: N names; items of one name are drawn together.
        masks: for each column the items that it is about, or None for all of them.
        resamples: how many times the clusters are drawn.
        level: the share of resampled means between the two ends.

    Returns:
        For each column its interval. None where there is none: all items of the column lie in one cluster, or every
        resample has the same mean (all values are equal), so that nothing shows how it might vary.

    Raises:
        ValueError: no item, a column of another length or without items, or a value that is not finite.

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
    """Draw whole clusters again and again and sum columns, for statistics of a few sums (a ratio, a share of errors).

    Args:
        values: K columns of N finite values.
        clusters: N names; items of one name are drawn together.
        resamples: how many times the clusters are drawn.

    Returns:
        The columns' sums in each resample, (B, K), and the number of items in each, (B,).

    Raises:
        ValueError: as `cluster_bootstrap` does.

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
    """Draw whole clusters again and again and sum their items' counts, for statistics of a few counts.

    Clusters with the same totals are alike, and of the labels of a classification there are only a few kinds. So what
    is drawn is how often each kind comes, one multinomial draw a resample, whatever the number of items.

    Args:
        counts_NM: each item's whole numbers, for example a one in the cell of its label and answer.
        clusters: N names; items of one name are drawn together.
        stream: what is resampled; streams of different names are independent.
        resamples: how many times the clusters are drawn.

    Returns:
        The sums of each resample, (B, M), whole numbers.

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
    """Draw whole clusters again and again, for statistics of all items.

    Args:
        clusters: N names; items of one name are drawn together.
        stream: what is resampled; streams of different names are independent.
        resamples: how many times the clusters are drawn.

    Yields:
        How often each item is in each of the next resamples, (D, N); B of them in all.

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
    """Draw groups again and again, and members of each, for statistics of values that come in groups.

    What varies more, from group to group or within one, need not be known: a resample draws as many groups as there
    are, with replacement, and of each that is drawn as many members as the largest has, so that groups weigh the same.

    Args:
        sizes: how many members each group has (the repetitions of each process), at least one.
        stream: what is resampled; streams of different names are independent.
        resamples: how many are drawn.

    Returns:
        Places in the groups' values, joined in order: (B, groups x the largest size).

    Source: Kalibera and Jones, Rigorous benchmarking in reasonable time, ISMM (2013).

    Example:
        >>> values = np.array([1.0, 1.1, 2.0, 2.1, 3.0, 3.1])
        >>> low, high = percentile_interval(np.median(values[two_level_indices([2, 2, 2], "example")], axis=-1))
        >>> low < 1.6 and high > 2.5
        True
    """
    generator, groups, most = _generator(stream), len(sizes), max(sizes)
    starts_G, sizes_G = np.cumsum([0, *sizes[:-1]]), np.array(sizes)
    picked_BG = generator.integers(0, groups, size=(resamples, groups))
    within_BGM = generator.random((resamples, groups, most)) * sizes_G[picked_BG][:, :, None]
    places: NDArray[np.intp] = (starts_G[picked_BG][:, :, None] + within_BGM.astype(np.intp)).reshape(resamples, -1)
    return places


def percentile_interval(values_B: Floats, level: float = LEVEL) -> Interval:
    """Take the percentile interval of a statistic's resampled values, or None when they do not vary."""
    if not len(values_B) or values_B.min() == values_B.max():
        return None
    low, high = np.quantile(values_B, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Give Wilson's score interval for a proportion of independent trials.

    Args:
        successes: how many of the trials succeeded, or the sum of their scores between 0 and 1, for which the interval
            is wide enough: no scores of one mean vary more than zeros and ones.
        n: how many trials there were.
        level: the confidence level.

    Returns:
        The lower and the upper end, within [0, 1].

    Raises:
        ValueError: there are no trials, or more successes than trials, or fewer than none.

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
    """Sum columns by cluster: sums in whole grid steps and numbers of items, both (C, K), and the steps' sizes."""
    names = {name: code for code, name in enumerate(sorted(set(clusters)))}
    codes_N = np.fromiter((names[name] for name in clusters), dtype=np.intp, count=len(clusters))
    totals = [_totals(column, mask, codes_N, len(names)) for column, mask in zip(values, masks, strict=True)]
    sums, counts, steps = zip(*totals, strict=True)
    return np.stack(sums, axis=1), np.stack(counts, axis=1), np.array(steps)


def _totals(
    values_N: Floats, mask_N: Mask | None, codes_N: NDArray[np.intp], clusters: int
) -> tuple[Floats, Floats, float]:
    """Sum a column by cluster: sums in whole grid steps, numbers of items, and the size of a step."""
    if len(values_N) != len(codes_N) or (mask_N is not None and len(mask_N) != len(codes_N)):
        raise ValueError(f"a column has {len(values_N)} values for {len(codes_N)} items")
    if mask_N is not None:
        values_N, codes_N = values_N[mask_N], codes_N[mask_N]
    if not len(values_N):
        raise ValueError("a column has no items: there is no mean to give an interval for")
    if not np.isfinite(values_N).all():
        raise ValueError("a column has a value that is not finite")
    counts_C = np.bincount(codes_N, minlength=clusters).astype(np.float64)
    # No resample can sum to more than its C clusters would if each were the largest, full of the largest value.
    bound = float(np.abs(values_N).max()) * counts_C.max() * clusters
    step = 2.0 ** max(math.frexp(bound)[1] - _EXACT_BITS, sys.float_info.min_exp)
    sums_C = np.bincount(codes_N, weights=np.rint(values_N / step), minlength=clusters).astype(np.float64)
    return sums_C, counts_C, step


def _resample(sums_CK: Floats, counts_CK: Floats, resamples: int) -> tuple[Floats, Floats]:
    """Draw the clusters again and again; return each column's sums and numbers of items, both (B, K).

    How often each cluster is drawn is one matrix (D, C), and its product with the totals is all the rest. The product
    gets one thread: on cores that something else is using, threads that wait for each other take ten times as long.
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
