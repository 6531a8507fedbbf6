"""Requirements: limits on quality, latency, memory and price, and whether a measured value keeps one.

A limit is kept if the whole 95 % interval is on its side, and violated if the whole interval is beyond it. An interval
that covers the limit shows neither. The peak of the memory is the largest value that occurred: it has no interval, and
decides by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evals.errors import InputError, UnknownName
from evals.reports.choices.amounts import ANSWERS, Money
from evals.reports.rendering.formatting import amount, interval
from evals.schema import Metric
from evals.statistics.decisions import against_bound

Standing = Literal["kept", "violated", "not shown", "not measured"]
LATENCY, MEMORY, PRICE = "latency", "memory", "price"
COSTS = (PRICE, LATENCY, MEMORY)
"""What a candidate costs; lower is better."""
_DECISIONS: Mapping[str, Standing] = {"supported": "kept", "refuted": "violated", "inconclusive": "not shown"}


@dataclass(frozen=True)
class Criteria:
    """What a user asks for."""

    tasks: tuple[str, ...]
    """The tasks on whose headline metrics quality is measured."""
    minimums: Mapping[str, float]
    """By task: the least value of its headline, in printed units (percent)."""
    memory: float | None = None
    """Most bytes at the peak."""
    latency: float | None = None
    """Most seconds of a whole answer, the median."""
    price: Money | None = None
    """Highest price of `ANSWERS` answers."""
    hourly: Money | None = None
    """The price of the device for an hour, for models that run on one."""

    def __post_init__(self) -> None:
        """Raise `UnknownName` for a minimum of a task that does not count."""
        for task in self.minimums:
            if task not in self.tasks:
                raise UnknownName("task of this selection", task, self.tasks)


@dataclass(frozen=True)
class Requirement:
    """A limit."""

    name: str
    """A task, or one of `COSTS`."""
    limit: float
    """In the unit of the metric."""
    unit: str
    least: bool
    """Whether it is a lower limit."""
    metric: str
    """What is limited, for readers: `vqa accuracy`."""

    @property
    def text(self) -> str:
        """The requirement in words.

        Example:
            >>> Requirement("latency", 0.1, "seconds", False, "latency").text
            'latency at most 100 ms'
        """
        side = "at least" if self.least else "at most"
        return f"{self.metric} {side} {printed(self.limit, self.unit)}"

    def standing(self, value: Metric | None) -> Standing:
        """Decide whether a measured value keeps the limit.

        Example:
            >>> limit = Requirement("latency", 0.1, "seconds", False, "latency")
            >>> limit.standing(Metric(0.08, 0.07, 0.09, 30, "seconds")), limit.standing(None)
            ('kept', 'not measured')
            >>> limit.standing(Metric(0.09, 0.08, 0.11, 30, "seconds"))
            'not shown'
        """
        if value is None:
            return "not measured"
        low, high = (value.value, value.value) if self.name == MEMORY else (value.low, value.high)
        return _DECISIONS[against_bound(low, high, self.limit, least=self.least)]

    def distance(self, value: Metric) -> float:
        """Return how many times a value is beyond the limit; at most 1 if it keeps it.

        Example:
            >>> limit = Requirement("latency", 0.1, "seconds", False, "latency")
            >>> limit.distance(Metric(0.25, None, None, 9, "seconds"))
            2.5
        """
        top, bottom = (self.limit, value.value) if self.least else (value.value, self.limit)
        return top / bottom if bottom > 0 else math.inf


def requirements(criteria: Criteria, headlines: Mapping[str, tuple[str, Metric]]) -> list[Requirement]:
    """Return the limits of some criteria.

    Args:
        criteria: what is asked for.
        headlines: by task, the name of its headline metric and a value of it.

    Raises:
        InputError: a minimum is outside the range of its metric.
    """
    limits = [
        _minimum(task, criteria.minimums[task], *headlines[task])
        for task in criteria.tasks
        if task in criteria.minimums and task in headlines
    ]
    if criteria.latency is not None:
        limits.append(Requirement(LATENCY, criteria.latency, "seconds", False, LATENCY))
    if criteria.memory is not None:
        limits.append(Requirement(MEMORY, criteria.memory, "bytes", False, "peak memory"))
    if criteria.price is not None:
        of = f"price of {ANSWERS:,} answers"
        limits.append(Requirement(PRICE, criteria.price.amount, criteria.price.currency, False, of))
    return limits


def check_minimum(task: str, limit: float, headline: str, unit: str) -> None:
    """Refuse a minimum that no value of a headline has, before anything is run.

    Args:
        task: the name of the task.
        limit: what was given, in percent or, of a correlation, as it is printed.
        headline: the name of the metric.
        unit: its unit, as in `evals.schema.Metric`.

    Raises:
        InputError: the minimum is outside the range of the metric.

    Example:
        >>> check_minimum("glue/cola", 0.4, "matthews", "coefficient")
        >>> check_minimum("glue/cola", 40, "matthews", "coefficient")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: --min glue/cola=40: matthews lies between -1 and 1; give it as it is printed
    """
    _minimum(task, limit, headline, Metric(0.0, None, None, 1, unit))


def printed(value: float, unit: str) -> str:
    """Print a value in its unit; sizes in decimal units, as model cards print them.

    Example:
        >>> printed(4e9, "bytes"), printed(0.8, "fraction"), printed(0.0123, "EUR")
        ('4 GB', '80.0 %', '0.0123 EUR')
    """
    if unit != "bytes":
        return amount(value, unit)
    step = min(max(int(math.log10(value) // 3), 0), 4) if value >= 1 else 0
    return f"{value / 1000**step:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[step]}"


def measured(value: Metric | None) -> str:
    """Print a measured value with its interval.

    Example:
        >>> measured(Metric(0.783, 0.756, 0.809, 1000)), measured(Metric(4e9, None, None, 3, "bytes")), measured(None)
        ('78.3 % (75.6 to 80.9 %)', '4 GB', 'not measured')
    """
    if value is None:
        return "not measured"
    if value.unit == "bytes":  # the largest value that occurred
        return printed(value.value, value.unit)
    spread = "no interval" if value.low is None else interval(value)
    return f"{printed(value.value, value.unit)} ({spread})"


def _minimum(task: str, limit: float, name: str, value: Metric) -> Requirement:
    """Return the lower limit of a headline. Raises `InputError` if no value of it could reach the limit, or all do."""
    if value.higher_is_better is False:
        raise InputError(f"--min {task}={limit:g}: lower values of {name} are better, so it has no minimum")
    scale, low, high = {"fraction": (100.0, 0.0, 100.0), "coefficient": (1.0, -1.0, 1.0)}.get(
        value.unit, (1.0, -math.inf, math.inf)
    )
    if not low <= limit <= high:
        unit = "in percent" if value.unit == "fraction" else "as it is printed"
        raise InputError(f"--min {task}={limit:g}: {name} lies between {low:g} and {high:g}; give it {unit}")
    if value.unit == "fraction" and 0 < limit < 1:
        raise InputError(
            f"--min {task}={limit:g}: {name} is given in percent; write {100 * limit:g} for a share of {limit:g}"
        )
    return Requirement(task, limit / scale, value.unit, True, f"{task} {name}")
