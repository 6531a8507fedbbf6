"""The set of samples of a task: its parts with their sizes and clusters, read without any model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evals import registry
from evals.errors import InputError
from evals.schema import Options, Task
from evals.statistics.planning import mean_cluster_size

_SUBSET_LABELS = ("task", "subset", "answer type")
"""Labels that divide a set into subsets which are questions of their own; the first that has several values."""
WHOLE = ""
"""The name of the part with all samples."""


@dataclass(frozen=True, slots=True)
class SetPart:
    """A set, or a subset of it."""

    size: int
    cluster_size: float
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class TaskSet:
    """The samples of a task."""

    task: Task
    label: str | None
    """The label that divides it into subsets; None if nothing does."""
    parts: Mapping[str, SetPart]
    """By the value of the label; `WHOLE` is all samples."""


def read_set(name: str, *, scale: str, split: str | None, data: str | None, columns: str | None = None) -> TaskSet:
    """Read the samples of a task, without opening an image.

    Raises:
        InputError: there is no such task, its requests are timed, or its data cannot be read.
    """
    task = registry.TASKS.get(name)
    if task.timed:
        raise InputError(f"task {name!r} is timed: its ratios depend on the machine, not on a number of samples")
    options = Options(scale=scale, split=split, data=_path(data), columns=columns)
    samples = task.samples(options)
    if not len(samples):
        raise InputError(f"task {name!r} has no samples in this split: there is nothing to plan")
    labels: dict[str, list[str]] = defaultdict(list)
    clusters = []
    for sample in samples:
        clusters.append(sample.cluster or f"\0{sample.id}")
        for label in _SUBSET_LABELS:
            labels[label].append(sample.labels.get(label, ""))
    divided_by = dividing_label(labels)
    values = labels.get(divided_by or "", [])
    return TaskSet(task, divided_by, _parts(values, clusters, is_suite(task, divided_by)))


def is_suite(task: Task, label: str | None) -> bool:
    """Return whether a task is several benchmarks in one, whose samples have no mean in common (GLUE)."""
    return label == "task" and task.name == "glue"


def dividing_label(labels: Mapping[str, Iterable[str]]) -> str | None:
    """Return the first label with several values, or None."""
    return next((name for name in _SUBSET_LABELS if len(set(labels.get(name, ())) - {""}) > 1), None)


def _parts(values: list[str], clusters: list[str], suite: bool) -> dict[str, SetPart]:
    parts = {} if suite else {WHOLE: SetPart(len(clusters), mean_cluster_size(clusters))}
    for value in Counter(values):
        if value:
            of_part = [cluster for cluster, own_value in zip(clusters, values, strict=True) if own_value == value]
            parts[value] = SetPart(len(of_part), mean_cluster_size(of_part))
    return parts


def _path(data: str | None) -> Path | None:
    return None if data is None else Path(data).expanduser()
