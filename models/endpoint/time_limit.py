"""A time limit for a whole exchange with a server, headers included.

The HTTP client limits each read from the network; a server that sends a byte now and then would never exceed that. Here
each read and write may take what remains of the time of the exchange. An exchange runs on one thread, so the end of its
time belongs to the thread.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

_thread = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit all network operations of this thread in the block to a number of seconds together."""
    _thread.end = time.monotonic() + seconds
    try:
        yield
    finally:
        _thread.end = None


def limit_exchanges(client: httpx2.Client) -> None:
    """Make a client respect `within`, through the network backend of its connection pools."""
    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            pool: Any = transport._pool  # type: ignore[attr-defined]  # the client has no argument for a backend
            pool._network_backend = _Backend(pool._network_backend)


class _Backend:
    """A network backend whose streams respect `within`."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> _Stream:
        return _Stream(self._backend.connect_tcp(host, port, _remaining(timeout), local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream:
    """A network stream that respects `within`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._stream.read(max_bytes, _remaining(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _remaining(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _remaining(timeout: float | None) -> float | None:
    """Return the smaller of a timeout and the remaining time. Raises the client's `ReadTimeout` if none remains."""
    import httpcore2

    end = getattr(_thread, "end", None)
    if end is None:
        return timeout
    remaining = float(end - time.monotonic())
    if remaining <= 0:
        raise httpcore2.ReadTimeout("the answer did not end in time")
    return remaining if timeout is None else min(timeout, remaining)
