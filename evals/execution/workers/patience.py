"""Notice workers that hang: no message for long, a batch that takes far too long, or no place in a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evals.errors import EvalsError
from evals.execution.workers.leases import LeaseTable
from evals.execution.workers.messages import Computed, FromWorker, Heartbeat, Loaded


@dataclass(frozen=True)
class Patience:
    """How long the driver waits for a worker, in seconds."""

    silent: float = 120.0
    """A worker that computes and sends no heartbeat either: its process is stopped, or its machine is gone."""
    loading: float = 900.0
    """The same while it loads: an import of a large library may keep a process from anything else."""
    batch: float = 600.0
    """Minimum time after which a batch counts as hanging."""
    factor: float = 10.0
    """A batch hangs if it takes this many times as long as the longest so far; before the first, none does."""
    unsaid: float = 30.0
    """The run waits so long for a first worker without a word: a cluster may still start it."""
    place: float = 600.0
    """After so long without a worker, the run ends: other programs have the cluster's devices."""


class Vigil:
    """The silence of one worker. Only seconds in which the driver listened count, so a driver that slept is no reason.

    Example:
        >>> vigil = Vigil(Patience(loading=10))
        >>> vigil.on_message(Heartbeat())
        >>> vigil.on_silence(9)
        >>> vigil.hangs(longest=None) is None
        True
        >>> vigil.on_silence(900)
        >>> vigil.hangs(longest=None)
        'sent nothing for 909 s'
    """

    def __init__(self, patience: Patience) -> None:
        """Begin before the worker has started: until then it waits for a place, which may take any time."""
        self._patience = patience
        self.has_started = False
        """Whether the worker's process runs."""
        self._loaded = self._waits_for_server = False
        self._silent = self._without_progress = 0.0

    def on_message(self, message: FromWorker) -> float | None:
        """Note a message; return the seconds that a batch took, if it is the end of one."""
        self.has_started = True
        self._silent = 0.0
        if isinstance(message, Heartbeat):
            return None
        if isinstance(message, Loaded):
            self._loaded, self._waits_for_server = True, message.origin.concurrent
        seconds, self._without_progress = self._without_progress, 0.0
        return seconds if isinstance(message, Computed) else None

    def on_silence(self, seconds: float) -> None:
        """Note that nothing came while the driver listened."""
        self._silent += seconds
        self._without_progress += seconds

    def hangs(self, longest: float | None, *, computes: bool = False) -> str | None:
        """Return what a worker that hangs did, or None.

        Args:
            longest: seconds of the longest batch so far, or None before the first.
            computes: whether the worker computes a batch now.
        """
        patience = self._patience
        if self.has_started and self._silent > (patience.silent if self._loaded else patience.loading):
            return f"sent nothing for {self._silent:.0f} s"
        if not computes or longest is None or self._waits_for_server:
            return None
        if self._without_progress > max(patience.batch, patience.factor * longest):
            return f"computed one batch for {self._without_progress:.0f} s (the longest before took {longest:.0f} s)"
        return None


class PlaceVigil:
    """Waits for the first worker that a cluster has a place for: says so, and ends the run after a time.

    Example:
        >>> vigil = PlaceVigil(Patience(unsaid=5, place=60), needs=lambda: "a free GPU", on_wait=print)
        >>> vigil.look(False, 4)
        >>> vigil.look(False, 4)
        no worker has a place yet: each needs a free GPU; waiting for at most 60 s
        >>> vigil.look(True, 100)
        >>> vigil.look(False, 61)
        Traceback (most recent call last):
            ...
        evals.errors.EvalsError: no worker got a place within 60 s: each needs a free GPU
    """

    def __init__(self, patience: Patience, needs: Callable[[], str], on_wait: Callable[[str], object]) -> None:
        """Begin to wait.

        Args:
            patience: how long.
            needs: says what each worker needs of a machine.
            on_wait: called with one line while nothing can be computed.
        """
        self._patience, self._needs, self._on_wait = patience, needs, on_wait
        self._waited = 0.0
        self._is_announced = False

    def look(self, has_worker: bool, seconds: float) -> None:
        """Note whether any worker runs now, after the driver listened for some seconds. Raises `EvalsError`."""
        if has_worker:
            self._waited, self._is_announced = 0.0, False
            return
        self._waited += seconds
        if self._waited > self._patience.unsaid and not self._is_announced:
            self._is_announced = True
            limit = f"waiting for at most {self._patience.place:.0f} s"
            self._on_wait(f"no worker has a place yet: each needs {self._needs()}; {limit}")
        if self._waited > self._patience.place:
            raise EvalsError(f"no worker got a place within {self._patience.place:.0f} s: each needs {self._needs()}")


@dataclass(eq=False)
class WatchedWorker:
    """The driver's view of one worker of a run."""

    number: int
    vigil: Vigil
    is_ready: bool = False
    """Whether it has loaded the model."""
    table: LeaseTable | None = None
    """The leases that it works on; None while it is idle."""
