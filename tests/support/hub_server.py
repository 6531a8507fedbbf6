"""A hub on this machine: what the hub's library requests for files of data sets and models, and for a commit."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
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
        self.models: dict[str, dict[str, bytes]] = {}
        """Model repositories by name."""
        self.leaderboards: dict[str, list[float]] = {}
        """Values of the leaderboards of data sets."""
        self.commits: list[dict] = []
        """Header of every commit, with the query of its address."""
        self.fails: dict[str, int | str] = {}
        """Status with which requests are answered whose path has a word; `cut` closes the connection instead."""

    def revision(self, name: str) -> str:
        files = self.repositories[name] if name in self.repositories else self.models[name]
        texts = [f"{path}\0".encode() + content for path, content in sorted(files.items())]
        return hashlib.sha1(b"\0".join(texts)).hexdigest()

    def reply(self, path: str) -> tuple[int, bytes, Mapping[str, str]]:
        self.requests.append(path)
        parts = unquote(path.partition("?")[0]).strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            name = "/".join(parts[2:4])
            if name not in self.repositories:
                return 404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"}
            if parts[4:] == ["leaderboard"]:
                return self.leaderboard(name)
            siblings = [{"rfilename": file, "size": len(data)} for file, data in self.repositories[name].items()]
            return 200, json.dumps({"id": name, "sha": self.revision(name), "siblings": siblings}).encode(), {}
        if parts[:2] == ["api", "models"]:
            name = "/".join(parts[2:4])
            if name not in self.models:
                return 401, b'{"error": "Invalid username or password."}', {}
            siblings = [{"rfilename": file} for file in self.models[name]]
            return 200, json.dumps({"id": name, "sha": self.revision(name), "siblings": siblings}).encode(), {}
        files, parts = (self.repositories, parts[1:]) if parts[0] == "datasets" else (self.models, parts)
        name, file = "/".join(parts[:2]), "/".join(parts[4:])
        content = files.get(name, {}).get(file)
        if content is None:
            return 404, b"", {"X-Error-Code": "EntryNotFound" if name in files else "RepoNotFound"}
        return 200, content, {"X-Repo-Commit": parts[3], "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}

    def leaderboard(self, name: str) -> tuple[int, bytes, Mapping[str, str]]:
        if name not in self.leaderboards:
            return 404, b'{"error": "no leaderboard"}', {}
        author = {"type": "org", "name": "org", "fullname": "Org", "avatarUrl": ""}
        entries = [
            {"rank": rank, "modelId": "a/b", "value": value, "filename": "x.yaml", "verified": False, "author": author}
            for rank, value in enumerate(self.leaderboards[name], start=1)
        ]
        return 200, json.dumps(entries).encode(), {}

    def posted(self, path: str, body: bytes) -> tuple[int, bytes, Mapping[str, str]]:
        """Answer what precedes a commit, and make the commit if its parent is the present state."""
        self.requests.append(path)
        parts = unquote(path.partition("?")[0]).strip("/").split("/")
        if parts[1] == "validate-yaml":
            return 200, b'{"errors": [], "warnings": []}', {}
        name = "/".join(parts[2:4])
        if parts[4] == "preupload":
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for file in json.loads(body)["files"]]  # fmt: skip
            return 200, json.dumps({"files": files}).encode(), {}
        header, *files = [json.loads(line) for line in body.splitlines()]
        if header["value"].get("parentCommit") not in {None, self.revision(name)}:
            return 412, b'{"error": "the branch has moved"}', {}
        self.commits.append({**header["value"], "query": path.partition("?")[2]})
        for file in files:
            self.models[name][file["value"]["path"]] = base64.b64decode(file["value"]["content"])
        answer = {"commitOid": self.revision(name), "commitUrl": f"{self.url}/{name}/commit/1", "hookOutput": ""}
        if "create_pr=1" in path:
            answer["pullRequestUrl"] = f"{self.url}/{name}/discussions/1"
        return 200, json.dumps(answer).encode(), {}

    def failure(self, path: str) -> int | str | None:
        return next((status for word, status in self.fails.items() if word in path), None)


@contextmanager
def serving(repositories: dict[str, dict[str, bytes]], monkeypatch, folder) -> Iterator[HubServer]:
    """Serve repositories, with the caches of the hub's library and of the suite in a folder."""
    hub = HubServer(repositories)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(lambda: hub.reply(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(lambda: hub.posted(self.path, body))

        def answer(self, make: Callable[[], tuple[int, bytes, Mapping[str, str]]]) -> None:
            failure = hub.failure(self.path)
            if isinstance(failure, str):
                if failure == "cut afterwards":
                    make()
                self.close_connection = True
                return
            status, body, headers = make() if failure is None else (failure, b'{"error": "no"}', {})
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
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
