"""Difference and ratio of two proportions of independent samples, by the score method of Miettinen and Nurminen.

The test and both intervals come from one statistic. So a difference is significant exactly if its interval excludes 0,
and exactly if the interval of the ratio excludes 1. Samples without a success, or with nothing else, are no exception.

Source: Miettinen and Nurminen, Comparative analysis of two rates, Statistics in Medicine 4 (1985), equations 9 to 12.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_NEAR = 1e-12
"""Distance from the ends of the range at which the statistic is evaluated."""
_LOG_RANGE = 50.0
"""Largest logarithm of a ratio that is considered."""


@dataclass(frozen=True, slots=True)
class ProportionPair:
    """The shares of successes of a baseline and of the variant that is compared with it.

    Example:
        >>> pair = ProportionPair(baseline=50 / 1000, variant=62 / 1000, baseline_trials=1000, variant_trials=1000)
        >>> [round(end, 4) for end in pair.difference_interval(1.959964)]
        [-0.0083, 0.0326]
        >>> [round(end, 3) for end in pair.ratio_interval(1.959964)]
        [0.865, 1.778]
        >>> round(pair.z(), 3)
        1.167
    """

    baseline: float
    variant: float
    """Shares of successes, 0 to 1."""
    baseline_trials: float
    variant_trials: float
    """Numbers of trials, positive; effective numbers, where the trials are clustered, need not be whole."""

    @property
    def standard_error(self) -> float:
        """The standard error of the difference, each share with its own variance."""
        variance = self.variant * (1 - self.variant) / self.variant_trials
        return math.sqrt(variance + self.baseline * (1 - self.baseline) / self.baseline_trials)

    @property
    def pooled_error(self) -> float:
        """The standard error of the difference if the shares are equal, with which `z` is computed."""
        total = self.baseline_trials + self.variant_trials
        pooled = (self.baseline_trials * self.baseline + self.variant_trials * self.variant) / total
        variance = pooled * (1 - pooled) * (1 / self.baseline_trials + 1 / self.variant_trials)
        return math.sqrt(max(variance, 0.0) * (total / (total - 1) if total > 1 else 1.0))

    def z(self) -> float:
        """Return the score statistic of equal shares: the z statistic with the pooled variance."""
        return self._z_of_difference(0.0)

    def difference_interval(self, quantile: float) -> tuple[float, float]:
        """Return the differences, variant minus baseline, whose score statistic is at most `quantile`."""
        value = self.variant - self.baseline

        def excess(difference: float) -> float:
            return self._z_of_difference(difference) - quantile

        def shortfall(difference: float) -> float:
            return self._z_of_difference(difference) + quantile

        low = _crossing(excess, -1 + _NEAR, value) if value > -1 + _NEAR else -1.0
        high = _crossing(shortfall, value, 1 - _NEAR) if value < 1 - _NEAR else 1.0
        return (-1.0 if low is None else low), (1.0 if high is None else high)

    def ratio_interval(self, quantile: float) -> tuple[float, float]:
        """Return the ratios, variant over baseline, whose score statistic is at most `quantile`.

        The upper end is infinite if the baseline may be 0; both ends are open (0 to infinity) if neither succeeds.
        """
        if self.baseline == self.variant == 0:
            return 0.0, math.inf
        # The statistic is searched on the logarithm of the ratio.
        is_between = self.variant > 0 and self.baseline > 0
        value = math.log(self.variant / self.baseline) if is_between else None
        low = high = None
        if self.variant > 0:
            end = _LOG_RANGE if value is None else value
            low = _crossing(lambda log: self._z_of_ratio(log) - quantile, -_LOG_RANGE, end)
        if self.baseline > 0:
            start = -_LOG_RANGE if value is None else value
            high = _crossing(lambda log: self._z_of_ratio(log) + quantile, start, _LOG_RANGE)
        return (0.0 if low is None else math.exp(low)), (math.inf if high is None else math.exp(high))

    def _z_of_difference(self, difference: float) -> float:
        baseline = self._baseline_given_difference(difference)
        variant = min(max(baseline + difference, 0.0), 1.0)
        return self._statistic(self.variant - self.baseline - difference, baseline, variant, 1.0)

    def _z_of_ratio(self, log_ratio: float) -> float:
        ratio = math.exp(log_ratio)
        baseline = self._baseline_given_ratio(ratio)
        variant = min(ratio * baseline, 1.0)
        return self._statistic(self.variant - ratio * self.baseline, baseline, variant, ratio)

    def _statistic(self, excess: float, baseline: float, variant: float, ratio: float) -> float:
        total = self.baseline_trials + self.variant_trials
        variance = variant * (1 - variant) / self.variant_trials
        variance += ratio * ratio * baseline * (1 - baseline) / self.baseline_trials
        variance *= total / (total - 1) if total > 1 else 1.0
        if variance <= 0:
            return 0.0 if excess == 0 else math.copysign(math.inf, excess)
        return excess / math.sqrt(variance)

    def _baseline_given_difference(self, difference: float) -> float:
        """Return the most likely share of the baseline if the variant's is higher by `difference`."""
        n, m = self.baseline_trials, self.variant_trials
        x, y, total = n * self.baseline, m * self.variant, n + m
        square = ((m + 2 * n) * difference - total - x - y) / total
        linear = ((n * difference - total - 2 * x) * difference + x + y) / total
        constant = x * difference * (1 - difference) / total
        third = square / 3
        radius = math.sqrt(max(third * third - linear / 3, 0.0))
        offset = third**3 - linear * square / 6 + constant / 2
        radius = math.copysign(radius, offset)
        angle = 0.0 if radius == 0 else math.acos(min(max(offset / radius**3, -1.0), 1.0))
        root = 2 * radius * math.cos((math.pi + angle) / 3) - third
        return min(max(root, 0.0, -difference), 1.0, 1 - difference)

    def _baseline_given_ratio(self, ratio: float) -> float:
        """Return the most likely share of the baseline if the variant's is `ratio` times as high."""
        n, m = self.baseline_trials, self.variant_trials
        x, y = n * self.baseline, m * self.variant
        linear = ratio * m + y + n + ratio * x
        discriminant = max(linear * linear - 4 * (n + m) * ratio * (x + y), 0.0)
        root = 2 * (x + y) / (linear + math.sqrt(discriminant))
        return min(root, 1.0, 1 / ratio)


def _crossing(function: Callable[[float], float], low: float, high: float) -> float | None:
    """Return where a falling function crosses 0; None if it does not between the ends."""
    from scipy.optimize import brentq

    if function(low) <= 0 or function(high) >= 0:
        return None
    return float(brentq(function, low, high, xtol=1e-14, rtol=1e-14, maxiter=500))
