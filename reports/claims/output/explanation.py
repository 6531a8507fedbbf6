"""Explain one verdict in sentences: what the claim says, what each kind of evidence shows, and why that is the word.

`check --explain B-24` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evals.errors import InputError
from evals.reports.claims.evidence.proofs import prove
from evals.reports.claims.language.schema import Claim
from evals.reports.claims.language.tables.expansion import CellClaim
from evals.reports.claims.language.yaml_lines import unknown
from evals.reports.claims.output.tables import in_words
from evals.reports.claims.verdicts import AXES, Assessment, CheckResult, headline_words
from evals.reports.rendering.formatting import visible

MEANINGS: Mapping[str, str] = {
    "internally_inconsistent": "the document's own numbers contradict the claim, whatever the rounding",
    "contradicted_by_public_record": "a public fact about the same thing contradicts it, and no fact agrees",
    "refuted": "the described system was run, and its interval lies outside what is claimed",
    "supported": "the public record, or a run of the described system, supports it",
    "contradicted_by_other_document": "two documents say what cannot both be true; which is wrong, it does not show",
    "physically_implausible": "it breaks a physical bound of memory or bandwidth",
    "nominally_inconsistent": "the printed numbers disagree, and of the values that round to them only the edges agree",
    "open": "it is inconsistent or implausible as stated, but a way out exists",
    "differs": "a value differs, though perhaps under another release or protocol; that is no conviction",
    "modality_not_demonstrated": "no significant drop of the scores is shown when the images or the audio are removed",
    "inconclusive": "a system was run, and its interval lies partly inside and partly outside what is claimed",
    "partially_supported": "a part of it is supported, and no part contradicted",
    "error": "a run failed",
    "underspecified": "the document leaves open what a measurement needs",
    "checked_and_consistent": "its arithmetic was checked and holds; nothing outside the document was compared",
    "unmeasured": "it needs a run, and there is none, or none of the described system",
    "source_unreadable": "a source that may state it was not read",
    "no_public_record": "the sources were read and do not state it",
    "not_testable_here": "nothing here can test it",
    "not_a_factual_claim": "it states no fact",
}
"""What each headline means."""
_TITLES = dict(zip(AXES, ("Arithmetic", "Other documents", "Public record", "Measurement"), strict=True))
_NOTHING = {
    "arithmetic": "there is nothing to compare",
    "cross_document": "no other document says anything comparable",
    "public_record": "the record has no fact about it",
    "measurement": "nothing was measured",
}
"""What `na` means, by axis."""


def explain(checked: CheckResult, id: str) -> str:
    """Explain the verdict of one claim.

    Args:
        checked: the result of a check.
        id: the id of a claim; claims of that id in several documents are all explained. The id of a table stands for
            its cells.

    Raises:
        InputError: no claim has this id.
    """
    assessments = [assessment for assessment in checked.assessments if id in _ids(assessment.claim)]
    if not assessments:
        known = dict.fromkeys(name for assessment in checked.assessments for name in _ids(assessment.claim))
        raise InputError(unknown("claim", id, [*known]))
    texts = ("\n".join(_lines(assessment, _proofs(checked, assessment))) for assessment in assessments)
    return "\n\n".join([*texts, visible(checked.about, limit=10_000)]) + "\n"


def _ids(claim: Claim) -> tuple[str, ...]:
    """The ids that mean a claim: its own, and for a cell that of its table."""
    return (claim.id, claim.cell.table_id) if isinstance(claim, CellClaim) else (claim.id,)


def _proofs(checked: CheckResult, assessment: Assessment) -> list[str]:
    """Why the claim and each statement that it contradicts cannot both be true."""
    key = assessment.document.document.id, assessment.claim.id
    pairs = (*checked.conflicts, *checked.internal_conflicts)
    return [" ".join(prove(pair)) for pair in pairs if key in {pair.first.key, pair.second.key}]


def _lines(assessment: Assessment, proofs: list[str]) -> Iterator[str]:
    claim, info = assessment.claim, assessment.document.document
    place = f"document {info.id}" + (f", line {claim.line}" if claim.line else "")
    yield f"{claim.id} ({place}) says: {visible(claim.says)}"
    if claim.quote:
        yield f"In the document's words: “{visible(claim.quote)}”"
    if claim.implicit:
        yield "The document does not print it; it follows from what it prints."
    yield ""
    yield f"The verdict is “{in_words(assessment.plain)}”, or more exactly “{in_words(assessment.headline)}”:"
    yield f"{MEANINGS[assessment.headline]}."
    for axis in AXES:
        yield ""
        finding = getattr(assessment, axis)
        shown = _NOTHING[axis] if finding.verdict == "na" else in_words(finding.verdict)
        remark = "; to be seen beside it" if finding.verdict == "na" and finding.working else ""
        yield f"{_TITLES[axis]}: {shown}{remark}{':' if remark else '.'}"
        yield from (f"  - {visible(line, limit=10_000)}" for line in finding.working)
    yield ""
    yield from _context(assessment, proofs)


def _context(assessment: Assessment, proofs: list[str]) -> Iterator[str]:
    """Lines on other claims, the system that was run, judgements, notes, and the choice of the word."""
    words = [f"“{in_words(word)}”" for word in headline_words(assessment.vector)]
    if len(words) > 1:
        yield f"The headline is the first in the order of precedence: {', '.join(words)}."
    if assessment.opponents:
        yield f"It cannot be true together with {', '.join(assessment.opponents)}."
        yield from (f"  - {visible(proof, limit=10_000)}" for proof in dict.fromkeys(proofs))
    if assessment.inherits:
        yield f"It is {assessment.inherits}."
    if assessment.subject_match != "none":
        yield f"The system that was run relates to the described one as: {in_words(assessment.subject_match)}."
    yield from (
        f"Judged by hand, which decides nothing: {visible(line, limit=10_000)}" for line in assessment.judgement
    )
    if assessment.claim.note:
        yield f"Note: {visible(assessment.claim.note, limit=10_000)}"
