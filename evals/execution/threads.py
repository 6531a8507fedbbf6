"""Many pool: calls that mostly wait (for a server) made at the same time, each on a thread of its own.

Unlike an executor's, these threads never keep a process alive: an interrupt ends the run at once, whatever a server
still owes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Done(NamedTuple, Generic[T, U]):
    """One call that has ended."""

    given: T
    """What it was called with."""
    result: U | None
    """What it returned."""
    error: BaseException | None
    """What it raised instead."""


class DaemonThreadPool(Generic[T, U]):
    """So many threads that make one kind of call.

    Example:
        >>> pool = DaemonThreadPool(lambda n: n * n, count=2)
        >>> for n in (1, 2, 3):
        ...     pool.give(n)
        >>> results = []
        >>> while pool.busy:
        ...     results += [done.result for done in pool.finished()]
        >>> sorted(results)
        [1, 4, 9]
    """

    def __init__(self, act: Callable[[T], U], count: int) -> None:
        """Call `act` on at most `count` threads; each is started when it is first needed."""
        self._act = act
        self._count = count
        self._threads = 0
        self._given: queue.SimpleQueue[tuple[T] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Done[T, U]] = queue.SimpleQueue()
        self.busy = 0
        """Calls that were given and have not come back through `finished`."""

    def give(self, value: T) -> None:
        """Ask for a call; it waits where all pool are full."""
        self.busy += 1
        self._given.put((value,))
        if self._threads < min(self.busy, self._count):
            self._threads += 1
            threading.Thread(target=self._work, daemon=True).start()

    def finished(self) -> list[Done[T, U]]:
        """Take all calls that have ended; where there is none, wait for the first if there is one to wait for."""
        found: list[Done[T, U]] = []
        while self.busy > len(found):
            try:
                found.append(self._done.get(block=not found))
            except queue.Empty:
                break
        self.busy -= len(found)
        return found

    def drop(self) -> None:
        """Take back the calls that no hand has begun."""
        while True:
            try:
                self._given.get_nowait()
            except queue.Empty:
                return
            self.busy -= 1

    def dismiss(self) -> None:
        """Let every thread end after the call that it is making, and begin no other."""
        self.drop()
        for _ in range(self._threads):
            self._given.put(None)

    def _work(self) -> None:
        while (value := self._given.get()) is not None:
            try:
                done = Done[T, U](*value, self._act(*value), None)
            except BaseException as error:  # it is raised where the results are taken
                done = Done[T, U](*value, None, error)
            self._done.put(done)
