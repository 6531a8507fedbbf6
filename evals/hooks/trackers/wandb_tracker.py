"""Weights & Biases (`--track wandb`); WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY and its other variables apply."""

from __future__ import annotations

import os
from typing import Any

from evals.hooks.events import BatchDone, RunFinished, RunStarted, RunStopped
from evals.hooks.trackers.values import PROJECT, of_batch, of_result, title


class WandbTracker:
    """One run of Weights & Biases; a run that is continued keeps its id."""

    def __init__(self, wandb: Any, project: str) -> None:
        """Log with the package to a project."""
        self._wandb = wandb
        self._project = project
        self._run: Any = None

    def run_started(self, event: RunStarted) -> None:
        """Start the run, or resume it."""
        self._run = self._wandb.init(
            project=self._project,
            id=event.run_id,
            resume="allow",
            name=title(event),
            job_type="evaluation",
            config={**event.settings, "signature": event.signature, "folder": event.run},
            reinit="create_new",  # the runs of one command may overlap
            settings=self._wandb.Settings(console="off", silent=True),  # what the command prints is not logged
        )

    def batch_done(self, event: BatchDone) -> None:
        """Log the state."""
        self._run.log(of_batch(event))

    def run_finished(self, event: RunFinished) -> None:
        """Log the result as the run's summary, and send what is left."""
        self._run.summary.update(of_result(event))
        self._run.finish(exit_code=0)

    def run_stopped(self, event: RunStopped) -> None:
        """End the run as one that failed, with the reason."""
        self._run.summary.update({"stopped": event.reason})
        self._run.finish(exit_code=1)


def tracker(project: str | None) -> WandbTracker:
    """Return the hook of a run."""
    import wandb

    return WandbTracker(wandb, project or os.environ.get("WANDB_PROJECT") or PROJECT)
