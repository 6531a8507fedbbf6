"""A pool of daemon threads, for calls that mostly wait for a server.

Unlike the threads of `concurrent.futures`, these never keep a process alive: an interrupt ends the run at once, even
while requests are still waiting for the server.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class CompletedCall(NamedTuple, Generic[T, U]):
    """One call that has ended."""

    argument: T
    """The argument of the call."""
    result: U | None
    """The value that it returned, if it returned."""
    error: BaseException | None
    """The exception that it raised instead."""


class DaemonThreadPool(Generic[T, U]):
    """A number of daemon threads that call one function.

    Example:
        >>> pool = DaemonThreadPool(lambda n: n * n, count=2)
        >>> for n in (1, 2, 3):
        ...     pool.submit(n)
        >>> results = []
        >>> while pool.pending:
        ...     results += [call.result for call in pool.completed()]
        >>> sorted(results)
        [1, 4, 9]
    """

    def __init__(self, function: Callable[[T], U], count: int) -> None:
        """Call `function` on at most `count` threads; each thread is started when it is first needed."""
        self._function = function
        self._count = count
        self._threads = 0
        self._arguments: queue.SimpleQueue[tuple[T] | None] = queue.SimpleQueue()
        self._completed: queue.SimpleQueue[CompletedCall[T, U]] = queue.SimpleQueue()
        self.pending = 0
        """Number of calls that were submitted and not yet returned by `completed`."""

    def submit(self, argument: T) -> None:
        """Submit a call; it waits if all threads are busy."""
        self.pending += 1
        self._arguments.put((argument,))
        if self._threads < min(self.pending, self._count):
            self._threads += 1
            threading.Thread(target=self._work, daemon=True).start()

    def completed(self) -> list[CompletedCall[T, U]]:
        """Return all calls that have ended; if there is none but some are pending, wait for the first."""
        calls: list[CompletedCall[T, U]] = []
        while self.pending > len(calls):
            try:
                calls.append(self._completed.get(block=not calls))
            except queue.Empty:
                break
        self.pending -= len(calls)
        return calls

    def cancel_waiting(self) -> None:
        """Remove the calls that no thread has started."""
        while True:
            try:
                self._arguments.get_nowait()
            except queue.Empty:
                return
            self.pending -= 1

    def shutdown(self) -> None:
        """End every thread after its current call."""
        self.cancel_waiting()
        for _ in range(self._threads):
            self._arguments.put(None)

    def _work(self) -> None:
        while (argument := self._arguments.get()) is not None:
            try:
                call = CompletedCall[T, U](*argument, self._function(*argument), None)
            except BaseException as error:  # raised again where the results are taken
                call = CompletedCall[T, U](*argument, None, error)
            self._completed.put(call)
