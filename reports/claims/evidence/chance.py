"""Whether a run scores no better than guessing: then its score shows nothing about the system."""

from __future__ import annotations

from evals.records.folder import Record
from evals.reports.claims.language import files


def chance_level(record: Record, metric: str) -> float | None:
    """Return the score of guessing, if a run's interval reaches down to it.

    Args:
        record: a finished run.
        metric: one of its metrics.

    Returns:
        The score of guessing as a fraction; None if the run is better, or guessing has no known score.
    """
    level = guessing(record.manifest.task.name, metric)
    entry = record.finished().metrics.get(metric)
    if level is None or entry is None:
        return None
    low = entry.value if entry.low is None else entry.low
    return level if low <= level else None


def guessing(task: str, metric: str) -> float | None:
    """Return the score of guessing in a task as a fraction; None if it has no known score in this metric."""
    return files.load_vocabulary().chance.get(task) if metric.startswith("accuracy") else None
