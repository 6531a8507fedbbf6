"""Columns that are computed from others: changes, speed-ups, ratios. Their cells become claims about the values beside.

What such a column is computed from is taken from its rows alone: a relation of two other columns, or of one column with
a row that the others are compared with, is declared where at least two rows show it and at most one does not. A column
that shows none stays a column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from evals.errors import InputError
from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.drafting.tables.labels import is_change_name
from evals.reports.claims.language.sources.articles import Article
from evals.reports.claims.language.tables.printed_cells import PrintedCell, read_cell
from evals.reports.claims.language.units import last_place

_DERIVED = re.compile(
    r"\W*(?:speed-?ups?|ratio|recovery|retention|relative|(?:[a-z]+\s){1,2}(?:reduction|savings?|improvement|change|gain|"
    r"decrease|increase|speed-?up)|加速比?|比值|倍数|恢复率|保留率|(?:错误|误差|时延|延迟)(?:降低|下降|降幅))\W*",
    re.I,
)
_CLEAR = 3
"""How many times its rounding a value must be off to be held against a relation that two rows alone show."""


@dataclass(frozen=True, slots=True)
class _Relation:
    template: str
    compute: Callable[[Fraction, Fraction], Fraction]
    unit: str | None
    """The unit of its values; None for that of the columns."""


_RELATIONS = (
    _Relation("{0} - {1}", lambda new, old: abs(new - old), None),
    _Relation("{0} / {1}", lambda new, old: new / old, "times"),
    _Relation("({0} - {1}) / {1}", lambda new, old: 100 * abs(new - old) / old, "percent"),
    _Relation("{0} / {1}", lambda new, old: 100 * new / old, "percent"),
)
_Rows = list[tuple[int, int, int]]
"""For each row its number, and the numbers of the rows of its new and its old value."""


@dataclass(frozen=True, slots=True)
class _Fit:
    relation: _Relation
    columns: tuple[int, int]
    rows: _Rows


def lift_derived_columns(article: Article, tables: Sequence[TableProposal]) -> Iterator[Proposal]:
    """Yield the cells of computed columns as claims, and take the columns out of their tables.

    Args:
        article: the article.
        tables: its tables; changed in place.
    """
    for table in tables:
        for index in reversed(range(len(table.columns))):
            name = str(table.columns[index]["name"])
            if len(table.columns) < 2 or not (is_change_name(name) or _DERIVED.fullmatch(name)):
                continue
            if (fit := _find(table, index)) is not None:
                yield from _claims(article, table, index, fit)
                table.columns.pop(index)
                for row in table.rows:
                    row["cells"].pop(index)
                    row["spans"].pop(index)
        table.rows = [row for row in table.rows if any(row["spans"])]


def _find(table: TableProposal, index: int) -> _Fit | None:
    """The relation that the rows of a column show; None if they show none, or several that convict differently."""
    cells = [[_cell(text) for text in row["cells"]] for row in table.rows]
    filled = [n for n, row in enumerate(cells) if row[index] is not None]
    others = [n for n in range(len(table.columns)) if n != index and not is_change_name(str(table.columns[n]["name"]))]
    candidates = [
        (relation, (second, first), [(n, n, n) for n in filled])
        for first in others
        for second in others
        if first != second and table.columns[first]["unit"] == table.columns[second]["unit"]
        for relation in _RELATIONS
    ]
    bases = {0, *(n for n, row in enumerate(cells) if row[index] is None or _is_unity(row[index]))}
    for column in others:
        for base in bases:
            compared = [n for n in filled if n != base]
            for relation in _RELATIONS:
                candidates.append((relation, (column, column), [(n, n, base) for n in compared]))
                candidates.append((relation, (column, column), [(n, base, n) for n in compared]))
    best: tuple[int, int, _Fit] | None = None
    for relation, columns, rows in candidates:
        if (counted := _count(cells, index, relation, columns=columns, rows=rows)) is None:
            continue
        fitting, failing = counted
        if fitting >= 2 and failing <= 1 and (best is None or (fitting, -failing) > best[:2]):
            best = (fitting, -failing, _Fit(relation, columns, rows))
    return None if best is None else best[2]


def _count(
    cells: Sequence[Sequence[PrintedCell | None]],
    index: int,
    relation: _Relation,
    *,
    columns: tuple[int, int],
    rows: _Rows,
) -> tuple[int, int] | None:
    """The number of rows that show a relation and of those that do not; None if a value is missing or barely off."""
    fitting, failures = 0, []
    for number, new_row, old_row in rows:
        change, new, old = cells[number][index], cells[new_row][columns[0]], cells[old_row][columns[1]]
        if change is None or new is None or old is None or min(new.value, old.value) <= 0:
            return None
        bounds = [relation.compute(a, b) for a in _ends(new) for b in _ends(old) if b > 0]
        half = last_place(change.digits) / 2
        off = max(min(bounds) - abs(change.value) - half, abs(change.value) - half - max(bounds))
        if off > 0:
            failures.append(off > _CLEAR * (max(bounds) - min(bounds) + half) and off * 20 > abs(change.value))
        elif new.value != old.value and abs(change.value) not in {0, 1, 100}:
            fitting += 1
    if failures and fitting < 3 and not all(failures):
        return None
    return fitting, len(failures)


def _claims(article: Article, table: TableProposal, index: int, fit: _Fit) -> Iterator[Proposal]:
    column = table.columns[index]
    for number, new_row, old_row in fit.rows:
        row, printed = table.rows[number], _cell(table.rows[number]["cells"][index])
        span, places = (
            row["spans"][index],
            (_span(table, new_row, fit.columns[0]), _span(table, old_row, fit.columns[1])),
        )
        if printed is None or span is None or places[0] is None or places[1] is None:
            continue
        new, old = (_cell(table.rows[r]["cells"][c]) for r, c in zip((new_row, old_row), fit.columns, strict=True))
        is_turned = "-" in fit.relation.template and new is not None and old is not None and new.value < old.value
        template = _turned(fit.relation.template) if is_turned else fit.relation.template
        shown = str(table.columns[fit.columns[0]]["unit"])
        unit = fit.relation.unit or ("points" if shown == "percent" else shown)
        yield Proposal(
            span=span,
            quote=article.source[slice(*span)],
            line=article.line(span[0]),
            printed=printed.digits.lstrip("+-−"),
            unit=unit,
            subject=row.get("subject"),
            quantity_says=f"{column['name']} of {row['name']}",
            is_change=True,
            is_settled=True,
            is_negative=printed.value < 0,
            formula=template,
            operands=(places[0], places[1]),
            sentence=span,
            words=str(column["name"]),
            grounds=["a column that is computed from others"],
        )


def _turned(template: str) -> str:
    """The formula of a fall: the old value less the new one."""
    return template.replace("{0} - {1}", "{1} - {0}")


def _span(table: TableProposal, row: int, column: int) -> Any:
    return table.rows[row]["spans"][column]


def _cell(text: Any) -> PrintedCell | None:
    """What a cell prints; None for an empty one, a range or a bound."""
    try:
        cell = read_cell(str(text))
    except InputError:
        return None
    return cell if cell is not None and cell.bound == "exactly" and cell.count == 1 else None


def _is_unity(cell: PrintedCell | None) -> bool:
    return cell is not None and cell.value in {0, 1, 100}


def _ends(cell: PrintedCell) -> tuple[Fraction, Fraction]:
    half = last_place(cell.digits) / 2
    return cell.value - half, cell.value + half
