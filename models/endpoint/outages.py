"""Wait for a server that is gone: it may be restarted, and a large model takes minutes to load."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from evals.errors import EvalsError, InputError, SampleError

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


def _say(line: str) -> None:
    sys.stderr.write(f"\n{line}\n" if sys.stderr.isatty() else f"{line}\n")
    sys.stderr.flush()
