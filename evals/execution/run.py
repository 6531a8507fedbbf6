"""Compute and record the samples of a run that are not on disk yet, in one process or in several."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from evals import registry
from evals.execution import collector, composition, generation_options, progress, selection, validation
from evals.execution.executor import Executor, InProcess, training, whole
from evals.execution.generation_options import Dated
from evals.execution.inputs import prefixes_of
from evals.execution.loop import AnsweredRequest
from evals.execution.resolve import Resolved, resolve
from evals.execution.windows import BatchId
from evals.execution.workers import agreement, devices
from evals.execution.workers.agreement import WorkerAgreement
from evals.execution.workers.cluster import nodes, shipping
from evals.execution.workers.pool import Pool
from evals.execution.workers.processes import LocalProcesses
from evals.execution.workers.serving import LoadedRun, Locate, Setup
from evals.execution.workers.sharing.run_workers import RunWorkers
from evals.execution.workers.transport import Transport
from evals.hooks.observer import RunObserver
from evals.records import answers
from evals.records.folder import RunFolder
from evals.records.signature import RemoteModel, code_digest
from evals.records.types import ProbeEntry, SampleRecord
from evals.schema import Concurrent, Model, Placement, Probe, RunConfig, Samples, Task


def resolved(config: RunConfig) -> Resolved:
    """Find the model of a configuration; its weights are not read."""
    return resolve(config.model, scale=config.options.scale, checkpoint=config.checkpoint, task=config.task)


def selected(config: RunConfig, samples: Samples) -> Samples:
    """Select the samples of a run from all samples of the split."""
    samples = generation_options.apply(selection.limited(samples, config.options), config.options)
    return selection.blinded(samples) if config.options.blind else samples


def open_executor(
    config: RunConfig,
    task: Task,
    split: Samples,
    *,
    load_model: Callable[[Resolved, Placement], Model],
    workers: RunWorkers | None = None,
) -> Executor:
    """Load the model in this process, or start workers that load it; with workers, this process keeps no model.

    Args:
        config: the configuration of the run.
        task: what the model must be able to do.
        split: all samples of the split.
        load_model: loads a model into this process, or returns one that is loaded already.
        workers: those that this run gets of the workers that it shares with others; None starts workers for it alone.

    Raises:
        InputError: the model cannot be loaded, cannot do the task or lacks recorded outputs; or there are fewer GPUs
            than workers.
    """
    samples = selected(config, split)
    if config.workers > 1 and config.cluster is None and workers is None:  # one without a sample would be for nothing
        config = replace(config, workers=max(2, min(config.workers, len(samples))))
    if config.workers == 1 and config.cluster is None:
        model = composition.for_run(load_model(resolved(config), config.placement), config.task, split)
        _check(config, task, split, samples, model)
        return InProcess(model, samples)
    setup = _worker_setup(config, split)
    kinds = workers.kinds if workers is not None else agreement.DeviceKinds(mixed=config.mixed)
    agreed = WorkerAgreement(agreement.origin(samples), kinds=kinds)
    on_event = progress.note if config.shows_bar else lambda text: None
    if workers is not None:
        return workers.open(setup, samples, agreed, on_event=on_event)
    return Pool(connect([config]), setup, samples, agreed, on_event=on_event)


def _worker_setup(config: RunConfig, split: Samples | None = None) -> Setup:
    """Return what loads a run in its workers. Raises `InputError` if the workers could not compute it."""
    source = resolved(config)
    if config.cluster is None:
        return _WorkerSetup(config, shipping.LocalFiles(source.name), _placements(config))
    nodes.check(config, source)
    return _WorkerSetup(config, shipping.local_files(config, source, split))


def connect(configs: Sequence[RunConfig]) -> Transport:
    """Reach the workers that compute one run, or several ones that differ in their models and tasks only.

    Raises:
        InputError: there is no such cluster.
    """
    config = configs[0]
    if config.cluster is None:
        return LocalProcesses(config.workers)
    nodes.check_address(config.cluster)
    limit = config.workers if "workers" in config.chosen else None
    gpus = max(nodes.gpus_per_worker(config, resolved(config)) for config in configs)
    return nodes.Cluster(nodes.connect(config.cluster), gpus=gpus, limit=limit)


def evaluate(
    config: RunConfig,
    task: Task,
    samples: Samples,
    executor: Executor,
    folder: RunFolder,
    *,
    observer: RunObserver | None = None,
) -> None:
    """Compute the samples that are not on disk yet.

    Args:
        config: the configuration of the run.
        task: scores the samples.
        samples: the run's samples.
        executor: answers the requests.
        folder: receives the records.
        observer: tells hooks what is done; None if there is no hook.
    """
    observer = observer or RunObserver(folder)
    finished_ids = folder.finished_ids
    if len(finished_ids) < len(samples):
        with progress.bar(
            total=len(samples), initial=len(finished_ids), unit=" samples", disable=not config.shows_bar, desc=task.name
        ) as bar:
            Evaluation(config, task, samples, executor, folder, bar=bar, observer=observer).compute()
    if len(finished_ids) == len(samples):
        answers.forget(folder.folder)


class Evaluation:
    """Computes samples of a run, all of them or some after others, and records them."""

    def __init__(
        self,
        config: RunConfig,
        task: Task,
        samples: Samples,
        executor: Executor,
        folder: RunFolder,
        *,
        bar: ProgressBar,
        observer: RunObserver,
        status: Callable[[], str] | None = None,
    ) -> None:
        """Fit the task's probe, if the chosen method needs one.

        Args:
            config: the configuration of the run.
            task: scores the samples.
            samples: the run's samples.
            executor: answers the requests.
            folder: receives the records.
            bar: shows how many samples are finished.
            observer: tells hooks what is done.
            status: returns what the bar says beside them; by default the mean of the headline.
        """
        self.samples = samples
        self.folder = folder
        self.on_rows: Callable[[Sequence[SampleRecord]], object] = lambda rows: None
        """Called with the records of finished samples after they were written."""
        self._task = task
        self._executor = executor
        self._bar = bar
        self._mean = _RunningMean(task.headline)
        self._status = status or self._mean.text
        self._observer = observer
        self._probe = _fitted_probe(config, task, samples, executor, folder, observer)
        observer.begin("samples", len(samples))

    def compute(self, indices: Sequence[int] | None = None) -> None:
        """Compute those samples that are not on disk yet, of all samples or of those at some ascending indices."""
        samples = self.samples if indices is None else selection.only(self.samples, indices)
        select = whole if indices is None else _Chosen(tuple(indices))
        finished_ids = (
            self.folder.finished_ids if indices is None else self.folder.finished_ids.intersection(samples.ids)
        )
        collected = collector.Collector(self._task, samples, self._probe)

        def on_batch(batch_ids: Sequence[BatchId], answered: list[AnsweredRequest]) -> None:
            # A batch cut off by a kill is computed again as a whole; its finished samples are on disk already.
            rows = [row for row in collected.add(answered) if row.id not in finished_ids]
            if indices is not None:
                for row in rows:
                    row.index = indices[row.index]
            self.folder.append(rows, prefixes_of([answer.model_input for answer in answered]))
            finished_ids.update(row.id for row in rows)
            self._mean.add(rows)
            self.on_rows(rows)
            self._observer.samples_done(rows, self._task.headline)
            self._bar.set_postfix_str(", ".join(filter(None, (self._status(), self._executor.status()))), refresh=False)
            self._bar.update(len(rows))

        before = -1
        dated, plan = Dated(select, self.folder.manifest.started), self.folder.manifest.plan
        # Once, unless a request could be tokenised by one worker and not by another (a template's time limit), so that
        # their plans differed: what is missing then is planned again, as at a restart.
        while before < len(finished_ids) < len(samples):
            before = len(finished_ids)
            self._executor.compute(
                dated, plan=plan, finished_ids=finished_ids, on_batch=on_batch, kept=self.folder.folder
            )


@dataclass(frozen=True)
class _Chosen:
    """Selects the samples at some indices (a `SelectSamples`). Sent to the workers."""

    indices: tuple[int, ...]

    def __call__(self, samples: Samples) -> Samples:
        return selection.only(samples, self.indices)


class ProgressBar(Protocol):
    """The part of a bar of `tqdm` that a run needs."""

    def update(self, n: float) -> object:
        """Count finished samples."""

    def set_postfix_str(self, s: str, refresh: bool) -> object:
        """Set what stands beside the bar."""


@dataclass
class _RunningMean:
    """The mean of the values so far, for the progress bar."""

    headline: str
    total: float = 0.0
    count: int = 0

    def add(self, rows: Sequence[SampleRecord]) -> None:
        values = [row.values[self.headline] for row in rows if self.headline in row.values]
        self.total += sum(values)
        self.count += len(values)

    def text(self) -> str:
        return f"{self.headline} {100 * self.total / self.count:.1f} %" if self.count else ""


@dataclass(frozen=True)
class _WorkerSetup:
    """Loads what a worker needs (a `Setup`). Sent to the worker."""

    config: RunConfig
    files: shipping.LocalFiles
    """Files of the driver's machine that the configuration names."""
    placements: tuple[Placement, ...] = ()
    """Where each worker of one machine computes; empty on a cluster, where each worker has its devices for itself."""

    def __call__(self, number: int, locate: Locate, loaded: LoadedRun | None = None) -> LoadedRun:
        config = self.files.located(self.config, locate)
        task = registry.TASKS.get(config.task)
        split = task.samples(config.options)
        samples = selected(config, split)
        model = self._load(config, number, locate) if loaded is None else loaded.model
        model = composition.for_run(model, config.task, split)
        _check(config, task, split, samples, model)
        # The budget is that of a single process, so it is read before the worker is limited to its part of the cores.
        budget = model.token_budget if loaded is None else loaded.description.token_budget
        description = RemoteModel(model.name, model.facts, token_budget=budget, code=code_digest(task, model))
        torch = sys.modules.get("torch")
        if torch is not None and self.placements and loaded is None:
            torch.set_num_threads(max(1, torch.get_num_threads() // len(self.placements)))
        origin = agreement.origin(samples, concurrent=isinstance(model, Concurrent))
        return LoadedRun(samples, model, description, origin)

    def _load(self, config: RunConfig, number: int, locate: Locate) -> Model:
        placement = self.placements[number] if self.placements else config.placement
        return self.files.placed(resolved(config), locate).load(placement)


def _check(config: RunConfig, task: Task, split: Samples, samples: Samples, model: Model) -> None:
    """Refuse a loaded model that cannot do the task, or has no recorded output of a sample."""
    validation.check_able(task, config.options, model)
    model.check(split.output_ids(), samples.output_ids())
    if samples.train is not None and _needs_probe(config, task):
        model.check(samples.train.output_ids(), samples.train.output_ids())


def _needs_probe(config: RunConfig, task: Task) -> bool:
    """Return whether the answers are those of a probe that is fitted on training samples."""
    return task.fit_probe is not None and task.methods.get(config.options.method or "") == "embed"


def _placements(config: RunConfig) -> tuple[Placement, ...]:
    """Place each worker on a device; a model that computes elsewhere (a server, recorded outputs) needs none."""
    if resolved(config).computes_elsewhere or config.placement.device == "cpu":
        return (config.placement,) * config.workers
    import torch

    return devices.assign(config.placement, config.workers, gpu_count=int(torch.cuda.device_count()))


def _fitted_probe(
    config: RunConfig, task: Task, samples: Samples, executor: Executor, folder: RunFolder, observer: RunObserver
) -> Probe | None:
    """Fit the task's probe on its training samples, if the chosen method needs one."""
    if task.fit_probe is None or not _needs_probe(config, task):
        return None
    train = samples.train
    if train is None:
        return task.fit_probe([], {})
    observer.begin("training", len(train))
    with progress.bar(
        total=len(train), unit=" samples", disable=not config.shows_bar, desc=f"{task.name}, train"
    ) as bar:

        def advance(count: float) -> None:
            bar.update(count)
            observer.training_done(count)

        select, plan = Dated(training, folder.manifest.started), folder.manifest.plan
        collected = collector.collect_predictions(
            executor, select, train, plan=plan, advance=advance, kept=folder.folder
        )
    fitted_on = [sample for sample in train if sample.id in collected.predictions]
    folder.note_probe(ProbeEntry(samples=len(fitted_on), left_out=collected.left_out, shortened=collected.shortened))
    return task.fit_probe(fitted_on, collected.predictions)
