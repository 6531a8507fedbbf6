"""Use the suite's metrics as metrics of the library `evaluate`, without network access.

    from evals.hub_metrics import load

    metric = load("accuracy", "f1")

    def compute_metrics(evaluation):
        return metric.compute(predictions=evaluation.predictions.argmax(-1), references=evaluation.label_ids)

    Trainer(model, args, eval_dataset=rows, compute_metrics=compute_metrics)

The values are those of `evals.metrics.classification`. `evaluate` takes seconds to import, so it is
imported by the first call of `load`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

from evals.errors import InputError, UnknownName
from evals.metrics.classification import STATISTICS


def load(*names: str) -> Any:
    """Make one `evaluate.Metric` that computes several of the suite's metrics.

    Args:
        names: keys of `evals.metrics.classification.STATISTICS`, at least one, either all of labels or all of scores.

    Returns:
        A metric whose `compute(predictions=…, references=…)` returns the values by name. An undefined value is 0, with
        a warning.

    Raises:
        InputError: no name is given, the metrics are of both kinds, or `evaluate` is not installed.
        UnknownName: a name is not that of a metric.

    Example:
        >>> metric = load("accuracy", "f1")  # doctest: +SKIP
        >>> metric.compute(predictions=[1, 0, 0], references=[1, 1, 0])  # doctest: +SKIP
        {'accuracy': 0.6666666666666666, 'f1': 0.6666666666666666}
    """
    for name in names:
        if name not in STATISTICS:
            raise UnknownName("metric", name, STATISTICS)
    kinds = {STATISTICS[name].of_labels for name in names}
    if len(kinds) != 1:
        raise InputError(
            f"metrics {', '.join(names) or '(none)'}: expected one or more, all of labels or all of scores"
        )
    try:
        return _kind()(names)
    except ImportError as error:
        raise InputError(f"metrics for Trainer need the package 'evaluate': {error}") from error


@functools.cache
def _kind() -> Any:
    """Define the metric class; a function, because its base class is imported lazily."""
    import datasets
    import evaluate

    class Agreement(evaluate.Metric):  # type: ignore[misc]
        """Metrics of `evals.metrics.classification` on predictions and references."""

        def __init__(self, names: Sequence[str], **settings: Any) -> None:
            self.names = tuple(names)
            super().__init__(**settings)

        def _info(self) -> evaluate.MetricInfo:
            kind = datasets.Value("int64" if STATISTICS[self.names[0]].of_labels else "float64")
            return evaluate.MetricInfo(
                description=f"{', '.join(self.names)}, as GLUE defines them",
                citation="",
                inputs_description="predictions and references: labels numbered from 0, or scores",
                features=datasets.Features({"predictions": kind, "references": kind}),
            )

        def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
            values = {name: STATISTICS[name].value(references, predictions) for name in self.names}
            for name, value in values.items():
                if value.note:
                    warnings.warn(f"{name}: {value.note}", stacklevel=3)
            return {name: value.value for name, value in values.items()}

    return Agreement
