"""Which direction of a metric is better."""

from __future__ import annotations

from evals.records.folder import Record

_LOWER_UNITS = {"rank", "seconds", "bytes"}
"""Units whose lower values are better, for records of version 0.1, which do not state the direction of a metric."""


def higher_is_better(record: Record, metric: str) -> bool:
    """Whether a higher value of a metric is better.

    Args:
        record: a finished run.
        metric: one of its metrics.
    """
    entry = record.finished().metrics[metric]
    return entry.unit not in _LOWER_UNITS if entry.higher_is_better is None else entry.higher_is_better
