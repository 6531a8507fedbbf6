"""Adapt the number of concurrent requests to what a server can handle, while it answers.

The limit grows by one per response until the server is overloaded or growth is undone, then by one per round of
responses (additive increase). It is halved when the server is overloaded (multiplicative decrease: status 429 or 503,
or a timeout). Growth that only made every request slower is undone: by Little's law, the throughput is the number of
concurrent requests divided by their latency, so nothing is gained if latency rises as fast as the limit. Latency is
measured per token, because responses differ in length.
"""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median

from evals.plain_numbers import real

START = 8
"""Initial limit on concurrent requests."""
_STEP = 1.25
"""Growth factor of the limit after which its effect is judged."""
_WORTH = 0.5
"""Growth is undone if latency grew by more than this share of it."""
_REST = 10
"""Number of rounds without growth after growth was undone."""
_MAX_RETRY_AFTER = 600.0
"""Maximum delay in seconds that a server can request."""


class ConcurrencyLimit:
    """The limit on concurrent requests as a pure state machine, without a clock or threads.

    Example:
        >>> limit = ConcurrencyLimit(maximum=64)
        >>> for _ in range(8):
        ...     limit.on_response(seconds=0.1, full=True)
        >>> limit.value
        16.0
        >>> limit.on_overload(limit.epoch)
        >>> limit.value
        8.0
    """

    def __init__(self, maximum: int) -> None:
        """Begin at `START`, or at `maximum` if that is less."""
        self.maximum = maximum
        self.value = float(min(START, maximum))
        self.epoch = 0
        """Number of times that the limit was halved; requests sent in an earlier epoch do not halve it again."""
        self._fast_growth = True
        self._rounds_without_growth = 0
        self._latencies: list[float] = []
        self._round_limit = self.value
        """The limit at the start of the current round of responses."""
        self._reference: tuple[float, float] | None = None
        """The limit and the latency against which growth is judged."""

    def on_response(self, seconds: float, *, full: bool) -> None:
        """Update the limit after a response.

        Args:
            seconds: latency per token.
            full: whether the limit was reached when the request was sent; otherwise the response is no reason to grow.
        """
        if full and not self._rounds_without_growth:
            self.value = min(float(self.maximum), self.value + (1 if self._fast_growth else 1 / self.value))
        self._latencies.append(seconds)
        if len(self._latencies) >= self._round_limit:
            self._judge(median(self._latencies))
            self._latencies, self._round_limit = [], self.value
            self._rounds_without_growth = max(0, self._rounds_without_growth - 1)

    def on_overload(self, epoch: int) -> None:
        """Halve the limit, once for all requests that were sent in the same epoch."""
        if epoch == self.epoch:
            self.value = max(1.0, self.value / 2)
            self.epoch += 1
            self._fast_growth, self._reference, self._latencies, self._round_limit = False, None, [], self.value

    def _judge(self, latency: float) -> None:
        """Undo growth that did not increase the throughput."""
        if self._reference is None or self._round_limit < self._reference[0]:
            self._reference = (self._round_limit, latency)
        elif self._round_limit >= _STEP * self._reference[0]:
            limit, reference_latency = self._reference
            if latency - reference_latency > _WORTH * reference_latency * (self._round_limit / limit - 1):
                self.value, self._fast_growth, self._rounds_without_growth, self._reference = limit, False, _REST, None
            else:
                self._reference = (self._round_limit, latency)


class ConcurrencyGate:
    """Lets as many threads send requests as a `ConcurrencyLimit` allows."""

    def __init__(self, maximum: int) -> None:
        """Start with no active requests; at most `maximum` requests are ever active."""
        self.limit = ConcurrencyLimit(maximum)
        self._active = 0
        self._changed = threading.Condition()

    @contextmanager
    def permit(self, check: Callable[[], None]) -> Iterator[Permit]:
        """Wait for a permit and hold it for the body of the `with` statement.

        Args:
            check: called repeatedly while waiting; an exception that it raises ends the wait.
        """
        with self._changed:
            while self._active >= int(self.limit.value):
                check()
                self._changed.wait(2.0)
            self._active += 1
            permit = Permit(self, self.limit.epoch, full=self._active >= int(self.limit.value))
        try:
            yield permit
        finally:
            with self._changed:
                self._active -= 1
                self._wake()

    def on_response(self, permit: Permit, seconds: float) -> None:
        """Update the limit after a response, and wake a waiting thread if there is a permit for it."""
        with self._changed:
            self.limit.on_response(seconds, full=permit.full)
            self._wake()

    def _wake(self) -> None:
        """Wake a thread only if it gets a permit: each other one would take the interpreter to find out that not."""
        if self._active < int(self.limit.value):
            self._changed.notify()

    def on_overload(self, permit: Permit) -> None:
        """Update the limit after the server was overloaded."""
        with self._changed:
            self.limit.on_overload(permit.epoch)


class Permit:
    """The permission to send one request."""

    def __init__(self, gate: ConcurrencyGate, epoch: int, *, full: bool) -> None:
        """Record the state of the limit when the permit was granted."""
        self._gate, self.epoch, self.full = gate, epoch, full

    def on_response(self, seconds: float) -> None:
        """Report a response; `seconds` is its latency per token."""
        self._gate.on_response(self, seconds)

    def on_overload(self) -> None:
        """Report that the server was overloaded."""
        self._gate.on_overload(self)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the delay in seconds that a server requests: `Retry-After` (a number or a date) or `retry-after-ms`.

    Example:
        >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "1500"})
        (2.0, 1.5)
        >>> retry_after({"retry-after": "soon"})
        0.0
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            return min(_MAX_RETRY_AFTER, max(0.0, real(text) * unit))
        except ValueError:
            continue
    try:
        then = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return 0.0
    return min(_MAX_RETRY_AFTER, max(0.0, then.timestamp() - time.time()))
