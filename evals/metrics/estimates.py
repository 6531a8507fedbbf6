"""Compute metrics with confidence intervals from the scores of samples.

    means        means of sample values over subsets of the samples
    estimates    statistics that are not means (F1, correlations), with their resamples
    average      the mean of several such estimates

Letters in array names: N items, M cells, L labels, B resamples, D resamples drawn at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.metrics.classification import STATISTICS, Array
from evals.schema import Metric, Score
from evals.statistics.bootstrap import RESAMPLES, percentile_interval, resampled_counts, resampled_weights
from evals.statistics.clusters import Floats, Mask
from evals.statistics.intervals import Interval, mean_intervals


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a sample value over a subset of the samples."""

    of: str
    """The name of the value: a key of `Score.values`."""
    label: str | None = None
    """The key of `Score.labels` that selects the samples; None selects all samples."""
    equals: str = ""
    """The value of that label in the selected samples."""
    higher_is_better: bool = True
    """As in `evals.schema.Metric`."""


def means(scores: Sequence[Score], definitions: Mapping[str, Mean]) -> dict[str, Metric]:
    """Compute means of sample values over subsets, with 95 % intervals whose sampling units are `Score.cluster`.

    A sample whose cluster is "" is its own cluster. Neither the means (exactly rounded sums) nor the intervals
    depend on the order of the samples.

    Args:
        scores: the scored samples, at least one.
        definitions: the means to compute, by metric name; every subset must have samples.

    Returns:
        One metric per name, in the same order, with the unit `fraction` and the interval of
        `evals.statistics.intervals.mean_intervals`.

    Raises:
        ValueError: there are no scores, or a subset has no samples.

    Example:
        >>> scores = [
        ...     Score("1", "yes", "yes", {"accuracy": 1.0}, cluster="a", labels={"type": "yes/no"}),
        ...     Score("2", "red", "blue", {"accuracy": 0.0}, cluster="b", labels={"type": "other"}),
        ... ]
        >>> metrics = means(scores, {"accuracy": Mean("accuracy"), "other": Mean("accuracy", "type", "other")})
        >>> [(name, metric.value, round(metric.low, 3), metric.n) for name, metric in metrics.items()]
        [('accuracy', 0.5, 0.013, 2), ('other', 0.0, 0.0, 1)]
    """
    if not scores:
        raise ValueError("no scores: there is nothing to average")
    value_names = {mean.of for mean in definitions.values()}
    values_by_name = {
        name: np.array([score.values[name] for score in scores], dtype=np.float64) for name in value_names
    }
    columns = [values_by_name[mean.of] for mean in definitions.values()]
    masks = _masks(scores, list(definitions.values()))
    clusters = [score.cluster or f"\0{score.id}" for score in scores]
    intervals = mean_intervals(columns, clusters, masks)
    metrics = {}
    for (name, mean), column, mask, interval in zip(definitions.items(), columns, masks, intervals, strict=True):
        subset = column if mask is None else column[mask]
        value = math.fsum(subset.tolist()) / len(subset)
        low, high = interval or (None, None)
        metrics[name] = Metric(value, low, high, n=len(subset), higher_is_better=mean.higher_is_better)
    return metrics


def _masks(scores: Sequence[Score], definitions: Sequence[Mean]) -> list[Mask | None]:
    """Select the samples of each mean; each label is read once, however many means use it."""
    labels = {mean.label for mean in definitions if mean.label is not None}
    values_by_label = {label: np.array([score.labels.get(label) for score in scores], dtype=object) for label in labels}
    # As objects: NumPy's own texts lose the zeros at their end, so that "x" would equal "x\0".
    return [
        None if mean.label is None else values_by_label[mean.label] == np.array(mean.equals, dtype=object)
        for mean in definitions
    ]


# Statistics that are not means


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic and its resampled values, so that several estimates can be combined into one."""

    value: float
    """The statistic of all items."""
    n: int
    """Number of items."""
    resampled_B: Floats
    """(B,) the statistic of each resample."""
    unit: str
    """The unit, as in `evals.schema.Metric`."""
    note: str | None = None
    """As in `evals.schema.Metric`: why the value is a convention and not a measurement."""
    statistic: str = "mean"
    """As in `evals.schema.Metric`: `f1`, `pearson`, `average`, …"""
    higher_is_better: bool = True
    """As in `evals.schema.Metric`."""
    mean_interval: Interval = None
    """The 95 % interval of a mean, which does not come from the resamples; None for other statistics."""

    def metric(self) -> Metric:
        """Make a metric with the interval of the mean, or the percentile interval, None if nothing varies."""
        low, high = self.mean_interval or percentile_interval(self.resampled_B) or (None, None)
        return Metric(
            self.value, low, high, self.n, self.unit, self.note,
            higher_is_better=self.higher_is_better, statistic=self.statistic,
        )  # fmt: skip


def estimates(
    names: Sequence[str],
    targets: Sequence[float],
    answers: Sequence[float],
    clusters: Sequence[str],
    *,
    stream: str,
    resamples: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Estimate several statistics of the same items from one set of resamples; an accuracy has the interval of a mean.

    Args:
        names: keys of `evals.metrics.classification.STATISTICS`, either all of labels or all of scores.
        targets: N labels (numbered from 0) or N scores.
        answers: N labels or scores, like the targets.
        clusters: N cluster names; items with the same name are drawn together.
        stream: name of the random stream; streams with different names are independent.
        resamples: number of resamples.

    Returns:
        One estimate per name. An undefined statistic has the value 0, a note, and no variation.

    Raises:
        ValueError: targets and answers are not valid input of the statistics.

    Example:
        >>> by_name = estimates(["accuracy", "matthews"], [1, 1, 0, 0], [1, 0, 0, 0], "abcd", stream="example")
        >>> {name: round(estimate.value, 3) for name, estimate in by_name.items()}
        {'accuracy': 0.75, 'matthews': 0.577}
        >>> round(by_name["accuracy"].metric().low, 3), by_name["matthews"].metric().low
        (0.194, 0.0)
    """
    values = {name: STATISTICS[name].value(targets, answers) for name in names}
    targets_N, answers_N = np.asarray(targets), np.asarray(answers)
    of_mean: dict[str, Interval] = {}
    if "accuracy" in names:
        (of_mean["accuracy"],) = mean_intervals([(targets_N == answers_N).astype(np.float64)], clusters)
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
            statistic="mean" if name == "accuracy" else name,
            mean_interval=of_mean.get(name),
        )
        for name, value in values.items()
    }


def average(parts: Sequence[Estimate], n: int, note: str | None = None) -> Estimate:
    """Average estimates with equal weights.

    Args:
        parts: the estimates, at least one; their resamples are independent, or of the same items.
        n: the total number of items.
        note: a note on the average; the notes of the parts are not copied.
    """
    value = math.fsum(part.value for part in parts) / len(parts)
    resampled_B = np.mean([part.resampled_B for part in parts], axis=0)
    return Estimate(value, n, resampled_B, "fraction", note, statistic="average")


def _of_counts(
    names: Sequence[str], targets_N: Array, answers_N: Array, clusters: Sequence[str], stream: str, resamples: int
) -> dict[str, Floats]:
    """Compute statistics of labels from resampled confusion matrices of targets by answers."""
    labels = 1 + max(1, targets_N.max(), answers_N.max())
    cells_NM = np.eye(labels * labels, dtype=np.int64)[targets_N * labels + answers_N]
    tables_BLL = resampled_counts(cells_NM, clusters, stream, resamples=resamples).reshape(-1, labels, labels)
    return {name: of_counts(tables_BLL) for name in names if (of_counts := STATISTICS[name].of_counts)}


def _of_weights(
    names: Sequence[str], targets_N: Array, answers_N: Array, clusters: Sequence[str], stream: str, resamples: int
) -> dict[str, Floats]:
    """Compute statistics of scores from how often each item is drawn."""
    chunks: dict[str, list[Floats]] = {name: [] for name in names}
    for weights_DN in resampled_weights(clusters, stream, resamples=resamples):
        for name in names:
            if of_weights := STATISTICS[name].of_weights:
                chunks[name].append(of_weights(weights_DN, targets_N, answers_N))
    return {name: np.concatenate(values) for name, values in chunks.items()}
