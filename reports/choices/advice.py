"""Hold the advice of a guide against measured runs: it holds, does not hold, ties, or cannot be tested here.

The advised system is compared with every alternative in everything that counts for the advice. It wins where it is
shown better in something and worse in nothing. The advice holds if it wins against all alternatives, and does not hold
if it loses to one. Everything else is a tie: no difference is shown, or both are better in something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evals.errors import InputError
from evals.records.folder import Record
from evals.reports.choices import comparable
from evals.reports.choices.amounts import Money
from evals.reports.choices.differences import CostRatio, QualityDifference, in_costs, in_quality
from evals.reports.choices.guides import Advice, Guide
from evals.reports.choices.measurements import ModelCandidate, candidates, why_no_run
from evals.reports.choices.requirements import COSTS, MEMORY, PRICE, measured, printed
from evals.reports.claims.evidence.chance import chance_level
from evals.reports.rendering.formatting import p_value
from evals.reports.rendering.table_formats import Table
from evals.schema import Json

AdviceVerdict = Literal["holds", "does not hold", "tie", "cannot be tested here"]
_UNTESTED: AdviceVerdict = "cannot be tested here"
_OUTCOMES: Mapping[str, AdviceVerdict] = {
    "win": "holds", "loss": "does not hold", "tie": "tie", "untested": _UNTESTED,
}  # fmt: skip
_MATCHES = {
    "proxy": "replica: direction only", "none": "",
    "same_name_different_spec": "a model of this name, which may differ from the described one",
}  # fmt: skip
Unable = Mapping[tuple[str, str], str]
"""By model and task, why the model cannot do the task."""


@dataclass(frozen=True)
class HeldAdvice:
    """A row of a guide, and what the runs show about it."""

    guide: str
    advice: Advice
    verdict: AdviceVerdict
    working: tuple[str, ...]
    subject_match: str
    """How the systems that were run relate to the described ones: `proxy`, `same_name_different_spec`, or `none`."""

    @property
    def is_tested(self) -> bool:
        """Whether the runs say something about it."""
        return self.verdict != _UNTESTED

    def to_json(self) -> dict[str, Json]:
        """Return the row as `select.json` has it."""
        row = self.advice
        return {
            "guide": self.guide, "id": row.id, "part": row.part or None, "quote": row.quote, "says": row.says,
            "choose": row.choose, "tasks": list(row.tasks), "prefer": list(row.prefer), "verdict": self.verdict,
            "working": list(self.working), "subject_match": self.subject_match,
        }  # fmt: skip


def advice_table(held: Sequence[HeldAdvice]) -> Table:
    """Return the table "where does the advice hold", one row per piece of advice; its lines of working are lines."""
    rows = tuple(
        (
            entry.advice.name, entry.verdict, entry.advice.says, "\n".join(entry.working),
            _MATCHES[entry.subject_match],
            f"“{entry.advice.quote}”" + (f", line {entry.advice.line}" if entry.advice.line is not None else ""),
        )
        for entry in held
    )  # fmt: skip
    return Table(
        "Where does the advice hold?",
        ("claim", "verdict", "advice", "working", "what was run", "in the document"),
        "llllll",
        rows,
    )


def advice_notes(held: Sequence[HeldAdvice]) -> list[str]:
    """Say how the verdicts are to be read, as far as there are any."""
    if not any(entry.is_tested for entry in held):
        return []
    return [
        "Advice holds if the advised system is shown better than every alternative in something that counts, and worse "
        "in nothing. It does not hold if an alternative is, or if the advised system cannot do the task.",
        "The p-values of a piece of advice are corrected by Holm's method; below 0.05 a difference is shown. A ratio "
        "shows one if its interval does not contain 1; weights are calculated, so they need no interval.",
    ]


def hold(
    guide: Guide, records: Sequence[Record], unable: Unable, hourly: Money | None = None
) -> tuple[HeldAdvice, ...]:
    """Hold every row of a guide against runs.

    Args:
        guide: the guide.
        records: finished runs and timings, in any order; runs of other models and tasks are not used.
        unable: by model and task, why a replica cannot do the task. It counts only where no public model was run.
        hourly: the price of the device for an hour, for advice that counts prices.
    """
    return tuple(_hold(guide, row, records, unable, hourly) for row in guide.advice)


@dataclass(frozen=True)
class _MeasuredSystems:
    """What was measured of the systems of a row."""

    by_model: Mapping[str, Sequence[ModelCandidate]]
    """The candidates that have a run of every task, by the name of their model: more than one if their weights, number
    formats or settings differ."""
    lacking: Mapping[str, str]
    """By model without a candidate: which tasks it was not measured on, and why."""
    unable: Mapping[str, str]
    """By model without a candidate: why it cannot do a task."""

    @property
    def match(self) -> str:
        """How the systems that were run relate to the described ones."""
        entries = [entry for entries in self.by_model.values() for entry in entries]
        return "proxy" if self.unable or any(entry.replica for entry in entries) else "same_name_different_spec"


def _hold(guide: Guide, row: Advice, records: Sequence[Record], unable: Unable, hourly: Money | None) -> HeldAdvice:
    if row.untestable is not None:
        return _untested(guide, row, row.untestable)
    advised, others = guide.model(row.choose), guide.alternatives(row)
    systems = _measured(records, row, [advised, *others], unable, hourly)
    if advised in systems.unable:
        why = f"{advised} cannot do it: {systems.unable[advised]}"
        return HeldAdvice(guide.guide.id, row, "does not hold", (why,), systems.match)
    if advised not in systems.by_model:
        return _untested(guide, row, f"{advised} was not measured on {systems.lacking[advised]}")
    by_candidate: dict[str, AdviceVerdict] = {}
    working: list[str] = []
    for entry in systems.by_model[advised]:
        verdict, lines = _in_memory(row, entry) if row.memory is not None else _against(row, entry, systems, others)
        by_candidate[entry.name] = verdict
        working += lines
    verdicts = set(by_candidate.values())
    if len(verdicts) > 1:
        listed = "; ".join(f"{name}: {verdict}" for name, verdict in by_candidate.items())
        working.append(
            f"{advised} is {len(by_candidate)} candidates, and the verdict depends on which counts: {listed}"
        )
    verdict = verdicts.pop() if len(verdicts) == 1 else _UNTESTED
    match = "none" if verdict == _UNTESTED else systems.match
    return HeldAdvice(guide.guide.id, row, verdict, tuple(dict.fromkeys(working)), match)


def _measured(
    records: Sequence[Record], row: Advice, names: Sequence[str], unable: Unable, hourly: Money | None
) -> _MeasuredSystems:
    """Return the candidates of some models that have every task of a row, and what the other models lack."""
    relevant = [
        record
        for record in records
        if record.manifest.model_name in names and (record.timed or record.manifest.task.name in row.tasks)
    ]
    runs = comparable.sort(relevant, row.tasks)
    entries = candidates(runs, hourly, {})
    by_model: dict[str, list[ModelCandidate]] = {}
    for entry in entries:
        if len(entry.quality) == len(row.tasks):
            by_model.setdefault(entry.model, []).append(entry)
    lacking = {}
    for name in names:
        if name not in by_model:
            partial = next((entry.missing for entry in entries if entry.model == name), None)
            missing = partial or {
                task: why_no_run(comparable.Identity(name, "", ""), task, runs, {}) for task in row.tasks
            }
            lacking[name] = "; ".join(f"{task} ({missing[task]})" for task in row.tasks if task in missing)
    public = any(not entry.replica for entry in entries)  # then what a replica cannot do says nothing
    reasons = {(name, task): unable[name, task] for name in lacking for task in row.tasks if (name, task) in unable}
    cannot = {} if public else {name: why for (name, _), why in reversed(reasons.items())}
    return _MeasuredSystems(by_model, lacking, cannot)


def _in_memory(row: Advice, advised: ModelCandidate) -> tuple[AdviceVerdict, list[str]]:
    """Hold a limit of memory against the measured peak: a replica is no evidence of the size of a described system."""
    assert row.memory is not None
    if advised.replica:
        return _UNTESTED, [f"{advised.name} is a replica, whose memory says nothing of the described system's"]
    if advised.memory is None:
        return _UNTESTED, [f"the memory of {advised.name} was not measured: {advised.missing[MEMORY]}"]
    keeps = advised.memory.value <= row.memory.bytes
    verdict: AdviceVerdict = "holds" if keeps == (row.memory.at_most is not None) else "does not hold"
    side = "within" if keeps else "above"
    limit = printed(row.memory.bytes, "bytes")
    return verdict, [f"peak memory of {advised.name}, {measured(advised.memory)}, is {side} {limit}"]


def _against(
    row: Advice, advised: ModelCandidate, systems: _MeasuredSystems, others: Sequence[str]
) -> tuple[AdviceVerdict, list[str]]:
    """Compare an advised candidate with every alternative."""
    outcomes, working = [], []
    rivals = [entry for name in others for entry in systems.by_model.get(name, ())]
    differences = in_quality(advised, rivals, row.tasks) if "quality" in row.prefer else {}
    for name in others:
        if name in systems.unable:
            outcome, lines = _unopposed(row, advised, f"{name} cannot do it: {systems.unable[name]}")
        elif name not in systems.by_model:
            outcome, lines = "untested", [f"{name} was not measured on {systems.lacking[name]}"]
        else:
            duels = {
                entry.name: _duel(row, advised, entry, differences.get(entry.name, []))
                for entry in systems.by_model[name]
            }
            outcome = next(iter(duels.values()))[0]
            lines = [line for _, of_duel in duels.values() for line in of_duel]
            if len({result for result, _ in duels.values()}) > 1:
                outcome = "untested"
                lines.append(f"which of {' and '.join(duels)} counts as {name} decides")
        outcomes.append(outcome)
        working += lines
    decisive = next((outcome for outcome in ("loss", "untested", "tie") if outcome in outcomes), "win")
    return _OUTCOMES[decisive], working


def _unopposed(row: Advice, advised: ModelCandidate, why: str) -> tuple[str, list[str]]:
    """Judge an advised candidate whose rival cannot do the task; where quality counts, guessing is no win."""
    lines, guesses = [why], []
    for task, value in advised.quality.items() if "quality" in row.prefer else ():
        metric = advised.runs[task].finished().headline
        guesses.append(chance_level(advised.runs[task], metric) is not None)
        lines.append(
            f"{task} {metric}: {advised.name} {measured(value)}" + (", at the level of guessing" if guesses[-1] else "")
        )
    return "tie" if guesses and all(guesses) else "win", lines


def _duel(
    row: Advice, advised: ModelCandidate, other: ModelCandidate, differences: Sequence[QualityDifference]
) -> tuple[str, list[str]]:
    """Compare the advised candidate with another; the differences and ratios are the other's, relative to it."""
    shown, lines = [], []
    for difference in differences:
        levels = [chance_level(entry.runs[difference.task], difference.metric) for entry in (advised, other)]
        guess = None not in levels
        shown.append("neither" if guess else difference.shown)
        lines.append(_quality_line(advised, other, difference) + (", both at the level of guessing" if guess else ""))
    ratios = {ratio.name: ratio for ratio in in_costs(advised, other)}
    for cost in (cost for cost in COSTS if cost in row.prefer):
        ratio = _weights_ratio(advised, other) if cost == MEMORY else ratios.get(cost)
        shown.append("untested" if ratio is None else ratio.shown)
        if ratio is None:
            lines.append(_no_ratio(cost, advised, other))
        else:
            lines.append(f"{other.name}: {_ratio_text(cost, ratio, advised.name)}")
    if "untested" in shown:  # it may be better or worse in that
        return "untested", lines
    loses, wins = "better" in shown, "worse" in shown
    if loses and wins:
        lines.append(f"{advised.name} and {other.name} are both better in something")
    return "tie" if loses == wins else "loss" if loses else "win", lines


def _quality_line(advised: ModelCandidate, other: ModelCandidate, difference: QualityDifference) -> str:
    values = [f"{entry.name} {measured(entry.quality[difference.task])}" for entry in (advised, other)]
    p = f"not tested ({difference.test})" if difference.adjusted is None else p_value(difference.adjusted)
    return f"{difference.task} {difference.metric}: {' and '.join(values)}, {p}"


def _weights_ratio(advised: ModelCandidate, other: ModelCandidate) -> CostRatio | None:
    """Compare the bytes of the weights: the peak of a process on a CPU is mostly that of Python."""
    if not advised.weights or not other.weights:
        return None
    ratio = other.weights / advised.weights
    return CostRatio("weights", ratio, ratio, ratio)


def _ratio_text(cost: str, ratio: CostRatio, reference: str) -> str:
    if ratio.low is None or ratio.high is None:
        spread = " (no interval, so no difference is shown)"
    else:
        spread = f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.low != ratio.high else ""
    return f"{_cost_name(cost)} {ratio.value:.2f} times that of {reference}{spread}"


def _no_ratio(cost: str, advised: ModelCandidate, other: ModelCandidate) -> str:
    """Say why the costs of two candidates have no ratio."""
    name, pair = _cost_name(cost), (advised, other)
    if cost == MEMORY:
        missing = [entry for entry in pair if not entry.weights]
    else:
        missing = [entry for entry in pair if entry.measured(cost) is None]
    if missing:
        return "; ".join(
            f"{name} of {entry.name} not measured: {entry.missing.get(cost, 'its timing does not state them')}"
            for entry in missing
        )
    a, b = (entry.measured(cost) for entry in pair)
    assert a is not None
    assert b is not None
    if a.unit != b.unit:
        return f"{name} in {a.unit} and in {b.unit}: currencies are not converted"
    if cost == PRICE and advised.price_of != other.price_of:
        kinds = " and ".join(f"that of {entry.name} is of {entry.price_of}" for entry in pair)
        return f"{name} not compared: {kinds}"
    if not a.value > 0:
        return f"{name} of {advised.name} is zero, so there is no ratio"
    return f"{name} not compared: {advised.name} and {other.name} were not timed in turn"


def _cost_name(cost: str) -> str:
    return "weights" if cost == MEMORY else cost


def _untested(guide: Guide, row: Advice, why: str) -> HeldAdvice:
    return HeldAdvice(guide.guide.id, row, _UNTESTED, (why,), "none")


def testable(guide: Guide, records: Sequence[Record]) -> bool:
    """Whether the runs are of at least two systems of a guide, so that its advice is worth holding against them."""
    models = set(guide.models)
    names = {record.manifest.model_name for record in records if not record.timed}
    return len(models & names) > 1


def check_hourly(guide: Guide, hourly: Money | None, records: Sequence[Record] = ()) -> None:
    """Raise `InputError` if a row counts prices, and neither the device nor a server has any."""
    served = any(record.manifest.model.get("family") == "endpoint" for record in records)
    if hourly is None and not served and any("price" in row.prefer for row in guide.advice):
        raise InputError(f"guide {guide.guide.id} counts prices: give --hourly")
