"""The functions behind the commands `run` and `score`.

Only the modules of `evals.app` know tasks, models and reports. They find tasks and models through the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from evals import records, registry
from evals.app import completion
from evals.app.readiness import ReadyRun, early_stop, ready, timed_model
from evals.errors import EvalsError, InputError, counted
from evals.execution import windows
from evals.execution.executor import Executor
from evals.execution.extending import extension
from evals.execution.progress import bar as progress_bar
from evals.execution.progress import note
from evals.execution.resolve import Resolved
from evals.execution.run import evaluate, open_executor
from evals.execution.sequential import precision
from evals.execution.sequential.eligible import EarlyStop
from evals.execution.workers.sharing.run_workers import RunWorkers
from evals.hooks import sources
from evals.hooks.observer import RunObserver, observed
from evals.models.decoding.thoughts import split_text
from evals.records import Record, RunFolder, answers, load, result, signature
from evals.records.sequential.predictors import keep_predictions
from evals.records.sequential.stopped import is_stopped
from evals.records.types import Manifest, PlanEntry
from evals.schema import Model, Placement, RunConfig, Samples, Task
from evals.schema.config import typed
from evals.timing import interleaving
from evals.timing.arrivals import Load

__all__ = ["execute", "interleave", "load", "run", "score"]


def run(model: str, task: str, **options: Any) -> Record:
    """Evaluate a model on a task; continue a run that was interrupted, or read one that is finished.

    Args:
        model: a registered name, `hf:ORG/NAME[@REV]`, a folder, `replay:FILE`, `endpoint:URL#NAME`.
        task: a registered name.
        options: fields of `evals.schema.RunConfig`, `Options` and `Placement` by name, which are also those of the
            command line: `limit=20`, `data="~/vqa2"`, `out="runs/one"`, `device="cpu"`, `temperature=0.7`, `samples=4`.

    Returns:
        The finished run.

    Raises:
        InputError: for anything that the user can correct.

    Example:
        >>> record = run("vl", "vqa", limit=5)  # doctest: +SKIP
        >>> record.result.headline  # doctest: +SKIP
        'accuracy'
    """
    return execute(RunConfig.of(model, task, **options))


def execute(
    config: RunConfig,
    *,
    load_model: Callable[[Resolved, Placement], Model] = Resolved.load,
    workers: RunWorkers | None = None,
) -> Record:
    """Execute a configuration, as `run` does.

    Args:
        config: the configuration.
        load_model: loads the model, or returns one that is loaded already.
        workers: those that this run gets of the workers that it shares with others; None starts workers for it alone.

    Raises:
        InputError: for anything that the user can correct.
    """
    task = registry.TASKS.get(config.task)
    if task.timed:
        (record,) = interleave_configs([config])
        return record
    sources.check(config.track, config.event_stream)
    run = ready(config)
    config, samples = run.config, run.samples
    _check_out(config)
    early = None if config.precision is None else early_stop(run, precision.FLAG)
    with open_executor(config, task, run.split, load_model=load_model, workers=workers) as executor:
        folder, manifest = prepared(run, executor)
        if config.extend is not None:
            return _extend(config, task, samples, executor, folder, manifest)
        return _compute(config, task, samples, executor, RunFolder(folder, manifest), early=early)


def prepared(run: ReadyRun, executor: Executor) -> tuple[Path, Manifest]:
    """Return the folder and the manifest of a run whose model is loaded."""
    config = run.config
    plan = PlanEntry(budget=config.token_budget, share=config.placement.share, window=windows.WINDOW)
    manifest = signature.build_manifest(
        run.task, config.options, run.samples, executor.model,
        replica=run.source.replica, plan=plan, command=config.command,
    )  # fmt: skip
    return config.out or _default_folder(manifest), manifest


def _check_out(config: RunConfig) -> None:
    """Refuse, before a model is loaded, a folder that cannot be written, or that holds no run to extend."""
    out = config.out
    if config.extend is not None and out is not None and not (out / records.MANIFEST).exists():
        raise InputError(f"{out} holds no run to extend: run the same command without --extend first")
    if out is not None:
        records.check_run_folder(out)


def _compute(
    config: RunConfig,
    task: Task,
    samples: Samples,
    executor: Executor,
    run_folder: RunFolder,
    *,
    early: EarlyStop | None = None,
) -> Record:
    """Compute what is missing in a run folder, or what is needed of it, and finish it."""
    with run_folder, observed_run(config, run_folder) as observer:
        run_folder.check_ids(samples.ids)
        was_finished = run_folder.finished
        if not was_finished:
            if early is not None:
                keep_predictions(run_folder.folder, early.predictions, begun=bool(run_folder.finished_ids))
            completion.reopen(run_folder.folder)
            entry = None
            if early is None:
                evaluate(config, task, samples, executor, run_folder, observer=observer)
            else:
                entry = precision.compute_until_precise(
                    config, task, samples, executor, run_folder, early=early, observer=observer
                )
            executor.close()
            completion.finish(task, samples, executor, run_folder, entry)
        completion.write_report(run_folder)
        record = load(run_folder.folder)
        if was_finished and early is not None and record.finished().sequential is msgspec.UNSET:
            note(f"{record.folder} holds all samples already, so {precision.FLAG} has nothing to stop")
        observer.finish(record.finished())
    return record


def observed_run(config: RunConfig, run_folder: RunFolder) -> AbstractContextManager[RunObserver]:
    """Let the hooks of a configuration observe a run."""
    return observed(run_folder, sources.sources(config.track, config.event_stream), note)


def show_finished(config: RunConfig, record: Record) -> None:
    """Let hooks know of a finished run that this command does not execute again."""
    if sources.sources(config.track, config.event_stream):
        with RunFolder(record.folder, record.manifest) as run_folder, observed_run(config, run_folder) as observer:
            observer.finish(record.finished())


def _extend(
    config: RunConfig, task: Task, samples: Samples, executor: Executor, folder: Path, manifest: Manifest
) -> Record:
    """Continue the cut outputs of a finished run."""
    assert config.extend is not None
    if not (folder / records.MANIFEST).exists():
        raise InputError(f"{folder} holds no run to extend: run the same command without --extend first")
    record = load(folder)
    extended = extension.extended_manifest(record, manifest, samples, config.extend)
    is_finished = extended.signature == record.manifest.signature and record.result is not None
    if is_finished and not extension.pending(record, list(record.samples()), config.extend):
        show_finished(config, record)
        return record
    (folder / records.RESULT).unlink(missing_ok=True)
    records.write_atomically(folder / records.MANIFEST, records.dumps(extended.to_dict()))
    with RunFolder(folder, extended) as run_folder, observed_run(config, run_folder) as observer:
        run_folder.check_complete()
        record = load(folder)
        failures = extension.extend(
            task, samples, executor, record, config.extend, rewrite=lambda rows: records.rewrite(record, rows)
        )
        answers.forget(folder)
        executor.close()
        if not task.per_sample:
            records.rewrite(record, result.rescore(task, record))
        run_folder.finish(result.summarise(task, record, peak_memory_bytes=completion.peak_memory(executor)))
        completion.report(load(folder))
        observer.finish(load(folder).finished())
    if failures:
        raise EvalsError(
            f"{counted(len(failures), 'sample')} with cut outputs could not be continued, the first because: "
            f"{failures[0]}; they stay as they were, and the same command tries again"
        )
    return load(folder)


def interleave(
    models: Sequence[str], task: str = "efficiency", *, out: Path | str | None = None, **options: Any
) -> list[Record]:
    """Time several models in turn, so that the ratio of two of them does not include machine drift.

    Args:
        models: names of models, each in a form that `run` accepts; no name twice.
        task: a timed task.
        out: a folder for the run folders, each named after its model; by default as `run` names them.
        options: as in `run`: `scale`, `split`, `device`, `dtype`, `processes`, `repetitions`, `progress`, `track`,
            `command`.

    Returns:
        One finished run per model, in their order.

    Raises:
        InputError: for anything that the user can correct.

    Example:
        >>> r1, v2 = interleave(["r1", "v2"])  # doctest: +SKIP
        >>> compare(r1.folder, v2.folder).metrics[0].ratio  # doctest: +SKIP
        0.58
    """
    adapter = registry.TASKS.get(task)
    if not adapter.timed:
        raise InputError(f"task {task!r} is not timed: its models need not take turns, run them one by one")
    if isinstance(models, str) or not models:
        raise InputError(f"interleave takes the names of several models, such as ['r1', 'v2']; {models!r} came")
    for name in models:
        if models.count(name) > 1:
            raise InputError(f"model {name!r} is named twice: it cannot take turns with itself")
    configs = []
    place = None if out is None else typed("out", out, Path)
    records.check_place(place)
    for name in models:
        folder = None if place is None else place / _file_name(typed("model", name, str))
        configs.append(RunConfig.of(name, task, out=folder, **options))
    return interleave_configs(configs)


def check_timed(model: str, task: str, *, scale: str = "mini", split: str | None = None) -> None:
    """Raise `InputError` if a model cannot be timed, before any weight is read."""
    timed_model(RunConfig.of(model, task, scale=scale, split=split))


def is_timed(task: str) -> bool:
    """Return whether a task times its models, so that several of them can take turns."""
    return registry.TASKS.get(task).timed


def interleave_configs(configs: Sequence[RunConfig]) -> list[Record]:
    """Time the models of some configurations in turn, or continue where that was interrupted."""
    task, command = registry.TASKS.get(configs[0].task), configs[0].command
    sources.check(configs[0].track, configs[0].event_stream)
    for config in configs:
        _check_out(config)
    entrants = [timed_model(config) for config in configs]
    if len(entrants) > 1 and Load.of(configs[0].options) is not None:
        raise InputError(f"--rate takes one model at a time, {len(entrants)} came: each gets all of the machine")
    total = sum(len(entrant.samples) for entrant in entrants)
    shows_bar = configs[0].shows_bar
    with ExitStack() as stack, progress_bar(total=total, unit=" turns", disable=not shows_bar, desc=task.name) as bar:
        with interleaving.Session(entrants) as session:
            manifests = [interleaving.manifest(task, entrant, entrants, session, command) for entrant in entrants]
            runs = [
                stack.enter_context(RunFolder(config.out or _default_folder(manifest), manifest))
                for config, manifest in zip(configs, manifests, strict=True)
            ]
            timing = interleaving.TimingRun(task, entrants, runs, bar.update, Load.of(configs[0].options))
            missing = timing.missing()
            for process in missing[:1]:
                timing.time(session, process)
        for process in missing[1:]:
            with interleaving.Session(entrants) as session:
                timing.time(session, process)
        for run_folder in runs:
            if not run_folder.finished:
                run_folder.check_complete()
                record = replace(load(run_folder.folder), result=None)
                peak = interleaving.peak_bytes(record.samples())
                run_folder.finish(result.summarise(task, record, peak_memory_bytes=peak))
        for config, run_folder in zip(configs, runs, strict=True):
            if not (run_folder.folder / "report.html").exists():
                completion.report(load(run_folder.folder))
            with observed_run(config, run_folder) as observer:  # only now: hooks would slow what is timed
                observer.finish(load(run_folder.folder).finished())
    return [load(run_folder.folder) for run_folder in runs]


def score(folder: Path | str) -> Record:
    """Score the outputs of a finished run again with the task as it is now. Needs no model.

    Raises:
        InputError: if the folder is not a run, holds only a part of its samples, or the task cannot score these.
    """
    record = load(folder, changed=True)
    task = _task_of(record.manifest)
    with RunFolder(record.folder, record.manifest) as run_folder:
        if not is_stopped(record):
            run_folder.check_complete()
        peak = record.result.efficiency.get("peak_memory_bytes") if record.result else None
        peak_memory = int(peak) if peak is not None and 0 <= peak < 1 << 63 else None  # the file may be damaged
        rows, summary = result.scored_again(task, record, peak_memory_bytes=peak_memory, split=split_text)
        records.rewrite(record, rows)
        run_folder.finish(summary)
        completion.report(load(folder))
    return load(folder)


def _task_of(manifest: Manifest) -> Task:
    """Return the task of a finished run; one of a file by the text in the manifest."""
    definition = manifest.data.get("definition")
    if not isinstance(definition, str):
        return registry.TASKS.get(manifest.task.name)
    from evals.tasks.files.task import from_text

    return from_text(definition, manifest.task.name)


def _default_folder(manifest: Manifest) -> Path:
    """Return `runs/<model>-<task>-<signature>`, with names that a file system accepts."""
    names = (manifest.model_name, manifest.task.name)
    return Path("runs") / "-".join([*map(_file_name, names), manifest.signature])


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name).strip("-.")
