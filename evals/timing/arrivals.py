"""When requests arrive under a request rate: as a Poisson process, in constant intervals, or as a load trace says.

poisson    independent gaps with an exponential distribution, drawn from a seed: what many independent users send
constant   one request every 1/rate seconds
FILE       a load trace: a CSV file with the times of the requests in seconds, in its column `time` or its only column;
           without a header in the first column

Arrivals do not depend on the answers (an open loop): a slow server does not slow down what it is asked.
"""

from __future__ import annotations

import csv
import hashlib
import math
import random
from dataclasses import dataclass
from pathlib import Path

from evals.errors import InputError, one_line, shorten
from evals.schema import Json, Options

PHASE = "phase"
"""Label of the samples under a request rate: `warm-up`, `measured` or `cool-down`."""
MEASURED = "measured"
ENDED_EARLY = "ended-early"
"""Value of a request: 1 if its answer has fewer tokens than it asked for."""

PROCESSES = ("poisson", "constant")
"""The ways of drawing arrivals; any other text names a load trace."""
COLUMN = "time"
"""Column of a load trace that holds the times, if it has a header with several columns."""
FASTEST = 100_000
"""Highest request rate, in requests per second."""
MOST = 1_000_000
"""Maximum number of requests of a load trace."""
LONGEST = 86_400.0
"""Maximum duration of a replay, in seconds: a rate that is slower by mistake would run for weeks without a word."""


@dataclass(frozen=True)
class Load:
    """The requests of a run under a request rate."""

    rate: float
    """Requests per second, on average."""
    arrivals: str
    """A name of `PROCESSES`, or the file name of a load trace."""
    seed: int
    batch: int = 1
    """Maximum number of waiting requests that a local model answers together."""
    trace: tuple[float, ...] | None = None
    """The times of a load trace in seconds, stretched to the rate; None if arrivals are drawn."""

    @classmethod
    def of(cls, options: Options) -> Load | None:
        """Read the load from the options of a run, and its trace from the disk; None if the options name no load.

        Raises:
            InputError: the options do not fit together, or the trace cannot be read.
        """
        rate, process = options.rate, options.arrivals
        if rate is None and process is None:
            if options.batch is not None:
                raise InputError(f"--batch {options.batch} is for requests that arrive by themselves: give --rate too")
            return None
        if rate is not None and not (math.isfinite(rate) and 0 < rate <= FASTEST):
            raise InputError(f"--rate {rate:g}: give requests per second, more than 0 and at most {FASTEST:,}")
        batch = options.batch or 1
        if process in {None, *PROCESSES}:
            if rate is None:
                raise InputError(f"--arrivals {process} draws arrivals at a rate: give --rate too")
            return cls(rate, process or PROCESSES[0], options.seed, batch)
        path = Path(str(process)).expanduser()
        times = read_trace(path)
        times = times if rate is None else stretched(times, rate)
        mean = mean_rate(times)
        if mean is None:
            raise InputError(f"--arrivals {path}: all requests arrive at once, so they have no rate")
        return cls(rate or mean, path.name, options.seed, batch, tuple(times))

    def times(self, replay: str, requests: int) -> list[float]:
        """Return when the requests of a replay arrive, in seconds after its start."""
        if self.trace is not None:
            return list(self.trace)
        return schedule(self.arrivals, self.rate, requests, f"{self.seed}/{replay}")

    def check_duration(self, requests: int) -> None:
        """Raise `InputError` if a replay of a number of requests would take longer than `LONGEST` on average."""
        seconds = self.trace[-1] if self.trace is not None else requests / self.rate
        if seconds > LONGEST:
            raise InputError(
                f"a replay of {requests:,} requests at {self.rate:g} per second takes {seconds / 3600:,.0f} hours, "
                f"allowed are {LONGEST / 3600:g}: give a higher --rate or fewer --repetitions"
            )

    @property
    def facts(self) -> dict[str, Json]:
        """What determines the arrivals, for the manifest."""
        facts: dict[str, Json] = {"rate": self.rate, "arrivals": self.arrivals, "batch": self.batch}
        if self.trace is not None:
            facts["trace"] = hashlib.sha256(repr(self.trace).encode()).hexdigest()
        return facts


def schedule(process: str, rate: float, requests: int, seed: str) -> list[float]:
    """Return the times at which requests arrive.

    Args:
        process: a name of `PROCESSES`.
        rate: requests per second, on average.
        requests: number of requests.
        seed: determines the random gaps of `poisson`.

    Returns:
        Seconds after the start, in ascending order.

    Example:
        >>> schedule("constant", 4.0, 3, "")
        [0.25, 0.5, 0.75]
        >>> round(schedule("poisson", 4.0, 40_000, "7")[-1] / 40_000, 2)
        0.25
    """
    if process == "constant":
        return [number / rate for number in range(1, requests + 1)]
    rng, time, times = random.Random(f"arrivals {seed}"), 0.0, []
    for _ in range(requests):
        time += rng.expovariate(rate)
        times.append(time)
    return times


def read_trace(path: Path) -> list[float]:
    """Read a load trace; its first request arrives at 0.

    Raises:
        InputError: there is no such file, it has no request, its header names no times, or a time is no number or is
            before the one above it.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
            rows = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"--arrivals {path} cannot be read: {one_line(error)}; expected poisson, constant or CSV"
        ) from error
    column = 0
    if rows and not _is_number(rows[0][1][0]):
        header = [name.strip().lower() for name in rows.pop(0)[1]]
        if COLUMN not in header and len(header) > 1:
            raise InputError(f"--arrivals {path}: none of its columns {shorten(', '.join(header))} is named {COLUMN}")
        column = header.index(COLUMN) if COLUMN in header else 0
    if not 0 < len(rows) <= MOST:
        raise InputError(f"--arrivals {path} has {len(rows):,} requests, expected 1 to {MOST:,}, each on a line")
    times: list[float] = []
    for number, row in rows:
        text = row[column].strip() if column < len(row) else ""
        time = float(text) if _is_number(text) else math.nan
        if not math.isfinite(time) or (times and time < times[-1]):
            raise InputError(
                f"--arrivals {path}, line {number}: {shorten(text)} is no time in seconds, not before the line above"
            )
        times.append(time)
    return [time - times[0] for time in times]


def stretched(times: list[float], rate: float) -> list[float]:
    """Stretch a trace in time, so that its requests arrive at a mean rate.

    Raises:
        InputError: all requests arrive at the same time, so they have no rate.

    Example:
        >>> stretched([0.0, 1.0, 4.0], 4.0)
        [0.0, 0.125, 0.5]
    """
    if times[-1] == 0:
        raise InputError("all requests of the load trace arrive at once, so they have no rate: leave --rate out")
    factor = (len(times) - 1) / rate / times[-1]
    return [time * factor for time in times]


def mean_rate(times: list[float]) -> float | None:
    """Return the mean rate of some arrivals in requests per second; None if they all arrive at once.

    Example:
        >>> mean_rate([0.0, 1.0, 4.0])
        0.5
    """
    span = times[-1] - times[0]
    return (len(times) - 1) / span if span > 0 else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
