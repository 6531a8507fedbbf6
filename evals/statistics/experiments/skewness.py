"""The permutation test of a difference, for skewed outcomes (revenue) in variants of unequal size.

A t statistic is then skewed itself: where few of the smaller variant's rows are large by chance, its mean and its
variance are both small, and a variant that is no worse looks significantly worse. If the variants are equal, all
assignments of the outcomes to them are equally likely. The mean, variance and skewness of the difference over all
assignments are known exactly, and Pearson's type III curve has these three.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.statistics.experiments.arms import ArmSums

LEAST_SKEWNESS = 0.1
"""Skewness of the difference over all assignments above which the permutation test must agree."""


@dataclass(frozen=True, slots=True)
class PermutedDifference:
    """The difference of two means over all assignments of the units to the variants.

    Source: Mielke and Berry, Permutation methods: a distance function approach (2007), for type III curves with exact
    moments. The moments are those of a sum of a sample without replacement.

    Example:
        >>> PermutedDifference(standard_error=1.0, skewness=0.0, freedom=1e9).p(1.959964).__round__(6)
        0.05
        >>> skewed = PermutedDifference(standard_error=1.0, skewness=1.0, freedom=1e9)
        >>> [round(end, 2) for end in skewed.ends(0.95)], round(skewed.p(-1.7), 3)
        ([-1.46, 2.38], 0.007)
    """

    standard_error: float
    skewness: float
    """Of the difference, variant minus baseline."""
    freedom: float
    """Of the standard error."""

    @property
    def matters(self) -> bool:
        """Whether the difference is so skewed that a t test cannot be relied on."""
        return self.standard_error > 0 and abs(self.skewness) > LEAST_SKEWNESS

    def scaled(self, scale: float) -> PermutedDifference:
        """Return what a log of `scale` times as many rows would have."""
        root = math.sqrt(scale)
        return PermutedDifference(self.standard_error / root, self.skewness / root, max(self.freedom * scale, 1.0))

    def p(self, difference: float) -> float:
        """Return the two-sided p-value of a difference: twice that of its side."""
        from scipy.special import ndtri, stdtr

        t = difference / self.standard_error
        z = math.copysign(
            float(-ndtri(float(stdtr(self.freedom, -abs(t))))), t
        )  # the normal quantile that is as unlikely
        return min(1.0, 2 * min(_cumulative(z, self.skewness), _cumulative(-z, -self.skewness)))

    def ends(self, level: float) -> tuple[float, float]:
        """Return the smallest and the largest difference, in standard errors, whose p-value is at least `1 - level`."""
        tail = (1 - level) / 2
        return -self._end(tail, -self.skewness), self._end(tail, self.skewness)

    def _end(self, tail: float, skewness: float) -> float:
        from scipy.special import ndtr, stdtrit

        return float(-stdtrit(self.freedom, float(ndtr(-_upper(tail, skewness)))))


def permuted(baseline: ArmSums, variant: ArmSums) -> PermutedDifference | None:
    """Return the difference of two variants over all assignments; None with fewer than four units."""
    units, squares = float(baseline.units + variant.units), float(baseline.squares + variant.squares)
    if units < 4 or squares <= 0:
        return None
    error, skewness = permuted_moments(baseline, variant)
    return PermutedDifference(float(error), float(skewness), units - 2)


def permuted_moments(baseline: ArmSums, variant: ArmSums) -> tuple[Any, Any]:
    """Return the standard error and the skewness of the difference over all assignments; NaN with too few units."""
    first, second = np.asarray(baseline.units, float), np.asarray(variant.units, float)
    units, squares, cubes = first + second, baseline.squares + variant.squares, baseline.cubes + variant.cubes
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = squares / (units - 2) * first * second / units
        third = cubes * first * second * (first - second) / (units * (units - 1) * (units - 2))
        variance = squares * first * second / (units * (units - 1))
        return np.sqrt(spread) * (1 / baseline.rows + 1 / variant.rows), third / variance**1.5


def skewed_end(z: Any, skewness: Any) -> Any:
    """Return above which value a type III variable (mean 0, variance 1) lies as often as a normal one above `z`.

    Example:
        >>> [round(float(skewed_end(3.5, skewness)), 2) for skewness in (0.0, 0.5, -0.5)]
        [3.5, 4.46, 2.61]
    """
    from scipy.special import gammainccinv, gammaincinv, ndtr

    z, skewness = np.asarray(z, float), np.asarray(skewness, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = 4 / np.square(skewness)
        upper = (gammainccinv(shape, ndtr(-z)) - shape) / np.sqrt(shape)
        lower = (shape - gammaincinv(shape, ndtr(-z))) / np.sqrt(shape)
        return np.where(np.abs(skewness) < 1e-4, z, np.where(skewness > 0, upper, lower))


def _cumulative(z: float, skewness: float) -> float:
    """Return the probability that a type III variable of mean 0 and variance 1 is at most `z`."""
    from scipy.special import gammainc, gammaincc, ndtr

    if abs(skewness) < 1e-4:
        return float(ndtr(z))
    shape = 4 / skewness**2
    place = shape + z * math.copysign(math.sqrt(shape), skewness)
    if skewness > 0:
        return float(gammainc(shape, place)) if place > 0 else 0.0
    return float(gammaincc(shape, place)) if place > 0 else 1.0


def _upper(tail: float, skewness: float) -> float:
    """Return the value above which a type III variable of mean 0 and variance 1 lies with a probability."""
    from scipy.special import gammainccinv, gammaincinv, ndtri

    if abs(skewness) < 1e-4:
        return float(-ndtri(tail))
    shape = 4 / skewness**2
    if skewness > 0:
        return float((gammainccinv(shape, tail) - shape) / math.sqrt(shape))
    return float((shape - gammaincinv(shape, tail)) / math.sqrt(shape))
