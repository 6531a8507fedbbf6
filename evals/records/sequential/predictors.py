"""What predicts a run's samples: the values of other runs of all of them, kept beside a run that stops early by them.

A run that stops at a precision with predictions keeps them in its folder before its first sample, and uses no others
when it goes on: who could choose among predictors after the fact would choose the one that pleases him.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from evals.errors import InputError, RecordError, counted, one_line, shorten
from evals.records.folder import Record, dumps
from evals.records.sequential.random_order import RandomOrder
from evals.records.stored import Real, Stored
from evals.statistics.sequential.sampled import PredictedClusters
from evals.temporaries import write_atomically

PREDICTIONS = "predictions.json"


class SetPredictions(Stored, kw_only=True):
    """The file `predictions.json`: a prediction of every sample, the mean of the values of some runs."""

    models: list[str]
    """The predictors' models."""
    signatures: list[str]
    """The signatures of their runs."""
    metric: str
    """The name of the value that is predicted."""
    values: dict[str, Real]
    """By sample ID, the prediction: between 0 and 1."""

    def clusters(self, ids: Sequence[str], order: RandomOrder) -> PredictedClusters:
        """Return the predictions of all clusters, in the order in which they are drawn.

        Args:
            ids: the IDs of the samples, in the order of the benchmark.
            order: their random order.
        """
        values_N = np.array([self.values[ids[position]] for position in order.positions], dtype=np.float64)
        sizes_C = np.diff([*order.starts, len(values_N)]).astype(np.float64)
        sums_C = np.add.reduceat(values_N, np.asarray(order.starts, dtype=np.intp)).clip(0, sizes_C)
        return PredictedClusters.of(sums_C, sizes_C)


def distinct(predictors: Sequence[Record]) -> list[Record]:
    """Return some runs without those that were given before, also by another path."""
    return list({predictor.folder.resolve(): predictor for predictor in reversed(predictors)}.values())[::-1]


def predictions_of(predictors: Sequence[Record], metric: str, ids: Collection[str], total: int) -> SetPredictions:
    """Average the values of some finished runs of all samples of a split, by sample.

    Args:
        predictors: the runs, at least one; of any model, prompt and harness.
        metric: the name of the value.
        ids: samples that they must have.
        total: the number of samples of the split.

    Raises:
        InputError: a run lacks samples, or a value is not between 0 and 1.
        RecordError: a run is not finished, or damaged.
    """
    predictors = distinct(predictors)
    values = _means([_values(predictor, metric, ids, total) for predictor in predictors])
    for id, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(
                f"{predictors[0].folder} cannot predict: {metric} of sample {shorten(id)} is {value:g}, expected 0 to 1"
            )
    return SetPredictions(
        models=[predictor.manifest.model_name for predictor in predictors],
        signatures=[predictor.manifest.signature for predictor in predictors],
        metric=metric,
        values=values,
    )


def kept_predictions(folder: Path) -> SetPredictions | None:
    """Return the predictions that a run keeps, or None. Raises `RecordError` if the file is damaged."""
    path = folder / PREDICTIONS
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=SetPredictions)
    except (OSError, msgspec.DecodeError) as error:
        raise RecordError(f"{path} cannot be read: {one_line(error)}; start the run again in another folder") from error


def keep_predictions(folder: Path, predictions: SetPredictions | None, *, begun: bool) -> None:
    """Keep the predictions of a run that is about to stop early by them; refuse others than those it began with.

    Args:
        folder: the run folder.
        predictions: those of this command, None without `--predictor`.
        begun: whether the folder has samples already.

    Raises:
        InputError: the run began with others.
    """
    kept = kept_predictions(folder)
    if begun and kept != predictions:
        names = "no --predictor" if kept is None else f"--predictor of {' and '.join(map(shorten, kept.models))}"
        raise InputError(
            f"{folder} was begun with {names}: predictions are chosen before the first sample and stay the same; give "
            f"the same, or begin a new run (--out)"
        )
    if predictions is not None and kept != predictions:
        write_atomically(folder / PREDICTIONS, dumps(predictions.to_dict()))
    elif predictions is None:
        (folder / PREDICTIONS).unlink(missing_ok=True)


def _values(predictor: Record, metric: str, ids: Collection[str], total: int) -> dict[str, float]:
    """Read the predictor's value of each sample of the split."""
    predictor.finished()
    values = {row.id: float(row.values[metric]) for row in predictor.values() if metric in row.values}
    missing = [id for id in ids if id not in values]
    if missing:
        raise InputError(
            f"{predictor.folder} cannot predict: it has no {metric} of {counted(len(missing), 'sample')} of the run, "
            f"the first is {shorten(missing[0])}"
        )
    if len(values) != total:
        raise InputError(
            f"{predictor.folder} cannot predict: it has {metric} of {counted(len(values), 'sample')}, and the split "
            f"has {total:,}; a predictor needs all of them (run it without --limit)"
        )
    return values


def _means(predictors: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average the values of the predictors by sample."""
    first, *others = predictors
    if any(other.keys() != first.keys() for other in others):
        raise InputError("the predictors have other samples than each other: they are not of one split")
    return {id: sum(values[id] for values in predictors) / len(predictors) for id in first}
