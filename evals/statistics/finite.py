"""Intervals of a share of a finite set, of which some items are known: a random subset of a split.

    hypergeometric_interval(right, n, total)       items that are right or wrong, each on its own: exact
    finite_correction(interval, value, n, total)   other means: the interval of an infinite population, narrowed

Both lie within what is possible: the known items are right as often as they are, and the others are all right or all
wrong.
"""

from __future__ import annotations

import math

from evals.statistics.intervals import LEVEL


def hypergeometric_interval(right: int, n: int, total: int, level: float = LEVEL) -> tuple[float, float]:
    """Compute the exact interval for the share of right items of a set, from a random subset of it.

    Args:
        right: the number of right items in the subset.
        n: the number of items of the subset.
        total: the number of items of the set, at least `n`.
        level: confidence level, between 0 and 1.

    Returns:
        The smallest and the largest share that neither one-sided test rejects. The interval covers the true share in at
        least `level` of all subsets, whatever that share is.

    Raises:
        ValueError: the numbers do not fit each other.

    Source: Wright, Exact confidence bounds when sampling from small finite universes (1991).

    Example:
        >>> hypergeometric_interval(80, 99, 100)
        (0.8, 0.81)
        >>> [round(end, 3) for end in hypergeometric_interval(40, 50, 1000)]
        [0.667, 0.897]
    """
    if not (0 <= right <= n <= total and n):
        raise ValueError(f"{right} right of {n} items of {total}: expected 0 <= right <= n <= total and n >= 1")
    most_wrong = _largest(n - right, n, total, level)
    return (total - most_wrong) / total, _largest(right, n, total, level) / total


def _largest(right: int, n: int, total: int, level: float) -> int:
    """Return the largest number of right items in the set for which so few in the subset are not improbable.

    One of the unknown items may always be right, so that no interval says that the share is known.
    """
    from scipy.stats import hypergeom

    low, high = min(right + 1, right + total - n), right + total - n  # `low` is possible
    while low < high:
        middle = (low + high + 1) // 2
        if hypergeom.cdf(right, total, middle, n) > (1 - level) / 2:
            low = middle
        else:
            high = middle - 1
    return low


def finite_correction(interval: tuple[float, float], value: float, n: int, total: int) -> tuple[float, float]:
    """Narrow the interval of a mean of values between 0 and 1 for a finite set, of which n of N items are known.

    Both sides are multiplied by sqrt(1 - n / N), the finite population correction. They are then widened by half an
    item of the set, since few unknown items are no normal variable.

    Source: Cochran, Sampling techniques (1977), sections 2.6 and 2.15.

    Example:
        >>> [round(end, 4) for end in finite_correction((0.71, 0.87), 0.8, 99, 100)]
        [0.792, 0.802]
    """
    shrink, half = math.sqrt(1 - n / total), 0.5 / total
    low, high = value - shrink * (value - interval[0]) - half, value + shrink * (interval[1] - value) + half
    return max(low, value * n / total), min(high, (value * n + total - n) / total)
