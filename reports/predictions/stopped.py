"""Estimate the headline of a whole set from a run that stopped early, with other runs of the set as predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.sequential.predictors import SetPredictions, distinct, predictions_of
from evals.records.sequential.random_order import random_order
from evals.records.sequential.stopped import drawn_clusters, is_mean_of
from evals.schema import Metric
from evals.statistics.sequential.looks import looks
from evals.statistics.sequential.means import SequenceEstimate, sequence_estimate
from evals.statistics.sequential.sampled import PredictedClusters, SampledClusters


@dataclass(frozen=True, slots=True)
class PredictedStop:
    """What a run that stopped early says about the whole set, with predictions."""

    run: Record
    predictors: tuple[Record, ...]
    metric: str
    """The name of the headline."""
    n: int
    """Samples of the run."""
    of: int
    """Samples of the set."""
    powered: SequenceEstimate
    """With the predictions."""
    alone: SequenceEstimate
    """Without them."""
    target: float | None
    """The precision that the run was asked for, a fraction; None after a race."""
    enough: int | None
    """Samples after which it would have stopped at this precision with these predictions; None if none of its looks
    has it."""


def estimate_stopped(record: Record, predictors: Sequence[Record]) -> PredictedStop:
    """Estimate the headline of the whole set from the samples of a run that stopped early.

    Args:
        record: a finished run that stopped early.
        predictors: finished runs of all samples of the set, at least one.

    Raises:
        InputError: the headline is no mean of values between 0 and 1, or a predictor lacks samples or the value.
        RecordError: a run is not finished or damaged.
    """
    result = record.finished()
    entry, name = result.stopped, result.headline
    assert entry is not None, "a run that stopped early"
    rows = list(record.values())
    values = [float(row.values.get(name, math.nan)) for row in rows]
    stored = result.metrics[name]
    metric = Metric(stored.value, None, None, stored.n, unit=stored.unit, statistic=stored.statistic or "")
    if not is_mean_of(metric, values):
        raise InputError(
            f"{record.folder}: --predictor needs a headline that is the mean of values between 0 and 1 of all samples; "
            f"{name} is none"
        )
    ids, seed = [row.id for row in rows], record.manifest.task.seed
    predictors = distinct(predictors)
    predictions = predictions_of(predictors, name, ids, entry.of)
    drawn = drawn_clusters(ids, [row.cluster for row in rows], values, seed, entry.whole)
    predicted = _in_order(record, predictors[0], predictions)
    point = sequence_estimate(drawn, predicted.first(len(drawn.sums_C)))
    target = entry.target if entry.rule == "precision" else None
    enough = None if target is None else _enough(drawn, predicted, target)
    return PredictedStop(
        record, tuple(predictors), name, n=result.n, of=entry.of,
        powered=point, alone=sequence_estimate(drawn), target=target, enough=enough,
    )  # fmt: skip


def _in_order(record: Record, predictor: Record, predictions: SetPredictions) -> PredictedClusters:
    """Return the predictions of all clusters, in the random order of the run.

    Raises:
        InputError: the run's samples are not the first ones of the predictor's in this order.
    """
    rows = sorted(predictor.values(), key=lambda row: row.index)
    ids, clusters = [row.id for row in rows], [row.cluster for row in rows]
    order, stopped = random_order(ids, clusters, record.manifest.task.seed), record.finished().stopped
    drawn = {row.id: row.cluster for row in record.values()}
    first = {ids[position]: clusters[position] for position in order.positions[: len(drawn)]}
    if stopped is None or first != drawn or order.whole != stopped.whole:
        raise InputError(
            f"{record.folder} has not the first samples of {predictor.folder} in random order: the predictor is of "
            f"another split, of other data under the same ids, or has other clusters"
        )
    return predictions.clusters(ids, order)


def _enough(drawn: SampledClusters, predicted: PredictedClusters, target: float) -> int | None:
    """Return the number of samples at the first look that is within the precision."""
    for count in looks(drawn.drawn_from.clusters):
        if count > len(drawn.sums_C):
            return None
        if sequence_estimate(drawn.first(count), predicted.first(count)).reach <= target:
            return drawn.first(count).samples
    return None
