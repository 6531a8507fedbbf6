"""What is kept of an experiment's log: counts and sums by unit, variant, segment and time.

Letters in array names: C cells, U units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.statistics.clusters import Floats, Mask

Integers = NDArray[np.int64]


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
    """When the cell's rows came: any number that grows with time; of a unit, when its first row came."""
    rows_C: Floats
    """Number of rows, those without an outcome included."""
    counts_C: Floats
    """Number of rows with an outcome."""
    sums_C: Floats
    squares_C: Floats
    """Sums of the outcomes less `shift`, and of their squares."""
    shift: float
    """A value near the outcomes, so that the sums of squares are precise."""
    is_share: bool
    """Whether every outcome is 0 or 1."""
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


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Sums over the units of one variant, from which its mean and variance follow; a row without a unit is one.

    The fields are numbers, or arrays of the sums at several times.
    """

    units: Any
    rows: Any
    total: Any
    """Sum of the outcomes less the shift."""
    squares: Any
    """Sum over units of their squared sums."""
    products: Any
    """Sum over units of their sum times their number of rows."""
    squared_rows: Any
    """Sum over units of their squared number of rows."""
    shift: float

    @property
    def mean(self) -> Any:
        """The mean outcome of a row."""
        return self.total / self.rows + self.shift

    @property
    def squared_error(self) -> Any:
        """The squared standard error of the mean, from the residuals of the units: `sum - mean * rows` of each."""
        ratio = self.total / self.rows
        residuals = self.squares - 2 * ratio * self.products + ratio**2 * self.squared_rows
        return np.maximum(residuals, 0) * self.units / np.maximum(self.units - 1, 1) / self.rows**2

    @property
    def weight(self) -> Any:
        """The number of units of equal outcome that would vary as the units' sums do: how many units decide the mean.

        Of zeros and ones this is the number of ones.
        """
        total = self.total + self.shift * self.rows
        squares = self.squares + 2 * self.shift * self.products + self.shift**2 * self.squared_rows
        return np.divide(
            total**2, squares, out=np.zeros_like(np.asarray(squares, float)), where=np.asarray(squares) > 0
        )


@dataclass(frozen=True)
class UnitSums:
    """The sums of each unit of one variant."""

    unit_U: Integers
    rows_U: Floats
    sums_U: Floats
    time_U: Integers


def units_of(cells: OutcomeCells, mask_C: Mask) -> UnitSums:
    """Add up the cells of each unit. The cells must have units."""
    assert cells.unit_C is not None
    unit_U, inverse = np.unique(cells.unit_C[mask_C], return_inverse=True)
    time_U = np.full(len(unit_U), np.iinfo(np.int64).max)
    np.minimum.at(time_U, inverse, cells.time_C[mask_C])
    rows_U = np.bincount(inverse, weights=cells.counts_C[mask_C], minlength=len(unit_U))
    sums_U = np.bincount(inverse, weights=cells.sums_C[mask_C], minlength=len(unit_U)).astype(np.float64)
    return UnitSums(unit_U, rows_U.astype(np.float64), sums_U, time_U)


def arm_sums(cells: OutcomeCells, mask_C: Mask, *, clustered: bool) -> ArmSums:
    """Add up the units of one variant.

    Args:
        cells: the log.
        mask_C: the variant's cells.
        clustered: whether the units are those of the log; otherwise each row is one.
    """
    if clustered:
        units = units_of(cells, mask_C)
        return ArmSums(
            units=float(len(units.unit_U)),
            rows=float(units.rows_U.sum()),
            total=float(units.sums_U.sum()),
            squares=float(np.square(units.sums_U).sum()),
            products=float((units.sums_U * units.rows_U).sum()),
            squared_rows=float(np.square(units.rows_U).sum()),
            shift=cells.shift,
        )
    rows, total = float(cells.counts_C[mask_C].sum()), float(cells.sums_C[mask_C].sum())
    squares = float(cells.squares_C[mask_C].sum())
    return ArmSums(rows, rows, total, squares, total, squared_rows=rows, shift=cells.shift)


def arm_sums_over_time(cells: OutcomeCells, mask_C: Mask, ends_T: Integers, *, clustered: bool) -> ArmSums:
    """Add up the units of one variant that had come by each time, as arrays (T,)."""
    if clustered:
        units = units_of(cells, mask_C)
        times, rows, sums = units.time_U, units.rows_U, units.sums_U
        columns = [np.ones_like(rows), rows, sums, sums**2, sums * rows, rows**2]
    else:
        times, rows, sums = cells.time_C[mask_C], cells.counts_C[mask_C], cells.sums_C[mask_C]
        columns = [rows, rows, sums, cells.squares_C[mask_C], sums, rows]
    order = np.argsort(times, kind="stable")
    stops_T = np.searchsorted(times[order], ends_T, side="right")
    until = [np.concatenate([[0.0], np.cumsum(column[order])])[stops_T] for column in columns]
    names = ("units", "rows", "total", "squares", "products", "squared_rows")
    return ArmSums(**dict(zip(names, until, strict=True)), shift=cells.shift)
