"""The runs that claims need, and the outcome of each.

`required_runs` lists the runs of one claim; `evals.app.check` makes them and returns a `RunOutcome` for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evals.records.folder import Record
from evals.reports.claims.language.schema import Claim


@dataclass(frozen=True, slots=True)
class RequiredRun:
    """A run that a claim needs: a model on a task."""

    model: str
    task: str
    split: str | None = None
    shots: int | None = None
    rate: float | None = None
    """Requests per second, for a time under a request rate."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The outcome of a required run: the finished run, or the reason why there is none."""

    record: Record | None = None
    """The finished run."""
    blind: Record | None = None
    """The blind control: the same run without images, if the task shows any."""
    why: str = ""
    """Why there is no run."""
    failed: bool = False
    """Whether the run was started and failed."""
    proxy: str = ""
    """Why the model that was run is not the system of that name; empty if it is."""
    note: str = ""
    """How a run of `check --fast` was made: why it computed all samples; empty otherwise."""


def required_runs(claim: Claim, models: Mapping[str, str]) -> list[RequiredRun]:
    """List the runs that a claim needs: that of its subject and, for a comparison, that of the baseline.

    Args:
        claim: a claim; without `measure`, or if it is untestable, it needs no run.
        models: the model that is run for a subject, for subjects whose model has another name.
    """
    measure = claim.measure
    if measure is None or claim.untestable is not None:
        return []
    subjects = [measure.system] if measure.system else [models.get(name, name) for name in claim.subject[:1]]
    baselines = [models.get(measure.baseline, measure.baseline)] if measure.baseline else []
    return [
        RequiredRun(model, measure.task, measure.split, measure.shots, measure.rate)
        for model in (*subjects, *baselines)
    ]
