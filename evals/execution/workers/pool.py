"""The parent of several workers: grant them windows and batches, and take their answers.

The parent keeps no model. The number of workers decides who computes a batch and never what is in it. When a worker
dies, what it held is free again at once, and the others compute it; a run fails only when no worker is left.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from evals.errors import EvalsError, InputError
from evals.execution.executor import SelectSamples
from evals.execution.loop import OnBatch
from evals.execution.workers.leases import LeaseTable
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
from evals.execution.workers.serving import Setup, serve
from evals.records.folder import differences
from evals.records.signature import RemoteModel
from evals.records.types import PlanEntry
from evals.schema import Samples

_PATIENCE = 5.0
"""Seconds that a worker has to end after it was asked to, before it is killed."""


@dataclass(eq=False)
class _Worker:
    """The parent's view of one worker."""

    number: int
    process: BaseProcess
    pipe: Connection
    model: RemoteModel | None = None
    """What it has loaded; None while it loads."""
    table: LeaseTable | None = None
    """The leases that it works on; None while it is idle."""


class Pool:
    """Several workers that answer the requests of a run (an `Executor`)."""

    def __init__(self, setup: Setup, worker_count: int, samples: Samples) -> None:
        """Start the workers, and wait until each has loaded the model.

        Args:
            setup: loads what a worker needs.
            worker_count: number of workers.
            samples: the run's samples.

        Raises:
            InputError: a worker cannot load its model, or has loaded another one than the others.
            EvalsError: every worker died meanwhile.
        """
        self._samples = samples
        self._workers: list[_Worker] = []
        self._table: LeaseTable | None = None
        self._peak_memory_bytes: int | None = None
        self._process_memory_bytes = 0
        try:
            for number in range(worker_count):
                self._workers.append(_start(setup, number, worker_count))
            self.model = self._loaded_model()
        except BaseException:
            self.close()
            raise

    @property
    def worker_count(self) -> int:
        """Number of workers that live."""
        return len(self._workers)

    def open(self, setup: Setup, samples: Samples) -> None:
        """Prepare another run of the model that the workers have loaded.

        Args:
            setup: loads what a worker needs.
            samples: the run's samples.

        Raises:
            InputError: the model cannot do the task; the workers are ended.
        """
        try:
            while any(worker.table is not None for worker in self._workers):
                self._listen(lambda computed: None)  # the last run is complete, but they still ask for more of it
            self._samples = samples
            for worker in self._workers:
                worker.model = None
                _send(worker, Open(setup))
            self.model = self._loaded_model()
        except BaseException:
            self.close()
            raise

    def _loaded_model(self) -> RemoteModel:
        """Wait until every worker has loaded the model; return it."""
        worker_count = len(self._workers)
        while any(worker.model is None for worker in self._workers):
            self._listen(lambda computed: None)
        if not self._workers:
            raise EvalsError(f"no worker is left: all {worker_count} died while they loaded the model")
        return self._common_model()

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
        ids = select(self._samples).ids
        numbers = [worker.number for worker in self._workers]
        table = LeaseTable(ids, window=plan.window, finished_ids=finished_ids, workers=numbers)
        self._table = table

        def on_computed(computed: Computed) -> None:
            on_batch(computed.batch_ids, computed.answers)
            table.finish(computed.batch_ids)

        while not table.done:
            for worker in self._workers:
                if worker.table is None and table.offers(worker.number):
                    worker.table = table
                    _send(worker, Compute(select, plan, kept))
            if not self._workers:
                missing = len(ids) - len(finished_ids)
                raise EvalsError(f"no worker is left for {missing} of {len(ids)} samples; the others are kept")
            assert any(worker.table is not None for worker in self._workers), "some worker can compute what is left"
            self._listen(on_computed)

    def peak_memory_bytes(self) -> int | None:
        """Return the highest peak of all workers' devices."""
        return self._peak_memory_bytes

    def process_memory_bytes(self) -> int:
        """Return the highest peak of all workers' processes."""
        return self._process_memory_bytes

    def close(self) -> None:
        """End the workers; what they have not reported is lost."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():  # it is stopped, or hangs in a driver
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def __enter__(self) -> Pool:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers."""
        self.close()

    def _common_model(self) -> RemoteModel:
        """Return what all workers have loaded."""
        first, *others = self._workers
        assert first.model is not None
        for worker in others:
            assert worker.model is not None
            unequal = differences(dict(first.model.facts), dict(worker.model.facts))
            if unequal or first.model.code != worker.model.code:
                raise InputError(
                    f"workers {first.number} and {worker.number} loaded different models "
                    f"(what differs: {', '.join(unequal) or 'the code'}); give --workers 1"
                )
        return first.model

    def _listen(self, on_computed: Callable[[Computed], None]) -> None:
        """Wait for messages, and take one of each worker that has sent any."""
        ready = set(wait([handle for worker in self._workers for handle in (worker.pipe, worker.process.sentinel)]))
        for worker in list(self._workers):
            if worker.pipe not in ready and worker.process.sentinel not in ready:
                continue
            try:
                if worker.pipe not in ready and not worker.pipe.poll():
                    raise EOFError
                message: FromWorker = worker.pipe.recv()
            except (EOFError, OSError):  # it has died, perhaps in the middle of a message
                self._bury(worker)
                continue
            if isinstance(message, Computed):
                on_computed(message)
            self._take(worker, message)

    def _take(self, worker: _Worker, message: FromWorker) -> None:
        """Answer one message, or note what it says."""
        table = worker.table
        match message:
            case Loaded():
                worker.model = message.model
            case Stopped():
                raise InputError(message.reason) if message.is_bad_input else EvalsError(message.reason)
            case Computed():
                peaks = [self._peak_memory_bytes, message.peak_memory_bytes]
                self._peak_memory_bytes = max((peak for peak in peaks if peak is not None), default=None)
                self._process_memory_bytes = max(self._process_memory_bytes, message.process_memory_bytes)
            case Idle():
                worker.table = None
            case NextWindow():
                _send(worker, None if table is None else table.lease(worker.number))
            case Acquire():
                is_granted = table is not None and table.acquire(worker.number, message.batch_id, message.ids)
                _send(worker, is_granted)
            case Planned() if table is not None:
                table.plan(message.start, message.batch_count)
            case Left() if table is not None:
                table.leave(worker.number, message.start)

    def _bury(self, worker: _Worker) -> None:
        """Free what a dead worker held."""
        if self._table is not None:
            self._table.release(worker.number)
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)


def _start(setup: Setup, number: int, worker_count: int) -> _Worker:
    """Start a worker; it never sees an interrupt that the terminal sends to all processes, not even while it starts."""
    context = multiprocessing.get_context("spawn")
    parent_end, worker_end = context.Pipe()
    arguments = (setup, number, worker_count, worker_end)
    process = context.Process(target=serve, args=arguments, daemon=True, name=f"worker-{number}")
    resource_tracker.ensure_running()  # else the first start would start it, which unblocks the signal
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    except OSError as error:
        raise InputError(f"worker {number} of {worker_count} cannot be started: {error.strerror or error}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        worker_end.close()
    return _Worker(number, process, parent_end)


def _send(worker: _Worker, message: object) -> None:
    """Send to a worker; one that has died is noticed by `_listen`."""
    try:
        worker.pipe.send(message)
    except (BrokenPipeError, ConnectionResetError):
        return
