r"""Grading of mathematical answers in processes that can be killed.

A `Grader` decides what it can by exact arithmetic in its own process (`evals.metrics.math_equivalence.decide_plainly`)
and hands the
rest to worker processes, one pair at a time each. A worker limits itself: the kernel ends it after `seconds` of its own
processor time on a pair, so that a busy machine makes no verdict worse, and refuses it memory past `memory_bytes`. The
grader replaces a worker that ends, and after `_PATIENCE` times as long by the clock kills it. So a hostile answer costs
about a second and a `Reason`, never the run.

Verdicts depend neither on the number of workers nor on what was graded before: workers share a hash seed, sympy's
random points are seeded for each pair, and a pair that broke a used worker is graded again until a new one has tried.
Workers are plain processes that read a pipe: nothing is forked, and one whose grader was killed ends with the pipe.

Linux and macOS; the limit of memory holds on Linux only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

from evals.errors import InputError
from evals.metrics.math_equivalence import Reason, decide_plainly, decide_symbolically, disarm

AnswerPair = tuple[str, str]
"""The gold answer, and the answer to grade."""

_START_SECONDS = 120.0
"""Time by the clock that a worker has to load math-verify, which takes about one second on an idle machine."""
_PATIENCE = 10
"""Seconds by the clock that a pair may take for each second of processor time that it may take."""


@dataclass(frozen=True)
class Grade:
    """The verdict on one answer."""

    reason: Reason
    """What decided."""

    @property
    def equal(self) -> bool:
        """Whether the answer was shown to equal the gold answer; false where that could not be found out."""
        return self.reason in ("exact", "numeric", "symbolic")


class Grader:
    """Grade pairs of answers; a context manager, since it may hold processes.

    Workers start when the first pair needs one (about a second each) and stay until the grader closes.

    Args:
        workers: the most processes to use.
        seconds: processor time that one pair may take.
        memory_bytes: address space that a worker may take besides the 80 MB it starts with.
        max_characters: longer answers are refused.

    Example:
        >>> with Grader() as grader:
        ...     grades = grader.grade([("18", "$18.00"), ("70000", "70,000"), ("3/4", "0.7"), ("18", "9" * 5000)])
        >>> [(grade.equal, grade.reason) for grade in grades]
        [(True, 'numeric'), (True, 'numeric'), (False, 'different'), (False, 'too-long')]
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        seconds: float = 1.0,
        memory_bytes: int = 256 * 2**20,
        max_characters: int = 1_000,
    ) -> None:
        if workers < 1 or seconds <= 0:
            raise ValueError(f"a grader needs workers and time, got workers={workers}, seconds={seconds}")
        self._most_workers = workers
        self._max_characters = max_characters
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes and wait for them; the grader can be used again afterwards."""
        while self._workers:
            self._workers.pop().kill()

    def grade(self, pairs: Iterable[AnswerPair]) -> list[Grade]:
        """Grade pairs of (gold answer, answer to grade).

        Args:
            pairs: read once; equal pairs are graded once.

        Returns:
            A grade for each pair, in their order.

        Raises:
            InputError: workers cannot start, because math-verify is missing.
        """
        pairs = list(pairs)
        reasons = {pair: decide_plainly(*pair, max_characters=self._max_characters) for pair in dict.fromkeys(pairs)}
        undecided = deque(pair for pair, reason in reasons.items() if reason is None)
        try:
            decided = self._ask_workers(undecided)
        except BaseException:
            self.close()  # a worker may still hold a pair, and would answer it to the next call
            raise
        return [Grade(reasons[pair] or decided[pair]) for pair in pairs]

    def _ask_workers(self, waiting: deque[AnswerPair]) -> dict[AnswerPair, Reason]:
        decided: dict[AnswerPair, Reason] = {}
        while busy := sum(worker.pair is not None for worker in self._workers) + len(waiting):
            while len(self._workers) < min(self._most_workers, busy):
                self._workers.append(_Worker(self._seconds, self._memory_bytes))
            for worker in self._workers:
                if worker.is_idle and waiting:
                    worker.send(waiting.popleft())
            for worker, has_spoken in _wait(self._workers):
                pair, reason = worker.receive() if has_spoken else worker.expire()
                if worker.is_dead:
                    self._workers.remove(worker)
                if pair and reason in ("memory", "crashed") and worker.served > 1:
                    waiting.appendleft(pair)
                elif pair and reason:
                    decided[pair] = reason
        return decided


class _Worker:
    """One process, and the pair that it holds."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        # Not multiprocessing: its children import the user's main module, and with it torch.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM, str(seconds), str(memory_bytes)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "0"},
            start_new_session=True,  # Ctrl-C is the grader's to handle
        )
        self._patience = seconds * _PATIENCE
        self._is_ready = False
        self.deadline = time.monotonic() + _START_SECONDS
        self.pair: AnswerPair | None = None
        self.served = 0

    @property
    def is_idle(self) -> bool:
        return self._is_ready and self.pair is None

    @property
    def is_dead(self) -> bool:
        return self._process.returncode is not None

    def fileno(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, pair: AnswerPair) -> None:
        assert self._process.stdin is not None
        self.pair = pair
        self.served += 1
        self.deadline = time.monotonic() + self._patience
        # JSON keeps a pair on one line, lone surrogates included. A worker that died meanwhile is found on reading.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(pair).encode() + b"\n")

    def receive(self) -> tuple[AnswerPair | None, Reason | None]:
        """Read the verdict on the pair that the worker holds; no verdict when it has only become ready."""
        word = os.read(self.fileno(), 1024).decode().strip()
        pair, self.pair, self.deadline = self.pair, None, math.inf
        if not self._is_ready:
            if word != "ready":
                raise InputError(f"answers cannot be graded: {word or 'a worker process ended while it started'}")
            self._is_ready = True
            return None, None
        if not word or word == "memory":  # what is left of its memory would decide about the next pair
            self.kill()
        if not word:
            return pair, "timeout" if self._process.returncode == -signal.SIGPROF else "crashed"
        return pair, cast(Reason, word)

    def expire(self) -> tuple[AnswerPair | None, Reason | None]:
        """End a worker that has kept silent for too long."""
        self.kill()
        if not self._is_ready:
            raise InputError(f"answers cannot be graded: a worker process did not start within {_START_SECONDS:.0f} s")
        return self.pair, "timeout"

    def kill(self) -> None:
        self._process.kill()
        with self._process:  # closes the pipes and waits, so that no zombie is left
            pass


def _wait(workers: list[_Worker]) -> list[tuple[_Worker, bool]]:
    """Wait until a worker speaks, ends or is overdue; return those, and whether there is something to read."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker, selectors.EVENT_READ)
        patience = max(0.0, min(worker.deadline for worker in workers) - time.monotonic())
        spoken = [cast(_Worker, key.fileobj) for key, _ in selector.select(min(patience, 60.0))]
    now = time.monotonic()
    overdue = [worker for worker in workers if worker.deadline <= now and worker not in spoken]
    return [(worker, True) for worker in spoken] + [(worker, False) for worker in overdue]


_PROGRAM = "from evals.metrics.math_grader import _serve; _serve()"
_WARM_UP = (("x^2-1", "(x-1)(x+1)"), ("\\{1,2\\}", "(1,2]"), ("x<\\sqrt{2}", "\\sin\\frac{\\pi}{4}"))
"""Pairs that load what sympy imports late, so that no graded pair pays for it."""


def _serve() -> None:
    """Grade the pairs that arrive on standard input until it closes: the whole life of a worker."""
    # Whatever a library prints must not look like a verdict.
    channel = os.dup(1)
    os.dup2(2, 1)
    seconds, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    try:
        _prepare(memory_bytes)
    except ImportError as error:
        os.write(channel, f"{error} (pip install math-verify)\n".encode())
        return
    os.write(channel, b"ready\n")
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        reason = decide_symbolically(*json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(channel, f"{reason}\n".encode())


def _prepare(memory_bytes: int) -> None:
    """Load math-verify, then limit this process."""
    import math_verify  # noqa: F401

    logging.disable()
    disarm()
    for pair in _WARM_UP:
        decide_symbolically(*pair)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # end, also in the middle of one huge multiplication
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = used + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
