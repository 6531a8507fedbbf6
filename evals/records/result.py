"""Compute the `Result` from finished sample records, and score recorded outputs again.

The same records give the same result in whatever order they were finished, except for the entries of
`efficiency` that come from a clock or a memory counter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from msgspec import UNSET

from evals.errors import EvalsError, InputError, RecordError, one_line
from evals.records.folder import SAMPLES, Record
from evals.records.sequential.entry import SequentialEntry
from evals.records.sequential.stopped import of_stopped, scored_entry
from evals.records.subsets import of_subset
from evals.records.types import MetricEntry, Result, SampleRecord
from evals.schema import Metric, Prediction, Sample, Score, Task
from evals.schema.contracts import checked_metrics, checked_scores

_SUMS = ("prompt_tokens", "new_tokens", "computed_tokens", "useful_tokens", "seconds", "model_seconds")


def summarise(
    task: Task,
    record: Record,
    *,
    peak_memory_bytes: int | None,
    rows: Iterable[SampleRecord] | None = None,
    sequential: SequentialEntry | None = None,
) -> Result:
    """Compute the result of a run whose samples are all on disk, or that has stopped before its last sample.

    Args:
        task: computes the metrics.
        record: the run.
        peak_memory_bytes: peak memory of the run, or None if it is not known.
        rows: the samples, if they are not those on disk.
        sequential: how the run looked at its interval, if it did.

    Raises:
        InputError: if there are no samples.
        EvalsError: if there is no metric, or one is not a finite number.
    """
    failed = unparsed = truncated = long_prompts = 0
    sums: dict[str, int | float] = {}
    scores: list[Score] = []
    cut = _Tally()
    for row in record.samples() if rows is None else rows:
        scores.append(score_of(row))
        failed += row.failed
        unparsed += row.answer is None and not row.failed
        truncated += row.truncated
        cut.add(row)
        long_prompts += row.long_prompt
        for name, value in row.cost.items():
            sums[name] = sums.get(name, 0) + value
    if not scores:
        raise InputError(f"{record.folder} holds no finished samples: there is nothing to score")
    manifest, metrics = record.manifest, _metrics(task, record, scores, sequential)
    return Result(
        task=task.name,
        model=manifest.model_name,
        scale=manifest.task.scale,
        split=manifest.task.split,
        n=len(scores),
        failed=failed,
        unparsed=unparsed,
        truncated=truncated,
        truncated_thinking=cut.open_thoughts,
        bounds=cut.bounds(metrics),
        long_prompts=long_prompts,
        signature=manifest.signature,
        metrics=metrics,
        # For a part of a split (MNLI's mismatched rows) the first metric is the headline.
        headline=task.headline if task.headline in metrics else next(iter(metrics)),
        sequential=UNSET if sequential is None else sequential,
        efficiency=_efficiency(sums, len(scores), peak_memory_bytes),
        answered_by=dict(sorted(cut.parts.items())) or UNSET,
    )


def _metrics(
    task: Task, record: Record, scores: Sequence[Score], sequential: SequentialEntry | None
) -> dict[str, MetricEntry]:
    """Compute the metrics, with the intervals of the samples that the run has of its split or set."""
    manifest = record.manifest
    try:
        computed = checked_metrics(task, task.summarise(scores))
    except KeyError as error:
        if id := _without(error.args[0], scores):
            raise RecordError(
                f"{record.folder / SAMPLES}: the line of sample {id!r} is damaged: it has no value {error.args[0]!r}; "
                f"remove the line, and start the run again"
            ) from error
        raise
    if sequential is not None and len(scores) < sequential.of:
        computed = of_stopped(computed, scores, sequential, manifest.task.seed)
    else:
        computed = of_subset(computed, scores, manifest, per_sample=task.per_sample)
    return {name: _stored(name, metric) for name, metric in computed.items()}


def _parts_of(row: SampleRecord) -> list[str]:
    """Return the parts of a composed model that answered a sample; empty for other models, and if none could."""
    names = row.answered_by if isinstance(row.answered_by, list) else [row.answered_by]
    return [name for name in dict.fromkeys(names) if name is not None]


class _Tally:
    """Sums of the samples' values, and of those whose output was cut at the token limit; further counts."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self.open_thoughts = 0
        """Number of samples with an output that ended inside a thought."""
        self.parts: Counter[str] = Counter()
        """Number of samples by the part of a composed model that answered."""

    def add(self, row: SampleRecord) -> None:
        """Add a sample; only those with recorded tokens or an open thought were cut while they generated."""
        self.open_thoughts += row.truncated_thinking
        self.parts.update(_parts_of(row))
        is_cut = row.truncated and row.cost.get("new_tokens", 0) > 0
        for name, value in row.values.items():
            sums = self._sums.setdefault(name, [0, 0.0, 0, 0.0])
            sums[0] += 1
            sums[1] += value
            if is_cut:
                sums[2] += 1
                sums[3] += value

    def bounds(self, metrics: Mapping[str, MetricEntry]) -> dict[str, list[int | float]]:
        """Return, for each metric that is a mean, its value if all cut outputs were wrong, and if all were right."""
        bounds: dict[str, list[int | float]] = {}
        for name, metric in metrics.items():
            count, total, cut, cut_total = self._sums.get(name, [0, 0.0, 0, 0.0])
            is_mean = metric.statistic == "mean" and metric.unit == "fraction" and metric.higher_is_better is not False
            if cut and is_mean and count == metric.n and math.isclose(total / count, metric.value, abs_tol=1e-9):
                bounds[name] = [(total - cut_total) / count, (total - cut_total + cut) / count]
        return bounds


Split = Callable[[str], tuple[str, str | None, bool]]
"""Divides a text into the answer and the thought, and says whether it ends inside a thought."""


def scored_again(
    task: Task, record: Record, *, peak_memory_bytes: int | None, split: Split | None = None
) -> tuple[list[SampleRecord], Result]:
    """Score the recorded outputs of a run again, and compute its result again.

    Args:
        task: the task as it is now.
        record: the run.
        peak_memory_bytes: peak memory of the run, or None if it is not known.
        split: divides outputs from which no thought was divided when they were recorded; None leaves them whole.

    Raises:
        RecordError: if the task cannot score what is recorded: it is damaged, or from another version of the task.
    """
    unscored = replace(record, result=None)  # what is scored need not agree with the earlier result
    try:
        rows = list(rescore(task, unscored, split))
        entry = _scored_entry(record, rows)
        return rows, summarise(task, unscored, peak_memory_bytes=peak_memory_bytes, rows=rows, sequential=entry)
    except EvalsError:
        raise
    except Exception as error:  # whatever a scorer raises about a target or an output that is none of its own
        raise RecordError(
            f"{record.folder / SAMPLES} cannot be scored by task {task.name!r}, version {task.version} (the run has "
            f"{record.manifest.task.version}): {one_line(error)} ({type(error).__name__}); it is damaged, or another "
            f"task's"
        ) from error


def _scored_entry(record: Record, rows: Sequence[SampleRecord]) -> SequentialEntry | None:
    """Return what a run that looked at its interval states about it after it was scored again."""
    result = record.result
    if result is None or result.sequential is UNSET:
        return None
    name = result.headline
    recorded = replace(record, result=None).values()
    old = {row.id: row.values[name] for row in recorded if name in row.values}
    return scored_entry(result.sequential, old, {row.id: row.values[name] for row in rows if name in row.values})


def _without(value: str, scores: Sequence[Score]) -> str | None:
    """Return the id of a sample that lacks a value which others have, or None."""
    lacking = [score.id for score in scores if value not in score.values]
    return lacking[0] if 0 < len(lacking) < len(scores) else None


def rescore(task: Task, record: Record, split: Split | None = None) -> Iterable[SampleRecord]:
    """Score the recorded outputs again, and yield the sample records with new answers and values. Needs no model."""
    rows = list(record.samples())
    if split is not None and task.needs != "embed":
        for row in rows:
            _divide_thoughts(row, split)
    samples = [_sample(row) for row in rows]
    predictions = {row.id: [prediction.gradable() for prediction in recorded_predictions(row)] for row in rows}
    scores = checked_scores(task, samples, task.score(samples, predictions))
    for row in rows:
        row.answer, row.values = scores[row.id].answer, dict(scores[row.id].values)
        yield row


def _divide_thoughts(row: SampleRecord, split: Split) -> None:
    """Divide the thoughts from the outputs of a record that has none apart: version 0.1 left them in some outputs."""
    several = isinstance(row.output, list)
    outputs = row.output if several else [row.output]
    if row.thought is not None or row.truncated_thinking or not any(isinstance(output, str) for output in outputs):
        return
    parts = [split(output) if isinstance(output, str) else (output, None, False) for output in outputs]
    answers, thoughts, are_open = (list(values) for values in zip(*parts, strict=True))
    if any(thoughts) or any(are_open):
        row.output = answers if several else answers[0]
        row.thought = (thoughts if several else thoughts[0]) if any(thoughts) else None
        row.truncated_thinking = any(are_open)
        row.truncated_thoughts = are_open if several and any(are_open) else None


def score_of(row: SampleRecord) -> Score:
    """Read a sample record as a score."""
    return Score(
        row.id, row.answer, row.target, row.values, failed=row.failed, cluster=row.cluster, labels=row.labels
    )  # fmt: skip


def _sample(row: SampleRecord) -> Sample:
    """Read a sample record as a sample without its requests."""
    return Sample(row.id, (), row.target, row.cluster, row.labels)


def recorded_predictions(row: SampleRecord) -> list[Prediction]:
    """Read the recorded outputs of a sample as predictions."""
    count = len(row.scores)
    outputs = row.output if count > 1 else [row.output]
    truncated = row.truncations or [row.truncated] * count
    open_thoughts = row.truncated_thoughts or [row.truncated_thinking] * count
    thoughts = row.thought if isinstance(row.thought, list) else [row.thought] * count
    tokens = row.tokens or [[]] * count
    parts = row.answered_by if isinstance(row.answered_by, list) else [row.answered_by] * count
    details = zip(outputs, truncated, row.scores, open_thoughts, thoughts, zip(tokens, parts, strict=True), strict=True)
    return [
        Prediction(
            row.id, output, row.failure if output is None else None, cut, tuple(scores), thought=thought,
            truncated_thinking=is_open, tokens=tuple(new_tokens), answered_by=part,
        )
        for output, cut, scores, is_open, thought, (new_tokens, part) in details
    ]  # fmt: skip


def _stored(name: str, metric: Metric) -> MetricEntry:
    """Store a metric. Raises `EvalsError` if it is not a finite number: it must never reach a table."""
    if not math.isfinite(metric.value):
        raise EvalsError(f"metric {name} is {metric.value} over {metric.n} items, expected a finite number")
    return MetricEntry.of(metric)


def _efficiency(
    sums: Mapping[str, int | float], n: int, peak_memory_bytes: int | None
) -> dict[str, int | float | None]:
    """Make the entries of a run; what no sample states (the tokens of another harness) is not known, and not zero."""
    seconds, computed = sums.get("seconds"), sums.get("computed_tokens")
    tokens = {name: sums.get(name) for name in ("prompt_tokens", "new_tokens")}
    costs = {
        "seconds": seconds,
        "samples_per_second": n / seconds if seconds else None,
        **{name: None if count is None else int(count) for name, count in tokens.items()},
        "padding_share": round(1 - sums.get("useful_tokens", 0) / computed, 9) if computed else None,
        "model_share": sums.get("model_seconds", 0) / seconds if seconds else None,
        "peak_memory_bytes": peak_memory_bytes,
        **{name: value for name, value in sums.items() if name not in _SUMS},
    }
    too_large = {name: float(cost) for name, cost in costs.items() if isinstance(cost, int) and abs(cost) >= 1 << 63}
    return costs | too_large  # JSON is written with whole numbers of 64 bits
