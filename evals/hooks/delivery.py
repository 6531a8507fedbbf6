"""Call one hook from a thread of its own, so that a hook that raises, hangs or prints changes nothing in the run.

Events wait in a queue. If batches come faster than the hook takes them, the oldest of the waiting ones is dropped:
every batch's event counts from the beginning, so the next one says all that it said.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from evals.errors import one_line
from evals.hooks.events import BatchDone, RunEvent, RunStarted
from evals.hooks.printing import to_standard_error
from evals.hooks.working_folder import keep_working_folder

MOST_WAITING = 1_000
"""Number of batches that wait for a hook."""


@dataclass(frozen=True)
class HookSource:
    """A hook that is to be made for a run."""

    name: str
    """For messages and the manifest."""
    make: Callable[[], object | None]
    """Returns the hook, or None if it is not interested in the run. Called in the hook's thread."""
    waiting: int = MOST_WAITING
    """Maximum number of batches that wait for it; 1 for a hook that wants the newest state only."""
    ends_at_error: bool = False
    """Whether its first error is its last event."""
    is_stream: bool = False
    """Whether it writes events to standard error, between what else is written there."""
    is_counted: bool = True
    """Whether the manifest names it and counts its errors."""


class Delivery:
    """The thread of one hook in one run."""

    def __init__(self, source: HookSource, report: Callable[[str], object]) -> None:
        """Start the thread.

        Args:
            source: makes the hook.
            report: writes one line for the user; called for the first error only.
        """
        self.source = source
        self.errors = 0
        """Number of events that the hook failed at, so far."""
        self.is_used = False
        """Whether there is a hook: its source returned one, or failed."""
        self._report = report
        self._events: deque[RunEvent] = deque()
        self._changed = threading.Condition()
        self._is_closing = self._has_ended = False
        self._thread = threading.Thread(target=self._work, name=f"hook {source.name}", daemon=True)
        self._thread.start()

    def put(self, event: RunEvent) -> None:
        """Let the hook have an event; returns at once."""
        with self._changed:
            if self._has_ended:
                return
            if isinstance(event, BatchDone):
                self._drop_oldest_batch()
            self._events.append(event)
            self._changed.notify()

    def _drop_oldest_batch(self) -> None:
        """Make room for another batch; of the waiting events at most two are none of batches."""
        if len(self._events) >= self.source.waiting:
            batches = [index for index, event in enumerate(self._events) if isinstance(event, BatchDone)]
            if len(batches) >= self.source.waiting:
                del self._events[batches[0]]

    def close(self) -> None:
        """End the thread after the events that wait; returns at once."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def wait(self, seconds: float) -> None:
        """Wait until the hook has taken all events; count and report it as failed if it has not within some seconds."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            self._fail("has not taken its events in time, and is left behind")

    def _work(self) -> None:
        keep_working_folder()
        with to_standard_error():
            try:
                self._deliver()
            finally:
                with self._changed:
                    self._has_ended = True
                    self._events.clear()

    def _deliver(self) -> None:
        try:
            hook = self.source.make()
        except BaseException as error:  # whatever a hook raises, SystemExit too, is its own failure
            self.is_used = True
            self._fail(f"cannot be used: {_described(error)}")
            return
        self.is_used = hook is not None
        while hook is not None and (event := self._next()) is not None:
            name = str(type(event).__struct_config__.tag)
            take = getattr(hook, name, None)
            if take is None:
                continue
            try:
                self._call(take, event)
            except BaseException as error:
                self._fail(f"failed at {name}: {_described(error)}")
                if isinstance(event, RunStarted) or self.source.ends_at_error:
                    return

    def _call(self, take: Callable[[RunEvent], object], event: RunEvent) -> None:
        """Call the hook; a child process that it forked ends here, and does not go on with the run."""
        process = os.getpid()
        try:
            take(event)
        finally:
            if os.getpid() != process:
                os._exit(0)

    def _next(self) -> RunEvent | None:
        with self._changed:
            while not self._events and not self._is_closing:
                self._changed.wait()
            return self._events.popleft() if self._events else None

    def _fail(self, what: str) -> None:
        self.errors += 1
        if self.errors == 1:
            self._report(f"hook {self.source.name} {what}; the run does not need it and goes on")


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {one_line(error)}"
    except BaseException:  # an exception of a stranger may have no text
        return type(error).__name__
