"""Sums and averages of a table against their parts.

An average of rounded entries may differ from the average of the printed ones by one unit of the last place; the
intervals of the values that round to them decide. An average that the document does not call the plain mean of the
columns shown may have weights, or count columns that are not shown: it is nominally inconsistent only where all other
rows, at least three, are plain means and no weights explain this one. A total row that the document does not call the
sum of the rows shown may count others: it is open if it is larger than their sum, unless it is their sum in another
column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evals.reports.claims.evidence.tables.grid import Grid, GridColumn, GridValue, Place, TableFinding
from evals.reports.claims.language.tables.models import ALL_COLUMNS

_LEAST = 3
"""The number of other rows, at least, that must be plain means before one row can be an exception."""


@dataclass(frozen=True, slots=True)
class _Total:
    """A printed sum or average beside the one of its parts."""

    place: Place
    printed: GridValue
    parts: tuple[GridValue, ...]
    column: GridColumn
    is_mean: bool

    @property
    def computed(self) -> Fraction:
        return sum((part.value for part in self.parts), Fraction(0)) / (len(self.parts) if self.is_mean else 1)

    @property
    def tolerance(self) -> Fraction:
        """How far rounding can move the printed value from the computed one."""
        halves = sum((part.half for part in self.parts), Fraction(0)) / (len(self.parts) if self.is_mean else 1)
        return halves + self.printed.half

    @property
    def gap(self) -> Fraction:
        return abs(self.printed.value - self.computed)

    @property
    def is_exact(self) -> bool:
        """Whether it is a sum that shows that no part is hidden: it holds, and any part is too large to be hidden."""
        smallest = min(abs(part.value) for part in self.parts)
        return not self.is_mean and self.holds and self.tolerance < smallest

    @property
    def holds(self) -> bool:
        return self.gap <= self.tolerance

    def describe(self) -> str:
        word = "plain mean" if self.is_mean else "sum"
        shown = (self.column.show(part).removesuffix(self.column.unit.symbol).strip() for part in self.parts)
        values = " + ".join(shown)
        divided = f"({values}) / {len(self.parts)}" if self.is_mean else values
        show, gap = self.column.show, self.column.show_gap
        rounding = f"; rounding explains a gap of {gap(self.tolerance)} at most"
        return f"the {word} of the parts is {divided} = {show(self.computed)}, and {show(self.printed)} is printed" + (
            "" if self.gap == 0 else f": a gap of {gap(self.gap)}{rounding}"
        )

    def finding(self, verdict: str, line: str) -> TableFinding:
        return TableFinding(self.place, verdict, line, tuple(part.id for part in self.parts))


def check_totals(grid: Grid) -> Iterator[TableFinding]:
    """Compare each sum and average of a table with its parts.

    Args:
        grid: the table.

    Yields:
        A finding for each sum or average all of whose parts are printed.

    Example:
        >>> from evals.reports.claims.evidence.tables.grid import Grid, GridColumn, GridRow, GridValue
        >>> columns = (GridColumn("A"), GridColumn("B"), GridColumn("Avg", role="average", parts=(0, 1), declared=True))
        >>> values = {(0, n): GridValue(f"T1r1-{n}", Fraction(v), Fraction(1, 2)) for n, v in enumerate((80, 91, 88))}
        >>> [finding.verdict for finding in check_totals(Grid(columns, (GridRow("x"),), values))]
        ['internally_inconsistent']
    """
    for index, column in enumerate(grid.columns):
        if column.role != "value" and column.parts:
            totals = [
                total
                for number, row in enumerate(grid.rows)
                if row.role == "value" and (total := _in_row(grid, number, index)) is not None
            ]
            yield from (_declared if column.declared else _undeclared)(totals)
    for number, row in enumerate(grid.rows):
        if row.role in {"average", "sum"}:
            totals = [t for n in range(len(grid.columns)) if (t := _in_column(grid, number, n)) is not None]
            are_shown = row.role == "average" or bool(row.parts) or any(total.is_exact for total in totals)
            yield from _declared(totals, may_hide_parts=not are_shown)


def _in_row(grid: Grid, row: int, column: int) -> _Total | None:
    """The total of a row; None if it or one of its parts is not printed."""
    parts = [grid.values.get((row, part)) for part in grid.columns[column].parts]
    return _total(grid, (row, column), parts, grid.columns[column].role == "average")


def _in_column(grid: Grid, row: int, column: int) -> _Total | None:
    """The total of a column, over the rows that it names or those above it; None if something is not printed."""
    group = grid.rows[row].group
    named = {*grid.rows[row].parts} - {ALL_COLUMNS}
    above = [n for n, other in enumerate(grid.rows[:row]) if other.role == "value" and other.group == group]
    above = [n for n, other in enumerate(grid.rows) if other.name in named] if named else above
    return _total(grid, (row, column), [grid.values.get((n, column)) for n in above], grid.rows[row].role == "average")


def _total(grid: Grid, place: Place, parts: Sequence[GridValue | None], is_mean: bool) -> _Total | None:
    printed = grid.values.get(place)
    present = tuple(part for part in parts if part is not None and part.fits and part.total is None)
    if printed is None or not printed.fits or len(present) != len(parts) or len(present) < 2:
        return None
    return _Total(place, printed, present, grid.columns[place[1]], is_mean)


def _declared(totals: Sequence[_Total], *, may_hide_parts: bool = False) -> Iterator[TableFinding]:
    """Sums and means of known parts; a sum that may count rows that are not shown may be larger, and is then open."""
    for total in totals:
        is_open = may_hide_parts and not total.holds and total.printed.value > total.computed
        remark = "; it may count rows that are not shown" if is_open else ""
        verdict = "consistent" if total.holds else "open" if is_open else "internally_inconsistent"
        yield total.finding(verdict, total.describe() + remark)


def _undeclared(totals: Sequence[_Total]) -> Iterator[TableFinding]:
    """Averages of unknown weights: an exception among plain means is nominally inconsistent, all else a note."""
    plain = [total for total in totals if total.holds]
    exceptions = [total for total in totals if not total.holds]
    are_plain = len(plain) >= _LEAST and len(exceptions) <= 1
    for total in totals:
        if total.holds and are_plain:
            yield total.finding("consistent", total.describe())
        elif are_plain and not (total.is_mean and _have_weights(totals)):
            line = (
                f"{total.describe()}; the {len(plain)} other rows print the {'plain mean' if total.is_mean else 'sum'}"
            )
            line += ", and no weights give them all" if total.is_mean else ""
            yield total.finding("nominally_inconsistent", line)
        elif not total.holds:
            yield total.finding("na", f"{total.describe()}; it may have weights, or count columns that are not shown")


def _have_weights(totals: Sequence[_Total]) -> bool:
    """Whether some weights of the parts, the same in every row, give all printed averages within their rounding."""
    import numpy as np
    from scipy.optimize import linprog

    parts = np.array([[float(part.value) for part in total.parts] for total in totals])
    printed = np.array([float(total.printed.value) for total in totals])
    tolerance = np.array([float(total.tolerance) + 1e-9 for total in totals])
    answer = linprog(
        np.zeros(parts.shape[1]),
        A_ub=np.vstack([parts, -parts]),
        b_ub=np.concatenate([printed + tolerance, tolerance - printed]),
        A_eq=np.ones((1, parts.shape[1])),
        b_eq=[1.0],
        bounds=(0, 1),
    )
    return bool(answer.status == 0)
