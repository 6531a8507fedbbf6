"""Several models on several tasks in one command: each model is loaded once, and the same command continues.

In one process the pairs are run one after the other. With workers, on this machine or on a cluster, they share the
workers: the pairs with the largest models begin first, and a worker that its pair does not need helps another one.

All names are checked before anything is computed. A pair that cannot be run (a task of images, for a model that reads
text) is reported, and the others are run.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals import registry, regular_files
from evals.app import api, readiness
from evals.app.finished import finished_run
from evals.errors import EvalsError, InputError, UnknownName
from evals.execution import progress, validation
from evals.execution.resolve import Resolved
from evals.execution.run import connect, resolved
from evals.execution.workers.sharing.run_workers import QueuedRun, RunWorkers
from evals.execution.workers.sharing.shared import SharedWorkers
from evals.hooks import sources
from evals.records import Record, check_place
from evals.schema import Model, Placement, RunConfig
from evals.start_folder import shown

_SINGLE_ONLY = ("checkpoint", "force")
"""Options that are about one model."""


@dataclass(frozen=True)
class Pair:
    """One model on one task."""

    model: str
    task: str
    config: RunConfig
    """How it is run."""
    refused: str | None = None
    """Why it cannot be run, or None."""

    @property
    def name(self) -> tuple[str, str]:
        """The model and the task."""
        return self.model, self.task


@dataclass(frozen=True)
class CompletedPairs:
    """What became of several models on several tasks."""

    records: Sequence[Record]
    """The finished runs, model by model."""
    refused: Mapping[tuple[str, str], str]
    """Why a pair of model and task was not run."""
    broken: Mapping[tuple[str, str], str]
    """Why the run of a pair ended before it was complete; the same command continues it."""


def names(text: str) -> list[str]:
    """Split names at commas; a name that is an existing file or folder, or `prefix:` and one, is left whole.

    Raises:
        InputError: there is no name.

    Example:
        >>> names("r1, v2"), names("glue/rte")
        (['r1', 'v2'], ['glue/rte'])
    """
    if (text and Path(text).expanduser().exists()) or Path(text.partition(":")[2] or "\0").exists():
        return [text]
    listed = [name.strip() for name in text.split(",") if name.strip()]
    if not listed:
        raise InputError(f"{text!r} names nothing: give a name of `list models` or `list tasks`")
    return listed


def read_names(path: Path) -> list[str]:
    """Read the names of models from a file: one per line; empty lines and lines that begin with # are skipped.

    Raises:
        InputError: the file cannot be read, or names no model.
    """
    try:
        lines = [line.strip() for line in regular_files.read(path, pipe=True).decode("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--models-file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    models = [line for line in lines if line and not line.startswith("#")]
    if not models:
        raise InputError(f"--models-file {path} names no model")
    return models


def data_by_task(values: Sequence[str]) -> dict[str, str] | str | None:
    """Read the values of --data: one for all tasks, or TASK=DIR for each task. Raises `InputError` for a mixture."""
    split = [(value, *value.partition("=")) for value in values]
    by_task = {task: folder for value, task, equals, folder in split if equals and task in registry.TASKS}
    if not by_task:
        if len(values) > 1:
            raise InputError(f"--data is given {len(values)} times: write TASK=DIR, with a name of `list tasks`")
        return values[0] if values else None
    if len(by_task) != len(values):
        raise InputError(f"--data {' --data '.join(values)}: write each as TASK=DIR, once per task")
    return by_task


def of_task(data: Mapping[str, str] | str | None, tasks: Sequence[str]) -> dict[str, str | None]:
    """Return the data of each task. Raises `UnknownName` for data of a task that the command does not run.

    Example:
        >>> of_task({"vqa": "vqa2"}, ["vqa", "glue"]), of_task("files", ["vqa"])
        ({'vqa': 'vqa2', 'glue': None}, {'vqa': 'files'})
    """
    if not isinstance(data, Mapping):
        return dict.fromkeys(tasks, data)
    for name in data:
        if name not in tasks:
            raise UnknownName("task of this command", name, tasks)
    return {task: data.get(task) for task in tasks}


def folder_name(model: str, task: str) -> str:
    """Return the name of a pair's run folder below `--out`.

    Example:
        >>> folder_name("hf:Qwen/Qwen2-0.5B@main", "math/gsm8k")
        'hf-Qwen-Qwen2-0.5B@main-math-gsm8k'
    """
    return re.sub(r"[^A-Za-z0-9@._-]", "-", f"{model}-{task}")


def run(
    models: Sequence[str], tasks: Sequence[str], *, data: Mapping[str, str] | str | None = None, **options: Any
) -> CompletedPairs:
    """Run every model on every task.

    Args:
        models: names, each in a form that `evals.run` accepts; no name twice.
        tasks: registered names; no name twice. The models take turns in timed tasks.
        data: the data of all tasks, or of each task by its name.
        options: as in `evals.run`; `out` is the folder of the run folders.

    Raises:
        InputError: a name is unknown or repeated, an option is about one model, or no pair can be run.
        EvalsError: no pair was completed.
    """
    chosen_pairs = pairs(models, tasks, data, options)
    refused = {(pair.model, pair.task): pair.refused for pair in chosen_pairs if pair.refused}
    chosen = [pair for pair in chosen_pairs if not pair.refused and not registry.TASKS.get(pair.task).timed]
    uses_workers = bool(chosen) and (chosen[0].config.workers > 1 or chosen[0].config.cluster is not None)
    completed: dict[tuple[str, str], Record | EvalsError] = _finished(chosen)
    left = [pair for pair in chosen if pair.name not in completed]
    if left:
        completed |= _run_together(left) if uses_workers else _run_in_turn(left)
    finished = [record for pair in chosen if isinstance(record := completed[pair.name], Record)]
    errors = {name: error for name, error in completed.items() if isinstance(error, EvalsError)}
    refused |= {name: str(error) for name, error in errors.items() if isinstance(error, InputError)}
    broken = {name: str(error) for name, error in errors.items() if not isinstance(error, InputError)}
    for task in tasks:
        timed = [pair.config for pair in chosen_pairs if pair.task == task and not pair.refused]
        if registry.TASKS.get(task).timed and timed:
            finished += api.interleave_configs(timed)
    if not finished:
        reasons = "; ".join(f"{model} on {task}: {why}" for (model, task), why in {**refused, **broken}.items())
        raise EvalsError(f"no run is complete: {reasons}") if broken else InputError(f"nothing can be run: {reasons}")
    return CompletedPairs(finished, refused, broken)


def _finished(pairs: Sequence[Pair]) -> dict[tuple[str, str], Record | EvalsError]:
    """Return the runs that are finished, as far as that is certain without loading their models."""
    from evals.models.backend import checkpoint_files

    finished: dict[tuple[str, str], Record | EvalsError] = {}
    digest = functools.cache(checkpoint_files.digest)
    for pair in pairs:
        with contextlib.suppress(EvalsError, OSError):  # it is reported when the pair is run
            if (record := finished_run(pair.config, digest)) is not None:
                api.show_finished(pair.config, record)
                finished[pair.name] = record
    return finished


def _biggest_first(pairs: Sequence[Pair]) -> list[str]:
    """Order the models of some pairs by the size of their weights on disk; those that are not here yet come first."""
    sizes = {pair.model: _checkpoint_bytes(pair.config) for pair in pairs}
    return sorted(sizes, key=lambda model: -sizes[model])


def _checkpoint_bytes(config: RunConfig) -> float:
    """Return the size of a model's weights on disk; 0 if it has none, infinite if they must be downloaded."""
    source = resolved(config)
    folder = Path(source.checkpoint).expanduser()
    if source.family.prefix is not None:
        return 0
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) if folder.is_dir() else math.inf


def _run_in_turn(pairs: Sequence[Pair]) -> dict[tuple[str, str], Record | EvalsError]:
    """Run pairs in this process, model by model; return the runs, and the error of a pair that failed."""
    completed: dict[tuple[str, str], Record | EvalsError] = {}
    loader = _LoadedOnce()
    for pair in pairs:
        if pair.model != loader.name:
            loader = _LoadedOnce(pair.model)
        try:
            completed[pair.name] = api.execute(pair.config, load_model=loader)
        except EvalsError as error:  # only the checkpoint or the data say so, or a server does not answer
            completed[pair.name] = error
    return completed


def _run_together(pairs: Sequence[Pair]) -> dict[tuple[str, str], Record | EvalsError]:
    """Run pairs with workers that they share, those with the largest models first; return the runs or errors."""
    completed: dict[tuple[str, str], Record | EvalsError] = {}
    order = _biggest_first(pairs)
    pairs = sorted(pairs, key=lambda pair: order.index(pair.model))
    config = pairs[0].config

    def queued(pair: Pair) -> QueuedRun:
        def execute(workers: RunWorkers) -> None:
            completed[pair.name] = api.execute(pair.config, workers=workers)

        return QueuedRun(f"{pair.model} on {pair.task}", pair.model, execute)

    workers = SharedWorkers(
        lambda: connect([pair.config for pair in pairs]),
        gathers=config.mixed,
        on_event=progress.note if config.shows_bar else lambda text: None,
    )
    errors = workers.execute([queued(pair) for pair in pairs])
    return completed | {pair.name: error for pair, error in zip(pairs, errors, strict=True) if error is not None}


def table(outcome: CompletedPairs) -> str:
    """Write the headline of every run, and the pairs that were not run, as a table; the first line says of what."""
    from evals.reports.rendering.table_formats import Table, text
    from evals.reports.runs import sections, tables
    from evals.reports.runs.early import sentences as early

    rows = []
    for record in outcome.records:
        row = sections.headline(record)
        value, interval, n = sections.numbers(row.metric)
        manifest, failed = record.manifest, record.finished().failed
        rows.append((manifest.model_name, manifest.task.name, row.name, value, interval, n, f"{failed:,}"))
    rows += [(model, task, "not run", "", "", "", "") for model, task in outcome.refused]
    rows += [(model, task, "incomplete", "", "", "", "") for model, task in outcome.broken]
    columns = ("model", "task", "metric", "value", "95 % interval", "n", "failed")
    about = tables.render(outcome.records, "text").splitlines()[0]
    printed = text(Table("", columns, "lllrrrr", tuple(rows)))
    looks = [
        f"{record.manifest.model_name} on {record.manifest.task.name}: {sentence}"
        for record in outcome.records
        for sentence in early.sentences(record)
    ]
    return (
        "\n\n".join([about, printed, *looks, f"{shown(outcome.records[0].folder).parent} holds the run folders"]) + "\n"
    )


@dataclass
class _LoadedOnce:
    """Loads a model at its first run, and gives the same one to the others that want it with the same template."""

    name: str | None = None
    """As the user named it."""
    model: Model | None = None
    template: str | None = None

    def __call__(self, source: Resolved, placement: Placement) -> Model:
        if self.model is None or self.template != placement.template:
            self.model, self.template = source.load(placement), placement.template
        return self.model


def pairs(
    models: Sequence[str], tasks: Sequence[str], data: Mapping[str, str] | str | None, options: Mapping[str, Any]
) -> list[Pair]:
    """Check all names and options, and make the configuration of every pair, model by model.

    Args:
        models: as in `run`.
        tasks: as in `run`.
        data: as in `run`.
        options: as in `run`.

    Raises:
        InputError: a name is unknown or repeated, or an option is about one model.
    """
    for kind, listed in (("model", models), ("task", tasks)):
        for name in listed:
            if listed.count(name) > 1:
                raise InputError(f"{kind} {name!r} is named twice")
    for name in _SINGLE_ONLY:
        if options.get(name):
            raise InputError(f"--{name} is about one model: give it with one --model and one --task")
    for task in tasks:
        registry.TASKS.get(task)
    config = RunConfig.of(models[0], tasks[0], progress=options.get("progress", False), track=options.get("track", ()))
    sources.check(config.track, config.event_stream)
    data_of = of_task(data, tasks)
    out = options.get("out")
    check_place(out)
    checked, folders = [], dict[str, str]()
    for model in models:
        for task in tasks:
            folder = folder_name(model, task)
            if out is not None and folders.setdefault(folder, f"{model} on {task}") != f"{model} on {task}":
                raise InputError(f"{model} on {task} and {folders[folder]} would share the folder {folder}")
            more = {**options, "data": data_of[task], "out": Path(out) / folder if out is not None else None}
            checked.append(_checked(model, task, RunConfig.of(model, task, **more)))
    return checked


def _checked(model: str, task: str, config: RunConfig) -> Pair:
    """Make a pair, with the reason if it cannot be run; an unknown model is an error at once."""
    validation.check_numbers(config)
    source = resolved(config)
    try:
        adapter = registry.TASKS.get(task)
        validation.check_supported(adapter, config.options)
        validation.check_engine(config, source)
        if adapter.timed:
            readiness.timed_model(config)
        validation.method(adapter, source, config.options.method)
        if config.precision is not None:
            readiness.early_stop(readiness.ready(config), "--precision")
    except InputError as error:
        return Pair(model, task, config, str(error))
    return Pair(model, task, config)
