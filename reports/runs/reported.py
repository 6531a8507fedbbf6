"""What the harness of an imported log reports, beside the values of this suite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

from evals.errors import counted
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.records.types import SampleRecord
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
    if not imported.scored_again:
        yield f"the values are those of {imported.harness}: {_listed(imported)}"
        if imported.note:
            yield imported.note
        return
    ids_by_metric: dict[str, list[str]] = {}
    for difference in differing(record):
        ids_by_metric.setdefault(difference.metric, []).append(difference.id)
    for name, metric in imported.metrics.items():
        ours = result.metrics.get(metric.same_as) if metric.same_as is not None else None
        if ours is None:
            yield f"{imported.harness} reports {name} {_number(metric.value)}"
            continue
        ids = ids_by_metric.get(name, [])
        named = f"{', '.join(ids[:_NAMED])}{f' and {len(ids) - _NAMED:,} more' if len(ids) > _NAMED else ''}"
        outcome = f"they differ on {counted(len(ids), 'sample')}: {named}" if ids else "the same on every sample"
        yield (
            f"{imported.harness} reports {name} {_number(metric.value)}, {metric.same_as} of the same outputs here is "
            f"{_number(ours.value)}: {outcome}"
        )


def _listed(imported: ImportEntry) -> str:
    return ", ".join(f"{name} {_number(metric.value)}" for name, metric in list(imported.metrics.items())[:6]) or "none"


def _number(value: float) -> str:
    """Print a value of a metric: a fraction as a percentage, others as they are.

    Example:
        >>> _number(0.4657), _number(71.3)
        ('46.57 %', '71.3')
    """
    return f"{100 * value:.2f} %" if 0 <= value <= 1 else f"{value:.6g}"
