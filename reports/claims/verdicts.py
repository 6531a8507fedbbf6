"""The words of a verdict: four findings per claim, and the headline that sums them up.

Each claim has one finding per kind of evidence (`AXES`): arithmetic, other documents, the public record, measurement.
The headline is the first word of `PRECEDENCE` that occurs among them. `Assessment` holds the findings of one claim,
`CheckResult` those of all documents of a check. `evals.reports.claims.assessment` produces both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from evals.records.folder import Record
from evals.reports.claims.evidence.arithmetic import Finding
from evals.reports.claims.evidence.cross_document import StatementPair
from evals.reports.claims.evidence.learning_curves import LearningCurve
from evals.reports.claims.evidence.measured_rows import MeasuredRow
from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
from evals.reports.claims.language.expressions import referenced_claims
from evals.reports.claims.language.schema import Claim, Document

PAPER = "On paper: no model was run; evidence is arithmetic, other documents and the public record."
AXES = ("arithmetic", "cross_document", "public_record", "measurement")
PRECEDENCE = (
    "internally_inconsistent",
    "contradicted_by_public_record",
    "refuted",
    "contradicted_by_other_document",
    "physically_implausible",
    "nominally_inconsistent",
    "modality_not_demonstrated",
    "inconclusive",
    "supported",
    "partially_supported",
    "error",
    "underspecified",
    "unmeasured",
    "source_unreadable",
    "no_public_record",
    "not_testable_here",
    "not_a_factual_claim",
)
"""The possible headlines, the most severe first."""
CONTRADICTED, SUPPORTED = PRECEDENCE[:4], ("supported", "partially_supported")
"""The headlines that speak against a claim, and those that speak for it."""
_RECORD_WORDS = {"contradicted": "contradicted_by_public_record"}


@dataclass(frozen=True, slots=True)
class Assessment:
    """A claim with its four findings."""

    claim: Claim
    document: Document
    arithmetic: Finding
    cross_document: Finding
    public_record: Finding
    measurement: Finding
    subject_match: str = "none"
    """How the measured system relates to the described one: exact, same_name_different_spec, proxy, or none."""
    contradicts: tuple[str, ...] = ()
    """IDs of the claims, of any document, that cannot be true together with this one."""
    inherits: str | None = None
    """The most severe headline among the claims that this one is computed from, with their IDs."""
    measured: tuple[MeasuredRow, ...] = ()
    """What the runs gave, one row for each reading of the claim; empty if nothing was measured."""

    @property
    def headline(self) -> str:
        """The most severe word of the four findings."""
        return headline(self.vector)

    @property
    def vector(self) -> dict[str, str]:
        """The word of each axis."""
        return {axis: getattr(self, axis).verdict for axis in AXES}

    @property
    def working(self) -> list[str]:
        """The lines that explain the findings, each prefixed with its axis."""
        return [f"{axis.replace('_', ' ')}: {line}" for axis in AXES for line in getattr(self, axis).working] + (
            [f"inherits: {self.inherits}"] if self.inherits else []
        )


@dataclass(frozen=True)
class CheckResult:
    """The result of a check: all documents, all assessments, and the pairs of claims that were compared."""

    documents: tuple[Document, ...]
    assessments: tuple[Assessment, ...]
    conflicts: tuple[StatementPair, ...]
    """Pairs of statements of two documents that cannot both be true."""
    agreements: tuple[StatementPair, ...]
    """Pairs of statements of two documents that agree."""
    internal_conflicts: tuple[StatementPair, ...]
    """Pairs of statements of one document that cannot both be true."""
    about: str = PAPER
    """Scale, checkpoints and data that the result rests on: the first line of every report."""
    runs: tuple[Record, ...] = ()
    """The runs that were made for the check, including blind controls."""
    outcomes: Mapping[RequiredRun, RunOutcome] = field(default_factory=dict)
    """For each run that the claims need: the finished run, or why there is none."""
    curves: tuple[LearningCurve, ...] = ()
    """The recorded learning curves of the systems that were run."""

    @property
    def contradicted(self) -> list[Assessment]:
        """The claims whose headline is one of `CONTRADICTED`."""
        return [assessment for assessment in self.assessments if assessment.headline in CONTRADICTED]


def headline(vector: Mapping[str, str]) -> str:
    """Return the most severe word of a claim's four findings.

    Args:
        vector: the word of each axis of `AXES`. A word that is not in `PRECEDENCE` (`na`, `consistent`, `agrees`)
            does not count.

    Returns:
        A word of `PRECEDENCE`; `not_testable_here` if no word counts.

    Example:
        >>> headline({"arithmetic": "nominally_inconsistent", "cross_document": "na", "public_record": "na",
        ...           "measurement": "unmeasured"})
        'nominally_inconsistent'
        >>> headline({"arithmetic": "consistent", "cross_document": "agrees", "public_record": "contradicted",
        ...           "measurement": "unmeasured"})
        'contradicted_by_public_record'
    """
    words = [_RECORD_WORDS.get(word, word) if axis == "public_record" else word for axis, word in vector.items()]
    return min((word for word in words if word in PRECEDENCE), key=PRECEDENCE.index, default="not_testable_here")


def with_inherited(assessments: Sequence[Assessment]) -> list[Assessment]:
    """Set `inherits` of each claim that is computed from other claims: the most severe headline among them."""
    by_key = {(a.document.document.id, a.claim.id): a for a in assessments}
    updated = []
    for assessment in assessments:
        ids_by_headline = defaultdict(list)
        for id in referenced_claims(assessment.claim.derive):
            source = by_key.get((assessment.document.document.id, id))
            if source is not None and source is not assessment:
                ids_by_headline[source.headline].append(id)
        worst = min(ids_by_headline, key=PRECEDENCE.index, default=None)
        text = f"computed from {', '.join(ids_by_headline[worst])}: {worst.replace('_', ' ')}" if worst else None
        updated.append(replace(assessment, inherits=text))
    return updated
