"""Compute and record the samples of a run that are not on disk yet, in one process or in several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals import registry
from evals.execution import collector, generation_options, loop, selection
from evals.execution.inputs import prefixes_of
from evals.execution.loop import AnsweredRequest, BatchId, OnBatch, TryAcquire
from evals.execution.resolve import Resolved, resolve
from evals.execution.workers import Pool
from evals.records.folder import RunFolder
from evals.schema import Model, Placement, Probe, RunConfig, Samples, Task


def resolved(config: RunConfig) -> Resolved:
    """Find the model of a configuration; its weights are not read."""
    return resolve(config.model, scale=config.options.scale, checkpoint=config.checkpoint)


def selected(config: RunConfig, samples: Samples) -> Samples:
    """Select the samples of a run from all samples of the split."""
    samples = generation_options.apply(selection.limited(samples, config.options), config.options)
    return selection.blinded(samples) if config.options.blind else samples


def evaluate(config: RunConfig, task: Task, samples: Samples, model: Model, folder: RunFolder) -> None:
    """Compute the samples that are not on disk yet.

    Args:
        config: the configuration of the run.
        task: scores the samples.
        samples: the run's samples.
        model: answers the requests; with several workers, each loads its own.
        folder: receives the records.
    """
    from tqdm import tqdm

    finished = len(folder.finished_ids)
    if finished == len(samples):
        return
    token_budget = folder.manifest.plan.token_budget
    probe = _fitted_probe(config, task, samples, model, token_budget)
    with tqdm(
        total=len(samples), initial=finished, unit=" samples", disable=not config.progress, desc=task.name
    ) as bar:
        collected = collector.Collector(task, samples, probe)
        mean = _RunningMean()

        def on_batch(batch_ids: Sequence[BatchId], answers: list[AnsweredRequest]) -> None:
            # A batch cut off by a kill is computed again as a whole; its finished samples are on disk already.
            rows = [row for row in collected.add(answers) if row.id not in folder.finished_ids]
            folder.append(rows, prefixes_of([answer.model_input for answer in answers]))
            mean.add([row.values[task.headline] for row in rows if task.headline in row.values])
            if mean.count:
                bar.set_postfix_str(f"{task.headline} {100 * mean.value:.1f} %", refresh=False)
            bar.update(len(rows))

        def try_acquire(batch_id: BatchId, ids: set[str]) -> bool:
            return not ids <= folder.finished_ids

        if config.workers > 1:
            Pool(_WorkerPass(config, token_budget), config.workers, len(samples), folder.finished_ids, on_batch).run()
            return
        loop.compute_batches(
            samples,
            model,
            token_budget=token_budget,
            share=config.placement.share,
            finished_ids=folder.finished_ids,
            try_acquire=try_acquire,
            on_batch=on_batch,
        )


@dataclass
class _RunningMean:
    """The mean of the values so far, for the progress bar."""

    total: float = 0.0
    count: int = 0

    def add(self, values: Sequence[float]) -> None:
        self.total += sum(values)
        self.count += len(values)

    @property
    def value(self) -> float:
        return self.total / self.count


@dataclass
class _WorkerPass:
    """One worker's passes over the plan; the model is loaded at the first pass. Sent to the worker's process."""

    config: RunConfig
    token_budget: int
    loaded: tuple[Samples, Model] | None = None

    def __call__(self, number: int, finished_ids: set[str], try_acquire: TryAcquire, on_batch: OnBatch) -> None:
        """Compute what `try_acquire` grants to worker `number`."""
        config = self.config
        if self.loaded is None:
            samples = selected(config, registry.TASKS.get(config.task).samples(config.options))
            self.loaded = samples, resolved(config).load(self._placement(number))
        samples, model = self.loaded

        def on_own_batch(batch_ids: Sequence[BatchId], answers: list[AnsweredRequest]) -> None:
            # The workers' seconds pass at the same time, so a sample costs its worker's share of them.
            on_batch(
                batch_ids,
                [
                    answer._replace(
                        seconds=answer.seconds / config.workers, model_seconds=answer.model_seconds / config.workers
                    )
                    for answer in answers
                ],
            )

        loop.compute_batches(
            samples,
            model,
            token_budget=self.token_budget,
            share=config.placement.share,
            finished_ids=finished_ids,
            try_acquire=try_acquire,
            on_batch=on_own_batch,
        )

    def _placement(self, number: int) -> Placement:
        """Place a worker on its own GPU if there are enough, else on its part of the CPU cores."""
        placement = self.config.placement
        on_torch = resolved(self.config).family.prefix is None
        if on_torch and placement.device in {None, "cuda"} and _gpu_count() > number:
            return replace(placement, device=f"cuda:{number}")
        return replace(placement, threads=max(1, (os.cpu_count() or 1) // self.config.workers))


def _fitted_probe(config: RunConfig, task: Task, samples: Samples, model: Model, token_budget: int) -> Probe | None:
    """Fit the task's probe on its training samples, if the chosen method needs one."""
    from tqdm import tqdm

    if task.fit_probe is None or task.methods.get(config.options.method or "") != "embed":
        return None
    if samples.train is None:
        return task.fit_probe([], {})
    model.check(samples.train.output_ids(), samples.train.output_ids())
    with tqdm(
        total=len(samples.train), unit=" samples", disable=not config.progress, desc=f"{task.name}, train"
    ) as bar:
        predictions = collector.collect_predictions(
            samples.train, model, token_budget=token_budget, share=config.placement.share, advance=bar.update
        )
    return task.fit_probe(list(samples.train), predictions)


def _gpu_count() -> int:
    """Count the CUDA devices; called in workers, which load torch anyway."""
    import torch

    return int(torch.cuda.device_count())
