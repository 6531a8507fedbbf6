"""Analyse an experiment: every variant against the baseline, whether the log can be trusted, and what is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evals.statistics.clusters import Floats
from evals.statistics.experiments.cells import ArmSums, Integers, OutcomeCells, arm_sums, arm_sums_over_time
from evals.statistics.experiments.comparison import ArmPair, EstimatedValue, VariantComparison, compare
from evals.statistics.experiments.sample_ratio import THRESHOLD, SampleRatio, independence_p, sample_ratio
from evals.statistics.experiments.segments import SegmentReport, by_segment, with_holm
from evals.statistics.experiments.sequences import LEAST_EVENTS, boundary
from evals.statistics.intervals import LEVEL, t_quantile, wilson

VariantDecision = Literal["better", "worse", "undecided", "not_comparable"]
_MOST_POINTS = 200
"""Number of looks that a figure shows, at most."""
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
    total: float
    """Sum of the outcomes: the number of successes, of shares."""
    mean: EstimatedValue


@dataclass(frozen=True, slots=True)
class Look:
    """A comparison at one of the times at which the log might have been looked at."""

    time: int
    rows: int
    difference: float
    low: float
    high: float
    """Of the confidence sequence."""


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
        time or differ between segments, or if the segments oppose the whole.
        """
        if not self.is_comparable or self.is_paradox(comparison):
            return "not_comparable"
        if self.growing:
            sequence = comparison.sequence
            is_decided = sequence is not None and not sequence.low <= 0 <= sequence.high
        else:
            is_decided = comparison.adjusted_p <= 1 - LEVEL
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
    cells: OutcomeCells, planned: Sequence[float], *, growing: bool = False, timed: bool = False
) -> ExperimentAnalysis:
    """Analyse an experiment.

    Args:
        cells: the log; every variant has at least one row with an outcome, and the baseline is the first.
        planned: the planned shares of the variants, in their order, as positive numbers.
        growing: whether the log still grows.
        timed: whether the times of the cells are the rows' own, and not their order.

    Raises:
        ValueError: there are fewer than two variants, or one has no outcome.
    """
    if len(cells.variants) < 2 or any(not cells.mask(variant).any() for variant in range(len(cells.variants))):
        raise ValueError(f"the variants {cells.variants}: expected two or more, each with an outcome")
    clustered = cells.has_clusters
    others = range(1, len(cells.variants))
    alpha = (1 - LEVEL) / len(others)
    pairs = [ArmPair(cells, variant, None, clustered) for variant in others]
    totals = with_holm([compare(pair, alpha) for pair in pairs])
    rows_V = [int(cells.rows_C[cells.variant_C == variant].sum()) for variant in range(len(cells.variants))]
    counted_V = [int(cells.counts_C[cells.variant_C == variant].sum()) for variant in range(len(cells.variants))]
    missing = [[counted, rows - counted] for rows, counted in zip(rows_V, counted_V, strict=True)]
    return ExperimentAnalysis(
        is_share=cells.is_share,
        clustered=clustered,
        variants=tuple(_summary(cells, variant, rows, clustered) for variant, rows in enumerate(rows_V)),
        mixed_units=_mixed_units(cells),
        ratio=sample_ratio(_assigned(cells, rows_V), planned),
        growing=growing,
        comparisons=totals,
        looks=tuple(_looks(pair, alpha) for pair in pairs),
        segments=by_segment(cells, totals, clustered=clustered) if len(cells.segments) > 1 else None,
        missing_p=independence_p(missing),
        drift_p=_drift_p(cells) if timed else None,
    )


def _summary(cells: OutcomeCells, variant: int, rows: int, clustered: bool) -> VariantSummary:
    mask_C = cells.mask(variant)
    sums = arm_sums(cells, mask_C, clustered=clustered)
    return VariantSummary(
        name=cells.variants[variant],
        rows=rows,
        counted=int(sums.rows),
        units=int(sums.units) if cells.unit_C is None or clustered else int(sums.rows),
        total=sums.total + sums.shift * sums.rows,
        mean=_mean(cells, sums, clustered),
    )


def _mean(cells: OutcomeCells, sums: ArmSums, clustered: bool) -> EstimatedValue:
    """Return a variant's mean with its interval: Wilson's for shares, Student's for numbers."""
    value = float(sums.mean)
    error = float(np.sqrt(sums.squared_error))
    if cells.is_share and (not clustered or error == 0):
        share = min(max(value, 0.0), 1.0)
        low, high = wilson(share * sums.units, int(sums.units))
        return EstimatedValue(share, low, high)
    if sums.units < 2 or error == 0:
        return EstimatedValue(value, None, None)
    half = t_quantile(LEVEL, sums.units - 1) * error
    low, high = value - half, value + half
    return EstimatedValue(value, max(low, 0.0), min(high, 1.0)) if cells.is_share else EstimatedValue(value, low, high)


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
    """Return the p-value that the variants had the same shares at all times, of twenty equal parts of the time."""
    low, high = int(cells.time_C.min()), int(cells.time_C.max())
    bins_C = ((cells.time_C - low) * _TIME_BINS // (high - low + 1)).astype(np.intp)
    counts = np.zeros((_TIME_BINS, len(cells.variants)))
    np.add.at(counts, (bins_C, cells.variant_C), cells.rows_C if cells.unit_C is None else np.ones_like(cells.rows_C))
    return independence_p(counts.tolist())


def sequence_over_time(pair: ArmPair, ends_T: Integers, alpha: float) -> dict[str, Floats]:
    """Compute the confidence sequence at several times.

    Args:
        pair: the baseline and another variant.
        ends_T: the times, in ascending order.
        alpha: the level of the sequence.

    Returns:
        Arrays (T,) for the times from which the sequence has begun: `time`, `rows`, `difference` and `half`, half the
        width of the interval.
    """
    arms = [arm_sums_over_time(pair.cells, mask_C, ends_T, clustered=pair.clustered) for mask_C in pair.masks]
    with np.errstate(divide="ignore", invalid="ignore"):
        events = [np.minimum(arm.weight, arm.units) for arm in arms]
        if pair.cells.is_share:
            events += [arm.rows * (1 - arm.mean) for arm in arms]
        is_ready = np.min(events, axis=0) >= LEAST_EVENTS
        baseline, variant = arms
        error = np.sqrt(baseline.squared_error + variant.squared_error)
        columns = {
            "time": ends_T,
            "rows": baseline.rows + variant.rows,
            "difference": variant.mean - baseline.mean,
            "half": boundary(baseline.units + variant.units, alpha) * error,
        }
    return {name: np.asarray(column, float)[is_ready] for name, column in columns.items()}


def _looks(pair: ArmPair, alpha: float) -> tuple[Look, ...]:
    """Return the confidence sequence at up to `_MOST_POINTS` times."""
    times = np.unique(pair.cells.time_C[pair.masks[0] | pair.masks[1]])
    ends = times[np.unique(np.linspace(0, len(times) - 1, _MOST_POINTS).astype(int))]
    columns = [column.tolist() for column in sequence_over_time(pair, ends, alpha).values()]
    return tuple(
        Look(int(time), int(rows), value, value - half, value + half)
        for time, rows, value, half in zip(*columns, strict=True)
    )
