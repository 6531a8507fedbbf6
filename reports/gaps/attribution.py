"""Divide the difference between two runs of one benchmark into parts that add up to it.

    reported difference = other samples + other reading of answers + other outputs

With r the reading that a run reports, R the one that both runs have, and C the samples that both have:

    other samples     (r_A over all of A - r_A over C) - (r_B over all of B - r_B over C)
    other reading     (r_A over C - R_A over C) - (r_B over C - R_B over C)
    other outputs     R_A over C - R_B over C

The last part is divided by what is wrong with the output that lost: it is missing, was cut, ended inside a thought, has
no readable answer, or has another answer. Nothing is estimated: each part is a mean of recorded values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evals.comparison import ManifestDifference, explain_differences
from evals.errors import InputError
from evals.logs.matching import common_samples
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.records.types import SampleRecord

_OUTPUT_FIELDS = (
    "imported.", "model.", "task.", "data.", "packages.torch", "packages.transformers", "packages.tokenizers",
    "packages.vllm", "machine.device",
)  # fmt: skip
"""Groups of fields that may change outputs."""
_NO_EFFECT = frozenset(
    {"imported.files", "imported.metrics", "imported.date", "imported.note", "imported.scored_again", "data.source",
     "model.checkpoint",
     "data.files", "data.ids", "data.samples", "data.samples_in_split", "task.limit", "task.first", "task.scale",
     "model.family", "model.log", "model.name", "machine.cores"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GapPart:
    """A part of the difference."""

    name: str
    points: float
    """The part as a difference of values, a - b: fractions, not percent."""
    samples: int
    """Number of samples that make it up."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Why two runs disagree."""

    a: Record
    b: Record
    a_metric: str
    """What the first run reports: its headline, or that of the harness of an imported log."""
    b_metric: str
    a_value: float
    b_value: float
    reading: str
    """The metric by which both runs are read for the last part."""
    note: str
    """How the samples were matched."""
    parts: tuple[GapPart, ...]
    """Parts that add up to `a_value - b_value`."""
    same_outputs: int
    """Number of common samples whose outputs are the same."""
    common: int
    differences: tuple[ManifestDifference, ...]
    """Fields that may have changed the outputs, the likeliest first."""


def attribute(a: Record, b: Record) -> Gap:
    """Divide the difference between two finished runs of one benchmark.

    Args:
        a: a finished run, of this suite or imported.
        b: another one.

    Raises:
        InputError: they are of different tasks, have no sample in common, or report what is no mean over samples.
    """
    for record in (a, b):
        record.finished()
    if a.manifest.task.name != b.manifest.task.name:
        names = f"{a.folder} is a run of {a.manifest.task.name}, {b.folder} of {b.manifest.task.name}"
        raise InputError(f"{names}: a gap is between two runs of one benchmark")
    a_rows, b_rows = ({row.id: row for row in record.samples()} for record in (a, b))
    (a_metric, a_values), (b_metric, b_values) = _reported(a, a_rows), _reported(b, b_rows)
    reading = _common_reading(a, b, a_rows, b_rows)
    values = ({row.id: row for row in record.values()} for record in (a, b))
    a_common, b_common, note = common_samples(a, b, *values)
    pairs = [
        (a_rows[a_row.id], b_rows[b_row.id]) for a_row, b_row in zip(a_common.values(), b_common.values(), strict=True)
    ]
    a_C, b_C = [first for first, _ in pairs], [second for _, second in pairs]
    a_read, b_read = ({row.id: float(row.values[reading]) for row in rows} for rows in (a_C, b_C))
    a_value, b_value = _mean(a_values.values()), _mean(b_values.values())
    a_own, b_own = (_mean(values[row.id] for row in rows) for values, rows in ((a_values, a_C), (b_values, b_C)))
    parts = [
        GapPart(
            "other samples",
            (a_value - a_own) - (b_value - b_own),
            len(a_rows) + len(b_rows) - 2 * len(pairs),
            f"{len(a_rows) - len(pairs):,} in the first run alone, {len(b_rows) - len(pairs):,} in the second",
        ),
        _reading_part(a_metric, a_values, a_read, 1),
        _reading_part(b_metric, b_values, b_read, -1),
        *_output_parts(pairs, reading),
    ]
    return Gap(
        a=a,
        b=b,
        a_metric=a_metric,
        b_metric=b_metric,
        a_value=a_value,
        b_value=b_value,
        reading=reading,
        note=note,
        parts=tuple(part for part in parts if part.samples),
        same_outputs=sum(first.output == second.output for first, second in pairs),
        common=len(pairs),
        differences=tuple(_differences(a, b)),
    )


def _reported(record: Record, rows: Mapping[str, SampleRecord]) -> tuple[str, dict[str, float]]:
    """Return the metric that a run reports, and its value for each sample."""
    imported = record.manifest.imported
    if isinstance(imported, ImportEntry) and imported.scored_again:
        for name in imported.metrics:
            reported = {id: row.reported[name] for id, row in rows.items() if row.reported and name in row.reported}
            if len(reported) == len(rows) > 0:
                return f"{imported.harness}'s {name}", {id: float(value) for id, value in reported.items()}
    headline = record.finished().headline
    values = {id: float(row.values[headline]) for id, row in rows.items() if headline in row.values}
    if len(values) != len(rows) or not rows:
        raise InputError(
            f"{record.folder}: {headline} is no mean of its samples' values, so its difference cannot be divided"
        )
    return headline, values


def _common_reading(
    a: Record, b: Record, a_rows: Mapping[str, SampleRecord], b_rows: Mapping[str, SampleRecord]
) -> str:
    """Return the first metric, headlines first, that every sample of both runs has."""
    names = [a.finished().headline, b.finished().headline, *a.finished().metrics]
    for name in names:
        if all(name in row.values for rows in (a_rows, b_rows) for row in rows.values()):
            return name
    raise InputError(f"{a.folder} and {b.folder} have no value in common for their samples")


def _reading_part(metric: str, values: Mapping[str, float], read: Mapping[str, float], sign: int) -> GapPart:
    changed = [id for id, value in read.items() if not math.isclose(values[id], value, abs_tol=1e-12)]
    points = sign * math.fsum(values[id] - read[id] for id in changed) / len(read)
    ids = ", ".join(changed[:5]) + (f" and {len(changed) - 5:,} more" if len(changed) > 5 else "")
    return GapPart(f"reading of answers: {metric}", points, len(changed), f"samples {ids}" if changed else "")


def _output_parts(pairs: Sequence[tuple[SampleRecord, SampleRecord]], reading: str) -> list[GapPart]:
    """Divide the difference of the outputs by what is wrong with the output that lost."""
    sums: dict[str, list[float]] = {}
    for first, second in pairs:
        difference = float(first.values[reading]) - float(second.values[reading])
        if difference:
            loser, place = (second, "second") if difference > 0 else (first, "first")
            sums.setdefault(f"{_fault(loser)} in the {place} run", []).append(difference)
    parts = [GapPart(f"outputs: {name}", math.fsum(listed) / len(pairs), len(listed)) for name, listed in sums.items()]
    return sorted(parts, key=lambda part: -abs(part.points))


def _fault(row: SampleRecord) -> str:
    if row.failed:
        return "no output"
    if row.truncated_thinking:
        return "ended inside a thought"
    if row.truncated:
        return "cut at the limit"
    return "no readable answer" if row.answer is None else "another answer"


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)


def _differences(a: Record, b: Record) -> Iterable[ManifestDifference]:
    """Yield the fields that may have changed the outputs."""
    for difference in explain_differences(_flat(a), _flat(b)):
        is_output = difference.field.startswith(_OUTPUT_FIELDS)
        if is_output and not any(f"{difference.field}.".startswith(f"{name}.") for name in _NO_EFFECT):
            yield difference


def _flat(record: Record) -> dict[str, object]:
    """Return a manifest whose settings of the harness stand one by one."""
    manifest = record.manifest.to_dict()
    imported = manifest.get("imported") or {}
    return {**manifest, "imported": {key: value for key, value in imported.items() if key != "task"}}
