"""Check a claim against runs of the suite.

A run tests the described system, a public model that only shares its name, a stand-in, or a bundled replica of a few
million parameters. Only a run of the described system can support or refute a claim. A replica shows whether a
direction holds at its own scale; it says nothing about a level.

    supported, refuted        the described system was run; its interval lies inside, or outside, what is claimed
    inconclusive              it was run, and its interval reaches both sides
    modality_not_demonstrated the task has images or audio, and nothing shows that the system uses them
    unmeasured                there is no run, or none of the described system, or it lacks the metric
    error                     a run failed

`required_runs` lists the runs, `levels` and `relations` compare their values with the claim, and this module combines
them into one finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evals.records.folder import Record
from evals.reports.claims.evidence.arithmetic import Finding, claimed
from evals.reports.claims.evidence.chance import chance_level
from evals.reports.claims.evidence.early import judge_early
from evals.reports.claims.evidence.levels import judge_level
from evals.reports.claims.evidence.measured_rows import Hypothesis, MeasuredRow, value_text
from evals.reports.claims.evidence.relations import SIGNIFICANCE, judge_relation
from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
from evals.reports.claims.language.schema import Claim, ClaimReading
from evals.reports.claims.language.values import ValueTable
from evals.reports.rendering.formatting import amount, p_value, probability
from evals.reports.runs import blind_control
from evals.reports.runs.naming import about
from evals.reports.runs.verifying import verification
from evals.statistics import paired


@dataclass(frozen=True, slots=True)
class ClaimMeasurement:
    """What the runs give for one claim, before the correction for several comparisons."""

    claim: Claim
    lines: tuple[str, ...]
    """How the claim was measured, or why it was not."""
    word: str | None = None
    """The word of the axis if it does not depend on the rows: a run is missing, or the blind control decides it."""
    match: str = "none"
    """How the measured system relates to the described one: exact, same_name_different_spec, proxy, or none."""
    replica: bool = False
    """Whether a bundled replica was run."""
    rows: tuple[MeasuredRow, ...] = ()
    """One row for each reading; decisions are as if the described system had been run."""

    @property
    def public_rows(self) -> tuple[MeasuredRow, ...]:
        """The rows with the match of the system; without decisions unless the described system was run."""
        return tuple(
            replace(
                row,
                decision=row.decision if self.match == "exact" else None,
                subject_match=self.match,
                replica=self.replica,
            )
            for row in self.rows
        )

    @property
    def finding(self) -> Finding:
        """The word of the axis with its working."""
        word = self.word or _word(self)
        # A claim that leaves open what to measure stays underspecified, unless a run failed, or did not use its images.
        if self.claim.underspecified is not None and word not in {"error", "modality_not_demonstrated"}:
            word = "underspecified"
        return Finding(word, (*self.lines, *_scope(self), *_caveats(self.claim)))


def unmeasured(claim: Claim) -> Finding:
    """Return the finding of a claim for which nothing was run."""
    if claim.untestable is not None:
        word = "not_a_factual_claim" if claim.untestable.reason == "advice" else "not_testable_here"
        return Finding(word, (f"{claim.untestable.reason}: {claim.untestable.why}",))
    if claim.underspecified is not None:
        return Finding("underspecified", (claim.underspecified,))
    if claim.measure is not None:
        return Finding("unmeasured", (f"would be measured by {claim.measure.task} {claim.measure.metric}: not run",))
    return Finding("not_testable_here", ("no measurement is named that would show it",))


def measure(
    claim: Claim,
    table: ValueTable,
    runs: Sequence[RequiredRun],
    outcomes: Mapping[RequiredRun, RunOutcome],
    *,
    other_spec: bool,
    comparisons: int = 1,
) -> ClaimMeasurement | None:
    """Compare a claim with its runs.

    Args:
        claim: the claim.
        table: the values of its document.
        runs: the runs that the claim needs, as `required_runs` lists them.
        outcomes: the outcome of each run.
        other_spec: whether the public record contradicts the document's description of the subject.
        comparisons: number of comparisons of the document (`count_comparisons`), for runs that stopped early.

    Returns:
        The measurement; None for a claim that needs no run.
    """
    if claim.measure is None or not runs:
        return None
    metric = claim.measure.metric
    results = [outcomes.get(run, RunOutcome(why="not run")) for run in runs]
    missing = [(run, why) for run, outcome in zip(runs, results, strict=True) if (why := _missing(outcome, metric))]
    if missing:
        word = "error" if any(outcome.failed for outcome in results) else "unmeasured"
        return ClaimMeasurement(claim, tuple(f"{run.model} on {run.task}: {why}" for run, why in missing), word)
    records = [outcome.record for outcome in results if outcome.record is not None]
    lines = [_heading(record, outcome, metric) for record, outcome in zip(records, results, strict=True)]
    lines += [
        f"{run.model} on {run.task} {outcome.note}" for run, outcome in zip(runs, results, strict=True) if outcome.note
    ]
    rows = []
    for reading in claim.readings or (None,):
        row, explanation = _judge(claim, reading, table, records, comparisons)
        rows.append(row)
        lines += [f"read as “{reading.says}”: {line}" if reading else line for line in explanation]
    blind_lines = [line for outcome in results for line in _blind_control(outcome, metric)]
    return ClaimMeasurement(
        claim,
        (*lines, *blind_lines),
        word="modality_not_demonstrated" if blind_lines else None,
        match=_match(claim, results, records, other_spec),
        replica=_any_replica(records),
        rows=tuple(rows),
    )


def count_comparisons(claims: Sequence[Claim]) -> int:
    """Count the comparisons of a document that may be tested, which share its 5 % (`correct_for_multiplicity`)."""
    return len(
        {
            (claim.id, claim.measure.metric, relation)
            for claim in claims
            if claim.measure is not None and claim.untestable is None
            for relation in (
                reading.relation or claim.measure.relation if reading else claim.measure.relation
                for reading in claim.readings or (None,)
            )
            if relation != "level"
        }
    )


def hypotheses(claim: Claim, table: ValueTable) -> list[Hypothesis]:
    """Return what a claim with a measurement claims, in each of its readings."""
    return [_hypothesis(claim, reading, table) for reading in claim.readings or (None,)]


def correct_for_multiplicity(measurements: Sequence[ClaimMeasurement]) -> list[ClaimMeasurement]:
    """Correct the p-values of all comparisons of one document by Holm's method.

    Every reading of every claim is corrected. Readings of one claim that ask for the same relation share one test and
    count once. A decision that follows from this test, and a direction, become
    inconclusive or undecided if it is no longer significant. A decision that follows from an interval (a level, a band,
    a bound, an equivalence) answers another question and stays. Both p-values are reported.
    """
    p_by_hypothesis: dict[_TestedHypothesis, float] = {}
    for measurement in measurements:
        for row in measurement.rows:
            if row.p is not None:
                p_by_hypothesis[_tested_hypothesis(measurement, row)] = row.p
    adjusted = dict(zip(p_by_hypothesis, paired.holm(list(p_by_hypothesis.values())), strict=True))
    return [_corrected(measurement, adjusted) for measurement in measurements]


_TestedHypothesis = tuple[str, str, str]
"""A claim, and the metric and the relation whose equality is tested."""


def _tested_hypothesis(measurement: ClaimMeasurement, row: MeasuredRow) -> _TestedHypothesis:
    return measurement.claim.id, row.metric, row.relation


def _corrected(measurement: ClaimMeasurement, adjusted: Mapping[_TestedHypothesis, float]) -> ClaimMeasurement:
    rows, lines = [], []
    for row in measurement.rows:
        if row.p is None:
            rows.append(row)
            continue
        p = adjusted[_tested_hypothesis(measurement, row)]
        line = f"{p_value(row.p)}; corrected for {len(adjusted)} comparisons of the document (Holm): {probability(p)}"
        if row.shared_level:
            line += "; its interval holds together with those of all of them"
        elif not row.decided_by_p:
            line += "; the claim is decided by its interval, which is not corrected"
        lines.append(line)
        rows.append(_without_significance(row, p) if row.p < SIGNIFICANCE <= p else replace(row, p_holm=p))
    return replace(measurement, lines=(*measurement.lines, *dict.fromkeys(lines)), rows=tuple(rows))


def _without_significance(row: MeasuredRow, p: float) -> MeasuredRow:
    """Withdraw what rests on a test that is not significant after correction."""
    return replace(
        row,
        p_holm=p,
        decision="inconclusive" if row.decided_by_p else row.decision,
        direction="undecided" if row.direction else row.direction,
    )


def _hypothesis(claim: Claim, reading: ClaimReading | None, table: ValueTable) -> Hypothesis:
    assert claim.measure is not None
    interval = claimed(claim, reading, table)
    return Hypothesis(
        measure=claim.measure,
        relation=(reading.relation if reading else None) or claim.measure.relation,
        bound=claim.bound,
        low=None if interval.low is None else float(interval.low),
        high=None if interval.high is None else float(interval.high),
    )


def _judge(
    claim: Claim, reading: ClaimReading | None, table: ValueTable, records: Sequence[Record], comparisons: int
) -> tuple[MeasuredRow, list[str]]:
    """Compare the runs with one reading of a claim."""
    hypothesis = _hypothesis(claim, reading, table)
    if hypothesis.relation == "level":
        return judge_level(hypothesis, records[0], table)
    if any(record.finished().stopped for record in records):
        row, lines = judge_early(hypothesis, records, comparisons)
    else:
        row, lines = judge_relation(hypothesis, records)
    levels = [chance_level(record, hypothesis.measure.metric) for record in records]
    if None in levels:
        return row, lines
    why = f"both systems are at the level of guessing ({value_text(levels[0], True)}), so their relation shows nothing"
    return replace(row, direction=None, decision="inconclusive", decided_by_p=False), [*lines, why]


# Which system was run


def _missing(outcome: RunOutcome, metric: str) -> str:
    """Why a run gives no value of a metric; empty if it gives one."""
    if outcome.record is None:
        return outcome.why
    metrics = outcome.record.result.metrics if outcome.record.result is not None else {}
    if metric in metrics:
        return ""
    failed = metrics.get("failed-requests")  # under a request rate
    return f"the run has no {metric}" + (f": {failed.note}" if failed is not None and failed.note else "")


def _any_replica(records: Sequence[Record]) -> bool:
    return any(record.manifest.replica for record in records)


def _match(claim: Claim, outcomes: Sequence[RunOutcome], records: Sequence[Record], other_spec: bool) -> str:
    """How the systems that were run relate to the described ones; of two systems, the weaker relation."""
    by_proxy = claim.measure is not None and claim.measure.proxy
    if _any_replica(records) or by_proxy or any(outcome.proxy for outcome in outcomes):
        return "proxy"
    return "same_name_different_spec" if other_spec else "exact"


def _word(measurement: ClaimMeasurement) -> str:
    """The word of the axis: the decision of the rows, but only if the described system was run."""
    if measurement.match != "exact":
        undecided = any(row.direction == "undecided" for row in measurement.rows)
        return "inconclusive" if undecided else "unmeasured"
    decisions = {row.decision for row in measurement.rows}
    return decisions.pop() or "inconclusive" if len(decisions) == 1 else "inconclusive"


def _scope(measurement: ClaimMeasurement) -> list[str]:
    """Lines that say what a run of another system does and does not show."""
    if not measurement.rows or measurement.match == "exact":
        return []
    if measurement.replica:
        directions = sorted({row.direction for row in measurement.rows if row.direction})
        lines = [f"at the replicas' scale the direction {direction}" for direction in directions]
        if any(row.p is not None for row in measurement.rows):
            lines.append("p-values and intervals speak of the items, not of other trainings of the replicas")
        return [*lines, "a replica is no evidence of the level of the described system"]
    which = "the public model of that name" if measurement.match == "same_name_different_spec" else "a stand-in"
    decisions = ", ".join(dict.fromkeys(str(row.decision) for row in measurement.rows))
    return [f"{which} was run, not the described system; of that system the claim would be {decisions}"]


def _caveats(claim: Claim) -> list[str]:
    proxy = [f"by proxy: {claim.measure.proxy}"] if claim.measure and claim.measure.proxy else []
    return [*proxy, *([f"left open: {claim.underspecified}"] if claim.underspecified else [])]


def _heading(record: Record, outcome: RunOutcome, metric: str) -> str:
    """The value of a run with its interval and blind control, and which checkpoint and data it used."""
    entry = record.finished().metrics[metric]
    percent = entry.unit == "fraction"
    value = value_text(entry.value, True) if percent else amount(entry.value, entry.unit)
    has_interval = percent and entry.low is not None
    spread = f" ({value_text(entry.low, True)} to {value_text(entry.high, True)})" if has_interval else ""
    blind = outcome.blind.finished().metrics.get(metric) if outcome.blind is not None else None
    control = f"; blind control {value_text(blind.value, percent)}" if blind is not None else ""
    size = record.manifest.model.get("parameters")
    weights = f" {size:,} parameters." if size else ""
    floors = entry.floors.items()
    verified = verification.mark(record)
    least = "".join(f"; {kind} floor {amount(floor, entry.unit)}" for kind, floor in floors)
    return f"{metric} {value}{spread}, n = {entry.n:,}{least}{control}. {about([record])}{weights}{verified}"


def _blind_control(outcome: RunOutcome, metric: str) -> list[str]:
    """A line if nothing shows that the system uses the images or the audio."""
    if outcome.record is None or outcome.blind is None:
        return []
    verdict = blind_control.compare(outcome.record, outcome.blind, metric)
    if verdict is None or verdict.demonstrated:
        return []
    return [f"{outcome.record.manifest.model_name}: {verdict} ({p_value(verdict.p)})"]
