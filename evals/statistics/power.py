"""What a test set of some size can tell: sizes, z and the smallest difference that would show.

Proportions of two independent samples of the same size; unequal variances, so no pooling. A paired comparison on the
same items needs fewer, which is why `evals.statistics.paired` is preferred wherever both outputs are at hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

LEVEL = 0.95
POWER = 0.80
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class ProportionComparison:
    """Whether two proportions can be told apart."""

    z: float | None
    """The difference in standard errors at the size that was asked about, or None without one."""
    p: float | None
    """Two-sided."""
    n_for_significance: int
    """Items a side from which this difference, if it is seen, is significant."""
    n_for_power: int
    """Items a side from which it is found significant four times in five, if it is real."""


def compare_proportions(
    first: float, second: float, n: int | None = None, *, level: float = LEVEL, power: float = POWER
) -> ProportionComparison:
    """Say what size of test set tells two proportions apart, and what a given size says of them.

    Args:
        first: a proportion, strictly between 0 and 1.
        second: another.
        n: items a side, or None.
        level: of confidence.
        power: the chance to find a difference that is there.

    Raises:
        ValueError: the proportions are equal or not proportions, or n is not positive.

    Source: Fleiss, Levin and Paik, Statistical methods for rates and proportions (2003), chapter 4, without the
    continuity correction.

    Example:
        >>> compare_proportions(0.892, 0.875, 872)  # doctest: +ELLIPSIS
        ProportionComparison(z=1.1068..., p=0.268..., n_for_significance=2735, n_for_power=5587)
    """
    if not (0 < first < 1 and 0 < second < 1) or first == second or (n is not None and n < 1):
        raise ValueError(f"proportions {first} and {second} at n = {n}: expected two different ones between 0 and 1")
    variance = first * (1 - first) + second * (1 - second)
    gap = abs(first - second)
    alpha, beta = _NORMAL.inv_cdf((1 + level) / 2), _NORMAL.inv_cdf(power)
    z = None if n is None else gap / math.sqrt(variance / n)
    return ProportionComparison(
        z=z,
        p=None if z is None else 2 * _NORMAL.cdf(-z),
        n_for_significance=math.ceil(alpha**2 * variance / gap**2),
        n_for_power=math.ceil((alpha + beta) ** 2 * variance / gap**2),
    )


def minimum_detectable(error: float, *, level: float = LEVEL, power: float = POWER) -> float:
    """Give the smallest true difference that is found significant with some power, from its standard error.

    Args:
        error: the standard error of the estimated difference, in its unit.
        level: of confidence, two-sided.
        power: the chance to find the difference.

    Example:
        >>> round(minimum_detectable(0.01), 4)
        0.028
    """
    if not error >= 0:
        raise ValueError(f"a standard error of {error}: expected 0 or more")
    return error * (_NORMAL.inv_cdf((1 + level) / 2) + _NORMAL.inv_cdf(power))


def successes_needed(share: float, *, level: float = LEVEL) -> int:
    """Count the trials that must all succeed to show, one-sided, that at least a share of all would.

    Example:
        >>> successes_needed(0.99)
        299
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share}: expected one between 0 and 1")
    return math.ceil(math.log(1 - level) / math.log(share))


def attainable_count(low: Fraction | float, high: Fraction | float, items: int) -> int | None:
    """Find a number of items whose share lies between two ends, the nearest to their middle, or None (GRIM).

    Source: Brown and Heathers, The GRIM test, Social Psychological and Personality Science 8 (2017).

    Example:
        >>> attainable_count(Fraction(9145, 10000), Fraction(9155, 10000), 872)
        798
        >>> attainable_count(Fraction(9145, 10000), Fraction(9155, 10000), 277) is None
        True
    """
    if items < 1:
        raise ValueError(f"{items} items: expected 1 or more")
    middle = (low + high) / 2 * items
    near = sorted({math.floor(middle), math.ceil(middle)}, key=lambda count: abs(count - middle))
    return next((count for count in near if low * items <= count <= high * items), None)
