"""Requests to a server, each until it is answered, refused for good, or out of tries.

    answered                            the body is JSON and holds what was asked for
    429, 503, 529, no answer in time    the server has too much to do: fewer at once, and later again
    5xx, cut off, unreadable            again after a while that doubles, with jitter; `Retry-After` is heeded
    400, 404, 413, 422, …               this request is refused for good: the sample fails and says why
    401, 402, 403                       the key, the money or the permission is wrong: the run stops, nothing is lost

A run also stops when the server is gone (it does not even answer what it answered before the run), when it has answered
none of many requests in a row, and at the deadline. The key comes from the environment and is cut out of all that
comes back.
"""

from __future__ import annotations

import email.utils
import random
import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar

import orjson

from evals.errors import EvalsError, InputError, SampleError
from evals.models.endpoint.pacing import Gate
from evals.models.endpoint.settings import Settings
from evals.schema import Json

MAX_BYTES = 64 << 20
"""A body that is larger is no answer."""
STREAK = 32
"""Requests in a row without any answer after which the run stops."""
_LONGEST_WAIT = 600.0
"""A server that asks for more seconds of patience is asked again after these."""
_TRIALS = 3
"""Tries after the first, at least, of what decides over a whole run."""
_BUSY = frozenset({408, 425, 429, 503, 529})
_STOPPING = {401: "refuses the key", 402: "wants money", 403: "denies access"}
_MASKED_KEY = re.compile(r"\bsk-[\w*-]+|[^\s'\"]*\*{3,}[^\s'\"]*")
_KEPT = "what was finished is kept, the same command goes on"

T = TypeVar("T")


class MalformedError(Exception):
    """A body that came with status 200 and is no answer."""


class RejectedError(SampleError):
    """The server refuses a request for good."""

    def __init__(self, status: int, message: str) -> None:
        """Compose the message from the status and the server's own words."""
        super().__init__(f"the server answers {status}: {message}")
        self.status = status


class Answered(NamedTuple):
    """What a request came to."""

    value: Any
    """What `read` made of the body."""
    retries: int
    """How often it was sent again."""


class _Failed(NamedTuple):
    """One try that came to nothing."""

    reason: str
    busy: bool = False
    wait: float = 0.0
    """Seconds that the server asks for."""


class Server:
    """A server with its key, its connections and its patience; used by many threads."""

    def __init__(self, settings: Settings, key: str | None) -> None:
        """Connect to nothing yet. Raises `InputError` where the client is not installed."""
        try:
            import httpx2
        except ImportError:
            raise InputError("models behind a server need the package httpx2: pip install -e '.[endpoint]'") from None
        self._settings = settings
        self._key = key
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=settings.concurrency + 1)
        headers = {"Content-Type": "application/json", "User-Agent": "claim-evals"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx2.Client(
            headers=headers, limits=limits, params=settings.query or None, trust_env=not settings.loopback
        )
        weakref.finalize(self, self._client.close)  # its connections end with it
        self._gate = Gate(settings.concurrency)
        self._end = time.monotonic() + settings.deadline
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._reason: EvalsError | None = None
        self._streak = 0
        self.prove: Callable[[], object] = self.listing
        """Asks what the server answered before the run; raises `SampleError` or `InputError` when it no longer does."""
        self._alive_until = 0.0

    @property
    def address(self) -> str:
        """Where it is, for messages."""
        return self._settings.server

    def ask(
        self, path: str, body: Mapping[str, Json], read: Callable[[Any], tuple[T, int]], *, trial: bool = False
    ) -> Answered:
        """Send a request until it is answered.

        Args:
            path: under the base address, without a slash before it.
            body: what is posted.
            read: makes of the answer a value and its number of new tokens, or raises `MalformedError`.
            trial: it is no sample's: it finds out something of the server, and that it fails is an answer too.

        Raises:
            SampleError: this request is refused or has failed too often; the next may go well.
            EvalsError: the run cannot go on; every later request raises the same.
        """
        content = orjson.dumps(body)
        most = max(_TRIALS, self._settings.retries) if trial else self._settings.retries
        tries = busy = 0
        while True:
            outcome = self._try(path, content, read, trial)
            if not isinstance(outcome, _Failed):
                self._streak = 0
                return Answered(outcome[0], tries + busy)
            self._check()  # what the deadline cut short is no failure of its sample
            tries, busy = tries + (not outcome.busy), busy + outcome.busy
            if tries > most or busy > 4 * most:
                reason = f"{outcome.reason} ({tries + busy} tries)"
                if not trial:
                    self._blame(reason)
                raise SampleError(reason)
            backoff = min(30.0, self._settings.backoff * 2.0 ** (tries + busy - 1))
            self._sleep(max(outcome.wait, backoff * random.uniform(0.5, 1.0)))

    def get(self, path: str) -> Json:
        """Ask for what costs the server nothing; None where it has no such thing, or stumbles over it as some do.

        Raises:
            InputError: it cannot be reached or refuses the key.
        """
        import httpx2

        try:
            status, _, data = self._exchange("GET", path, None, min(10.0, self._settings.timeout))
        except httpx2.HTTPError as error:
            raise InputError(f"{self._settings.server} cannot be reached: {self._said(error)}") from error
        if status in _STOPPING:
            raise InputError(self._refusal(status, data))
        try:
            return orjson.loads(data) if status == 200 else None
        except orjson.JSONDecodeError:
            return None

    def _try(
        self, path: str, content: bytes, read: Callable[[Any], tuple[T, int]], trial: bool
    ) -> tuple[T, int] | _Failed:
        """Send a request once."""
        import httpx2

        self._check()
        with self._gate.pass_through(self._check) as place:
            limit = min(self._settings.timeout, max(0.001, self._end - time.monotonic()))
            began = time.perf_counter()
            try:
                status, headers, data = self._exchange("POST", path, content, limit)
            except httpx2.TimeoutException:
                place.pushed_back()
                return _Failed(f"no answer within {limit:.3g} s")
            except httpx2.HTTPError as error:
                return _Failed(f"the connection broke: {self._said(error)}")
            if status == 200:
                try:
                    value, tokens = read(_decoded(data))
                except MalformedError as error:
                    return _Failed(f"an answer that is none: {self._clean(str(error))}")
                place.answered((time.perf_counter() - began) / max(1, tokens))
                return value, tokens
            if status in _BUSY:
                place.pushed_back()
        return self._failure(status, headers, data, trial)

    def _failure(self, status: int, headers: Mapping[str, str], data: bytes, trial: bool) -> _Failed:
        """Make of a status what it means. Raises where another try would change nothing."""
        if status in _STOPPING:
            self.stop(InputError(f"{self._refusal(status, data)}; {_KEPT}"))
        message = self._message(data)
        if status in _BUSY or status >= 500:
            return _Failed(f"the server answers {status}: {message}", status in _BUSY, _patience(headers))
        if not trial:
            self._count(f"the server answers {status}: {message}")
        raise RejectedError(status, message)

    def _exchange(
        self, method: str, path: str, content: bytes | None, limit: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send and receive, within a time for the whole."""
        import httpx2

        end = time.monotonic() + limit
        parts: list[bytes] = []
        size = 0
        timeout = httpx2.Timeout(limit, connect=min(limit, 10.0))
        url = f"{self._settings.server}/{path}"
        with self._client.stream(method, url, content=content, timeout=timeout) as response:
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if time.monotonic() > end:
                    raise httpx2.ReadTimeout("the answer did not end in time")
                if size > MAX_BYTES:
                    raise httpx2.DecodingError(f"the answer has more than {MAX_BYTES >> 20} MiB")
            return response.status_code, response.headers, self._without_key(b"".join(parts))

    def _blame(self, reason: str) -> None:
        """Stop the run where a failure was not its sample's: the server does not do what it did before the run."""
        with self._lock:
            if time.monotonic() >= self._alive_until:
                try:
                    self.prove()
                except (SampleError, InputError) as error:
                    gone = f"{self._settings.server} is gone: {reason}; nor does it answer what it did before: {error}"
                    self.stop(InputError(f"{gone}; {_KEPT}"))
                self._alive_until = time.monotonic() + 5
        self._count(reason)

    def _count(self, reason: str) -> None:
        """Stop the run where nothing but failures comes."""
        with self._lock:
            self._streak += 1
            streak = self._streak
        if streak >= STREAK:
            name = self._settings.server
            self.stop(InputError(f"{name} answered none of {streak} requests in a row, at last: {reason}; {_KEPT}"))

    def listing(self) -> Json:
        """Ask for its list of models, again where it is there and silent. Raises `InputError`, as `get` does."""
        import httpx2

        for attempt in range(_TRIALS):
            try:
                return self.get("models")
            except InputError as error:
                if error.__cause__ is None or isinstance(error.__cause__, httpx2.ConnectError):
                    raise  # it refuses the key, or nobody is there
                self._stopped.wait(self._settings.backoff * 2**attempt)
        return self.get("models")

    def stop(self, reason: EvalsError) -> NoReturn:
        """End this request and all others with an error."""
        if self._reason is None:
            self._reason = reason
        self._stopped.set()
        raise self._reason

    def _check(self) -> None:
        if self._reason is not None:
            raise self._reason
        if time.monotonic() >= self._end:
            self.stop(EvalsError(f"the deadline of {self._settings.deadline:g} s has come; {_KEPT}"))

    def _sleep(self, seconds: float) -> None:
        self._stopped.wait(min(seconds, max(0.0, self._end - time.monotonic())))
        self._check()

    def _refusal(self, status: int, data: bytes) -> str:
        return f"{self._settings.server} {_STOPPING[status]} ({status}): {self._message(data)}"

    def _message(self, data: bytes) -> str:
        """The server's own words, on one line and without the key."""
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError:
            return self._clean(data.decode(errors="replace")) or "without a word"
        found: Json = body
        for name in ("error", "detail", "message", "msg"):
            if isinstance(found, dict) and name in found:
                found = found[name]
            if isinstance(found, list) and found:
                found = found[0]
        text = found if isinstance(found, str) else orjson.dumps(found).decode()
        return self._clean(text) or "without a word"

    def _said(self, error: Exception) -> str:
        return self._clean(str(error)) or type(error).__name__

    def _clean(self, text: str) -> str:
        if self._key:
            text = text.replace(self._key, "[key]")
        text = " ".join(_MASKED_KEY.sub("[key]", text).split())
        return text if len(text) <= 300 else f"{text[:299]}…"

    def _without_key(self, data: bytes) -> bytes:
        """Cut the key out of a body that repeats it; a short one ("EMPTY") is no secret and may be a word."""
        key = (self._key or "").encode()
        return data.replace(key, b"[key]") if len(key) >= 8 else data


def _decoded(data: bytes) -> Any:
    """Read a body as a JSON object. Raises `MalformedError` saying what came."""
    if not data.strip():
        raise MalformedError("an empty body")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"no JSON ({error.msg} at character {error.pos} of {len(data)})") from error
    if not isinstance(body, dict):
        raise MalformedError(f"a JSON {type(body).__name__}, expected an object")
    if body.get("error"):
        raise MalformedError(f"an error with status 200: {orjson.dumps(body['error']).decode()}")
    return body


def _patience(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks for: `Retry-After` as a number or a date, or OpenAI's `retry-after-ms`.

    Example:
        >>> _patience({"retry-after": "2"}), _patience({"retry-after-ms": "1500"}), _patience({"retry-after": "soon"})
        (2.0, 1.5, 0.0)
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            return min(_LONGEST_WAIT, max(0.0, float(text) * unit))
        except ValueError:
            continue
    try:
        then = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return 0.0
    return min(_LONGEST_WAIT, max(0.0, then.timestamp() - time.time()))
