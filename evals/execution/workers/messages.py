"""What the parent and its workers tell each other, as values that can be pickled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evals.execution.executor import SelectSamples
from evals.execution.loop import AnsweredRequest
from evals.execution.windows import BatchId
from evals.records.signature import RemoteModel
from evals.records.types import PlanEntry


@dataclass(frozen=True, slots=True)
class Open:
    """Parent to worker: prepare another run of the model that is loaded; the answer is `Loaded`."""

    setup: Callable[..., object]
    """A `Setup` (`evals.execution.workers.serving`)."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Parent to worker: lease windows of some of the samples and compute them, until there is none to lease."""

    select: SelectSamples
    plan: PlanEntry
    kept: Path | None
    """The run folder in which a server's answers are kept until they are recorded."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The worker has loaded the model."""

    model: RemoteModel


@dataclass(frozen=True, slots=True)
class NextWindow:
    """The worker asks for a window; the parent answers with a `Lease` or None."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The worker has planned a window."""

    start: int
    batch_count: int


@dataclass(frozen=True, slots=True)
class Acquire:
    """The worker asks for a batch; the parent answers with True or False."""

    batch_id: BatchId
    ids: set[str]
    """Ids of the batch's samples."""


@dataclass(frozen=True, slots=True)
class Left:
    """The worker has asked for every batch of a window."""

    start: int


@dataclass(frozen=True, slots=True)
class Computed:
    """The worker has finished batches."""

    batch_ids: list[BatchId]
    answers: list[AnsweredRequest]
    peak_memory_bytes: int | None
    """Peak memory of the worker's device so far, if it is counted."""
    process_memory_bytes: int
    """Peak memory of the worker's process so far."""


@dataclass(frozen=True, slots=True)
class Idle:
    """The worker has computed everything that it was granted, and was offered no window."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker has ended: the run cannot go on."""

    reason: str
    is_bad_input: bool
    """Whether the user can correct it (`InputError`), as opposed to a deadline that has passed."""


FromWorker = Loaded | NextWindow | Planned | Acquire | Left | Computed | Idle | Stopped
