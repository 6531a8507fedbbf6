"""From evidence to verdicts: a vector of four axes, who contradicts whom, and one headline word.

    Assessment    a claim's four findings, its subject match, what it contradicts, its headline
    assess(documents, record, vocabulary)  -> Checked: all assessments and all pairs

A contradiction between documents convicts neither: both get it, with the pair. Within a document one of the two is the
one that does not fit: the one whose own arithmetic fails already, else the one that is not printed, else the later.
What a claim's inputs imply already is inherited with them and not held against it a second time. Agreement with oneself
supports nothing. What a measurement on a replica shows is a direction at its scale and never a level.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from evals.records.folder import Record
from evals.reports.claims.evidence import arithmetic
from evals.reports.claims.evidence import measurement as measured
from evals.reports.claims.evidence.arithmetic import Finding
from evals.reports.claims.evidence.cross_document import (
    AGREE,
    CONFLICT,
    Assertion,
    StatementPair,
    declared,
    gather,
    pairs,
)
from evals.reports.claims.evidence.learning_curves import LearningCurve
from evals.reports.claims.evidence.measurement import ClaimMeasurement, RequiredRun, RunOutcome
from evals.reports.claims.evidence.public_record import FactIndex
from evals.reports.claims.language.expressions import parse, references
from evals.reports.claims.language.schema import Claim, Document, PublicRecord, Statement, Vocabulary
from evals.reports.claims.language.values import ValueTable
from evals.reports.runs.blind_control import BlindControls
from evals.reports.runs.naming import about
from evals.schema import Json

NOTHING_RAN = "No run was made: no system of the claims is there at this scale. Evidence is as on paper."
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
"""ANALYSIS 4.2, extended: the first of these that an axis says is the headline."""
CONTRADICTED, SUPPORTED = PRECEDENCE[:4], ("supported", "partially_supported")
"""The headlines that speak against a claim, and those that speak for it."""
_BY_RECORD = {"contradicted": "contradicted_by_public_record"}


@dataclass(frozen=True, slots=True)
class Assessment:
    """A claim with all that was found about it."""

    claim: Claim
    document: Document
    arithmetic: Finding
    cross_document: Finding
    public_record: Finding
    measurement: Finding
    subject_match: str = "none"
    contradicts: tuple[str, ...] = ()
    """Ids of claims that cannot be true beside it, in its own document or another."""
    inherits: str | None = None
    """The gravest headline among the claims that it is computed from, with their ids."""
    measured: tuple[Mapping[str, Json], ...] = ()
    """What runs gave, a row a system that was measured; empty where none ran."""

    @property
    def headline(self) -> str:
        """The one word that precedes the others."""
        return headline(self.vector)

    @property
    def vector(self) -> dict[str, str]:
        """The four axes by name."""
        return {name: getattr(self, name).verdict for name in AXES}

    @property
    def working(self) -> list[str]:
        """All lines of working, each axis by its name."""
        return [f"{name.replace('_', ' ')}: {line}" for name in AXES for line in getattr(self, name).working] + (
            [f"inherits: {self.inherits}"] if self.inherits else []
        )


@dataclass(frozen=True)
class CheckResult:
    """Everything that `check` found."""

    documents: tuple[Document, ...]
    assessments: tuple[Assessment, ...]
    crossings: tuple[StatementPair, ...]
    """Pairs of statements of two documents that cannot both be true."""
    agreements: tuple[StatementPair, ...]
    """Pairs of two documents that say the same."""
    inner: tuple[StatementPair, ...]
    """Pairs within a document that cannot both be true."""
    about: str = PAPER
    """Which scale, checkpoints and data it is about: the first line of every report."""
    runs: tuple[Record, ...] = ()
    """The runs that were made for it, blind controls included."""
    outcomes: Mapping[RequiredRun, RunOutcome] = field(default_factory=dict)
    """What came of each run that the claims need."""
    curves: tuple[LearningCurve, ...] = ()
    """How the systems that were run learnt, where that was kept."""

    @property
    def contradicted(self) -> list[Assessment]:
        """The claims that something contradicts: themselves, the record, a measurement or another document."""
        return [each for each in self.assessments if each.headline in CONTRADICTED]


def headline(vector: Mapping[str, str]) -> str:
    """Roll a vector up into the word that precedes the others.

    Example:
        >>> headline({"arithmetic": "nominally_inconsistent", "cross_document": "na", "public_record": "na",
        ...           "measurement": "unmeasured"})
        'nominally_inconsistent'
        >>> headline({"arithmetic": "consistent", "cross_document": "agrees", "public_record": "contradicted",
        ...           "measurement": "unmeasured"})
        'contradicted_by_public_record'
    """
    words = [_BY_RECORD.get(word, word) if axis == "public_record" else word for axis, word in vector.items()]
    return min((word for word in words if word in PRECEDENCE), key=PRECEDENCE.index, default="not_testable_here")


def assess(documents: Sequence[Document], record: PublicRecord, vocabulary: Vocabulary) -> CheckResult:
    """Check every claim of some documents on paper: no model is run.

    Raises:
        InputError: an expression cannot be computed.
    """
    quantities = declared(vocabulary, *(each.document.quantities for each in documents))
    ledgers = [ValueTable(document, record, vocabulary) for document in documents]
    said = [each for document, ledger in zip(documents, ledgers, strict=True) for each in _said(document, ledger)]
    said = _own(said, documents)
    across = pairs(said, quantities, within=False)
    inner = [pair for pair in pairs(said, quantities, within=True) if pair.answer == CONFLICT]
    facts = FactIndex(record, ledgers[0] if ledgers else None, quantities)
    sums = {
        (document.document.id, claim.id): arithmetic.check(claim, ledger)
        for document, ledger in zip(documents, ledgers, strict=True)
        for claim in document.claims
    }
    refuting = {
        (document.document.id, claim.id): _refuting(claim, ledger, sums[document.document.id, claim.id])
        for document, ledger in zip(documents, ledgers, strict=True)
        for claim in document.claims
    }
    evidence = _Evidence(across, inner, _convicted(inner, sums, documents), sums, _mutual(refuting), facts, said)
    assessments = [_assess(claim, document, evidence) for document in documents for claim in document.claims]
    return CheckResult(
        documents=tuple(documents),
        assessments=tuple(_inherit(assessments)),
        crossings=tuple(pair for pair in across if pair.answer == CONFLICT),
        agreements=tuple(pair for pair in across if pair.answer == AGREE),
        inner=tuple(inner),
    )


def with_measurements(
    checked: CheckResult,
    outcomes: Mapping[RequiredRun, RunOutcome],
    systems: Mapping[str, Mapping[str, str]],
    ledgers: Sequence[ValueTable],
) -> CheckResult:
    """Add what runs say to what was found on paper.

    Args:
        checked: what `assess` gave.
        outcomes: what came of each run that the claims need.
        systems: by document, the model that stands for each subject.
        ledgers: the numbers of each document, in the order of the documents.
    """
    found: list[Assessment] = []
    for document, ledger in zip(checked.documents, ledgers, strict=True):
        own = [each for each in checked.assessments if each.document is document]
        system = systems[document.document.id]
        results = [
            measured.measure(
                each.claim, ledger, measured.jobs(each.claim, system), outcomes, other_spec=_other_spec(each.claim, own)
            )
            for each in own
        ]
        there = [result for result in results if result is not None]
        corrected = iter(measured.corrected(there))
        found += [
            each if result is None else _measured(each, next(corrected))
            for each, result in zip(own, results, strict=True)
        ]
    records = [r for outcome in outcomes.values() for r in (outcome.record, outcome.blind) if r is not None]
    said = about(records, BlindControls().among(records)) if records else NOTHING_RAN
    return replace(
        checked, assessments=tuple(_inherit(found)), about=said, runs=tuple(records), outcomes=dict(outcomes)
    )


def _measured(each: Assessment, result: ClaimMeasurement) -> Assessment:
    return replace(each, measurement=result.finding, subject_match=result.match, measured=result.rows)


def _other_spec(claim: Claim, own: Sequence[Assessment]) -> bool:
    """Whether the record contradicts what a document says the subject of a claim is."""
    return any(
        other.claim.kind in {"size", "architecture"}
        and other.public_record.verdict == "contradicted"
        and set(other.claim.subject) & set(claim.subject)
        for other in own
    )


def _said(document: Document, ledger: ValueTable) -> Iterable[Assertion]:
    entries: list[tuple[str, Sequence[Statement], Statement | None]] = [
        (claim.id, claim.statements, claim) for claim in document.claims
    ]
    return gather(document.document.id, ledger, entries)


def _own(said: Sequence[Assertion], documents: Sequence[Document]) -> list[Assertion]:
    """Leave out what a claim only implies because the claims that it is computed from do."""
    sources = {(d.document.id, claim.id): _sources(claim) for d in documents for claim in d.claims}
    implied = {(each.where, each.by, each.topic, each.show()) for each in said}
    return [
        each
        for each in said
        if not each.implied
        or not any((each.where, id, each.topic, each.show()) in implied for id in sources[each.where, each.by])
    ]


_Key = tuple[str, str]
"""A document's id and a claim's."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What was found about all claims together."""

    across: Sequence[StatementPair]
    inner: Sequence[StatementPair]
    convicted: frozenset[_Key]
    """The claims that do not fit into their own document."""
    sums: Mapping[_Key, Finding]
    """Each claim's own arithmetic."""
    refuting: Mapping[_Key, set[str]]
    """The claims of a document that cannot all be true because one of them does not come out of the others."""
    facts: FactIndex
    said: Sequence[Assertion]


def _assess(claim: Claim, document: Document, evidence: _Evidence) -> Assessment:
    key = own, _ = document.document.id, claim.id
    sums = evidence.sums[key]
    inner = [pair for pair in evidence.inner if _partner(pair, claim, own)]
    lines = (f"within the document: {pair.says()}" for pair in inner)
    word = arithmetic.most_severe([sums.verdict, *(["internally_inconsistent"] if key in evidence.convicted else [])])
    mine = [pair for pair in evidence.across if _partner(pair, claim, own)]
    others = [*inner, *(pair for pair in mine if pair.answer == CONFLICT)]
    against = {partner for pair in others if (partner := _partner(pair, claim, own))}
    record = evidence.facts.check(claim, [s for s in evidence.said if (s.where, s.by) == key])
    return Assessment(
        claim=claim,
        document=document,
        arithmetic=Finding(word, (*sums.working, *dict.fromkeys(lines))),
        cross_document=_crossed(mine, record),
        public_record=record,
        measurement=unmeasured(claim),
        contradicts=tuple(sorted(against | evidence.refuting[key], key=_order)),
    )


def _convicted(
    inner: Sequence[StatementPair], sums: Mapping[_Key, Finding], documents: Sequence[Document]
) -> frozenset[_Key]:
    """Of each pair that one document cannot say together, the claim that does not fit; as few claims as go."""
    place = {(d.document.id, claim.id): number for d in documents for number, claim in enumerate(d.claims)}
    implicit = {(d.document.id, claim.id): claim.implicit for d in documents for claim in d.claims}
    fails = {key for key, finding in sums.items() if finding.verdict not in {"na", "consistent"}}
    sides = [[(said.where, said.by) for said in (pair.first, pair.second)] for pair in inner]
    found: set[_Key] = set()
    for keys in sorted(sides, key=lambda keys: sorted((place[key] for key in keys), reverse=True)):
        if not {*keys} & (found | fails):
            found.add(max(keys, key=lambda key: (implicit[key], place[key])))
    return frozenset(found | {key for keys in sides for key in keys if key in fails})


def _partner(pair: StatementPair, claim: Claim, document: str) -> str | None:
    """The other claim of a pair that this one is in."""
    for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
        if (one.by, one.where) == (claim.id, document):
            return other.by
    return None


def _refuting(claim: Claim, ledger: ValueTable, sums: Finding) -> set[str]:
    """The other claims whose numbers a claim does not agree with."""
    if sums.verdict in {"na", "consistent"}:
        return set()
    texts = [claim.derive, *(text for check in claim.checks if check.compare for text in (check.left, check.right))]
    ids = {name for text in texts if text for name in ledger.inputs(text)}
    return {id for id in ids if id in ledger.claims} - {claim.id}


def _mutual(refuting: Mapping[_Key, set[str]]) -> dict[_Key, set[str]]:
    """Say of both sides of a sum that fails that they contradict each other: it tells not which of them is wrong."""
    found = {key: set(others) for key, others in refuting.items()}
    for (document, id), others in refuting.items():
        for other in others:
            found[document, other].add(id)
    return found


def _crossed(mine: Sequence[StatementPair], record: Finding) -> Finding:
    """What other documents say. Figures that only differ as printed, while both can be true, convict nobody."""
    apart = [pair for pair in mine if pair.answer == CONFLICT]
    both = [pair for pair in apart if pair.rule == "figures"]
    lines = tuple(dict.fromkeys(pair.says() + (", though both can be true" if pair in both else "") for pair in apart))
    if len(apart) > len(both):
        backs = {
            "supported": "the public record backs this side",
            "contradicted": "the public record backs not this side",
        }
        lines += (backs[record.verdict],) if record.verdict in backs else ()
        return Finding("contradicted_by_other_document", lines)
    agreeing = tuple(dict.fromkeys(pair.says() for pair in mine if pair.answer == AGREE))
    return Finding("agrees" if agreeing else "na", (*lines, *agreeing))


def unmeasured(claim: Claim) -> Finding:
    """What can be said of a claim's measurement before anything is run."""
    if claim.untestable is not None:
        word = "not_a_factual_claim" if claim.untestable.reason == "advice" else "not_testable_here"
        return Finding(word, (f"{claim.untestable.reason}: {claim.untestable.why}",))
    if claim.underspecified is not None:
        return Finding("underspecified", (claim.underspecified,))
    if claim.measure is not None:
        return Finding("unmeasured", (f"would be measured by {claim.measure.task} {claim.measure.metric}: not run",))
    return Finding("not_testable_here", ("no measurement is named that would show it",))


def _inherit(assessments: Sequence[Assessment]) -> list[Assessment]:
    """Note, at each claim that is computed from others, the gravest headline among them."""
    by_id: dict[tuple[str, str], Assessment] = {(a.document.document.id, a.claim.id): a for a in assessments}
    found = []
    for each in assessments:
        sources = [by_id.get((each.document.document.id, id)) for id in _sources(each.claim)]
        words = defaultdict(list)
        for source in sources:
            if source is not None and source.claim.id != each.claim.id:
                words[source.headline].append(source.claim.id)
        gravest = min(words, key=PRECEDENCE.index, default=None)
        text = f"computed from {', '.join(words[gravest])}: {gravest.replace('_', ' ')}" if gravest else None
        found.append(replace(each, inherits=text))
    return found


def _sources(claim: Claim) -> list[str]:
    found = references(parse(claim.derive)) if claim.derive else ()
    return list(dict.fromkeys(reference.id for reference in found if reference.is_claim))


def _order(id: str) -> tuple[str, int]:
    letters, _, number = id.rpartition("-")
    digits = "".join(c for c in number if c.isdigit())
    return letters, int(digits or 0)
