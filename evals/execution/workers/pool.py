"""The driver of several workers: grant them windows and batches, and take their answers.

The driver keeps no model. The number of workers decides who computes a batch and never what is in it. When a worker
dies or hangs, what it held is free again at once, and the others compute it; a run fails only when no worker is left.
A worker that joins during the run takes part as soon as it has loaded the same model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType

from evals.errors import EvalsError, InputError, counted
from evals.execution import progress
from evals.execution.executor import SelectSamples
from evals.execution.loop import OnBatch
from evals.execution.windows import WINDOW
from evals.execution.workers.agreement import WorkerAgreement
from evals.execution.workers.garbage import collected_rarely
from evals.execution.workers.leases import LeaseTable, Work
from evals.execution.workers.messages import (
    Acquire,
    Compute,
    Computed,
    FromWorker,
    Idle,
    Left,
    Loaded,
    Missing,
    NextWindow,
    Open,
    Planned,
    Started,
    Stopped,
)
from evals.execution.workers.patience import Patience, PlaceVigil, Vigil, WatchedWorker
from evals.execution.workers.rates import PeakMemory, Progress, Rates, shared_cost
from evals.execution.workers.serving import Setup
from evals.execution.workers.transport import Died, Joined, Transport, named
from evals.records.signature import RemoteModel
from evals.records.types import PlanEntry
from evals.schema import Samples

_LISTEN = 1.0
"""Seconds after which the driver looks up, if no message comes."""
_LOOK = 3.0
"""Seconds between two looks for machines that have joined."""
_GATHER = 30.0
"""Seconds for which the run waits for workers that a cluster has not started yet."""
PATIENCE = Patience()
"""How long a worker may hang."""


class Pool:
    """Several workers that answer the requests of a run (an `Executor`)."""

    def __init__(
        self,
        transport: Transport,
        setup: Setup,
        samples: Samples,
        agreement: WorkerAgreement,
        *,
        on_event: Callable[[str], object] = lambda text: None,
        title: str = "",
    ) -> None:
        """Start the workers, and wait until those that could be started have loaded the model.

        Args:
            transport: starts the workers.
            setup: loads what a worker needs.
            samples: the run's samples.
            agreement: what must be equal on all machines.
            on_event: called with one line about each worker that joins or is lost.
            title: name of the run in the line of progress, if several runs go on.

        Raises:
            InputError: a worker cannot load its model, or has loaded another one than the others.
            EvalsError: every worker died meanwhile.
        """
        self._transport = transport
        self._setup = setup
        self._samples = samples
        self._agreement = agreement
        self._on_event = on_event
        self._title = title
        self._workers: dict[int, WatchedWorker] = {}
        self._dead: dict[int, str] = {}
        """Workers that have ended, and why; what they held is freed when their answers are recorded."""
        self._last_death = ""
        self._table: LeaseTable | None = None
        self._progress = Progress(0, 0)
        self._longest: float | None = None
        """Seconds of the longest batch so far."""
        self._next_look = 0.0
        self._place_vigil = PlaceVigil(PATIENCE, transport.needs, progress.note)
        self._rates, self._memory = Rates(transport.machine), PeakMemory()
        self._computes = False
        """Whether the run has begun: what a worker that joins later does wrong ends only that worker."""
        try:
            self._start_workers()
            self.model = self._loaded_model()
        except BaseException:
            self.close()
            raise

    def work(self) -> Work:
        """Return what there is for one more worker."""
        if self._table is None:
            return Work(max(0, -(-len(self._samples) // WINDOW) - len(self._workers)), can_join=True)
        loading = sum(not worker.is_ready for worker in self._workers.values())
        return self._table.work(loading, self._progress.seconds_left())

    def idle(self) -> list[int]:
        """Return the workers that wait for an order."""
        return [worker.number for worker in self._workers.values() if worker.is_ready and worker.table is None]

    def unoccupied(self) -> list[int]:
        """Return the workers that have nothing to compute, now that other workers have all windows."""
        table = self._table
        if table is None:
            return []
        return [number for number in self.idle() if number not in self._dead and not table.offers(number)]

    def give_up(self, number: int) -> None:
        """Leave an unoccupied worker to another run."""
        del self._workers[number]
        if self._table is not None:
            self._table.release(number)

    def _loaded_model(self) -> RemoteModel:
        """Wait until the workers have loaded the model; return it."""
        started = len(self._workers)
        if not started:
            raise EvalsError("no worker could be started: no machine has room for one")
        self._wait_until_loaded()
        if not self._workers:
            raise EvalsError(f"no worker is left: all {started} died while they loaded the model{self._last_death}")
        return self._agreement.model()

    @collected_rarely
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
        self._computes = True
        ids = select(self._samples).ids
        ready = [worker.number for worker in self._workers.values() if worker.is_ready]
        table = LeaseTable(ids, window=plan.window, finished_ids=finished_ids, workers=ready)
        self._table = table
        self._progress = Progress(len(ids), len(finished_ids))
        order = Compute(select, plan, kept)
        while not table.done:
            for worker in self._workers.values():
                if worker.is_ready and worker.table is None and table.offers(worker.number):
                    worker.table = table
                    self._transport.send(worker.number, order)
            if not self._workers:
                self._look_for_workers(now=True)
            if not self._workers:
                missing = len(ids) - len(finished_ids)
                raise EvalsError(
                    f"no worker is left for {missing} of {counted(len(ids), 'sample')}; the others are kept"
                    f"{self._last_death}"
                )
            computed = self._listen()
            if computed:
                answers = [answer for message in computed for answer in message.answers]
                batch_ids = [batch_id for message in computed for batch_id in message.batch_ids]
                on_batch(batch_ids, answers)
                table.finish(batch_ids)
                self._progress.finished = len(finished_ids)
            self._bury_dead()

    def peak_memory_bytes(self) -> int | None:
        """Return the highest peak of all workers' devices."""
        return self._memory.device_bytes

    def process_memory_bytes(self) -> int:
        """Return the highest peak of all workers' processes."""
        return self._memory.process_bytes

    def status(self) -> str:
        """Return which machines compute, and how many answers per second each gives; empty for one machine and run."""
        title = f"{self._title}, {counted(len(self._workers), 'worker')}" if self._title else ""
        return ", ".join(filter(None, (title, self._rates.text(list(self._workers)))))

    def close(self) -> None:
        """End the workers; what they have not reported is lost."""
        self._transport.close()
        self._workers.clear()

    def __enter__(self) -> Pool:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers."""
        self.close()

    def _wait_until_loaded(self) -> None:
        """Wait for every worker that runs; one for which a cluster has no place now takes part later."""
        gathered = time.monotonic() + _GATHER
        while loading := [worker for worker in self._workers.values() if not worker.is_ready]:
            waits_for_place = time.monotonic() >= gathered and not any(worker.vigil.has_started for worker in loading)
            if waits_for_place and len(loading) < len(self._workers):
                return
            self._listen()

    def _listen(self) -> list[Computed]:
        """Take all messages that have come; return the answers, which are not recorded yet."""
        began = time.monotonic()
        received = self._transport.receive(_LISTEN)
        waited = min(time.monotonic() - began, _LISTEN)
        for worker in self._workers.values():
            worker.vigil.on_silence(waited)
        computed: list[Computed] = []
        for number, message in received:
            if isinstance(message, Joined):
                self._add(number)
                continue
            sender = self._workers[number]
            if isinstance(message, Died):
                self._dead[number] = message.reason
                continue
            seconds = sender.vigil.on_message(message)
            if seconds is not None:
                self._longest = max(seconds, self._longest or 0.0)
            if isinstance(message, Computed):
                computed.append(self._counted(sender, message))
            elif number not in self._dead:
                self._take(sender, message)
        for worker in self._workers.values():
            self._judge(worker)
        self._look_for_workers()
        if self._table is None:
            self._bury_dead()
        if self._workers:
            self._place_vigil.look(any(worker.vigil.has_started for worker in self._workers.values()), waited)
        return computed

    def _counted(self, worker: WatchedWorker, message: Computed) -> Computed:
        """Count a worker's answers; workers compute at the same time, so an answer costs its worker's share."""
        self._memory.add(message)
        self._rates.add(worker.number, len(message.answers))
        return shared_cost(message, sum(worker.table is not None for worker in self._workers.values()))

    def _take(self, worker: WatchedWorker, message: FromWorker) -> None:
        """Answer one message, or note what it says."""
        table, send = worker.table, self._transport.send
        match message:
            case Started() | Loaded():
                self._accept(worker, message)
            case Missing():
                send(worker.number, self._transport.supply(worker.number, message.path, message.beside))
            case Stopped():
                self._stop(worker, message)
            case Idle():
                worker.table = None
            case NextWindow():
                send(worker.number, None if table is None else table.lease(worker.number))
            case Acquire():
                is_granted = table is not None and table.acquire(worker.number, message.batch_id, message.ids)
                send(worker.number, is_granted)
            case Planned() if table is not None:
                table.plan(message.start, message.batch_count)
            case Left() if table is not None:
                table.leave(worker.number, message.start)

    def _accept(self, worker: WatchedWorker, message: Started | Loaded) -> None:
        """Let a worker take part; one that joined later and computes something else is ended."""
        try:
            self._agreement.add(worker.number, self._transport.machine(worker.number), message)
        except InputError as error:
            if not self._computes:
                raise
            self._lose(worker, f"is not used: {error}")
            return
        if isinstance(message, Started):
            return
        worker.is_ready = True
        if self._computes:
            self._on_event(f"{self._name(worker)} has joined")
            if self._table is not None:
                self._table.add(worker.number)

    def _stop(self, worker: WatchedWorker, message: Stopped) -> None:
        """End the run, or only a worker that joined later and could not load."""
        if self._computes and not worker.is_ready:
            self._lose(worker, f"is not used: {message.reason}")
            return
        is_remote = bool(self._transport.machine(worker.number))
        reason = f"{self._name(worker)}: {message.reason}" if is_remote else message.reason
        raise InputError(reason) if message.is_bad_input else EvalsError(reason)

    def _judge(self, worker: WatchedWorker) -> None:
        """End a worker that hangs."""
        computes = worker.table is not None and self._longest is not None
        why = worker.vigil.hangs(self._longest, computes=computes)
        if why is not None and worker.table is not None and not why.startswith("sent"):
            why = why if worker.table.computes(worker.number) else None
        if why is not None:
            self._lose(worker, why)

    def _lose(self, worker: WatchedWorker, why: str) -> None:
        """End a worker that cannot take part any more."""
        self._transport.end(worker.number)
        self._dead[worker.number] = why

    def _bury_dead(self) -> None:
        """Free what dead workers held; what they had computed before has been recorded."""
        for number, why in self._dead.items():
            worker = self._workers.pop(number)
            if self._table is not None:
                self._table.release(number)
            self._last_death = f" ({self._name(worker)} {why})"
            self._on_event(f"{self._name(worker)} {why}; the others compute what it held")
        self._dead.clear()

    def _look_for_workers(self, *, now: bool = False) -> None:
        """Start workers on machines that have joined."""
        if now or time.monotonic() >= self._next_look:
            self._start_workers()

    def _start_workers(self) -> None:
        for number in self._transport.start():
            self._add(number)
        self._next_look = time.monotonic() + _LOOK

    def _add(self, number: int) -> None:
        self._workers[number] = WatchedWorker(number, Vigil(PATIENCE))
        self._transport.send(number, Open(self._setup))

    def _name(self, worker: WatchedWorker) -> str:
        return named(worker.number, self._transport.machine(worker.number))
