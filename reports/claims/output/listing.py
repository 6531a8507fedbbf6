"""Documents and their claims as rows, for `python -m evals list`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evals import yaml_files
from evals.errors import counted
from evals.reports.claims import FOLDER

if TYPE_CHECKING:
    from evals.reports.claims.language.schema import Claim, Document


def documents() -> list[tuple[str, ...]]:
    """List the bundled documents: id, number of claims, date, title. The files are not checked, which is fast."""
    rows: list[tuple[str, ...]] = []
    for path in sorted(FOLDER.glob("*.yaml")):
        content = yaml_files.load(path)
        info = content["document"]
        rows.append((info["id"], counted(len(content["claims"]), "claim"), str(info.get("date", "")), info["title"]))
    return rows


def claims(document: Document) -> Iterator[tuple[str, ...]]:
    """List a document's claims: id, kind, subjects, what can test it, the claim in a sentence."""
    for claim in document.claims:
        yield claim.id, claim.kind, " ".join(claim.subject), ", ".join(_tests(claim)), claim.says


def _tests(claim: Claim) -> Iterator[str]:
    """Name the kinds of evidence that can test a claim."""
    if claim.measure:
        yield f"{claim.measure.task} {claim.measure.metric}"
    if claim.untestable:
        yield f"no run: {claim.untestable.reason}"
    if claim.derive or any(check.compare for check in claim.checks):
        yield "arithmetic"
    if claim.record or claim.statements:
        yield "record"  # or another document: both compare statements on the same topic
    if claim.underspecified and not claim.measure:
        yield "left open"
