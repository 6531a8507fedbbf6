"""Trackio (`--track trackio`), which stores runs on this machine; TRACKIO_DIR and its other variables apply."""

from __future__ import annotations

import os
from typing import Any

from evals.hooks.events import BatchDone, RunFinished, RunStarted, RunStopped
from evals.hooks.trackers.values import PROJECT, of_batch, of_result, title


class TrackioTracker:
    """One run of Trackio; a run that is continued keeps its name."""

    def __init__(self, trackio: Any, project: str) -> None:
        """Log with the package to a project."""
        self._trackio = trackio
        self._project = project
        self._run: Any = None

    def run_started(self, event: RunStarted) -> None:
        """Start the run, or resume it."""
        self._run = self._trackio.init(
            project=self._project,
            name=f"{title(event)} {event.run_id}",
            config={**event.settings, "signature": event.signature, "folder": event.run},
            resume="allow",
            embed=False,
        )

    def batch_done(self, event: BatchDone) -> None:
        """Log the state."""
        self._run.log(of_batch(event), step=event.done)

    def run_finished(self, event: RunFinished) -> None:
        """Log the result, and write what is left."""
        self._run.log(of_result(event), step=event.n)
        self._run.finish()

    def run_stopped(self, event: RunStopped) -> None:
        """Write what is left."""
        self._run.finish()


def tracker(project: str | None) -> TrackioTracker:
    """Return the hook of a run."""
    import trackio

    return TrackioTracker(trackio, project or os.environ.get("TRACKIO_PROJECT") or PROJECT)
