"""Comparisons by segment: Holm's correction, whether the effect differs, and Simpson's paradox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evals.statistics.clusters import Floats
from evals.statistics.experiments.cells import OutcomeCells
from evals.statistics.experiments.comparison import ArmPair, VariantComparison, compare
from evals.statistics.experiments.planning import with_plans
from evals.statistics.experiments.sample_ratio import independence_p
from evals.statistics.intervals import LEVEL

LEAST_ROWS = 20
"""Rows with an outcome that a variant needs in a segment to be compared there."""


@dataclass(frozen=True, slots=True)
class SegmentedVariant:
    """One variant against the baseline within the segments."""

    variant: str
    weighted_difference: float | None
    """Mean of the segments' differences, each weighted by its rows; None if no segment has both variants."""
    opposes_total: bool
    """Simpson's paradox: the weighted difference has the other sign than that of the whole log, and one of the two is
    more than chance."""
    unequal_p: float | None
    """The p-value that the effect is the same in all segments; None with fewer than two."""


@dataclass(frozen=True)
class SegmentReport:
    """The comparisons in each segment."""

    comparisons: tuple[VariantComparison, ...]
    """In the order of the segments; the p-values are adjusted over all of them."""
    small: tuple[str, ...]
    """Segments in which some variant has too few rows to be compared."""
    variants: tuple[SegmentedVariant, ...]
    mix_p: float
    """The p-value that the variants have the same shares of the segments."""


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values that are looked at together.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def with_holm(comparisons: Sequence[VariantComparison]) -> tuple[VariantComparison, ...]:
    """Adjust the p-values of comparisons that are looked at together."""
    adjusted = holm([1.0 if comparison.p is None else comparison.p for comparison in comparisons])
    return tuple(
        row if row.p is None else replace(row, adjusted_p=p) for row, p in zip(comparisons, adjusted, strict=True)
    )


def by_segment(cells: OutcomeCells, totals: Sequence[VariantComparison], *, growing: bool) -> SegmentReport:
    """Compare every variant with the baseline in every segment.

    Args:
        cells: the log.
        totals: the comparisons in the whole log.
        growing: whether confidence sequences decide.
    """
    alpha = (1 - LEVEL) / max(len(totals) * len(cells.segments), 1)
    rows_SV = np.zeros((len(cells.segments), len(cells.variants)))
    np.add.at(rows_SV, (cells.segment_C, cells.variant_C), cells.counts_C)
    clustered = cells.has_clusters
    pairs: list[ArmPair] = []
    small = []
    for segment, name in enumerate(cells.segments):
        if rows_SV[segment].min() < LEAST_ROWS:
            small.append(name)
        for variant in range(1, len(cells.variants)):
            if min(rows_SV[segment, 0], rows_SV[segment, variant]) >= LEAST_ROWS:
                pairs.append(ArmPair(cells, variant, segment, clustered))
    compared = [compare(pair, alpha) for pair in pairs]
    variants = [_segmented(total, [row for row in compared if row.variant == total.variant]) for total in totals]
    units_SV = _assigned(cells)
    planned = with_plans(with_holm(compared), pairs, growing=growing)
    return SegmentReport(planned, tuple(small), tuple(variants), independence_p(units_SV.tolist()))


def _assigned(cells: OutcomeCells) -> Floats:
    """Count the units (or rows) of each variant in each segment."""
    counts_SV = np.zeros((len(cells.segments), len(cells.variants)))
    weights_C = cells.rows_C if cells.unit_C is None else cells.assigned().astype(float)
    np.add.at(counts_SV, (cells.segment_C, cells.variant_C), weights_C)
    return counts_SV


def _segmented(total: VariantComparison, segments: Sequence[VariantComparison]) -> SegmentedVariant:
    """Combine the segments' comparisons of one variant."""
    if not segments:
        return SegmentedVariant(total.variant, None, opposes_total=False, unequal_p=None)
    from scipy.stats import chi2, norm

    weights = np.array([row.baseline_rows + row.variant_rows for row in segments], float)
    weights /= weights.sum()
    values = np.array([row.difference.value for row in segments], float)
    errors = np.array([row.standard_error for row in segments])
    weighted, error = float((weights * values).sum()), float(np.sqrt(np.square(weights * errors).sum()))
    crude = total.difference
    crude_is_clear = crude.low is not None and crude.high is not None and not crude.low <= 0 <= crude.high
    is_clear = crude_is_clear or (error > 0 and abs(weighted) > norm.ppf(0.975) * error)
    unequal = None
    if len(segments) > 1 and errors.min() > 0:
        precision = 1 / np.square(errors)
        centre = (precision * values).sum() / precision.sum()
        unequal = float(chi2.sf((precision * np.square(values - centre)).sum(), len(segments) - 1))
    opposes = len(segments) > 1 and is_clear and weighted * (crude.value or 0.0) < 0
    return SegmentedVariant(total.variant, weighted, opposes, unequal)
