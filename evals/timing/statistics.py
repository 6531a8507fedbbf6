"""What timings say of one model, and of two that were timed in turn.

A figure of a repetition (`latency`, in seconds) becomes a metric by a statistic: the median, for `/p95` and `/p99` a
percentile, for `throughput` the harmonic mean, for bytes the most. Intervals come from a bootstrap of two levels,
processes and the repetitions of each.

Timings of different moments differ by more than models do: the machine is warm or cold, busy or idle. So a ratio is
only ever formed of repetitions that were computed in turn, in processes that ran side by side: such a session is the
cluster of its samples, and pairs are of one session. The two members of a pair are drawn together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from evals.records.folder import Record
from evals.statistics.bootstrap import Floats, percentile_interval, two_level_indices
from evals.statistics.paired import BootstrapEstimate

Reduction = Callable[[Floats], Floats]
"""Of the last axis of an array."""
TimedPair = tuple[float, float]
"""A figure of one model, and of the other that took its turn beside it."""
TAILS = {"/p95": 0.95, "/p99": 0.99}


def statistic(metric: str) -> tuple[str, Reduction]:
    """Give the figure of a repetition that a metric is made of, and how.

    Example:
        >>> figure, tail = statistic("latency/p95")
        >>> figure, round(float(tail(np.arange(101.0))), 6)
        ('latency', 95.0)
    """
    for suffix, level in TAILS.items():
        if metric.endswith(suffix):
            return metric.removesuffix(suffix), functools.partial(np.quantile, q=level, axis=-1)
    if metric.endswith("throughput"):
        return metric, lambda values: 1 / np.mean(1 / values, axis=-1)
    if "memory" in metric or "disk" in metric:
        return metric, lambda values: np.max(values, axis=-1)
    return metric, lambda values: np.median(values, axis=-1)


def estimate(metric: str, groups: Sequence[Sequence[float]]) -> BootstrapEstimate:
    """Estimate a metric from the repetitions of each process.

    Example:
        >>> estimate("latency", [[1.0, 1.2, 1.1], [1.3, 1.1, 1.2]]).value
        1.15
    """
    _, of = statistic(metric)
    values_N = np.array([value for group in groups for value in group], np.float64)
    if len(groups) < 2:  # one process does not show how processes vary
        return BootstrapEstimate(float(of(values_N)), len(values_N), np.array([]))
    drawn_BN = two_level_indices([len(group) for group in groups], metric)
    return BootstrapEstimate(float(of(values_N)), len(values_N), of(values_N[drawn_BN]))


def ratio(metric: str, pairs: Sequence[Sequence[TimedPair]]) -> BootstrapEstimate:
    """Estimate a metric of one model over that of another, from the pairs of each session.

    Example:
        >>> ratio("latency", [[(2.0, 1.0), (2.2, 1.1)], [(2.4, 1.2), (2.0, 1.0)]]).value
        2.0
    """
    return _related(metric, pairs, np.divide)


def difference(metric: str, pairs: Sequence[Sequence[TimedPair]]) -> BootstrapEstimate:
    """Estimate a metric of one model less that of another, from the pairs of each session.

    Example:
        >>> difference("latency", [[(2.0, 1.0), (2.5, 1.5)], [(2.25, 1.25), (2.0, 1.0)]]).value
        1.0
    """
    return _related(metric, pairs, np.subtract)


def _related(
    metric: str, pairs: Sequence[Sequence[TimedPair]], relate: Callable[[Floats, Floats], Floats]
) -> BootstrapEstimate:
    _, of = statistic(metric)
    both_N2 = np.array([pair for group in pairs for pair in group], np.float64)
    value = float(relate(of(both_N2[:, 0]), of(both_N2[:, 1])))
    if len(pairs) < 2:  # one session does not show how sessions vary
        return BootstrapEstimate(value, len(both_N2), np.array([]))
    drawn_BN = two_level_indices([len(group) for group in pairs], metric)
    return BootstrapEstimate(value, len(both_N2), relate(of(both_N2[drawn_BN, 0]), of(both_N2[drawn_BN, 1])))


def in_turn(a: Record, b: Record, metric: str) -> list[list[TimedPair]]:
    """Gather the pairs of a figure that two runs have of one session, session by session; a failed one has no pair.

    Args:
        a: a finished run.
        b: another.
        metric: the metric that is made of the figure.

    Returns:
        Nothing where the runs were not timed in turn, or lack the figure.
    """
    figure, _ = statistic(metric)
    ours, theirs = ({(row["cluster"], row["id"]): row["values"] for row in record.samples()} for record in (a, b))
    sessions: dict[str, list[TimedPair]] = {}
    for session, id in (place for place in ours if place in theirs):
        own, other = ours[session, id].get(figure), theirs[session, id].get(figure)
        if own is not None and other is not None:
            sessions.setdefault(session, []).append((float(own), float(other)))
    return list(sessions.values())


def not_in_turn(a: Record, b: Record) -> str:
    """Say why two runs' timings are not set against each other, and what to do."""
    names = [record.manifest["model"]["name"] for record in (a, b)]
    together = f"time them in one run, --model {','.join(names)} --task {a.manifest['task']['name']}"
    return f"{a.folder} and {b.folder} were not timed in turn, so their ratio would be the machine's too: {together}"


def interval(found: BootstrapEstimate) -> tuple[float | None, float | None]:
    """The ends of an estimate's 95 % interval, or None twice."""
    return percentile_interval(found.resampled_B) or (None, None)
