"""The outcomes of a request, and how to wait for a server that is gone: a large model takes minutes to load again."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from evals.errors import EvalsError, InputError, SampleError
from evals.models.endpoint.long_prompts import read_rejection

MAX_CONSECUTIVE_FAILURES = 32
"""Number of consecutive requests without an answer after which the run stops."""
_SECONDS = 5.0
"""Time between two requests that look whether the server is back; at first less."""


class FailureStreak:
    """Counts consecutive requests without an answer; the servers of a run share one. Safe for several threads."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._lock = threading.Lock()
        self._count = 0

    def add(self) -> int:
        """Count a failure; return the number of consecutive ones."""
        with self._lock:
            self._count += 1
            return self._count

    def end(self) -> None:
        """Begin again at 0: a request was answered."""
        self._count = 0


class RejectedError(SampleError):
    """The server rejects a request; a retry would not help."""

    def __init__(self, status: int, message: str) -> None:
        """Compose the message from the status and the server's own words."""
        super().__init__(f"the server answers {status}: {message}")
        self.status = status

    @property
    def about_length(self) -> bool:
        """Whether the request was too long, which says nothing about the server."""
        return read_rejection(str(self)) is not None


class ServerResponse(NamedTuple):
    """The answer to a request."""

    value: Any
    """The value that `read` returned for the body."""
    retries: int
    """Number of times that the request was repeated."""


class FailedAttempt(NamedTuple):
    """A failed attempt that can be retried."""

    reason: str
    overloaded: bool = False
    retry_after: float = 0.0
    """Delay in seconds that the server requests."""
    unreachable: bool = False
    """Whether no answer came at all, not even an error."""


def wait_until_back(
    check_alive: Callable[[], object],
    may_pass: Callable[[EvalsError], bool],
    *,
    address: str,
    reason: str,
    deadline: float,
    stopped: threading.Event,
) -> tuple[bool, str | None]:
    """Repeat a request that was answered before the run until it is answered again, or the deadline has come.

    One line on standard error says that the run waits.

    Args:
        check_alive: raises `SampleError` or `InputError` if the server does not answer.
        may_pass: whether an error of `check_alive` may pass; for any other there is no wait.
        address: the server's address, for the line.
        reason: what failed.
        deadline: end of the run, by `time.monotonic`.
        stopped: set when the run stops for another reason.

    Returns:
        Whether the server answered at once; and None if it answers now, else what its last answer was.
    """
    started, pause = time.monotonic(), 0.0
    while True:
        try:
            check_alive()
        except (SampleError, InputError) as error:
            left = deadline - time.monotonic()
            if left <= 0 or stopped.is_set() or not may_pass(error):
                return False, str(error)
            if not pause:
                _say(f"evals: {address} is gone ({reason}); waiting for it, for at most {left:.0f} s (the deadline)")
            pause = min(_SECONDS, 2 * pause or 0.1)
            stopped.wait(min(pause, left))
        else:
            if pause:
                _say(f"evals: {address} answers again after {time.monotonic() - started:.0f} s")
            return not pause, None


def may_pass(error: EvalsError) -> bool:
    """Return whether a server that gave this error may answer later: not if it rejects the request or the key."""
    return not isinstance(error, RejectedError) and (isinstance(error, SampleError) or error.__cause__ is not None)


def _say(line: str) -> None:
    sys.stderr.write(f"\n{line}\n" if sys.stderr.isatty() else f"{line}\n")
    sys.stderr.flush()
