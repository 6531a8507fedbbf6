"""What is kept of an experiment's log: counts and sums by unit, variant, segment and time.

Letters in array names: C cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.statistics.clusters import Floats, Mask

Integers = NDArray[np.int64]
NO_TIME = -(1 << 62)
"""Stands for a missing time: before all others."""
_MIXER = np.uint64(0x9E3779B97F4A7C15)


def mixed_key(*columns: Integers) -> NDArray[np.uint64]:
    """Return a number of 64 bits for each row of columns: rows that differ have the same one very rarely."""
    key = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        key = key * _MIXER + column.astype(np.uint64)
    return key


@dataclass(frozen=True)
class OutcomeCells:
    """Sums of a log's outcomes, with one cell for rows that are alike in unit, variant, segment and time."""

    variants: tuple[str, ...]
    """The variants, the baseline first."""
    segments: tuple[str, ...]
    """The segments; one without a name where the log is not divided."""
    variant_C: Integers
    segment_C: Integers
    """Indices of variants and segments."""
    time_C: Integers
    """When the cell's rows came: any number that grows with time, or `NO_TIME`."""
    rows_C: Floats
    """Number of rows, those without an outcome included."""
    counts_C: Floats
    """Number of rows with an outcome."""
    sums_C: Floats
    squares_C: Floats
    cubes_C: Floats
    fourths_C: Floats
    """Sums of the outcomes less `shift`, of their squares, cubes and fourth powers."""
    shift: float
    """A value near the outcomes, so that the sums of squares are precise; it moves with the outcomes' origin."""
    is_share: bool
    """Whether every outcome is 0 or 1; then the shift is 0."""
    unit_C: Integers | None = None
    """The unit of each cell, any number that identifies it; None if the rows are the units."""

    @property
    def has_clusters(self) -> bool:
        """Whether some unit has more than one row with an outcome."""
        return self.unit_C is not None and len(np.unique(self.unit_C[self.counts_C > 0])) < self.counts_C.sum()

    def mask(self, variant: int, segment: int | None = None) -> Mask:
        """Return which cells with outcomes belong to a variant and, if it is given, to a segment."""
        mask_C: Mask = (self.variant_C == variant) & (self.counts_C > 0)
        return mask_C if segment is None else mask_C & (self.segment_C == segment)

    def assigned(self) -> Mask:
        """Return one cell of everything that was assigned to a variant in a segment: the first one of each unit.

        Without units these are all cells, and each stands for `rows_C` rows.
        """
        if self.unit_C is None:
            return np.ones(len(self.variant_C), bool)
        order = np.argsort(self.time_C, kind="stable")
        place_C = self.variant_C * len(self.segments) + self.segment_C
        _, first = np.unique(mixed_key(self.unit_C, place_C)[order], return_index=True)
        chosen = np.zeros(len(order), bool)
        chosen[order[first]] = True
        return chosen
