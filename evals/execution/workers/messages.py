"""The protocol: what the driver and its workers send each other, as values that can be pickled.

A worker asks for a window (`NextWindow`), says how many batches it has (`Planned`), asks for each batch (`Acquire`),
returns the answers (`Computed`), and says that it has asked for all (`Left`). It waits for one answer at a time. A
`Heartbeat` comes every few seconds, also while a batch is computed.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.execution.executor import SelectSamples
from evals.execution.loop import AnsweredRequest
from evals.execution.windows import BatchId
from evals.records.signature import RemoteModel
from evals.records.types import PlanEntry
from evals.schema import Json


@dataclass(frozen=True, slots=True)
class Open:
    """Driver to worker: prepare a run, its first one or another one of the same model; the answer is `Loaded`."""

    setup: Callable[..., object]
    """A `Setup` (`evals.execution.workers.serving`)."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Driver to worker: lease windows of some of the samples and compute them, until there is none to lease."""

    select: SelectSamples
    plan: PlanEntry
    kept: Path | None
    """The run folder in which a server's answers are kept until they are recorded."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a worker computes with, as far as it must be equal on all machines."""

    machine: str
    """Name or address of the machine."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of Python and of the packages that the values depend on."""
    data: Mapping[str, Json] = field(default_factory=dict)
    """Facts of the samples: source, digests of the files, number and digest of the ids."""
    concurrent: bool = False
    """Whether the model waits for a server, which may take any time."""


@dataclass(frozen=True, slots=True)
class Started:
    """The worker's process runs, and waits for a run to prepare."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """As in `Origin`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The worker lacks a file or folder of the driver's machine; the driver answers with its contents."""

    path: str
    beside: tuple[str, ...] = ()
    """Further files that it needs, relative to the folder of the file."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The worker has loaded the model."""

    model: RemoteModel
    origin: Origin


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The worker's process is alive."""


@dataclass(frozen=True, slots=True)
class NextWindow:
    """The worker asks for a window; the driver answers with a `Lease` or None."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The worker has planned a window."""

    start: int
    batch_count: int


@dataclass(frozen=True, slots=True)
class Acquire:
    """The worker asks for a batch; the driver answers with True or False."""

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


FromWorker = Started | Missing | Loaded | Heartbeat | NextWindow | Planned | Acquire | Left | Computed | Idle | Stopped


def encode(message: object) -> bytes:
    """Encode a message for a pipe or a cluster."""
    return pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)


def decode(data: bytes) -> Any:
    """Decode a message of `encode`; it comes from a process that this run has started."""
    return pickle.loads(data)
