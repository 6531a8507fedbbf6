"""Render the templates of a task file within limits; the process that does it ends when a rendering exceeds them."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from evals.errors import InputError
from evals.schema import Json

SECONDS = 3.0
"""Processor time that one row may take; ordinary templates take about 0.1 milliseconds."""
BYTES = 512 << 20
"""Memory that templates may use beyond the renderer's own."""
MAX_CHARACTERS = 4 << 20
"""Longest text that a template may write."""
_WALL_SECONDS = 120.0
"""Time after which a renderer that does not answer is ended, whatever it waits for."""


class RowRenderer:
    """Templates, expressions and patterns by name, in a process that starts at the first use; safe for threads."""

    def __init__(
        self, where: str, templates: Mapping[str, str], expressions: Mapping[str, str], patterns: Mapping[str, str]
    ) -> None:
        """Hold what is rendered.

        Args:
            where: the task file, for messages.
            templates: Jinja templates, which become text.
            expressions: Jinja expressions, which become values.
            patterns: regular expressions.
        """
        self._where = where
        self._start = {
            "templates": dict(templates), "expressions": dict(expressions), "patterns": dict(patterns),
            "seconds": SECONDS, "bytes": BYTES, "characters": MAX_CHARACTERS,
        }  # fmt: skip
        self._lock = threading.Lock()
        self._buffer = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None

    def render(self, names: Sequence[str], values: Mapping[str, Any], place: str) -> dict[str, Json]:
        """Render some templates and expressions with the values of a row.

        Args:
            names: which ones.
            values: variables; `row` is all of them.
            place: the row, for messages.

        Raises:
            InputError: one of them is malformed, uses what the row does not have, or exceeds the limits.
        """
        answer = self._asked({"names": list(names), "values": values}, place)
        if "error" in answer:
            hint = f"; the variables are {', '.join(map(str, values))}" if "undefined" in answer["error"] else ""
            raise InputError(f"{self._where}: {answer['name']} fails for {place}: {answer['error']}{hint}")
        results: dict[str, Json] = answer["results"]
        return results

    def matches(self, name: str, text: str) -> list[str] | None:
        """Return what a pattern matches in a text, in order; None if it exceeds the limits."""
        try:
            answer = self._asked({"pattern": name, "text": text}, "an output")
        except InputError:
            if self._process is None:
                return None
            raise
        listed: list[str] = answer["results"]
        return listed

    def _asked(self, request: Json, place: str) -> dict[str, Any]:
        with self._lock:
            if self._process is None:
                self._launch()
                compiled = self._receive("its templates")
                if "error" in compiled:
                    self._end()
                    raise InputError(f"{self._where}: {compiled['name']} is malformed: {compiled['error']}")
            self._send(request)
            answer = self._receive(place)
        if "exceeded" in answer:
            limit = f"needs more than {BYTES >> 20} MiB"
            if answer["exceeded"] == "characters":
                limit = f"writes over {MAX_CHARACTERS:,} characters"
            raise InputError(f"{self._where}: {answer['name']} {limit} for {place}")
        return answer

    def _launch(self) -> None:
        script = Path(__file__).with_name("worker.py")
        process = subprocess.Popen(
            [sys.executable, "-P", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._process, self._buffer = process, b""
        self._finalizer = weakref.finalize(self, _end, process)
        self._send(self._start)

    def _send(self, value: Json) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which `_receive` reports
            self._process.stdin.write(json.dumps(value, default=_plain).encode() + b"\n")
            self._process.stdin.flush()

    def _receive(self, place: str) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor, deadline = self._process.stdout.fileno(), time.monotonic() + _WALL_SECONDS
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([descriptor], [], [], 0.25)
            received = os.read(descriptor, 1 << 20) if readable else b""
            self._buffer += received
            if (readable and not received) or time.monotonic() > deadline:
                raise self._failed(place)
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failed(self, place: str) -> InputError:
        """End the process and return the reason; the next use starts another process."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):  # one that has closed its output is about to end
            self._process.wait(1)
        code = self._process.returncode
        self._end()
        if code in {None, -signal.SIGPROF}:
            return InputError(f"{self._where}: a template takes longer than {SECONDS:g} seconds for {place}")
        return InputError(f"{self._where}: a template ends the process that renders it for {place} (exit code {code})")

    def _end(self) -> None:
        assert self._finalizer is not None
        self._finalizer()
        self._process = None


def _plain(value: object) -> Json:
    """Turn what JSON lacks into a value of it; an image or audio is no value of a template."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a renderer and release its pipes."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):  # unsent bytes
                pipe.close()
    process.wait()
