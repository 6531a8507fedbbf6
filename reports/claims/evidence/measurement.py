"""What runs of the suite say of claims.

A run is of a system: the described one, a public model that only has its name, a stand-in, or a bundled replica of a
few million parameters. Only the described system can support or refute a claim. A replica says whether a direction
holds at its scale, and nothing of a level.

    supported, refuted        the described system was run, and the interval lies within or outside what is claimed
    inconclusive              it was run, and the interval reaches both sides
    modality_not_demonstrated pictures were asked about, and the same questions without them go as well
    unmeasured                what would be run is not there or lacks the metric, or it is not the described system
    error                     a run failed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.comparison import sample_clusters, sample_values
from evals.records.folder import Record
from evals.reports.claims.evidence.arithmetic import Finding, claimed
from evals.reports.claims.language.schema import Claim, ClaimReading
from evals.reports.claims.language.units import ExactInterval
from evals.reports.claims.language.values import ValueTable
from evals.reports.rendering.formatting import amount, p_value, probability
from evals.reports.runs.naming import about
from evals.schema import Json
from evals.statistics import paired
from evals.statistics.decisions import (
    EQUIVALENCE_LEVEL,
    Decision,
    against_band,
    against_bound,
    against_tail,
    equivalent,
    ordered,
)
from evals.statistics.paired import BootstrapEstimate
from evals.statistics.power import minimum_detectable, successes_needed
from evals.timing import statistics

MARGIN = 0.025
"""How far two protocols may move a level: one model moved 2.4 points between two READMEs of one laboratory."""
LIKE = (0.8, 1.25)
"""What still counts as about the same ratio."""
_HALF, _ONE_SIDED = 1.959964, 1.644854
_OPPOSITE: Mapping[Decision, Decision] = {
    "supported": "refuted", "refuted": "supported", "inconclusive": "inconclusive",
}  # fmt: skip
_LESS_IS_BETTER = ("latency", "time", "memory", "median-rank")


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What came of running a system on a task."""

    record: Record | None = None
    """The finished run."""
    blind: Record | None = None
    """The same without pictures, where the task shows any."""
    why: str = ""
    """Why there is no run."""
    failed: bool = False
    """Whether it was tried."""
    proxy: str = ""
    """Why the model is not the one of that name."""


@dataclass(frozen=True, slots=True)
class RequiredRun:
    """A run that a claim needs."""

    model: str
    task: str
    split: str | None = None
    shots: int | None = None


@dataclass(frozen=True, slots=True)
class ClaimMeasurement:
    """What runs gave for one claim, before several claims are corrected for each other."""

    claim: Claim
    lines: tuple[str, ...]
    """How it was measured, or why it was not."""
    word: str | None = None
    """What the axis says whatever the rows decide: of a run that is not there, or of pictures that were not seen."""
    match: str = "none"
    replica: bool = False
    """Whether a bundled replica was run."""
    decided: tuple[Mapping[str, Json], ...] = ()
    """What was measured, a row a reading, with what it would decide for the described system."""

    @property
    def p(self) -> float | None:
        """Two-sided, of a comparison; None for a level."""
        return next((row["p"] for row in self.decided if row.get("p") is not None), None)

    @property
    def rows(self) -> tuple[Mapping[str, Json], ...]:
        """What was measured; decisions are of the described system only."""
        other = {} if self.match == "exact" else {"decision": None}
        who = {"subject_match": self.match, "replica": self.replica}
        return tuple({**row, **other, **who} for row in self.decided)

    @property
    def finding(self) -> Finding:
        """What it says of the claim."""
        word = self.word or _word(self)
        return Finding(_open(self.claim, word), (*self.lines, *_meaning(self), *_left_open(self.claim)))


def jobs(claim: Claim, system: Mapping[str, str]) -> list[RequiredRun]:
    """List the runs that a claim needs: the subject's, and the baseline's.

    Args:
        claim: with or without a `measure`.
        system: the model that stands for each subject, where it is not of the subject's name.
    """
    measure = claim.measure
    if measure is None or claim.untestable is not None:
        return []
    subjects = [measure.system] if measure.system else [system.get(name, name) for name in claim.subject[:1]]
    baseline = [system.get(measure.baseline, measure.baseline)] if measure.baseline else []
    return [RequiredRun(model, measure.task, measure.split, measure.shots) for model in (*subjects, *baseline)]


def measure(
    claim: Claim,
    ledger: ValueTable,
    wanted: Sequence[RequiredRun],
    outcomes: Mapping[RequiredRun, RunOutcome],
    *,
    other_spec: bool,
) -> ClaimMeasurement | None:
    """Hold a claim against its runs; None for a claim that names no measurement.

    Args:
        claim: the claim.
        ledger: the numbers of its document.
        wanted: what `jobs` gave.
        outcomes: what came of the runs.
        other_spec: whether the record contradicts what the document says the subject is.
    """
    if claim.measure is None or not wanted:
        return None
    got = [outcomes.get(job, RunOutcome(why="not run")) for job in wanted]
    metric = claim.measure.metric
    if missing := [(job, why) for job, outcome in zip(wanted, got, strict=True) if (why := _missing(outcome, metric))]:
        word = "error" if any(outcome.failed for outcome in got) else "unmeasured"
        return ClaimMeasurement(claim, tuple(f"{job.model} on {job.task}: {why}" for job, why in missing), word)
    records = [outcome.record for outcome in got if outcome.record is not None]
    readings = claim.readings or (None,)
    results = [_read(claim, reading, ledger, records) for reading in readings]
    lines = [_heading(record, outcome, metric) for record, outcome in zip(records, got, strict=True)]
    for reading, (_, more) in zip(readings, results, strict=True):
        lines += [f"read as “{reading.says}”: {line}" if reading else line for line in more]
    blank = [line for outcome in got for line in _unseeing(outcome, metric)]
    return ClaimMeasurement(
        claim,
        (*lines, *blank),
        "modality_not_demonstrated" if blank else None,
        _match(claim, got, records, other_spec),
        any(record.manifest["model"].get("replica") for record in records),
        tuple(row for row, _ in results),
    )


def corrected(results: Sequence[ClaimMeasurement]) -> list[ClaimMeasurement]:
    """Correct the comparisons of one document for how many they are, by Holm; both p-values are shown.

    A decision or a direction that is not significant any more is undecided.
    """
    tested = [index for index, result in enumerate(results) if result.p is not None]
    adjusted = dict(zip(tested, paired.holm([results[index].p or 0.0 for index in tested]), strict=True))
    return [_corrected(each, adjusted[n], len(tested)) if n in adjusted else each for n, each in enumerate(results)]


def _corrected(result: ClaimMeasurement, p: float, count: int) -> ClaimMeasurement:
    line = f"{p_value(result.p)}; corrected for {count} comparisons of the document (Holm): {probability(p)}"
    rows = tuple({**row, "p_holm": p} for row in result.decided)
    if result.p is not None and result.p < 0.05 <= p:
        rows = tuple(
            {**row, "decision": "inconclusive", "direction": row.get("direction") and "undecided"} for row in rows
        )
    return replace(result, lines=(*result.lines, line), decided=rows)


# Who was run


def _missing(outcome: RunOutcome, metric: str) -> str:
    """Say why a run gives no figure; nothing where it gives one."""
    if outcome.record is None:
        return outcome.why
    known = (outcome.record.result or {}).get("metrics", {})
    return "" if metric in known else f"the run has no {metric}"


def _match(claim: Claim, outcomes: Sequence[RunOutcome], records: Sequence[Record], other_spec: bool) -> str:
    """Say how what was run relates to what is described; of two systems the weaker relation.

    A replica stands in for the described system as any proxy does; what it may show is said beside it.
    """
    replica = any(record.manifest["model"].get("replica") for record in records)
    if replica or any(outcome.proxy for outcome in outcomes) or (claim.measure is not None and claim.measure.proxy):
        return "proxy"
    return "same_name_different_spec" if other_spec else "exact"


def _meaning(result: ClaimMeasurement) -> list[str]:
    """Say what the relation lets the measurement mean."""
    if not result.decided or result.match == "exact":
        return []
    if result.replica:
        directions = sorted({row["direction"] for row in result.decided if row.get("direction")})
        said = [f"at the replicas' scale the direction {direction}" for direction in directions]
        return [*said, "a replica is no evidence of the level of the described system"]
    which = "the public model of that name" if result.match == "same_name_different_spec" else "a stand-in"
    decisions = ", ".join(dict.fromkeys(row["decision"] for row in result.decided))
    return [f"{which} measures so; the described system was not run ({decisions} if it were)"]


def _word(result: ClaimMeasurement) -> str:
    """The word of the axis: a decision for the described system only."""
    if result.match != "exact":
        undecided = any(row.get("direction") == "undecided" for row in result.decided)
        return "inconclusive" if undecided else "unmeasured"
    kinds = {row["decision"] for row in result.decided}
    return kinds.pop() if len(kinds) == 1 else "inconclusive"


def _open(claim: Claim, word: str) -> str:
    """A claim that leaves open what would have to be measured stays so, unless a run failed or saw no pictures."""
    told = {"error", "modality_not_demonstrated"}
    return "underspecified" if claim.underspecified is not None and word not in told else word


def _left_open(claim: Claim) -> list[str]:
    proxy = [f"by proxy: {claim.measure.proxy}"] if claim.measure and claim.measure.proxy else []
    return [*proxy, *([f"left open: {claim.underspecified}"] if claim.underspecified else [])]


def _heading(record: Record, outcome: RunOutcome, metric: str) -> str:
    """Say what a run gave, with its blind control, and what it was of."""
    found = _metric(record, metric)
    share = found["unit"] == "fraction"
    spread = f" ({_percent(found['low'])} to {_percent(found['high'])})" if share and found["low"] is not None else ""
    blind = outcome.blind
    control = f"; blind control {_percent(_metric(blind, metric)['value'])}" if blind is not None else ""
    size = record.manifest["model"].get("parameters")
    weights = f" {size:,} parameters." if size else ""
    least = "".join(f"; {kind} floor {amount(floor, found['unit'])}" for kind, floor in found.get("floors", {}).items())
    return f"{metric} {_show(found)}{spread}, n = {found['n']:,}{least}{control}. {about([record])}{weights}"


# What it measured


def _read(
    claim: Claim, reading: ClaimReading | None, ledger: ValueTable, records: Sequence[Record]
) -> tuple[dict[str, Any], list[str]]:
    """Measure what one reading claims and hold it against the claim."""
    assert claim.measure is not None
    relation = (reading.relation if reading else None) or claim.measure.relation
    ends = claimed(claim, reading, ledger)
    if relation == "level":
        return _level(claim, ends, records[0], ledger)
    return _relation(claim, ends, relation, records)


def _level(
    claim: Claim, claimed: ExactInterval, record: Record, ledger: ValueTable
) -> tuple[dict[str, Any], list[str]]:
    """One system's own figure: its interval against the band of the claim, widened by the protocol's margin."""
    assert claim.measure is not None
    found = _metric(record, claim.measure.metric)
    factor = float(ledger.units[found["unit"]].factor) if found["unit"] in {"seconds", "bytes"} else 1.0
    low, high = (None if found[end] is None else found[end] * factor for end in ("low", "high"))
    share = found["unit"] == "fraction"
    margin = (float(claim.measure.margin) / 100 if claim.measure.margin else MARGIN) if share else 0.0
    ends = [None if end is None else float(end) for end in (claimed.low, claimed.high)]
    decision, counted = _tail(claim, record, ends, factor) or (None, "")
    decision = decision or _held(found["value"] * factor, low, high, ends, margin)
    unit = "bits" if found["unit"] == "bytes" else found["unit"]
    row = _row(claim, "level", found["value"] * factor, low, high, found["n"], ends, decision, unit)
    lines = [f"claimed {_band(ends, share)}" + (f", and {margin * 100:g} points for the protocol" if margin else "")]
    if decision == "inconclusive" and low is not None and high is not None:
        least = minimum_detectable((high - low) / (2 * _HALF))
        row["detectable"] = least
        lines.append(f"so many items find a difference of {_amount(least, share)} significant four times in five")
    return row, [*lines, *([counted] if counted else [])]


def _tail(claim: Claim, record: Record, ends: Sequence[float | None], factor: float) -> tuple[Decision, str] | None:
    """Hold "so many of all within a time" by counting those beyond it; None for any other claim."""
    assert claim.measure is not None
    figure, _ = statistics.statistic(claim.measure.metric)
    level = statistics.TAILS.get(claim.measure.metric.removeprefix(figure))
    least, most = ends
    if not record.timed or level is None or least is not None or most is None:
        return None
    times = [row["values"][figure] * factor for row in record.samples() if figure in row["values"]]
    beyond, allowed = sum(time > most for time in times), round(1 - level, 9)
    decision = against_tail(beyond, len(times), allowed)
    fewest = f"; {successes_needed(level)} within it would be the fewest that show it" if not beyond else ""
    return decision, f"{beyond} of {len(times)} repetitions took longer, {allowed * 100:g} % may{fewest}"


def _held(value: float, low: float | None, high: float | None, ends: Sequence[float | None], margin: float) -> Decision:
    """Hold a 95 % interval against a band, or a one-sided 95 % bound against a claim that has one end only."""
    least, most = ends
    if low is None or high is None or (least is None and most is None):
        return "inconclusive"
    if least is not None and most is not None:
        return against_band((low, high), (least - margin, most + margin))
    lower, upper = (value - (value - end) * _ONE_SIDED / _HALF for end in (low, high))
    bound = least - margin if least is not None else (most or 0.0) + margin
    return against_bound(lower, upper, bound, least=least is not None)


def _relation(
    claim: Claim, claimed: ExactInterval, relation: str, records: Sequence[Record]
) -> tuple[dict[str, Any], list[str]]:
    """Two systems on the same samples: difference, ratio, saved errors, or who is the better."""
    assert claim.measure is not None
    metric = claim.measure.metric
    timed = any(record.timed for record in records)
    estimate, null, p = (_timed if timed else _estimate)(metric, relation, records)
    ends = [None if end is None else float(end) for end in (claimed.low, claimed.high)]
    share = relation in {"difference", "error-reduction", "retention", "order"} and not timed
    unit = "fraction" if share else "x"
    if estimate is None:
        row = _row(claim, relation, None, None, None, 0, ends, "inconclusive", unit)
        why = "the runs share no samples' figures, or the baseline's may be zero"
        return row, [f"no {relation}: {statistics.not_in_turn(*records) if timed else why}"]
    low, high = estimate.interval() or (None, None)
    decision = _decide(claim, relation, estimate, ends, null, p)
    row = _row(claim, relation, estimate.value, low, high, estimate.n, ends, decision, unit)
    row |= {"p": p, "detectable": estimate.minimum_detectable}
    row["direction"] = _direction(claim, relation, estimate, ends, null, p)
    spread = f" ({_amount(low, share)} to {_amount(high, share)})" if low is not None else ""
    on = "repetitions that were timed in turn" if timed else "shared samples"
    said = f"{relation} {_amount(estimate.value, share)}{spread} on {estimate.n:,} {on}"
    lines = [f"{said}; claimed {_band(ends, share)}"]
    if decision == "inconclusive" or row["direction"] == "undecided":
        lines.append(f"a true one of {_amount(estimate.minimum_detectable, share)} would be found four times in five")
    return row, lines


def _estimate(
    metric: str, relation: str, records: Sequence[Record]
) -> tuple[BootstrapEstimate | None, float, float | None]:
    """Estimate a relation over the samples that both runs have a figure of; the value that means no difference; p."""
    ours, theirs = ({row["id"]: row for row in record.samples()} for record in records)
    both = [id for id in ours if id in theirs]
    ids = [id for id in both if metric in ours[id]["values"] and metric in theirs[id]["values"]]
    if not ids:
        return None, 0.0, None
    a_N, b_N, together = (
        sample_values(ours, ids, metric),
        sample_values(theirs, ids, metric),
        sample_clusters(ours, ids),
    )
    match relation:
        case "error-reduction":
            found, null = paired.error_reduction(a_N, b_N, together), 0.0
        case "retention" | "ratio":
            found, null = paired.ratio(a_N, b_N, together), 1.0
        case "speed-up":
            found, null = paired.ratio(b_N, a_N, together), 1.0
        case _:
            less = any(word in metric for word in _LESS_IS_BETTER)
            found, null = (
                paired.difference(*((b_N, a_N) if less and relation == "order" else (a_N, b_N)), together),
                0.0,
            )
    if found is None:
        return None, null, None
    binary = set(a_N) | set(b_N) <= {0.0, 1.0}
    return found, null, paired.mcnemar(a_N, b_N) if binary and null == 0.0 else found.p_value(null)


def _timed(
    metric: str, relation: str, records: Sequence[Record]
) -> tuple[BootstrapEstimate | None, float, float | None]:
    """Estimate a relation of what was timed in turn, as `_estimate` does; None where it was not, or makes no sense.

    Faster is less of a time and more of a rate; who is ahead is told by the ratio too.
    """
    a, b = records
    if relation in {"order", "speed-up"} and not metric.endswith("throughput"):
        a, b = b, a
    pairs = statistics.in_turn(a, b, metric)
    if not pairs or relation == "error-reduction":
        return None, 1.0, None
    relate, null = (statistics.difference, 0.0) if relation == "difference" else (statistics.ratio, 1.0)
    found = relate(metric, pairs)
    return found, null, found.p_value(null) if len(found.resampled_B) else None


def _decide(
    claim: Claim, relation: str, estimate: BootstrapEstimate, ends: Sequence[float | None], null: float, p: float | None
) -> Decision:
    """Hold an estimate against what is claimed: a band, a one-sided bound, who is ahead, or about the same."""
    low, high = ends
    if claim.bound == "about":
        margin = (low if low is not None else LIKE[0], high if high is not None else LIKE[1])
        return equivalent(estimate.interval(EQUIVALENCE_LEVEL), margin)
    if relation == "order" or [end for end in ends if end is not None] in ([], [null]):  # who is ahead
        decision = ordered(estimate.interval(), null) if p is not None and p < 0.05 else "inconclusive"
        return decision if relation == "order" or high is None else _OPPOSITE[decision]
    if low is not None and high is not None:
        return against_band(estimate.interval(), (low, high))
    bound = low if low is not None else high
    assert bound is not None
    return against_bound(estimate.lower_bound(), estimate.upper_bound(), bound, least=low is not None)


def _direction(
    claim: Claim, relation: str, estimate: BootstrapEstimate, ends: Sequence[float | None], null: float, p: float | None
) -> str | None:
    """Whether a difference goes the way that is claimed, at the scale that was run; None where either way may be."""
    low, high = (None, None) if relation == "order" else ends
    if relation == "retention" or claim.bound == "about":
        return None
    upwards = (low is None and high is None) or (low is not None and low >= null)
    if not upwards and (high is None or high > null):
        return None
    if p is None or p >= 0.05:
        return "undecided"
    return "holds" if (estimate.value > null) == upwards else "fails"


def _unseeing(outcome: RunOutcome, metric: str) -> list[str]:
    """Say so where the same questions without pictures go as well as with them."""
    if outcome.record is None or outcome.blind is None:
        return []
    estimate, _, p = _estimate(metric, "difference", (outcome.record, outcome.blind))
    if estimate is None or p is None or (p < 0.05 and estimate.value > 0):
        return []
    name = outcome.record.manifest["model"]["name"]
    drop = f"difference {estimate.value * 100:.2f} points, {p_value(p)}"
    return [f"{name} answers as well without the pictures ({drop})"]


def _metric(record: Record, name: str) -> dict[str, Any]:
    """A metric that a finished run is known to have."""
    assert record.result is not None
    return dict(record.result["metrics"][name])


def _row(
    claim: Claim, relation: str, value: float | None, low: float | None, high: float | None, n: int,
    ends: Sequence[float | None], decision: Decision, unit: str,
) -> dict[str, Any]:  # fmt: skip
    assert claim.measure is not None
    return {
        "task": claim.measure.task, "metric": claim.measure.metric, "relation": relation, "value": value, "low": low,
        "high": high, "n": n, "claimed_low": ends[0], "claimed_high": ends[1], "decision": decision, "unit": unit,
    }  # fmt: skip


# Wording


def _band(ends: Sequence[float | None], share: bool) -> str:
    low, high = ends
    if low is None and high is None:
        return "nothing in numbers"
    if low is None:
        return f"at most {_amount(high, share)}"
    return f"at least {_amount(low, share)}" if high is None else f"{_amount(low, share)} to {_amount(high, share)}"


def _amount(value: float | None, share: bool) -> str:
    return "–" if value is None else f"{value * 100:.2f} %" if share else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.2f} %"


def _show(metric: Mapping[str, Any]) -> str:
    return _percent(metric["value"]) if metric["unit"] == "fraction" else f"{metric['value']:.4g} {metric['unit']}"
