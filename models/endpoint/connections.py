"""The connections to a server: several clients, each with one connection that one request at a time uses.

One client with all connections would look at each of them for every request, under a lock that all threads share; with
dozens of threads that costs more than the request itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evals.models.endpoint import time_limit

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
        time_limit.limit_exchanges(client)
        with self._lock:
            self._clients.append(client)
        return client
