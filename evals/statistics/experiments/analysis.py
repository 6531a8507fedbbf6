"""Analyse an experiment: every variant against the baseline, whether the log can be trusted, and what is decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evals.statistics.experiments.arms import ArmSums
from evals.statistics.experiments.cells import NO_TIME, OutcomeCells
from evals.statistics.experiments.comparison import MANY, ArmPair, EstimatedValue, VariantComparison, compare
from evals.statistics.experiments.looks import Look, looks_of
from evals.statistics.experiments.planning import has_too_few, with_plans
from evals.statistics.experiments.sample_ratio import THRESHOLD, SampleRatio, independence_p, sample_ratio
from evals.statistics.experiments.segments import SegmentReport, by_segment, with_holm
from evals.statistics.intervals import LEVEL, score_interval, t_quantile, wilson

VariantDecision = Literal["better", "worse", "undecided", "not_comparable"]
_TIME_BINS = 20


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """One variant's rows and mean outcome."""

    name: str
    rows: int
    """Rows, those without an outcome included."""
    counted: int
    """Rows with an outcome."""
    units: int
    """Units with an outcome; rows, where the log has no units."""
    even_units: float
    """How many units of equal size would weigh as these do."""
    total: float
    """Sum of the outcomes: the number of successes, of shares."""
    mean: EstimatedValue


@dataclass(frozen=True)
class ExperimentAnalysis:
    """Everything about one experiment."""

    is_share: bool
    clustered: bool
    """Whether several rows of one unit are in the log, so that units are what varies independently."""
    variants: tuple[VariantSummary, ...]
    """The baseline first."""
    mixed_units: int
    """Number of units that were seen in more than one variant."""
    ratio: SampleRatio
    growing: bool
    """Whether the log still grows, so that the confidence sequence decides."""
    comparisons: tuple[VariantComparison, ...]
    looks: tuple[tuple[Look, ...], ...]
    """For each comparison, the confidence sequence over time."""
    segments: SegmentReport | None
    missing_p: float
    """The p-value that outcomes are missing equally often in all variants."""
    drift_p: float | None
    """The p-value that the variants' shares did not change over time; None if rows have no time."""

    @property
    def ratio_holds(self) -> bool:
        """Whether the variants have their planned shares, by the test that fits a growing or a finished log."""
        return (self.ratio.anytime_p if self.growing else self.ratio.p) >= THRESHOLD

    @property
    def outcomes_hold(self) -> bool:
        """Whether outcomes are missing equally often in all variants: else a variant may hide its failures."""
        return self.missing_p >= THRESHOLD

    @property
    def assignment_holds(self) -> bool:
        """Whether the variants kept their shares over time and in every segment, as random assignment would."""
        mix = self.segments.mix_p if self.segments is not None else 1.0
        return min(1.0 if self.drift_p is None else self.drift_p, mix) >= THRESHOLD

    @property
    def is_comparable(self) -> bool:
        """Whether the variants can be compared at all, whatever their outcomes."""
        return self.ratio_holds and self.outcomes_hold and self.assignment_holds

    def decision(self, comparison: VariantComparison, *, lower_is_better: bool = False) -> VariantDecision:
        """Decide whether a variant is better or worse than the baseline.

        A finished log is decided by Holm's p-value, a growing one by the confidence sequence. Nothing is decided if the
        planned shares do not hold, if outcomes are missing more often in some variants, if the shares changed over
        time or differ between segments, if the segments oppose the whole, or if outcomes are skewed and few decide.
        """
        if not self.is_comparable or self.is_paradox(comparison):
            return "not_comparable"
        if has_too_few(comparison):
            return "undecided"
        if self.growing:
            sequence = comparison.sequence
            is_decided = sequence is not None and not sequence.low <= 0 <= sequence.high
        else:
            is_decided = comparison.adjusted_p is not None and comparison.adjusted_p <= 1 - LEVEL
        if not is_decided or not comparison.difference.value:
            return "undecided"
        return "better" if (comparison.difference.value > 0) != lower_is_better else "worse"

    def is_paradox(self, comparison: VariantComparison) -> bool:
        """Whether the segments oppose the comparison in the whole log."""
        segmented = self.segments.variants if self.segments is not None else ()
        return not comparison.segment and any(
            row.opposes_total for row in segmented if row.variant == comparison.variant
        )


def analyse(
    cells: OutcomeCells, planned: Sequence[float], *, growing: bool = False, timed: bool = False, looks: bool = True
) -> ExperimentAnalysis:
    """Analyse an experiment.

    Args:
        cells: the log; every variant has at least one row with an outcome, and the baseline is the first.
        planned: the planned shares of the variants, in their order, as positive numbers.
        growing: whether the log still grows.
        timed: whether the times of the cells are the rows' own, and not their order.
        looks: whether the confidence sequences over time are computed.

    Raises:
        ValueError: there are fewer than two variants, or one has no outcome.
    """
    if len(cells.variants) < 2 or any(not cells.mask(variant).any() for variant in range(len(cells.variants))):
        raise ValueError(f"the variants {cells.variants}: expected two or more, each with an outcome")
    clustered = cells.has_clusters
    others = range(1, len(cells.variants))
    alpha = (1 - LEVEL) / len(others)
    pairs = [ArmPair(cells, variant, None, clustered) for variant in others]
    totals = with_plans(with_holm([compare(pair, alpha) for pair in pairs]), pairs, growing=growing)
    rows_V = [int(cells.rows_C[cells.variant_C == variant].sum()) for variant in range(len(cells.variants))]
    counted_V = [int(cells.counts_C[cells.variant_C == variant].sum()) for variant in range(len(cells.variants))]
    missing = [[counted, rows - counted] for rows, counted in zip(rows_V, counted_V, strict=True)]
    return ExperimentAnalysis(
        is_share=cells.is_share,
        clustered=clustered,
        variants=tuple(_summary(cells, variant, rows, pairs) for variant, rows in enumerate(rows_V)),
        mixed_units=_mixed_units(cells),
        ratio=sample_ratio(_assigned(cells, rows_V), planned),
        growing=growing,
        comparisons=totals,
        looks=tuple(looks_of(pair, alpha) for pair in pairs) if looks else (),
        segments=by_segment(cells, totals, growing=growing) if len(cells.segments) > 1 else None,
        missing_p=independence_p(missing),
        drift_p=_drift_p(cells) if timed else None,
    )


def _summary(cells: OutcomeCells, variant: int, rows: int, pairs: Sequence[ArmPair]) -> VariantSummary:
    pair = pairs[max(variant - 1, 0)]
    arm = pair.sums.variant if variant else pair.sums.baseline
    counted = float(arm.rows)
    return VariantSummary(
        name=cells.variants[variant],
        rows=rows,
        counted=int(counted),
        units=int(arm.units),
        even_units=float(arm.even_units),
        total=float(arm.mean) * counted,
        mean=_mean(arm, is_share=cells.is_share, clustered=pair.clustered),
    )


def _mean(arm: ArmSums, *, is_share: bool, clustered: bool) -> EstimatedValue:
    """Return a variant's mean with its interval: Wilson's for shares, Student's for numbers.

    Shares of units have Wilson's interval with the number of independent rows that would vary as they do.
    """
    value, error, units = float(arm.mean), math.sqrt(float(arm.squared_error)), float(arm.units)
    freedom = min(float(arm.freedom), MANY)
    if is_share:
        share = min(max(value, 0.0), 1.0)
        if clustered and units < 2:
            return EstimatedValue(share, None, None)
        if clustered and error > 0:
            return EstimatedValue(
                share, *score_interval(share, share * (1 - share) / error**2, t_quantile(LEVEL, freedom))
            )
        return EstimatedValue(share, *wilson(share * units, int(units)))
    if units < 2 or error == 0:
        return EstimatedValue(value, None, None)
    half = t_quantile(LEVEL, freedom) * error
    return EstimatedValue(value, value - half, value + half)


def _assigned(cells: OutcomeCells, rows_V: Sequence[int]) -> list[int]:
    """Count what was assigned to each variant: its units, or its rows if the log has no units."""
    if cells.unit_C is None:
        return list(rows_V)
    return [len(np.unique(cells.unit_C[cells.variant_C == variant])) for variant in range(len(cells.variants))]


def _mixed_units(cells: OutcomeCells) -> int:
    if cells.unit_C is None:
        return 0
    pairs = np.unique(np.stack([cells.unit_C, cells.variant_C]), axis=1)
    _, variants = np.unique(pairs[0], return_counts=True)
    return int((variants > 1).sum())


def _drift_p(cells: OutcomeCells) -> float:
    """Return the p-value that the variants had the same shares at all times, of twenty equal parts of the time.

    A unit counts when it first came.
    """
    counted_C = cells.assigned() & (cells.time_C > NO_TIME)
    if not counted_C.any():
        return 1.0
    times, variants = cells.time_C[counted_C], cells.variant_C[counted_C]
    low, high = int(times.min()), int(times.max())
    bins = ((times - low) / (high - low + 1) * _TIME_BINS).astype(np.intp).clip(0, _TIME_BINS - 1)
    counts = np.zeros((_TIME_BINS, len(cells.variants)))
    weights = cells.rows_C[counted_C] if cells.unit_C is None else np.ones(len(times))
    np.add.at(counts, (bins, variants), weights)
    return independence_p(counts.tolist())
