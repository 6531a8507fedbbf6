"""From scores to metrics: pure functions over the figures of scored items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.metrics.classification import STATISTICS, Array
from evals.schema import Metric, Score
from evals.statistics.bootstrap import (
    RESAMPLES,
    Floats,
    Mask,
    cluster_bootstrap,
    percentile_interval,
    resampled_counts,
    resampled_weights,
    wilson,
)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of one figure over the items of a subset."""

    of: str
    """The figure: a key of `Score.values`."""
    label: str | None = None
    """The label that chooses the items, or None for all of them."""
    equals: str = ""
    """What that label says of the items that count."""


def means(scores: Sequence[Score], wanted: Mapping[str, Mean]) -> dict[str, Metric]:
    """Average figures over subsets of the items, each with its 95 % interval clustered by `Score.cluster`.

    An item of cluster "" is a cluster of its own. Values are exactly rounded sums, so they do not depend on the order
    of the items; neither do the intervals.

    Args:
        scores: at least one.
        wanted: what is averaged, by metric name; every subset has items.

    Returns:
        One metric a name, in the order of `wanted`; in the unit of the figure, a fraction. Where nothing varies, so
        that resampling shows no spread, the interval is Wilson's for as many trials as there are clusters.

    Raises:
        ValueError: no score, or a subset without items.

    Example:
        >>> scores = [
        ...     Score("1", "yes", "yes", {"accuracy": 1.0}, cluster="a", labels={"type": "yes/no"}),
        ...     Score("2", "red", "blue", {"accuracy": 0.0}, cluster="b", labels={"type": "other"}),
        ... ]
        >>> metrics = means(scores, {"accuracy": Mean("accuracy"), "other": Mean("accuracy", "type", "other")})
        >>> [(name, metric.value, metric.low, metric.n) for name, metric in metrics.items()]
        [('accuracy', 0.5, 0.0, 2), ('other', 0.0, 0.0, 1)]
    """
    if not scores:
        raise ValueError("no scores: there is nothing to average")
    names = {mean.of for mean in wanted.values()}
    figures = {name: np.array([score.values[name] for score in scores], dtype=np.float64) for name in names}
    columns = [figures[mean.of] for mean in wanted.values()]
    masks = _masks(scores, list(wanted.values()))
    clusters = [score.cluster or f"\0{score.id}" for score in scores]
    intervals = cluster_bootstrap(columns, clusters, masks)
    metrics = {}
    names_N = np.array(clusters, dtype=object)
    for name, column, mask, interval in zip(wanted, columns, masks, intervals, strict=True):
        chosen, owners = (column, names_N) if mask is None else (column[mask], names_N[mask])
        value = math.fsum(chosen.tolist()) / len(chosen)
        independent = len(set(owners.tolist()))
        low, high = interval or wilson(value * independent, independent)
        metrics[name] = Metric(value, low, high, n=len(chosen))
    return metrics


def _masks(scores: Sequence[Score], wanted: Sequence[Mean]) -> list[Mask | None]:
    """Say for each mean which items it is about; a label is read once, however many means it chooses for."""
    labels = {mean.label for mean in wanted if mean.label is not None}
    found = {label: np.array([score.labels.get(label) for score in scores], dtype=object) for label in labels}
    return [None if mean.label is None else found[mean.label] == mean.equals for mean in wanted]


# Statistics that are no means


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with what it is on resampled items, so that several can still be joined into one."""

    value: float
    """Of all items."""
    n: int
    """How many items there are."""
    resampled_B: Floats
    """Of each resample."""
    unit: str
    """As in `Metric`."""
    note: str | None = None
    """As in `Metric`."""

    def metric(self) -> Metric:
        """Keep the 95 % percentile interval of it; None where the statistic does not vary."""
        low, high = percentile_interval(self.resampled_B) or (None, None)
        return Metric(self.value, low, high, self.n, self.unit, self.note)


def estimates(
    names: Sequence[str],
    targets: Sequence[float],
    answers: Sequence[float],
    clusters: Sequence[str],
    *,
    stream: str,
    resamples: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Estimate statistics of one set of items from one set of resamples.

    Args:
        names: keys of `evals.metrics.classification.STATISTICS`, all of labels or all of scores.
        targets: N labels (numbers from 0) or scores.
        answers: N of the same.
        clusters: N names; items of one name are drawn together.
        stream: what is resampled; streams of different names are independent.
        resamples: how many are drawn.

    Returns:
        One a name. What is undefined has a note, the value 0, and does not vary.

    Raises:
        ValueError: as the statistics do.

    Example:
        >>> found = estimates(["accuracy", "matthews"], [1, 1, 0, 0], [1, 0, 0, 0], "abcd", stream="example")
        >>> {name: round(estimate.value, 3) for name, estimate in found.items()}, found["accuracy"].metric().low
        ({'accuracy': 0.75, 'matthews': 0.577}, 0.25)
    """
    values = {name: STATISTICS[name].value(targets, answers) for name in names}
    targets_N, answers_N = np.asarray(targets), np.asarray(answers)
    if STATISTICS[names[0]].of_labels:
        resampled = _of_counts(names, targets_N, answers_N, clusters, stream, resamples)
    else:
        resampled = _of_weights(names, targets_N, answers_N, clusters, stream, resamples)
    return {
        name: Estimate(
            value.value,
            len(targets),
            resampled[name] if value.note is None else np.full(resamples, value.value),
            STATISTICS[name].unit,
            value.note,
        )
        for name, value in values.items()
    }


def average(parts: Sequence[Estimate], n: int, note: str | None = None) -> Estimate:
    """Average estimates with equal weights; their resamples must be independent, or the same items'.

    Args:
        parts: at least one.
        n: how many items they are about together.
        note: what must be said of the average; the parts' notes stay with the parts.
    """
    value = math.fsum(part.value for part in parts) / len(parts)
    resampled_B = np.mean([part.resampled_B for part in parts], axis=0)
    return Estimate(value, n, resampled_B, "fraction", note)


def _of_counts(
    names: Sequence[str], targets_N: Array, answers_N: Array, clusters: Sequence[str], stream: str, resamples: int
) -> dict[str, Floats]:
    """Compute statistics of labels from resampled tables of targets by answers."""
    labels = 1 + max(1, targets_N.max(), answers_N.max())
    cells_NM = np.eye(labels * labels, dtype=np.int64)[targets_N * labels + answers_N]
    tables_BLL = resampled_counts(cells_NM, clusters, stream, resamples=resamples).reshape(-1, labels, labels)
    return {name: of_counts(tables_BLL) for name in names if (of_counts := STATISTICS[name].of_counts)}


def _of_weights(
    names: Sequence[str], targets_N: Array, answers_N: Array, clusters: Sequence[str], stream: str, resamples: int
) -> dict[str, Floats]:
    """Compute statistics of scores from how often each item was drawn."""
    chunks: dict[str, list[Floats]] = {name: [] for name in names}
    for weights_DN in resampled_weights(clusters, stream, resamples=resamples):
        for name in names:
            if of_weights := STATISTICS[name].of_weights:
                chunks[name].append(of_weights(weights_DN, targets_N, answers_N))
    return {name: np.concatenate(found) for name, found in chunks.items()}
