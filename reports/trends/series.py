"""Follow metrics over several days: the same runs each day, which values left their intervals, and a paired test.

A day is a folder: the report of `check --out`, or run folders side by side. Days are in the order given. A value that
lies outside its own 95 % interval of the day before has changed; that of a run that stopped early, if the confidence
sequence of the difference excludes zero. Times depend on the machine, so they are shown but never counted as changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals import comparison
from evals.comparison import MetricComparison
from evals.errors import InputError
from evals.records.folder import SAMPLES, Record
from evals.records.sequential.stopped import is_stopped
from evals.reports.claims import archive
from evals.reports.rendering.formatting import interval, metric_value, p_value
from evals.reports.runs.naming import blind, model
from evals.schema import Metric

_TIMES = ("seconds", "bytes")


@dataclass(frozen=True, slots=True)
class Day:
    """The runs of one day, by name (`vl on vqa validation`)."""

    name: str
    runs: Mapping[str, Record]
    skipped: Sequence[str] = ()
    """Why other run folders of the day were left out: they are not finished."""


@dataclass(frozen=True, slots=True)
class Point:
    """The headline of a run on one day."""

    day: str
    metric: Metric | None
    """None if it was not run."""
    rate: float | None
    """Samples per second."""
    changed: bool
    """Whether the value lies outside its interval of the day before."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The headline of one run over the days."""

    run: str
    name: str
    points: tuple[Point, ...]


def read(folder: Path) -> Day:
    """Read the runs of a day.

    Raises:
        InputError: no run is finished, or two have the same name.
    """
    runs: dict[str, Record] = {}
    finished, skipped = archive.runs(folder)
    for record in finished:
        name = _run_name(record)
        if name in runs:
            raise InputError(f"{folder} has two runs of {name}: {runs[name].folder.name} and {record.folder.name}")
        runs[name] = record
    return Day(folder.resolve().name, runs, skipped)


def trends(days: Sequence[Day]) -> list[Trend]:
    """Follow the headline of each run through the days."""
    names = dict.fromkeys(name for day in days for name in day.runs)
    return [_trend(name, days) for name in names]


def changes(days: Sequence[Day]) -> list[str]:
    """Describe what left its interval, or was not run again, on the last day; nothing for a single day."""
    if len(days) < 2:
        return []
    before, now = days[-2:]
    return [line for name, record in before.runs.items() for line in _changed(name, record, before, now)]


def _run_name(record: Record) -> str:
    """Name a run by model, task and split, and by the options that differ from the defaults."""
    task = record.manifest.task
    options = ["blind"] if blind(record) else []
    options += [
        f"{value} {name}"
        for name, value in (("shots", task.shots), ("limit", task.limit), ("first", task.first))
        if value
    ]
    return ", ".join([f"{model(record)} on {task.name} {task.split}", *options])


def _trend(name: str, days: Sequence[Day]) -> Trend:
    headline = next(day.runs[name].finished().headline for day in days if name in day.runs)
    points: list[Point] = []
    before: Metric | None = None
    earlier: Record | None = None
    for day in days:
        record = day.runs.get(name)
        metric = _metric(record, headline) if record is not None else None
        rate = record.finished().efficiency.get("samples_per_second") if record is not None else None
        if record is not None and earlier is not None and (is_stopped(record) or is_stopped(earlier)):
            changed = any(tested.name == headline for tested in _differing(earlier, record))
        else:
            changed = metric is not None and before is not None and _left_interval(metric, before)
        points.append(Point(day.name, metric, rate, changed))
        earlier = record or earlier
        before = metric or before
    return Trend(name, headline, tuple(points))


def _metric(record: Record, name: str) -> Metric | None:
    entry = record.finished().metrics.get(name)
    return entry.metric() if entry else None


def _left_interval(now: Metric, before: Metric) -> bool:
    """Whether a value lies outside its earlier interval; False for times, which depend on the machine."""
    if before.low is None or before.high is None or before.unit in _TIMES or before.unit.endswith("/s"):
        return False
    return not before.low <= now.value <= before.high


def _changed(name: str, record: Record, before: Day, now: Day) -> Iterator[str]:
    """Describe which metrics of a run left their intervals, each with a paired test."""
    if name not in now.runs:
        yield f"{name}: not run on {now.name}, but on {before.name}"
        return
    if record.timed:
        return
    if is_stopped(record) or is_stopped(now.runs[name]):
        for tested in _differing(record, now.runs[name]):
            spread = f"{(tested.low or 0) * 100:+.2f} to {(tested.high or 0) * 100:+.2f}"
            yield (
                f"{name}: {tested.name} differs by {tested.difference * 100:+.2f} points ({spread}) from {before.name} "
                f"on {tested.n:,} shared samples; a run stopped early, and the interval is valid at every look"
            )
        return
    for metric in record.finished().metrics:
        if metric.count("/") > 1 or (old := _metric(record, metric)) is None:
            continue  # a slice of a slice: too few samples to mean anything
        new = _metric(now.runs[name], metric)
        if new is None:
            yield f"{name}: {metric} is missing on {now.name}"
        elif _left_interval(new, old):
            outside = (
                f"{metric_value(new)} lies outside {interval(old)}, its interval of {before.name} ({metric_value(old)})"
            )
            yield f"{name}: {metric} {outside}; {_compared(now.runs[name], record, metric)}"


def _differing(before: Record, now: Record) -> list[MetricComparison]:
    """Return the metrics of two runs, of which one stopped early, whose sequence shows a difference."""
    try:
        compared = comparison.compare(now, before)
    except InputError:  # other samples or another protocol: no difference can be shown
        return []
    return [
        tested
        for tested in compared.metrics
        if tested.low is not None and tested.high is not None and not tested.low <= 0 <= tested.high
    ]


def _compared(now: Record, before: Record, metric: str) -> str:
    """Compare the samples of two days by a paired test."""
    if not (before.folder / SAMPLES).exists():
        return "its samples were not kept, so they cannot be compared"
    try:
        compared = comparison.compare(now, before)
    except InputError as error:
        return str(error)
    tested = next((entry for entry in compared.metrics if entry.name == metric), None)
    why = "; ".join(f"{difference.field}: {difference.why}" for difference in compared.differences[:3])
    differs = f"what differs: {why}" if why else "nothing that is recorded differs"
    if tested is None or tested.low is None or tested.high is None:
        return f"no paired test fits; {differs}"
    spread = f"{tested.low * 100:+.2f} to {tested.high * 100:+.2f}"
    difference = f"difference {tested.difference * 100:+.2f} points ({spread}), {p_value(tested.p)}"
    return f"{difference} on {tested.n:,} shared samples; {differs}"
