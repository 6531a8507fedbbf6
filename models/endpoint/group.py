"""Several servers of one model: each request goes to the one with the most room, and a server that fails rests.

Each server has a concurrency limit of its own (`evals.models.endpoint.pacing`), so a fast server gets more requests. A
request that got no answer, or a wrong one, goes to another server at once. A server that gave no answer, several wrong
ones, or that no longer has the model rests, for a time that doubles each time, and is tried again. When none answers,
the run waits as it does for a single server; when none has the model, it stops.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson

from evals.errors import EvalsError, InputError, SampleError
from evals.models.endpoint.attempts import (
    FailedAttempt,
    FailureStreak,
    RejectedError,
    ServerResponse,
    may_pass,
    wait_until_back,
)
from evals.models.endpoint.client import RESUMABLE, Server
from evals.schema import Json

_LONGEST_REST = 30.0
"""Maximum number of seconds for which a server rests."""
_MANY_FAULTS = 3
"""Number of consecutive errors and wrong answers of a server after which it rests."""

T = TypeVar("T")


class Sender(Protocol):
    """What sends the requests of a run: one server, or several."""

    @property
    def address(self) -> str:
        """The address, for messages."""

    def send(
        self, path: str, body: Mapping[str, Json], read: Callable[[Any], tuple[T, int]], *, trial: bool = False
    ) -> ServerResponse:
        """See `Server.send`."""

    def attempt_streamed(self, path: str, body: Mapping[str, Json], on_part: Callable[[bytes], object]) -> bytes:
        """See `Server.attempt_streamed`."""

    def masked(self, value: Json) -> Json:
        """See `Server.masked`."""


@dataclass(eq=False)
class _Member:
    """One of the servers."""

    server: Server
    pending: int = 0
    """Number of requests that are under way."""
    rests: int = 0
    """Number of rests since the last answer."""
    rests_until: float = 0.0
    faults: int = 0
    """Number of errors and wrong answers since the last answer."""
    lost: EvalsError | None = None
    """Why the server is unusable: it rejects what it answered before, or answers as another model."""

    @property
    def room(self) -> float:
        """Share of what the server bears that is free now; 0 or less if it is full."""
        return 1 - self.pending / max(1, self.server.limit)


class ServerGroup:
    """Several servers of one model (a `Sender`); safe for several threads."""

    def __init__(self, servers: Sequence[Server], *, retries: int, backoff: float) -> None:
        """Send to some servers, whose capabilities are known to be equal.

        Args:
            servers: at least two.
            retries: number of retries of a request, for each server.
            backoff: seconds of the first rest.
        """
        self._members = [_Member(server) for server in servers]
        self._failures = FailureStreak()
        for server in servers:
            server.failures = self._failures
        self._retries = retries * len(servers)
        self._backoff = backoff
        self._changed = threading.Condition()
        self._next = 0
        self._waiting = threading.Lock()

    @property
    def address(self) -> str:
        """The servers' addresses, for messages."""
        return "|".join(member.server.address for member in self._members)

    def attempt_streamed(self, path: str, body: Mapping[str, Json], on_part: Callable[[bytes], object]) -> bytes:
        """Send a request once, to the servers in turn. See `Server.attempt_streamed`."""
        with self._changed:
            self._next = (self._next + 1) % len(self._members)
            server = self._members[self._next].server
        return server.attempt_streamed(path, body, on_part)

    def masked(self, value: Json) -> Json:
        """Return a copy of a value without the keys of the servers."""
        for member in self._members:
            value = member.server.masked(value)
        return value

    def send(
        self, path: str, body: Mapping[str, Json], read: Callable[[Any], tuple[T, int]], *, trial: bool = False
    ) -> ServerResponse:
        """Send a request to the servers in turn, until one answers it. See `Server.send`."""
        content = orjson.dumps(body)
        failed = overloaded = tries = 0
        avoided: list[_Member] = []
        while True:
            member, rests = self._choose(avoided)
            outcome = self._try_once(member, rests, path, content, read, trial)
            if not isinstance(outcome, FailedAttempt):
                if not trial:
                    self._failures.end()
                return ServerResponse(outcome[0], tries)
            tries += 1
            failed, overloaded = failed + (not outcome.overloaded), overloaded + outcome.overloaded
            avoided.append(member)
            all_failed = len(avoided) == len(self._members)
            if all_failed:
                avoided = [member]
            if failed > self._retries or overloaded > 4 * self._retries:
                reason = f"{outcome.reason} ({tries} tries)"
                if trial or not self._were_gone(reason):
                    raise SampleError(reason)
                failed = overloaded = 0
            elif all_failed and not outcome.unreachable and not outcome.overloaded:
                seconds = min(_LONGEST_REST, self._backoff * 2.0 ** (failed // len(self._members) - 1))
                self._members[0].server.sleep(seconds * random.uniform(0.5, 1.0))

    def _try_once(
        self,
        member: _Member,
        rests: int,
        path: str,
        content: bytes,
        read: Callable[[Any], tuple[T, int]],
        trial: bool,
    ) -> tuple[T, int] | FailedAttempt:
        """Send a request to a server once, which rested `rests` times before."""
        outcome: tuple[T, int] | FailedAttempt | None = None
        try:
            try:
                outcome = member.server.attempt(path, content, read)
            except RejectedError as error:
                if trial or error.about_length:
                    raise
                outcome = self._examine(member, error)
        except SampleError:  # this request is rejected: the server is well
            raise
        except EvalsError as error:
            self._stop(error)
            raise
        finally:
            self._note(member, rests, outcome)
        return outcome

    def _examine(self, member: _Member, rejection: RejectedError) -> FailedAttempt:
        """Return how a server failed that rejects a request: it rejects what it answered before too, or is gone.

        Raises:
            RejectedError: the server is well, so the request is at fault.
            EvalsError: no server of the run has the model, or too many requests were rejected.
        """
        try:
            member.server.check_alive()
        except (SampleError, InputError) as error:
            if not may_pass(error):
                member.lost = error
                if all(other.lost for other in self._members):
                    gone = f"{self.address} are gone: {rejection}; what they answered before fails too: {error}"
                    raise InputError(f"{gone}; {RESUMABLE}") from error
            return FailedAttempt(str(rejection), unreachable=True)
        member.server.count_failure(str(rejection))
        raise rejection

    def _note(self, member: _Member, rests: int, outcome: tuple[Any, int] | FailedAttempt | None) -> None:
        """Let a server rest that failed, once for all requests that were under way; one that answered need not."""
        with self._changed:
            member.pending -= 1
            if not isinstance(outcome, FailedAttempt):
                member.rests, member.faults, member.lost = 0, 0, None
            else:
                away = outcome.unreachable or outcome.overloaded
                member.faults += not away
                if (away or member.faults >= _MANY_FAULTS) and member.rests == rests:
                    rest = self._backoff * 2.0**rests * random.uniform(0.5, 1.0)
                    member.rests += 1
                    member.rests_until = time.monotonic() + min(_LONGEST_REST, max(outcome.retry_after, rest))
            self._changed.notify()

    def _choose(self, avoided: Sequence[_Member]) -> tuple[_Member, int]:
        """Wait for a server that has room and does not rest, if possible none of those on which the request failed.

        Returns:
            The server, and the number of its rests.
        """
        with self._changed:
            while True:
                for member in self._members:
                    member.server.check()
                now = time.monotonic()
                awake = [member for member in self._members if member.rests_until <= now]
                others = [member for member in awake if member not in avoided]
                best = max(others or awake, key=lambda member: member.room, default=None)
                if best is not None and best.room > 0:
                    best.pending += 1
                    return best, best.rests
                rests = [member.rests_until - now for member in self._members if member.rests_until > now]
                self._changed.wait(max(0.001, min([0.5, *rests])))

    def _were_gone(self, reason: str) -> bool:
        """Wait until a server answers what it answered before the run; return whether none did at first."""
        with self._waiting:
            first = self._members[0].server
            answered, error = wait_until_back(
                self._check_alive, may_pass, address=self.address, reason=reason, deadline=first.deadline,
                stopped=first.stopped,
            )  # fmt: skip
            if error is not None:
                gone = f"{self.address} are gone: {reason}; what they answered before fails too: {error}"
                stop = InputError(f"{gone}; {RESUMABLE}")
                self._stop(stop)
                raise stop
        if not answered:
            return True
        try:
            self._members[0].server.count_failure(reason)
        except EvalsError as many:
            self._stop(many)
            raise
        return False

    def _check_alive(self) -> None:
        """Raise the last server's error if no server answers; those that answer need no rest."""
        last: EvalsError | None = None
        for member in self._members:
            try:
                member.server.check_alive()
            except (SampleError, InputError) as error:
                last = error
            else:
                with self._changed:
                    member.rests, member.rests_until, last = 0, 0.0, None
                return
        assert last is not None
        raise last

    def _stop(self, reason: EvalsError) -> None:
        """Stop the requests to all servers."""
        for member in self._members:
            with contextlib.suppress(EvalsError):
                member.server.stop(reason)
