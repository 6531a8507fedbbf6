"""The cells of a table of a page, some of which cover several rows or columns."""

from __future__ import annotations

from dataclasses import dataclass, field

from evals.reports.claims.language.sources.articles import Text


@dataclass(slots=True)
class TableUnderWay:
    """A table whose rows are being read."""

    rows: list[list[Text]] = field(default_factory=list)
    header_rows: int = 0
    caption: Text | None = None
    is_header_row: bool = False
    in_head: bool = False
    spans: tuple[int, int] = (1, 1)
    """Rows and columns that the open cell covers."""
    below: dict[int, tuple[int, Text]] = field(default_factory=dict)
    """For each column the rows that a cell above still covers, and what it prints there."""


def count(text: str) -> int:
    """Return the rows or columns that a cell covers: 1 unless its attribute is a number."""
    return max(1, min(int(text), 100)) if text.isascii() and text.isdecimal() and len(text) < 5 else 1


def add_cell(table: TableUnderWay, cell: Text) -> None:
    """Add a cell to the last row, and empty ones for the columns that it covers beside itself.

    A label goes on in the rows that it covers; a value is printed once.
    """
    row, (rows, columns) = table.rows[-1], table.spans
    fill_from_above(table)
    for place in range(columns):
        if rows > 1:
            below = cell if len(row) == 0 else Text("", [], [])
            table.below[len(row)] = (rows - 1, below)
        row.append(cell if place == 0 else Text("", [], []))
    table.spans = (1, 1)


def fill_from_above(table: TableUnderWay) -> None:
    """Add the cells that reach into the last row from above."""
    row = table.rows[-1]
    while len(row) in table.below:
        left, below = table.below.pop(len(row))
        if left > 1:
            table.below[len(row)] = (left - 1, below)
        row.append(below)
