"""Compute the `Result` from finished sample records, and score recorded outputs again.

The same records give the same result in whatever order they were finished, except for the entries of
`efficiency` that come from a clock or a memory counter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from evals.errors import EvalsError, InputError, RecordError, one_line
from evals.records.folder import SAMPLES, Record
from evals.records.types import Manifest, MetricEntry, Result, SampleRecord
from evals.schema import Metric, Prediction, Sample, Score, Task
from evals.schema.contracts import checked_metrics, checked_scores

_SUMS = ("prompt_tokens", "new_tokens", "computed_tokens", "useful_tokens", "seconds", "model_seconds")


def summarise(
    task: Task, record: Record, *, peak_memory_bytes: int | None, rows: Iterable[SampleRecord] | None = None
) -> Result:
    """Compute the result of a run whose samples are all on disk.

    Args:
        task: computes the metrics.
        record: the run.
        peak_memory_bytes: peak memory of the run, or None if it is not known.
        rows: the samples, if they are not those on disk.

    Raises:
        InputError: if there are no samples.
        EvalsError: if there is no metric, or one is not a finite number.
    """
    failed = unparsed = truncated = open_thoughts = 0
    sums: dict[str, int | float] = dict.fromkeys(_SUMS, 0.0)
    scores: list[Score] = []
    for row in record.samples() if rows is None else rows:
        scores.append(score_of(row))
        failed += row.failed
        unparsed += row.answer is None and not row.failed
        truncated += row.truncated
        open_thoughts += row.truncated_thinking
        for name, value in row.cost.items():
            sums[name] = sums.get(name, 0) + value
    if not scores:
        raise InputError(f"{record.folder} holds no finished samples: there is nothing to score")
    manifest = record.manifest
    metrics = {
        name: _stored(name, _of_subset(metric, manifest, task.per_sample))
        for name, metric in checked_metrics(task, task.summarise(scores)).items()
    }
    return Result(
        task=task.name,
        model=manifest.model_name,
        scale=manifest.task.scale,
        split=manifest.task.split,
        n=len(scores),
        failed=failed,
        unparsed=unparsed,
        truncated=truncated,
        truncated_thinking=open_thoughts,
        signature=manifest.signature,
        metrics=metrics,
        # For a part of a split (MNLI's mismatched rows) the first metric is the headline.
        headline=task.headline if task.headline in metrics else next(iter(metrics)),
        efficiency=_efficiency(sums, len(scores), peak_memory_bytes),
    )


def scored_again(task: Task, record: Record, *, peak_memory_bytes: int | None) -> tuple[list[SampleRecord], Result]:
    """Score the recorded outputs of a run again, and compute its result again.

    Raises:
        RecordError: if the task cannot score what is recorded: it is damaged, or from another version of the task.
    """
    unscored = replace(record, result=None)  # what is scored need not agree with the earlier result
    try:
        rows = list(rescore(task, unscored))
        return rows, summarise(task, unscored, peak_memory_bytes=peak_memory_bytes, rows=rows)
    except EvalsError:
        raise
    except Exception as error:  # whatever a scorer raises about a target or an output that is none of its own
        raise RecordError(
            f"{record.folder / SAMPLES} cannot be scored by task {task.name!r}, version {task.version} (the run has "
            f"{record.manifest.task.version}): {one_line(error)} ({type(error).__name__}); it is damaged, or another "
            f"task's"
        ) from error


def rescore(task: Task, record: Record) -> Iterable[SampleRecord]:
    """Score the recorded outputs again, and yield the sample records with new answers and values. Needs no model."""
    rows = list(record.samples())
    samples = [_sample(row) for row in rows]
    predictions = {row.id: [prediction.gradable() for prediction in _predictions(row)] for row in rows}
    scores = checked_scores(task, samples, task.score(samples, predictions))
    for row in rows:
        row.answer, row.values = scores[row.id].answer, dict(scores[row.id].values)
        yield row


def score_of(row: SampleRecord) -> Score:
    """Read a sample record as a score."""
    return Score(
        row.id, row.answer, row.target, row.values, failed=row.failed, cluster=row.cluster, labels=row.labels
    )  # fmt: skip


def _sample(row: SampleRecord) -> Sample:
    """Read a sample record as a sample without its requests."""
    return Sample(row.id, (), row.target, row.cluster, row.labels)


def _predictions(row: SampleRecord) -> list[Prediction]:
    """Read the recorded outputs of a sample as predictions."""
    count = len(row.scores)
    outputs = row.output if count > 1 else [row.output]
    truncated = row.truncations or [row.truncated] * count
    open_thoughts = row.truncated_thoughts or [row.truncated_thinking] * count
    return [
        Prediction(
            row.id, output, row.failure if output is None else None, cut, tuple(scores), truncated_thinking=is_open
        )
        for output, cut, scores, is_open in zip(outputs, truncated, row.scores, open_thoughts, strict=True)
    ]


def _of_subset(metric: Metric, manifest: Manifest, per_sample: bool) -> Metric:
    """Correct the interval of a metric if the run has only some samples of its split.

    The interval of a random subset is for the value of the whole split, which is a finite set: n of its N samples are
    known, so both sides of the interval are multiplied by sqrt(1 - n / N), the finite population correction. Where the
    samples are no random subset, or where the value depends on their number, there is no interval, and a note says why.

    Source: Cochran, Sampling techniques (1977), section 2.6.
    """
    n, total = manifest.sample_count, manifest.samples_in_split
    if manifest.subset is None:
        return metric
    if manifest.subset == "first" or total is None:
        return _without_interval(metric, f"no interval: the first {n:,} samples are not chosen at random")
    if not per_sample:
        return _without_interval(
            metric, f"no interval: {n:,} of {total:,} samples, scored together, do not estimate the value of all"
        )
    if metric.low is None or metric.high is None:
        return metric
    shrink = math.sqrt(1 - n / total)
    return replace(
        metric,
        low=metric.value - shrink * (metric.value - metric.low),
        high=metric.value + shrink * (metric.high - metric.value),
    )


def _without_interval(metric: Metric, why: str) -> Metric:
    return replace(metric, low=None, high=None, note="; ".join(note for note in (metric.note, why) if note))


def _stored(name: str, metric: Metric) -> MetricEntry:
    """Store a metric. Raises `EvalsError` if it is not a finite number: it must never reach a table."""
    if not math.isfinite(metric.value):
        raise EvalsError(f"metric {name} is {metric.value} over {metric.n} items, expected a finite number")
    return MetricEntry.of(metric)


def _efficiency(
    sums: Mapping[str, int | float], n: int, peak_memory_bytes: int | None
) -> dict[str, int | float | None]:
    seconds, computed = sums["seconds"], sums["computed_tokens"]
    return {
        "seconds": seconds,
        "samples_per_second": n / seconds if seconds else None,
        "prompt_tokens": int(sums["prompt_tokens"]),
        "new_tokens": int(sums["new_tokens"]),
        "padding_share": round(1 - sums["useful_tokens"] / computed, 9) if computed else None,
        "model_share": sums["model_seconds"] / seconds if seconds else None,
        "peak_memory_bytes": peak_memory_bytes,
        **{name: value for name, value in sums.items() if name not in _SUMS},
    }
