"""Send requests to a server, with retries, until each is answered, rejected, or out of retries.

    answered                       the body is JSON and contains what was requested
    429, 503, 529, timeout         the server is overloaded: send fewer requests at once, and retry later
    5xx, cut off, unreadable       retry after a delay that doubles, with jitter; `Retry-After` is respected
    400, 404, 413, 422, …          this request is rejected: the sample fails with the server's reason; the run stops if
                                   the server also rejects what it answered before, or answers as another model
    401, 402, 403                  the key, the payment or the permission is wrong: the run stops, and keeps its results

A server that is gone (it no longer answers what it answered before the run) is waited for until the deadline. A run
stops at the deadline, at a redirect, and if many consecutive requests get no answer. The key comes from the environment
and is removed from everything that the server sends (`evals.models.endpoint.secrets`).
"""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import orjson

from evals.errors import EvalsError, InputError, SampleError, one_line
from evals.models.endpoint.attempts import (
    MAX_CONSECUTIVE_FAILURES,
    FailedAttempt,
    FailureStreak,
    RejectedError,
    ServerResponse,
    may_pass,
    wait_until_back,
)
from evals.models.endpoint.connections import Connections, within
from evals.models.endpoint.pacing import ConcurrencyGate, retry_after
from evals.models.endpoint.responses import MalformedError, decoded
from evals.models.endpoint.secrets import KeyMask
from evals.models.endpoint.settings import Settings
from evals.schema import Json

MAX_BYTES = 64 << 20
"""Maximum size of a response body."""
_MAX_ERROR = 1 << 18
"""Maximum size of an error in JSON; of a larger one, the beginning is shown as it stands."""
TRIAL_RETRIES = 3
"""Minimum number of retries of requests before the run, which decide over the whole run."""
_OVERLOADED = frozenset({408, 425, 429, 503, 529})
_FATAL = {401: "rejects the key", 402: "requires payment", 403: "denies access"}
RESUMABLE = "what was finished is kept, and the same command continues"

T = TypeVar("T")


class Server:
    """A server with its key and connections; safe for several threads."""

    def __init__(self, settings: Settings, key: str | None) -> None:
        """Prepare the client without connecting. Raises `InputError` if the HTTP client is not installed."""
        try:
            import httpx2  # noqa: F401
        except ImportError:
            raise InputError("models behind a server need the package httpx2: pip install -e '.[endpoint]'") from None
        self._settings = settings
        self._mask = KeyMask(key)
        headers = {"Content-Type": "application/json", "User-Agent": "claim-evals"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._connections = Connections(headers, settings.query or None, trust_env=not settings.loopback)
        weakref.finalize(self, self._connections.close)  # close the connections when this object is deleted
        self._gate = ConcurrencyGate(settings.concurrency)
        self.deadline = time.monotonic() + settings.deadline
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        self._reason: EvalsError | None = None
        self.failures = FailureStreak()
        self.check_alive: Callable[[], object] = self.list_models
        """Repeats a request that was answered before the run; raises `SampleError` or `InputError` if it fails now."""
        self._well_at = self._back_at = 0.0
        """When a check began that was answered at once; when the server came back."""

    @property
    def address(self) -> str:
        """The server's address, for messages."""
        return self._settings.server

    @property
    def limit(self) -> int:
        """Number of requests that the server can answer at the same time now."""
        return int(self._gate.limit.value)

    def send(
        self, path: str, body: Mapping[str, Json], read: Callable[[Any], tuple[T, int]], *, trial: bool = False
    ) -> ServerResponse:
        """Send a request, with retries, until it is answered.

        Args:
            path: path under the base address, without a leading slash.
            body: the request body.
            read: returns the value of a response body and its number of new tokens, or raises `MalformedError`.
            trial: whether this is a request to detect capabilities, whose failure does not count against the server.

        Raises:
            SampleError: this request was rejected or failed too often; other requests may succeed.
            EvalsError: the run must stop; every later request raises the same error.
        """
        content = orjson.dumps(body)
        retries = max(TRIAL_RETRIES, self._settings.retries) if trial else self._settings.retries
        failed = overloaded = 0
        while True:
            try:
                outcome = self.attempt(path, content, read)
            except RejectedError as error:
                if trial or error.about_length or not self._was_gone(str(error)):
                    raise
                continue
            if not isinstance(outcome, FailedAttempt):
                if not trial:
                    self.failures.end()
                return ServerResponse(outcome[0], failed + overloaded)
            self.check()  # a request that the deadline cut short is not a failed sample
            failed, overloaded = failed + (not outcome.overloaded), overloaded + outcome.overloaded
            if failed > retries or overloaded > 4 * retries:
                reason = f"{outcome.reason} ({failed + overloaded} tries)"
                if trial or not self._was_gone(reason):
                    raise SampleError(reason)
                failed = overloaded = 0
                continue
            backoff = min(30.0, self._settings.backoff * 2.0 ** (failed + overloaded - 1))
            self.sleep(max(outcome.retry_after, backoff * random.uniform(0.5, 1.0)))

    def get(self, path: str) -> Json:
        """Send a GET request; returns None if the server does not support it or its answer is invalid.

        Raises:
            InputError: the server cannot be reached or rejects the key.
        """
        import httpx2

        try:
            status, headers, data = self._exchange("GET", path, None, min(10.0, self._settings.timeout))
        except httpx2.HTTPError as error:
            raise InputError(f"{self._settings.server} cannot be reached: {self._clean(one_line(error))}") from error
        if status in _FATAL:
            raise InputError(self._fatal_message(status, data))
        if 300 <= status < 400:
            raise InputError(self._redirect_message(status, headers))
        try:
            return self._mask.value(orjson.loads(data)) if status == 200 else None
        except orjson.JSONDecodeError:
            return None

    def attempt(self, path: str, content: bytes, read: Callable[[Any], tuple[T, int]]) -> tuple[T, int] | FailedAttempt:
        """Send a request once; returns the value and its number of tokens, or a failure that can be retried."""
        import httpx2

        self.check()
        with self._gate.permit(self.check) as permit:
            limit = min(self._settings.timeout, max(0.001, self.deadline - time.monotonic()))
            start = time.perf_counter()
            try:
                status, headers, data = self._exchange("POST", path, content, limit)
            except httpx2.TimeoutException:
                permit.on_overload()
                return FailedAttempt(f"no answer within {limit:.3g} s", unreachable=True)
            except httpx2.HTTPError as error:
                return FailedAttempt(f"the connection broke: {self._clean(one_line(error))}", unreachable=True)
            if status == 200:
                try:
                    value, tokens = read(self._mask.value(decoded(data)))
                except MalformedError as error:
                    return FailedAttempt(f"an invalid answer: {self._clean(str(error))}")
                permit.on_response((time.perf_counter() - start) / max(1, tokens))
                return self._mask.value(value), tokens  # again, because parts of a text were joined
            if status in _OVERLOADED:
                permit.on_overload()
        return self._failure(status, headers, data)

    def _failure(self, status: int, headers: Mapping[str, str], data: bytes) -> FailedAttempt:
        """Interpret an error status. Raises if a retry would not help."""
        if status in _FATAL:
            self.stop(InputError(f"{self._fatal_message(status, data)}; {RESUMABLE}"))
        if 300 <= status < 400:
            self.stop(InputError(self._redirect_message(status, headers)))
        message = self._message(data)
        if status in _OVERLOADED or status >= 500:
            return FailedAttempt(f"the server answers {status}: {message}", status in _OVERLOADED, retry_after(headers))
        raise RejectedError(status, message)

    def attempt_streamed(self, path: str, body: Mapping[str, Json], on_part: Callable[[bytes], object]) -> bytes:
        """Send a request once and at once, whatever else is under way, and pass on each part of the answer as it comes.

        Returns:
            The whole body of the answer.

        Raises:
            SampleError: the request was rejected, failed, or took too long.
        """
        import httpx2

        self.check()
        try:
            status, headers, data = self._exchange("POST", path, orjson.dumps(body), self._settings.timeout, on_part)
        except httpx2.HTTPError as error:
            raise SampleError(f"the connection broke: {self._clean(one_line(error))}") from error
        if status != 200:
            outcome = self._failure(status, headers, data)
            raise SampleError(outcome.reason)
        return data

    def masked(self, value: Json) -> Json:
        """Return a copy of a value of the server without the key."""
        return self._mask.value(value)

    def _exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        limit: float,
        on_part: Callable[[bytes], object] = len,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request and receive the response, within a time limit for both together."""
        import httpx2

        parts: list[bytes] = []
        size = 0
        timeout = httpx2.Timeout(limit, connect=min(limit, 10.0))
        url = f"{self._settings.server}/{path}"
        with (
            self._connections.client() as client,
            within(limit),
            client.stream(method, url, content=content, timeout=timeout) as response,
        ):
            for part in response.iter_bytes():
                parts.append(part)
                on_part(part)
                size += len(part)
                if size > MAX_BYTES:
                    raise httpx2.DecodingError(f"the answer has more than {MAX_BYTES >> 20} MiB")
            return response.status_code, response.headers, b"".join(parts)

    def _was_gone(self, reason: str) -> bool:
        """Count a failure; if the server no longer answers what it answered before the run, wait until it does.

        Returns:
            Whether the server was gone and is back, so that the request is sent again. The run stops at the deadline.
        """
        failed_at = time.monotonic()
        with self._lock:
            if self._reason is not None:
                raise self._reason
            if failed_at < self._back_at:  # it came back while another thread waited for it
                return True
            if failed_at >= self._well_at:  # no check has begun since the failure
                began = time.monotonic()
                address, deadline = self._settings.server, self.deadline
                answered, error = wait_until_back(
                    self.check_alive, may_pass, address=address, reason=reason, deadline=deadline,
                    stopped=self.stopped,
                )  # fmt: skip
                if error is not None:
                    gone = f"{address} is gone: {reason}; what it answered before fails too: {error}"
                    self.stop(InputError(f"{gone}; {RESUMABLE}"))
                if not answered:
                    self._back_at = time.monotonic()
                    return True
                self._well_at = began
        self.count_failure(reason)
        return False

    def count_failure(self, reason: str) -> None:
        """Count a request without an answer, and stop the run after too many consecutive ones."""
        failures = self.failures.add()
        if failures >= MAX_CONSECUTIVE_FAILURES:
            answered_none = f"{self._settings.server} answered none of {failures} requests in a row"
            self.stop(InputError(f"{answered_none}, the last failure: {reason}; {RESUMABLE}"))

    def list_models(self) -> Json:
        """Get the server's list of models, with retries after a timeout. Raises `InputError`, as `get` does."""
        import httpx2

        for attempt in range(TRIAL_RETRIES):
            try:
                return self.get("models")
            except InputError as error:
                if error.__cause__ is None or isinstance(error.__cause__, httpx2.ConnectError):
                    raise  # the server rejects the key, or there is no server
                self.stopped.wait(self._settings.backoff * 2**attempt)
        return self.get("models")

    def stop(self, reason: EvalsError) -> NoReturn:
        """Stop the run: raise the error here and in every other request."""
        if self._reason is None:
            self._reason = reason
        self.stopped.set()
        raise self._reason

    def check(self) -> None:
        """Raise the error with which the run stops, if it must."""
        if self._reason is not None:
            raise self._reason
        if time.monotonic() >= self.deadline:
            self.stop(EvalsError(f"the deadline of {self._settings.deadline:g} s has passed; {RESUMABLE}"))

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than the run goes on."""
        self.stopped.wait(min(seconds, max(0.0, self.deadline - time.monotonic())))
        self.check()

    def _fatal_message(self, status: int, data: bytes) -> str:
        return f"{self._settings.server} {_FATAL[status]} ({status}): {self._message(data)}"

    def _redirect_message(self, status: int, headers: Mapping[str, str]) -> str:
        target = self._clean(headers.get("location", "")) or "an address that it does not name"
        return (
            f"{self._settings.server} redirects ({status}) to {target}; redirects are not followed, because the key "
            f"would go along: give the address itself"
        )

    def _message(self, data: bytes) -> str:
        """Return the server's error message, on one line and without the key."""
        try:
            value: Json = self._mask.value(orjson.loads(data)) if len(data) <= _MAX_ERROR else None
        except orjson.JSONDecodeError:
            value = None
        if value is None:
            return self._clean(data[:_MAX_ERROR].decode(errors="replace")) or "no message"
        for name in ("error", "detail", "message", "msg"):
            if isinstance(value, dict) and name in value:
                value = value[name]
            if isinstance(value, list) and value:
                value = value[0]
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        return self._clean(text) or "no message"

    def _clean(self, text: str) -> str:
        return self._mask.message(text)
