"""Write the result of a check as one page: self-contained, without scripts, for screens, phones and print.

The page is filled by `evals.reports.rendering.html.fill`, which allows only the page's own style sheets and escapes
every text.
"""

from __future__ import annotations

from typing import Any

from evals.reports.claims.evidence import learning_curves
from evals.reports.claims.language.schema import Document
from evals.reports.claims.output import figures, tables
from evals.reports.claims.output.tables import VerdictRow, in_words, subjects
from evals.reports.claims.verdicts import AXES, CONVICTIONS, SUPPORTED, Assessment, CheckResult
from evals.reports.rendering.html import fill

_TONES = {
    "against": CONVICTIONS,
    "doubt": ("nominally_inconsistent", "open", "differs", "modality_not_demonstrated", "inconclusive"),
    "for": SUPPORTED,
}
"""The colour class of each headline; the page always prints the headline beside the colour."""
_PLAIN_TONES = {"supported": "for", "refuted": "against", "conflicting": "doubt", "not_enough_evidence": "open"}


def render(checked: CheckResult) -> str:
    """Write the page; equal results give equal pages."""
    rows = tables.verdict_rows(checked.assessments)
    most = max(len(row.assessments) for row in rows)
    return fill(
        "claims.html",
        ["report.css", "claims.css"],
        about=checked.about,
        mini=True,
        title="What the documents claim" if len(checked.documents) > 1 else "What the document claims",
        total=len(checked.assessments),
        summary=[_bar(row, most) for row in rows],
        systems=tables.by_subject(checked.assessments),
        matrix=_matrix(checked),
        curves=learning_curves.curves(checked.curves),
        variants=figures.matrix(checked.runs),
        documents=[_document(checked, document) for document in checked.documents],
    )


def tone(word: str) -> str:
    """Return the colour class of a headline: `against`, `doubt`, `for` or `open`."""
    return next((name for name, words in _TONES.items() if word in words), "open")


def _bar(row: VerdictRow, most: int) -> dict[str, Any]:
    """A row of the summary: the word, its count, and the length of its bar relative to the longest."""
    count = len(row.assessments)
    return {
        "word": in_words(row.word),
        "plain": row.is_plain,
        "count": count,
        "width": f"{100 * count / most:.2f}%",
        "tone": _PLAIN_TONES[row.word] if row.is_plain else tone(row.word),
    }


def _matrix(checked: CheckResult) -> dict[str, Any] | None:
    """The contradictions between documents: a row per topic, a column per document."""
    if not checked.conflicts:
        return None
    rows = [
        {"subject": subject, "quantity": quantity, "cells": list(cells.values())}
        for subject, quantity, cells in tables.sides(checked)
    ]
    rows.sort(key=lambda row: (str(row["subject"]), str(row["quantity"])))
    names = [document.document.id for document in checked.documents]
    return {"names": names, "rows": rows, "pairs": len(checked.conflicts)}


def _document(checked: CheckResult, document: Document) -> dict[str, Any]:
    info = document.document
    return {
        "id": info.id,
        "title": info.title,
        "date": info.date.isoformat() if info.date else None,
        "language": info.language,
        "claims": [_claim(assessment) for assessment in tables.of_document(checked, document)],
    }


def _claim(assessment: Assessment) -> dict[str, Any]:
    claim = assessment.claim
    words = assessment.vector
    return {
        "id": claim.id,
        "says": claim.says,
        "quote": claim.quote,
        "line": claim.line,
        "about": ", ".join(subjects(claim)),
        "kind": claim.kind,
        "headline": in_words(assessment.headline),
        "plain": in_words(assessment.plain),
        "tone": tone(assessment.headline),
        "axes": [(in_words(axis), in_words(words[axis]), getattr(assessment, axis).working) for axis in AXES],
        "match": in_words(assessment.subject_match),
        "contradicts": assessment.contradicts,
        "inherits": assessment.inherits,
        "note": claim.note,
        "bands": [drawn for row in assessment.measured if (drawn := figures.band(row)) is not None],
    }
