"""The connections to a server: several clients, each with one connection that one request at a time uses.

One client with all connections would look at each of them for every request, under a lock that all threads share; with
dozens of threads that costs more than the request itself.

An exchange has a time limit as a whole, headers included (`within`). The HTTP client limits each read from the network;
a server that sends a byte now and then would never exceed that. Here each read and write may take what remains of the
time of the exchange. An exchange runs on one thread, so the end of its time belongs to the thread.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2


class Connections:
    """Clients that are made as they are needed; safe for several threads."""

    def __init__(self, headers: Mapping[str, str], params: Mapping[str, str] | None, *, trust_env: bool) -> None:
        """Connect to nothing yet.

        Args:
            headers: sent with every request.
            params: query parameters of every request.
            trust_env: whether proxies and certificates may come from the environment.
        """
        import httpx2

        self._headers, self._params, self._trust_env = headers, params, trust_env
        self._certificates = httpx2.create_ssl_context(trust_env=trust_env)  # reading them takes 20 ms or more
        self._idle: deque[httpx2.Client] = deque()
        self._clients: list[httpx2.Client] = []
        self._lock = threading.Lock()

    @contextmanager
    def client(self) -> Iterator[httpx2.Client]:
        """Lend a client to one request: the one that was used last, since its connection is the freshest."""
        try:
            client = self._idle.pop()
        except IndexError:
            client = self._make()
        try:
            yield client
        finally:
            self._idle.append(client)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for client in self._clients:
                client.close()

    def _make(self) -> httpx2.Client:
        import httpx2

        client = httpx2.Client(
            headers=dict(self._headers), params=self._params, trust_env=self._trust_env, verify=self._certificates,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=1),
        )  # fmt: skip
        _limit_exchanges(client)
        with self._lock:
            self._clients.append(client)
        return client


_thread = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit all network operations of this thread in the block to a number of seconds together."""
    _thread.end = time.monotonic() + seconds
    try:
        yield
    finally:
        _thread.end = None


def _limit_exchanges(client: httpx2.Client) -> None:
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
