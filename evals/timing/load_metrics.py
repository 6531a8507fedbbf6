"""The metrics of a run under a request rate, from the scores of its requests.

The times of one request are values of its score (`evals.tasks.request_rate`); the cluster of a score is its replay.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from evals.errors import EvalsError
from evals.schema import Metric, Score
from evals.timing import replays
from evals.timing.arrivals import ENDED_EARLY, MEASURED, PHASE

BURSTS = "a load trace ends, so its queue does not show which rate the system bears: read the times"
"""Note of the queue's growth under a load trace."""
RELAXATIONS = 20
"""Requests of a replay that an interval needs, times the square of 1 - utilisation: a queue forgets its start within
about 4 / (1 - utilisation)^2 requests."""
STATISTICS = {"": "median", "/p90": "p90", "/p99": "p99"}
TIMES = ("latency", "time-to-first-token", "waiting", "send-delay")


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the metrics that `evals.tasks.request_rate` lists.

    Raises:
        EvalsError: every measured request failed.
    """
    measured = [score for score in scores if score.labels[PHASE] == MEASURED]
    if all(score.failed for score in measured):
        raise EvalsError("every measured request failed: there is nothing to time; `samples.jsonl` says why")
    groups = _by_replay(scores)
    grows = _grows(groups)
    rate = float(measured[0].answer["rate"])
    load = _utilisation(groups, rate)
    is_trace = len(measured) == len(scores)
    overloaded = replays.is_overloaded(None if is_trace else grows, load)
    no_interval = None if is_trace else _no_steady_state(groups, load, overloaded)
    metrics: dict[str, Metric] = {}
    for name in TIMES:
        metrics |= _times(name, groups, no_interval)
    failed = replays.mean([_share_failed(group) for group in groups], 0, 1)
    if "latency" not in metrics:
        raise EvalsError(f"{failed.value:.0%} of the measured requests failed, so the latency has no median")
    note = BURSTS if is_trace and not overloaded else verdict(overloaded, rate)
    metrics["queue-growth"] = _metric(grows, len(measured), "fraction", note=note)
    if load is not None:
        metrics["utilisation"] = _metric(load, len(measured), "fraction")
    metrics |= _rates(groups, rate, len(measured))
    lost = [f"latency{tail}" for tail in STATISTICS if f"latency{tail}" not in metrics]
    note = (
        f"so many failed that {' and '.join(lost)} would be the time of a request without an answer" if lost else None
    )
    metrics["failed-requests"] = _metric(failed, len(measured), "fraction", note=note)
    return metrics | _others(groups) | _by_experts(groups)


Groups = Sequence[Sequence[Score]]
"""The requests of each replay, in the order of their arrival."""


def _by_replay(scores: Sequence[Score]) -> Groups:
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(score.cluster, []).append(score)
    return [sorted(group, key=lambda score: (score.answer["arrival"], int(score.id.partition("/")[2])))
            for group in groups.values()]  # fmt: skip


def verdict(overloaded: bool | None, rate: float) -> str | None:
    """Say that the server does not bear the rate, or that the requests do not show it; None if it bears it."""
    if overloaded is None:
        return f"these requests do not show whether the system bears {rate:g} requests per second: give more"
    if not overloaded:
        return None
    return f"the system cannot bear {rate:g} requests per second: the queue grows, and the times with it"


def _measured(group: Sequence[Score]) -> list[Score]:
    return [score for score in group if score.labels[PHASE] == MEASURED]


def _grows(groups: Groups) -> replays.ReplayEstimate:
    """Estimate the growth of the queue. Replays that agree exactly (at even arrivals no request waits) agree on it."""
    spread = replays.mean([_growth(group) for group in groups], most=1)
    if spread.low is None and len(groups) > 1:
        return replays.ReplayEstimate(spread.value, spread.value, spread.value)
    return spread


def _growth(group: Sequence[Score]) -> float:
    return replays.growth(
        [score.answer["arrival"] for score in group],
        [score.answer["end"] for score in group],
        [score.labels[PHASE] == MEASURED for score in group],
    )


def _utilisation(groups: Groups, rate: float) -> replays.ReplayEstimate | None:
    """Return the utilisation of a loop that answers one request at a time; None for batches and for servers."""
    values = [score.values for group in groups for score in _measured(group) if not score.failed]
    if any(of_request.get("batch-size") != 1 for of_request in values):
        return None
    times = [[s.values["service"] for s in _measured(group) if "service" in s.values] for group in groups]
    return replays.mean([rate * _mean(of_replay) for of_replay in times if of_replay], 0)


def _no_steady_state(groups: Groups, load: replays.ReplayEstimate | None, overloaded: bool | None) -> str | None:
    """Return why times have no interval, empty if the overload says it; None if the system is in a steady state.

    A long queue takes long to fill and to empty, so replays can be too short for their load.
    """
    if overloaded:
        return ""
    if overloaded is None:
        return "it is not shown that the system bears the rate"
    if load is None:
        return None
    needed = math.ceil(RELAXATIONS / max(1 - load.value, 1e-3) ** 2)
    shortest = min(len(_measured(group)) for group in groups)
    if shortest >= needed:
        return None
    return f"at a utilisation of {load.value:.0%} replays of {shortest:,} requests are too short: {needed:,} are needed"


def _times(name: str, groups: Groups, no_interval: str | None) -> dict[str, Metric]:
    """Compute the median and the tails of a time, if any request has it; without intervals for a reason."""
    times = [[math.inf if s.failed else s.values[name] for s in _measured(group) if s.failed or name in s.values]
             for group in groups]  # fmt: skip
    if not any(math.isfinite(time) for replay in times for time in replay):
        return {}
    metrics = {}
    for tail, statistic in STATISTICS.items():
        spread = replays.percentile(replays.LEVELS[statistic], times)
        if spread is not None:
            number = sum(len(replay) for replay in times)
            if no_interval is not None:
                spread = replays.ReplayEstimate(spread.value, None, None, no_interval)
            metrics[name + tail] = _metric(spread, number, "seconds", statistic, note=spread.why or None)
    return metrics


def _rates(groups: Groups, rate: float, number: int) -> dict[str, Metric]:
    """Compute what was answered while requests arrived, and what was asked for."""
    answered, tokens = [], []
    for group in groups:
        arrivals = [score.answer["arrival"] for score in _measured(group)]
        first, last = arrivals[0], arrivals[-1]
        within = [score for score in group if first < score.answer["end"] <= last and not score.failed]
        if last > first:
            answered.append(len(within) / (last - first))
            tokens.append(sum(score.answer["new tokens"] for score in within) / (last - first))
    metrics = {"request-rate/asked": Metric(rate, None, None, number, "requests/s")}
    if answered:
        metrics["request-rate"] = _metric(replays.mean(answered, 0), number, "requests/s", higher=True)
        metrics["throughput"] = _metric(replays.mean(tokens, 0), number, "tokens/s", higher=True)
    return metrics


def _others(groups: Groups) -> dict[str, Metric]:
    """Compute the plain means and medians over the requests."""
    metrics = {}
    for name, unit in {"batch-size": "count", "active-experts": "count", "accuracy": "fraction"}.items():
        units = [[score.values[name] for score in group if name in score.values] for group in groups]
        if any(units):
            most = 1 if name == "accuracy" else math.inf
            spread = replays.mean([_mean(unit) for unit in units if unit], 0, most)
            metrics[name] = _metric(spread, sum(map(len, units)), unit, higher=name == "accuracy")
    answered = [score.values for group in groups for score in group if "new-tokens" in score.values]
    early = sum(values.get(ENDED_EARLY, 0) > 0 for values in answered)
    for name in ("prompt-tokens", "new-tokens"):
        median = statistics.median(values[name] for values in answered)
        note = f"{early:,} of {len(answered):,} answers ended early, so their times are those of shorter answers"
        metrics[name] = Metric(
            median, None, None, len(answered), "count", note=note if early and name == "new-tokens" else None,
            higher_is_better=False, statistic="median",
        )  # fmt: skip
    return metrics


def _by_experts(groups: Groups) -> dict[str, Metric]:
    """Compute the latency, the time of service and the accuracy for each number of active experts."""
    levels = sorted({score.values["active-experts"] for group in groups for score in group
                     if "active-experts" in score.values})  # fmt: skip
    metrics: dict[str, Metric] = {}
    for level in levels:
        chosen = [[s for s in group if s.values.get("active-experts") == level] for group in groups]
        number = sum(map(len, chosen))
        for name in ("latency", "service", "accuracy"):
            units = [[score.values[name] for score in group if name in score.values] for group in chosen]
            if any(units):
                unit_name, better, most = ("fraction", True, 1) if name == "accuracy" else ("seconds", False, math.inf)
                spread = replays.mean([_mean(unit) for unit in units if unit], 0, most)
                metrics[f"experts-{level:g}/{name}"] = _metric(spread, number, unit_name, higher=better)
        share = Metric(number, None, None, number, "count", higher_is_better=False, statistic="total")
        metrics[f"experts-{level:g}/requests"] = share
    return metrics


def _metric(
    spread: replays.ReplayEstimate, number: int, unit: str, statistic: str = "mean", *, higher: bool = False,
    note: str | None = None,
) -> Metric:  # fmt: skip
    return Metric(
        spread.value, spread.low, spread.high, number, unit, note=note, higher_is_better=higher, statistic=statistic
    )


def _share_failed(group: Sequence[Score]) -> float:
    return _mean([float(score.failed) for score in _measured(group)])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
