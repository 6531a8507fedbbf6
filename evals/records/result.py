"""From finished sample records to `result.json`.

Pure but for the reading of the records: the same records give the same bytes, whatever order they were finished in,
apart from the fields of `efficiency` that a clock or a memory gauge filled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from evals.errors import EvalsError, InputError
from evals.records.folder import Record
from evals.schema import Json, Metric, Prediction, Sample, Score, Task

_SUMS = ("prompt_tokens", "new_tokens", "computed_tokens", "useful_tokens", "seconds", "model_seconds")


def summarise(task: Task, record: Record, *, peak_memory_bytes: int | None) -> dict[str, Json]:
    """Make the result of a run whose samples are all on disk.

    Args:
        task: makes the metrics.
        record: the run.
        peak_memory_bytes: the most memory that the run held, where it is known.

    Raises:
        InputError: when there are no samples.
        EvalsError: when a metric is not a finite number.
    """
    counts = dict.fromkeys(("n", "failed", "unparsed", "truncated"), 0)
    sums = dict.fromkeys(_SUMS, 0.0)
    scores: list[Score] = []
    for row in record.samples():
        scores.append(_score(row))
        counts["n"] += 1
        counts["failed"] += row["failed"]
        counts["unparsed"] += row["answer"] is None and not row["failed"]
        counts["truncated"] += row["truncated"]
        for name, value in row["cost"].items():
            sums[name] = sums.get(name, 0) + value
    if not scores:
        raise InputError(f"{record.folder} holds no finished samples: there is nothing to score")
    manifest = record.manifest
    metrics = {name: _finite(name, metric) for name, metric in task.summarise(scores).items()}
    return {
        "task": task.name,
        "model": manifest["model"]["name"],
        "scale": manifest["task"]["scale"],
        "split": manifest["task"]["split"],
        **counts,
        "signature": manifest["signature"],
        "metrics": metrics,
        # Of a part of a split (MNLI's mismatched rows) the first metric stands for it.
        "headline": task.headline if task.headline in metrics else next(iter(metrics)),
        "efficiency": _efficiency(sums, counts["n"], peak_memory_bytes),
    }


def rescore(task: Task, record: Record) -> Iterable[dict[str, Json]]:
    """Score the recorded outputs again: yields the sample records with new answers and values. No model is needed."""
    rows = list(record.samples())
    samples = [_sample(row) for row in rows]
    scores = {score.id: score for score in task.score(samples, {row["id"]: _predictions(row) for row in rows})}
    for row in rows:
        score = scores[row["id"]]
        yield {**row, "answer": score.answer, "values": dict(score.values)}


def _score(row: Mapping[str, Json]) -> Score:
    """Read a sample record as the score that it holds."""
    return Score(
        row["id"], row["answer"], row["target"], row["values"], row["failed"], row["cluster"], row["labels"]
    )  # fmt: skip


def _sample(row: Mapping[str, Json]) -> Sample:
    """Read a sample record as the sample that it was made from, without its requests."""
    return Sample(row["id"], (), row["target"], row["cluster"], row["labels"])


def _predictions(row: Mapping[str, Json]) -> list[Prediction]:
    """Read the recorded outputs of a sample as predictions."""
    count = len(row["scores"])
    outputs = row["output"] if count > 1 else [row["output"]]
    cut = row.get("truncations") or [row["truncated"]] * count
    return [
        Prediction(row["id"], output, row["failure"] if output is None else None, truncated, tuple(scores))
        for output, truncated, scores in zip(outputs, cut, row["scores"], strict=True)
    ]


def _finite(name: str, metric: Metric) -> dict[str, Json]:
    """Refuse a metric that is no number: it must never reach a table."""
    if not math.isfinite(metric.value):
        raise EvalsError(f"metric {name} came out as {metric.value} over {metric.n} items")
    entry = asdict(metric)
    return {field: value for field, value in entry.items() if value or field not in {"note", "floors"}}


def _efficiency(sums: Mapping[str, float], n: int, peak_memory_bytes: int | None) -> dict[str, Json]:
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
