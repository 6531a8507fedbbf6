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
BEYOND = 10
"""Number of independent requests beyond a percentile (and short of it) that its interval needs. Requests that wait for
each other count as fewer (`independent`). With fewer, the intervals of simulated queues missed the true percentile far
more often than one time in twenty, mostly because the slowest requests of a busy period had not been seen."""
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
    number, beyond = independent(replays), min(level, 1 - level)
    if number * beyond < BEYOND:
        needed = BEYOND / beyond
        longer = math.ceil(needed / number * max(map(len, replays)))
        return (
            f"these requests wait for each other and count as {number:,.0f} independent ones; an interval needs "
            f"{needed:,.0f}, so about {longer:,} requests a replay"
        )
    return None


def independent(replays: Sequence[Sequence[float]]) -> float:
    """Estimate how many independent requests show as much as the requests of some replays.

    It is their number, divided by the integrated autocorrelation time of the latencies: twice the sum of the
    autocorrelations, by Geyer's initial monotone sequence (1992, Practical Markov chain Monte Carlo, 3.3). Deviations
    count from the mean of all replays, so replays that are shorter than a long queue lasts count as few requests.

    Args:
        replays: the latencies of each replay, in the order of the arrivals; infinite for a request that failed.

    Example:
        >>> independent([[1.0, 2.0, 1.0, 2.0], [2.0, 1.0, 2.0, 1.0]])
        8.0
        >>> round(independent([[1.0] * 50 + [2.0] * 50, [2.0] * 50 + [1.0] * 50]))
        6
    """
    number, length = sum(map(len, replays)), min(map(len, replays))
    times = np.array([replay[:length] for replay in replays])
    finite = times[np.isfinite(times)]
    times = np.minimum(times, finite.max(initial=0.0))
    deviations = np.fft.rfft(times - times.mean(), 2 * length)
    covariances = np.fft.irfft((deviations * deviations.conj()).sum(axis=0), 2 * length)[:length]
    if covariances[0] <= 0:
        return float(number)
    pairs = (covariances[: length // 2 * 2] / covariances[0]).reshape(-1, 2).sum(axis=1)
    ended = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: ended[0]] if len(ended) else pairs)
    return float(number / max(1.0, 2 * pairs.sum() - 1))


def _order_statistic(values: Floats, level: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed; the usual median of times.

    Example:
        >>> _order_statistic(np.array([1.0, 2.0, 4.0, 9.0]), 0.5), _order_statistic(np.array([1.0, math.inf]), 0.5)
        (3.0, 1.0)
    """
    ordered = np.sort(values)
    value = float(ordered[max(0, math.ceil(level * len(values) - 1e-9) - 1)])
    if level == LEVELS["median"] and math.isfinite(above := float(ordered[len(values) // 2])):
        return (value + above) / 2
    return value


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
        lies below `GROWTH`, or the utilisation below 1; None if more requests or replays are needed to tell. Where the
        utilisation is known, it decides. An interval of it that reaches both sides of 1 is wide if the machine was
        busier during some replays than during others: above 1, the growth decides then.

    Example:
        >>> is_overloaded(ReplayEstimate(0.9, 0.7, 1.0), ReplayEstimate(12.0, 0.0, 29.0))
        True
        >>> is_overloaded(ReplayEstimate(0.9, 0.7, 1.0), ReplayEstimate(0.9, 0.7, 1.1)) is None
        True
    """
    is_growing = grows is not None and grows.low is not None and grows.low > GROWTH
    if load is not None and load.low is not None and load.high is not None:
        if load.low > 1 or (load.value > 1 and is_growing):
            return True
        return False if load.high < 1 else None
    if grows is None or grows.low is None or grows.high is None:
        return None
    return True if is_growing else False if grows.high < GROWTH else None
