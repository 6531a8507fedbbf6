"""Make a claim of each cell of a table.

A claim with a `table` is replaced by the claims of its cells when the file is read: the cell in row 2 and column 3 of
T-1 is the claim `T1r2-3`, which expressions may name. Cells without a number make no claim.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pydantic import SkipValidation

from evals.errors import InputError
from evals.reports.claims.language.facts import PublicRecord, Quantity, Subject, Vocabulary
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.tables import headers
from evals.reports.claims.language.tables.models import ResultTable, TableColumn
from evals.reports.claims.language.tables.printed_cells import PrintedCell, read_cell
from evals.reports.claims.language.units import Units
from evals.reports.claims.language.yaml_lines import YamlFile
from evals.yaml_files import Location


@dataclass(frozen=True, slots=True)
class TableCell:
    """The place of a cell, and what it prints."""

    table_id: str
    """The ID of the claim that holds the table."""
    table: ResultTable
    row: int
    """The index of the row, from 0."""
    column: int
    """The index of the column, from 0."""
    printed: PrintedCell
    unit: str
    """The unit of the cell: as printed in it, else that of the column."""
    column_unit: str


class CellClaim(Claim):
    """A claim that a table's cell makes."""

    cell: SkipValidation[TableCell]
    """The cell."""


def expand(source: YamlFile, document: Document, vocabulary: Vocabulary, record: PublicRecord) -> Document:
    """Replace each claim that holds a table by the claims of its cells, and declare their subjects and quantities.

    Args:
        source: the file, for the lines of its parts.
        document: its content.
        vocabulary: the units and quantities that columns may name.
        record: the public facts, whose subjects rows may name.

    Raises:
        InputError: a cell is no number, or a column has no unit or an unknown one.
    """
    if not any(claim.table for claim in document.claims):
        return document
    expansion = _Expansion(source, document, vocabulary, record)
    claims: list[Claim] = []
    for number, claim in enumerate(document.claims):
        claims += [claim] if claim.table is None else expansion.cells(("claims", number, "table"), claim, claim.table)
    info = document.document.model_copy(update={"subjects": expansion.subjects, "quantities": expansion.quantities})
    return document.model_copy(update={"document": info, "claims": tuple(claims)})


def located(document: Document) -> Iterator[tuple[Location, Claim]]:
    """Yield each claim with its location in the file; that of a cell is the cell in its table."""
    number, table_id = -1, None
    for claim in document.claims:
        if not isinstance(claim, CellClaim):
            number, table_id = number + 1, None
            yield ("claims", number), claim
            continue
        if claim.cell.table_id != table_id:
            number, table_id = number + 1, claim.cell.table_id
        yield ("claims", number, "table", "rows", claim.cell.row, "cells", claim.cell.column), claim


def cell_id(table_id: str, row: int, column: int) -> str:
    """Return the ID of the claim of a cell; row and column count from 0.

    Example:
        >>> cell_id("T-1", 1, 2)
        'T1r2-3'
    """
    return f"{table_id.replace('-', '')}r{row + 1}-{column + 1}"


class _Expansion:
    """The subjects and quantities of one document, which grow as its tables are read."""

    def __init__(self, source: YamlFile, document: Document, vocabulary: Vocabulary, record: PublicRecord) -> None:
        """Index the names that rows and columns may use."""
        self.source, self.vocabulary, self.record = source, vocabulary, record
        self.units = Units({name: (unit.symbol, unit.is_) for name, unit in vocabulary.units.items()})
        self.id = document.document.id
        self.subjects: dict[str, Subject] = dict(document.document.subjects)
        self.quantities: dict[str, Quantity] = dict(document.document.quantities)

    def cells(self, at: Location, block: Claim, table: ResultTable) -> Iterator[CellClaim]:
        """Yield the claims of a table's cells."""
        units = [self.unit((*at, "columns", n), table, column) for n, column in enumerate(table.columns)]
        quantities = [
            self.quantity((*at, "columns", n), block.id, column, units[n]) for n, column in enumerate(table.columns)
        ]
        subjects = [row.subject or self.subject(row.name) for row in table.rows]
        for number, row in enumerate(table.rows):
            subject = subjects[number]
            same = [n for n, other in enumerate(table.rows) if (subjects[n], other.release) == (subject, row.release)]
            variant = {"row": row.name} if len(same) > 1 else {}
            for index, text in enumerate(row.cells):
                where = (*at, "rows", number, "cells", index)
                try:
                    printed = read_cell(text)
                except InputError as error:
                    raise self.source.refuse(where, f"cell {error}") from None
                if printed is None:
                    continue
                unit = self.cell_unit(where, printed, units[index])
                cell = TableCell(block.id, table, number, index, printed, unit=unit, column_unit=units[index])
                yield self.claim(block, cell, subject, quantities[index], variant)

    def claim(
        self, block: Claim, cell: TableCell, subject: str, quantity: str, variant: Mapping[str, str]
    ) -> CellClaim:
        """Build the claim of one cell; `variant` tells the rows of one subject apart."""
        row, column, printed = cell.table.rows[cell.row], cell.table.columns[cell.column], cell.printed
        symbol = self.vocabulary.units[cell.unit].symbol
        value = (
            f"{printed.digits}{'KMBT'[[10**3, 10**6, 10**9, 10**12].index(printed.count)] if printed.count > 1 else ''}"
        )
        fields: dict[str, Any] = {
            "id": cell_id(block.id, cell.row, cell.column),
            "line": row.line or block.line,
            "says": f"{row.name} has {f'{value} {symbol}'.strip()} in column {column.name} of table {block.id}.",
            "kind": block.kind,
            "subject": (subject,),
            "release": row.release,
            "quantity": quantity if self.units[cell.unit].dimension == self.units[cell.column_unit].dimension else None,
            "printed": printed.digits,
            "plus_minus": _half_width(printed),
            "exact": printed.total is not None,
            "bound": printed.bound,
            "times": Decimal(printed.count if printed.count > 1 else str(column.times or 1)),
            "unit": cell.unit,
            "protocol": {**variant, **headers.protocol(cell.table, column, row)},
            "note": block.note,
            "span": row.spans[cell.column] if row.spans else None,
            "confidence": block.confidence,
            "reason": block.reason,
            "proposed_by": block.proposed_by,
            "review": block.review,
            "cell": cell,
        }
        return CellClaim(**fields)

    def unit(self, at: Location, table: ResultTable, column: TableColumn) -> str:
        """Return the unit of a column."""
        unit = column.unit or table.unit
        if unit is None:
            raise self.source.refuse(at, f"column {column.name!r} has no 'unit', and the table neither")
        self.source.require_known(
            (*at, "unit") if column.unit else (*at[:-2], "unit"), "unit", unit, self.vocabulary.units
        )
        return unit

    def cell_unit(self, at: Location, printed: PrintedCell, column_unit: str) -> str:
        """Return the unit of a cell: that printed in it, items for a count of a total, else that of the column."""
        if printed.total is not None:
            return "items"
        if printed.unit is None:
            return column_unit
        self.source.require_known(at, "unit", printed.unit, self.vocabulary.units)
        return printed.unit

    def subject(self, name: str) -> str:
        """Return the subject of that name, or declare one."""
        known: Mapping[str, Subject] = {**self.record.subjects, **self.subjects}
        for id, subject in known.items():
            if subject.name.casefold() == name.casefold() or (id in self.subjects and id == name):
                return id
        id = headers.slug(re.sub(r"[\[\]()↑↓]", " ", name)) or "system"  # "Otter (Int4)" is not "Otter (Int8)"
        id = f"{self.id}-{id}" if id in known or id in {"document", "r1", "v2", "v3", "vl"} else id
        self.subjects[id] = Subject(name=name)
        return id

    def quantity(self, at: Location, table_id: str, column: TableColumn, unit: str) -> str:
        """Return the quantity of a column: as given, that of the vocabulary with its name, or a new one."""
        known = {**self.vocabulary.quantities, **self.quantities}
        if column.quantity is not None:
            self.source.require_known((*at, "quantity"), "quantity", column.quantity, known)
            return column.quantity
        name = headers.slug(column.name)
        if name in known and known[name].is_score and known[name].unit == unit:
            return name
        is_own = headers.is_generic(column.name) or headers.role(column) != "value" or not name
        name = name or f"column-{int(at[-1]) + 1}"  # a header in Chinese has no letters for an ID
        id = f"{self.id}-{table_id.lower() + '-' if is_own else ''}{name}"
        if id in known and known[id].unit != unit:
            id = f"{id}-{headers.slug(unit) or 'number'}"
        self.quantities.setdefault(id, Quantity(says=f"column {column.name} of its tables", unit=unit))
        return id


def _half_width(printed: PrintedCell) -> str | None:
    """The half-width that a cell prints after ± or as an interval; the wider side of an interval."""
    if printed.deviation is not None:
        return printed.deviation.removeprefix("-")
    if printed.low is None or printed.high is None:
        return None
    sides = abs(Fraction(printed.high) - printed.value), abs(printed.value - Fraction(printed.low))
    return str(Decimal(max(sides).numerator) / Decimal(max(sides).denominator))
