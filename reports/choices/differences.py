"""How the candidates differ from one of them: in quality by paired tests, in costs by ratios.

The quality of two runs is compared on their shared samples, by the test of `compare`. A metric that is no mean of its
samples' values (GLUE's average) has none; there the two values are compared as if they were of different samples, which
shows less. All these p-values of a selection are corrected together, by Holm's method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evals.comparison import compare
from evals.reports.choices.measurements import DEVICE_TIME, ModelCandidate, charges
from evals.reports.choices.requirements import COSTS, LATENCY, PRICE
from evals.reports.runs.conclusion import points
from evals.schema import Metric
from evals.statistics import paired
from evals.statistics.intervals import LEVEL, t_quantile, two_sided_p
from evals.timing import statistics

Shown = Literal["better", "worse", "neither", "untested"]
_ALPHA = 1 - LEVEL
_MANY = 10_000
"""Degrees of freedom at which Student's t is normal."""


@dataclass(frozen=True, slots=True)
class QualityDifference:
    """How much better a candidate is than the reference, in the headline of one task."""

    task: str
    metric: str
    value: float
    """Positive where the candidate is better."""
    low: float | None
    high: float | None
    p: float | None
    test: str
    unit: str
    adjusted: float | None = None
    """The p-value after Holm's correction."""

    @property
    def shown(self) -> Shown:
        """What the test shows about the candidate."""
        if self.adjusted is None:
            return "untested"
        if self.adjusted >= _ALPHA or not self.value:
            return "neither"
        return "better" if self.value > 0 else "worse"

    @property
    def text(self) -> str:
        """The difference, with its interval."""
        value = points(self.value, self.unit, sign=True)
        if self.low is None or self.high is None:
            return value
        low, high = (points(end, self.unit, sign=True).removesuffix(" points") for end in (self.low, self.high))
        return f"{value} ({low} to {high})"


@dataclass(frozen=True, slots=True)
class CostRatio:
    """How many times as much a candidate costs as the reference."""

    name: str
    """One of `COSTS`."""
    value: float
    low: float | None
    high: float | None

    @property
    def shown(self) -> Shown:
        """What the interval shows about the candidate."""
        if self.low is None or self.high is None:
            return "untested"
        return "better" if self.high < 1 else "worse" if self.low > 1 else "neither"


def in_quality(
    reference: ModelCandidate, others: Sequence[ModelCandidate], tasks: Sequence[str]
) -> dict[str, list[QualityDifference]]:
    """Compare candidates with a reference in every task.

    Args:
        reference: a candidate with a run of every task.
        others: candidates with comparable runs of every task.
        tasks: the tasks.

    Returns:
        By name of the candidate, its differences in the order of the tasks.

    Raises:
        RecordError: a run does not agree with itself.
    """
    raw = [(other.name, _difference(reference, other, task)) for other in others for task in tasks]
    tested = [difference.p for _, difference in raw if difference.p is not None]
    corrected = iter(paired.holm(tested))
    differences: dict[str, list[QualityDifference]] = {other.name: [] for other in others}
    for name, difference in raw:
        adjusted = next(corrected) if difference.p is not None else None
        differences[name].append(replace(difference, adjusted=adjusted))
    return differences


def in_costs(reference: ModelCandidate, other: ModelCandidate) -> list[CostRatio]:
    """Compare the costs of a candidate with those of a reference, as far as both were measured and are comparable."""
    ratios = [_cost_ratio(reference, other, name) for name in COSTS]
    return [ratio for ratio in ratios if ratio is not None]


def _difference(reference: ModelCandidate, other: ModelCandidate, task: str) -> QualityDifference:
    comparison = compare(other.runs[task], reference.runs[task])
    headline, sign = comparison.metrics[0], 1.0 if other.quality[task].higher_is_better else -1.0
    value, unit = sign * headline.difference, other.quality[task].unit
    p: float | None = headline.p
    if p is not None:
        low, high = _signed(headline.low, headline.high, sign)
        test = headline.test
    elif "first" in (other.runs[task].manifest.subset, reference.runs[task].manifest.subset):
        low, high, test = None, None, headline.test
    else:
        low, high, p = _unpaired(other.quality[task], reference.quality[task], value)
        test = "the intervals of both, as if they were of different samples" if p is not None else headline.test
    return QualityDifference(
        task=task, metric=headline.name, value=value, low=low, high=high, p=p, test=test, unit=unit
    )


def _signed(low: float | None, high: float | None, sign: float) -> tuple[float | None, float | None]:
    if low is None or high is None:
        return None, None
    return (low, high) if sign > 0 else (-high, -low)


def _unpaired(a: Metric, b: Metric, value: float) -> tuple[float | None, float | None, float | None]:
    """Return the interval of a difference and its p-value, from the intervals of both; None without them."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None, None, None
    half = math.hypot(a.high - a.low, b.high - b.low) / 2
    if not half:
        return None, None, None
    error = half / t_quantile(LEVEL, _MANY)
    return value - half, value + half, two_sided_p(value / error, _MANY)


def _cost_ratio(reference: ModelCandidate, other: ModelCandidate, name: str) -> CostRatio | None:
    a, b = other.measured(name), reference.measured(name)
    if a is None or b is None or a.unit != b.unit or not b.value > 0:
        return None
    if name == PRICE and other.price_of != reference.price_of:
        return None
    if name == PRICE and other.price_of != DEVICE_TIME:
        return _charged_ratio(reference, other, a.value / b.value)
    if name in {PRICE, LATENCY}:
        return _timed_ratio(reference, other, name)
    return CostRatio(name, a.value / b.value, None, None)


def _timed_ratio(reference: ModelCandidate, other: ModelCandidate, name: str) -> CostRatio | None:
    """Compare two models by the times of their sessions; None unless they were timed in turn."""
    if other.timing is None or reference.timing is None or not (other.in_turn and reference.in_turn):
        return None
    value, statistic = ("latency", "median") if name == LATENCY else ("throughput", "harmonic-mean")
    prefix = "" if other.kind == "short" else f"{other.kind}-"
    pairs = statistics.in_turn(other.timing, reference.timing, f"{prefix}{value}")
    if not pairs:
        sessions = [{row.cluster for row in timing.values()} for timing in (other.timing, reference.timing)]
        a, b = other.measured(name), reference.measured(name)
        if a is None or b is None or not sessions[0] & sessions[1]:  # each was timed with a third one
            return None
        return CostRatio(name, a.value / b.value, None, None)  # an archive of a check keeps only the times
    estimate = statistics.ratio(statistic, pairs)
    low, high = statistics.interval(estimate)
    if name == LATENCY:
        return CostRatio(name, estimate.value, low, high)
    return CostRatio(name, 1 / estimate.value, None if high is None else 1 / high, None if low is None else 1 / low)


def _charged_ratio(reference: ModelCandidate, other: ModelCandidate, value: float) -> CostRatio:
    """Compare what a server charged for the same samples; without an interval where the tasks of the prices differ."""
    if len(other.runs) != 1 or other.runs.keys() != reference.runs.keys() or other.failed or reference.failed:
        return CostRatio(PRICE, value, None, None)
    (task,) = other.runs
    costs_N, clusters = charges(other.runs[task])
    estimate = paired.ratio(costs_N, charges(reference.runs[task])[0], clusters)
    low, high = (estimate.interval() or (None, None)) if estimate is not None else (None, None)
    return CostRatio(PRICE, value, low, high)
