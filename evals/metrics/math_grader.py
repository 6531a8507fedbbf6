r"""Grade mathematical answers in worker processes that can be killed.

A `Grader` decides the simple pairs in its own process (`evals.metrics.math_equivalence.decide_plainly`) and sends the
others to worker processes, one pair at a time. A worker forks for each pair, and the forked process has limits: the
kernel ends it after `seconds` of processor time (so the verdict does not depend on the load of the machine) and refuses
memory beyond `memory_bytes`. The grader kills a worker that takes `_PATIENCE` times as long by the clock, and replaces
every worker that has ended. A hostile answer thus costs about a second and gets a `Reason`; it never ends the run.

Thousands of hostile answers have a budget: where more than `MAX_LONG` pairs need algebra, each first gets
`QUICK_SECONDS`, and only the first `MAX_LONG` of those that need longer get `seconds`; the others are ``given-up``.

Verdicts depend neither on the number of workers nor on the pairs graded before: all workers use the same hash seed,
sympy's random points are seeded for each pair, and each pair is graded in a process of its own, which forks from one
that has graded nothing. Workers are started as new processes and read a pipe, so they end when their grader is killed.

Runs on Linux and macOS; the memory limit works on Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
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
from evals.metrics.math_algebra import disarm
from evals.metrics.math_equivalence import Reason, decide_plainly, decide_symbolically

AnswerPair = tuple[str, str]
"""The gold answer and the answer to grade."""

QUICK_SECONDS = 0.25
"""Processor time for a pair on the first try, where there are many pairs."""
MAX_LONG = 100
"""Pairs of one call that may take longer than `QUICK_SECONDS`."""
_START_SECONDS = 120.0
"""Wall-clock time for a worker to load math-verify, which takes about one second on an idle machine."""
_PATIENCE = 10
"""Wall-clock limit of a pair, as a multiple of its limit of processor time."""


@dataclass(frozen=True)
class Grade:
    """The verdict on one answer."""

    reason: Reason
    """The reason for the verdict."""

    @property
    def equal(self) -> bool:
        """Whether the answer was shown to equal the gold answer; False also if that could not be decided."""
        return self.reason in ("exact", "numeric", "symbolic")

    @property
    def undecided(self) -> bool:
        """Whether the comparison was given up at a limit of time, memory or size."""
        return self.reason in ("too-long", "too-complex", "timeout", "memory", "crashed", "given-up")


class Grader:
    """Grade pairs of answers; a context manager, because it may own worker processes.

    Workers start when the first pair needs them (about a second each) and run until the grader is closed.

    Args:
        workers: the maximum number of worker processes, at least 1.
        seconds: limit of processor time for one pair.
        memory_bytes: limit of address space of a worker, in addition to the 80 MB it starts with.
        max_characters: longer answers are not graded.

    Raises:
        ValueError: `workers` or `seconds` is not positive.

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
        self._max_workers = workers
        self._max_characters = max_characters
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._workers: list[_GraderProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes and wait for them; the grader can be used again later."""
        while self._workers:
            self._workers.pop().kill()

    def grade(self, pairs: Iterable[AnswerPair]) -> list[Grade]:
        """Grade pairs of (gold answer, answer to grade).

        Args:
            pairs: iterated once; equal pairs are graded once.

        Returns:
            One grade per pair, in the order of the pairs.

        Raises:
            InputError: the workers cannot start, for example because math-verify is not installed.
        """
        pairs = list(pairs)
        reasons = {pair: decide_plainly(*pair, max_characters=self._max_characters) for pair in dict.fromkeys(pairs)}
        undecided = [pair for pair, reason in reasons.items() if reason is None]
        try:
            decided = self._decide(undecided)
        except BaseException:
            self.close()  # a worker may still be grading a pair and would answer it in the next call
            raise
        return [Grade(reasons[pair] or decided[pair]) for pair in pairs]

    def _decide(self, undecided: list[AnswerPair]) -> dict[AnswerPair, Reason]:
        """Grade pairs by algebra within the budget."""
        if len(undecided) <= MAX_LONG:
            return self._ask_workers(deque(undecided), self._seconds)
        decided = self._ask_workers(deque(undecided), min(QUICK_SECONDS, self._seconds))
        long = [pair for pair in undecided if decided[pair] == "timeout"]
        decided |= dict.fromkeys(long, "given-up")
        return decided | self._ask_workers(deque(long[:MAX_LONG]), self._seconds)

    def _ask_workers(self, waiting: deque[AnswerPair], seconds: float) -> dict[AnswerPair, Reason]:
        decided: dict[AnswerPair, Reason] = {}
        while busy := sum(worker.pair is not None for worker in self._workers) + len(waiting):
            while len(self._workers) < min(self._max_workers, busy):
                self._workers.append(_GraderProcess(self._seconds, self._memory_bytes))
            for worker in self._workers:
                if worker.is_idle and waiting:
                    worker.send(waiting.popleft(), seconds)
            for worker, has_output in _wait(self._workers):
                pair, reason = worker.receive() if has_output else worker.expire()
                if worker.is_dead:
                    self._workers.remove(worker)
                if pair and worker.is_dead and reason == "crashed" and worker.pairs_sent > 1:
                    waiting.appendleft(pair)
                elif pair and reason:
                    decided[pair] = reason
        return decided


class _GraderProcess:
    """A worker process and the pair that it is grading."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        # Not multiprocessing, whose child processes import the user's main module and with it torch.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM, str(memory_bytes)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "0"},
            start_new_session=True,  # only the grader handles Ctrl-C
        )
        self._seconds = seconds
        self._is_ready = False
        self.deadline = time.monotonic() + _START_SECONDS
        self.pair: AnswerPair | None = None
        self.pairs_sent = 0

    @property
    def is_idle(self) -> bool:
        return self._is_ready and self.pair is None

    @property
    def is_dead(self) -> bool:
        return self._process.returncode is not None

    def fileno(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, pair: AnswerPair, seconds: float) -> None:
        assert self._process.stdin is not None
        self.pair = pair
        self.pairs_sent += 1
        seconds = min(seconds, self._seconds)
        self.deadline = time.monotonic() + seconds * _PATIENCE
        # JSON keeps a pair on one line, even with lone surrogates. `receive` notices a worker that has died.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([*pair, seconds]).encode() + b"\n")

    def receive(self) -> tuple[AnswerPair | None, Reason | None]:
        """Read the verdict on the current pair; no verdict if the worker has only reported that it is ready."""
        message = os.read(self.fileno(), 1024).decode().strip()
        pair, self.pair, self.deadline = self.pair, None, math.inf
        if not self._is_ready:
            if message != "ready":
                reason = message or "a worker process ended while it started"
                raise InputError(f"answers cannot be graded: {reason}")
            self._is_ready = True
            return None, None
        if not message:
            self.kill()
            return pair, "crashed"
        return pair, cast(Reason, message)

    def expire(self) -> tuple[AnswerPair | None, Reason | None]:
        """Kill a worker that has exceeded its deadline."""
        self.kill()
        if not self._is_ready:
            raise InputError(f"answers cannot be graded: a worker process did not start within {_START_SECONDS:.0f} s")
        return self.pair, "timeout"

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # with the process that it has forked
        with self._process:  # closes the pipes and waits, so that no zombie process remains
            pass


def _wait(workers: list[_GraderProcess]) -> list[tuple[_GraderProcess, bool]]:
    """Wait until a worker has output, ends or is overdue; return those workers and whether there is output to read."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker, selectors.EVENT_READ)
        patience = max(0.0, min(worker.deadline for worker in workers) - time.monotonic())
        readable = [cast(_GraderProcess, key.fileobj) for key, _ in selector.select(min(patience, 60.0))]
    now = time.monotonic()
    overdue = [worker for worker in workers if worker.deadline <= now and worker not in readable]
    return [(worker, True) for worker in readable] + [(worker, False) for worker in overdue]


_PR_SET_PDEATHSIG = 1
_PROGRAM = "from evals.metrics.math_grader import _serve; _serve()"
_WARM_UP = (("x^2-1", "(x-1)(x+1)"), ("\\{1,2\\}", "(1,2]"), ("x<\\sqrt{2}", "\\sin\\frac{\\pi}{4}"))
"""Pairs that make sympy load its lazy imports before the first graded pair."""


def _serve() -> None:
    """Run a worker: grade the pairs that arrive on standard input until it is closed."""
    # Verdicts get a channel of their own, since libraries may print to standard output.
    channel = os.dup(1)
    os.dup2(2, 1)
    memory_bytes = int(sys.argv[1])
    try:
        _prepare(memory_bytes)
    except ImportError as error:
        os.write(channel, f"{error} (pip install math-verify)\n".encode())
        return
    os.write(channel, b"ready\n")
    for line in sys.stdin.buffer:
        gold, answer, seconds = json.loads(line)
        os.write(channel, f"{_decide_in_a_fork(gold, answer, seconds)}\n".encode())


def _decide_in_a_fork(gold: str, answer: str, seconds: float) -> Reason:
    """Grade a pair in a forked process, which the kernel ends after its time."""
    read_end, write_end = os.pipe()
    process = os.fork()
    if process == 0:
        _end_with_parent()
        signal.setitimer(signal.ITIMER_PROF, seconds)
        os.write(write_end, decide_symbolically(gold, answer).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        reason = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    if reason:
        return cast(Reason, reason)
    return "timeout" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF else "crashed"


def _end_with_parent() -> None:
    """Let the kernel end this process when its parent ends; on macOS it ends at its limit of time."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prepare(memory_bytes: int) -> None:
    """Load math-verify, then set the limits of this process."""
    import math_verify  # noqa: F401

    logging.disable()
    ctypes.CDLL(None)  # before the limit of memory
    disarm()
    for pair in _WARM_UP:
        decide_symbolically(*pair)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process even during one huge multiplication
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = used + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
