"""Load several models, open their run folders, and compute samples of one after the other; finish them at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from evals.app import api, completion
from evals.app.readiness import ReadyRun
from evals.execution import progress
from evals.execution.executor import Executor
from evals.execution.resolve import Resolved
from evals.execution.run import Evaluation, open_executor
from evals.execution.sequential.eligible import EarlyStop
from evals.execution.sequential.prefix import PrefixRun
from evals.hooks.observer import RunObserver
from evals.records import Record, RunFolder, answers, load
from evals.records.sequential.entry import SequentialEntry
from evals.schema import Model, Placement


@dataclass(frozen=True)
class OpenRun:
    """A run whose model is loaded and whose folder is open."""

    ready: ReadyRun
    executor: Executor
    folder: RunFolder
    observer: RunObserver
    prefix: PrefixRun
    """Its samples in random order."""
    was_complete: bool
    """Whether the folder held the finished run before, with all samples."""

    def finish(self, entry: SequentialEntry | None) -> Record:
        """Write the result and the reports.

        Args:
            entry: what the run states about its looks; None for a run that has all samples, whose statistics are then
                those of any complete run.
        """
        answers.forget(self.folder.folder)
        self.executor.close()
        completion.finish(self.ready.task, self.ready.samples, self.executor, self.folder, entry)
        completion.write_report(self.folder)
        record = load(self.folder.folder)
        self.observer.finish(record.finished())
        return record


def open_runs(
    stack: ExitStack,
    runs: Mapping[str, tuple[ReadyRun, EarlyStop]],
    *,
    status: Callable[[], str],
    load_model: Callable[[Resolved, Placement], Model] = Resolved.load,
) -> dict[str, OpenRun]:
    """Load the models of several runs of one task and open their folders.

    Args:
        stack: closes the folders.
        runs: by name.
        status: returns what the progress bar says.
        load_model: loads a model, or returns one that is loaded already.

    Raises:
        InputError: a model cannot be loaded, or a folder holds samples that are not the first ones of the random order.
    """
    executors, folders = dict[str, Executor](), dict[str, RunFolder]()
    for name, (run, _) in runs.items():
        executor = open_executor(run.config, run.task, run.split, load_model=load_model)
        executors[name] = stack.enter_context(executor)
    for name, (run, _) in runs.items():
        folders[name] = stack.enter_context(RunFolder(*api.prepared(run, executors[name])))
        folders[name].check_ids(run.samples.ids)
    first, _ = next(iter(runs.values()))
    total = sum(len(run.samples) for run, _ in runs.values())
    on_disk = sum(len(folder.finished_ids) for folder in folders.values())
    shows_bar = first.config.shows_bar
    bar = stack.enter_context(
        progress.bar(total=total, initial=on_disk, unit=" samples", disable=not shows_bar, desc=first.task.name)
    )
    opened = {}
    for name, (run, early) in runs.items():
        executor, folder = executors[name], folders[name]
        observer = stack.enter_context(api.observed_run(run.config, folder))
        evaluation = Evaluation(
            run.config, run.task, run.samples, executor, folder, bar=bar, observer=observer, status=status
        )
        prefix, was_complete = PrefixRun(evaluation, early), folder.finished
        opened[name] = OpenRun(run, executor, folder, observer, prefix, was_complete)
    return opened


def loaded_once() -> Callable[[Resolved, Placement], Model]:
    """Return what loads each model once, for several runs of it."""
    loaded: dict[tuple[str, str, Placement], Model] = {}

    def load_model(source: Resolved, placement: Placement) -> Model:
        key = source.name, source.checkpoint, placement
        if key not in loaded:
            loaded[key] = source.load(placement)
        return loaded[key]

    return load_model
