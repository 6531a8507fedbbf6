"""What a Ray cluster runs: an actor that holds one worker, which computes in a thread of its own."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.errors import one_line
from evals.execution.workers.cluster.shipping import Parcel, unpack
from evals.execution.workers.messages import FromWorker, Missing, decode, encode
from evals.execution.workers.serving import serve


class WorkerActor:
    """One worker on a node of a cluster. Its methods are called by the driver, and return within seconds."""

    def __init__(self, place: int, environment: Mapping[str, str]) -> None:
        """Start the worker.

        Args:
            place: its place among all workers of the cluster.
            environment: variables of the driver's environment that libraries read when they are imported.
        """
        os.environ.update(environment)
        self._channel = _QueueChannel()
        self._failure: str | None = None
        threading.Thread(target=self._run, args=(place,), daemon=True).start()

    def exchange(self, messages: list[bytes], seconds: float) -> list[bytes]:
        """Take messages of the driver; return those of the worker, as soon as there is one or after some seconds."""
        for data in messages:
            self._channel.to_worker.put(decode(data))
        answers = self._channel.sent(seconds)
        if not answers and self._failure is not None:
            raise RuntimeError(self._failure)
        return answers

    def deliver(self, data: bytes) -> None:
        """Take a message of the driver while `exchange` waits."""
        self._channel.to_worker.put(decode(data))

    def deliver_files(self, parcel: Parcel) -> None:
        """Take the contents of files that the worker lacks."""
        self._channel.to_worker.put(parcel)

    def _run(self, place: int) -> None:
        try:
            serve(place, self._channel, self._locate)
        except BaseException as error:  # whatever it is, the driver is told, and the others go on
            self._failure = f"{type(error).__name__}: {one_line(error)}"
            raise

    def _locate(self, path: str, beside: Sequence[str] = ()) -> Path:
        """Find a file of the driver's machine on this one, with the files beside it, or ask for their contents."""
        place = Path(path)
        if place.exists() and all((place.parent / name).exists() for name in beside):
            return place
        self._channel.send(Missing(path, tuple(beside)))
        parcel: Parcel = self._channel.receive()
        return unpack(parcel)


class _QueueChannel:
    """A worker's connection to the driver (a `Channel`): the actor's methods carry what is in the queues."""

    def __init__(self) -> None:
        self.to_worker: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._to_driver: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def send(self, message: FromWorker) -> None:
        self._to_driver.put(encode(message))

    def receive(self) -> Any:
        return self.to_worker.get()

    def sent(self, seconds: float) -> list[bytes]:
        """Wait for the first message at most some seconds, and return all that there are."""
        messages: list[bytes] = []
        try:
            messages.append(self._to_driver.get(timeout=seconds))
            while True:
                messages.append(self._to_driver.get_nowait())
        except queue.Empty:
            return messages
