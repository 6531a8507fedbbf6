"""Run every check of tables, and of differences between levels, on a document.

check_tables(document, table)   for each claim, a finding and the other claims that take part in what failed
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

from evals.reports.claims.evidence.arithmetic import SEVERITY, Finding, most_severe
from evals.reports.claims.evidence.tables import text
from evals.reports.claims.evidence.tables.grid import Grid, GridValue, TableFinding, grid_of
from evals.reports.claims.evidence.tables.level_pairs import check_levels, is_comparable
from evals.reports.claims.evidence.tables.order import best_of, check_bold
from evals.reports.claims.evidence.tables.possible import check_items, check_ranges, check_spreads, check_units
from evals.reports.claims.evidence.tables.text import TextFinding, TextValue
from evals.reports.claims.evidence.tables.totals import check_totals
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.tables.expansion import CellClaim
from evals.reports.claims.language.tables.models import TextRelation
from evals.reports.claims.language.tables.text_references import cells_by_table, columns, other_rows, own_row
from evals.reports.claims.language.values import ValueTable

CHECKS: Mapping[str, Callable[[Grid], Iterator[TableFinding]]] = {
    "range": check_ranges,
    "unit": check_units,
    "sum or average": check_totals,
    "bold": check_bold,
    "whole number of items": check_items,
    "deviation or interval": check_spreads,
}
"""The checks of a table by the word that begins their lines."""
_PASSING = {"na", "consistent"}
Checked = tuple[Finding, frozenset[str]]
"""A finding, and the IDs of the other claims that take part in what failed."""


def check_tables(document: Document, table: ValueTable) -> dict[str, Checked]:
    """Check the cells of a document's tables and what its text says of them.

    Args:
        document: the document.
        table: its values.

    Returns:
        For each claim of a cell or about a table: what was found, and the claims that take part in what failed.
    """
    results: dict[str, Checked] = {}
    cells = cells_by_table(document)
    for group in cells.values():
        results |= _of_cells(group, grid_of(group, table.units))
    for claim in document.claims:
        if claim.compares is not None:
            group = cells[claim.compares.table]
            results[claim.id] = _of_text(claim, group, grid_of(group, table.units), table)
        elif is_comparable(claim):
            results[claim.id] = check_levels(claim, document, table, stated_value(claim, table))
    return results


def join(first: Finding, second: Finding) -> Finding:
    """Join two findings about one claim; the more severe word decides."""
    return Finding(most_severe([first.verdict, second.verdict]), (*first.working, *second.working))


def _of_cells(cells: Sequence[CellClaim], grid: Grid) -> dict[str, Checked]:
    """Check the cells of one table; the line of the most severe finding about a cell comes first."""
    ids = {(claim.cell.row, claim.cell.column): claim.id for claim in cells}
    findings: dict[str, list[tuple[str, str]]] = {id: [] for id in ids.values()}
    partners: dict[str, set[str]] = {id: set() for id in ids.values()}
    for name, check in CHECKS.items():
        for finding in check(grid):
            id = ids[finding.place]
            findings[id].append((finding.verdict, f"{name}: {finding.line}"))
            partners[id] |= set() if finding.verdict in _PASSING else {*finding.others}
    results: dict[str, Checked] = {}
    for id, entries in findings.items():
        lines = tuple(line for _, line in sorted(entries, key=lambda entry: SEVERITY.index(entry[0]), reverse=True))
        results[id] = Finding(most_severe([word for word, _ in entries]), lines), frozenset(partners[id])
    return results


def _of_text(claim: Claim, cells: Sequence[CellClaim], grid: Grid, table: ValueTable) -> Checked:
    """Check a claim of the text against the cells that it is about."""
    comparison = claim.compares
    assert comparison is not None
    row = own_row(claim, comparison, cells)
    findings: list[TextFinding] = []
    used: set[str] = set()
    for index in columns(comparison, grid_table := cells[0].cell.table):
        cell = grid.values.get((row, index)) if row is not None else None
        rows = other_rows(claim, comparison, cells)
        others = [value for n in rows if (value := grid.values.get((n, index))) is not None and value.fits]
        if cell is None or not cell.fits:
            findings.append(
                TextFinding("na", f"{grid_table.columns[index].name} has no number in the row of the claim")
            )
            continue
        outcomes = list(_in_column(claim, grid, index, table, (cell, others)))
        findings += outcomes
        if any(finding.verdict not in _PASSING for finding in outcomes):
            used |= {cell.id, *(other.id for other in others if any(other.id in f.line for f in outcomes))}
    verdict = most_severe([finding.verdict for finding in findings])
    shown = [finding for finding in findings if finding.verdict == verdict] or findings
    lines = [f"table {comparison.table}: {finding.line}" for finding in shown]
    if claim.escapes and verdict not in _PASSING:
        lines += [f"way out: {way}" for way in claim.escapes]
        verdict = "open"
    return Finding(verdict, tuple(lines)), frozenset(used)


def _in_column(
    claim: Claim, grid: Grid, index: int, table: ValueTable, values: tuple[GridValue, list[GridValue]]
) -> Iterator[TextFinding]:
    """Check what a claim says about one column."""
    comparison, column = claim.compares, grid.columns[index]
    assert comparison is not None
    cell, others = values
    relation = relation_of(
        claim, has_others=bool(comparison.than or claim.baseline), unit=column.unit.symbol, table=table
    )
    if relation == "level" and claim.digits is not None:
        yield text.compare_value(stated_value(claim, table), cell, column)
    elif not others:
        yield TextFinding("na", f"{column.name} has no other number to compare with")
    elif relation == "place":
        references = [] if comparison.than else _references(grid, index)
        yield _rank(cell, others, references, grid, index, place=comparison.place or 1)
    elif claim.digits is None:
        worse = relation == "worse"
        yield from text.check_better(cell, others, column, worse=worse, same_level=grid.same_level)
    else:
        yield text.compare_pair(stated_value(claim, table), relation, cell, best_of(others, column), column)


def _rank(
    cell: GridValue, others: list[GridValue], references: list[GridValue], grid: Grid, index: int, *, place: int
) -> TextFinding:
    """Check a place among the competing rows; the text may count references (humans, chance) too."""
    finding, counted = (
        text.check_rank(cell, rivals, grid.columns[index], place=place, same_level=grid.same_level)
        for rivals in (others, [*others, *references])
    )
    return counted if finding.verdict not in _PASSING and counted.verdict in _PASSING else finding


def _references(grid: Grid, index: int) -> list[GridValue]:
    rows = [number for number, row in enumerate(grid.rows) if row.role == "reference"]
    return [value for number in rows if (value := grid.values.get((number, index))) is not None and value.fits]


def relation_of(claim: Claim, *, has_others: bool, unit: str, table: ValueTable) -> TextRelation | None:
    """What a claim says about a column; None where its unit decides between difference, ratio and percent.

    Args:
        claim: a claim with `compares`.
        has_others: whether it names something to compare with.
        unit: the symbol of the column's unit.
        table: the values of the document.
    """
    comparison = claim.compares
    if comparison is not None and comparison.relation is not None:
        return comparison.relation
    if comparison is not None and comparison.place is not None:
        return "place"
    if claim.digits is None:
        return "better"
    return "level" if not has_others and table.unit(claim).symbol == unit else None


def stated_value(claim: Claim, table: ValueTable) -> TextValue:
    """Return the number that a claim of the text states."""
    allowed = table.allowed(claim)
    assert allowed is not None
    bound = "" if claim.bound == "exactly" else f"{claim.bound.replace('-', ' ')} "
    return TextValue(
        allowed,
        shown=bound + table.show(claim),
        unit=claim.unit or "",
        is_negative=Fraction(claim.digits or 0) < 0,
        says=f"{claim.says} {claim.quote or ''}",
    )
