"""Turn documents into verdicts: gather the evidence for each claim and combine it.

The life of a claim, from its line in a YAML file to a word in the tables:

1. `language.files.load` reads the file. `language.schema` declares its format, `language.names` checks that every
   name in it exists.
2. `language.values.ValueTable` gives each printed number the interval of the values that round to it, and computes
   expressions over these intervals (`language.intervals`).
3. `evidence.arithmetic.check` computes the claim from the document's other claims and compares the result with the
   printed digits.
4. `evidence.pairs.compare_all` compares it with statements on the same topic, in the same document and in
   others.
5. `evidence.public_record.FactIndex.check` compares it with the public facts.
6. `evidence.measurement.measure` compares it with runs of the suite, where runs were made.
7. `assess` and `add_measurements` below collect the four findings in an `Assessment`. `verdicts.headline` picks the
   first of the four words by precedence: that word is the verdict.
8. `output` writes the assessments as tables and as a page.

A contradiction between two documents does not show which one is wrong, so both claims get it. Within one document, one
claim of a contradicting pair is marked (`evidence.within_document.inconsistent_claims`). Two sources count as agreement
only if they are different documents.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from evals.reports.claims.evidence import arithmetic
from evals.reports.claims.evidence.arithmetic import Finding
from evals.reports.claims.evidence.cross_document import (
    AGREEMENT,
    CONFLICT,
    DIFFERENCE,
    NOTE,
    Assertion,
    StatementPair,
    all_quantities,
    assertions_of,
    without_inherited,
)
from evals.reports.claims.evidence.measurement import (
    ClaimMeasurement,
    correct_for_multiplicity,
    count_comparisons,
    measure,
    unmeasured,
)
from evals.reports.claims.evidence.pairs import compare_all
from evals.reports.claims.evidence.public_record import FactIndex
from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome, required_runs
from evals.reports.claims.evidence.studies import int8_timings, trainings
from evals.reports.claims.evidence.studies.trainings import TrainingEvidence
from evals.reports.claims.evidence.tables.checks import check_tables, join
from evals.reports.claims.evidence.within_document import (
    ClaimKey,
    StatementId,
    failing_partners,
    inconsistent_claims,
    make_symmetric,
    of_other_tables,
    statement_id,
)
from evals.reports.claims.language.facts import PublicRecord, Vocabulary
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.values import ValueTable
from evals.reports.claims.verdicts import Assessment, CheckResult, with_inherited
from evals.reports.runs.blind_control import BlindControls
from evals.reports.runs.naming import about

OTHER_TABLE = "most cells that the two tables share differ, so they may be of two benchmarks or protocols"
"""What the working of a cell says that contradicts the cell of another table only if both measure the same thing."""
NOTHING_RAN = "No run was made: no system of the claims is there at this scale. Evidence is as on paper."


def assess(documents: Sequence[Document], record: PublicRecord, vocabulary: Vocabulary) -> CheckResult:
    """Check every claim against arithmetic, the other documents and the public record, without running a model.

    Args:
        documents: the documents to check, with distinct ids.
        record: the public facts.
        vocabulary: the units and quantities that claims use.

    Raises:
        InputError: an expression cannot be computed.
    """
    quantities = all_quantities(vocabulary, *(document.document.quantities for document in documents))
    tables = [ValueTable(document, record, vocabulary) for document in documents]
    pairs = list(zip(documents, tables, strict=True))
    assertions = [assertion for document, table in pairs for assertion in assertions_of(document, table)]
    assertions = _with_names(without_inherited(assertions, documents), documents)
    across = compare_all(assertions, quantities, within=False)
    within = compare_all(assertions, quantities, within=True)
    doubtful = of_other_tables(within, documents)
    internal = [pair for pair in within if pair.result == CONFLICT and statement_id(pair) not in doubtful]
    findings: dict[ClaimKey, Finding] = {}
    failing: dict[ClaimKey, set[str]] = {}
    for document, table in pairs:
        in_tables = check_tables(document, table)
        for claim in document.claims:
            key = document.document.id, claim.id
            finding = arithmetic.check(claim, table)
            shared, partners = in_tables.get(claim.id, (Finding("na"), frozenset()))
            findings[key] = join(finding, shared)
            failing[key] = failing_partners(claim, table, finding) | partners
    by_claim: dict[ClaimKey, list[Assertion]] = defaultdict(list)
    for assertion in assertions:
        by_claim[assertion.key].append(assertion)
    evidence = _Evidence(
        across=_by_claim(across),
        internal=_by_claim(internal),
        doubtful=_by_claim(pair for pair in within if statement_id(pair) in doubtful),
        words=doubtful,
        inconsistent=inconsistent_claims(internal, findings, documents),
        arithmetic=findings,
        failing=make_symmetric(failing),
        facts=FactIndex(record, tables[0] if tables else None, quantities),
        assertions=by_claim,
    )
    assessments = [_assess(claim, document, evidence) for document in documents for claim in document.claims]
    return CheckResult(
        documents=tuple(documents),
        assessments=tuple(with_inherited(assessments)),
        conflicts=tuple(pair for pair in across if pair.result == CONFLICT),
        agreements=tuple(pair for pair in across if pair.result == AGREEMENT),
        internal_conflicts=tuple(internal),
        differences=tuple(pair for pair in across if pair.result == DIFFERENCE),
        notes=tuple(pair for pair in across if pair.result == NOTE),
    )


def _with_names(assertions: Sequence[Assertion], documents: Sequence[Document]) -> list[Assertion]:
    """Mark the assertions whose ids several documents have, so that notes name the document too."""
    counts = Counter(claim.id for document in documents for claim in document.claims)
    return [replace(entry, is_shared=True) if counts[entry.by] > 1 else entry for entry in assertions]


def add_measurements(
    checked: CheckResult,
    outcomes: Mapping[RequiredRun, RunOutcome],
    systems: Mapping[str, Mapping[str, str]],
    tables: Sequence[ValueTable],
) -> CheckResult:
    """Add the evidence of runs to a result of `assess`.

    Args:
        checked: the result of `assess`.
        outcomes: the outcome of each run that the claims need.
        systems: for each document id, the model that is run for each subject.
        tables: the values of each document, in the order of the documents.
    """
    updated: list[Assessment] = []
    for document, table in zip(checked.documents, tables, strict=True):
        assessments = [entry for entry in checked.assessments if entry.document is document]
        models = systems[document.document.id]
        comparisons = count_comparisons(document.claims)
        measurements = [
            measure(
                assessment.claim,
                table,
                required_runs(assessment.claim, models),
                outcomes,
                other_spec=_is_other_spec(assessment.claim, assessments),
                comparisons=comparisons,
            )
            for assessment in assessments
        ]
        corrected = iter(correct_for_multiplicity([entry for entry in measurements if entry is not None]))
        updated += [
            assessment
            if measurement is None
            else _with_measurement(assessment, next(corrected), required_runs(assessment.claim, models))
            for assessment, measurement in zip(assessments, measurements, strict=True)
        ]
    records = [r for outcome in outcomes.values() for r in (outcome.record, outcome.blind) if r is not None]
    return replace(
        checked,
        assessments=tuple(with_inherited(updated)),
        about=about(records, BlindControls().among(records)) if records else NOTHING_RAN,
        runs=tuple(records),
        outcomes=dict(outcomes),
    )


def _with_measurement(
    assessment: Assessment, measurement: ClaimMeasurement, required: Sequence[RequiredRun]
) -> Assessment:
    return replace(
        assessment,
        measurement=measurement.finding,
        subject_match=measurement.match,
        measured=measurement.public_rows,
        required=tuple(required),
    )


def _is_other_spec(claim: Claim, assessments: Sequence[Assessment]) -> bool:
    """Whether the public record contradicts the document's description of the claim's subject."""
    return any(
        other.claim.kind in {"size", "architecture"}
        and other.public_record.verdict == "contradicted"
        and set(other.claim.subject) & set(claim.subject)
        for other in assessments
    )


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The evidence about all claims of a check; pairs of statements are sorted by the claims that they belong to."""

    across: Mapping[ClaimKey, Sequence[StatementPair]]
    """Compared pairs of statements of two documents."""
    internal: Mapping[ClaimKey, Sequence[StatementPair]]
    """Contradicting pairs within one document."""
    doubtful: Mapping[ClaimKey, Sequence[StatementPair]]
    """Pairs within one document that contradict each other only if two tables measure the same thing."""
    words: Mapping[StatementId, str]
    """The words of arithmetic that these give."""
    inconsistent: frozenset[ClaimKey]
    """The claims that are marked as inconsistent with their own document."""
    arithmetic: Mapping[ClaimKey, Finding]
    failing: Mapping[ClaimKey, set[str]]
    """For each claim, the claims that take part in the same failed computation."""
    facts: FactIndex
    assertions: Mapping[ClaimKey, Sequence[Assertion]]


def _assess(claim: Claim, document: Document, evidence: _Evidence) -> Assessment:
    """Collect the findings about one claim."""
    key = id, _ = document.document.id, claim.id
    internal, across = evidence.internal.get(key, []), evidence.across.get(key, [])
    conflicts = [*internal, *(pair for pair in across if pair.result == CONFLICT)]
    sides = [partner for pair in conflicts if (partner := _partner(pair, claim, id))]
    partners = {partner.by for partner in sides}
    computed = evidence.arithmetic[key]
    doubtful = [(pair, evidence.words[statement_id(pair)]) for pair in evidence.doubtful.get(key, [])]
    words = [computed.verdict, *(["internally_inconsistent"] if key in evidence.inconsistent else [])]
    words += [word for _, word in doubtful]
    lines = dict.fromkeys(f"within the document: {pair.describe()}" for pair in internal)
    lines |= dict.fromkeys(f"within the document: {pair.describe()}; {OTHER_TABLE}" for pair, _ in doubtful)
    word = arithmetic.most_severe(words)
    working = (*computed.working, *lines) if word == computed.verdict else (*lines, *computed.working)
    public_record = evidence.facts.check(claim, evidence.assertions.get(key, []))
    study = _study(claim.study)
    not_run = unmeasured(claim)
    return Assessment(
        claim=claim,
        document=document,
        arithmetic=Finding(word, tuple(working)),
        cross_document=_cross_document(across, public_record),
        public_record=public_record,
        measurement=Finding(not_run.verdict, (*not_run.working, *study.lines)),
        subject_match="proxy" if study.rows else "none",
        measured=study.rows,
        judgement=evidence.facts.judgement(claim),
        contradicts=tuple(sorted(partners | evidence.failing[key], key=_id_order)),
        opponents=_opponents(sides, evidence.failing[key]),
    )


def _opponents(sides: Iterable[Assertion], failing: Iterable[str]) -> tuple[str, ...]:
    """The names of claims that contradict one, in the order of their ids."""
    names = {**{id: id for id in failing}, **{side.name: side.by for side in sides}}
    return tuple(sorted(names, key=lambda name: (_id_order(names[name]), name)))


def _study(name: str | None) -> TrainingEvidence:
    """Return what the study that a claim names shows."""
    if name is None:
        return trainings.NO_STUDY
    return int8_timings.evidence() if name == int8_timings.STUDY else trainings.evidence(name)


def _by_claim(pairs: Iterable[StatementPair]) -> dict[ClaimKey, list[StatementPair]]:
    """Return the pairs of each claim, in their order."""
    by_claim: dict[ClaimKey, list[StatementPair]] = defaultdict(list)
    for pair in pairs:
        for key in dict.fromkeys((side.where, side.by) for side in (pair.first, pair.second)):
            by_claim[key].append(pair)
    return by_claim


def _partner(pair: StatementPair, claim: Claim, document: str) -> Assertion | None:
    """The other side of a pair that this claim belongs to, else None."""
    for first, second in ((pair.first, pair.second), (pair.second, pair.first)):
        if (first.by, first.where) == (claim.id, document):
            return second
    return None


def _cross_document(pairs: Sequence[StatementPair], public_record: Finding) -> Finding:
    """What other documents say about a claim; notes are shown and decide nothing."""
    lines = {
        result: tuple(dict.fromkeys(pair.describe() for pair in pairs if pair.result == result))
        for result in (CONFLICT, DIFFERENCE, NOTE, AGREEMENT)
    }
    if lines[CONFLICT]:
        sides = {
            "supported": ("the public record supports this side",),
            "contradicted": ("the public record does not support this side",),
        }
        side = sides.get(public_record.verdict, ())
        shown = (*lines[CONFLICT], *lines[DIFFERENCE], *lines[NOTE])
        return Finding("contradicted_by_other_document", (*shown, *side))
    word = "differs" if lines[DIFFERENCE] else "agrees" if lines[AGREEMENT] else "na"
    return Finding(word, (*lines[DIFFERENCE], *lines[NOTE], *lines[AGREEMENT]))


def _id_order(id: str) -> tuple[str, int, str]:
    """Sort claim ids by their letters, then by their number."""
    letters, _, number = id.rpartition("-")
    digits = "".join(c for c in number if c in "0123456789").lstrip("0")
    return letters, len(digits), digits
