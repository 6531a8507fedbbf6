"""Figures over time: the same runs on several days, what left its interval, and what a paired test says of that.

A day is a folder: what `check --out` left, or run folders side by side. Days follow each other as they are given. A
figure of quality that lies outside its own 95 % interval of the day before has changed; times change with the machine
and are shown, not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals import comparison
from evals.errors import InputError
from evals.records.folder import SAMPLES, Record
from evals.reports.claims import archive
from evals.reports.rendering.formatting import interval, metric_value, p_value
from evals.reports.runs.naming import blind, model
from evals.schema import Metric

_TIMES = ("seconds", "bytes")


@dataclass(frozen=True, slots=True)
class Day:
    """The runs of one day, by what they are of."""

    name: str
    runs: Mapping[str, Record]


@dataclass(frozen=True, slots=True)
class Point:
    """A figure on one day."""

    day: str
    metric: Metric | None
    """None where it was not run."""
    rate: float | None
    """Samples a second."""
    changed: bool
    """It lies outside its interval of the day before."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The headline of one run over the days."""

    run: str
    name: str
    points: tuple[Point, ...]


def read(folder: Path) -> Day:
    """Read the runs of a day.

    Raises:
        InputError: there are none, two are of the same thing, or one is not finished.
    """
    found: dict[str, Record] = {}
    for record in archive.runs(folder):
        record.finished()
        name = _of(record)
        if name in found:
            raise InputError(f"{folder} has two runs of {name}: {found[name].folder.name} and {record.folder.name}")
        found[name] = record
    return Day(folder.resolve().name, found)


def trends(days: Sequence[Day]) -> list[Trend]:
    """Follow the headline of each run through the days."""
    names = dict.fromkeys(name for day in days for name in day.runs)
    return [_trend(name, days) for name in names]


def changes(days: Sequence[Day]) -> list[str]:
    """Say what of the last day left its interval of the day before, or was not run again; nothing of a single day."""
    if len(days) < 2:
        return []
    before, now = days[-2:]
    return [line for name, record in before.runs.items() for line in _changed(name, record, before, now)]


def _of(record: Record) -> str:
    """What a run is of: its model, its task, and how that was asked where it was not as usual."""
    task = record.manifest["task"]
    asked = [f"{task[name]} {name}" for name in ("shots", "limit") if task.get(name)]
    return ", ".join(
        [f"{model(record)} on {task['name']} {task['split']}", *(["blind"] if blind(record) else []), *asked]
    )


def _trend(name: str, days: Sequence[Day]) -> Trend:
    headline = next(day.runs[name].finished()["headline"] for day in days if name in day.runs)
    points: list[Point] = []
    before: Metric | None = None
    for day in days:
        record = day.runs.get(name)
        found = _metric(record, headline) if record is not None else None
        rate = (record.finished()["efficiency"] or {}).get("samples_per_second") if record is not None else None
        points.append(Point(day.name, found, rate, found is not None and before is not None and _left(found, before)))
        before = found or before
    return Trend(name, headline, tuple(points))


def _metric(record: Record, name: str) -> Metric | None:
    entry = record.finished()["metrics"].get(name)
    return Metric(entry["value"], entry["low"], entry["high"], entry["n"], entry["unit"]) if entry else None


def _left(now: Metric, before: Metric) -> bool:
    """Whether a figure lies outside the interval that it had; a time has none that would hold."""
    if before.low is None or before.high is None or before.unit in _TIMES or before.unit.endswith("/s"):
        return False
    return not before.low <= now.value <= before.high


def _changed(name: str, record: Record, before: Day, now: Day) -> Iterator[str]:
    """Say what of one run left its interval, and what the paired test says of its headline."""
    if name not in now.runs:
        yield f"{name}: not run on {now.name}, but on {before.name}"
        return
    if record.timed:
        return
    for metric in record.finished()["metrics"]:
        if metric.count("/") > 1 or (old := _metric(record, metric)) is None:
            continue  # a slice of a slice: too few samples to mean anything
        new = _metric(now.runs[name], metric)
        if new is None:
            yield f"{name}: {metric} is missing on {now.name}"
        elif _left(new, old):
            outside = (
                f"{metric_value(new)} lies outside {interval(old)}, its interval of {before.name} ({metric_value(old)})"
            )
            yield f"{name}: {metric} {outside}; {_compared(now.runs[name], record, metric)}"


def _compared(now: Record, before: Record, metric: str) -> str:
    """What the samples of both days say."""
    if not (before.folder / SAMPLES).exists():
        return "its samples were not kept, so they cannot be compared"
    try:
        compared = comparison.compare(now, before)
    except InputError as error:
        return str(error)
    found = next((each for each in compared.metrics if each.name == metric), None)
    why = "; ".join(f"{each.field}: {each.why}" for each in compared.differences[:3])
    differs = f"what differs: {why}" if why else "nothing that is recorded differs"
    if found is None or found.low is None or found.high is None:
        return f"no paired test fits; {differs}"
    spread = f"{found.low * 100:+.2f} to {found.high * 100:+.2f}"
    difference = f"difference {found.difference * 100:+.2f} points ({spread}), {p_value(found.p)}"
    return f"{difference} on {found.n:,} shared samples; {differs}"
