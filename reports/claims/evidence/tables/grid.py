"""A table as numbers: the grid of values that the checks compare.

Values are in the unit of their column, as exact fractions with half the unit of their last printed place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evals.reports.claims.language.files import load_vocabulary
from evals.reports.claims.language.tables import headers
from evals.reports.claims.language.tables.expansion import CellClaim
from evals.reports.claims.language.tables.models import ALL_COLUMNS, ColumnRole, Direction, RowRole, Spread
from evals.reports.claims.language.units import PLAIN, POINTS, Unit, Units, format_value, last_place

Place = tuple[int, int]
"""The indexes of a row and a column."""


@dataclass(frozen=True, slots=True)
class GridValue:
    """The number in a cell."""

    id: str
    """The ID of the cell's claim."""
    value: Fraction
    """The printed number times its factor (7e9 for `7B` and for 7 in a column of billions), in the column's unit."""
    half: Fraction = Fraction(0)
    """Half a unit of the last printed place: the number stands for `value` - `half` to `value` + `half`."""
    bold: bool = False
    deviation: Fraction | None = None
    """What follows ±."""
    low: Fraction | None = None
    high: Fraction | None = None
    """The ends of a printed interval."""
    total: int | None = None
    """The total of a count: 100 of `87/100`."""
    fits: bool = True
    """Whether it can be compared with the others: its unit has the dimension of the column's, and it is no bound."""
    is_bound: bool = False
    """Whether it is a bound (`>80 GB`)."""
    digits: str = ""
    """The digits as printed, if they are in the unit of the column."""

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The smallest and the largest number that round to it."""
        return self.value - self.half, self.value + self.half


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A column, with what its header implies."""

    name: str
    unit: Unit = PLAIN
    role: ColumnRole = "value"
    direction: Direction | None = None
    is_direction_sure: bool = True
    """Whether the document or the vocabulary says which direction is better, rather than the unit alone."""
    items: int | None = None
    graded: bool = False
    runs: int | None = None
    parts: tuple[int, ...] = ()
    """The indexes of the columns that an average or sum is of: as declared, else the columns of values in its unit."""
    declared: bool = False
    """Whether the document says that it is their plain mean or sum."""

    @property
    def is_percent(self) -> bool:
        """Whether its values are percentages."""
        return not self.unit.dimension and self.unit.factor == Fraction(1, 100)

    def show(self, value: GridValue | Fraction) -> str:
        """Format a value in the unit of the column, with its printed digits where there are any."""
        if isinstance(value, GridValue):
            return f"{value.digits} {self.unit.symbol}".strip() if value.digits else self.show(value.value)
        return format_value(value * self.unit.factor, self.unit)

    def show_gap(self, value: Fraction) -> str:
        """Format a difference of two values: that of percentages is in points."""
        return format_value(value * self.unit.factor, self.difference)

    @property
    def difference(self) -> Unit:
        """The unit of differences: percentage points for percentages."""
        return POINTS if self.is_percent else self.unit


@dataclass(frozen=True, slots=True)
class GridRow:
    """A row."""

    name: str
    group: str | None = None
    role: RowRole = "value"
    parts: tuple[str, ...] = ()
    """The names of the rows that the document says this is the sum of, or `all`; empty if it does not say."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as numbers."""

    columns: tuple[GridColumn, ...]
    rows: tuple[GridRow, ...]
    values: Mapping[Place, GridValue]
    bold_is_best: bool = True
    same_level: Fraction = Fraction(0)
    """The gap up to which the document calls two values equal."""
    spread: Spread | None = None
    caption: str = ""

    def column(self, index: int) -> Iterator[tuple[int, GridValue]]:
        """Yield the rows of values that have a number in a column, with it."""
        for number, row in enumerate(self.rows):
            if row.role == "value" and (number, index) in self.values:
                yield number, self.values[number, index]


@dataclass(frozen=True, slots=True)
class TableFinding:
    """What a check of a table found in one cell."""

    place: Place
    verdict: str
    """A word of arithmetic; `na` for a note."""
    line: str
    others: tuple[str, ...] = ()
    """The IDs of the other cells that take part."""


def grid_of(cells: Sequence[CellClaim], units: Units) -> Grid:
    """Convert the claims of a table's cells to numbers.

    Args:
        cells: the claims of all cells of one table; at least one.
        units: the units of the vocabulary.
    """
    table = cells[0].cell.table
    column_units = [units[column.unit or table.unit or ""] for column in table.columns]
    roles = [headers.role(column) for column in table.columns]
    known = {claim.cell.column for claim in cells if claim.quantity in load_vocabulary().quantities}
    columns = []
    for number, column in enumerate(table.columns):
        stated = column.mean_of or column.sum_of
        peers = [n for n, unit in enumerate(column_units) if roles[n] == "value" and unit == column_units[number]]
        named = [n for n, other in enumerate(table.columns) if other.name in stated]
        columns.append(
            GridColumn(
                name=column.name,
                unit=column_units[number],
                role=roles[number],
                direction=headers.direction(column, column.unit or table.unit or ""),
                is_direction_sure=headers.is_direction_stated(column) or number in known,
                items=column.items,
                graded=headers.is_graded(column),
                runs=column.runs or table.runs,
                parts=tuple(peers if not stated or ALL_COLUMNS in stated else named),
                declared=bool(stated),
            )
        )
    return Grid(
        columns=tuple(columns),
        rows=tuple(GridRow(row.name, row.group, headers.row_role(row), row.sum_of) for row in table.rows),
        values={(c.cell.row, c.cell.column): _value(c, column_units[c.cell.column], units) for c in cells},
        bold_is_best=table.bold == "best",
        same_level=Fraction(table.same_level or 0),
        spread=table.spread,
        caption=table.caption or "",
    )


def _value(claim: CellClaim, column_unit: Unit, units: Units) -> GridValue:
    """The number of one cell in the unit of its column."""
    printed, unit = claim.cell.printed, units[claim.cell.unit]
    column = claim.cell.table.columns[claim.cell.column]
    counts = Fraction(printed.count) if printed.count > 1 else Fraction(str(column.times or 1))
    fits = unit.dimension == column_unit.dimension or printed.total is not None
    is_bound = printed.bound not in {"exactly", "about"}
    scale = counts * (unit.factor / column_unit.factor if fits and printed.total is None else 1)

    def number(digits: str | None) -> Fraction | None:
        return None if digits is None else Fraction(digits) * scale

    return GridValue(
        id=claim.id,
        value=printed.value * scale,
        half=Fraction(0) if printed.total is not None else last_place(printed.digits) / 2 * scale,
        bold=printed.bold,
        deviation=number(printed.deviation),
        low=number(printed.low),
        high=number(printed.high),
        total=printed.total,
        fits=fits and not is_bound,
        is_bound=is_bound,
        digits=printed.digits if scale == 1 else "",
    )
