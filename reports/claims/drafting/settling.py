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
from evals.reports.claims.verdicts import CheckResult

_ROUNDS = 4
_PARAGRAPH = 2_000
"""Number of characters before a sentence that may belong to its paragraph."""


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
        checked = assessment.assess([document], load_record(), load_vocabulary())
        if not (_separate(draft, _conflicts(checked)) | _doubt_names(draft, checked) | _part_tables(draft, checked)):
            break
        text, document = readable(draft, id=id, source=source)
    return text


def _conflicts(checked: CheckResult) -> list[tuple[str, str]]:
    """The pairs of claims of a document that cannot both be true, by ID."""
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


def _doubt_names(draft: ArticleDraft, checked: CheckResult) -> bool:
    """Set apart what the public record contradicts, if who or what is meant is in doubt.

    That is: the sentence has several names and none stands at the number, or it names no subject, or counts tokens.
    """
    claims = {claim.id: claim for claim in draft.claims}
    changed = False
    for entry in checked.assessments:
        claim = claims.get(entry.claim.id)
        if claim is None or entry.public_record.verdict != "contradicted" or "place" in claim.conditions:
            continue
        source, (start, end) = draft.article.source, claim.sentence
        mentions = draft.names.mentions(source[start:end])
        paragraph = (
            source[max(0, start - _PARAGRAPH) : start].rpartition("\n\n")[2] + source[start:].partition("\n\n")[0]
        )
        is_beside = any(ground.startswith("subject named beside") for ground in claim.grounds)
        is_named = any(ground.startswith("subject named") for ground in claim.grounds)
        is_bare = any("follows from the unit alone" in doubt for doubt in claim.doubts)
        is_guessed = not is_named or (is_bare and claim.unit == "parameters" and "token" in paragraph)
        if is_guessed or (len({mention.subject for mention in mentions}) > 1 and not is_beside):
            claim.conditions["place"] = f"line {claim.line}, {claim.id}"
            claim.doubt("the public record contradicts this reading, and another one is possible", 0.7)
            changed = True
    return changed


def _part_tables(draft: ArticleDraft, checked: CheckResult) -> bool:
    """Set tables apart whose shared cells mostly differ: they are of two settings ("Reasoning", "Non-Reasoning")."""
    ids = {
        cell[0]
        for entry in checked.assessments
        if entry.arithmetic.verdict == "open"
        and any(assessment.OTHER_TABLE in line for line in entry.arithmetic.working)
        and (cell := _column(draft, entry.claim.id)) is not None
    }
    changed = False
    for table in draft.tables:
        if table.id in ids:
            for column in table.columns:
                if "place" not in column.setdefault("protocol", {}):
                    column["protocol"]["place"] = f"{table.id}, {column['name']}"
                    changed = True
    return changed


def _column(draft: ArticleDraft, id: str) -> tuple[str, dict[str, Any]] | None:
    """The ID of the table of a cell, and its column."""
    match = re.fullmatch(r"T(?P<table>\d+)r\d+-(?P<column>\d+)", id)
    if match is None:
        return None
    table = next(table for table in draft.tables if table.id == f"T-{match['table']}")
    return table.id, table.columns[int(match["column"]) - 1]
