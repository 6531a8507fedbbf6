"""Power analysis: sample sizes, z statistics and the smallest detectable difference.

The functions compare the proportions of two independent samples of the same size, with unpooled variances. A paired
comparison on the same items needs fewer items; use `evals.statistics.paired` when the outputs of both systems exist.
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
    """Test and sample sizes for the difference between two proportions."""

    z: float | None
    """The difference divided by its standard error at the given sample size; None without a sample size."""
    p: float | None
    """Two-sided p-value; None without a sample size."""
    n_for_significance: int
    """Smallest number of items per sample at which this observed difference is significant."""
    n_for_power: int
    """Smallest number of items per sample at which this true difference is found with the requested power."""


def compare_proportions(
    first: float, second: float, n: int | None = None, *, level: float = LEVEL, power: float = POWER
) -> ProportionComparison:
    """Compute the sample sizes that distinguish two proportions, and the test at a given sample size.

    Args:
        first: a proportion, strictly between 0 and 1.
        second: another proportion, strictly between 0 and 1.
        n: the number of items per sample, or None.
        level: confidence level, between 0 and 1.
        power: the probability of finding a difference that exists.

    Raises:
        ValueError: the proportions are equal or out of range, or `n` is not positive.

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


def minimum_detectable(
    standard_error: float, freedom: float = math.inf, *, level: float = LEVEL, power: float = POWER
) -> float:
    """Compute the smallest true difference that is found significant with a given power.

    Args:
        standard_error: the standard error of the estimated difference, in its unit; 0 or more.
        freedom: the degrees of freedom of the standard error, for Student's t test.
        level: confidence level of the two-sided test.
        power: the probability of finding the difference.

    Raises:
        ValueError: `standard_error` is negative or not a number.

    Example:
        >>> round(minimum_detectable(0.01), 4), round(minimum_detectable(0.01, 4), 4)
        (0.028, 0.0372)
    """
    if not standard_error >= 0:
        raise ValueError(f"a standard error of {standard_error}: expected 0 or more")
    if math.isinf(freedom):
        return standard_error * (_NORMAL.inv_cdf((1 + level) / 2) + _NORMAL.inv_cdf(power))
    from scipy.special import stdtrit

    return standard_error * float(stdtrit(freedom, (1 + level) / 2) + stdtrit(freedom, power))


def detectable_by_mcnemar(discordant: int, n: int, *, level: float = LEVEL, power: float = POWER) -> float | None:
    """Compute the smallest true difference that McNemar's exact test finds significant with a given power.

    Args:
        discordant: the number of items on which exactly one of two systems was right; other items are assumed to be so
            equally often, or as often as the difference requires.
        n: the number of items, each independent of the others; at least `discordant`.
        level: confidence level of the two-sided test.
        power: the probability of finding the difference.

    Returns:
        The difference of the two shares of right items; None if the test has too few items to find any.

    Raises:
        ValueError: the numbers do not fit each other.

    Source: Duffy, Asymptotic and exact power for the McNemar test and its analogue with R controls per case,
    Biometrics 40 (1984): the binomial power, averaged over the number of discordant items.

    Example:
        >>> round(detectable_by_mcnemar(40, 200), 3), detectable_by_mcnemar(0, 5)
        (0.091, None)
    """
    if not 0 <= discordant <= n or n == 0:
        raise ValueError(f"{discordant} discordant of {n} items: expected 0 <= discordant <= n and n >= 1")
    if mcnemar_power(1.0, discordant / n, n, level) < power:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if mcnemar_power(middle, discordant / n, n, level) >= power else (middle, high)
    return high


def mcnemar_power(difference: float, discordant_share: float, n: int, level: float = LEVEL) -> float:
    """Compute the probability that McNemar's exact test finds the system that is better.

    Args:
        difference: the true difference of the two shares of right items, from 0 to 1.
        discordant_share: the share of items on which exactly one system is right; at least the difference is taken.
        n: the number of independent items.
        level: confidence level of the two-sided test.

    Source: as for `detectable_by_mcnemar`.

    Example:
        >>> round(mcnemar_power(0.05, 0.2, 500), 3)
        0.676
    """
    import numpy as np
    from scipy.stats import binom

    share = max(discordant_share, difference)
    counts_D = np.arange(binom.ppf(1e-9, n, share), binom.ppf(1 - 1e-9, n, share) + 1)
    wins_needed_D = binom.isf((1 - level) / 2, counts_D, 0.5) + 1  # P(wins or more) <= 2.5 % if both are equal
    found_D = binom.sf(wins_needed_D - 1, counts_D, (1 + difference / share) / 2)
    return float((binom.pmf(counts_D, n, share) * found_D).sum())


def successes_needed(share: float, *, level: float = LEVEL) -> int:
    """Compute how many trials must all succeed to show, one-sided, that the success rate is at least `share`.

    Raises:
        ValueError: `share` is not strictly between 0 and 1.

    Example:
        >>> successes_needed(0.99)
        299
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share}: expected one between 0 and 1")
    return math.ceil(math.log(1 - level) / math.log(share))


def attainable_count(low: Fraction | float, high: Fraction | float, items: int) -> int | None:
    """Find the count out of `items` whose share lies between `low` and `high`; None if there is none (GRIM test).

    Of several such counts, the one nearest to the middle of the range is returned.

    Raises:
        ValueError: `items` is less than 1.

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
