"""The official metrics of GLUE's tasks, and the leaderboard's average.

of_task(scores)     the metrics of one task, for each of its sets
of_suite(scores)    the metrics of every task, and the average over all nine
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evals.schema import Metric, Score
from evals.tasks.glue_tasks import HIGHEST, TABLE, Subtask, metric_name, metrics_of

if TYPE_CHECKING:
    from evals.metrics.estimates import Estimate


def of_task(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the official metrics of one task, for each of its sets."""
    return {name: estimate.metric() for name, estimate in _estimates(scores).items()}


def of_suite(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the metrics of every task, and the leaderboard's average over the tasks.

    The average gives equal weight to each task, and within a task to each metric (for MNLI, to each set). Its interval
    comes from resampling the tasks independently. A note says whether a metric is undefined. If tasks are missing there
    is no average: over some of the tasks it would look like the leaderboard's.
    """
    from evals.metrics.estimates import average

    by_task: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        by_task[score.labels["task"]].append(score)
    estimates_by_task = {name: _estimates(by_task[name]) for name in TABLE if name in by_task}
    estimates_by_name = {
        f"{task}/{name}": estimate for task, of_task in estimates_by_task.items() for name, estimate in of_task.items()
    }
    metrics = {name: estimate.metric() for name, estimate in estimates_by_name.items()}
    if missing := _missing(estimates_by_name):
        first = next(iter(metrics))
        notes = [note for note in (metrics[first].note, f"no average: without {', '.join(missing)}") if note]
        return {**metrics, first: replace(metrics[first], note="; ".join(notes))}
    undefined = [name for name, estimate in estimates_by_name.items() if estimate.note]
    task_means = [average(list(of_task.values()), len(by_task[task])) for task, of_task in estimates_by_task.items()]
    note = f"{', '.join(undefined)} undefined, counted as 0" if undefined else None
    return {"average": average(task_means, len(scores), note).metric(), **metrics}


def _missing(estimates_by_name: Mapping[str, Estimate]) -> list[str]:
    """Return the metrics of the leaderboard's average that are not there."""
    official = [f"{task.name}/{name}" for task in TABLE.values() for name in metrics_of(task)]
    return [name for name in official if name not in estimates_by_name]


def _estimates(scores: Sequence[Score]) -> dict[str, Estimate]:
    """Estimate the metrics of one task's scores."""
    from evals.metrics.estimates import estimates

    task = TABLE[scores[0].labels["task"]]
    by_set: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        by_set[score.labels.get("set", "")].append(score)
    estimates_by_name: dict[str, Estimate] = {}
    for subset, members in sorted(by_set.items()):
        targets, answers = zip(*(_numbers(task, score) for score in members), strict=True)
        clusters = [score.cluster for score in members]
        of_subset = estimates(task.metrics, targets, answers, clusters, stream=f"glue/{task.name}/{subset}")
        estimates_by_name |= {metric_name(name, members[0].labels): estimate for name, estimate in of_subset.items()}
    return estimates_by_name


def _numbers(task: Subtask, score: Score) -> tuple[float, float]:
    """Convert target and answer to numbers: none is a wrong label, or the end of STS-B's scale that is farther off."""
    if task.labels:
        target = task.labels.index(score.target)
        return target, (target + 1) % len(task.labels) if score.answer is None else task.labels.index(score.answer)
    return score.target, (0.0 if score.target > HIGHEST / 2 else HIGHEST) if score.answer is None else score.answer
