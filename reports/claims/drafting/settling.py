"""Keep statements of an article apart that the rules would call a contradiction, though more likely the drafter errs.

An article seldom gives one system two values of one quantity under one condition; a drafter easily reads it so,
because it misses a split, a setting or a second system. So two drafted statements that conflict get the place where
they stand as a condition: they are then not compared, and each names the other in its reason. What an article computes
from its own numbers (`derive`) stays and is checked.
"""

from __future__ import annotations

import re
from typing import Any

from evals.reports.claims import assessment
from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.writing import readable
from evals.reports.claims.language.files import load_record, load_vocabulary
from evals.reports.claims.language.schema import Document

_ROUNDS = 4


def settled_yaml(draft: ArticleDraft, *, id: str, source: str) -> str:
    """Return the text of a claims file in which no two drafted statements conflict.

    Args:
        draft: the drafted claims; changed where two conflict.
        id: the ID of the document.
        source: the path or address of the article.

    Raises:
        InputError: the article has no claim.
    """
    text, document = readable(draft, id=id, source=source)
    for _ in range(_ROUNDS):
        if not _separate(draft, _conflicts(document)):
            break
        text, document = readable(draft, id=id, source=source)
    return text


def _conflicts(document: Document) -> list[tuple[str, str]]:
    """The pairs of claims of a document that cannot both be true, by ID."""
    checked = assessment.assess([document], load_record(), load_vocabulary())
    return [(pair.first.key[1], pair.second.key[1]) for pair in checked.internal_conflicts]


def _separate(draft: ArticleDraft, pairs: list[tuple[str, str]]) -> bool:
    """Give the statements of each pair different conditions; returns whether anything changed."""
    claims = {claim.id: claim for claim in draft.claims}
    changed = False
    for first, second in pairs:
        changed = True
        for id, other in ((first, second), (second, first)):
            if id in claims and "place" not in claims[id].conditions:
                place = f"line {claims[id].line}, {id}"
                claims[id].conditions["place"] = place
                claims[id].doubt(f"{other} gives another value of the same quantity", 0.9)
        if first not in claims and second not in claims:
            for id in (first, second):
                column = _column(draft, id)
                if column is not None:
                    column[1].setdefault("protocol", {})["place"] = f"{column[0]}, {column[1]['name']}"
    return changed


def _column(draft: ArticleDraft, id: str) -> tuple[str, dict[str, Any]] | None:
    """The ID of the table of a cell, and its column."""
    match = re.fullmatch(r"T(?P<table>\d+)r\d+-(?P<column>\d+)", id)
    if match is None:
        return None
    table = next(table for table in draft.tables if table.id == f"T-{match['table']}")
    return table.id, table.columns[int(match["column"]) - 1]
