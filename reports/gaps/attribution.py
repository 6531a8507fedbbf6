"""Divide the difference between two runs of one benchmark into parts that add up to it.

With V the value that a run reports, r the sample scores behind it, R the reading that both runs have, S the samples
that have an r, and C those that are in both runs:

    not the mean of its samples    V - mean of r over S                       (of a harness's own figure)
    other samples                  mean of r over S - mean of r over S and C
    reading of answers             mean of (r - R) over S and C
    samples left out there         mean of R over S and C - mean of R over C
    outputs                        mean of R over C of the first run - that of the second

The first four are of each run. The last is divided by what is wrong with the output that lost: it is missing, was cut,
ended inside a thought, has no readable answer, is the same with another score, or has another answer. Questions whose
right answers differ between the runs are a part of their own. Nothing is estimated: each part is a mean of recorded
values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evals.comparison import ManifestDifference, explain_differences
from evals.errors import InputError
from evals.logs.matching import CommonSamples, common_samples
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
    unit: str
    """Of the values: `fraction`, which is printed in percent, or another."""
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
    a_reported, b_reported = _reported(a, a_rows), _reported(b, b_rows)
    reading = _common_reading(a, b, a_rows, b_rows)
    common = common_samples(a, b)
    pairs = [(a_rows[a_id], b_rows[b_id]) for b_id, a_id in common.pairs.items()]
    parts = [
        *_own_parts(a_reported, [first for first, _ in pairs], reading, "first", 1),
        *_own_parts(b_reported, [second for _, second in pairs], reading, "second", -1),
        *_output_parts([pair for pair in pairs if pair[1].id not in common.other_targets], reading, len(pairs)),
        _target_part([pair for pair in pairs if pair[1].id in common.other_targets], reading, len(pairs), common),
    ]
    return Gap(
        a=a,
        b=b,
        a_metric=a_reported.metric,
        b_metric=b_reported.metric,
        a_value=a_reported.value,
        b_value=b_reported.value,
        unit=a.finished().metrics[reading].unit if reading in a.finished().metrics else "fraction",
        reading=reading,
        note=common.note,
        parts=tuple(part for part in parts if part.samples),
        same_outputs=sum(first.output == second.output for first, second in pairs),
        common=len(pairs),
        differences=tuple(_differences(a, b)),
    )


@dataclass(frozen=True, slots=True)
class _Reported:
    """What a run reports, and the sample scores behind it."""

    metric: str
    value: float
    scores: Mapping[str, float]


def _reported(record: Record, rows: Mapping[str, SampleRecord]) -> _Reported:
    """Return the value that a run reports: a harness's own where its metric means what one of ours does."""
    imported = record.manifest.imported
    if isinstance(imported, ImportEntry) and imported.scored_again:
        for name, metric in imported.metrics.items():
            having = {id: row.reported for id, row in rows.items() if row.reported and name in row.reported}
            scores = {id: float(reported[name]) for id, reported in having.items()}
            if metric.same_as is not None and scores:
                return _Reported(f"{imported.harness}'s {name}", metric.value, scores)
    result = record.finished()
    headline = result.headline
    scores = {id: float(row.values[headline]) for id, row in rows.items() if headline in row.values}
    if not scores:
        raise InputError(
            f"{record.folder}: {headline} is no mean of its samples' values, so its difference cannot be divided"
        )
    return _Reported(headline, float(result.metrics[headline].value), scores)


def _common_reading(
    a: Record, b: Record, a_rows: Mapping[str, SampleRecord], b_rows: Mapping[str, SampleRecord]
) -> str:
    """Return the first metric, headlines first, that every sample of both runs has, in one unit."""
    a_metrics, b_metrics = a.finished().metrics, b.finished().metrics
    for name in [a.finished().headline, b.finished().headline, *a_metrics]:
        if not all(name in row.values for rows in (a_rows, b_rows) for row in rows.values()):
            continue
        units = {metrics[name].unit for metrics in (a_metrics, b_metrics) if name in metrics}
        if len(units) > 1:
            raise InputError(
                f"{name} is in different units in {a.folder} and {b.folder}: {' and '.join(sorted(units))}"
            )
        return name
    raise InputError(f"{a.folder} and {b.folder} have no value in common for their samples")


def _own_parts(
    reported: _Reported, common: Sequence[SampleRecord], reading: str, place: str, sign: int
) -> list[GapPart]:
    """Return the parts that are of one run: what lies between the value that it reports and the common reading."""
    scores = reported.scores
    scored = [row for row in common if row.id in scores]
    everywhere = _mean(scores.values())
    here = _mean(scores[row.id] for row in scored) if scored else everywhere
    changed = [row for row in scored if not math.isclose(scores[row.id], float(row.values[reading]), abs_tol=1e-12)]
    read = _mean(float(row.values[reading]) for row in scored) if scored else here
    whole = _mean(float(row.values[reading]) for row in common)
    ids = ", ".join(row.id for row in changed[:5]) + (f" and {len(changed) - 5:,} more" if len(changed) > 5 else "")
    is_mean = math.isclose(reported.value, everywhere, rel_tol=1e-6, abs_tol=1e-9)
    return [
        GapPart(
            f"reported value of the {place} run, which is not the mean of its samples",
            sign * (reported.value - everywhere), 0 if is_mean else len(scores),
        ),
        GapPart(
            f"other samples in the {place} run", sign * (everywhere - here), len(scores) - len(scored),
            f"{len(scores) - len(scored):,} are in the {place} run alone",
        ),
        GapPart(
            f"reading of answers: {reported.metric}", sign * (here - read), len(changed),
            f"samples {ids}" if ids else "",
        ),
        GapPart(
            f"samples without a score in the {place} run's log", sign * (read - whole), len(common) - len(scored),
        ),
    ]  # fmt: skip


def _target_part(
    pairs: Sequence[tuple[SampleRecord, SampleRecord]], reading: str, count: int, common: CommonSamples
) -> GapPart:
    """Return the difference on the questions whose right answers differ."""
    points = math.fsum(float(first.values[reading]) - float(second.values[reading]) for first, second in pairs) / count
    return GapPart("other right answers", points, len(pairs), common.target_note)


def _output_parts(pairs: Sequence[tuple[SampleRecord, SampleRecord]], reading: str, count: int) -> list[GapPart]:
    """Divide the difference of the outputs by what is wrong with the output that lost, in shares of `count` samples."""
    sums: dict[str, list[float]] = {}
    for first, second in pairs:
        difference = float(first.values[reading]) - float(second.values[reading])
        if difference:
            loser, place = (second, "second") if difference > 0 else (first, "first")
            is_same = first.output is not None and first.output == second.output
            name = "the same output, another score" if is_same else f"{_fault(loser)} in the {place} run"
            sums.setdefault(name, []).append(difference)
    parts = [GapPart(f"outputs: {name}", math.fsum(listed) / count, len(listed)) for name, listed in sums.items()]
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
