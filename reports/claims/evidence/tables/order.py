"""Whether what is bold in a table is the best of its column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from evals.reports.claims.evidence.tables.grid import Grid, GridColumn, GridValue, TableFinding


def check_bold(grid: Grid) -> Iterator[TableFinding]:
    """Compare each bold value with the best of its column, or of its group of rows.

    Beside a bold best, another bold value marks something else (the best of a family, a pair in one cell) and is open.
    So is a bold worst value where nothing but the unit says which direction is better, and any in a table whose bold
    values are the best of their rows. Where the bold values of three columns and more are all the lowest, lower is
    better (perplexities whose name the table lacks).
    Values within `same_level`, or within the printed deviation of the bold one, count as equal. A row that is bold
    throughout is an emphasised row; its values are then a note.

    Example:
        >>> from evals.reports.claims.evidence.tables.grid import GridColumn, GridRow, GridValue
        >>> column = GridColumn("Accuracy", direction="higher")
        >>> values = {(0, 0): GridValue("T1r1-1", Fraction(80), bold=True), (1, 0): GridValue("T1r2-1", Fraction(81))}
        >>> [finding.verdict for finding in check_bold(Grid((column,), (GridRow("x"), GridRow("y")), values))]
        ['internally_inconsistent']
    """
    if not grid.bold_is_best:
        return
    turned, marks_lowest = _is_turned(grid), _marks_lowest(grid)
    emphasised = {number for number in range(len(grid.rows)) if _is_bold_throughout(grid, number)}
    for index, column in enumerate(grid.columns):
        entries = [(number, value) for number, value in grid.column(index) if value.fits and value.total is None]
        for number, value in entries:
            if not value.bold:
                continue
            rivals = [other for n, other in entries if n != number and grid.rows[n].group == grid.rows[number].group]
            if not rivals:
                continue
            best = best_of([value, *rivals], column, value)
            gap = abs(best.value - value.value)
            if gap <= max(grid.same_level, value.deviation or Fraction(0), best.deviation or Fraction(0)):
                word = "the best" if gap == 0 else "at the level of the best"
                yield TableFinding((number, index), "consistent", f"bold, and {word} of its column")
                continue
            is_worst = best_of([value, *rivals], replace(column, direction=None), value) is value
            is_reversed = is_worst and not column.is_direction_sure
            if is_reversed and marks_lowest:
                yield TableFinding(
                    (number, index), "consistent", "bold, and the lowest, as in each column with a bold value"
                )
                continue
            is_open = best.bold or is_reversed or turned
            verdict = "na" if number in emphasised else "open" if is_open else "internally_inconsistent"
            line = f"bold, but {best.id} has {column.show(best)}, which is better than {column.show(value)}"
            line += ", though its whole row is bold" if number in emphasised else ""
            line += "; both are bold, so bold also marks something else" if best.bold else ""
            line += "; each bold value is the best of its row, so the rows may be the benchmarks" if turned else ""
            line += "; it is the best if lower is better, which only the unit speaks against" if is_reversed else ""
            yield TableFinding((number, index), verdict, line, (best.id,))


def _is_turned(grid: Grid) -> bool:
    """Whether bold marks the best of rows: each bold value is the highest or lowest of its row, in at least two."""
    bold = [(place, value) for place, value in grid.values.items() if value.bold and value.fits]
    for (row, index), value in bold:
        unit = grid.columns[index].unit
        peers = [v.value for (r, n), v in grid.values.items() if r == row and grid.columns[n].unit == unit and v.fits]
        if len(peers) < 2 or value.value not in {max(peers), min(peers)}:
            return False
    return len({row for (row, _), _ in bold}) > 1


def _marks_lowest(grid: Grid) -> bool:
    """Whether the bold values of at least three columns are the lowest of their groups, and none is anything else."""
    columns = set()
    for (row, index), value in grid.values.items():
        if not value.bold or not value.fits or value.total is not None or grid.columns[index].is_direction_sure:
            continue
        rivals = [v.value for n, v in grid.column(index) if v.fits and grid.rows[n].group == grid.rows[row].group]
        if value.value > min(rivals) or len(set(rivals)) == 1:
            return False
        columns.add(index)
    return len(columns) > 2


def best_of(values: Sequence[GridValue], column: GridColumn, preferred: GridValue | None = None) -> GridValue:
    """Return the best value of a column; without a direction, `preferred` if it is an extreme, else the highest.

    Args:
        values: at least one value.
        column: the column.
        preferred: the value that is said to be the best.
    """
    highest, lowest = max(values, key=lambda v: v.value), min(values, key=lambda v: v.value)
    if column.direction is None and preferred is not None and preferred.value == lowest.value:
        return preferred
    return lowest if column.direction == "lower" else highest


def _is_bold_throughout(grid: Grid, row: int) -> bool:
    values = [value for (number, _), value in grid.values.items() if number == row]
    return len(values) > 1 and all(value.bold for value in values)
