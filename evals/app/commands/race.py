"""The command `run --until-decided`: several models on the same samples, until it is decided which is better.

All models are loaded at once, each with workers of its own if there are any. Each has a run folder, which the same
command continues and which the command without `--until-decided` completes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from evals import registry
from evals.app import completion, readiness, several
from evals.app.early.open_runs import open_runs
from evals.app.readiness import ReadyRun
from evals.errors import InputError
from evals.execution import progress, validation
from evals.execution.sequential.eligible import EarlyStop
from evals.execution.sequential.race import FLAG, RaceProgress, run_race
from evals.records import Record


def race(
    models: Sequence[str],
    tasks: Sequence[str],
    *,
    margin: float | None = None,
    data: Mapping[str, str] | str | None = None,
    **options: Any,
) -> list[list[Record]]:
    """Run several models on each task until it is decided which is better; each task is decided by itself.

    Args:
        models: two names or more, each in a form that `evals.run` accepts; no name twice.
        tasks: registered names; no name twice.
        margin: differences up to this number of percentage points count as none.
        data: the data of all tasks, or of each task by its name.
        options: as in `evals.run`; `out` is the folder of the run folders.

    Returns:
        For each task the runs of all models, in their order.

    Raises:
        InputError: an option does not fit, or a task cannot stop early; no model was loaded.
    """
    if len(models) < 2:
        raise InputError(f"{FLAG} compares models: name two or more, --model A,B; --precision P stops a single one")
    prepared: dict[str, list[tuple[ReadyRun, EarlyStop]]] = {task: [] for task in tasks}
    for run, early in prepared_runs(models, tasks, data, margin, options):
        prepared[run.config.task].append((run, early))
    for runs in prepared.values():
        seeds = {run.config.model: run.config.options.seed for run, _ in runs}
        if len(set(seeds.values())) > 1:
            listed = ", ".join(f"{model} {seed}" for model, seed in seeds.items())
            raise InputError(
                f"{FLAG} needs one random order, and the models have seeds of their own ({listed}): --seed"
            )
    return [_race(runs, None if margin is None else margin / 100) for runs in prepared.values()]


def prepared_runs(
    models: Sequence[str],
    tasks: Sequence[str],
    data: Mapping[str, str] | str | None,
    margin: float | None,
    options: Mapping[str, Any],
) -> list[tuple[ReadyRun, EarlyStop]]:
    """Check all that can be checked of some races before a model is loaded; return the runs, model by model.

    Args:
        models: as in `race`.
        tasks: as in `race`.
        data: as in `race`.
        margin: as in `race`.
        options: as in `race`.

    Raises:
        InputError: an option does not fit, or a task cannot stop early.
    """
    if options.get("predictor"):
        raise InputError(
            f"--predictor is for --precision: it predicts the values of one model, and {FLAG} decides a difference of "
            f"two; leave it out"
        )
    prepared = []
    for pair in several.pairs(models, tasks, data, options):
        if registry.TASKS.get(pair.task).timed:
            raise InputError(f"{FLAG}: task {pair.task!r} times its models, so its runs cannot stop early")
        if pair.refused:
            raise InputError(f"{pair.model} cannot be run on {pair.task}: {pair.refused}")
        validation.check_early("margin", margin, pair.config)
        if pair.config.cluster is not None:
            raise InputError(
                f"--cluster cannot be given with {FLAG}: the models compute in turn and are all loaded, and the "
                f"workers of the first would hold the cluster; leave it out, or give --workers N on one machine"
            )
        if pair.config.precision is not None:
            raise InputError(f"--precision cannot be given with {FLAG}; leave one of them out")
        run = readiness.ready(pair.config)
        prepared.append((run, readiness.early_stop(run, FLAG)))
    return prepared


def _race(runs: Sequence[tuple[ReadyRun, EarlyStop]], margin: float | None) -> list[Record]:
    """Run the models of one task until it is decided which is better."""
    state = RaceProgress(progress.note if runs[0][0].config.shows_bar else lambda text: None)
    named = {run.config.model: (run, early) for run, early in runs}
    with ExitStack() as stack:
        opened = open_runs(stack, named, status=lambda: state.text)
        for run in opened.values():
            completion.reopen(run.folder.folder)
        outcome = run_race({name: run.prefix for name, run in opened.items()}, margin=margin, progress=state)
        return [run.finish(outcome.entry(name, run.prefix)) for name, run in opened.items()]
