"""How many requests a server is given at once: as many as it bears, found out while they are answered.

The number grows by one an answer until something speaks against it, then by one a round (additive increase); it is
halved when the server pushes back (multiplicative decrease: 429, 503, no answer in time). Growth that only made every
request slower is taken back: by Little's law, requests at once divided by their latency is what gets done, so where
latency rises as fast as the number, nothing is won. Latency is counted by the token, since answers differ in length.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

START = 8
"""Requests at once before anything is known of a server."""
_STEP = 1.25
"""Growth after which it is asked whether it was worth it."""
_WORTH = 0.5
"""It was not when latency grew by more than this part of the growth."""
_REST = 10
"""Rounds without growth after some was taken back."""


class Limit:
    """The number itself: no clock, no thread.

    Example:
        >>> limit = Limit(most=64)
        >>> for _ in range(8):
        ...     limit.answered(seconds=0.1, full=True)
        >>> limit.value
        16.0
        >>> limit.pushed_back(limit.epoch)
        >>> limit.value
        8.0
    """

    def __init__(self, most: int) -> None:
        """Begin at `START`, or at `most` where that is less."""
        self.most = most
        self.value = float(min(START, most))
        self.epoch = 0
        """How often it was halved: requests of an earlier epoch were sent under another number and halve nothing."""
        self._steep = True
        self._rest = 0
        self._round: list[float] = []
        self._begun = self.value
        """What it was when the round began: under this number its answers were asked for."""
        self._mark: tuple[float, float] | None = None
        """The number and the latency by which growth is judged."""

    def answered(self, seconds: float, *, full: bool) -> None:
        """Take note of an answer.

        Args:
            seconds: how long it took, by the token.
            full: whether it was sent while no more were allowed; else it says nothing about allowing more.
        """
        if full and not self._rest:
            self.value = min(float(self.most), self.value + (1 if self._steep else 1 / self.value))
        self._round.append(seconds)
        if len(self._round) >= self._begun:
            self._judge(median(self._round))
            self._round, self._begun = [], self.value
            self._rest = max(0, self._rest - 1)

    def pushed_back(self, epoch: int) -> None:
        """Halve it, once for all the requests that were sent under it."""
        if epoch == self.epoch:
            self.value = max(1.0, self.value / 2)
            self.epoch += 1
            self._steep, self._mark, self._round, self._begun = False, None, [], self.value

    def _judge(self, latency: float) -> None:
        """Take growth back that bought nothing."""
        if self._mark is None or self._begun < self._mark[0]:
            self._mark = (self._begun, latency)
        elif self._begun >= _STEP * self._mark[0]:
            value, before = self._mark
            if latency - before > _WORTH * before * (self._begun / value - 1):
                self.value, self._steep, self._rest, self._mark = value, False, _REST, None
            else:
                self._mark = (self._begun, latency)


class Gate:
    """Lets threads through as a `Limit` allows."""

    def __init__(self, most: int) -> None:
        """Let at most so many through, and less where the server cannot bear it."""
        self.limit = Limit(most)
        self._inside = 0
        self._changed = threading.Condition()

    @contextmanager
    def pass_through(self, check: Callable[[], None]) -> Iterator[Pass]:
        """Wait for a place and hold it for the body.

        Args:
            check: called now and again while waiting; what it raises ends the wait.
        """
        with self._changed:
            while self._inside >= int(self.limit.value):
                check()
                self._changed.wait(2.0)
            self._inside += 1
            ticket = Pass(self, self.limit.epoch, full=self._inside >= int(self.limit.value))
        try:
            yield ticket
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify()

    def answered(self, ticket: Pass, seconds: float) -> None:
        """Take note of an answer, and wake who may go now."""
        with self._changed:
            self.limit.answered(seconds, full=ticket.full)
            self._changed.notify()

    def pushed_back(self, ticket: Pass) -> None:
        """Take note that the server had too much to do."""
        with self._changed:
            self.limit.pushed_back(ticket.epoch)


class Pass:
    """One request's place."""

    def __init__(self, gate: Gate, epoch: int, *, full: bool) -> None:
        """Note under which number it was given."""
        self._gate, self.epoch, self.full = gate, epoch, full

    def answered(self, seconds: float) -> None:
        """The server answered, in so many seconds by the token."""
        self._gate.answered(self, seconds)

    def pushed_back(self) -> None:
        """The server had too much to do."""
        self._gate.pushed_back(self)
