"""Every metric of every task: whether a higher value is better, and what statistic it is.

python -m pytest tests/tasks/test_metric_directions.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from evals.records.embeddings import pack
from evals.registry import TASKS
from evals.schema import Choose, Embed, Metric, Options, Prediction, Request, ResourceRequirements, Sample
from evals.tasks import (  # noqa: F401  register the tasks
    custom,
    efficiency,
    glue,
    math,
    retrieval,
    sums,
    tones,
    vqa,
)
from evals.tasks.file_tasks import SHIPPED

LIMIT = 60
UP, DOWN = True, False

MATH = {
    "accuracy*": (UP, "mean"),
    "pass@*": (UP, "mean"),
    "majority": (UP, "mean"),
    "run-on": (DOWN, "mean"),
    "given-up": (DOWN, "mean"),
}
GLUE = {
    "cola": {"matthews": (UP, "matthews")},
    "sst2": {"accuracy": (UP, "mean")},
    "mrpc": {"accuracy": (UP, "mean"), "f1": (UP, "f1")},
    "stsb": {"pearson": (UP, "pearson"), "spearman": (UP, "spearman")},
    "qqp": {"accuracy": (UP, "mean"), "f1": (UP, "f1")},
    "mnli": {"accuracy/matched": (UP, "mean"), "accuracy/mismatched": (UP, "mean")},
    "qnli": {"accuracy": (UP, "mean")},
    "rte": {"accuracy": (UP, "mean")},
    "wnli": {"accuracy": (UP, "mean")},
}
TIMES = {
    f"{prefix}{name}{tail}": (DOWN, statistic)
    for prefix in ("", "long-", "caption-")
    for name in ("latency", "time-to-first-token", "per-token")
    for tail, statistic in (("", "median"), ("/p95", "p95"), ("/p99", "p99"))
}
METRICS: dict[str, dict[str, tuple[bool, str]]] = {
    "custom": {"accuracy": (UP, "mean"), "accuracy/*": (UP, "mean"), "contains": (UP, "mean")},
    "efficiency": {
        **TIMES,
        "*throughput": (UP, "harmonic-mean"),
        "*prompt-tokens": (DOWN, "median"),
        "*new-tokens": (DOWN, "median"),
        "peak-memory": (DOWN, "maximum"),
        "peak-memory/*": (DOWN, "maximum"),
        "size-on-disk": (DOWN, "maximum"),
        "device/read": (UP, "median"),
        "device/compute": (UP, "median"),
    },
    "glue": {
        "average": (UP, "average"),
        **{f"{task}/{name}": row for task, rows in GLUE.items() for name, row in rows.items()},
    },
    **{f"glue/{task}": rows for task, rows in GLUE.items()},
    "math": MATH,
    "math/gsm8k": MATH,
    "math/math": MATH,
    "math/math500": MATH,
    "math/sums": {"accuracy": (UP, "mean")},
    "retrieval": {
        "*/recall@*": (UP, "mean"),
        "*/map@10": (UP, "mean"),
        "*/median-rank": (DOWN, "median"),
        "rsum": (UP, "total"),
        "rsum/shared-captions": (UP, "total"),
        "rsum/shared-captions-gain": (UP, "difference"),
        "truncated-captions": (DOWN, "total"),
    },
    "tones": {"accuracy": (UP, "mean"), "accuracy/*": (UP, "mean")},
    "vqa": {"accuracy*": (UP, "mean")},
}
"""By task: patterns of metric names, with the direction and the statistic. Each metric matches exactly one pattern."""


def options(task: str, folder: Path) -> Options:
    if task != "custom":
        return Options(samples_per_problem=2 if task.startswith("math") and task != "math/sums" else 1)
    rows = [{"text": "Say red.", "target": "red"}, {"image": "a.png", "target": "red"}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Options(data=folder)


def answered(sample: Sample, request: Request) -> Prediction:
    if isinstance(request, Embed):
        vector = np.random.default_rng(len(request.id)).normal(size=4)
        return Prediction(request.id, pack(vector.astype(np.float32)), truncated=True)
    if isinstance(request, Choose):
        return Prediction(request.id, request.choices[-1])
    if isinstance(request.parts[-1], str) and request.min_new_tokens:
        needs = ResourceRequirements("cpu", "float32", 8, 8, 8.0, 8.0, 2.0, 0.0, 2.0, 1.0, 1.0)
        seconds = {"seconds": 2.0, "seconds to the first token": 1.0}
        counts = {"prompt tokens": 3, "new tokens": 4, "peak bytes": 64, "loaded bytes": 32}
        peaks = {"bytes_per_second": 1e9, "operations_per_second": 1e9}
        return Prediction(request.id, {**seconds, **counts, "demands": asdict(needs), "speeds": peaks})
    return Prediction(request.id, str(sample.target[0] if isinstance(sample.target, list) else sample.target))


def metrics_of(name: str, folder: Path) -> dict[str, Metric]:
    task = TASKS.get(name)
    every = task.samples(options(name, folder))
    samples = [every[index] for index in range(min(LIMIT, len(every)))]
    if name == "retrieval":  # two images with the same caption
        samples = [*samples, Sample("twin", samples[0].requests, samples[0].target)]
    predictions = {sample.id: [answered(sample, request) for request in sample.requests] for sample in samples}
    return task.summarise(task.score(samples, predictions))


def matches(metric: str, patterns: dict[str, tuple[bool, str]]) -> Iterator[str]:
    exact = [pattern for pattern in patterns if pattern == metric]
    yield from exact or [pattern for pattern in patterns if fnmatchcase(metric, pattern)]


def test_the_table_lists_every_task():  # "toy" is the plug-in of the tests; of task files, tests/tasks/files
    files = {task.name for task in SHIPPED}
    assert {*METRICS, *files} == {task.name for task in TASKS if not task.name.startswith("toy")}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_its_direction_and_statistic(name, tmp_path):
    patterns, unused = METRICS[name], set(METRICS[name])
    for metric, result in metrics_of(name, tmp_path).items():
        (pattern,) = matches(metric, patterns)
        assert (result.higher_is_better, result.statistic) == patterns[pattern], metric
        unused.discard(pattern)
    assert not unused
