"""Notice workers that hang: one that sends nothing any more, and one whose batch takes far longer than any other."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(eq=False)
class WatchedWorker:
    """The driver's view of one worker of a run."""

    number: int
    vigil: Vigil
    is_ready: bool = False
    """Whether it has loaded the model."""
    table: LeaseTable | None = None
    """The leases that it works on; None while it is idle."""
