"""Several workers on one run: each a process with its own model, all going through the same plan.

Every worker walks over all batches and asks before it computes one; the parent says yes to the first that asks, and
is the only one that scores and writes. Workers thus decide who runs a batch and never what is in it. When a worker
dies, the batches in its hands are free again, and the others take them on another walk; a run fails only when nobody
is left.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess

from evals.errors import EvalsError, InputError
from evals.execution.loop import Answer, Claim, Emit, Ticket

Walk = Callable[[int, set[str], Claim, Emit], None]
"""One walk over the plan: worker's number, ids that are done, claim, emit. It is sent to the workers, so picklable."""


@dataclass
class _Worker:
    """The parent's view of one worker."""

    process: SpawnProcess
    pipe: Connection
    hands: set[Ticket] = field(default_factory=set)
    """What it has claimed and not finished."""
    idle: bool = True
    walked: int = -1
    """How many workers had died when it last set out."""


class Pool:
    """Workers on one run, as the parent sees them."""

    def __init__(self, walk: Walk, count: int, total: int, done: set[str], emit: Emit) -> None:
        """Start the workers.

        Args:
            walk: what each worker does.
            count: how many workers.
            total: how many samples there are.
            done: ids on disk; grows as `emit` is called.
            emit: takes finished batches.
        """
        context = multiprocessing.get_context("spawn")
        self._workers = [_start(context, walk, number) for number in range(count)]
        self._computed: set[Ticket] = set()
        self._deaths = 0
        self._total = total
        self._done = done
        self._emit = emit

    def run(self) -> None:
        """Return when every sample is done.

        Raises:
            InputError: what a worker found wrong with the input.
            EvalsError: when every worker has died.
        """
        try:
            while len(self._done) < self._total:
                self._set_out()
                for pipe in wait([worker.pipe for worker in self._workers]):
                    self._listen(next(worker for worker in self._workers if worker.pipe is pipe))
        finally:
            for worker in self._workers:
                worker.process.terminate()
                worker.process.join()

    def _set_out(self) -> None:
        """Send idle workers on a walk when there is something that they have not been offered."""
        for worker in self._workers:
            if worker.idle and worker.walked < self._deaths:
                worker.idle, worker.walked = False, self._deaths
                with contextlib.suppress(ConnectionError):  # it has died; listening to it will tell
                    worker.pipe.send(set(self._done))
        if all(worker.idle for worker in self._workers):
            missing = self._total - len(self._done)
            raise EvalsError(f"no worker is left for {missing} of {self._total} samples; the others are kept")

    def _listen(self, worker: _Worker) -> None:
        """Take one message of a worker, or notice that it has died."""
        try:
            kind, *content = worker.pipe.recv()
            if kind == "claim":
                worker.pipe.send(self._claim(worker, *content))
            elif kind == "batch":
                self._finish(worker, *content)
            elif kind == "walked":
                worker.idle = True
            elif kind == "stopped":
                raise EvalsError(*content)
            else:
                raise InputError(*content)
        except (EOFError, ConnectionError):
            worker.process.join()
            self._workers.remove(worker)
            self._deaths += 1

    def _claim(self, worker: _Worker, ticket: Ticket, ids: set[str]) -> bool:
        taken = ticket in self._computed or any(ticket in other.hands for other in self._workers)
        free = not taken and not ids <= self._done
        if free:
            worker.hands.add(ticket)
        return free

    def _finish(self, worker: _Worker, tickets: list[Ticket], answers: list[Answer]) -> None:
        worker.hands.difference_update(tickets)
        self._computed.update(tickets)
        self._emit(tickets, answers)


def _start(context: SpawnContext, walk: Walk, number: int) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(walk, number, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(walk: Walk, number: int, pipe: Connection) -> None:
    """A worker's life: walk whenever the parent asks, until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means

    def claim(ticket: Ticket, ids: set[str]) -> bool:
        pipe.send(("claim", ticket, ids))
        return bool(pipe.recv())

    def emit(tickets: Sequence[Ticket], answers: list[Answer]) -> None:
        pipe.send(("batch", list(tickets), answers))

    try:
        while True:
            done = pipe.recv()
            walk(number, done, claim, emit)
            pipe.send(("walked",))
    except InputError as error:
        pipe.send(("refused", str(error)))
    except EvalsError as error:  # the input was in order, and yet there is no going on: a deadline
        pipe.send(("stopped", str(error)))
    except (EOFError, ConnectionError):
        return
