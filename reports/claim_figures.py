"""Figures of the claims' page: a claimed band against what was measured, a learning curve, and who is on the front.

Drawn as text, as `reports.figures` does: inline SVG without scripts or styles of its own, colours from the style sheet.
Every number of a figure is also in the text beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from evals.records import Record
from evals.schema import Json
from reports.wording import amount, blind, model

_MARGIN = 0.15
"""Free space beside the outermost mark, as a share of the range."""


# A claimed band and what was measured


@dataclass(frozen=True, slots=True)
class Band:
    """A claimed value with its rounding against a measured interval."""

    drawing: Markup
    claimed: str
    measured: str
    relation: str


def band(row: Mapping[str, Json]) -> Band | None:
    """Draw one measured row of a claim; None where nothing was measured.

    A claim that has one end only is drawn to the edge of the figure on its open side.
    """
    value, low, high = row["value"], row["low"], row["high"]
    start, end = row["claimed_low"], row["claimed_high"]
    if value is None:
        return None
    marks = [mark for mark in (value, low, high, start, end) if mark is not None]
    least, most = min(marks), max(marks)
    room = (most - least or abs(most) or 1.0) * _MARGIN
    scale = _Scale(least - room, most + room)
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
    return Band(drawing.format(Markup("").join(parts)), _span(start, end, row), _measured(row), _relation(row))


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of a value, in percent of the width."""
        return 100 * (value - self.low) / (self.high - self.low)


def _relation(row: Mapping[str, Json]) -> str:
    return f"{row['task']} {row['metric']}" + ("" if row["relation"] == "level" else f", {row['relation']}")


def _span(low: float | None, high: float | None, row: Mapping[str, Json]) -> str:
    if low is None and high is None:
        return "no number"
    if low is None or high is None:
        return f"{'at most' if low is None else 'at least'} {_value(low if high is None else high, row)}"
    return f"{_value(low, row)} to {_value(high, row)}"


def _measured(row: Mapping[str, Json]) -> str:
    spread = f" ({_value(row['low'], row)} to {_value(row['high'], row)})" if row["low"] is not None else ""
    return f"{_value(row['value'], row)}{spread}, n = {row['n']:,}"


def _value(value: float | None, row: Mapping[str, Json]) -> str:
    return amount(value, row["unit"])


# A learning curve


@dataclass(frozen=True, slots=True)
class Curve:
    """A system at several moments of its training, on one task."""

    title: str
    drawing: Markup
    points: tuple[tuple[str, str], ...]
    """Moment and figure, as the table beside the drawing has them."""


def curves(runs: Sequence[Record]) -> list[Curve]:
    """Draw the systems that ran at several moments, named `NAME@STEP`."""
    groups: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for run in runs:
        name, at, step = run.manifest["model"]["name"].rpartition("@")
        if at and step.isdigit() and not blind(run) and run.result is not None:
            groups[name, run.manifest["task"]["name"]][int(step)] = run
    return [_curve(name, task, dict(sorted(own.items()))) for (name, task), own in groups.items() if len(own) > 1]


def _curve(name: str, task: str, own: Mapping[int, Record]) -> Curve:
    last = max(own)
    marks, points = [], []
    for step, run in own.items():
        found = _headline(run)
        x, y = 100 * step / last, 100 * (1 - found["value"])
        marks.append((x, y, found))
        whiskers = found["low"] is not None
        spread = f" ({amount(found['low'], 'fraction')} to {amount(found['high'], 'fraction')})" if whiskers else ""
        points.append((f"{step:,}", f"{amount(found['value'], 'fraction')}{spread}"))
    parts = [
        Markup('<line class="dotted" x1="{:.2f}%" y1="{:.2f}%" x2="{:.2f}%" y2="{:.2f}%"/>').format(a, b, c, d)
        for (a, b, _), (c, d, _) in pairwise(marks)
    ]
    for x, y, found in marks:
        if found["low"] is not None:
            ends = 100 * (1 - found["low"]), 100 * (1 - found["high"])
            parts.append(
                Markup('<line class="reach" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1:.2f}%" y2="{2:.2f}%"/>').format(x, *ends)
            )
        parts.append(Markup('<circle class="dot" cx="{:.2f}%" cy="{:.2f}%" r="4"/>').format(x, y))
    title = f"{name} on {task}: {next(iter(own.values())).result['headline']} by interactions"  # type: ignore[index]
    drawing = Markup(
        '<svg class="curve" role="img" width="100%" height="180"><title>{}</title><desc>From 0 at the bottom to 100 % '
        "at the top; whiskers are 95 % intervals. The table beside it has the numbers.</desc>{}</svg>"
    ).format(title, Markup("").join(parts))
    return Curve(title, drawing, tuple(points))


# Who is on the front


@dataclass(frozen=True, slots=True)
class Variant:
    """A system on a task: how good, how quick, how big."""

    system: str
    task: str
    quality: str
    latency: str
    memory: str
    size: str
    front: bool
    """No other system on the task is as good in everything and better in something."""


def matrix(runs: Sequence[Record]) -> list[Variant]:
    """Compare the systems that ran, task by task, by quality, latency, memory and size."""
    whole = [run for run in runs if run.result is not None and not blind(run) and _costs(run)]
    found = []
    for run in sorted(whole, key=lambda run: (run.manifest["task"]["name"], -_headline(run)["value"])):
        rivals = [other for other in whole if other.manifest["task"]["name"] == run.manifest["task"]["name"]]
        seconds, memory, size = _costs(run) or (0.0, None, None)
        found.append(
            Variant(
                model(run), run.manifest["task"]["name"], amount(_headline(run)["value"], _headline(run)["unit"]),
                amount(seconds, "seconds"), amount(memory, "bytes"), amount(size, "count"),
                not any(_beats(other, run) for other in rivals),
            )
        )  # fmt: skip
    return found


def _costs(run: Record) -> tuple[float, float | None, float | None] | None:
    """Seconds a sample, peak bytes and parameters; None for outputs that were only read."""
    efficiency = (run.result or {}).get("efficiency") or {}
    rate, size = efficiency.get("samples_per_second"), run.manifest["model"].get("parameters")
    return (1 / rate, efficiency.get("peak_memory_bytes"), size) if rate and size else None


def _beats(one: Record, other: Record) -> bool:
    """Whether one is at least as good in everything and better in something."""
    ours, theirs = ((_headline(run)["value"], *(-(cost or 0.0) for cost in _costs(run) or ())) for run in (one, other))
    return all(a >= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _headline(run: Record) -> dict[str, Json]:
    result = run.result or {}
    found: dict[str, Json] = result["metrics"][result["headline"]]
    return found
