"""Efficiency under a request rate (`--task efficiency --rate R`): latencies that include the queue.

Requests arrive by themselves (`evals.timing.arrivals`), whether or not the earlier ones are answered. A sample is one
request of one replay, for example `3/17`. Replays are independent: 5 by default, of 200 measured requests each, at full
scale of 500 (`--processes`, `--repetitions`). The first requests of a replay fill the queue (warm-up) and the last ones
keep the load up (cool-down): a fifth of the measured number each, at least 10. They are recorded and not measured. A
load trace is replayed as it is, and all of its requests are measured.

    latency, /p90, /p99      seconds from the arrival to the last token: the median and two tails
    time-to-first-token, …   seconds from the arrival to the first token, of servers that stream
    waiting, …               seconds from the arrival until a local model's loop began with the request
    send-delay, …            seconds by which requests to a server were sent late: the client's own delay
    request-rate             answers per second while requests arrived; request-rate/asked is the rate asked for
    queue-growth             share of the requests by which the queue grows; about 0 if the server bears the rate
    utilisation              share of the time in which a loop that answers one request at a time is busy
    throughput               new tokens per second while requests arrived
    batch-size               requests that a local model answered together, on average
    failed-requests          share of the requests that failed; they count as slower than all others
    prompt-tokens, new-tokens   medians
    accuracy                 share of right answers, for the split `questions`
    active-experts           experts per token of a model whose number follows the queue; with `experts-N/latency`, …

The 95 % intervals rest on the replays, never on requests as if they were independent (`evals.timing.replays`).

Splits: `short` (default), `long` and `caption` as without a rate, `all` mixes them, and `questions` asks rows of the
bundled GLUE whose answers are scored. No two prompts are equal, so a server cannot answer from its cache.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from evals.errors import EvalsError, InputError
from evals.schema import ChatSettings, Generate, Json, Metric, Options, Part, Prediction, Sample, Samples, Score
from evals.timing.arrivals import Load

if TYPE_CHECKING:
    from evals.timing import replays

PHASE = "phase"
"""Label of the samples under a request rate: `warm-up`, `measured` or `cool-down`."""
MEASURED = "measured"
QUESTIONS = "questions"
REPLAYS = 5
REQUESTS = {"mini": 200, "full": 500}
EDGE_SHARE, EDGE_LEAST = 0.2, 10
"""Requests of warm-up, and of cool-down, as a share of the measured ones, and at least."""
RELAXATIONS = 20
"""Requests of a replay that an interval needs, times the square of 1 - utilisation: a queue forgets its start within
about 4 / (1 - utilisation)^2 requests."""
QUESTION_TASKS = ("cola", "mrpc", "qqp", "mnli", "qnli", "rte")
QUESTION_TOKENS = 4
STATISTICS = {"": "median", "/p90": "p90", "/p99": "p99"}
TIMES = ("latency", "time-to-first-token", "waiting", "send-delay")


def samples(
    options: Options, load: Load, new_tokens: Mapping[str, int], parts: Mapping[str, Sequence[Part]]
) -> Samples:
    """Make the requests of all replays.

    Args:
        options: the options of the run.
        load: the arrivals.
        new_tokens: the number of new tokens of each kind of request of the split.
        parts: the prompt of each kind; a number is added to its text, so that no two are equal.

    Raises:
        InputError: `--repetitions` was given with a load trace, which states its number of requests itself.
    """
    replays = options.processes or REPLAYS
    measured = options.repetitions or REQUESTS[options.scale]
    edge = max(EDGE_LEAST, math.ceil(EDGE_SHARE * measured))
    if load.trace is not None:
        if options.repetitions is not None:
            raise InputError(f"--repetitions {options.repetitions}: the load trace states the number of requests")
        measured, edge = len(load.trace), 0
    number = measured + 2 * edge
    ids = [f"{replay}/{request}" for replay in range(replays) for request in range(number)]

    def build(index: int) -> Sample:
        replay, request = ids[index].split("/")
        phase = "warm-up" if int(request) < edge else MEASURED if int(request) < edge + measured else "cool-down"
        kind = random.Random(f"{options.seed}/{ids[index]}").choice([*new_tokens])
        length = new_tokens[kind]
        content, target = _question(index) if kind == QUESTIONS else (_numbered(parts[kind], index), None)
        chat = ChatSettings(template=options.chat_template)
        asked = Generate(ids[index], content, length, min_new_tokens=length, chat=chat)
        return Sample(ids[index], requests=(asked,), target=target, cluster=replay, labels={"kind": kind, PHASE: phase})

    facts: dict[str, Json] = {
        "source": "bundled", "split": options.split or "short", "processes": replays, "repetitions": measured,
        "edge": edge, "new_tokens": dict(new_tokens), **load.facts,
    }  # fmt: skip
    return Samples(ids, build, facts)


def _numbered(parts: Sequence[Part], index: int) -> tuple[Part, ...]:
    """Put the number of a request at the start of its text, so that it shares no beginning with the others."""
    *media, text = parts
    return (*media, f"{index}: {text}")


def _question(index: int) -> tuple[tuple[Part, ...], str]:
    """Return a row of the bundled GLUE as a prompt, and its answer."""
    from evals.tasks.glue_tasks import continuation, prompt
    from evals.tasks.mini.glue import TABLE, row

    task = QUESTION_TASKS[index % len(QUESTION_TASKS)]
    columns = row(task, "validation asked at a rate", index // len(QUESTION_TASKS))
    texts = {column: str(columns[column]) for column in TABLE[task].columns}
    return (prompt(task, texts),), continuation(task, float(columns["label"])).strip()


# Scores


def score(sample: Sample, prediction: Prediction) -> Score:
    """Read the times of a request.

    Raises:
        InputError: the output is no request of a replay.
    """
    timing = prediction.output
    if not isinstance(timing, Mapping) or "arrival" not in timing:
        raise InputError(f"the output for id {sample.id} is no request of a replay: it cannot be scored under a rate")
    answer = {name: timing[name] for name in ("arrival", "end", "rate", "new tokens")}
    failed = timing.get("failure") is not None
    measured = sample.labels[PHASE] == MEASURED and not failed
    values = dict(_values(sample, timing)) if measured else {}
    return Score.of(sample, answer=answer, values=values, failed=failed)


def _values(sample: Sample, timing: Mapping[str, Json]) -> Iterator[tuple[str, float]]:
    arrival = timing["arrival"]
    yield "latency", timing["end"] - arrival
    if timing["first"] is not None:
        yield "time-to-first-token", timing["first"] - arrival
    yield ("send-delay" if timing["sent"] else "waiting"), timing["start"] - arrival
    yield "service", timing["end"] - timing["start"]
    yield "prompt-tokens", timing["prompt tokens"]
    yield "new-tokens", timing["new tokens"]
    if not timing["sent"]:
        yield "batch-size", timing["together"]
    if timing.get("experts") is not None:
        yield "active-experts", timing["experts"]
    if sample.target is not None:
        words = re.findall(r"[a-z0-9]+", str(timing["text"]).lower())
        yield "accuracy", float(words[:1] == [str(sample.target).lower()])


# Metrics


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the metrics that the module's docstring lists.

    Raises:
        EvalsError: every measured request failed.
    """
    from evals.timing import replays

    measured = [score for score in scores if score.labels[PHASE] == MEASURED]
    if all(score.failed for score in measured):
        raise EvalsError("every measured request failed: there is nothing to time; `samples.jsonl` says why")
    groups = _by_replay(scores)
    grows = replays.mean([_growth(group) for group in groups])
    rate = float(measured[0].answer["rate"])
    load = _utilisation(groups, rate)
    overloaded = replays.is_overloaded(grows, load)
    metrics: dict[str, Metric] = {}
    for name in TIMES:
        metrics |= _times(name, groups, "" if overloaded else _too_short(groups, load))
    if "latency" not in metrics:
        raise EvalsError("more than half of the measured requests failed, so the latency has no median")
    metrics["queue-growth"] = _metric(grows, len(measured), "fraction", note=verdict(overloaded, rate))
    if load is not None:
        metrics["utilisation"] = _metric(load, len(measured), "fraction")
    metrics |= _rates(groups, rate, len(measured))
    failed = replays.mean([_share_failed(group) for group in groups], 0, 1)
    metrics["failed-requests"] = _metric(failed, len(measured), "fraction")
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
        return f"these requests do not show whether the server bears {rate:g} requests per second: give more"
    if not overloaded:
        return None
    return f"the server cannot bear {rate:g} requests per second: the queue grows, and the times with it"


def _measured(group: Sequence[Score]) -> list[Score]:
    return [score for score in group if score.labels[PHASE] == MEASURED]


def _growth(group: Sequence[Score]) -> float:
    from evals.timing import replays

    return replays.growth(
        [score.answer["arrival"] for score in group],
        [score.answer["end"] for score in group],
        [score.labels[PHASE] == MEASURED for score in group],
    )


def _utilisation(groups: Groups, rate: float) -> replays.ReplayEstimate | None:
    """Return the utilisation of a loop that answers one request at a time; None for batches and for servers."""
    from evals.timing import replays

    values = [score.values for group in groups for score in _measured(group) if not score.failed]
    if any(of_request.get("batch-size") != 1 for of_request in values):
        return None
    return replays.mean([rate * _mean([s.values["service"] for s in _measured(group) if s.values]) for group in groups])


def _too_short(groups: Groups, load: replays.ReplayEstimate | None) -> str | None:
    """Say that replays are too short for their load, if they are: a long queue takes long to fill and to empty."""
    if load is None or load.value >= 1:
        return None
    needed = math.ceil(RELAXATIONS / (1 - load.value) ** 2)
    shortest = min(len(_measured(group)) for group in groups)
    if shortest >= needed:
        return None
    return f"at a utilisation of {load.value:.0%} replays of {shortest:,} requests are too short: {needed:,} are needed"


def _times(name: str, groups: Groups, no_interval: str | None) -> dict[str, Metric]:
    """Compute the median and the tails of a time, if any request has it; without intervals for a reason."""
    from evals.timing import replays

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
    from evals.timing import replays

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
    from evals.timing import replays

    metrics = {}
    for name, unit in {"batch-size": "count", "active-experts": "count", "accuracy": "fraction"}.items():
        units = [[score.values[name] for score in group if name in score.values] for group in groups]
        if any(units):
            most = 1 if name == "accuracy" else math.inf
            spread = replays.mean([_mean(unit) for unit in units if unit], 0, most)
            metrics[name] = _metric(spread, sum(map(len, units)), unit, higher=name == "accuracy")
    for name in ("prompt-tokens", "new-tokens"):
        values = sorted(score.values[name] for group in groups for score in group if name in score.values)
        metrics[name] = Metric(
            values[len(values) // 2], None, None, len(values), "count", higher_is_better=False, statistic="median"
        )
    return metrics


def _by_experts(groups: Groups) -> dict[str, Metric]:
    """Compute the latency, the time of service and the accuracy for each number of active experts."""
    from evals.timing import replays

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
