"""Figures of the claims' page: a claimed band against what was measured, and who is on the front.

Drawn as text, as `evals.reports.rendering.svg` does: inline SVG without scripts or styles of its own, colours from the
style sheet. Every number of a figure is also in the text beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.records.folder import Record
from evals.reports.claims.evidence.measured_rows import MeasuredRow
from evals.reports.rendering.formatting import amount
from evals.reports.rendering.table_formats import Table
from evals.reports.runs.naming import blind, model
from evals.schema import Json

EFFICIENCY = "efficiency"
"""The task that times systems; it asks for no quality."""
_MARGIN = 0.15
"""Free space beside the outermost mark, as a share of the range."""


# A claimed band and what was measured


@dataclass(frozen=True, slots=True)
class BandFigure:
    """A claimed value with its rounding against a measured interval."""

    drawing: Markup
    claimed: str
    measured: str
    relation: str


def band(row: MeasuredRow) -> BandFigure | None:
    """Draw one measured row of a claim; None where nothing was measured.

    A claim that has one end only is drawn to the edge of the figure on its open side.
    """
    value, low, high, start, end = row.value, row.low, row.high, row.claimed_low, row.claimed_high
    if value is None:
        return None
    marks = [mark for mark in (value, low, high, start, end) if mark is not None]
    least, most = min(marks), max(marks)
    room = (most - least or abs(most) or 1.0) * _MARGIN
    scale = _Axis(least - room, most + room)
    parts = []
    if start is not None or end is not None:
        left, right = scale.at(scale.low if start is None else start), scale.at(scale.high if end is None else end)
        width = max(right - left, 0.6)
        parts.append(
            Markup('<rect class="claimed" x="{:.2f}%" width="{:.2f}%" y="2" height="26"/>').format(left, width)
        )
    if low is not None and high is not None:
        ends = scale.at(low), scale.at(high)
        parts.append(Markup('<line class="reach" x1="{:.2f}%" x2="{:.2f}%" y1="15" y2="15"/>').format(*ends))
        parts += [Markup('<line class="reach" x1="{0:.2f}%" x2="{0:.2f}%" y1="10" y2="20"/>').format(x) for x in ends]
    parts.append(Markup('<circle class="dot" cx="{:.2f}%" cy="15" r="4"/>').format(scale.at(value)))
    drawing = Markup('<svg class="band" aria-hidden="true" width="100%" height="30">{}</svg>')
    return BandFigure(drawing.format(Markup("").join(parts)), _span(start, end, row), _measured(row), _relation(row))


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of a value, in percent of the width."""
        return 100 * (value - self.low) / (self.high - self.low)


def _relation(row: MeasuredRow) -> str:
    return f"{row.task} {row.metric}" + ("" if row.relation == "level" else f", {row.relation}")


def _span(low: float | None, high: float | None, row: MeasuredRow) -> str:
    if low is None and high is None:
        return "no number"
    if low is None or high is None:
        return f"{'at most' if low is None else 'at least'} {_value(low if high is None else high, row)}"
    return f"{_value(low, row)} to {_value(high, row)}"


def _measured(row: MeasuredRow) -> str:
    spread = f" ({_value(row.low, row)} to {_value(row.high, row)})" if row.low is not None else ""
    return f"{_value(row.value, row)}{spread}, n = {row.n:,}"


def _value(value: float | None, row: MeasuredRow) -> str:
    return amount(value, row.unit)


# Who is on the front


@dataclass(frozen=True, slots=True)
class SystemRow:
    """A system on a task: how good, how quick, how big."""

    system: str
    task: str
    quality: str
    latency: str
    memory: str
    size: str
    disk: str
    front: bool
    """No other system on the task is as good in everything and better in something."""


@dataclass(frozen=True, slots=True)
class _Costs:
    """What a system takes; None where it is not known."""

    seconds: float | None
    memory: float | None
    parameters: float | None
    disk: float | None

    def __iter__(self) -> Iterator[float]:
        """The less, the better; what is not known is nobody's lead."""
        return (-(cost or 0.0) for cost in (self.seconds, self.memory, self.parameters, self.disk))


def matrix(runs: Sequence[Record]) -> list[SystemRow]:
    """Compare the systems that ran, task by task, by quality, latency, memory and size.

    Latency, memory and size on disk are what task `efficiency` measured, where it measured all systems of a task; else
    latency is of the run itself.
    """
    alone = {model(run): run for run in runs if run.result is not None and _task(run) == EFFICIENCY}
    groups: dict[str, list[Record]] = defaultdict(list)
    for run in runs:
        if run.result is not None and not blind(run) and _task(run) != EFFICIENCY and _of_run(run):
            groups[_task(run)].append(run)
    found = []
    for task, own in sorted(groups.items()):
        timed = all(model(run) in alone for run in own)
        rows = [(run, _of_task(alone[model(run)], run) if timed else _of_run(run)) for run in own]
        for run, costs in sorted(rows, key=lambda row: -_headline(row[0])["value"]):
            assert costs is not None
            front = not any(_beats((_headline(other)["value"], *theirs), (_headline(run)["value"], *costs))
                            for other, theirs in rows if theirs is not None)  # fmt: skip
            quality = amount(_headline(run)["value"], _headline(run)["unit"])
            found.append(
                SystemRow(
                    model(run), task, quality, amount(costs.seconds, "seconds"), amount(costs.memory, "bytes"),
                    amount(costs.parameters, "count"), amount(costs.disk, "bytes"), front,
                )
            )  # fmt: skip
    return found


def variants(runs: Sequence[Record]) -> Table:
    """The matrix as a table of text."""
    columns = ("task", "system", "front", "quality", "latency", "memory", "parameters", "on disk")
    rows = tuple(
        (each.task, each.system, "yes" if each.front else "no", each.quality, each.latency, each.memory, each.size,
         each.disk)
        for each in matrix(runs)
    )  # fmt: skip
    return Table("What was run", columns, "lllrrrrr", rows)


def _of_run(run: Record) -> _Costs | None:
    """Seconds a sample, peak bytes and parameters of a run; None for outputs that were only read.

    On a CPU the peak is of the process, which a check shares among its runs: it is not the run's own, and left out.
    """
    efficiency = (run.result or {}).get("efficiency") or {}
    rate, size = efficiency.get("samples_per_second"), run.manifest["model"].get("parameters")
    own = str(run.manifest["model"].get("device", "")).startswith("cuda")
    return _Costs(1 / rate, efficiency.get("peak_memory_bytes") if own else None, size, None) if rate and size else None


def _of_task(timed: Record, run: Record) -> _Costs:
    """The same as task `efficiency` measured it."""
    metrics = timed.finished()["metrics"]
    seconds, memory, disk = (
        (metrics.get(name) or {}).get("value") for name in ("latency", "peak-memory", "size-on-disk")
    )
    return _Costs(seconds, memory, run.manifest["model"].get("parameters"), disk)


def _beats(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether one is at least as good in everything and better in something."""
    return all(a >= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _task(run: Record) -> str:
    name: str = run.manifest["task"]["name"]
    return name


def _headline(run: Record) -> dict[str, Json]:
    result = run.finished()
    found: dict[str, Json] = result["metrics"][result["headline"]]
    return found
