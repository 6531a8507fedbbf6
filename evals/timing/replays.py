"""Statistics of replays under a request rate: percentiles, and whether the server bears the rate.

Requests of one replay wait for each other, so their latencies are correlated, and an interval that treats them as
independent is too narrow. Independent replays are the units here. Each has its own arrivals and starts with an empty
queue; its first requests only fill the queue (warm-up) and its last ones keep the load up (cool-down).

The interval of a percentile is that of sectioning (Asmussen and Glynn 2007, Stochastic Simulation, III.5a): Student's t
with the deviations of the replays' percentiles from that of all requests, on a logarithmic scale. A request that failed
counts as slower than all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evals.statistics.clusters import Floats
from evals.statistics.intervals import LEVEL, t_quantile

LEVELS = {"median": 0.5, "p90": 0.9, "p99": 0.99}
"""Levels of the percentiles, by statistic."""
EPISODES = 20
"""Number of separate episodes that the slowest requests must come from for a percentile above the median to have an
interval: several slow requests of one busy period are one event. With fewer, the intervals of simulated queues missed
the true percentile far more often than one time in twenty."""
REPLAYS = 3
"""Number of replays that the interval of a percentile needs; Student's t of two is wide beyond use."""
GROWTH = 0.02
"""Share of the requests by which the queue must grow for the server to count as overloaded."""


class ReplayEstimate(NamedTuple):
    """A value with its 95 % interval over the replays."""

    value: float
    low: float | None
    high: float | None
    why: str | None = None
    """Why there is no interval."""


def percentile(level: float, replays: Sequence[Sequence[float]]) -> ReplayEstimate | None:
    """Estimate a percentile of the latency from independent replays.

    Args:
        level: the share of the requests that are faster, in (0, 1).
        replays: the latencies of each replay in seconds; infinite for a request that failed.

    Returns:
        The percentile of all requests; without an interval if there are fewer than `REPLAYS` replays, or too many
        requests of one failed. None if so many failed that the percentile is no time.

    Example:
        >>> percentile(0.5, [[1.0, 2.0, 3.0], [1.0, 2.5, 4.0], [2.0, 2.0, 9.0]]).value
        2.0
        >>> percentile(0.99, [[1.0, math.inf]]) is None
        True
    """
    value = _order_statistic(np.array([time for replay in replays for time in replay]), level)
    if not math.isfinite(value):
        return None
    filled = [replay for replay in replays if len(replay)]
    units = np.array([_order_statistic(np.array(replay), level) for replay in filled])
    count = len(units)
    if why := _no_interval(level, filled, units, value):
        return ReplayEstimate(value, None, None, why)
    deviations = np.log(units) - math.log(value)
    half = t_quantile(LEVEL, count - 1) * math.sqrt(float((deviations**2).sum()) / (count * (count - 1)))
    return ReplayEstimate(value, value * math.exp(-half), value * math.exp(half))


def _no_interval(level: float, replays: Sequence[Sequence[float]], units: Floats, value: float) -> str | None:
    """Return why a percentile has no interval; None if it has one."""
    if len(replays) < REPLAYS:
        return f"an interval needs {REPLAYS} replays, whose requests do not wait for each other: give --processes 5"
    if not np.isfinite(units).all():
        return f"more than {(1 - level) * 100:.0f} % of the requests of a replay failed"
    if value <= 0 or (units <= 0).any():
        return "some are 0"
    number = episodes(level, replays, value)
    if level > LEVELS["median"] and number < EPISODES:
        return (
            f"the slowest {(1 - level) * 100:.0f} % come from {number} separate episodes; an interval needs "
            f"{EPISODES}: give more --repetitions"
        )
    return None


def episodes(level: float, replays: Sequence[Sequence[float]], value: float) -> int:
    """Count the separate episodes in which latencies reached a percentile; below the median, an episode has ended.

    Args:
        level: the level of the percentile.
        replays: the latencies of each replay, in the order of the arrivals.
        value: the percentile.

    Example:
        >>> episodes(0.9, [[1.0, 9.0, 8.0, 9.0, 1.0, 1.0, 1.0, 9.0], [1.0, 1.0, 9.0]], 9.0)
        3
    """
    median = _order_statistic(np.array([time for replay in replays for time in replay]), LEVELS["median"])
    number = 0
    for replay in replays:
        within = False
        for time in replay:
            if time >= value:
                number, within = number + (not within), True
            elif time <= median:
                within = False
    return number


def _order_statistic(values: Floats, level: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return float(np.sort(values)[max(0, math.ceil(level * len(values) - 1e-9) - 1)])


def mean(units: Sequence[float], least: float = -math.inf, most: float = math.inf) -> ReplayEstimate:
    """Estimate a mean from one value per replay, by Student's t; without variation it has no interval.

    Args:
        units: the value of each replay.
        least: lowest value that the mean can have; the interval ends there.
        most: highest value that it can have.

    Example:
        >>> mean([1.0, 2.0, 3.0]).value
        2.0
    """
    value, count = float(np.mean(units)), len(units)
    if count < 2 or len(set(units)) < 2:
        return ReplayEstimate(value, None, None)
    half = t_quantile(LEVEL, count - 1) * float(np.std(units, ddof=1)) / math.sqrt(count)
    return ReplayEstimate(value, max(least, value - half), min(most, value + half))


def growth(arrivals: Sequence[float], ends: Sequence[float], measured: Sequence[bool] | None = None) -> float:
    """Return by how many requests the number in the system grows with each arrival: the slope of its regression.

    0 where the server keeps up; 1 - (rate that it can bear) / rate where it does not.

    Args:
        arrivals: times of the arrivals of one replay, ascending.
        ends: when these requests were answered.
        measured: which arrivals enter the regression; by default all. The others count as requests in the system.

    Example:
        >>> round(growth([0.0, 1.0, 2.0, 3.0], [0.5, 1.5, 2.5, 3.5]), 6)
        0.0
        >>> round(growth([0.0, 1.0, 2.0, 3.0], [9.0, 9.0, 9.0, 9.0]), 6)
        1.0
    """
    ended = np.searchsorted(np.sort(np.array(ends)), np.array(arrivals), side="right")
    numbers = np.arange(len(arrivals))
    kept = np.ones(len(arrivals), bool) if measured is None else np.array(measured)
    numbers, waiting = numbers[kept], (numbers - ended)[kept]
    if len(numbers) < 2:
        return 0.0
    offsets = numbers - numbers.mean()
    return float((offsets * waiting).sum() / (offsets**2).sum())


def is_overloaded(grows: ReplayEstimate | None, load: ReplayEstimate | None) -> bool | None:
    """Return whether a server cannot bear the rate.

    Args:
        grows: the growth of the queue per request, over the replays; None if it shows nothing, as that of a load trace.
        load: the utilisation of a loop that answers one request at a time; None if it is not known.

    Returns:
        True if the interval of the growth lies above `GROWTH`, or that of the utilisation above 1; False if the growth
        lies below `GROWTH`, or the utilisation below 1; None if more requests or replays are needed to tell.
    """
    if load is not None and load.low is not None and load.high is not None:
        return True if load.low > 1 else False if load.high < 1 else None
    if grows is None or grows.low is None or grows.high is None:
        return None
    return True if grows.low > GROWTH else False if grows.high < GROWTH else None
