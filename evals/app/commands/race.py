"""The command `run --until-decided`: several models on the same samples, until it is decided which is better.

All models are loaded at once, each with workers of its own if there are any. Each has a run folder, which the same
command continues and which the command without `--until-decided` completes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from evals import registry
from evals.app import api, completion, readiness, several
from evals.app.readiness import ReadyRun
from evals.errors import InputError
from evals.execution import progress, validation
from evals.execution.resolve import Resolved
from evals.execution.run import Evaluation, open_executor
from evals.execution.sequential.eligible import EarlyStop
from evals.execution.sequential.prefix import PrefixRun
from evals.execution.sequential.race import FLAG, RaceProgress, run_race
from evals.records import Record, RunFolder, answers, load


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
    if options.get("predictor"):
        raise InputError(
            f"--predictor is for --precision: it predicts the values of one model, and {FLAG} decides a difference of "
            f"two; leave it out"
        )
    if options.get("track"):
        raise InputError(f"--track follows one run at a time, and {FLAG} computes {len(models)} in turn; leave it out")
    prepared: dict[str, list[tuple[ReadyRun, EarlyStop]]] = {task: [] for task in tasks}
    for pair in several.pairs(models, tasks, data, options):
        if registry.TASKS.get(pair.task).timed:
            raise InputError(f"{FLAG}: task {pair.task!r} times its models, so its runs cannot stop early")
        if pair.refused:
            raise InputError(f"{pair.model} cannot be run on {pair.task}: {pair.refused}")
        validation.check_early("margin", margin, pair.config)
        if pair.config.cluster is not None or pair.config.precision is not None:
            other = "--cluster" if pair.config.cluster is not None else "--precision"
            raise InputError(f"{other} cannot be given with {FLAG}; leave one of them out")
        run = readiness.ready(pair.config)
        prepared[pair.task].append((run, readiness.early_stop(run, FLAG)))
    for runs in prepared.values():
        seeds = {run.config.model: run.config.options.seed for run, _ in runs}
        if len(set(seeds.values())) > 1:
            listed = ", ".join(f"{model} {seed}" for model, seed in seeds.items())
            raise InputError(
                f"{FLAG} needs one random order, and the models have seeds of their own ({listed}): --seed"
            )
    return [_race(runs, None if margin is None else margin / 100) for runs in prepared.values()]


def _race(runs: Sequence[tuple[ReadyRun, EarlyStop]], margin: float | None) -> list[Record]:
    """Run the models of one task until it is decided which is better."""
    task, config = runs[0][0].task, runs[0][0].config
    state = RaceProgress(progress.note if config.shows_bar else lambda text: None)
    with ExitStack() as stack:
        executors, folders, prefixes, observers = {}, dict[str, RunFolder](), dict[str, PrefixRun](), {}
        for run, _ in runs:
            executor = open_executor(run.config, task, run.split, load_model=Resolved.load)
            executors[run.config.model] = stack.enter_context(executor)
        for run, _ in runs:
            name = run.config.model
            folders[name] = stack.enter_context(RunFolder(*api.prepared(run, executors[name])))
            folders[name].check_ids(run.samples.ids)
        total, on_disk = sum(len(run.samples) for run, _ in runs), sum(len(f.finished_ids) for f in folders.values())
        bar = stack.enter_context(
            progress.bar(total=total, initial=on_disk, unit=" samples", disable=not config.shows_bar, desc=task.name)
        )
        for run, early in runs:
            name = run.config.model
            observers[name] = stack.enter_context(api.observed_run(run.config, folders[name]))
            evaluation = Evaluation(
                run.config, task, run.samples, executors[name], folders[name],
                bar=bar, observer=observers[name], status=lambda: state.text,
            )  # fmt: skip
            prefixes[name] = PrefixRun(evaluation, early)
        for folder in folders.values():
            completion.reopen(folder.folder)
        outcome = run_race(prefixes, margin=margin, progress=state)
        for run, _ in runs:
            name, folder = run.config.model, folders[run.config.model]
            answers.forget(folder.folder)
            executors[name].close()
            completion.finish(task, run.samples, executors[name], folder, outcome.entry(name, prefixes[name]))
            completion.write_report(folder)
            observers[name].finish(load(folder.folder).finished())
    return [load(folder.folder) for folder in folders.values()]
