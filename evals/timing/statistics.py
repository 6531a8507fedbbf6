"""Statistics of timings: of one model, and of two models that alternated.

A value of each repetition (`latency`, in seconds) becomes a metric by a statistic: the median, a percentile for `/p95`
and `/p99`, the harmonic mean for `throughput`, the maximum for bytes. Intervals come from a bootstrap of two levels:
processes, and the repetitions of each process.

The state of the machine (warm or cold, busy or idle) changes timings more than the choice of model does. Ratios are
therefore only formed between repetitions of models that alternated in one session. The session is the cluster of its
samples; a pair consists of two values of one session, which are drawn together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evals.records.folder import Record
from evals.statistics.bootstrap import Floats, percentile_interval, two_level_indices
from evals.statistics.paired import BootstrapEstimate

Reduction = Callable[[Floats], Floats]
"""Reduces the last axis of an array."""
TimedPair = tuple[float, float]
"""The value of one model, and the value of the model that it alternated with."""
TAILS = {"/p95": 0.95, "/p99": 0.99}
"""Levels of the percentiles, by suffix of the metric name."""
REDUCTIONS: Mapping[str, Reduction] = {
    "median": functools.partial(np.median, axis=-1),
    "p95": functools.partial(np.quantile, q=0.95, axis=-1),
    "p99": functools.partial(np.quantile, q=0.99, axis=-1),
    "maximum": functools.partial(np.max, axis=-1),
    "harmonic-mean": lambda values: 1 / np.mean(1 / values, axis=-1),
}
"""The statistics by name, as in `Metric.statistic`."""


def statistic(metric: str) -> tuple[str, str]:
    """Return the value of a repetition that a metric is computed from, and the name of its statistic.

    Example:
        >>> statistic("latency/p95"), statistic("peak-memory")
        (('latency', 'p95'), ('peak-memory', 'maximum'))
        >>> round(float(REDUCTIONS["p95"](np.arange(101.0))), 6)
        95.0
    """
    for suffix in TAILS:
        if metric.endswith(suffix):
            return metric.removesuffix(suffix), suffix.removeprefix("/")
    if metric.endswith("throughput"):
        return metric, "harmonic-mean"
    return metric, "maximum" if "memory" in metric or "disk" in metric else "median"


def estimate(metric: str, groups: Sequence[Sequence[float]]) -> BootstrapEstimate:
    """Estimate a metric from the repetitions of each process.

    Example:
        >>> estimate("latency", [[1.0, 1.2, 1.1], [1.3, 1.1, 1.2]]).value
        1.15
    """
    of = REDUCTIONS[statistic(metric)[1]]
    values_N = np.array([value for group in groups for value in group], np.float64)
    if len(groups) < 2:  # one process does not show the variation between processes
        return BootstrapEstimate(float(of(values_N)), len(values_N), np.array([]))
    drawn_BN = two_level_indices([len(group) for group in groups], metric)
    return BootstrapEstimate(float(of(values_N)), len(values_N), of(values_N[drawn_BN]))


def ratio(metric: str, pairs: Sequence[Sequence[TimedPair]]) -> BootstrapEstimate:
    """Estimate the ratio of a metric between two models, from the pairs of each session.

    Example:
        >>> ratio("latency", [[(2.0, 1.0), (2.2, 1.1)], [(2.4, 1.2), (2.0, 1.0)]]).value
        2.0
    """
    return _related(metric, pairs, np.divide)


def difference(metric: str, pairs: Sequence[Sequence[TimedPair]]) -> BootstrapEstimate:
    """Estimate the difference of a metric between two models, from the pairs of each session.

    Example:
        >>> difference("latency", [[(2.0, 1.0), (2.5, 1.5)], [(2.25, 1.25), (2.0, 1.0)]]).value
        1.0
    """
    return _related(metric, pairs, np.subtract)


def _related(
    metric: str, pairs: Sequence[Sequence[TimedPair]], relate: Callable[[Floats, Floats], Floats]
) -> BootstrapEstimate:
    of = REDUCTIONS[statistic(metric)[1]]
    both_N2 = np.array([pair for group in pairs for pair in group], np.float64)
    value = float(relate(of(both_N2[:, 0]), of(both_N2[:, 1])))
    if len(pairs) < 2:  # one session does not show the variation between sessions
        return BootstrapEstimate(value, len(both_N2), np.array([]))
    drawn_BN = two_level_indices([len(group) for group in pairs], metric)
    return BootstrapEstimate(value, len(both_N2), relate(of(both_N2[drawn_BN, 0]), of(both_N2[drawn_BN, 1])))


def in_turn(a: Record, b: Record, metric: str) -> list[list[TimedPair]]:
    """Collect the pairs of values of two runs that alternated, grouped by session; failed repetitions have no pair.

    Args:
        a: a finished run.
        b: another finished run.
        metric: the metric that is computed from the values.

    Returns:
        The pairs of each session; an empty list if the runs did not alternate or do not have the value.
    """
    name, _ = statistic(metric)
    a_values, b_values = ({(row.cluster, row.id): row.values for row in record.values()} for record in (a, b))
    sessions: dict[str, list[TimedPair]] = {}
    for session, id in (key for key in a_values if key in b_values):
        a_value, b_value = a_values[session, id].get(name), b_values[session, id].get(name)
        if a_value is not None and b_value is not None:
            sessions.setdefault(session, []).append((float(a_value), float(b_value)))
    return list(sessions.values())


def not_in_turn(a: Record, b: Record) -> str:
    """Explain why the timings of two runs cannot be compared, and how to time them together."""
    names = [record.manifest.model["name"] for record in (a, b)]
    together = f"time them in one run, --model {','.join(names)} --task {a.manifest['task']['name']}"
    return f"{a.folder} and {b.folder} were not timed in turn, so their ratio would include machine drift: {together}"


def interval(estimated: BootstrapEstimate) -> tuple[float | None, float | None]:
    """Return the ends of the 95 % interval of an estimate, or twice None if it has no interval."""
    return percentile_interval(estimated.resampled_B) or (None, None)
