"""What the harness of an imported log reports, beside the values of this suite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from evals.errors import counted
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.records.types import Result, SampleRecord
from evals.reports.rendering.formatting import json_text
from evals.schema import Json

_NAMED = 20
"""Number of samples that a sentence names."""


class Difference(msgspec.Struct, frozen=True):
    """A sample that this suite and the harness score otherwise."""

    id: str
    metric: str
    """The harness's name of the metric."""
    value: float
    """The sample's value there."""
    our_metric: str
    our_value: float
    answer: str
    """What this suite read from the output."""
    target: str


def entry(record: Record) -> ImportEntry | None:
    """Return where an imported run comes from; None for a run of this suite."""
    imported = record.manifest.imported
    return imported if isinstance(imported, ImportEntry) else None


def origin(record: Record) -> str:
    """Name the log of an imported run: `log of lm-eval 0.4.13, task rte, 2026-11-28T09-33-37`."""
    imported = entry(record)
    if imported is None:
        return "a run of this suite"
    version = f" {imported.version}" if imported.version else ""
    date = f", {imported.date}" if imported.date else ""
    return f"log of {imported.harness}{version}, task {imported.task}{date}"


def differing(record: Record) -> Iterator[Difference]:
    """Yield the samples that this suite and the harness score otherwise, by each metric that both have."""
    imported = entry(record)
    pairs = {} if imported is None else _pairs(imported)
    for row in record.samples() if pairs else ():
        for name, ours in pairs.items():
            theirs = (row.reported or {}).get(name)
            value = row.values.get(ours)
            if theirs is not None and value is not None and not math.isclose(theirs, value, abs_tol=1e-9):
                yield Difference(
                    id=row.id, metric=name, value=theirs, our_metric=ours, our_value=value,
                    answer=_cell(row.answer), target=_cell(row.target),
                )  # fmt: skip


def disputed(row: SampleRecord, record: Record) -> bool:
    """Whether the harness of an imported run gives a sample another score than this suite does by a like rule."""
    imported = entry(record)
    return imported is not None and any(
        not math.isclose((row.reported or {})[name], row.values[ours], abs_tol=1e-9)
        for name, ours in _pairs(imported).items()
        if name in (row.reported or {}) and ours in row.values
    )


def _pairs(imported: ImportEntry) -> Mapping[str, str]:
    return {name: metric.same_as for name, metric in imported.metrics.items() if metric.same_as is not None}


def _cell(value: Json) -> str:
    return "" if value is None else json_text(value)


def sentences(record: Record) -> Iterator[str]:
    """Say what the harness reports, what this suite computes from the same outputs, and where they differ."""
    imported = entry(record)
    if imported is None:
        return
    result = record.finished()
    if status := imported.protocol.get("status"):
        yield f"the log's status is {status}"
    if not imported.scored_again:
        yield f"the values are those of {imported.harness}: {_listed(imported)}"
        yield from _other_means(imported, result)
        yield from _without_scores(imported, result)
    if imported.note:
        yield imported.note
    if not imported.scored_again:
        return
    rows = list(record.samples()) if imported.metrics else []
    ids_by_metric: dict[str, list[str]] = {}
    for difference in differing(record):
        ids_by_metric.setdefault(difference.metric, []).append(difference.id)
    for name, metric in imported.metrics.items():
        ours = result.metrics.get(metric.same_as) if metric.same_as is not None else None
        if ours is None or metric.same_as is None:
            yield f"{imported.harness} reports {name} {_number(metric.value)}"
            continue
        theirs = [row.reported[name] for row in rows if row.reported and name in row.reported]
        yield (
            f"{imported.harness} reports {name} {_number(metric.value)}, {metric.same_as} of the same outputs here is "
            f"{_number(ours.value)}{_agreement(metric.value, theirs, len(rows), ids_by_metric.get(name, []))}"
        )


def _other_means(imported: ImportEntry, result: Result) -> Iterator[str]:
    """Say which reported values are not the means of the samples' values, which the table shows."""
    for name, metric in imported.metrics.items():
        shown = result.metrics.get(name)
        if shown is None or any(
            math.isclose(metric.value, factor * shown.value, rel_tol=1e-3, abs_tol=1e-6) for factor in (1, 100)
        ):
            continue
        yield (
            f"{name}: {imported.harness} reports {_number(metric.value)}, but the mean of its "
            f"{counted(shown.n, 'sample')} in the log is {_number(shown.value)}, which the table shows"
        )


def _without_scores(imported: ImportEntry, result: Result) -> Iterator[str]:
    """Say how many samples that did not fail have no score, where the log's own note does not say it."""
    headline = result.metrics.get(result.headline)
    lost = 0 if headline is None or headline.statistic != "mean" else result.n - result.failed - headline.n
    if lost > 0 and "without a score" not in imported.note:
        yield f"{lost:,} of {counted(result.n, 'sample')} without a score {result.headline} in the log"


def _agreement(value: float, theirs: Sequence[float], count: int, ids: Sequence[str]) -> str:
    """Say on how many samples the two agree, which ones differ, and what does not add up."""
    if not theirs:
        return "; the log has no score of its own for each sample"
    named = f"{', '.join(ids[:_NAMED])}{f' and {len(ids) - _NAMED:,} more' if len(ids) > _NAMED else ''}"
    all_or_some = "every sample" if len(theirs) == count else f"the {len(theirs):,} samples that have a score there"
    parts = [f"they differ on {counted(len(ids), 'sample')}: {named}" if ids else f"the same on {all_or_some}"]
    if len(theirs) < count:
        parts.append(f"{counted(count - len(theirs), 'sample')} without a score there")
    mean = math.fsum(theirs) / len(theirs)
    if not math.isclose(mean, value, rel_tol=1e-4, abs_tol=1e-6):
        parts.append(f"the mean of its own scores is {_number(mean)}")
    return ": " + "; ".join(parts)


def _listed(imported: ImportEntry) -> str:
    return ", ".join(f"{name} {_number(metric.value)}" for name, metric in list(imported.metrics.items())[:6]) or "none"


def _number(value: float) -> str:
    """Print a value as the harness has it, with four digits.

    Example:
        >>> _number(0.4657039), _number(71.3)
        ('0.4657', '71.3')
    """
    return f"{value:.4g}"
