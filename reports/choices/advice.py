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
from evals.reports.choices.measurements import ModelCandidate, candidates
from evals.reports.choices.requirements import COSTS, MEMORY, measured, printed
from evals.reports.claims.evidence.chance import chance_level
from evals.reports.rendering.formatting import p_value
from evals.reports.rendering.table_formats import Table
from evals.schema import Json

AdviceVerdict = Literal["holds", "does not hold", "tie", "cannot be tested here"]
_UNTESTED: AdviceVerdict = "cannot be tested here"
_OUTCOMES: Mapping[str, AdviceVerdict] = {"win": "holds", "loss": "does not hold", "tie": "tie"}
_MATCHES = {"proxy": "replica: direction only", "none": ""}
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
    """Return the table "where does the advice hold", one row per piece of advice."""
    rows = tuple(
        (
            entry.advice.name, entry.verdict, entry.advice.says, "; ".join(entry.working),
            _MATCHES.get(entry.subject_match, entry.subject_match.replace("_", " ")),
        )
        for entry in held
    )  # fmt: skip
    return Table(
        "Where does the advice hold?", ("claim", "verdict", "advice", "working", "what was run"), "lllll", rows
    )


def hold(
    guide: Guide, records: Sequence[Record], unable: Unable, hourly: Money | None = None
) -> tuple[HeldAdvice, ...]:
    """Hold every row of a guide against runs.

    Args:
        guide: the guide.
        records: finished runs and timings; runs of other models and tasks are not used.
        unable: by model and task, why the model cannot do the task.
        hourly: the price of the device for an hour, for advice that counts prices.
    """
    return tuple(_hold(guide, row, records, unable, hourly) for row in guide.advice)


def _hold(guide: Guide, row: Advice, records: Sequence[Record], unable: Unable, hourly: Money | None) -> HeldAdvice:
    if row.untestable is not None:
        return _untested(guide, row, row.untestable)
    advised, others = guide.model(row.choose), guide.alternatives(row)
    for task in row.tasks:
        if (advised, task) in unable:
            return HeldAdvice(guide.guide.id, row, "does not hold", (f"{advised}: {unable[advised, task]}",), "none")
    by_name = _measured(records, row, [advised, *others], hourly)
    if advised not in by_name:
        return _untested(guide, row, f"not measured: {advised} has no comparable run of {', '.join(row.tasks)}")
    match = "proxy" if any(candidate.replica for candidate in by_name.values()) else "same_name_different_spec"
    if row.memory is not None:
        return _in_memory(guide, row, by_name[advised], match)
    return _against(guide, row, by_name, unable, match)


def _measured(
    records: Sequence[Record], row: Advice, names: Sequence[str], hourly: Money | None
) -> dict[str, ModelCandidate]:
    """Return the candidates of some models that have every task of a row, by name."""
    relevant = [
        record
        for record in records
        if record.manifest.model_name in names and (record.timed or record.manifest.task.name in row.tasks)
    ]
    measured_ones = candidates(comparable.sort(relevant, row.tasks), hourly, {})
    return {entry.model: entry for entry in measured_ones if len(entry.quality) == len(row.tasks)}


def _in_memory(guide: Guide, row: Advice, advised: ModelCandidate, match: str) -> HeldAdvice:
    """Hold a limit of memory against the measured peak: a replica is no evidence of the size of a described system."""
    assert row.memory is not None
    if match == "proxy":
        return _untested(
            guide, row, f"{advised.name} is a replica, whose memory says nothing of the described system's"
        )
    if advised.memory is None:
        return _untested(guide, row, f"not measured: {advised.missing[MEMORY]}")
    keeps = advised.memory.value <= row.memory.bytes
    verdict: AdviceVerdict = "holds" if keeps == (row.memory.at_most is not None) else "does not hold"
    side = "within" if keeps else "above"
    working = f"peak memory {measured(advised.memory)} is {side} {printed(row.memory.bytes, 'bytes')}"
    return HeldAdvice(guide.guide.id, row, verdict, (working,), match)


def _against(
    guide: Guide, row: Advice, by_name: Mapping[str, ModelCandidate], unable: Unable, match: str
) -> HeldAdvice:
    advised, others = by_name[guide.model(row.choose)], guide.alternatives(row)
    outcomes, working, unmeasured = [], [], []
    rivals = [by_name[name] for name in others if name in by_name]
    differences = in_quality(advised, rivals, row.tasks) if "quality" in row.prefer else {}
    for name in others:
        reason = next((unable[name, task] for task in row.tasks if (name, task) in unable), None)
        if reason is not None:
            outcomes.append("win")
            working.append(f"{name} cannot do it: {reason}")
        elif name not in by_name:
            unmeasured.append(name)
        else:
            outcome, lines = _duel(row, advised, by_name[name], differences.get(name, []))
            outcomes.append(outcome)
            working += lines
    if unmeasured:
        working.append(f"not measured: {', '.join(unmeasured)}")
    if not outcomes or "untested" in outcomes or (unmeasured and "loss" not in outcomes):
        return HeldAdvice(guide.guide.id, row, _UNTESTED, tuple(working), "none")
    worst = "loss" if "loss" in outcomes else "tie" if "tie" in outcomes else "win"
    return HeldAdvice(guide.guide.id, row, _OUTCOMES[worst], tuple(working), match)


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
        lines.append(f"{other.name}: {_ratio_text(cost, ratio, advised.name)}")
    if "untested" in shown:  # it may be better or worse in that
        return "untested", lines
    loses, wins = "better" in shown, "worse" in shown
    if loses and wins:
        lines.append(f"{advised.name} and {other.name} are both better in something")
    return "tie" if loses == wins else "loss" if loses else "win", lines


def _quality_line(advised: ModelCandidate, other: ModelCandidate, difference: QualityDifference) -> str:
    values = [f"{entry.name} {measured(entry.quality[difference.task])}" for entry in (advised, other)]
    p = "not tested" if difference.adjusted is None else p_value(difference.adjusted)
    return f"{difference.task} {difference.metric}: {' and '.join(values)}, {p}"


def _weights_ratio(advised: ModelCandidate, other: ModelCandidate) -> CostRatio | None:
    """Compare the bytes of the weights: the peak of a process on a CPU is mostly that of Python."""
    if not advised.weights or not other.weights:
        return None
    ratio = other.weights / advised.weights
    return CostRatio("weights", ratio, ratio, ratio)


def _ratio_text(cost: str, ratio: CostRatio | None, reference: str) -> str:
    if ratio is None:
        return f"{cost} not measured in turn"
    spread = f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.low != ratio.high and ratio.low and ratio.high else ""
    name = "weights" if cost == MEMORY else cost
    return f"{name} {ratio.value:.2f} times that of {reference}{spread}"


def _untested(guide: Guide, row: Advice, why: str) -> HeldAdvice:
    return HeldAdvice(guide.guide.id, row, _UNTESTED, (why,), "none")


def testable(guide: Guide, records: Sequence[Record]) -> bool:
    """Whether the runs are of at least two systems of a guide, so that its advice is worth holding against them."""
    models = set(guide.models)
    names = {record.manifest.model_name for record in records if not record.timed}
    return len(models & names) > 1


def check_hourly(guide: Guide, hourly: Money | None) -> None:
    """Raise `InputError` if a row counts prices, and there are none."""
    if hourly is None and any("price" in row.prefer for row in guide.advice):
        raise InputError(f"guide {guide.guide.id} counts prices: give --hourly")
