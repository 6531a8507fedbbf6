"""Compare one variant of an experiment with the baseline: difference, ratio, p-value, sequence, and what n can show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evals.statistics.clusters import Floats, Mask, degrees_of_freedom
from evals.statistics.experiments.cells import ArmSums, OutcomeCells, arm_sums, units_of
from evals.statistics.experiments.means import MeanPair
from evals.statistics.experiments.proportions import ProportionPair
from evals.statistics.experiments.sequences import LEAST_EVENTS, anytime_p, boundary
from evals.statistics.intervals import LEVEL, t_quantile, two_sided_p
from evals.statistics.power import POWER, minimum_detectable

_FEW_MIXED = 30
"""Number of units in both variants below which their covariance is not used to narrow an interval."""


@dataclass(frozen=True, slots=True)
class EstimatedValue:
    """A value with its 95 % interval."""

    value: float | None
    """None where it is not defined: a ratio to a baseline of 0."""
    low: float | None
    high: float | None
    """None where the interval has no end."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """The interval of a confidence sequence at the present look."""

    low: float
    high: float
    p: float
    """The p-value that may be looked at any time."""


@dataclass(frozen=True, slots=True)
class VariantComparison:
    """One variant against the baseline. Differences are in the outcome's own unit: fractions, for shares."""

    variant: str
    segment: str
    """"" for the whole log."""
    baseline_mean: float
    variant_mean: float
    baseline_rows: int
    variant_rows: int
    difference: EstimatedValue
    lift: EstimatedValue
    """The ratio of variant and baseline, less 1."""
    p: float
    adjusted_p: float
    """After Holm, over the comparisons that were made together."""
    sequence: Sequence | None
    """None before each variant has the events that a sequence begins with."""
    detectable: float | None
    """The smallest true difference that is found with 80 % power at the present number of rows."""
    rows_for_significance: int | None
    rows_for_power: int | None
    """Rows of both variants together, at their present shares, that would make the seen difference significant, and
    that would find it with 80 % power; None if there is no difference."""


@dataclass(frozen=True)
class ArmPair:
    """The baseline and one other variant, in the whole log or in one segment."""

    cells: OutcomeCells
    variant: int
    segment: int | None
    clustered: bool

    @cached_property
    def masks(self) -> tuple[Mask, Mask]:
        """Which cells belong to the baseline, and to the variant."""
        return self.cells.mask(0, self.segment), self.cells.mask(self.variant, self.segment)

    @cached_property
    def sums(self) -> tuple[ArmSums, ArmSums]:
        """The sums of baseline and variant."""
        baseline, variant = (arm_sums(self.cells, mask_C, clustered=self.clustered) for mask_C in self.masks)
        return baseline, variant

    @property
    def units(self) -> float:
        """Number of units in both together."""
        return float(self.sums[0].units + self.sums[1].units)

    @cached_property
    def means(self) -> MeanPair:
        """The means with their variances over units."""
        baseline, variant = self.sums
        covariance = self._covariance() if self.clustered else 0.0
        return MeanPair(
            baseline=float(baseline.mean),
            variant=float(variant.mean),
            baseline_variance=float(baseline.squared_error),
            variant_variance=float(variant.squared_error),
            covariance=covariance,
        )

    def _covariance(self) -> float:
        """Return the covariance of the means, from the units that are in both variants; 0 if few are."""
        units = [units_of(self.cells, mask_C) for mask_C in self.masks]
        both, first, second = np.intersect1d(units[0].unit_U, units[1].unit_U, return_indices=True)
        if len(both) < _FEW_MIXED:
            return 0.0
        residuals = [
            unit.sums_U[at] - sums.total / sums.rows * unit.rows_U[at]
            for unit, at, sums in zip(units, (first, second), self.sums, strict=True)
        ]
        product = (residuals[0] * residuals[1]).sum() / (self.sums[0].rows * self.sums[1].rows)
        corrections = [sums.units / (sums.units - 1) for sums in self.sums]  # as for the variances
        return float(product * math.sqrt(corrections[0] * corrections[1]))

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error; infinite for shares of independent rows."""
        if self.clustered:
            arms = [self._cluster_freedom(index) for index in (0, 1)]
        elif self.cells.is_share:
            return math.inf
        else:
            arms = [max(sums.units - 1, 1.0) for sums in self.sums]
        variances = (self.means.baseline_variance, self.means.variant_variance)
        spread = sum(variance**2 / freedom for variance, freedom in zip(variances, arms, strict=True))
        return sum(variances) ** 2 / spread if spread > 0 else min(arms)

    def _cluster_freedom(self, index: int) -> float:
        units, sums = units_of(self.cells, self.masks[index]), self.sums[index]
        if len(units.unit_U) < 2:
            return 1.0
        residuals_U: Floats = units.sums_U - sums.total / sums.rows * units.rows_U
        return degrees_of_freedom(residuals_U, units.rows_U)

    @cached_property
    def proportions(self) -> ProportionPair:
        """The shares, with the numbers of independent trials that would vary as they do."""
        (baseline, variant), means = self.sums, self.means
        design = 1.0
        if self.clustered:
            independent = sum(sums.mean * (1 - sums.mean) / sums.rows for sums in self.sums)
            design = means.standard_error**2 / independent if independent > 0 else 0.0
            if means.standard_error == 0:
                design = (baseline.rows + variant.rows) / self.units
            elif means.covariance == 0:
                design = max(design, 1.0)
        shares = [min(max(sums.mean, 0.0), 1.0) for sums in self.sums]
        return ProportionPair(shares[0], shares[1], baseline.rows / design, variant.rows / design)

    @property
    def is_ready(self) -> bool:
        """Whether each variant has the events that a sequence begins with."""
        events = [float(sums.weight) for sums in self.sums]
        if self.cells.is_share:
            events += [sums.rows * (1 - sums.mean) for sums in self.sums]
        return min(events) >= LEAST_EVENTS and min(sums.units for sums in self.sums) >= LEAST_EVENTS


def compare(pair: ArmPair, alpha: float) -> VariantComparison:
    """Compare a variant with the baseline.

    Args:
        pair: the two arms; each has at least one row with an outcome.
        alpha: the level of the sequence: 5 % divided by the number of variants that are compared.
    """
    cells, means = pair.cells, pair.means
    quantile = t_quantile(LEVEL, pair.freedom if math.isfinite(pair.freedom) else 1e12)
    arms: ProportionPair | MeanPair = pair.proportions if cells.is_share else means
    ratio = arms.ratio_interval(quantile)
    low, high = arms.difference_interval(quantile)
    has_interval = cells.is_share or (min(sums.units for sums in pair.sums) > 1 and means.standard_error > 0)
    value = means.variant - means.baseline
    lift = means.variant / means.baseline - 1 if means.baseline > 0 else None
    baseline, variant = pair.sums
    return VariantComparison(
        variant=cells.variants[pair.variant],
        segment="" if pair.segment is None else cells.segments[pair.segment],
        baseline_mean=means.baseline,
        variant_mean=means.variant,
        baseline_rows=int(baseline.rows),
        variant_rows=int(variant.rows),
        difference=EstimatedValue(value, low, high) if has_interval else EstimatedValue(value, None, None),
        lift=_lift(lift, ratio if has_interval and means.baseline > 0 else None),
        p=(p := _p(arms.z(), pair.freedom) if has_interval else 1.0),
        adjusted_p=p,
        sequence=_sequence(pair, alpha) if pair.is_ready else None,
        detectable=minimum_detectable(means.standard_error, pair.freedom) if means.standard_error > 0 else None,
        rows_for_significance=_rows_needed(pair, 0.5),
        rows_for_power=_rows_needed(pair, POWER),
    )


def _p(z: float, freedom: float) -> float:
    return two_sided_p(z, freedom if math.isfinite(freedom) else 1e12)


def _lift(value: float | None, ratio: tuple[float, float] | None) -> EstimatedValue:
    if ratio is None:
        return EstimatedValue(value, None, None)
    return EstimatedValue(value, ratio[0] - 1, ratio[1] - 1 if math.isfinite(ratio[1]) else None)


def _sequence(pair: ArmPair, alpha: float) -> Sequence:
    value, error = pair.means.variant - pair.means.baseline, pair.means.standard_error
    half = float(boundary(pair.units, alpha)) * error
    p = float(anytime_p(pair.means.z(), pair.units, alpha)) * (1 - LEVEL) / alpha
    return Sequence(value - half, value + half, min(p, 1.0))


def _rows_needed(pair: ArmPair, power: float) -> int | None:
    """Return the rows of both variants with which a true difference as large as the seen one is found with a power."""
    value, error = pair.means.variant - pair.means.baseline, pair.means.standard_error
    if pair.cells.is_share and not pair.clustered:  # without the correction for small samples, as in a power analysis
        error = math.sqrt(sum(sums.mean * (1 - sums.mean) / sums.rows for sums in pair.sums))
    if error == 0 or value == 0:
        return None
    rows = (pair.sums[0].rows + pair.sums[1].rows) * (minimum_detectable(error, power=power) / value) ** 2
    return math.ceil(rows) if math.isfinite(rows) else None
