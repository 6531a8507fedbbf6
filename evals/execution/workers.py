"""Several workers on one run: each a process with its own model, all going through the same plan.

Every worker walks over all batches and asks before it computes one; the parent says yes to the first that asks, and
is the only one that scores and writes. Workers thus decide who runs a batch and never what is in it. When a worker
dies, the batches in its held are free again, and the others take them on another worker_pass; a run fails only when
nobody
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
from evals.execution.loop import AnsweredRequest, BatchId, OnBatch, TryAcquire

WorkerPass = Callable[[int, set[str], TryAcquire, OnBatch], None]
"""One worker_pass over the plan: worker's number, ids that are done, try_acquire, on_batch. It is sent to the
workers, so picklable."""


@dataclass
class _Worker:
    """The parent's view of one worker."""

    process: SpawnProcess
    pipe: Connection
    held: set[BatchId] = field(default_factory=set)
    """What it has claimed and not finished."""
    idle: bool = True
    walked: int = -1
    """How many workers had died when it last set out."""


class Pool:
    """Workers on one run, as the parent sees them."""

    def __init__(self, worker_pass: WorkerPass, count: int, total: int, done: set[str], on_batch: OnBatch) -> None:
        """Start the workers.

        Args:
            worker_pass: what each worker does.
            count: how many workers.
            total: how many samples there are.
            done: ids on disk; grows as `on_batch` is called.
            on_batch: takes finished batches.
        """
        context = multiprocessing.get_context("spawn")
        self._workers = [_start(context, worker_pass, number) for number in range(count)]
        self._computed: set[BatchId] = set()
        self._deaths = 0
        self._total = total
        self._done = done
        self._emit = on_batch

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
        """Send idle workers on a worker_pass when there is something that they have not been offered."""
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
            if kind == "try_acquire":
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

    def _claim(self, worker: _Worker, batch_id: BatchId, ids: set[str]) -> bool:
        taken = batch_id in self._computed or any(batch_id in other.held for other in self._workers)
        free = not taken and not ids <= self._done
        if free:
            worker.held.add(batch_id)
        return free

    def _finish(self, worker: _Worker, batch_ids: list[BatchId], answers: list[AnsweredRequest]) -> None:
        worker.held.difference_update(batch_ids)
        self._computed.update(batch_ids)
        self._emit(batch_ids, answers)


def _start(context: SpawnContext, worker_pass: WorkerPass, number: int) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(worker_pass, number, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(worker_pass: WorkerPass, number: int, pipe: Connection) -> None:
    """A worker's life: worker_pass whenever the parent asks, until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means

    def try_acquire(batch_id: BatchId, ids: set[str]) -> bool:
        pipe.send(("try_acquire", batch_id, ids))
        return bool(pipe.recv())

    def on_batch(batch_ids: Sequence[BatchId], answers: list[AnsweredRequest]) -> None:
        pipe.send(("batch", list(batch_ids), answers))

    try:
        while True:
            done = pipe.recv()
            worker_pass(number, done, try_acquire, on_batch)
            pipe.send(("walked",))
    except InputError as error:
        pipe.send(("refused", str(error)))
    except EvalsError as error:  # the input was in order, and yet there is no going on: a deadline
        pipe.send(("stopped", str(error)))
    except (EOFError, ConnectionError):
        return
