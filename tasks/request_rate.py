"""Efficiency under a request rate (`--task efficiency --rate R`): latencies that include the queue.

Requests arrive by themselves (`evals.timing.arrivals`), whether or not the earlier ones are answered. A sample is one
request of one replay, for example `3/17`. Replays are independent: 5 by default, of 200 measured requests each, at full
scale of 500 (`--processes`, `--repetitions`). The first requests of a replay fill the queue (warm-up) and the last ones
keep the load up (cool-down): a fifth of the measured number each, at least 10. They are recorded and not measured. A
load trace is replayed as it is, and all of its requests are measured: the times and their intervals are those of this
trace, whatever the server would bear for longer.

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
    prompt-tokens, new-tokens   medians; a note says how many answers of a server ended before the number of tokens
    accuracy                 share of right answers, for the split `questions`; a failed request is no right answer
    active-experts           experts per token of a model whose number follows the queue; with `experts-N/latency`, …

The 95 % intervals rest on the replays, never on requests as if they were independent (`evals.timing.replays`). Times
have one only if the run shows that the server bears the rate, or for a load trace.

Splits: `short` (default), `long` and `caption` as without a rate, `all` mixes them, and `questions` asks rows of the
bundled GLUE whose answers are scored. No two texts are equal, so a server cannot answer from its cache; the image of
`caption` is one.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence

from evals.errors import InputError
from evals.schema import ChatSettings, Generate, Json, Metric, Options, Part, Prediction, Sample, Samples, Score
from evals.timing.arrivals import ENDED_EARLY, MEASURED, PHASE, Load

QUESTIONS = "questions"
REPLAYS = 5
REQUESTS = {"mini": 200, "full": 500}
EDGE_SHARE, EDGE_LEAST = 0.2, 10
"""Requests of warm-up, and of cool-down, as a share of the measured ones, and at least."""
QUESTION_TASKS = ("cola", "mrpc", "qqp", "mnli", "qnli", "rte")
QUESTION_TOKENS = 4


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
        InputError: `--repetitions` was given with a load trace, which states its number of requests itself, or a
            replay would take longer than a day.
    """
    replays = options.processes or REPLAYS
    measured = options.repetitions or REQUESTS[options.scale]
    edge = max(EDGE_LEAST, math.ceil(EDGE_SHARE * measured))
    if load.trace is not None:
        if options.repetitions is not None:
            raise InputError(f"--repetitions {options.repetitions}: the load trace states the number of requests")
        measured, edge = len(load.trace), 0
    number = measured + 2 * edge
    load.check_duration(number)
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
    failed = prediction.failure is not None or timing.get("failure") is not None
    values: dict[str, float] = {}
    if sample.labels[PHASE] == MEASURED:
        unanswered = {} if sample.target is None else {"accuracy": 0.0}
        values = unanswered if failed else dict(_values(sample, timing))
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
    if sample.labels["kind"] != QUESTIONS:
        yield ENDED_EARLY, float(timing["new tokens"] < timing.get("asked tokens", 0))
    if sample.target is not None:
        words = re.findall(r"[a-z0-9]+", str(timing["text"]).lower())
        yield "accuracy", float(words[:1] == [str(sample.target).lower()])


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the metrics that the module's docstring lists. Raises `EvalsError` if too many requests failed."""
    from evals.timing import load_metrics

    return load_metrics.summarise(scores)
