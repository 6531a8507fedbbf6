"""PredictedSplit the headline of a whole split from a run of a part of it and runs of the whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from evals.errors import InputError, counted
from evals.records.folder import Record
from evals.records.sequential.predictors import distinct, predictions_of
from evals.records.sequential.random_order import order_key
from evals.records.types import MetricEntry
from evals.statistics.clusters import Floats
from evals.statistics.predictions import PredictionPowered, post_stratified, strata


@dataclass(frozen=True, slots=True)
class PredictedGroup:
    """Samples with like predictions."""

    least: float
    """The smallest prediction, between 0 and 1."""
    most: float
    """The largest."""
    of: int
    """Samples of the split."""
    n: int
    """Samples that the run has."""
    value: float
    """Their mean in the run."""


@dataclass(frozen=True, slots=True)
class PredictedSplit:
    """What a run of a part of a split says about the whole, with predictions."""

    run: Record
    predictors: tuple[Record, ...]
    metric: str
    """The name of the headline."""
    alone: MetricEntry
    """The metric of the run, without predictions."""
    powered: PredictionPowered
    groups: tuple[PredictedGroup, ...]
    """In the order of the predictions."""
    correlation: float | None
    """Of predictions and values in the run; None where one of them does not vary."""


def estimate(record: Record, predictors: Sequence[Record]) -> PredictedSplit:
    """PredictedSplit the headline of a split from a random part, with other runs of the split as predictions.

    A sample's prediction is its mean over the predictors. They may be of any model, prompt and harness: whatever they
    are, the interval stays right, and only its width depends on them.

    Args:
        record: a finished run with `--limit`.
        predictors: finished runs of all samples of the same split, at least one.

    Raises:
        InputError: the run has no random part, its headline is no mean of values between 0 and 1, or a predictor lacks
            samples or the value; the message says which.
        RecordError: a run is not finished or damaged.
    """
    total, entry = _part_of(record)
    name = record.finished().headline
    rows = {row.id: row for row in record.values()}
    values_n = np.array([row.values.get(name, np.nan) for row in rows.values()])
    if entry.statistic != "mean" or entry.unit != "fraction" or not ((values_n >= 0) & (values_n <= 1)).all():
        raise InputError(
            f"{record.folder}: --predictor needs a headline that is the mean of values between 0 and 1 of all samples; "
            f"{name} is none"
        )
    predictors = distinct(predictors)
    by_id = predictions_of(predictors, name, rows, total).values
    _check_split(record, [*by_id], rows)
    predictions_N = np.array(list(by_id.values()))
    groups_N = strata(predictions_N, len(rows))
    group_of = dict(zip(by_id, groups_N.tolist(), strict=True))
    groups_n = np.array([group_of[id] for id in rows])
    clusters = [row.cluster or f"\0{row.id}" for row in rows.values()]
    powered = post_stratified(values_n, groups_n, np.bincount(groups_N).tolist(), clusters)
    if powered is None:
        counts = f"{counted(len(rows), 'sample')} in {counted(len(set(clusters)), 'cluster')}"
        raise InputError(f"{record.folder} has {counts}, too few for --predictor: run more samples (run --limit N)")
    groups = tuple(
        _group(predictions_N[groups_N == group], values_n[groups_n == group]) for group in range(groups_N.max() + 1)
    )
    correlation = _correlation(np.array([by_id[id] for id in rows]), values_n)
    return PredictedSplit(
        record, tuple(predictors), name, entry, powered=powered, groups=groups, correlation=correlation
    )


def _part_of(record: Record) -> tuple[int, MetricEntry]:
    """Return the number of samples of the split of which the run has a random part, and the run's headline."""
    result, manifest = record.finished(), record.manifest
    if manifest.subset != "random" or manifest.samples_in_split is None:
        raise InputError(
            f"{record.folder} has {'the first' if manifest.subset == 'first' else 'all'} samples of its split: "
            "--predictor needs a random part of them (run --limit N, or --precision P)"
        )
    return manifest.samples_in_split, result.metrics[result.headline]


def _group(predictions: Floats, values: Floats) -> PredictedGroup:
    least, most = float(predictions.min()), float(predictions.max())
    return PredictedGroup(least, most, len(predictions), n=len(values), value=float(values.mean()))


def _check_split(record: Record, ids: Sequence[str], rows: Collection[str]) -> None:
    """Raise `InputError` unless the run's samples are the random part that `--limit` chooses among these."""
    seed = record.manifest.task.seed
    first = sorted(range(len(ids)), key=lambda index: (order_key(seed, ids[index]), index))[: len(rows)]
    if {ids[index] for index in first} != {*rows}:
        raise InputError(
            f"{record.folder} has no random part of the samples of the predictors: they are of another split, or of "
            "other data under the same ids"
        )


def _correlation(predictions_n: Floats, values_n: Floats) -> float | None:
    if not predictions_n.std() or not values_n.std():
        return None
    return float(np.corrcoef(predictions_n, values_n)[0, 1])
