"""What workers give and cost: answers per second, the seconds that are left, and a worker's share of the seconds."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from evals.execution.loop import AnsweredRequest
from evals.execution.workers.messages import Computed

_SPAN = 30.0
"""Seconds over which a rate is measured."""
_LISTED = 4
"""Number of machines that are listed one by one."""


class Rates:
    """Counts answers by machine.

    Example:
        >>> now = iter([0.0, 10.0, 20.0])
        >>> rates = Rates({0: "a", 1: "b", 2: "b"}.__getitem__, clock=lambda: next(now))
        >>> rates.add(0, 100)
        >>> rates.add(1, 50)
        >>> rates.text([0, 1, 2])
        '2 nodes: a 5.0/s, b 2.5/s'
    """

    def __init__(self, machine: Callable[[int], str], clock: Callable[[], float] = time.monotonic) -> None:
        """Count nothing yet.

        Args:
            machine: names the machine of a worker; empty names are not shown.
            clock: seconds.
        """
        self._machine = machine
        self._clock = clock
        self._counts: deque[tuple[float, str, int]] = deque()
        self._began: float | None = None

    def add(self, worker: int, answers: int) -> None:
        """Count the answers of a worker."""
        now = self._clock()
        self._began = now if self._began is None else self._began
        self._counts.append((now, self._machine(worker), answers))
        while self._counts[0][0] < now - _SPAN:
            self._counts.popleft()

    def text(self, workers: Sequence[int]) -> str:
        """Return the rates of the machines of some workers; empty if machines have no names."""
        machines = sorted({self._machine(worker) for worker in workers} - {""})
        if not machines or self._began is None:
            return ""
        now = self._clock()
        seconds = max(min(_SPAN, now - self._began), 1e-9)
        totals = Counter(dict.fromkeys(machines, 0))
        for moment, machine, answers in self._counts:
            if moment >= now - _SPAN and machine in totals:
                totals[machine] += answers
        count = f"{len(machines)} node{'s' if len(machines) > 1 else ''}"
        if len(machines) <= _LISTED:
            return f"{count}: " + ", ".join(f"{name} {totals[name] / seconds:.1f}/s" for name in machines)
        slowest = min(machines, key=lambda name: (totals[name], name))
        total = totals.total() / seconds
        return f"{count}: {total:.1f}/s, slowest {slowest} {totals[slowest] / seconds:.1f}/s"


@dataclass
class PeakMemory:
    """The highest peak of all workers."""

    device_bytes: int | None = None
    """Of the workers' devices; None if none counts."""
    process_bytes: int = 0
    """Of the workers' processes."""

    def add(self, message: Computed) -> None:
        """Note what a worker has reported."""
        self.process_bytes = max(self.process_bytes, message.process_memory_bytes)
        if message.peak_memory_bytes is not None:
            self.device_bytes = max(self.device_bytes or 0, message.peak_memory_bytes)


@dataclass
class Progress:
    """How many samples of a run are finished.

    Example:
        >>> now = iter([0.0, 10.0])
        >>> progress = Progress(samples=100, before=20, clock=lambda: next(now))
        >>> progress.finished = 40
        >>> progress.seconds_left()
        30.0
    """

    samples: int
    """Number of samples of the run."""
    before: int
    """Number of them that were on disk when the run began."""
    clock: Callable[[], float] = time.monotonic
    finished: int = 0
    """Number of samples that are on disk now."""
    began: float = field(init=False)

    def __post_init__(self) -> None:
        """Note the time."""
        self.began = self.clock()

    def seconds_left(self) -> float:
        """Estimate the seconds until the last sample, at the rate so far; infinite while there is none."""
        computed = self.finished - self.before
        if computed <= 0:
            return math.inf
        return (self.clock() - self.began) / computed * (self.samples - self.finished)


def shared_cost(message: Computed, workers: int) -> Computed:
    """Divide the seconds of a worker's answers by the number of workers that compute at the same time."""
    if workers < 2:
        return message
    answers = [
        AnsweredRequest(index, prediction, seconds / workers, model_seconds / workers, model_input)
        for index, prediction, seconds, model_seconds, model_input in message.answers
    ]
    return replace(message, answers=answers)
