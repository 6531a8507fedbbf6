"""Write the result of a check as one page: self-contained, without scripts, for screens, phones and print.

The page is filled by `evals.reports.rendering.html.fill`, which allows only the page's own style sheets and escapes
every text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from evals.reports.claims.evidence import learning_curves
from evals.reports.claims.language.schema import Document
from evals.reports.claims.output import figures, marks, tables
from evals.reports.claims.output.anchors import Anchors, key_of
from evals.reports.claims.output.marks import SIGNS, MarkedDocument, tone
from evals.reports.claims.output.tables import VerdictRow, in_words, subjects
from evals.reports.claims.verdicts import AXES, Assessment, CheckResult
from evals.reports.rendering.html import fill

_PLAIN_TONES = {"supported": "for", "refuted": "against", "conflicting": "doubt", "not_enough_evidence": "open"}


def render(checked: CheckResult) -> str:
    """Write the page; equal results give equal pages."""
    rows, anchors = tables.verdict_rows(checked.assessments), Anchors(checked)
    heading = "what it claims" if len(checked.documents) == 1 else "What the documents claim"
    titles = [document.document.title for document in checked.documents]
    laid_out = marks.lay_out(checked, anchors)
    most = max(len(row.assessments) for row in rows)
    return fill(
        "claims.html",
        ["report.css", "claims.css"],
        about=checked.about,
        mini=True,
        title=f"{titles[0]}: {heading}" if len(titles) == 1 else heading,
        heading=heading,
        signs=SIGNS,
        legend=marks.LEGEND,
        total=len(checked.assessments),
        summary=[_bar(row, most) for row in rows],
        systems=tables.by_subject(checked.assessments),
        matrix=_matrix(checked, anchors),
        curves=learning_curves.curves(checked.curves),
        variants=figures.matrix(checked.runs),
        documents=[_document(checked, document, anchors, laid_out) for document in checked.documents],
    )


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


def _matrix(checked: CheckResult, anchors: Anchors) -> dict[str, Any] | None:
    """The contradictions between documents: a row per topic, a column per document."""
    if not checked.conflicts:
        return None
    rows = [
        {
            "subject": subject,
            "quantity": quantity,
            "cells": [[(by, anchors.of((where, by)), *rest) for by, *rest in cells[where]] for where in cells],
        }
        for subject, quantity, cells in tables.sides(checked)
    ]
    rows.sort(key=lambda row: (str(row["subject"]), str(row["quantity"])))
    names = [document.document.id for document in checked.documents]
    return {"names": names, "rows": rows, "pairs": len(checked.conflicts)}


def _document(
    checked: CheckResult, document: Document, anchors: Anchors, laid_out: Mapping[str, MarkedDocument]
) -> dict[str, Any]:
    info = document.document
    article = laid_out.get(info.id)
    return {
        "id": info.id,
        "title": info.title,
        "date": info.date.isoformat() if info.date else None,
        "language": info.language,
        "article": article,
        "absent": None if article else _absent(checked, document),
        "claims": [
            _claim(assessment, anchors, article is not None and assessment.claim.id in article.claims)
            for assessment in tables.of_document(checked, document)
        ],
    }


def _absent(checked: CheckResult, document: Document) -> str | None:
    """Why the document itself is not on the page, and what shows it."""
    info = document.document
    if info.id in checked.unread:
        return f"The document is not shown: {checked.unread[info.id]}."
    if info.source is None or "://" in info.source:
        return None
    name = PurePath(info.source).name
    return f"To see the claims in their document, give it to `check` beside the claims file: … {name}."


def _claim(assessment: Assessment, anchors: Anchors, is_marked: bool) -> dict[str, Any]:
    claim = assessment.claim
    words = assessment.vector
    return {
        "id": claim.id,
        "anchor": anchors.of(key_of(assessment)),
        "is_marked": is_marked,
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
        "contradicts": [(anchors.name(key), anchors.of(key)) for key in anchors.partners(assessment)],
        "inherits": assessment.inherits,
        "note": claim.note,
        "bands": [drawn for row in assessment.measured if (drawn := figures.band(row)) is not None],
    }
