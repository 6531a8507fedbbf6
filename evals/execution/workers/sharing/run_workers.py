"""The workers of one run among several that share the workers of a command."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from evals.errors import EvalsError
from evals.execution.workers.agreement import DeviceKinds, WorkerAgreement
from evals.execution.workers.leases import Work
from evals.execution.workers.messages import Loaded, Started
from evals.execution.workers.pool import Pool
from evals.execution.workers.serving import Setup
from evals.execution.workers.sharing.turns import TurnTaker
from evals.execution.workers.transport import Died, Joined, Received, Transport
from evals.schema import Samples

_LISTEN = 1.0
"""Seconds after which a run that waits for workers looks up."""
_GATHER = 30.0
"""Seconds for which a run waits for workers that have not started yet, if it must know them all."""


@dataclass(frozen=True)
class QueuedRun:
    """A run that shares workers with others."""

    name: str
    """For messages."""
    model: Hashable
    """Equal for runs that can use the same loaded model."""
    execute: Callable[[RunWorkers], object]
    """Executes the run; called with the workers."""


class Lender(Protocol):
    """What has the workers of all runs."""

    transport: Transport
    kinds: DeviceKinds
    gathers: bool

    def starts(self) -> bool:
        """Whether a worker has not started yet."""

    def has_more(self, run: RunWorkers) -> bool:
        """Whether there is a worker that can compute a run and is not one of its workers yet."""

    def lose(self, number: int) -> None:
        """End a worker of a run, and start another one at its place."""

    def take_back(self, number: int, *, is_busy: bool) -> None:
        """Take a worker from a run that is complete or has failed.

        Args:
            number: of the worker.
            is_busy: whether the worker may still ask for more of the run.
        """

    def wind_down(self, number: int, message: object) -> None:
        """Answer what a worker asked for of a run that is complete."""


class RunWorkers:
    """The workers of one run: the `Transport` of its pool, which gets them from those of all runs."""

    def __init__(self, shared: Lender, queued: QueuedRun) -> None:
        """Wait until the run may begin.

        Args:
            shared: has the workers.
            queued: the run.
        """
        self._shared = shared
        self.name, self.model = queued.name, queued.model
        self.turn = TurnTaker(lambda: queued.execute(self))
        self.inbox: deque[Received] = deque()
        self.workers: set[int] = set()
        self.last_workers: set[int] = set()
        """Those that the run had when it ended."""
        self.sample_count = 0
        self.is_starved = False
        """Whether there is no worker for the run, and will be none."""
        self._held: list[Received] = []
        """What workers that have loaded the model said, while the run waits for others."""
        self._joined: list[int] = []
        self._pool: Pool | None = None
        self._due = self._gathered = 0.0

    @property
    def is_opening(self) -> bool:
        """Whether it reads its data, or its first workers load the model."""
        return self.turn.has_begun and not self.turn.has_ended and self._pool is None

    @property
    def kinds(self) -> DeviceKinds:
        """The kinds of the devices of all runs' workers."""
        return self._shared.kinds

    def open(
        self, setup: Setup, samples: Samples, agreement: WorkerAgreement, *, on_event: Callable[[str], object]
    ) -> Pool:
        """Return an executor that computes with the workers of the run, as soon as one has loaded the model.

        Args:
            setup: loads what a worker needs.
            samples: the run's samples.
            agreement: what must be equal on all machines.
            on_event: as in `Pool`.

        Raises:
            InputError: a worker cannot load its model, or its model cannot do the task.
        """
        self.sample_count = len(samples)
        self._gathered = time.monotonic() + _GATHER
        self._pool = Pool(self, setup, samples, agreement, on_event=on_event, title=self.name)
        return self._pool

    def failure(self) -> EvalsError | None:
        """Return why the run failed. Raises what is no `EvalsError`."""
        error = self.turn.error
        if error is None or isinstance(error, EvalsError):
            return error
        raise error

    def is_due(self) -> bool:
        """Whether the run can go on: something came, or it has waited long enough."""
        if not self.turn.has_begun or self.turn.has_ended:
            return False
        if self.inbox or self._joined or self.is_starved:
            return True
        return time.monotonic() >= self._due or bool(self._held and not self._gathers())

    def work(self) -> Work | None:
        """Return what there is for one more worker; None if the run has not begun."""
        if not self.turn.has_begun:
            return None
        return Work(0, can_join=True) if self._pool is None else self._pool.work()

    def unoccupied(self) -> list[int]:
        """Return the workers that have nothing to compute."""
        return [] if self._pool is None else self._pool.unoccupied()

    def give_up(self, number: int) -> None:
        """Leave an unoccupied worker to another run."""
        assert self._pool is not None
        self._pool.give_up(number)
        self.workers.discard(number)

    def join(self, number: int, *, has_started: bool) -> None:
        """Get a worker."""
        self.workers.add(number)
        self._joined.append(number)
        if has_started:
            self.inbox.append((number, Started()))

    def start(self) -> list[int]:
        """See `Transport.start`; wait until there is a worker, or there will be none."""
        while not self.is_starved and not self.workers:
            self._due = time.monotonic() + _LISTEN
            self.turn.pause()
        if self.is_starved and self._pool is None:
            raise EvalsError("no worker is left: there is no place where none has died while it loaded the model")
        joined, self._joined = self._joined, []
        return joined

    def restart(self, worker: int) -> int | None:
        """Return None: another worker comes by itself."""
        self.end(worker)
        return None

    def receive(self, seconds: float) -> list[Received]:
        """See `Transport.receive`."""
        if not self.inbox and not self._joined:
            self._due = time.monotonic() + seconds
            self.turn.pause()
        received: list[Received] = [(number, Joined()) for number in self._joined]
        received += self.inbox
        self._joined.clear()
        self.inbox.clear()
        self.workers -= {number for number, message in received if isinstance(message, Died)}
        return self._gathered_workers(received)

    def send(self, worker: int, message: object) -> None:
        """See `Transport.send`."""
        self._shared.transport.send(worker, message)

    def supply(self, worker: int, path: str, beside: Sequence[str] = ()) -> object:
        """See `Transport.supply`."""
        return self._shared.transport.supply(worker, path, beside)

    def end(self, worker: int) -> None:
        """See `Transport.end`."""
        self.workers.discard(worker)
        self._shared.lose(worker)

    def close(self) -> None:
        """Leave the workers to the other runs."""
        idle = set(self._joined) if self._pool is None else {*self._joined, *self._pool.idle()}
        for number in self.workers:
            self._shared.take_back(number, is_busy=number not in idle)
        for number, message in self.inbox:
            self._shared.wind_down(number, message)
        self.last_workers |= self.workers
        self.workers.clear()
        self.inbox.clear()
        self._joined.clear()

    def machine(self, worker: int) -> str:
        """See `Transport.machine`."""
        return self._shared.transport.machine(worker)

    def needs(self) -> str:
        """See `Transport.needs`."""
        return self._shared.transport.needs()

    def _gathered_workers(self, received: list[Received]) -> list[Received]:
        """Hold back that workers have loaded the model, as long as the run must wait for others."""
        if self._gathers():
            self._held += [(number, message) for number, message in received if isinstance(message, Loaded)]
            return [(number, message) for number, message in received if not isinstance(message, Loaded)]
        held, self._held = self._held, []
        return [(number, message) for number, message in held if number in self.workers] + received

    def _gathers(self) -> bool:
        """Whether the run has not begun to compute, and must wait for workers that it does not have yet."""
        if not self._shared.gathers or not self.is_opening:
            return False
        return self._shared.has_more(self) or (self._shared.starts() and time.monotonic() < self._gathered)
