"""Intervals of the difference and the ratio of two means, from their standard errors.

Both come from one t statistic, so the difference excludes 0 exactly if the ratio excludes 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeanPair:
    """The means of a baseline and of the variant that is compared with it, with their squared standard errors.

    Example:
        >>> pair = MeanPair(baseline=2.0, variant=2.5, baseline_variance=0.01, variant_variance=0.03)
        >>> [round(end, 3) for end in pair.difference_interval(2.0)], round(pair.z(), 3)
        ([0.1, 0.9], 2.5)
        >>> [round(end, 3) for end in pair.ratio_interval(2.0)]
        [1.048, 1.478]
    """

    baseline: float
    variant: float
    baseline_variance: float
    variant_variance: float
    covariance: float = 0.0
    """Of the two means, where some units are in both variants."""

    @property
    def standard_error(self) -> float:
        """The standard error of the difference."""
        return math.sqrt(max(self.baseline_variance + self.variant_variance - 2 * self.covariance, 0.0))

    def z(self) -> float:
        """Return the difference over its standard error; infinite if it has none."""
        difference, error = self.variant - self.baseline, self.standard_error
        if error == 0:
            return 0.0 if difference == 0 else math.copysign(math.inf, difference)
        return difference / error

    def difference_interval(self, quantile: float) -> tuple[float, float]:
        """Return the difference, variant minus baseline, plus and minus `quantile` standard errors."""
        half = quantile * self.standard_error
        return self.variant - self.baseline - half, self.variant - self.baseline + half

    def ratio_interval(self, quantile: float) -> tuple[float, float] | None:
        """Return the ratios, variant over baseline, that the t statistic does not reject; None if they have no bounds.

        They have bounds if the baseline's mean differs from 0 significantly.

        Source: Fieller, Some problems in interval estimation, JRSS B 16 (1954).
        """
        squared = quantile**2
        lead = self.baseline**2 - squared * self.baseline_variance
        middle = self.baseline * self.variant - squared * self.covariance
        last = self.variant**2 - squared * self.variant_variance
        if lead <= 0:
            return None
        root = math.sqrt(max(middle**2 - lead * last, 0.0))
        return (middle - root) / lead, (middle + root) / lead
