"""A server that drops, trickles, sends garbage, is overloaded, closes in mid-chunk, repeats the key, and redirects.

A seed decides which requests meet which faults. What it answers in the end is always the same, so that a run behind its
faults must record what a run behind the healthy server records.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import struct
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tests.soak.processes import KEY
from tests.support.key_forms import key_forms
from tests.support.servers import Call, FakeServer, Reply, chat, error

CONCURRENCY = 8
SECONDS = 10.0
"""The client's time limit of a request; what is sent later than half of it may have come too late on a busy machine."""
ATTEMPTS_WITH_FAULTS = 3
_SLOW = ("silence", "trickling head", "trickling body")
_ESCAPED = "".join(f"\\u{ord(character):04x}" for character in KEY)
KEY_FORMS = {
    **{name: json.dumps(form)[1:-1] for name, form in key_forms(KEY).items()},
    "escaped slashes": KEY.replace("/", "\\/"),
    "escaped by JSON": _ESCAPED,
    "partly escaped by JSON": KEY.replace("o", "\\u006f"),
}
"""How a server may write the key within a JSON string."""


def traces() -> list[str]:
    """Return the texts that give the key away: in every form, and the base64 digits that it determines anywhere."""
    inner = [base64.b64encode(b"x" * before + KEY.encode()).decode().rstrip("=")[4:-4] for before in range(3)]
    return [*(KEY_FORMS[name] for name in KEY_FORMS if name != "base64 of the header"), *inner]


@dataclass(frozen=True)
class Raw(Reply):
    """Bytes that are sent as they are, in pieces."""

    pieces: tuple[bytes, ...] = ()
    pause: float = 0.0
    """Seconds before each piece but the first."""
    reset: bool = False
    """Whether the connection is reset at the end and not closed."""


class Faults:
    """Decides, by a seed, how each request is answered; answers all when it is healthy."""

    def __init__(self) -> None:
        self.repair()

    def repair(self) -> None:
        """Answer everything from now on."""
        self._random: Random | None = None
        self._lasting: dict[int, str] = {}
        self._attempts: Counter[int] = Counter()
        self._slow = self._stopping = 0
        self.sent: Counter[str] = Counter()

    def damage(self, random: Random, numbers: int) -> None:
        """Misbehave from now on: each request at its first attempts, and a few always."""
        self.repair()
        self._random, self._share = random, random.choice([0.1, 0.3, 0.6])
        always = random.sample(range(numbers), random.choice([0, 0, 2, 4]))
        self._lasting = {number: random.choice(sorted(_REJECTIONS)) for number in always}
        self._slow, self._stopping = random.choice([0, 1, 3]), random.choice([0, 0, 1, 2])

    def __call__(self, call: Call) -> Reply:
        number = number_of(call)
        if not call.path.endswith("/chat/completions"):
            return error(404, f"no such path for {KEY}", x_key=KEY)
        if number is None:
            return self._trial()
        if number in self._lasting:
            self.sent[self._lasting[number]] += 1
            return _REJECTIONS[self._lasting[number]]()
        self._attempts[number] += 1
        if self._random is not None and self._attempts[number] <= ATTEMPTS_WITH_FAULTS:
            name = self._fault()
            if name is not None:
                self.sent[name] += 1
                return _FAULTS[name](answer(number))
        return answer(number)

    def _fault(self) -> str | None:
        assert self._random is not None
        if self._random.random() >= self._share:
            return None
        name = self._random.choice(sorted(_FAULTS))
        if name in _SLOW:
            self._slow -= 1
            return name if self._slow >= 0 else None
        if name in _STOPPING:
            self._stopping -= 1
            return name if self._stopping >= 0 else None
        return name

    def _trial(self) -> Reply:
        """Answer a request before the run; its first attempt may fail too."""
        if self._random is not None and self._random.random() < 0.2:
            self.sent["trial"] += 1
            return self._random.choice([error(500, "once"), error(429, "slow down"), Reply(b"{")])
        return chat("yes")


def number_of(call: Call) -> int | None:
    """Return the number of the sample that a request asks for; None for the requests before the run."""
    asked = re.search(r"number (\d+)", call.prompt) if call.body else None
    return int(asked[1]) if asked else None


def answer(number: int) -> Reply:
    """Return the right answer; many repeat the key, in a form each."""
    forms = list(KEY_FORMS.values())
    if number % 3:
        return chat(str(number % 7))
    if number % 2:
        parts = [{"type": "text", "text": KEY[:5]}, {"type": "text", "text": KEY[5:]}]
        return Reply(json.dumps(chat(None, content=parts, reasoning_content=KEY).body).encode())
    body = json.dumps(chat("it is FORM, so 3", reasoning_content="FORM").body)
    return Reply(body.replace("FORM", forms[number // 6 % len(forms)]).encode())


def _raw(*pieces: bytes, **more) -> Raw:
    return Raw(pieces=pieces, **more)


def _head(good: Reply, *lines: str) -> bytes:
    return ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + "".join(f"{line}\r\n" for line in lines)).encode()


def _body(good: Reply) -> bytes:
    return good.body if isinstance(good.body, bytes) else json.dumps(good.body).encode()


def _chunks(good: Reply) -> Reply:
    body = _body(good)
    return _raw(_head(good, "Transfer-Encoding: chunked"), f"\r\n{len(body):x}\r\n".encode() + body[: len(body) // 2])


def _trickle(start: bytes) -> Reply:
    return _raw(start, *[b"x"] * 200, pause=0.3)


_FAULTS: dict[str, Callable[[Reply], Reply]] = {
    "429": lambda good: error(429, f"slow down, {KEY}"),
    "429 with Retry-After": lambda good: error(429, "slow down", Retry_After="0.05"),
    "500": lambda good: Reply(f'{{"error": "{_ESCAPED}"}}'.encode(), 500, {"X-Key": KEY}),
    "503": lambda good: error(503, urllib.parse.quote(KEY, safe="")),
    "dropped": lambda good: replace(good, cut=-1),
    "cut": lambda good: replace(good, cut=20),
    "closed in mid-chunk": _chunks,
    "reset": lambda good: _raw(_head(good, "Content-Length: 500") + b"\r\n{", reset=True),
    "garbage": lambda good: _raw(bytes(range(256)) * 4),
    "bad length": lambda good: _raw(_head(good, "Content-Length: -5") + b"\r\n{}"),
    "bad compression": lambda good: Reply(_body(good), headers={"Content-Encoding": "gzip"}),
    "broken JSON": lambda good: Reply(f'{{"choices": "{_ESCAPED}'.encode()),
    "empty": lambda good: Reply(b""),
    "no choices": lambda good: Reply(b'{"choices": []}'),
    "list": lambda good: Reply(b"[1, 2]"),
    "page": lambda good: Reply(f"<html>{KEY} {_ESCAPED} {'x' * 50_000}</html>".encode(), 502),
    "another model": lambda good: chat("0", model=f"m-{KEY}"),
    "error with status 200": lambda good: Reply(json.dumps({"error": {"message": f"no, {KEY}"}}).encode()),
    "deep": lambda good: Reply(b'{"choices": ' + b"[" * 100_000),
    "not UTF-8": lambda good: Reply(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    "silence": lambda good: replace(good, delay=5 * SECONDS),
    "trickling head": lambda good: _trickle(b"HTTP/1.1 200 OK\r\nX-Slow: "),
    "trickling body": lambda good: _trickle(_head(good, "Content-Length: 500") + b"\r\n{"),
    "redirect": lambda good: Reply(b"", 302, {"Location": f"https://elsewhere.example/v1?k={KEY}"}),
    "401": lambda good: error(401, f"Incorrect API key provided: {KEY}"),
}
"""What passes: a request meets it at its first attempts."""
_STOPPING = ("redirect", "401")
_REJECTIONS: dict[str, Callable[[], Reply]] = {
    "400": lambda: error(400, f"bad request of {KEY}", x_request=KEY),
    "404": lambda: error(404, "The model `n` does not exist."),
    "422": lambda: Reply(json.dumps({"detail": [{"input": KEY, "msg": _ESCAPED}]}).encode(), 422),
}
"""What lasts: the sample fails with the server's reason, and is not asked again."""


class FaultyServer(FakeServer):
    """The server; it counts the answers that it has sent completely."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.answered: Counter[int] = Counter()
        """By sample, how often a complete answer or rejection was sent."""
        self.asked_twice = 0
        """Requests for a sample whose answer had been sent already."""
        super().__init__(self._respond_and_count)

    def forget(self) -> None:
        """Start to count again."""
        self.answered.clear()
        self.calls.clear()
        self.asked_twice = 0

    def _respond_and_count(self, call: Call) -> Reply:
        number = number_of(call) if call.path.endswith("/chat/completions") else None
        if number is not None and self.answered[number]:
            self.asked_twice += 1
        reply = self.faults(call)
        final = number is not None and not isinstance(reply, Raw) and reply == answer(number)
        if final or reply.status in {400, 404, 422}:
            return _Counted(**vars(reply), number=number, asked_at=time.monotonic())
        return reply

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        if isinstance(reply, Raw):
            return await self._send_raw(writer, reply)
        kept = await super()._send(writer, reply)
        in_time = isinstance(reply, _Counted) and time.monotonic() - reply.asked_at < SECONDS / 2
        if in_time and reply.number is not None:
            self.answered[reply.number] += 1
        return kept

    async def _send_raw(self, writer: asyncio.StreamWriter, reply: Raw) -> bool:
        for number, piece in enumerate(reply.pieces):
            if number:
                await asyncio.sleep(reply.pause)
            writer.write(piece)
            await writer.drain()
        if reply.reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return False


@dataclass(frozen=True)
class _Counted(Reply):
    """An answer that is final."""

    number: int | None = None
    asked_at: float = 0.0
