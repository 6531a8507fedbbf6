"""Several servers of one model: each request goes to the one with the most room, and a server that fails rests.

Each server has a concurrency limit of its own (`evals.models.endpoint.pacing`), so a fast server gets more requests. A
request that got no answer goes to another server at once. The server that failed rests, for a time that doubles each
time, and is tried again; when none answers, the run waits as it does for a single server.
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
from evals.models.endpoint.client import RESUMABLE, FailedAttempt, Server, ServerResponse, may_pass
from evals.models.endpoint.outages import wait_until_back
from evals.schema import Json

_LONGEST_REST = 30.0
"""Maximum number of seconds for which a server rests."""

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


@dataclass(eq=False)
class _Member:
    """One of the servers."""

    server: Server
    pending: int = 0
    """Number of requests that are under way."""
    rests: int = 0
    """Number of rests since the last answer."""
    rests_until: float = 0.0

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
        self._retries = retries * len(servers)
        self._backoff = backoff
        self._changed = threading.Condition()
        self._waiting = threading.Lock()

    @property
    def address(self) -> str:
        """The servers' addresses, for messages."""
        return "|".join(member.server.address for member in self._members)

    def send(
        self, path: str, body: Mapping[str, Json], read: Callable[[Any], tuple[T, int]], *, trial: bool = False
    ) -> ServerResponse:
        """Send a request to the servers in turn, until one answers it. See `Server.send`."""
        content = orjson.dumps(body)
        failed = overloaded = tries = 0
        while True:
            outcome = self._try_once(path, content, read, trial)
            if not isinstance(outcome, FailedAttempt):
                return ServerResponse(outcome[0], tries)
            tries += 1
            failed, overloaded = failed + (not outcome.overloaded), overloaded + outcome.overloaded
            if failed > self._retries or overloaded > 4 * self._retries:
                reason = f"{outcome.reason} ({tries} tries)"
                if trial or not self._were_gone(reason):
                    raise SampleError(reason)
                failed = overloaded = 0
            elif not outcome.unreachable and not outcome.overloaded:
                seconds = min(_LONGEST_REST, self._backoff * 2.0 ** (failed - 1))
                self._members[0].server.sleep(seconds * random.uniform(0.5, 1.0))

    def _try_once(
        self, path: str, content: bytes, read: Callable[[Any], tuple[T, int]], trial: bool
    ) -> tuple[T, int] | FailedAttempt:
        """Send a request to the server with the most room, once."""
        member, rests = self._choose()
        outcome: tuple[T, int] | FailedAttempt | None = None
        try:
            outcome = member.server.attempt(path, content, read, trial)
        except SampleError:  # this request is rejected: the server is well
            raise
        except EvalsError as error:
            self._stop(error)
            raise
        finally:
            with self._changed:
                member.pending -= 1
                if not isinstance(outcome, FailedAttempt):
                    member.rests = 0
                elif (outcome.unreachable or outcome.overloaded) and member.rests == rests:  # once for those in flight
                    rest = self._backoff * 2.0**rests * random.uniform(0.5, 1.0)
                    member.rests += 1
                    member.rests_until = time.monotonic() + min(_LONGEST_REST, max(outcome.retry_after, rest))
                self._changed.notify()
        return outcome

    def _choose(self) -> tuple[_Member, int]:
        """Wait for a server that has room and does not rest; return it with the number of its rests."""
        with self._changed:
            while True:
                for member in self._members:
                    member.server.check()
                now = time.monotonic()
                awake = [member for member in self._members if member.rests_until <= now]
                best = max(awake, key=lambda member: member.room, default=None)
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
            return not answered

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
