"""Statistics of timings: of one model, and of two models that alternated.

A value of each repetition (`latency`, in seconds) becomes a metric by the statistic that the task names and the result
states: the median of a time, a percentile for `/p95` and `/p99`, the harmonic mean of a throughput, the maximum of
bytes. The processes, and for two models the sessions,
are the units of an interval: it is Student's t interval of the statistics of the processes, on a logarithmic scale. A
few processes do not show how slow the slowest runs of other processes would be, so a percentile or a maximum of one
model has no interval; their ratio between two models has one.

The state of the machine (warm or cold, busy or idle) changes timings more than the choice of model does. Ratios are
therefore only formed between repetitions of models that alternated in one session, and for each session by itself: the
ratio of two models is the geometric mean of those of the sessions, their difference the mean. Pooled repetitions would
contain the drift between sessions. The session is the cluster of its samples; a pair consists of two values of one
session, which are drawn together.
"""

from __future__ import annotations

import functools
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.types import MetricEntry
from evals.statistics.clusters import Floats
from evals.statistics.intervals import LEVEL, Interval, t_quantile, two_sided_p
from evals.statistics.power import minimum_detectable

Reduction = Callable[[Floats], Floats]
"""Reduces the last axis of an array."""
TimedPair = tuple[float, float]
"""The value of one model, and the value of the model that it alternated with."""
TAILS = {"p90": 0.9, "p95": 0.95, "p99": 0.99}
"""Levels of the percentiles, by statistic."""
REDUCTIONS: Mapping[str, Reduction] = {
    "mean": lambda values: np.mean(values, axis=-1, dtype=np.float64),
    "median": functools.partial(np.median, axis=-1),
    "p90": functools.partial(np.quantile, q=0.9, axis=-1),
    "p95": functools.partial(np.quantile, q=0.95, axis=-1),
    "p99": functools.partial(np.quantile, q=0.99, axis=-1),
    "maximum": functools.partial(np.max, axis=-1),
    "harmonic-mean": lambda values: 1 / np.mean(1 / values, axis=-1),
}
"""The statistics by name, as in `Metric.statistic`."""
_ESTIMABLE = {"mean", "median", "harmonic-mean"}
"""The statistics of one model whose interval a few processes can give."""


class TimedMetric(NamedTuple):
    """What a metric of a timed task is computed from."""

    value: str
    """The value of a repetition: `latency` for the metrics `latency` and `latency/p95`."""
    statistic: str
    """A key of `REDUCTIONS`."""

    @classmethod
    def of(cls, metric: str, entry: MetricEntry) -> TimedMetric:
        """Read the statistic from a result; a result of version 0.1 does not state it, so its names decide.

        Args:
            metric: the name of the metric.
            entry: the metric in the result of a run.

        Raises:
            InputError: the statistic is not one of `REDUCTIONS`.

        Example:
            >>> latency = MetricEntry(value=0.2, low=None, high=None, n=30, unit="seconds", statistic="p95")
            >>> TimedMetric.of("latency/p95", latency)
            TimedMetric(value='latency', statistic='p95')
        """
        statistic = entry.statistic or _statistic_of_version_01(metric)
        if statistic not in REDUCTIONS:
            raise InputError(f"metric {metric!r} has the statistic {statistic!r}, expected {', '.join(REDUCTIONS)}")
        return cls(metric.removesuffix(f"/{statistic}"), statistic)


def _statistic_of_version_01(metric: str) -> str:
    """Return the statistic that version 0.1 computed for a metric of this name."""
    if metric.endswith(tuple(f"/{tail}" for tail in TAILS)):
        return metric.rpartition("/")[2]
    if metric.endswith("throughput"):
        return "harmonic-mean"
    return "maximum" if "memory" in metric or "disk" in metric else "median"


@dataclass(frozen=True, slots=True)
class TimingEstimate:
    """A statistic of all repetitions, and the same statistic of each process or session."""

    value: float
    """The statistic of all repetitions; of two models the mean of the sessions."""
    n: int
    """Number of repetitions, or of pairs."""
    units_G: Floats = field(repr=False)
    """(G,) the statistic of each process or session; empty if they do not allow an interval."""
    logarithmic: bool = True
    """Whether the interval is computed from logarithms: for times and ratios, but not for differences."""

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the t interval over the units; None with fewer than two of them, or without variation.

        Its centre is the mean of the units. Where that interval does not reach the value, it is extended to it.
        """
        if not self._varies:
            return None
        centre, half = self._scaled.mean(), t_quantile(level, len(self.units_G) - 1) * self._scaled_error
        low, high = (math.exp(end) if self.logarithmic else float(end) for end in (centre - half, centre + half))
        return min(low, self.value), max(high, self.value)

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of the hypothesis that the true value is `null`; 1 without an interval."""
        if not self._varies:
            return 1.0
        if self.value == null:
            return 1.0
        gap = float(self._scaled.mean()) - (math.log(null) if self.logarithmic else null)
        return two_sided_p(gap / self._scaled_error, len(self.units_G) - 1)

    @property
    def minimum_detectable(self) -> float:
        """The smallest true difference from equality that is found significant with 80 % power, in the value's unit."""
        if not self._varies:
            return 0.0
        return minimum_detectable(self._scaled_error * (abs(self.value) if self.logarithmic else 1.0))

    @property
    def _scaled(self) -> Floats:
        return np.log(self.units_G) if self.logarithmic else self.units_G

    @property
    def _scaled_error(self) -> float:
        return float(self._scaled.std(ddof=1)) / math.sqrt(len(self.units_G))

    @property
    def _varies(self) -> bool:
        if len(self.units_G) < 2 or (self.logarithmic and not (self.units_G > 0).all()):
            return False
        return float(np.ptp(self.units_G)) > 1e-12 * float(np.abs(self.units_G).max())


def estimate(statistic: str, groups: Sequence[Sequence[float]]) -> TimingEstimate:
    """Estimate a statistic from the repetitions of each process; a percentile or a maximum has no interval.

    Example:
        >>> estimate("median", [[1.0, 1.2, 1.1], [1.3, 1.1, 1.2]]).value
        1.15
        >>> estimate("p95", [[1.0, 1.2, 1.1], [1.3, 1.1, 1.2]]).interval() is None
        True
    """
    of = REDUCTIONS[statistic]
    values_N = np.array([value for group in groups for value in group], np.float64)
    units = [float(of(np.array(group, np.float64))) for group in groups] if statistic in _ESTIMABLE else []
    return TimingEstimate(float(of(values_N)), len(values_N), np.array(units))


def ratio(statistic: str, pairs: Sequence[Sequence[TimedPair]]) -> TimingEstimate:
    """Estimate the ratio of a statistic between two models, from the pairs of each session.

    Example:
        >>> ratio("median", [[(2.0, 1.0), (2.2, 1.1)], [(2.4, 1.2), (2.0, 1.0)]]).value
        2.0
    """
    return _related(statistic, pairs, np.divide, logarithmic=True)


def difference(statistic: str, pairs: Sequence[Sequence[TimedPair]]) -> TimingEstimate:
    """Estimate the difference of a statistic between two models, from the pairs of each session.

    Example:
        >>> difference("median", [[(2.0, 1.0), (2.5, 1.5)], [(2.25, 1.25), (2.0, 1.0)]]).value
        1.0
    """
    return _related(statistic, pairs, np.subtract, logarithmic=False)


def _related(
    statistic: str,
    pairs: Sequence[Sequence[TimedPair]],
    relate: Callable[[Floats, Floats], Floats],
    *,
    logarithmic: bool,
) -> TimingEstimate:
    of = REDUCTIONS[statistic]

    def related(pairs: Sequence[TimedPair]) -> float:
        both_N2 = np.array(pairs, np.float64)
        return float(relate(of(both_N2[:, 0]), of(both_N2[:, 1])))

    together, units_G = [pair for group in pairs for pair in group], np.array([related(group) for group in pairs])
    value = related(together)
    if len(units_G) > 1 and not logarithmic:
        value = float(units_G.mean())
    elif len(units_G) > 1 and (units_G > 0).all():
        value = math.exp(float(np.log(units_G).mean()))
    return TimingEstimate(value, len(together), units_G, logarithmic)


def in_turn(a: Record, b: Record, value: str) -> list[list[TimedPair]]:
    """Collect the pairs of values of two runs that alternated, grouped by session; failed repetitions have no pair.

    Args:
        a: a finished run.
        b: another finished run.
        value: the name of the value, as `TimedMetric.value`.

    Returns:
        The pairs of each session; an empty list if the runs did not alternate or do not have the value.
    """
    a_values, b_values = ({(row.cluster, row.id): row.values for row in record.values()} for record in (a, b))
    sessions: dict[str, list[TimedPair]] = {}
    for session, id in (key for key in a_values if key in b_values):
        a_value, b_value = a_values[session, id].get(value), b_values[session, id].get(value)
        if a_value is not None and b_value is not None:
            sessions.setdefault(session, []).append((float(a_value), float(b_value)))
    return list(sessions.values())


def not_in_turn(a: Record, b: Record) -> str:
    """Explain why the timings of two runs cannot be compared, and how to time them together."""
    names = [record.manifest.model["name"] for record in (a, b)]
    together = f"time them in one run, {model_option(names)} --task {a.manifest['task']['name']}"
    return f"{a.folder} and {b.folder} were not timed in turn, so their ratio would include machine drift: {together}"


def model_option(names: Sequence[str]) -> str:
    """Return the option of `run` that names several models, as it is typed in a shell.

    Example:
        >>> model_option(["r1", "v2"]), model_option(["my model", "v2"])
        ('--model r1,v2', "--model 'my model,v2'")
        >>> model_option(["replay:a,b.jsonl", "v2"])
        '--models-file FILE (one name per line: replay:a,b.jsonl v2)'
    """
    if any("," in name for name in names):
        return f"--models-file FILE (one name per line: {shlex.join(names)})"
    return f"--model {shlex.quote(','.join(names))}"


def interval(estimated: TimingEstimate) -> tuple[float | None, float | None]:
    """Return the ends of the 95 % interval of an estimate, or twice None if it has no interval."""
    return estimated.interval() or (None, None)
