"""Workers as processes of this machine (a `Transport`)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from evals.errors import InputError
from evals.execution.workers.messages import FromWorker, decode, encode
from evals.execution.workers.serving import serve
from evals.execution.workers.transport import Died, Received, ending

_PATIENCE = 5.0
"""Seconds that a worker has to end after it was asked to, before it is killed."""


@dataclass(frozen=True)
class PipeProcess:
    """A worker's process, and the driver's end of its pipe."""

    process: BaseProcess
    pipe: Connection


class LocalProcesses:
    """A fixed number of workers on this machine."""

    def __init__(self, worker_count: int) -> None:
        """Name the workers; none is started yet.

        Args:
            worker_count: number of workers.
        """
        self._count = worker_count
        self._places: list[int] = []
        """The place of every worker that was ever started."""
        self._processes: dict[int, PipeProcess] = {}
        self._is_closed = False

    def start(self) -> list[int]:
        """See `Transport.start`."""
        if self._is_closed:
            return []
        return [self._start(place) for place in range(len(set(self._places)), self._count)]

    def restart(self, worker: int) -> int | None:
        """See `Transport.restart`."""
        self.end(worker)
        return None if self._is_closed else self._start(self._places[worker])

    def receive(self, seconds: float) -> list[Received]:
        """See `Transport.receive`."""
        handles = {handle for worker in self._processes.values() for handle in (worker.pipe, worker.process.sentinel)}
        ready = set(wait(list(handles), seconds))
        messages: list[Received] = []
        for number, worker in list(self._processes.items()):
            if worker.pipe not in ready and worker.process.sentinel not in ready:
                continue
            try:
                if worker.pipe not in ready and not worker.pipe.poll():
                    raise EOFError
                messages.append((number, decode(worker.pipe.recv_bytes())))
                while worker.pipe.poll():
                    messages.append((number, decode(worker.pipe.recv_bytes())))
            except (EOFError, OSError):  # it has died, perhaps in the middle of a message
                worker.process.join()
                messages.append((number, Died(ending(worker.process.exitcode))))
                worker.pipe.close()
                del self._processes[number]
        return messages

    def send(self, worker: int, message: object) -> None:
        """See `Transport.send`."""
        process = self._processes.get(worker)
        if process is None:
            return
        try:
            process.pipe.send_bytes(encode(message))
        except (BrokenPipeError, ConnectionResetError):
            return

    def supply(self, worker: int, path: str, beside: Sequence[str] = ()) -> object:
        """Refuse: all workers see the files of this machine."""
        raise InputError(f"{path} was removed while worker {worker} loaded it")

    def end(self, worker: int) -> None:
        """See `Transport.end`."""
        process = self._processes.pop(worker, None)
        if process is None:  # it has died in the meantime
            return
        process.process.kill()
        process.process.join()
        process.pipe.close()

    def close(self) -> None:
        """See `Transport.close`; what the workers have not reported is lost."""
        for worker in self._processes.values():
            worker.process.terminate()
        for worker in self._processes.values():
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():  # it is stopped, or hangs in a driver
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._processes.clear()
        self._is_closed = True

    def machine(self, worker: int) -> str:
        """Return the empty name: there is one machine."""
        return ""

    def needs(self) -> str:
        """See `Transport.needs`."""
        return "a process"

    def _start(self, place: int) -> int:
        """Start a worker at a place."""
        number = len(self._places)
        self._processes[number] = _start(place, self._count)
        self._places.append(place)
        return number


def _start(place: int, worker_count: int) -> PipeProcess:
    """Start a worker; it never sees an interrupt that the terminal sends to all processes, not even while it starts."""
    context = multiprocessing.get_context("spawn")
    driver_end, worker_end = context.Pipe()
    process = context.Process(target=_serve, args=(place, worker_end), daemon=True, name=f"worker-{place}")
    resource_tracker.ensure_running()  # else the first start would start it, which unblocks the signal
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    except OSError as error:
        raise InputError(f"worker {place} of {worker_count} cannot be started: {error.strerror or error}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        worker_end.close()
    return PipeProcess(process, driver_end)


def _serve(place: int, pipe: Connection) -> None:
    """Run a worker in its process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what an interrupt means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(place, _PipeChannel(pipe))


class _PipeChannel:
    """A worker's end of its pipe (a `Channel`)."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()

    def send(self, message: FromWorker) -> None:
        data = encode(message)
        with self._sending:
            self._pipe.send_bytes(data)

    def receive(self) -> Any:
        return decode(self._pipe.recv_bytes())


def _end_with_parent() -> None:
    """End this process as soon as its parent has ended, however it did: a killed driver leaves no worker behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
