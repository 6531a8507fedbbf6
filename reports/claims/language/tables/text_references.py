"""Find the cells that a claim of the text compares, and check that they exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.tables import headers
from evals.reports.claims.language.tables.expansion import CellClaim
from evals.reports.claims.language.tables.models import ResultTable, TextComparison
from evals.reports.claims.language.yaml_lines import YamlFile
from evals.yaml_files import Location


def check_comparison(source: YamlFile, at: Location, claim: Claim, document: Document) -> None:
    """Check the names in the `compares` of a claim.

    Raises:
        InputError: there is no such table, column or row.
    """
    comparison = claim.compares
    assert comparison is not None
    cells = cells_by_table(document)
    source.require_known((*at, "table"), "table", comparison.table, cells)
    table = cells[comparison.table][0].cell.table
    for name in comparison.column:
        source.require_known((*at, "column"), "column", name, [column.name for column in table.columns])
    rows = [row.name for row in table.rows]
    for key, names in (("row", [comparison.row] if comparison.row else []), ("than", comparison.than)):
        for name in names:
            source.require_known((*at, key), "row", name, rows)
    if own_row(claim, comparison, cells[comparison.table]) is None:
        of = f"subject {' and '.join(claim.subject)!r}"
        raise source.refuse(at, f"table {comparison.table} has no row, or several, of {of}; give 'row'")
    if claim.baseline and not comparison.than and not _rows_of([claim.baseline], claim, cells[comparison.table]):
        raise source.refuse(at, f"table {comparison.table} has no row of the baseline {claim.baseline!r}; give 'than'")
    if len(columns(comparison, table)) > 1 and claim.digits is not None:
        raise source.refuse(at, "a claim with digits is about one column; give 'column'")


def cells_by_table(document: Document) -> dict[str, list[CellClaim]]:
    """Collect the claims of cells by the ID of their table."""
    tables: dict[str, list[CellClaim]] = {}
    for claim in document.claims:
        if isinstance(claim, CellClaim):
            tables.setdefault(claim.cell.table_id, []).append(claim)
    return tables


def own_row(claim: Claim, comparison: TextComparison, cells: Sequence[CellClaim]) -> int | None:
    """Return the index of the row that a claim is about; None if no row or several rows have its subject."""
    if comparison.row is not None:
        return next(n for n, row in enumerate(cells[0].cell.table.rows) if row.name == comparison.row)
    rows = _rows_of(claim.subject, claim, cells)
    return rows[0] if len(rows) == 1 else None


def other_rows(claim: Claim, comparison: TextComparison, cells: Sequence[CellClaim]) -> list[int]:
    """Return the indexes of the rows that a claim compares with: `than`, else the baseline's, else all others."""
    table = cells[0].cell.table
    if comparison.than:
        return [n for n, row in enumerate(table.rows) if row.name in comparison.than]
    if claim.baseline:
        return _rows_of([claim.baseline], claim, cells)
    row = own_row(claim, comparison, cells)
    return [n for n, other in enumerate(table.rows) if n != row and headers.row_role(other) == "value"]


def columns(comparison: TextComparison, table: ResultTable) -> list[int]:
    """Return the indexes of the columns that a claim is about: those it names, else all columns of values."""
    if comparison.column:
        return [n for n, column in enumerate(table.columns) if column.name in comparison.column]
    return [n for n, column in enumerate(table.columns) if headers.role(column) == "value"]


def _rows_of(subjects: Iterable[str], claim: Claim, cells: Sequence[CellClaim]) -> list[int]:
    """The rows of subjects, of the claim's release if it states one."""
    chosen = {*subjects}
    releases = {None, claim.release} if claim.release and claim.subject == tuple(chosen) else None
    rows = (
        entry.cell.row
        for entry in cells
        if chosen & {*entry.subject} and (releases is None or entry.release in releases)
    )
    return sorted({*rows})
