"""What `check` found, as one page: self-contained, without scripts, for a screen, a phone or paper.

It shares the style sheet and the rules of `reports.page`: the one style sheet is allowed by its hash, everything else
is forbidden, and every text is made visible and escaped on its way out.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports import claim_figures, claim_tables
from reports.claim_tables import say, subjects
from reports.page import environment
from reports.verdicts import AXES, PRECEDENCE, Assessment, Checked

_TEMPLATES = Path(__file__).parent / "templates"
_TONES = {
    "against": PRECEDENCE[:4],
    "doubt": PRECEDENCE[4:8],
    "for": ("supported", "partially_supported"),
}
"""How a verdict is marked: beside its word, never instead of it."""


def render(checked: Checked) -> str:
    """Write the page; the same findings give the same page."""
    css = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "claims.css"))
    return environment().get_template("claims.html").render(
        css=Markup(css),  # ours, and checked by its hash
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        about=checked.about,
        title="What the documents claim" if len(checked.documents) > 1 else "What the document claims",
        total=len(checked.assessments),
        summary=[_count(word, count, checked) for word, count in claim_tables.summary(checked.assessments)],
        systems=claim_tables.by_subject(checked.assessments),
        matrix=_matrix(checked),
        curves=claim_figures.curves(checked.runs),
        variants=claim_figures.matrix(checked.runs),
        documents=[_document(checked, number) for number in range(len(checked.documents))],
    )  # fmt: skip


def tone(word: str) -> str:
    """The mark of a verdict: `against`, `doubt`, `for` or `open`."""
    return next((name for name, words in _TONES.items() if word in words), "open")


def _count(word: str, count: int, checked: Checked) -> dict[str, Any]:
    """A row of the summary: the word, how many, and the share of the longest bar."""
    most = max(count for _, count in claim_tables.summary(checked.assessments))
    return {"word": say(word), "count": count, "width": f"{100 * count / most:.2f}%", "tone": tone(word)}


def _matrix(checked: Checked) -> dict[str, Any] | None:
    """The contradictions between documents: a row a topic, a column a document."""
    if not checked.crossings:
        return None
    names = [document.document.id for document in checked.documents]
    rows = []
    for subject, quantity, group in claim_tables.topics(checked.crossings):
        cells: dict[str, list[tuple[str, str, str]]] = {name: [] for name in names}
        for said in (said for pair in group for said in (pair.first, pair.second)):
            cell = (said.by, said.subject if " or " in subject else "", said.show())
            cells[said.where] += [cell] if cell not in cells[said.where] else []
        rows.append({"subject": subject, "quantity": quantity, "cells": [cells[name] for name in names]})
    rows.sort(key=lambda row: (str(row["subject"]), str(row["quantity"])))
    return {"names": names, "rows": rows, "pairs": len(checked.crossings)}


def _document(checked: Checked, number: int) -> dict[str, Any]:
    document = checked.documents[number]
    info = document.document
    own = [each for each in checked.assessments if each.document is document]
    return {
        "id": info.id,
        "title": info.title,
        "date": info.date.isoformat() if info.date else None,
        "language": info.language,
        "claims": [_claim(each) for each in own],
        "summary": claim_tables.summary(own),
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
        "bands": [drawn for row in each.measured if (drawn := claim_figures.band(row)) is not None],
    }
