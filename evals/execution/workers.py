"""Distribute a run over several workers: processes that each load the model and go through the same plan.

Every worker goes over all batches of the plan and asks before it computes one. The parent grants a batch to the first
worker that asks, and is the only process that scores and writes. So the number of workers decides who computes a batch
and never what is in it. When a worker dies, the batches that it held are free again, and the others take them on
another pass; a run fails only when no worker is left.
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
from evals.execution.loop import AnsweredRequest, BatchId, OnBatch, TryAcquire

WorkerPass = Callable[[int, set[str], TryAcquire, OnBatch], None]
"""One pass over the plan, called with the worker's number, the finished ids, `try_acquire` and `on_batch`. It is sent
to the workers, so it must be picklable."""


@dataclass
class _Worker:
    """The parent's view of one worker."""

    process: SpawnProcess
    pipe: Connection
    granted: set[BatchId] = field(default_factory=set)
    """Batches that it was granted and has not finished."""
    idle: bool = True
    deaths_seen: int = -1
    """How many workers had died when its last pass began."""


class Pool:
    """The workers of a run, as the parent sees them."""

    def __init__(
        self, worker_pass: WorkerPass, count: int, total: int, finished_ids: set[str], on_batch: OnBatch
    ) -> None:
        """Start the workers.

        Args:
            worker_pass: what each worker does.
            count: number of workers.
            total: number of samples.
            finished_ids: ids on disk; grows as `on_batch` is called.
            on_batch: called with finished batches.
        """
        context = multiprocessing.get_context("spawn")
        self._workers = [_start(context, worker_pass, number) for number in range(count)]
        self._computed: set[BatchId] = set()
        self._deaths = 0
        self._total = total
        self._finished_ids = finished_ids
        self._on_batch = on_batch

    def run(self) -> None:
        """Return when every sample is done.

        Raises:
            InputError: if a worker refused the input.
            EvalsError: if every worker has died.
        """
        try:
            while len(self._finished_ids) < self._total:
                self._start_passes()
                for pipe in wait([worker.pipe for worker in self._workers]):
                    self._listen(next(worker for worker in self._workers if worker.pipe is pipe))
        finally:
            for worker in self._workers:
                worker.process.terminate()
                worker.process.join()

    def _start_passes(self) -> None:
        """Start a pass of every idle worker if batches became free since its last one."""
        for worker in self._workers:
            if worker.idle and worker.deaths_seen < self._deaths:
                worker.idle, worker.deaths_seen = False, self._deaths
                with contextlib.suppress(ConnectionError):  # it has died, which `_listen` will notice
                    worker.pipe.send(set(self._finished_ids))
        if all(worker.idle for worker in self._workers):
            missing = self._total - len(self._finished_ids)
            raise EvalsError(f"no worker is left for {missing} of {self._total} samples; the others are kept")

    def _listen(self, worker: _Worker) -> None:
        """Take one message of a worker, or notice that it has died."""
        try:
            kind, *content = worker.pipe.recv()
            if kind == "try_acquire":
                worker.pipe.send(self._try_acquire(worker, *content))
            elif kind == "batch":
                self._finish(worker, *content)
            elif kind == "passed":
                worker.idle = True
            elif kind == "stopped":
                raise EvalsError(*content)
            else:
                raise InputError(*content)
        except (EOFError, ConnectionError):
            worker.process.join()
            self._workers.remove(worker)
            self._deaths += 1

    def _try_acquire(self, worker: _Worker, batch_id: BatchId, ids: set[str]) -> bool:
        is_assigned = batch_id in self._computed or any(batch_id in holder.granted for holder in self._workers)
        is_free = not is_assigned and not ids <= self._finished_ids
        if is_free:
            worker.granted.add(batch_id)
        return is_free

    def _finish(self, worker: _Worker, batch_ids: list[BatchId], answers: list[AnsweredRequest]) -> None:
        worker.granted.difference_update(batch_ids)
        self._computed.update(batch_ids)
        self._on_batch(batch_ids, answers)


def _start(context: SpawnContext, worker_pass: WorkerPass, number: int) -> _Worker:
    parent_end, worker_end = context.Pipe()
    process = context.Process(target=_serve, args=(worker_pass, number, worker_end), daemon=True)
    process.start()
    worker_end.close()
    return _Worker(process, parent_end)


def _serve(worker_pass: WorkerPass, number: int, pipe: Connection) -> None:
    """Run in a worker's process: make a pass whenever the parent asks, until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means

    def try_acquire(batch_id: BatchId, ids: set[str]) -> bool:
        pipe.send(("try_acquire", batch_id, ids))
        return bool(pipe.recv())

    def on_batch(batch_ids: Sequence[BatchId], answers: list[AnsweredRequest]) -> None:
        pipe.send(("batch", list(batch_ids), answers))

    try:
        while True:
            finished_ids = pipe.recv()
            worker_pass(number, finished_ids, try_acquire, on_batch)
            pipe.send(("passed",))
    except InputError as error:
        pipe.send(("refused", str(error)))
    except EvalsError as error:  # the input is valid, but the run cannot continue, for example after a deadline
        pipe.send(("stopped", str(error)))
    except (EOFError, ConnectionError):
        return
