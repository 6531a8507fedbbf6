"""What a run is of, and how all of it that is not on disk yet gets there, in one process or in several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals import registry
from evals.execution import collector, loop
from evals.execution.resolve import Resolved, resolve
from evals.execution.workers import Pool
from evals.records.folder import RunFolder
from evals.schema import Model, Options, Placement, Probe, Samples, Task


@dataclass(frozen=True)
class Job:
    """What a run is of, by names alone, so that it can be sent to a worker."""

    model: str
    task: str
    checkpoint: str | None
    options: Options
    placement: Placement

    def adapter(self) -> Task:
        """Look the task up."""
        return registry.TASKS.get(self.task)

    def resolved(self) -> Resolved:
        """Find the model; its weights stay where they are."""
        return resolve(self.model, scale=self.options.scale, checkpoint=self.checkpoint)

    def chosen(self, samples: Samples) -> Samples:
        """The samples that this run is of, out of all the split's."""
        samples = loop.limited(samples, self.options.limit)
        return loop.blinded(samples) if self.options.blind else samples


@dataclass
class _WorkerPass:
    """One worker's way over the plan; loads the model when it first walks."""

    job: Job
    token_budget: int
    count: int
    loaded: tuple[Samples, Model] | None = None

    def __call__(self, number: int, done: set[str], try_acquire: loop.TryAcquire, on_batch: loop.OnBatch) -> None:
        if self.loaded is None:
            samples = self.job.chosen(self.job.adapter().samples(self.job.options))
            self.loaded = samples, self.job.resolved().load(self._placement(number))
        samples, model = self.loaded

        def shared(batch_ids: Sequence[loop.BatchId], answers: list[loop.AnsweredRequest]) -> None:
            # The workers' seconds pass at the same time: a sample costs its part of them.
            on_batch(
                batch_ids,
                [
                    a._replace(seconds=a.seconds / self.count, model_seconds=a.model_seconds / self.count)
                    for a in answers
                ],
            )

        loop.work(
            samples,
            model,
            token_budget=self.token_budget,
            share=self.job.placement.share,
            done=done,
            try_acquire=try_acquire,
            on_batch=shared,
        )

    def _placement(self, number: int) -> Placement:
        """A GPU for each worker where there are enough, else its part of the cores."""
        wanted = self.job.placement
        on_torch = self.job.resolved().family.prefix is None
        if on_torch and wanted.device in {None, "cuda"} and _gpus() > number:
            return replace(wanted, device=f"cuda:{number}")
        return replace(wanted, threads=max(1, (os.cpu_count() or 1) // self.count))


def evaluate(
    job: Job, task: Task, samples: Samples, model: Model, folder: RunFolder, count: int, progress: bool
) -> None:
    """Compute what is not on disk yet."""
    from tqdm import tqdm

    token_budget = folder.manifest["plan"]["token_budget"]
    read = _learned(task, samples, model, token_budget, job, progress) if len(folder.done) < len(samples) else None
    with tqdm(
        total=len(samples), initial=len(folder.done), unit=" samples", disable=not progress, desc=task.name
    ) as bar:
        collected = collector.Collector(task, samples, read)
        totals = [0.0, 0]

        def on_batch(batch_ids: Sequence[loop.BatchId], answers: list[loop.AnsweredRequest]) -> None:
            # A batch that was cut off by a kill is computed whole again; what it had finished is on disk already.
            rows = [row for row in collected.add(answers) if row["id"] not in folder.done]
            folder.append(rows)
            scored = [row["values"][task.headline] for row in rows if task.headline in row["values"]]
            if scored:
                totals[0] += sum(scored)
                totals[1] += len(scored)
                bar.set_postfix_str(f"{task.headline} {100 * totals[0] / totals[1]:.1f} %", refresh=False)
            bar.update(len(rows))

        def try_acquire(batch_id: loop.BatchId, ids: set[str]) -> bool:
            return not ids <= folder.done

        if count > 1:
            Pool(_WorkerPass(job, token_budget, count), count, len(samples), folder.done, on_batch).run()
        else:
            share = job.placement.share
            loop.work(
                samples,
                model,
                token_budget=token_budget,
                share=share,
                done=folder.done,
                try_acquire=try_acquire,
                on_batch=on_batch,
            )


def _learned(task: Task, samples: Samples, model: Model, token_budget: int, job: Job, progress: bool) -> Probe | None:
    """Have a task learn from its train samples how to read embeddings, where the chosen method asks for that."""
    from tqdm import tqdm

    if task.fit_probe is None or task.methods.get(job.options.method or "") != "embed":
        return None
    if samples.train is None:
        return task.fit_probe([], {})
    model.check(samples.train.output_ids(), samples.train.output_ids())
    total = len(samples.train)
    with tqdm(total=total, unit=" samples", disable=not progress, desc=f"{task.name}, train") as bar:
        answers = collector.answers_of(
            samples.train, model, token_budget=token_budget, share=job.placement.share, advance=bar.update
        )
    return task.fit_probe(list(samples.train), answers)


def _gpus() -> int:
    """How many CUDA devices there are; asked by workers of several, which load the library anyway."""
    import torch

    return int(torch.cuda.device_count())
