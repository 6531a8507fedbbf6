"""A process that answers lines of JSON for programs of strangers (templates, patterns) and may be ended at any time.

The script limits its own memory and the processor time of each answer, after which the operating system ends it; what
waits for something else is ended here.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401  # its threads are joined after _EXITING is set: see below
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from evals.errors import EvalsError
from evals.schema import Json

SECONDS = 3.0
"""Processor time that one answer may take; ordinary templates take about 0.1 milliseconds."""
BYTES = 512 << 20
"""Memory that a program may use beyond the process's own."""
_WALL_SECONDS = 120.0
"""Time after which a process that does not answer is ended, whatever it waits for."""

_EXITING = threading.Event()
"""Set when the interpreter ends, for example after an interrupt; it then waits for the threads that prepare prompts."""
# The functions registered here are called in reverse order, so this one before that of concurrent.futures, which joins.
threading._register_atexit(_EXITING.set)  # type: ignore[attr-defined]


class ProcessEnded(Exception):
    """The process has ended, or was ended, before it answered."""

    def __init__(self, code: int | None, seconds: float) -> None:
        self.too_slow = code in {None, -signal.SIGPROF}
        """Whether the answer took too long."""
        reason = f"takes longer than {seconds:g} seconds" if self.too_slow else "ends the process that renders it"
        super().__init__(reason)
        self.code = code
        """The exit code; None if the process was ended because it did not answer."""


class LimitedProcess:
    """A script that answers lines of JSON on its standard streams; not safe for several threads.

    It ends with this object, or with the interpreter.
    """

    def __init__(
        self, script: Path, first: Mapping[str, Json], default: Callable[[object], Json] | None = None
    ) -> None:
        """Hold what is started.

        Args:
            script: the script; it imports nothing of this package.
            first: its first line; `seconds` is the processor time that the script allows one answer.
            default: turns what JSON lacks into a value of it, as in `json.dumps`.
        """
        self._script, self._first, self._default = script, first, default
        self._buffer = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not been ended since."""
        return self._process is not None

    def start(self) -> None:
        """Start it and send the first line; `receive` returns the answer to it, if the script gives one."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process, self._buffer = subprocess.Popen(
            [sys.executable, "-P", str(self._script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=environment,
        ), b""  # fmt: skip
        self._finalizer = weakref.finalize(self, _end, self._process)
        self._send({**self._first})

    def ask(self, value: Json) -> dict[str, Any]:
        """Send a line and return the answer.

        Raises:
            ProcessEnded: it does not answer within its limits; it is started again by `start`.
            EvalsError: the interpreter ends.
        """
        self._send(value)
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """Return the next answer. Raises as `ask` does."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor, deadline = self._process.stdout.fileno(), time.monotonic() + _WALL_SECONDS
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([descriptor], [], [], 0.25)
            received = os.read(descriptor, 1 << 20) if readable else b""
            self._buffer += received
            if _EXITING.is_set():
                self.end()
                raise EvalsError("interrupted while a template was rendered")
            if (readable and not received) or time.monotonic() > deadline:
                raise self._ended()
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End it at once."""
        assert self._finalizer is not None
        self._finalizer()
        self._process = None

    def _send(self, value: Json) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which `receive` reports
            self._process.stdin.write(json.dumps(value, default=self._default).encode() + b"\n")
            self._process.stdin.flush()

    def _ended(self) -> ProcessEnded:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):  # one that has closed its output is about to end
            self._process.wait(1)
        code = self._process.returncode
        self.end()
        return ProcessEnded(code, self._first["seconds"])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and release its pipes."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):  # unsent bytes
                pipe.close()
    process.wait()
