"""Runs that stopped early: the intervals of their metrics, and of the difference of two such runs.

A run that looks at its interval and stops when that is narrow enough has no interval of a fixed number of samples: it
would hold the true value too rarely. Its intervals are those of a confidence sequence, which hold at every look
(`evals.statistics.sequential`). A run has them if its result has fewer samples than its manifest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.sequential.entry import SequentialEntry
from evals.records.sequential.random_order import random_order
from evals.records.types import SampleValues
from evals.schema import Metric, Score
from evals.statistics.intervals import Interval
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.means import difference_sequence, mean_sequence, rescaled
from evals.statistics.sequential.sampled import SampledClusters, sampled_clusters

_WITHOUT = "no interval: the run stopped early, and the value is no mean of all samples' values between 0 and 1"
TESTS = (
    "confidence sequence (betting), which holds at every look",
    "none: a run stopped early, and the value is no mean of all samples between 0 and 1",
)
"""What shows a difference of runs of which one stopped early, and why nothing does."""


def drawn_clusters(
    ids: Sequence[str], clusters: Sequence[str], values: Sequence[float], seed: int, whole: FiniteSet
) -> SampledClusters:
    """Return the samples of a run in the order in which they were drawn.

    Args:
        ids: N sample IDs.
        clusters: N cluster names, as in `random_order`.
        values: N values between 0 and 1.
        seed: the seed of the run.
        whole: the set that they were drawn from.

    Raises:
        ValueError: they cannot be drawn from the set.
    """
    order = random_order(ids, clusters, seed)
    return sampled_clusters(np.array(values, dtype=np.float64)[list(order.positions)], order.starts, whole)


def of_stopped(
    metrics: Mapping[str, Metric], scores: Sequence[Score], entry: SequentialEntry, seed: int
) -> dict[str, Metric]:
    """Replace the intervals of the metrics of a run that stopped early by those of their confidence sequences.

    A mean of all samples' values between 0 and 1 has the interval for its value in the whole set. Other metrics have no
    interval, and a note says why.

    Args:
        metrics: by name, with any intervals.
        scores: the scores of the samples that the run has.
        entry: what the run states about its looks.
        seed: the seed of the run.
    """
    ids, clusters = [score.id for score in scores], [score.cluster for score in scores]

    def corrected(name: str, metric: Metric) -> Metric:
        values = [float(score.values.get(name, math.nan)) for score in scores]
        if not is_mean_of(metric, values):
            note = "; ".join(note for note in (metric.note, _WITHOUT) if note)
            return replace(metric, low=None, high=None, note=note)
        low, high = mean_sequence(drawn_clusters(ids, clusters, values, seed, entry.whole))
        return replace(metric, low=min(low, metric.value), high=max(high, metric.value))

    return {name: corrected(name, metric) for name, metric in metrics.items()}


def of_set_and_population(record: Record, name: str) -> Interval:
    """Return the interval of a mean of a run that stopped early, for the whole set and for its population.

    The interval of the metric is about the whole set only.

    Returns:
        The range of both intervals of the sequence; None for what is no mean of all samples' values between 0 and 1.
    """
    rows, entry = list(record.values()), record.finished().stopped
    values = [float(row.values.get(name, math.nan)) for row in rows]
    if entry is None or not is_mean_of(record.finished().metrics[name].metric(), values):
        return None
    ids, clusters = [row.id for row in rows], [row.cluster for row in rows]
    drawn = drawn_clusters(ids, clusters, values, record.manifest.task.seed, entry.whole)
    intervals = [mean_sequence(drawn, finite=finite) for finite in (True, False)]
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def is_mean_of(metric: Metric, values: Sequence[float]) -> bool:
    """Return whether a metric is the mean of all samples' values, and these lie between 0 and 1.

    Example:
        >>> is_mean_of(Metric(0.5, None, None, 2), [1.0, 0.0]), is_mean_of(Metric(0.5, None, None, 1), [1.0, 0.0])
        (True, False)
    """
    in_range = all(0 <= value <= 1 for value in values)  # False for what is no number
    stated = metric.statistic == "mean" and metric.unit == "fraction" and metric.n == len(values)
    return stated and in_range and math.isclose(metric.value, math.fsum(values) / len(values), abs_tol=1e-9)


def is_stopped(record: Record) -> bool:
    """Return whether a finished run stopped before its last sample."""
    return record.result is not None and record.result.stopped is not None


def common_samples_of_stopped(
    a: Record, b: Record, a_rows: Mapping[str, SampleValues], b_rows: Mapping[str, SampleValues]
) -> tuple[dict[str, SampleValues], dict[str, SampleValues]]:
    """Return the samples that both runs have, of which at least one stopped early: the first ones of the random order.

    Raises:
        InputError: both stopped in different orders, or the sets are not the same.
    """
    if a.manifest.data["ids"] != b.manifest.data["ids"]:
        raise InputError(f"{a.folder} and {b.folder} are runs of different samples, of which one stopped early")
    seeds = {record.manifest.task.seed for record in (a, b) if is_stopped(record)}
    if len(seeds) > 1:
        raise InputError(
            f"{a.folder} and {b.folder} stopped early in different random orders: their seeds are "
            f"{' and '.join(map(str, sorted(seeds)))}; run one of them again with the other's --seed"
        )
    ids = [id for id in a_rows if id in b_rows]
    return {id: a_rows[id] for id in ids}, {id: b_rows[id] for id in ids}


def difference_of_stopped(
    name: str, a: Record, b: Record, a_rows: Mapping[str, SampleValues], b_rows: Mapping[str, SampleValues]
) -> Interval:
    """Compute the interval of the mean difference of two runs of which at least one stopped early.

    Args:
        name: the name of a value of the samples.
        a: the first run.
        b: the second run.
        a_rows: by ID, the samples of the first run that both have (`common_samples_of_stopped`).
        b_rows: the same samples of the second run.

    Returns:
        The interval for `a - b`, or None for values that do not lie between 0 and 1, or that some samples lack.
    """
    record = a if is_stopped(a) else b
    entry = record.finished().stopped
    assert entry is not None
    a_N, b_N = (
        np.array([float(row.values.get(name, math.nan)) for row in (rows[id] for id in a_rows)])
        for rows in (a_rows, b_rows)
    )
    if not all(((values >= 0) & (values <= 1)).all() for values in (a_N, b_N)):
        return None
    clusters = [row.cluster for row in a_rows.values()]
    halves = rescaled(a_N, b_N).tolist()
    return difference_sequence(drawn_clusters([*a_rows], clusters, halves, record.manifest.task.seed, entry.whole))


def scored_entry(entry: SequentialEntry, old: Mapping[str, float], new: Mapping[str, float]) -> SequentialEntry:
    """Return what a run states about its looks after its outputs were scored again: with other values it decides none.

    Args:
        entry: what it stated.
        old: the values that counted, by sample ID.
        new: the values now.
    """
    if old == new:
        return entry
    return msgspec.structs.replace(
        entry, decision="undecided", low=None, high=None, difference=None, estimate=None, best=None, tied=[],
        history=[],
    )  # fmt: skip
