"""Compare one variant of an experiment with the baseline: difference, ratio, p-value and confidence sequence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from evals.statistics.clusters import Floats, Mask
from evals.statistics.experiments.arms import PairSums, RowSums, arm_of_rows, pair_of_units
from evals.statistics.experiments.cells import OutcomeCells
from evals.statistics.experiments.exact_shares import exact_quantile, exact_shares
from evals.statistics.experiments.means import MeanPair
from evals.statistics.experiments.proportions import ProportionPair
from evals.statistics.experiments.sequences import LEAST_NUMBER_EVENTS, anytime_p, boundary
from evals.statistics.experiments.skewness import (
    LEAST_SKEWNESS,
    PermutedDifference,
    permuted,
    permuted_moments,
    skewed_end,
)
from evals.statistics.intervals import LEVEL, t_quantile, two_sided_p

MANY = 1e12
"""Stands for infinitely many degrees of freedom."""


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
    standard_error: float
    """Of the difference, with the variances of the two variants."""
    lift: EstimatedValue
    """The ratio of variant and baseline, less 1."""
    p: float | None
    """None where there is no test: the outcomes do not vary, or one unit has all rows of a variant."""
    adjusted_p: float | None
    """After Holm, over the comparisons that were made together."""
    sequence: Sequence | None
    """None before each variant has the events that a sequence begins with."""
    skewness: float | None
    """Of the difference over all assignments, if it is so large that the permutation test must agree; else None."""
    events: float
    """The rare events whose variance would be known as well as that of the variant in which fewer units decide."""
    detectable: float | None = None
    """The smallest true difference that is found with 80 % chance at the present number of rows, by the test that
    decides; None if no difference is, or nothing varies."""
    rows_for_significance: int | None = None
    rows_for_power: int | None = None
    """Rows of both variants together, at their present shares, at which the seen difference is significant by the test
    that decides, and at which it is found with 80 % chance if it is the true one; None if there is no difference."""


@dataclass(frozen=True)
class ArmPair:
    """The baseline and one other variant, in the whole log or in one segment."""

    cells: OutcomeCells
    variant: int
    segment: int | None
    clustered: bool
    """Whether the units are those of the log; otherwise each row is one."""

    @cached_property
    def masks(self) -> tuple[Mask, Mask]:
        """Which cells belong to the baseline, and to the variant."""
        return self.cells.mask(0, self.segment), self.cells.mask(self.variant, self.segment)

    @cached_property
    def sums(self) -> PairSums:
        """The sums of baseline and variant."""
        cells = self.cells
        baseline, variant = (
            row_sums(cells, [float(column[mask_C].sum()) for column in row_columns(cells)]) for mask_C in self.masks
        )
        if not self.clustered:
            return PairSums(arm_of_rows(baseline), arm_of_rows(variant))
        return pair_of_units(*units_of(cells, self.masks), (baseline, variant))

    @cached_property
    def means(self) -> MeanPair:
        """The means with their variances over units."""
        sums = self.sums
        return MeanPair(
            baseline=float(sums.baseline.mean),
            variant=float(sums.variant.mean),
            baseline_variance=float(sums.baseline.squared_error),
            variant_variance=float(sums.variant.squared_error),
            covariance=sums.covariance,
        )

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error (Satterthwaite); infinite for shares of independent rows."""
        arms = [float(arm.freedom) for arm in (self.sums.baseline, self.sums.variant)]
        variances = (self.means.baseline_variance, self.means.variant_variance)
        spread = sum(variance**2 / freedom for variance, freedom in zip(variances, arms, strict=True))
        pooled = sum(variances) ** 2 / spread if spread > 0 else min(arms)
        return min(pooled, self.sums.mixed_freedom, MANY)

    @cached_property
    def proportions(self) -> ProportionPair:
        """The shares, with the numbers of independent trials that would vary as they do."""
        baseline, variant = self.sums.baseline, self.sums.variant
        rows = float(baseline.rows + variant.rows)
        design = rows / float(self.sums.independent) if self.clustered else 1.0
        shares = [min(max(float(arm.mean), 0.0), 1.0) for arm in (baseline, variant)]
        return ProportionPair(shares[0], shares[1], float(baseline.rows) / design, float(variant.rows) / design)

    @property
    def permutes(self) -> bool:
        """Whether a permutation test can matter: the score test of independent shares has no need of it."""
        return self.clustered or not self.cells.is_share

    @cached_property
    def permutations(self) -> PermutedDifference | None:
        """The permutation test, where a t test cannot be relied on; else None."""
        if not self.permutes or self.sums.covariance:
            return None
        test = permuted(self.sums.baseline, self.sums.variant)
        return test if test is not None and test.matters else None

    @property
    def trials(self) -> tuple[int, int] | None:
        """The trials of two samples of independent successes and failures; None of other outcomes."""
        if self.clustered or not self.cells.is_share:
            return None
        return int(self.sums.baseline.rows), int(self.sums.variant.rows)

    @property
    def has_test(self) -> bool:
        """Whether the difference has an interval: the outcomes vary, and not all rows of a variant are of one unit."""
        fewest = min(float(self.sums.baseline.units), float(self.sums.variant.units))
        if self.cells.is_share:
            return fewest > 1 or not self.clustered
        return fewest > 1 and self.means.standard_error > 0

    @property
    def is_ready(self) -> bool:
        """Whether each variant has the events that a sequence begins with."""
        return self.has_test and float(self.sums.events) >= 1

    def quantiles(self) -> tuple[float, float]:
        """Return how many standard errors below and above the difference its interval ends, at least."""
        quantile = t_quantile(LEVEL, self.freedom)
        if self.trials is not None:
            quantile = max(quantile, exact_quantile(*self.trials, 1 - LEVEL))
        if self.permutations is None or self.means.standard_error == 0:
            return quantile, quantile
        low, high = self.permutations.ends(LEVEL)
        ratio = self.permutations.standard_error / self.means.standard_error
        return max(quantile, high * ratio), max(quantile, -low * ratio)


def row_columns(cells: OutcomeCells) -> tuple[Floats, ...]:
    """Return the columns of cells that are summed over rows, in the order of `row_sums`."""
    return cells.counts_C, cells.sums_C, cells.squares_C, cells.cubes_C, cells.fourths_C


def row_sums(cells: OutcomeCells, sums: Iterable[Any]) -> RowSums:
    """Name the sums of `row_columns`."""
    rows, total, squares, cubes, fourths = sums
    return RowSums(
        rows=rows,
        total=total,
        squares=squares,
        cubes=cubes,
        fourths=fourths,
        shift=cells.shift,
        is_share=cells.is_share,
    )


def units_of(cells: OutcomeCells, masks: tuple[Mask, Mask]) -> tuple[Floats, Floats]:
    """Add up the cells of each unit of two variants: rows and sums, (2, U)."""
    assert cells.unit_C is not None
    units, codes_C = np.unique(cells.unit_C[masks[0] | masks[1]], return_inverse=True)
    places_C = np.zeros(len(cells.unit_C), np.int64)
    places_C[masks[0] | masks[1]] = codes_C
    columns = (cells.counts_C, cells.sums_C)
    rows_AU, sums_AU = (
        np.stack([np.bincount(places_C[mask_C], column[mask_C], len(units)) for mask_C in masks]) for column in columns
    )
    return rows_AU.astype(np.float64), sums_AU.astype(np.float64)


def compare(pair: ArmPair, alpha: float) -> VariantComparison:
    """Compare a variant with the baseline.

    Args:
        pair: the two arms; each has at least one row with an outcome.
        alpha: the level of the sequence: 5 % divided by the number of variants that are compared.
    """
    cells, means = pair.cells, pair.means
    arms: ProportionPair | MeanPair = pair.proportions if cells.is_share else means
    p = _p(pair, arms) if pair.has_test else None
    lift = means.variant / means.baseline - 1 if means.baseline > 0 else None
    return VariantComparison(
        variant=cells.variants[pair.variant],
        segment="" if pair.segment is None else cells.segments[pair.segment],
        baseline_mean=means.baseline,
        variant_mean=means.variant,
        baseline_rows=int(pair.sums.baseline.rows),
        variant_rows=int(pair.sums.variant.rows),
        difference=_difference(pair, arms),
        standard_error=means.standard_error,
        lift=_lift(lift, _ratio(pair, arms) if pair.has_test and means.baseline > 0 else None),
        p=p,
        adjusted_p=p,
        sequence=_sequence(pair, alpha) if pair.is_ready else None,
        skewness=None if pair.permutations is None else pair.permutations.skewness,
        events=float(pair.sums.events) * LEAST_NUMBER_EVENTS,
    )


def _p(pair: ArmPair, arms: ProportionPair | MeanPair) -> float:
    p = two_sided_p(arms.z(), pair.freedom)
    if pair.trials is not None and (outcomes := exact_shares(*pair.trials)) is not None:
        return max(p, outcomes.p(arms.z()))
    return p if pair.permutations is None else max(p, pair.permutations.p(pair.means.variant - pair.means.baseline))


def _difference(pair: ArmPair, arms: ProportionPair | MeanPair) -> EstimatedValue:
    value = pair.means.variant - pair.means.baseline
    if not pair.has_test:
        return EstimatedValue(value, None, None)
    below, above = pair.quantiles()
    low, high = arms.difference_interval(below)
    return EstimatedValue(value, low, high if above == below else arms.difference_interval(above)[1])


def _ratio(pair: ArmPair, arms: ProportionPair | MeanPair) -> tuple[float, float] | None:
    below, above = pair.quantiles()
    first = arms.ratio_interval(below)
    second = first if above == below else arms.ratio_interval(above)
    return None if first is None or second is None else (first[0], second[1])


def _lift(value: float | None, ratio: tuple[float, float] | None) -> EstimatedValue:
    if ratio is None:
        return EstimatedValue(value, None, None)
    return EstimatedValue(value, ratio[0] - 1, ratio[1] - 1 if math.isfinite(ratio[1]) else None)


def _sequence(pair: ArmPair, alpha: float) -> Sequence:
    value, clock = pair.means.variant - pair.means.baseline, float(pair.sums.independent)
    below, above = sequence_widths(pair.sums, boundary(clock, alpha), permutes=pair.permutes)
    error = max(float(below if value > 0 else above) / float(boundary(clock, alpha)), 1e-300)
    p = float(anytime_p(value / error, clock, alpha)) * (1 - LEVEL) / alpha
    return Sequence(value - float(below), value + float(above), min(p, 1.0))


def sequence_widths(sums: PairSums, bounds: Any, *, permutes: bool) -> tuple[Any, Any]:
    """Return how far a confidence sequence reaches below and above the difference; numbers, or arrays over time.

    Args:
        sums: the two variants.
        bounds: the boundary, in standard errors.
        permutes: whether, where outcomes are skewed, the permutations' ends count too: those with a tail as small as
            the boundary has, if it were normal.
    """
    half = bounds * np.sqrt(sums.squared_error)
    if not permutes:
        return half, half
    error, skewness = permuted_moments(sums.baseline, sums.variant)
    counts = (np.abs(skewness) > LEAST_SKEWNESS) & (sums.covariance == 0)
    skewness = np.where(counts, skewness, 0.0)
    error = np.where(counts, error, 0.0)
    return np.fmax(half, error * skewed_end(bounds, skewness)), np.fmax(half, error * skewed_end(bounds, -skewness))
