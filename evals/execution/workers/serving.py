"""What runs in a worker, wherever it is: load the model, then compute whatever the driver leases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from evals.errors import EvalsError, InputError
from evals.execution.executor import own_memory_bytes
from evals.execution.loop import AnsweredRequest, compute_batches
from evals.execution.windows import BatchId, Lease
from evals.execution.workers.agreement import machine_versions
from evals.execution.workers.messages import (
    Acquire,
    Compute,
    Computed,
    FromWorker,
    Heartbeat,
    Idle,
    Left,
    Loaded,
    NextWindow,
    Open,
    Origin,
    Planned,
    Started,
    Stopped,
)
from evals.records.signature import RemoteModel
from evals.schema import Model, Samples

HEARTBEAT = 2.0
"""Seconds between two heartbeats."""


class LoadedRun(NamedTuple):
    """What a worker needs to compute any samples of a run."""

    samples: Samples
    """The run's samples."""
    model: Model
    description: RemoteModel
    """What the driver puts into the manifest about the model."""
    origin: Origin


Locate = Callable[..., Path]
"""Returns where a file or folder of the driver's machine is on this one; called with its absolute path and, if it needs
files beside it, their names relative to its folder."""

Setup = Callable[[int, Locate, LoadedRun | None], LoadedRun]
"""Loads what a worker needs, called with its place, with what finds files, and with what it has loaded for an earlier
run of the same model. It is sent to the worker, so it must be picklable."""


class Channel(Protocol):
    """The connection of a worker to the driver."""

    def send(self, message: FromWorker) -> None:
        """Send a message; called from two threads. Raises `ConnectionError` if the driver has gone."""

    def receive(self) -> Any:
        """Wait for a message. Raises `EOFError` if the driver has gone."""


def serve(place: int, channel: Channel, locate: Locate = lambda path, beside=(): Path(path)) -> None:
    """Run a worker until the driver ends it.

    Args:
        place: the worker's place among those of its machine, which decides on its device.
        channel: to the driver.
        locate: finds files of the driver's machine.
    """
    loaded: LoadedRun | None = None
    try:
        channel.send(Started(machine_versions()))
        with _heartbeats(channel):
            while True:
                order: Open | Compute = channel.receive()
                if isinstance(order, Open):
                    loaded = cast("Setup", order.setup)(place, locate, loaded)
                    channel.send(Loaded(loaded.description, loaded.origin))
                else:
                    assert loaded is not None, "the driver opens a run before it has it computed"
                    _compute(order, loaded, channel, place)
    except EvalsError as error:
        channel.send(Stopped(str(error), isinstance(error, InputError)))
    except (EOFError, ConnectionError):  # the driver has gone
        return


def _compute(order: Compute, loaded: LoadedRun, channel: Channel, place: int) -> None:
    """Compute what the driver leases, until there is nothing left."""
    model = loaded.model

    def on_batch(batch_ids: Sequence[BatchId], answers: list[AnsweredRequest]) -> None:
        channel.send(Computed(list(batch_ids), answers, model.peak_memory_bytes(), own_memory_bytes()))

    compute_batches(
        order.select(loaded.samples), model, plan=order.plan, leases=_Driver(channel), on_batch=on_batch,
        kept=order.kept, process=place,
    )  # fmt: skip
    channel.send(Idle())


@contextmanager
def _heartbeats(channel: Channel) -> Iterator[None]:
    """Send heartbeats from a thread of its own until the context ends."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT):
            try:
                channel.send(Heartbeat())
            except ConnectionError:
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Driver:
    """The driver, as a worker sees it; it grants the leases."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def next_window(self) -> Lease | None:
        self._channel.send(NextWindow())
        lease: Lease | None = self._channel.receive()
        return lease

    def plan(self, start: int, batch_count: int) -> None:
        self._channel.send(Planned(start, batch_count))

    def acquire(self, batch_id: BatchId, ids: set[str]) -> bool:
        self._channel.send(Acquire(batch_id, ids))
        return bool(self._channel.receive())

    def leave(self, start: int) -> None:
        self._channel.send(Left(start))
