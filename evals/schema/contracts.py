"""Checks of what tasks and models give, which plug-ins write: each error names the function and what it returned.

The checks cost a few comparisons per sample. An exception that a plug-in's function raises itself is not caught here:
its traceback shows the plug-in's author where it is.
"""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from evals.errors import InputError, UnknownName, counted
from evals.schema.config import Options
from evals.schema.models import Batch, Family, Prompt, Variant
from evals.schema.requests import ABILITIES
from evals.schema.tasks import Metric, Prediction, Sample, Samples, Score, Task

_OPTIONS = frozenset({"samples", *(field.name for field in dataclasses.fields(Options))})


def check_task(task: Task) -> None:
    """Check the fields of a task that is registered.

    Raises:
        InputError: a field is not what the documentation of `Task` says.

    Example:
        >>> check_task(Task("capitals", "", 1, "generat", ("all",), "accuracy", len, len, len))
        Traceback (most recent call last):
            ...
        evals.errors.UnknownName: no ability of task 'capitals' is named 'generat'; did you mean 'generate'? known: choose, classify, embed, generate
    """  # noqa: E501
    where = f"task {task.name!r}"
    for ability in (task.needs, *task.methods.values()):
        if ability not in ABILITIES:
            raise UnknownName(f"ability of {where}", str(ability), ABILITIES)
    for option in task.supported_options:
        if option not in _OPTIONS:
            raise UnknownName(f"option of {where}", str(option), _OPTIONS)
    if not task.splits or not isinstance(task.splits, tuple) or not all(isinstance(name, str) for name in task.splits):
        raise InputError(f"{where} has splits={task.splits!r}, expected a tuple of one name or more, the default first")
    if not isinstance(task.version, int) or task.version < 1:
        raise InputError(f"{where} has version={task.version!r}, expected a whole number from 1")
    _check_functions(task, where, ("samples", "score", "summarise"))


def check_family(family: Family) -> None:
    """Check the fields of a family that is registered. Raises `InputError`."""
    where = f"family {family.name!r}"
    for ability in family.abilities:
        if ability not in ABILITIES:
            raise UnknownName(f"ability of {where}", str(ability), ABILITIES)
    _check_functions(family, where, ("load", "accepts"))


def check_variant(variant: Variant) -> None:
    """Check the fields of a model that is registered.

    Raises:
        InputError: it has no name, or its `compose` is no mapping of names.

    Example:
        >>> check_variant(Variant("pair", "composed", "", {}, details={"compose": ["r1", "vl"]}))
        Traceback (most recent call last):
            ...
        evals.errors.InputError: model 'pair': compose is ['r1', 'vl'] (list), expected names of models by modality or task (text: r1, image: vl)
    """  # noqa: E501
    if not isinstance(variant.name, str) or not variant.name.strip():
        raise InputError(f"a model has the name {_shown(variant.name)}, expected a text that is not empty")
    if "compose" not in variant.details:
        return
    where, routes = f"model {variant.name!r}", variant.details["compose"]
    pairs = routes.items() if isinstance(routes, Mapping) else ()
    if not pairs or not all(isinstance(name, str) and name.strip() for pair in pairs for name in pair):
        raise InputError(
            f"{where}: compose is {_shown(routes)}, expected names of models by modality or task (text: r1, image: vl)"
        )


def checked_samples(task: Task, samples: Any) -> Samples:
    """Return what `Task.samples` returned. Raises `InputError` if it is not `Samples`."""
    if not isinstance(samples, Samples):
        raise InputError(f"samples() of task {task.name!r} returned {_shown(samples)}, expected Samples")
    return samples


def checked_scores(task: Task, samples: Sequence[Sample], scores: Any) -> dict[str, Score]:
    """Return what `Task.score` returned, by sample id: one score per sample, in any order, with numbers as values.

    Raises:
        InputError: it is something else.
    """
    where = f"score() of task {task.name!r}"
    _check_list(scores, Score, where)
    expected, returned = [sample.id for sample in samples], [score.id for score in scores]
    if expected != returned and sorted(expected) != sorted(returned):
        odd_ids = sorted({*expected} ^ {*returned}) or [id for id in returned if returned.count(id) > 1]
        raise InputError(
            f"{where} returned {counted(len(returned), 'score')} for {counted(len(expected), 'sample')}, expected one "
            f"for each: see {odd_ids[0]!r}"
        )
    for score in scores:
        for name, value in score.values.items():
            if type(value) is not float and not isinstance(value, numbers.Real):  # the first answers at once
                raise InputError(f"{where} returned {name}={_shown(value)} for sample {score.id!r}, expected a number")
    return {score.id: score for score in scores}


def checked_metrics(task: Task, metrics: Any) -> Mapping[str, Metric]:
    """Return what `Task.summarise` returned: at least one metric. Raises `InputError` if it is something else."""
    where = f"summarise() of task {task.name!r}"
    if not isinstance(metrics, Mapping):
        raise InputError(f"{where} returned {_shown(metrics)}, expected a dict of Metric by name")
    for name, metric in metrics.items():
        if not isinstance(name, str) or not isinstance(metric, Metric):
            raise InputError(f"{where} returned {name!r}: {_shown(metric)}, expected a Metric by its name")
    if not metrics:
        raise InputError(f"{where} returned no metric")
    return metrics


def checked_predictions(model_name: str, prompts: Sequence[Prompt], batch: Batch, predictions: Any) -> list[Prediction]:
    """Return what `Model.run` returned: one prediction per member of the batch, in their order.

    Raises:
        InputError: it is something else.
    """
    where = f"run() of model {model_name!r}"
    _check_list(predictions, Prediction, where)
    expected = [prompts[member].request.id for member in batch.members]
    returned = [prediction.id for prediction in predictions]
    if returned != expected:
        raise InputError(
            f"{where} returned predictions for {_listed(returned)}, expected {_listed(expected)}: one per request of "
            f"the batch, in order"
        )
    return list(predictions)


def _check_list(returned: Any, kind: type, where: str) -> None:
    """Raise `InputError` unless every entry of a list is of a kind."""
    if not isinstance(returned, list | tuple):
        raise InputError(f"{where} returned {_shown(returned)}, expected a list of {kind.__name__}")
    for entry in returned:
        if not isinstance(entry, kind):
            raise InputError(f"{where} returned a list with {_shown(entry)}, expected a list of {kind.__name__}")


def _check_functions(value: Task | Family, where: str, names: Sequence[str]) -> None:
    for name in names:
        if not callable(getattr(value, name)):
            raise InputError(f"{where} has {name}={_shown(getattr(value, name))}, expected a function")


def _shown(value: Any) -> str:
    """Return a short form of a value with its type."""
    return f"{value!r:.60} ({type(value).__name__})"


def _listed(ids: Sequence[str]) -> str:
    """Return the first of some ids."""
    return ", ".join(map(repr, ids[:3])) + (f" and {len(ids) - 3:,} more" if len(ids) > 3 else "") if ids else "none"
