"""Exact tests of two systems that are right or wrong on the same items.

    mcnemar(a, b)       for independent items
    sign_flips(sums)    for clustered items: wins minus losses by cluster

Letters in array names: N items, C clusters, U distinct sizes.
"""

from __future__ import annotations

import numpy as np

from evals.statistics.clusters import Floats


def mcnemar(a_N: Floats, b_N: Floats) -> float:
    """Compute the exact two-sided p-value of McNemar's test of equal wins and losses on the same independent items.

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


def sign_flips(sums_C: Floats) -> float:
    """Compute the exact two-sided p-value of the hypothesis that each cluster's difference could have either sign.

    Args:
        sums_C: for each cluster, its wins minus its losses: whole numbers.

    Returns:
        The share of all 2^C choices of signs whose sum is at least as far from zero. For clusters of one item this is
        McNemar's exact test.

    Raises:
        ValueError: a sum is not a whole number.

    Source: Fisher, The Design of Experiments (1935), section 21; McNemar, Psychometrika 12 (1947).

    Example:
        >>> round(sign_flips(np.array([1.0] * 8 + [-1.0, 0.0])), 7)
        0.0390625
        >>> round(sign_flips(np.array([3.0, 2.0, 2.0, 1.0])), 7)
        0.125
    """
    whole_C = np.rint(sums_C).astype(np.int64)
    if not np.array_equal(whole_C, sums_C):
        raise ValueError("sign flips need whole numbers: the wins minus the losses of each cluster")
    sizes_U, counts_U = np.unique(np.abs(whole_C[whole_C != 0]), return_counts=True)
    if not len(sizes_U):
        return 1.0
    from scipy.signal import fftconvolve
    from scipy.stats import binom

    chances = np.ones(1)
    for size, count in zip(sizes_U.tolist(), counts_U.tolist(), strict=True):
        steps = np.zeros(2 * size * count + 1)
        steps[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = steps if len(chances) == 1 else fftconvolve(chances, steps).clip(min=0)
    totals = np.arange(len(chances)) - len(chances) // 2
    return float(min(1.0, chances[np.abs(totals) >= abs(int(whole_C.sum()))].sum()))
