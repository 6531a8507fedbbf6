"""Workers that stay from one run to the next, so that each loads its model once for several tasks."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType

from evals.execution.executor import SelectSamples
from evals.execution.loop import OnBatch
from evals.execution.workers.agreement import WorkerAgreement
from evals.execution.workers.pool import Pool
from evals.execution.workers.serving import Setup
from evals.execution.workers.transport import Transport
from evals.records.signature import RemoteModel
from evals.records.types import PlanEntry
from evals.schema import Samples


class KeptWorkers:
    """The workers of one model; a context manager that ends them."""

    def __init__(self) -> None:
        """Keep none yet."""
        self._pool: Pool | None = None

    def open(
        self,
        setup: Setup,
        transport: Callable[[], Transport],
        worker_count: int | None,
        samples: Samples,
        agreement: WorkerAgreement,
        *,
        on_event: Callable[[str], object],
    ) -> LentPool:
        """Return the workers, ready for a run; new ones if there are none, or fewer than the run has.

        Args:
            setup: loads what a worker needs; the model of an earlier run is used again.
            transport: reaches new workers.
            worker_count: number of workers, or None for those that a cluster has room for.
            samples: the run's samples.
            agreement: what must be equal on all machines.
            on_event: as in `Pool`.

        Raises:
            InputError: a worker cannot load its model, or its model cannot do the task.
        """
        if self._pool is not None and self._pool.worker_count > 0 and (worker_count in {None, self._pool.worker_count}):
            self._pool.open(setup, samples, agreement)
        else:
            self.close()
            self._pool = Pool(transport(), samples, agreement, on_event=on_event)
        return LentPool(self._pool)

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.close()
        self._pool = None

    def __enter__(self) -> KeptWorkers:
        """Return the workers."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers."""
        self.close()


class LentPool:
    """Workers for one run (an `Executor`) that stay after it. If the run fails they are ended: they may be busy."""

    def __init__(self, pool: Pool) -> None:
        """Lend a pool that is open for a run."""
        self._pool = pool

    @property
    def model(self) -> RemoteModel:
        """See `Executor.model`."""
        return self._pool.model

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
        self._pool.compute(select, plan=plan, finished_ids=finished_ids, on_batch=on_batch, kept=kept)

    def peak_memory_bytes(self) -> int | None:
        """See `Executor.peak_memory_bytes`."""
        return self._pool.peak_memory_bytes()

    def process_memory_bytes(self) -> int:
        """See `Executor.process_memory_bytes`."""
        return self._pool.process_memory_bytes()

    def status(self) -> str:
        """See `Executor.status`."""
        return self._pool.status()

    def close(self) -> None:
        """Leave the workers to the next run."""

    def __enter__(self) -> LentPool:
        """Return the executor."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers if the run failed."""
        if kind is not None:
            self._pool.close()
