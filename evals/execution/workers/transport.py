"""How the driver reaches its workers: the part that differs between local processes and a cluster."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from evals.execution.workers.messages import FromWorker


@dataclass(frozen=True)
class Died:
    """In place of a message: the worker has ended without saying so."""

    reason: str


def ending(exit_code: int | None) -> str:
    """Say how a process has ended.

    Example:
        >>> ending(3), ending(-11)
        ('died (exit code 3)', 'died (SIGSEGV)')
        >>> ending(-9)
        'died (SIGKILL: somebody ended it, or the machine had no memory left)'
    """
    if exit_code is None or exit_code >= 0:
        return f"died (exit code {exit_code})"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    why = ": somebody ended it, or the machine had no memory left" if name == "SIGKILL" else ""
    return f"died ({name}{why})"


@dataclass(frozen=True)
class Joined:
    """In place of a message: the run has got a worker of another run that needs it no more."""


Received = tuple[int, FromWorker | Died | Joined]
"""The number of a worker, and a message of it."""


class Transport(Protocol):
    """Starts and ends workers, and carries messages. A worker is known by its number, which is never used again.

    A worker that has started waits for the message `Open`, which says what it loads.
    """

    def start(self) -> list[int]:
        """Start the workers for which there is room, also on machines that have joined; return their numbers.

        Raises:
            InputError: there is no room for any worker, or one cannot be started.
        """

    def restart(self, worker: int) -> int | None:
        """End a worker, if it lives, and start another one at its place, on the same machine and devices.

        Returns:
            The number of the new worker, or None if the machine has gone.
        """

    def receive(self, seconds: float) -> list[Received]:
        """Wait at most some seconds for messages; return all that have come, those of a worker in their order.

        After `Died` nothing of a worker follows.
        """

    def send(self, worker: int, message: object) -> None:
        """Send to a worker; one that has died is noticed by `receive`."""

    def supply(self, worker: int, path: str, beside: Sequence[str] = ()) -> object:
        """Return what a worker needs to make a file or folder of this machine on its own, with files beside it.

        Raises:
            InputError: a file cannot be read, or all are too large.
        """

    def end(self, worker: int) -> None:
        """End a worker at once; nothing of it is received any more."""

    def close(self) -> None:
        """End all workers."""

    def machine(self, worker: int) -> str:
        """Name the machine of a worker; empty if there is only one machine."""

    def needs(self) -> str:
        """Say what each worker needs of its machine."""


def named(worker: int, machine: str) -> str:
    """Name one worker for a message.

    Example:
        >>> named(3, ""), named(3, "10.0.0.7")
        ('worker 3', 'worker 3 on 10.0.0.7')
    """
    return f"worker {worker} on {machine}" if machine else f"worker {worker}"
