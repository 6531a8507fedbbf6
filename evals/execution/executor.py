"""Where the requests of a run are answered: in this process, or by workers (`evals.execution.workers.pool`)."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Protocol

from evals.execution.loop import OnBatch, compute_batches
from evals.execution.windows import WholePlan
from evals.records.signature import SignedModel
from evals.records.types import PlanEntry
from evals.schema import Model, Samples

SelectSamples = Callable[[Samples], Samples]
"""Returns the samples to compute, given those of the run: all of them, or those that a probe is fitted on. It is sent
to the workers, so it must be picklable."""


class Executor(Protocol):
    """Answers requests with one model; a context manager, because it may own processes."""

    @property
    def model(self) -> SignedModel:
        """What the manifest states about the model."""

    def compute(
        self,
        select: SelectSamples,
        *,
        plan: PlanEntry,
        finished_ids: AbstractSet[str],
        on_batch: OnBatch,
        kept: Path | None = None,
    ) -> None:
        """Answer every request of some of the run's samples.

        Args:
            select: which samples.
            plan: how requests become batches.
            finished_ids: ids of samples that are on disk; grows as `on_batch` is called. A window that is on disk as a
                whole is not prepared.
            on_batch: called with finished batches, in this process and thread.
            kept: the run folder in which a server's answers are kept until they are recorded, or None.

        Raises:
            InputError: the model refused the input.
            EvalsError: the samples cannot all be answered, for example because every worker has died.
        """

    def peak_memory_bytes(self) -> int | None:
        """Peak memory of the model's device in bytes, or None if only that of the processes is known."""

    def process_memory_bytes(self) -> int:
        """Peak memory of the processes that compute, in bytes; the highest, if there are several."""

    def status(self) -> str:
        """Machines and their rates for the line of progress; empty if there is only this machine."""

    def close(self) -> None:
        """End the processes, if there are any."""

    def __enter__(self) -> Executor:
        """Return the executor."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""


class InProcess:
    """Answers requests with a model in this process."""

    def __init__(self, model: Model, samples: Samples) -> None:
        """Compute with a loaded model.

        Args:
            model: answers the requests.
            samples: the run's samples.
        """
        self.model = model
        self._samples = samples

    def compute(
        self,
        select: SelectSamples,
        *,
        plan: PlanEntry,
        finished_ids: AbstractSet[str],
        on_batch: OnBatch,
        kept: Path | None = None,
    ) -> None:
        """See `Executor.compute`."""
        samples = select(self._samples)
        leases = WholePlan(samples.ids, plan.window, finished_ids)
        compute_batches(samples, self.model, plan=plan, leases=leases, on_batch=on_batch, kept=kept)

    def peak_memory_bytes(self) -> int | None:
        """See `Executor.peak_memory_bytes`."""
        return self.model.peak_memory_bytes()

    def process_memory_bytes(self) -> int:
        """See `Executor.process_memory_bytes`."""
        return own_memory_bytes()

    def status(self) -> str:
        """Return the empty text: there is one machine."""
        return ""

    def close(self) -> None:
        """Do nothing: the caller owns the model."""

    def __enter__(self) -> InProcess:
        """Return the executor."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Do nothing."""


def own_memory_bytes() -> int:
    """Return the peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def whole(samples: Samples) -> Samples:
    """Return all samples: the part that a run computes and records."""
    return samples


def training(samples: Samples) -> Samples:
    """Return the samples that a task's probe is fitted on."""
    assert samples.train is not None
    return samples.train
