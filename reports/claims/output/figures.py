"""Draw a claimed interval against the measured one, and find the systems on the Pareto front.

A drawing is inline SVG without scripts or styles, coloured by the style sheet, as in `evals.reports.rendering.svg`.
Every number in a drawing is also in the text beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.records.folder import Record
from evals.records.types import MetricEntry
from evals.reports.claims.evidence.chance import chance_level
from evals.reports.claims.evidence.measured_rows import MeasuredRow
from evals.reports.rendering.formatting import amount
from evals.reports.rendering.table_formats import Table
from evals.reports.runs.naming import blind, model

EFFICIENCY = "efficiency"
"""The task that times systems; it measures no quality."""
_MARGIN = 0.15
"""Free space beside the outermost mark, as a share of the range."""


# A claimed interval and the measured one


@dataclass(frozen=True, slots=True)
class BandFigure:
    """A drawing of a claimed interval against a measured one, with its text."""

    drawing: Markup
    claimed: str
    measured: str
    relation: str


def band(row: MeasuredRow) -> BandFigure | None:
    """Draw a measured row; None if it has no value.

    An open end of the claimed interval is drawn to the edge of the figure.
    """
    if row.value is None:
        return None
    ends = (row.value, row.low, row.high, row.claimed_low, row.claimed_high)
    marks = [mark for mark in ends if mark is not None]
    least, most = min(marks), max(marks)
    room = (most - least or abs(most) or 1.0) * _MARGIN
    axis = _Axis(least - room, most + room)
    parts = []
    if row.claimed_low is not None or row.claimed_high is not None:
        left = axis.at(axis.low if row.claimed_low is None else row.claimed_low)
        right = axis.at(axis.high if row.claimed_high is None else row.claimed_high)
        rectangle = Markup('<rect class="claimed" x="{:.2f}%" width="{:.2f}%" y="2" height="26"/>')
        parts.append(rectangle.format(left, max(right - left, 0.6)))
    if row.low is not None and row.high is not None:
        low, high = axis.at(row.low), axis.at(row.high)
        parts.append(Markup('<line class="reach" x1="{:.2f}%" x2="{:.2f}%" y1="15" y2="15"/>').format(low, high))
        whisker = Markup('<line class="reach" x1="{0:.2f}%" x2="{0:.2f}%" y1="10" y2="20"/>')
        parts += [whisker.format(x) for x in (low, high)]
    parts.append(Markup('<circle class="dot" cx="{:.2f}%" cy="15" r="4"/>').format(axis.at(row.value)))
    drawing = Markup('<svg class="band" aria-hidden="true" width="100%" height="30">{}</svg>')
    relation = f"{row.task} {row.metric}" + ("" if row.relation == "level" else f", {row.relation}")
    return BandFigure(drawing.format(Markup("").join(parts)), _claimed_text(row), _measured_text(row), relation)


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    def at(self, value: float) -> float:
        """The position of a value, in percent of the width."""
        return 100 * (value - self.low) / (self.high - self.low)


def _claimed_text(row: MeasuredRow) -> str:
    low, high = row.claimed_low, row.claimed_high
    if low is None and high is None:
        return "no number"
    if low is None or high is None:
        return f"{'at most' if low is None else 'at least'} {amount(low if high is None else high, row.unit)}"
    return f"{amount(low, row.unit)} to {amount(high, row.unit)}"


def _measured_text(row: MeasuredRow) -> str:
    spread = f" ({amount(row.low, row.unit)} to {amount(row.high, row.unit)})" if row.low is not None else ""
    return f"{amount(row.value, row.unit)}{spread}, n = {row.n:,}"


# The Pareto front


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRow:
    """The quality and the costs of a system on a task, as printed."""

    system: str
    task: str
    quality: str
    latency: str
    memory: str
    size: str
    disk: str
    front: bool
    """Whether no other system on the task is at least as good in everything and better in something; never for a
    system at the level of guessing."""


@dataclass(frozen=True, slots=True)
class _Costs:
    """The costs of a system; None if unknown."""

    seconds: float | None
    memory: float | None
    parameters: float | None
    disk: float | None

    @property
    def scores(self) -> tuple[float, ...]:
        """Negated costs, so that more is better; an unknown cost counts as 0."""
        return tuple(-(cost or 0.0) for cost in (self.seconds, self.memory, self.parameters, self.disk))


def matrix(runs: Sequence[Record]) -> list[SystemRow]:
    """Compare the systems that ran, task by task, by quality, latency, memory and size; the best quality first.

    Latency, memory and size on disk are those that the task `efficiency` measured, if it timed all systems of a task;
    otherwise latency is that of the run itself.
    """
    timings = {model(run): run for run in runs if run.result is not None and _task(run) == EFFICIENCY}
    runs_by_task: dict[str, list[Record]] = defaultdict(list)
    for run in runs:
        if run.result is not None and not blind(run) and _task(run) != EFFICIENCY and _costs_of_run(run):
            runs_by_task[_task(run)].append(run)
    rows = []
    for task, compared in sorted(runs_by_task.items()):
        all_timed = all(model(run) in timings for run in compared)
        costs_of = [(run, _measured_costs(timings[model(run)], run) if all_timed else _costs_of_run(run))
                    for run in compared]  # fmt: skip
        candidates = [(run, costs, (_headline(run).value, *costs.scores)) for run, costs in costs_of if costs]
        for run, costs, scores in sorted(candidates, key=lambda candidate: -candidate[2][0]):
            quality = _headline(run)
            rows.append(
                SystemRow(
                    system=model(run),
                    task=task,
                    quality=amount(quality.value, quality.unit),
                    latency=amount(costs.seconds, "seconds"),
                    memory=amount(costs.memory, "bytes"),
                    size=amount(costs.parameters, "count"),
                    disk=amount(costs.disk, "bytes"),
                    front=chance_level(run, run.finished().headline) is None
                    and not any(_dominates(other, scores) for _, _, other in candidates),
                )
            )
    return rows


def systems(runs: Sequence[Record]) -> Table:
    """Return `matrix` as a table."""
    columns = ("task", "system", "front", "quality", "latency", "memory", "parameters", "on disk")
    rows = tuple(
        (row.task, row.system, "yes" if row.front else "no", row.quality, row.latency, row.memory, row.size, row.disk)
        for row in matrix(runs)
    )
    return Table("What was run", columns, "lllrrrrr", rows)


def _costs_of_run(run: Record) -> _Costs | None:
    """Seconds per sample, peak memory and parameters of a run; None for recorded outputs.

    On a CPU the peak memory is that of the process, which the runs of a check share, so it is left out.
    """
    efficiency = run.result.efficiency if run.result is not None else {}
    rate, size = efficiency.get("samples_per_second"), run.manifest.model.get("parameters")
    on_gpu = str(run.manifest.model.get("device", "")).startswith("cuda")
    memory = efficiency.get("peak_memory_bytes") if on_gpu else None
    return _Costs(1 / rate, memory, size, None) if rate and size else None


def _measured_costs(timing: Record, run: Record) -> _Costs:
    """The costs of a system as the task `efficiency` measured them."""
    metrics = timing.finished().metrics
    seconds, memory, disk = (
        metrics[name].value if name in metrics else None for name in ("latency", "peak-memory", "size-on-disk")
    )
    return _Costs(seconds, memory, run.manifest.model.get("parameters"), disk)


def _dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether the first is at least as good in everything and better in something."""
    return all(a >= b for a, b in zip(first, second, strict=True)) and first != second


def _task(run: Record) -> str:
    name: str = run.manifest.task.name
    return name


def _headline(run: Record) -> MetricEntry:
    result = run.finished()
    return result.metrics[result.headline]
