"""Which tasks can stop early: those whose headline is a mean of values between 0 and 1, one for each sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.sequential.predictors import SetPredictions, predictions_of
from evals.records.sequential.random_order import RandomOrder, random_order
from evals.schema import Prediction, Samples, Task
from evals.schema.contracts import checked_metrics, checked_scores

PRECISION = "--precision"
"""The option of a run whose own interval decides, so that it does not matter which direction is better."""
_SCORED = 64
"""Number of samples that are scored without a model, to see which metrics a task computes."""


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """What a run needs to stop early."""

    order: RandomOrder
    """The random order of its samples."""
    headline: str
    """The name of the samples' value whose mean decides."""
    flag: str
    """What the user typed, for errors."""
    predictions: SetPredictions | None = None
    """A prediction of every sample, if other runs of them help to estimate the mean."""

    @classmethod
    def of(cls, task: Task, samples: Samples, seed: int, flag: str) -> EarlyStop:
        """Find what a run needs, before any model is loaded; every sample is built for its cluster.

        Raises:
            InputError: the task cannot stop early.
        """
        order = random_order(samples.ids, [sample.cluster for sample in samples], seed)
        return cls(order, _headline(task, samples, order, flag), flag)

    def predicted_by(self, predictors: Sequence[Record], samples: Samples) -> EarlyStop:
        """Return this with the values of finished runs of all samples as predictions; none leave it as it is.

        Raises:
            InputError: a run lacks samples, or has others.
        """
        if not predictors:
            return self
        predictions = predictions_of(predictors, self.headline, samples.ids, len(samples))
        return replace(self, predictions=predictions)


def _headline(task: Task, samples: Samples, order: RandomOrder, flag: str) -> str:
    """Return the metric by which a run of a task can stop early.

    Args:
        task: the task; some of its samples are scored as if a model had answered none of them.
        samples: the run's samples.
        order: their random order.
        flag: what the user typed, for the error.

    Raises:
        InputError: no interval of the headline holds at every look, or not all samples count.
    """
    instead = f"run it without {flag}"
    if not task.per_sample:
        raise InputError(
            f"{flag}: task {task.name!r} scores all samples together, so some of them do not estimate the value of "
            f"all; {instead}"
        )
    few = [samples[position] for position in order.positions[:_SCORED]]
    failed = {sample.id: [Prediction(request.id, failure="not asked") for request in sample.requests] for sample in few}
    scores = list(checked_scores(task, few, task.score(few, failed)).values())
    metrics = checked_metrics(task, task.summarise(scores))
    name = task.headline if task.headline in metrics else next(iter(metrics))
    metric, values = metrics[name], [score.values.get(name, math.nan) for score in scores]
    if metric.statistic == "average":
        raise InputError(
            f"{flag}: {name} of task {task.name!r} is an average of several tasks' metrics; give the tasks one by one, "
            f"or {instead}"
        )
    if metric.statistic != "mean" or metric.unit != "fraction":
        raise InputError(
            f"{flag}: {name} of task {task.name!r} is no mean of its samples' values ({metric.statistic}), and no "
            f"interval of it is known that holds at every look; {instead}"
        )
    if not metric.higher_is_better and flag != PRECISION:
        raise InputError(
            f"{flag}: lower values of {name} of task {task.name!r} are better, and a comparison that stops early takes "
            f"the higher one for better; {instead}"
        )
    if any(math.isnan(value) for value in values):
        raise InputError(
            f"{flag}: {name} of task {task.name!r} is the mean of a part of the samples; choose that part with "
            f"--split, or {instead}"
        )
    return name
