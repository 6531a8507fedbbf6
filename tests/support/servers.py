"""An OpenAI-compatible server for tests: one thread, loopback only, with faults on demand."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def prompt(self) -> str:
        """The text of the last message, or the prompt."""
        if "messages" not in self.body:
            return str(self.body.get("prompt", self.body.get("input")))
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    body: Any = b""
    """Bytes, or what becomes JSON."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    """The connection ends after so many bytes of the body; -1 is before the first byte of the head."""
    pause: float = 0.0
    """Seconds between the lines of the body, which are sent one by one."""


def chat(text: str | None, *, model: str = "m", ended: str = "stop", usage: Any = None, **message: Any) -> Reply:
    """A chat completion."""
    counted = usage or {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    choice = {"index": 0, "finish_reason": ended, "message": {"role": "assistant", "content": text, **message}}
    return Reply({"id": "c", "object": "chat.completion", "model": model, "choices": [choice], "usage": counted})


def streamed(*texts: str, usage: Any = None, ended: str | None = "stop", pause: float = 0.0) -> Reply:
    """A chat completion as server-sent events, one for each text."""
    events: list[Any] = [{"model": "m", "choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    events.append({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": ended}]})
    if usage is not None:
        events.append({"model": "m", "choices": [], "usage": usage})
    lines = [f"data: {json.dumps(event)}\n".encode() for event in events]
    return Reply(b"".join([*lines, b"data: [DONE]\n"]), pause=pause)


def error(status: int, message: str, **headers: str) -> Reply:
    return Reply({"error": {"message": message, "type": "x", "code": status}}, status, headers)


LISTING = Reply({"object": "list", "data": [{"id": "m", "object": "model"}]})


class FakeServer:
    """A server that answers as a function says; a context manager that starts and stops it."""

    def __init__(self, respond: Callable[[Call], Reply], listing: Reply = LISTING) -> None:
        self.listing = listing
        self.calls: list[Call] = []
        self.at_once = 0
        """The most requests that were open at one moment."""
        self._respond = respond
        self._open = 0
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FakeServer:
        ready = threading.Event()
        self._loop.call_soon(ready.set)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread.start()
        ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def asked(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path.endswith(path)]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _stop(self) -> None:
        """End all connections; one that is being made ends after it was, since cancelling it would leave its socket."""
        self._server.close()
        while tasks := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            for task in self._serving:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._serving.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        call = Call(method, path, headers, json.loads(data) if data else None)
        self.calls.append(call)
        self._open += 1
        self.at_once = max(self.at_once, self._open)
        try:
            reply = self.listing if path.split("?")[0].endswith("/models") and method == "GET" else self._respond(call)
            await asyncio.sleep(reply.delay)
        finally:
            self._open -= 1
        return await self._send(writer, reply)

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.cut == -1:
            return False
        head = f"HTTP/1.1 {reply.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in reply.headers.items())
        lines = body[: reply.cut].splitlines(keepends=True) if reply.pause else [body[: reply.cut]]
        writer.write(head.encode() + b"\r\n" + b"".join(lines[:1]))
        for line in lines[1:]:
            await asyncio.sleep(reply.pause)
            writer.write(line)
        await writer.drain()
        return reply.cut is None


class Faulty:
    """Answers `number N` with N + 1, and misbehaves by N: each kind of fault at its own N modulo 20.

    What is passing happens at the first tries only; what is lasting happens every time.
    """

    LASTING = (7, 9, 11)
    """N modulo 20 of those that can never be answered."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()

    def __call__(self, call: Call) -> Reply:
        found = re.search(r"number (\d+)", call.prompt)
        if not call.path.endswith("/chat/completions"):
            return error(404, "no such path")
        if not found:
            return chat("yes")
        number = int(found[1])
        self.seen[number] += 1
        return self.fault(number, self.seen[number]) or chat(str(number + 1))

    def fault(self, number: int, attempt: int) -> Reply | None:
        good = chat(str(number + 1))
        lasting = {
            7: error(404, "The model `n` does not exist."),
            9: error(500, "out of luck"),
            11: Reply(good.body, cut=20),
        }
        passing = {
            0: error(429, "slow down", Retry_After="0.02"),
            1: error(429, "slow down"),
            2: error(500, "once"),
            3: Reply(b'{"choices": [{"mess'),
            4: Reply(b""),
            5: Reply(b'{"choices": []}'),
            6: Reply(b"[1, 2]"),
            8: Reply(good.body, cut=-1),
            10: chat("0", model="another"),
            12: Reply(good.body, delay=4.0 if number < 60 else 0.0),
            13: error(503, "loading"),
            14: Reply(b"<html>gateway</html>"),
        }
        kind = number % 20
        if kind in {0, 1, 13} and number > 400:
            return None  # each makes the client more careful, and the test longer
        return lasting.get(kind) or (passing.get(kind) if attempt == 1 else None)
