"""The values of a draft that changes may be computed from: levels of the text and cells of its tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from evals.errors import InputError
from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.language.lexicon import BENCHMARKS, BY_UNIT, METRICS
from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.language.files import vocabulary_units
from evals.reports.claims.language.sources.articles import SourcePlace
from evals.reports.claims.language.tables.expansion import cell_id
from evals.reports.claims.language.tables.printed_cells import read_cell
from evals.reports.claims.language.units import Unit, last_place


@dataclass(frozen=True, slots=True)
class Level:
    """A value of a system, with all values that round to its digits."""

    id: str
    subject: str | None
    quantity: str | None
    unit: Unit
    low: Fraction
    high: Fraction
    span: SourcePlace
    split: str | None = None
    is_start: bool = False
    """Whether it is the first value of "from 12 % to 67 %"."""
    is_end: bool = False
    is_plain: bool = True
    """Whether it is stated without a bound or range."""
    table: str | None = None
    column: str | None = None
    row: str | None = None


def levels(draft: ArticleDraft) -> list[Level]:
    """Return the levels of the text and the cells of the tables, in the order of the article."""
    texts = [_of_claim(claim) for claim in draft.claims if not claim.is_change and claim.unit]
    cells = [level for table in draft.tables for level in _of_table(table)]
    return sorted([*texts, *cells], key=lambda level: level.span)


def interval(claim: Proposal) -> tuple[Fraction, Fraction]:
    """Return the values that round to the digits of a claim, in base units."""
    unit = vocabulary_units()[claim.unit or "number"]
    half = Fraction(0) if claim.is_implied else last_place(claim.printed) / 2
    factor = Fraction(claim.times) * unit.factor
    return (Fraction(claim.printed) - half) * factor, (Fraction(claim.printed) + half) * factor


def same_split(claim: Proposal, level: Level) -> bool:
    """Whether a claim and a value are not of two splits."""
    return len({claim.protocol.get("split"), level.split} - {None}) < 2


def _of_claim(claim: Proposal) -> Level:
    low, high = interval(claim)
    return Level(
        claim.id,
        claim.subject,
        claim.quantity,
        vocabulary_units()[claim.unit or "number"],
        low,
        high,
        span=claim.span,
        split=claim.protocol.get("split"),
        is_start=claim.conditions.get("at") == "start",
        is_end=claim.conditions.get("at") == "end",
        is_plain=claim.bound in {"exactly", "about"} and claim.upto is None,
    )


def _of_table(table: TableProposal) -> list[Level]:
    result = []
    for number, row in enumerate(table.rows):
        for index, text in enumerate(row["cells"]):
            if row["spans"][index] is not None and (level := _of_cell(table, number, index, text)):
                result.append(level)
    return result


def _of_cell(table: TableProposal, number: int, index: int, text: str) -> Level | None:
    try:
        printed = read_cell(text)
    except InputError:
        return None
    if printed is None:
        return None
    row, column = table.rows[number], table.columns[index]
    unit = vocabulary_units()[str(column["unit"])]
    factor = unit.factor * printed.count * Fraction(str(column.get("times", 1)) if printed.count == 1 else "1")
    half = last_place(printed.digits) / 2
    return Level(
        cell_id(table.id, number, index),
        row.get("subject"),
        column_quantity(column),
        unit,
        (printed.value - half) * factor,
        (printed.value + half) * factor,
        span=row["spans"][index],
        split=column.get("split"),
        is_plain=printed.bound == "exactly",
        table=table.id,
        column=column["name"],
        row=row["name"],
    )


def column_quantity(column: dict[str, Any]) -> str:
    """Return what a column measures, in the names that statements of the text have."""
    name, unit = str(column["name"]), str(column["unit"])
    for words in (*BENCHMARKS, *METRICS):
        if words.pattern is not None and words.pattern.search(name):
            return words.id
    if candidates := BY_UNIT.get(unit):
        matching = [
            words
            for words in candidates
            if words.pattern is not None and words.pattern.pattern and words.pattern.search(name)
        ]
        return (matching or [candidates[-1]])[0].id
    return re.sub(r"\W+", "-", name.lower()).strip("-")
