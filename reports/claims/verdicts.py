"""The words of a verdict: four findings per claim, and the headline that sums them up.

Each claim has one finding per kind of evidence (`AXES`): arithmetic, other documents, the public record, measurement.
The headline is the first word of `PRECEDENCE` that occurs among them; `PLAIN` gives its plain word for readers.
`Assessment` holds the findings of one claim, `CheckResult` those of all documents of a check.
`evals.reports.claims.assessment` produces both.
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
from evals.reports.claims.language.sources.articles import SourcePlace
from evals.reports.claims.language.sources.placement import PlacedArticle

PAPER = "On paper: no model was run; evidence is arithmetic, other documents and the public record."
AXES = ("arithmetic", "cross_document", "public_record", "measurement")
PRECEDENCE = (
    "internally_inconsistent",
    "contradicted_by_public_record",
    "refuted",
    "supported",
    "contradicted_by_other_document",
    "physically_implausible",
    "nominally_inconsistent",
    "open",
    "differs",
    "modality_not_demonstrated",
    "inconclusive",
    "partially_supported",
    "error",
    "underspecified",
    "checked_and_consistent",
    "unmeasured",
    "source_unreadable",
    "no_public_record",
    "not_testable_here",
    "not_a_factual_claim",
)
"""The possible headlines; the first that any axis gives is the headline."""
PLAIN: Mapping[str, tuple[str, ...]] = {
    "supported": ("supported", "partially_supported"),
    "refuted": ("internally_inconsistent", "contradicted_by_public_record", "refuted", "physically_implausible"),
    "conflicting": ("contradicted_by_other_document", "nominally_inconsistent", "differs"),
}
"""The headlines of each plain word. All others are `NOT_ENOUGH_EVIDENCE`."""
NOT_ENOUGH_EVIDENCE = "not_enough_evidence"
PLAIN_WORDS = (*PLAIN, NOT_ENOUGH_EVIDENCE)
"""The four plain words, in the order of the reports."""
CONVICTIONS = (*PLAIN["refuted"], "contradicted_by_other_document")
"""The headlines that say that a claim is false, or cannot be true together with another document."""
SUPPORTED = PLAIN["supported"]
"""The headlines that speak for a claim."""
_HEADLINES_OF_AXES = {
    ("public_record", "contradicted"): "contradicted_by_public_record",
    ("arithmetic", "consistent"): "checked_and_consistent",
}
"""The words of an axis that have another name as a headline."""
_WORST_FIRST = ("refuted", "conflicting", NOT_ENOUGH_EVIDENCE, "supported")


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
    """Ids of the claims, of any document, that cannot be true together with this one."""
    opponents: tuple[str, ...] = ()
    """The same claims as texts name them: with the document where several that are checked together have the id."""
    judgement: tuple[str, ...] = ()
    """The judgement by hand of the author of the claims file and what it rests on; it decides nothing."""
    inherits: str | None = None
    """The worst headline among the claims that this one is computed from, with their ids."""
    measured: tuple[MeasuredRow, ...] = ()
    """What the runs gave, one row for each reading of the claim; empty if nothing was measured."""
    required: tuple[RequiredRun, ...] = ()
    """The runs that the claim needs; empty before runs are considered."""

    @property
    def headline(self) -> str:
        """The fine word of the verdict: the first of `PRECEDENCE` among the four findings."""
        return headline(self.vector)

    @property
    def plain(self) -> str:
        """The plain word of the verdict: supported, refuted, conflicting or not_enough_evidence."""
        return plain(self.headline)

    @property
    def vector(self) -> dict[str, str]:
        """The word of each axis."""
        return {axis: getattr(self, axis).verdict for axis in AXES}

    @property
    def working(self) -> list[str]:
        """The lines that explain the findings, each prefixed with its axis."""
        lines = [f"{axis.replace('_', ' ')}: {line}" for axis in AXES for line in getattr(self, axis).working]
        lines += [f"judged by hand, which decides nothing: {line}" for line in self.judgement]
        return lines + ([f"inherits: {self.inherits}"] if self.inherits else [])


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
    differences: tuple[StatementPair, ...] = ()
    """Pairs of two documents whose values differ by no more than two protocols of evaluation do: no contradiction."""
    notes: tuple[StatementPair, ...] = ()
    """Pairs that a reader may want to see side by side though both statements can be true."""
    about: str = PAPER
    """Scale, checkpoints and data that the result rests on: the first line of every report."""
    runs: tuple[Record, ...] = ()
    """The runs that were made for the check, including blind controls."""
    outcomes: Mapping[RequiredRun, RunOutcome] = field(default_factory=dict)
    """For each run that the claims need: the finished run, or why there is none."""
    curves: tuple[LearningCurve, ...] = ()
    """The recorded learning curves of the systems that were run."""
    articles: Mapping[str, PlacedArticle] = field(default_factory=dict)
    """By document ID: the source document with the places of its claims, where it was read."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """By document ID: why the source document could not be read."""

    @property
    def convicted(self) -> list[Assessment]:
        """The claims whose headline is one of `CONVICTIONS`."""
        return [assessment for assessment in self.assessments if assessment.headline in CONVICTIONS]

    def place(self, assessment: Assessment) -> SourcePlace | None:
        """Return the place of a claim in its source document: code points, first and after the last; else None."""
        article = self.articles.get(assessment.document.document.id)
        return assessment.claim.span if article is None else article.places.get(assessment.claim.id)


def headline(vector: Mapping[str, str]) -> str:
    """Return the fine word that sums up a claim's four findings.

    Args:
        vector: the word of each axis of `AXES`. A word that is no headline (`na`, `agrees`) does not count.

    Returns:
        A word of `PRECEDENCE`; `not_testable_here` if no word counts.

    Example:
        >>> headline({"arithmetic": "nominally_inconsistent", "cross_document": "na", "public_record": "na",
        ...           "measurement": "unmeasured"})
        'nominally_inconsistent'
        >>> headline({"arithmetic": "consistent", "cross_document": "agrees", "public_record": "contradicted",
        ...           "measurement": "unmeasured"})
        'contradicted_by_public_record'
        >>> headline({"arithmetic": "consistent", "cross_document": "na", "public_record": "na",
        ...           "measurement": "unmeasured"})
        'checked_and_consistent'
    """
    return next(iter(headline_words(vector)), "not_testable_here")


def headline_words(vector: Mapping[str, str]) -> list[str]:
    """Return the words of a claim's four findings as headlines, the one that decides first.

    Example:
        >>> headline_words({"cross_document": "contradicted_by_other_document", "public_record": "contradicted"})
        ['contradicted_by_public_record', 'contradicted_by_other_document']
    """
    words = [_HEADLINES_OF_AXES.get((axis, word), word) for axis, word in vector.items()]
    return sorted({word for word in words if word in PRECEDENCE}, key=PRECEDENCE.index)


def plain(headline: str) -> str:
    """Return the plain word for a headline.

    Example:
        >>> plain("internally_inconsistent"), plain("differs"), plain("open")
        ('refuted', 'conflicting', 'not_enough_evidence')
    """
    return next((word for word, headlines in PLAIN.items() if headline in headlines), NOT_ENOUGH_EVIDENCE)


def with_inherited(assessments: Sequence[Assessment]) -> list[Assessment]:
    """Set `inherits` of each claim that is computed from other claims: the worst headline among them."""
    by_key = {(a.document.document.id, a.claim.id): a for a in assessments}
    updated = []
    for assessment in assessments:
        ids_by_headline = defaultdict(list)
        for id in referenced_claims(assessment.claim.derive):
            source = by_key.get((assessment.document.document.id, id))
            if source is not None and source is not assessment:
                ids_by_headline[source.headline].append(id)
        worst = min(ids_by_headline, key=_severity, default=None)
        text = f"computed from {', '.join(ids_by_headline[worst])}: {worst.replace('_', ' ')}" if worst else None
        updated.append(replace(assessment, inherits=text))
    return updated


def _severity(headline: str) -> tuple[int, int]:
    """Sort headlines by what they say against a claim, the worst first."""
    return _WORST_FIRST.index(plain(headline)), PRECEDENCE.index(headline)
