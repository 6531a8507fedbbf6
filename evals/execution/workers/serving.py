"""What runs in a worker's process: load the model, then compute whatever the parent leases."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, cast

from evals.errors import EvalsError, InputError
from evals.execution.executor import own_memory_bytes
from evals.execution.loop import AnsweredRequest, compute_batches
from evals.execution.windows import BatchId, Lease
from evals.execution.workers.messages import (
    Acquire,
    Compute,
    Computed,
    FromWorker,
    Idle,
    Left,
    Loaded,
    NextWindow,
    Open,
    Planned,
    Stopped,
)
from evals.records.signature import RemoteModel
from evals.schema import Model, Samples


class LoadedRun(NamedTuple):
    """What a worker needs to compute any samples of a run."""

    samples: Samples
    """The run's samples."""
    model: Model
    description: RemoteModel
    """What the parent puts into the manifest about the model."""


Setup = Callable[[int, LoadedRun | None], LoadedRun]
"""Loads what a worker needs, called with its number and with what it has loaded for an earlier run of the same model.
It is sent to the worker, so it must be picklable."""


def serve(setup: Setup, number: int, worker_count: int, pipe: Connection) -> None:
    """Run a worker until the parent ends it.

    Args:
        setup: loads the samples and the model.
        number: the worker's number.
        worker_count: number of workers; their seconds pass at the same time, so a sample costs its worker's share.
        pipe: to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    parent = _Parent(pipe)
    try:
        loaded = setup(number, None)
        parent.send(Loaded(loaded.description))
        while True:
            order: Open | Compute = parent.receive()
            if isinstance(order, Open):
                loaded = cast("Setup", order.setup)(number, loaded)
                parent.send(Loaded(loaded.description))
            else:
                _compute(order, loaded, parent, number, worker_count)
    except EvalsError as error:
        parent.send(Stopped(str(error), isinstance(error, InputError)))
    except (EOFError, ConnectionError):  # the parent has closed the pipe
        return


def _compute(order: Compute, loaded: LoadedRun, parent: _Parent, number: int, worker_count: int) -> None:
    """Compute what the parent leases, until there is nothing left."""
    model = loaded.model

    def on_batch(batch_ids: Sequence[BatchId], answers: list[AnsweredRequest]) -> None:
        shared = [
            answer._replace(seconds=answer.seconds / worker_count, model_seconds=answer.model_seconds / worker_count)
            for answer in answers
        ]
        parent.send(Computed(list(batch_ids), shared, model.peak_memory_bytes(), own_memory_bytes()))

    compute_batches(
        order.select(loaded.samples), model, plan=order.plan, leases=parent, on_batch=on_batch, kept=order.kept,
        process=number,
    )  # fmt: skip
    parent.send(Idle())


class _Parent:
    """The parent, as a worker sees it; it grants the leases."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, message: FromWorker) -> None:
        self._pipe.send(message)

    def receive(self) -> Any:
        return self._pipe.recv()

    def next_window(self) -> Lease | None:
        self.send(NextWindow())
        lease: Lease | None = self.receive()
        return lease

    def plan(self, start: int, batch_count: int) -> None:
        self.send(Planned(start, batch_count))

    def acquire(self, batch_id: BatchId, ids: set[str]) -> bool:
        self.send(Acquire(batch_id, ids))
        return bool(self.receive())

    def leave(self, start: int) -> None:
        self.send(Left(start))


def _end_with_parent() -> None:
    """End this process as soon as its parent has ended, however it did: a killed parent leaves no worker behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
