"""MLflow (`--track mlflow`); MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and its other variables apply."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from evals.hooks.events import BatchDone, RunFinished, RunStarted, RunStopped, Setting
from evals.hooks.trackers.values import PROJECT, of_batch, of_result, title

_TAG = "evals.run_id"
_MOST_PARAMETERS = 100
"""Number of parameters that MLflow takes at once."""
_MOST_METRICS = 1_000
"""Number of metrics that MLflow takes at once."""


class MlflowTracker:
    """One run of MLflow, found again by a tag when a run is continued; calls name it, so no run has to be active."""

    def __init__(self, mlflow: Any, experiment: str) -> None:
        """Log with the package to an experiment."""
        self._client = mlflow.MlflowClient()
        self._entities = mlflow.entities
        self._experiment = experiment
        self._run_id = ""

    def run_started(self, event: RunStarted) -> None:
        """Create the run, or go on with it."""
        experiment = self._client.get_experiment_by_name(self._experiment)
        id = experiment.experiment_id if experiment else self._client.create_experiment(self._experiment)
        earlier = self._client.search_runs([id], f"tags.`{_TAG}` = '{event.run_id}'", max_results=1)
        if earlier:
            run = earlier[0]
            self._client.update_run(run.info.run_id, status="RUNNING")
        else:
            tags = {_TAG: event.run_id, "evals.signature": event.signature, "evals.folder": event.run}
            run = self._client.create_run(id, run_name=title(event), tags=tags)
        self._run_id = run.info.run_id
        self._log_settings({name: value for name, value in event.settings.items() if _key(name) not in run.data.params})

    def batch_done(self, event: BatchDone) -> None:
        """Log the state; the step is the number of finished samples."""
        self._log(of_batch(event), event.done)

    def run_finished(self, event: RunFinished) -> None:
        """Log the result."""
        self._log(of_result(event), event.n)
        self._client.set_terminated(self._run_id, "FINISHED")

    def run_stopped(self, event: RunStopped) -> None:
        """End the run as one that was killed, with the reason."""
        self._client.set_tag(self._run_id, "evals.stopped", event.reason)
        self._client.set_terminated(self._run_id, "KILLED")

    def _log(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(_key(name), float(value), now, step) for name, value in values.items()]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=metrics[start : start + _MOST_METRICS])

    def _log_settings(self, settings: Mapping[str, Setting]) -> None:
        params = [self._entities.Param(_key(name), str(value)) for name, value in settings.items()]
        for start in range(0, len(params), _MOST_PARAMETERS):
            self._client.log_batch(self._run_id, params=params[start : start + _MOST_PARAMETERS])


def _key(name: str) -> str:
    """Return a name with the characters that MLflow accepts.

    Example:
        >>> _key("text-to-image/recall@5"), _key("accuracy/question-type/what's this?")
        ('text-to-image/recall-at-5', 'accuracy/question-type/what-s this-')
    """
    return re.sub(r"[^\w\-. :/]", "-", name.replace("@", "-at-"))


def tracker(project: str | None) -> MlflowTracker:
    """Return the hook of a run."""
    import mlflow

    return MlflowTracker(mlflow, project or os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT)
