"""What `check` found, as one page: self-contained, without scripts, for a screen, a phone or paper.

It is filled as every page is (`evals.reports.rendering.html.fill`): nothing but its own style sheets is allowed, and
every text is made visible and escaped on its way out.
"""

from __future__ import annotations

from typing import Any

from evals.reports.claims.evidence import learning_curves
from evals.reports.claims.language.schema import Document
from evals.reports.claims.output import figures, tables
from evals.reports.claims.output.tables import say, subjects
from evals.reports.claims.verdicts import AXES, CONTRADICTED, PRECEDENCE, SUPPORTED, Assessment, CheckResult
from evals.reports.rendering.html import fill

_TONES = {
    "against": CONTRADICTED,
    "doubt": PRECEDENCE[4:8],
    "for": SUPPORTED,
}
"""How a verdict is marked: beside its word, never instead of it."""


def render(checked: CheckResult) -> str:
    """Write the page; the same findings give the same page."""
    counts = tables.summary(checked.assessments)
    most = max(count for _, count in counts)
    return fill(
        "claims.html",
        ["report.css", "claims.css"],
        about=checked.about,
        mini=True,
        title="What the documents claim" if len(checked.documents) > 1 else "What the document claims",
        total=len(checked.assessments),
        summary=[_count(word, count, most) for word, count in counts],
        systems=tables.by_subject(checked.assessments),
        matrix=_matrix(checked),
        curves=learning_curves.curves(checked.curves),
        variants=figures.matrix(checked.runs),
        documents=[_document(checked, document) for document in checked.documents],
    )


def tone(word: str) -> str:
    """The mark of a verdict: `against`, `doubt`, `for` or `open`."""
    return next((name for name, words in _TONES.items() if word in words), "open")


def _count(word: str, count: int, most: int) -> dict[str, Any]:
    """A row of the summary: the word, how many, and the share of the longest bar."""
    return {"word": say(word), "count": count, "width": f"{100 * count / most:.2f}%", "tone": tone(word)}


def _matrix(checked: CheckResult) -> dict[str, Any] | None:
    """The contradictions between documents: a row a topic, a column a document."""
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
    own = [each for each in checked.assessments if each.document is document]
    return {
        "id": info.id,
        "title": info.title,
        "date": info.date.isoformat() if info.date else None,
        "language": info.language,
        "claims": [_claim(each) for each in own],
    }


def _claim(each: Assessment) -> dict[str, Any]:
    claim = each.claim
    return {
        "id": claim.id,
        "says": claim.says,
        "quote": claim.quote,
        "line": claim.line,
        "about": ", ".join(subjects(claim)),
        "kind": claim.kind,
        "headline": say(each.headline),
        "tone": tone(each.headline),
        "axes": [(say(axis), say(each.vector[axis]), getattr(each, axis).working) for axis in AXES],
        "match": say(each.subject_match),
        "contradicts": each.contradicts,
        "inherits": each.inherits,
        "note": claim.note,
        "bands": [drawn for row in each.measured if (drawn := figures.band(row)) is not None],
    }
