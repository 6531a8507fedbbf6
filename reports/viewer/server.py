"""Serve the page and its data on this machine.

    /                the page
    /api/runs        the runs
    /api/samples     a page of samples: run, state, label, text, sort, other, flips, offset
    /api/sample      one sample: run, id, other

Only requests to the server's own address are answered, so that no web page can read runs by a name that it points here.
"""

from __future__ import annotations

import http.server
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from evals.errors import EvalsError, InputError, one_line
from evals.reports.viewer.index import PAGE, RunIndex, SampleQuery
from evals.reports.viewer.page import policy, render

ADDRESS = "127.0.0.1"


class PageServer:
    """A server of one page; `serve` answers until it is stopped."""

    def __init__(self, index: RunIndex, port: int = 0) -> None:
        """Open the port; 0 takes any that is free.

        Raises:
            InputError: the port cannot be opened.
        """
        handler = type("Handler", (_Handler,), {"index": index})
        try:
            self._server = http.server.ThreadingHTTPServer((ADDRESS, port), handler)
        except OSError as error:
            raise InputError(f"port {port} of {ADDRESS} cannot be opened: {error.strerror or error}") from error
        self._server.daemon_threads = True
        handler.port = self._server.server_port  # type: ignore[attr-defined]

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self._server.server_port}/"

    def serve(self) -> None:
        """Answer requests until `stop` is called, or the process is interrupted."""
        self._server.serve_forever()

    def stop(self) -> None:
        """End `serve`, and close the port."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request."""

    index: RunIndex
    port: int
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "evals", ""

    def do_GET(self) -> None:
        """Answer with the page or its data."""
        host, port = self.headers.get("Host", ""), self.port
        if host not in {f"{ADDRESS}:{port}", f"localhost:{port}"}:
            self._send(403, "text/plain", f"this server answers at http://{ADDRESS}:{port}/ only".encode())
            return
        path, _, query = self.path.partition("?")
        if path == "/":
            self._send(200, "text/html; charset=utf-8", render().encode())
            return
        try:
            answer = _answer(self.index, path, dict(urllib.parse.parse_qsl(query)))
        except EvalsError as error:
            self._send(400, "application/json", json.dumps({"error": one_line(error)}).encode())
            return
        if answer is None:
            self._send(404, "text/plain", b"there is nothing here")
            return
        self._send(200, "application/json", json.dumps(answer).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": policy(served=True),
            "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
        }.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Write no line for each request."""


def _answer(index: RunIndex, path: str, query: Mapping[str, str]) -> Any:
    if path == "/api/runs":
        return index.runs()
    if path == "/api/sample":
        return index.sample(_number(query, "run", 0), query.get("id", ""), _other(query))
    if path == "/api/samples":
        return index.samples(
            SampleQuery(
                run=_number(query, "run", 0),
                state=query.get("state", ""),
                label=query.get("label", ""),
                text=query.get("text", ""),
                sort=query.get("sort", "id"),
                other=_other(query),
                flips=query.get("flips") == "1",
                offset=_number(query, "offset", 0),
                count=min(PAGE, _number(query, "count", PAGE)),
            )
        )
    return None


def _other(query: Mapping[str, str]) -> int | None:
    return _number(query, "other", 0) if query.get("other") else None


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or not text.isascii() or len(text) > 12:
        raise InputError(f"{name} is {text!r}, expected a whole number")
    return int(text)
