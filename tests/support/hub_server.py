"""A hub of data sets on this machine: the two kinds of requests that the hub's library makes for files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from huggingface_hub import constants


class HubServer:
    """Repositories by name, each a mapping from file names to contents; `revision` moves when they change."""

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        self.repositories = repositories
        self.requests: list[str] = []
        self.url = ""

    def revision(self, name: str) -> str:
        texts = [f"{path}\0".encode() + content for path, content in sorted(self.repositories[name].items())]
        return hashlib.sha1(b"\0".join(texts)).hexdigest()

    def reply(self, path: str) -> tuple[int, bytes, Mapping[str, str]]:
        self.requests.append(path)
        parts = unquote(path.partition("?")[0]).strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            name = "/".join(parts[2:4])
            if name not in self.repositories:
                return 404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"}
            siblings = [{"rfilename": file, "size": len(data)} for file, data in self.repositories[name].items()]
            return 200, json.dumps({"id": name, "sha": self.revision(name), "siblings": siblings}).encode(), {}
        name, file = "/".join(parts[1:3]), "/".join(parts[5:])
        content = self.repositories[name][file]
        return 200, content, {"X-Repo-Commit": parts[4], "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}


@contextmanager
def serving(repositories: dict[str, dict[str, bytes]], monkeypatch, folder) -> Iterator[HubServer]:
    """Serve repositories, with the caches of the hub's library and of the suite in a folder."""
    hub = HubServer(repositories)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, headers = hub.reply(self.path)
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("EVALS_CACHE", str(folder / "evals"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(constants, name, str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
