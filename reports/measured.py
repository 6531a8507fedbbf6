"""What runs of the suite say of claims.

A run is of a system: the described one, a public model that only has its name, a stand-in, or a bundled replica of a
few million parameters. Only the described system can support or refute a claim. A replica says whether a direction
holds at its scale, and nothing of a level.

    supported, refuted        the described system was run, and the interval lies within or outside what is claimed
    inconclusive              it was run, and the interval reaches both sides
    modality_not_demonstrated pictures were asked about, and the same questions without them go as well
    unmeasured                what would be run is not there, or what was run is not the described system
    error                     a run failed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evals import paired
from evals.comparison import clusters, figures
from evals.decisions import EQUIVALENCE_LEVEL, Decision, against_band, against_bound, equivalent
from evals.paired import Estimate
from evals.power import detectable
from evals.records import Record
from evals.schema import Json
from reports.arithmetic import Finding
from reports.claims import Claim, Reading
from reports.ledger import Ledger
from reports.quantities import Interval
from reports.wording import about

MARGIN = 0.025
"""How far two protocols may move a level: one model moved 2.4 points between two READMEs of one laboratory."""
LIKE = (0.8, 1.25)
"""What still counts as about the same ratio."""
_HALF, _ONE_SIDED = 1.959964, 1.644854
_LESS_IS_BETTER = ("latency", "time", "memory", "median-rank")


@dataclass(frozen=True, slots=True)
class Outcome:
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
class Job:
    """A run that a claim needs."""

    model: str
    task: str
    split: str | None = None
    shots: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What runs say of one claim, before several claims are corrected for each other."""

    finding: Finding
    match: str = "none"
    rows: tuple[Mapping[str, Json], ...] = ()
    """What was measured, a row a reading."""
    p: float | None = None
    """Two-sided, of a comparison; None for a level."""
    decisions: tuple[Decision, ...] = field(default=())


def jobs(claim: Claim, system: Mapping[str, str]) -> list[Job]:
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
    return [Job(model, measure.task, measure.split, measure.shots) for model in (*subjects, *baseline)]


def measure(
    claim: Claim, ledger: Ledger, wanted: Sequence[Job], outcomes: Mapping[Job, Outcome], *, other_spec: bool
) -> Result | None:
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
    got = [outcomes.get(job, Outcome(why="not run")) for job in wanted]
    missing = [(job, outcome) for job, outcome in zip(wanted, got, strict=True) if outcome.record is None]
    if missing:
        word = "error" if any(outcome.failed for _, outcome in missing) else "unmeasured"
        reasons = [f"{job.model} on {job.task}: {outcome.why}" for job, outcome in missing]
        return Result(Finding(_open(claim, word), (*reasons, *_left_open(claim))))
    records = [outcome.record for outcome in got if outcome.record is not None]
    match = _match(claim, got, records, other_spec)
    readings = claim.readings or (None,)
    results = [_read(claim, reading, ledger, records) for reading in readings]
    lines = [_heading(record, outcome, claim.measure.metric) for record, outcome in zip(records, got, strict=True)]
    for reading, (_, _, more) in zip(readings, results, strict=True):
        lines += [f"read as “{reading.says}”: {line}" if reading else line for line in more]
    blank = [line for outcome in got for line in _unseeing(outcome, claim.measure.metric)]
    decided = {} if match == "exact" else {"decision": None}
    rows = tuple({**row, **decided, "subject_match": match} for row, _, _ in results)
    p = next((float(row["p"]) for row in rows if row.get("p") is not None), None)
    decisions = tuple(decision for _, decision, _ in results)
    word = "modality_not_demonstrated" if blank else _word(claim, match, decisions, rows)
    shown = [*lines, *blank, *_meaning(match, decisions, rows), *_left_open(claim)]
    return Result(Finding(word, tuple(shown)), match, rows, p, decisions)


def corrected(results: Sequence[Result]) -> list[Result]:
    """Correct the comparisons of one document for how many they are, by Holm; both p-values are shown.

    A direction that is not significant any more is undecided.
    """
    tested = [index for index, result in enumerate(results) if result.p is not None]
    adjusted = dict(zip(tested, paired.holm([results[index].p or 0.0 for index in tested]), strict=True))
    found = []
    for index, result in enumerate(results):
        if index not in adjusted:
            found.append(result)
            continue
        p = adjusted[index]
        line = f"p = {_p(result.p)}; corrected for {len(tested)} comparisons of the document (Holm): {_p(p)}"
        lost = p >= 0.05 and result.p is not None and result.p < 0.05
        word = "inconclusive" if lost and result.finding.verdict in {"supported", "refuted"} else result.finding.verdict
        rows = tuple({**row, "p_holm": p, **({"direction": "undecided"} if lost else {})} for row in result.rows)
        found.append(replace(result, finding=Finding(word, (*result.finding.working, line)), rows=rows))
    return found


# Who was run


def _match(claim: Claim, outcomes: Sequence[Outcome], records: Sequence[Record], other_spec: bool) -> str:
    """Say how what was run relates to what is described; of two systems the weaker relation."""
    if any(record.manifest["model"].get("replica") for record in records):
        return "replica"
    if any(outcome.proxy for outcome in outcomes) or (claim.measure is not None and claim.measure.proxy):
        return "proxy"
    return "same_name_different_spec" if other_spec else "exact"


def _meaning(match: str, decisions: Sequence[Decision], rows: Sequence[Mapping[str, Json]]) -> list[str]:
    """Say what the relation lets the measurement mean."""
    directions = {row["direction"] for row in rows if row.get("direction")}
    if match == "replica":
        said = [f"at the replicas' scale the direction {direction}" for direction in sorted(directions)]
        return [*said, "a replica is no evidence of the level of the described system"]
    if match == "exact":
        return []
    which = "the public model of that name" if match == "same_name_different_spec" else "a stand-in"
    return [f"{which} measures so; the described system was not run ({', '.join(dict.fromkeys(decisions))} if it were)"]


def _word(claim: Claim, match: str, decisions: Sequence[Decision], rows: Sequence[Mapping[str, Json]]) -> str:
    """The word of the axis: a decision for the described system only."""
    if match != "exact":
        undecided = any(row.get("direction") == "undecided" for row in rows)
        return _open(claim, "inconclusive" if undecided else "unmeasured")
    kinds = set(decisions)
    return _open(claim, kinds.pop() if len(kinds) == 1 else "inconclusive")


def _open(claim: Claim, word: str) -> str:
    """A claim that leaves open what would have to be measured stays underspecified, unless a run failed."""
    return "underspecified" if claim.underspecified is not None and word != "error" else word


def _left_open(claim: Claim) -> list[str]:
    proxy = [f"by proxy: {claim.measure.proxy}"] if claim.measure and claim.measure.proxy else []
    return [*proxy, *([f"left open: {claim.underspecified}"] if claim.underspecified else [])]


def _heading(record: Record, outcome: Outcome, metric: str) -> str:
    """Say what a run gave, with its blind control, and what it was of."""
    found = _metric(record, metric)
    share = found["unit"] == "fraction"
    spread = f" ({_percent(found['low'])} to {_percent(found['high'])})" if share and found["low"] is not None else ""
    blind = outcome.blind
    control = f"; blind control {_percent(_metric(blind, metric)['value'])}" if blind is not None else ""
    size = record.manifest["model"].get("parameters")
    weights = f" {size:,} parameters." if size else ""
    return f"{metric} {_show(found)}{spread}, n = {found['n']:,}{control}. {about([record])}{weights}"


# What it measured


def _read(
    claim: Claim, reading: Reading | None, ledger: Ledger, records: Sequence[Record]
) -> tuple[dict[str, Any], Decision, list[str]]:
    """Measure what one reading claims and hold it against the claim."""
    assert claim.measure is not None
    relation = (reading.relation if reading else None) or claim.measure.relation
    claimed = _claimed(claim, reading, ledger)
    if relation == "level":
        return _level(claim, claimed, records[0], ledger)
    return _relation(claim, claimed, relation, records)


def _claimed(claim: Claim, reading: Reading | None, ledger: Ledger) -> Interval:
    value = reading if reading is not None and reading.digits is not None else claim
    own = ledger.allowed(value)
    if own is None:
        return Interval(None, None)
    if reading is not None and reading.reads is not None:
        low, high = ledger.extent(ledger.resolve(reading.reads))
        return Interval(low if own.low is not None else None, high if own.high is not None else None)
    return own


def _level(
    claim: Claim, claimed: Interval, record: Record, ledger: Ledger
) -> tuple[dict[str, Any], Decision, list[str]]:
    """One system's own figure: its interval against the band of the claim, widened by the protocol's margin."""
    assert claim.measure is not None
    found = _metric(record, claim.measure.metric)
    factor = float(ledger.units[found["unit"]].factor) if found["unit"] in {"seconds", "bytes"} else 1.0
    low, high = (None if found[end] is None else found[end] * factor for end in ("low", "high"))
    share = found["unit"] == "fraction"
    margin = (float(claim.measure.margin) / 100 if claim.measure.margin else MARGIN) if share else 0.0
    ends = [None if end is None else float(end) for end in (claimed.low, claimed.high)]
    decision = _held(found["value"] * factor, low, high, ends, margin)
    row = _row(claim, "level", found["value"] * factor, low, high, found["n"], ends, decision)
    lines = [f"claimed {_band(ends, share)}" + (f", and {margin * 100:g} points for the protocol" if margin else "")]
    if decision == "inconclusive" and low is not None and high is not None:
        least = detectable((high - low) / (2 * _HALF))
        row["detectable"] = least
        lines.append(f"so many items find a difference of {_amount(least, share)} significant four times in five")
    return row, decision, lines


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
    claim: Claim, claimed: Interval, relation: str, records: Sequence[Record]
) -> tuple[dict[str, Any], Decision, list[str]]:
    """Two systems on the same samples: difference, ratio, saved errors, or who is the better."""
    assert claim.measure is not None
    metric = claim.measure.metric
    estimate, null, p = _estimate(metric, relation, records)
    ends = [None if end is None else float(end) for end in (claimed.low, claimed.high)]
    if estimate is None:
        row = _row(claim, relation, None, None, None, 0, ends, "inconclusive")
        return (
            row,
            "inconclusive",
            [f"no {relation}: the runs share no samples' figures, or the baseline's may be zero"],
        )
    interval = estimate.interval()
    low, high = interval or (None, None)
    decision = _decide(claim, relation, estimate, ends, null)
    share = relation in {"difference", "error-reduction", "retention", "order"}
    row = _row(claim, relation, estimate.value, low, high, estimate.n, ends, decision)
    row |= {"p": p, "detectable": estimate.detectable}
    row["direction"] = None if relation == "retention" else _direction(estimate, null, ends, p)
    spread = f" ({_amount(low, share)} to {_amount(high, share)})" if low is not None else ""
    said = f"{relation} {_amount(estimate.value, share)}{spread} on {estimate.n:,} shared samples"
    lines = [f"{said}; claimed {_band(ends, share)}"]
    if decision == "inconclusive" or row["direction"] == "undecided":
        lines.append(f"a true one of {_amount(estimate.detectable, share)} would be found four times in five")
    return row, decision, lines


def _estimate(metric: str, relation: str, records: Sequence[Record]) -> tuple[Estimate | None, float, float | None]:
    """Estimate a relation over the samples that both runs have a figure of; the value that means no difference; p."""
    ours, theirs = ({row["id"]: row for row in record.samples()} for record in records)
    both = [id for id in ours if id in theirs]
    ids = [id for id in both if metric in ours[id]["values"] and metric in theirs[id]["values"]]
    if not ids:
        return None, 0.0, None
    a_N, b_N, together = figures(ours, ids, metric), figures(theirs, ids, metric), clusters(ours, ids)
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
    return found, null, paired.mcnemar(a_N, b_N) if binary and null == 0.0 else found.p(null)


def _decide(claim: Claim, relation: str, estimate: Estimate, ends: Sequence[float | None], null: float) -> Decision:
    """Hold an estimate against what is claimed: a band, a one-sided bound, or about the same."""
    low, high = ends
    if claim.bound == "about":
        margin = (low if low is not None else LIKE[0], high if high is not None else LIKE[1])
        return equivalent(estimate.interval(EQUIVALENCE_LEVEL), margin)
    if relation == "order" or (low is None and high is None):
        return against_bound(estimate.lower(), estimate.upper(), null, least=True)
    if high is None and low is not None:
        return against_bound(estimate.lower(), estimate.upper(), low, least=True)
    if low is None and high is not None:
        return against_bound(estimate.lower(), estimate.upper(), high, least=False)
    assert low is not None
    assert high is not None
    return against_band(estimate.interval(), (low, high))


def _direction(estimate: Estimate, null: float, ends: Sequence[float | None], p: float | None) -> str:
    """Whether a difference goes the way that is claimed, at the scale that was run."""
    if p is None or p >= 0.05:
        return "undecided"
    known = [end for end in ends if end is not None]
    upwards = not known or sum(known) / len(known) >= null
    return "holds" if (estimate.value > null) == upwards else "fails"


def _unseeing(outcome: Outcome, metric: str) -> list[str]:
    """Say so where the same questions without pictures go as well as with them."""
    if outcome.record is None or outcome.blind is None:
        return []
    estimate, _, p = _estimate(metric, "difference", (outcome.record, outcome.blind))
    if estimate is None or p is None or (p < 0.05 and estimate.value > 0):
        return []
    name = outcome.record.manifest["model"]["name"]
    return [f"{name} answers as well without the pictures (difference {estimate.value * 100:.2f} points, p = {_p(p)})"]


def _metric(record: Record, name: str) -> dict[str, Any]:
    """A metric of a finished run; one that it lacks has no value."""
    found = (record.result or {}).get("metrics", {}).get(name)
    return dict(found) if found else {"value": float("nan"), "low": None, "high": None, "n": 0, "unit": "fraction"}


def _row(
    claim: Claim, relation: str, value: float | None, low: float | None, high: float | None, n: int,
    ends: Sequence[float | None], decision: Decision,
) -> dict[str, Any]:  # fmt: skip
    assert claim.measure is not None
    return {
        "task": claim.measure.task, "metric": claim.measure.metric, "relation": relation, "value": value, "low": low,
        "high": high, "n": n, "claimed_low": ends[0], "claimed_high": ends[1], "decision": decision,
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


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"
