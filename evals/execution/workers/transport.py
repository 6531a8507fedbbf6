"""How the driver reaches its workers: the part that differs between local processes and a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evals.execution.workers.messages import FromWorker
from evals.execution.workers.serving import Setup


@dataclass(frozen=True)
class Died:
    """In place of a message: the worker has ended without saying so."""

    reason: str


Received = tuple[int, FromWorker | Died]
"""The number of a worker, and a message of it."""


class Transport(Protocol):
    """Starts and ends workers, and carries messages. A worker is known by its number, which is never used again."""

    def start(self) -> list[int]:
        """Start the workers for which there is room, also on machines that have joined; return their numbers.

        Raises:
            InputError: there is no room for any worker, or one cannot be started.
        """

    def prepare(self, setup: Setup) -> None:
        """Start later workers with another setup; those that run have got it as a message."""

    def receive(self, seconds: float) -> list[Received]:
        """Wait at most some seconds for messages; return all that have come, those of a worker in their order.

        After `Died` nothing of a worker follows.
        """

    def send(self, worker: int, message: object) -> None:
        """Send to a worker; one that has died is noticed by `receive`."""

    def supply(self, worker: int, path: str) -> object:
        """Return what a worker needs to make a file or folder of this machine on its own. Raises `InputError`."""

    def end(self, worker: int) -> None:
        """End a worker at once; nothing of it is received any more."""

    def close(self) -> None:
        """End all workers."""

    def machine(self, worker: int) -> str:
        """Name the machine of a worker; empty if there is only one machine."""


def named(worker: int, machine: str) -> str:
    """Name one worker for a message.

    Example:
        >>> named(3, ""), named(3, "10.0.0.7")
        ('worker 3', 'worker 3 on 10.0.0.7')
    """
    return f"worker {worker} on {machine}" if machine else f"worker {worker}"
