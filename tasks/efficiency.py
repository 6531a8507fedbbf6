"""Efficiency: latency, throughput and memory of a model, and the peaks of its device.

Three kinds of request are timed, one at a time; `caption` is skipped for models that read no images:

| kind | prompt | new tokens at mini scale | at full scale |
|---|---|---|---|
| `short` | 16 words; at full scale 128 | 16 | 64 |
| `long` | 64 words; at full scale 1,024 | 32 | 256 |
| `caption` | a drawn image of 96 x 96 pixels and "Describe the picture." | 16 | 64 |

Every model generates exactly this number of tokens, even if it would stop earlier, so that models are compared at the
same length; the number of tokens of the prompt is reported too. A sample is one repetition in one process, for
example `short/2/7` (there is no file of rows). Each process starts afresh, loads the model and warms up
(`evals.timing.stopwatch` has the clock). With several models, their processes of the same number run side by side and
the models alternate (`evals.timing.interleaving`). The default is 3 processes of 10 repetitions, at full scale 5 of 30;
`--processes` and `--repetitions` change it, and `--split short` times one kind only.

    latency, /p95, /p99      seconds for a whole answer: the median, and two tails (with few repetitions the tails are
                             close to the slowest one)
    time-to-first-token, …   seconds for the same request with one new token
    per-token, …             seconds for each token after the first: the difference of the two, by repetition
    throughput               new tokens per second, one request at a time: all tokens over all seconds
    prompt-tokens            number of tokens of the prompt; and new-tokens
    long-latency, caption-latency, …   the same for the other kinds
    peak-memory              maximum bytes held after loading. On a GPU: in tensors, by torch's allocator; on a CPU: by
                             the process, as Linux counts its resident set, including Python and libraries
    peak-memory/weights      of these, the weights, calculated
    peak-memory/cache        keys and values at the end of the longest request, calculated
    peak-memory/workspace    memory that answering added to the memory held after loading, without the cache
    peak-memory/process      on a CPU only: memory held after loading, without the weights
    size-on-disk             bytes of the weight files
    device/read, /compute    the highest measured rates of the device: bytes and operations per second

Each time has floors (`evals.timing.roofline`): the time to read the weights and to multiply with them at the device's
peak rates. A repetition below a floor is a failed sample, and a median below one is an error: the clock is wrong. The
95 % intervals of medians and throughputs rest on the processes (`evals.timing.statistics`); tails and maxima have none.

With `--rate` or `--arrivals`, requests arrive by themselves and wait for each other: `evals.tasks.request_rate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from evals.errors import EvalsError, InputError, UnknownName
from evals.registry import TASKS
from evals.schema import (
    Generate,
    Image,
    Json,
    Metric,
    Options,
    Part,
    Prediction,
    ResourceRequirements,
    Sample,
    Samples,
    Score,
    Task,
)
from evals.tasks import request_rate
from evals.timing import roofline
from evals.timing.arrivals import PHASE, Load
from evals.timing.roofline import ARITHMETIC, BANDWIDTH, FIRST, STEP, WHOLE, DevicePeaks, Floors

SPLITS = ("all", "short", "long", "caption", request_rate.QUESTIONS)
PROCESSES = {"mini": 3, "full": 5}
REPETITIONS = {"mini": 10, "full": 30}
TAILS = {"": "median", "/p95": "p95", "/p99": "p99"}
"""Suffixes of the metrics of a time, and their statistics."""
_SIDE = 96


class ValueKind(NamedTuple):
    """How a value of the repetitions becomes a metric."""

    unit: str
    statistic: str
    higher_is_better: bool = False


TIME = ValueKind("seconds", "median")
VALUE_KINDS = {
    "throughput": ValueKind("tokens/s", "harmonic-mean", higher_is_better=True),
    "prompt-tokens": ValueKind("count", "median"),
    "new-tokens": ValueKind("count", "median"),
    "peak-memory": ValueKind("bytes", "maximum"),
    "size-on-disk": ValueKind("bytes", "maximum"),
    "device/read": ValueKind("bytes/s", "median", higher_is_better=True),
    "device/compute": ValueKind("operations/s", "median", higher_is_better=True),
}
"""The kind of each value, by its name without the prefix of its kind of request and without the part after a slash."""


class Kind(NamedTuple):
    """One kind of request."""

    words: int
    new_tokens: int


KINDS = {
    "mini": {"short": Kind(16, 16), "long": Kind(64, 32), "caption": Kind(0, 16)},
    "full": {"short": Kind(128, 64), "long": Kind(1024, 256), "caption": Kind(0, 64)},
}


def samples(options: Options) -> Samples:
    """Make the repetitions.

    Raises:
        InputError: a data folder was named; this task reads no data.
        UnknownName: there is no such split.
    """
    if options.data is not None:
        raise InputError("efficiency reads no data: leave --data out")
    load = Load.of(options)
    split = options.split or ("all" if load is None else "short")
    if split not in SPLITS:
        raise UnknownName("split of efficiency", split, SPLITS)
    kinds = {name: kind for name, kind in KINDS[options.scale].items() if split in ("all", name)}
    if load is not None:
        lengths = {name: kind.new_tokens for name, kind in kinds.items()} or {split: request_rate.QUESTION_TOKENS}
        parts = {name: _parts(name, kind) for name, kind in kinds.items()}
        return request_rate.samples(options, load, lengths, parts)
    if split == request_rate.QUESTIONS:
        raise InputError(f"the split {split} is for requests that arrive at a rate: give --rate too")
    processes = options.processes or PROCESSES[options.scale]
    repetitions = options.repetitions or REPETITIONS[options.scale]
    ids = [f"{kind}/{process}/{n}" for process in range(processes) for n in range(repetitions) for kind in kinds]
    parts = {name: _parts(name, kind) for name, kind in kinds.items()}

    def build(index: int) -> Sample:
        kind, process, _ = ids[index].split("/")
        length = kinds[kind].new_tokens
        request = Generate(ids[index], parts[kind], length, min_new_tokens=length)
        return Sample(ids[index], requests=(request,), target=None, cluster=process, labels={"kind": kind})

    kind_facts = {name: {"words": kind.words, "new_tokens": kind.new_tokens} for name, kind in kinds.items()}
    facts = {
        "source": "bundled",
        "split": split,
        "processes": processes,
        "repetitions": repetitions,
        "kinds": kind_facts,
    }
    return Samples(ids, build, facts)


def _parts(name: str, kind: Kind) -> tuple[Part, ...]:
    if name == "caption":
        return Image("efficiency", data=_png()), "Describe the picture."
    question = "Which of these numbers is the largest?"
    numbers = [str(100 + 7919 * n % 897) for n in range(kind.words - question.count(" ") - 1)]
    return (" ".join([question, *numbers]),)


def _png() -> bytes:
    import io

    from PIL import Image as pillow
    from PIL import ImageDraw

    image, file = pillow.new("RGB", (_SIDE, _SIDE), (206, 238, 202)), io.BytesIO()
    drawing = ImageDraw.Draw(image)
    drawing.ellipse((12, 14, 44, 46), fill=(212, 38, 38))
    drawing.rectangle((54, 50, 84, 80), fill=(36, 88, 214))
    image.save(file, "PNG")
    return file.getvalue()


# Scores


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Read the values of each repetition.

    Raises:
        InputError: an output is not a timing, for example because it is a recorded answer.
    """
    return [
        request_rate.score(sample, *predictions[sample.id])
        if PHASE in sample.labels
        else _score(sample, *predictions[sample.id])
        for sample in samples
    ]


def _score(sample: Sample, prediction: Prediction) -> Score:
    if prediction.failure is not None:
        return Score.of(sample, answer=None, values={}, failed=True)
    timing = prediction.output
    if not isinstance(timing, Mapping) or "seconds" not in timing:
        raise InputError(f"the output for id {sample.id} is not a timing: efficiency cannot be scored from answers")
    prefix = _prefix(sample.labels["kind"])
    floors = {f"{prefix}{name}": dict(by_reason) for name, by_reason in _floors(timing).items()}
    return Score.of(sample, answer=floors, values=dict(_values(timing, prefix)))


def _prefix(kind: str) -> str:
    return "" if kind == "short" else f"{kind}-"


def _values(timing: Mapping[str, Json], prefix: str) -> Iterator[tuple[str, float]]:
    first_seconds, seconds, new_tokens = timing["seconds to the first token"], timing["seconds"], timing["new tokens"]
    yield f"{prefix}{WHOLE}", seconds
    yield f"{prefix}{FIRST}", first_seconds
    if new_tokens > 1:
        yield f"{prefix}{STEP}", (seconds - first_seconds) / (new_tokens - 1)
    yield f"{prefix}throughput", new_tokens / seconds
    yield f"{prefix}prompt-tokens", timing["prompt tokens"]
    yield f"{prefix}new-tokens", new_tokens
    requirements, peak, loaded = timing.get("demands"), timing.get("peak bytes"), timing.get("loaded bytes")
    if peak is not None:
        yield "peak-memory", peak
    if requirements is None:
        return
    needs = ResourceRequirements(**requirements)
    yield "peak-memory/weights", needs.weights_bytes
    cache = needs.cache_bytes(timing["prompt tokens"], new_tokens)
    yield "peak-memory/cache", cache
    if peak is not None and loaded is not None:
        yield "peak-memory/workspace", max(0.0, peak - loaded - cache)
        if needs.device == "cpu":
            yield "peak-memory/process", max(0.0, loaded - needs.weights_bytes)
    yield "size-on-disk", needs.disk_bytes
    if timing.get("speeds"):
        yield "device/read", timing["speeds"]["bytes_per_second"]
        yield "device/compute", timing["speeds"]["operations_per_second"]


def _floors(timing: Mapping[str, Json]) -> Floors:
    if not timing.get("demands") or not timing.get("speeds"):
        return {}
    needs, peaks = ResourceRequirements(**timing["demands"]), DevicePeaks(**timing["speeds"])
    return roofline.floors(needs, peaks, timing["prompt tokens"], timing["new tokens"])


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the metrics that the module's docstring lists.

    Raises:
        EvalsError: every repetition failed, or a median lies below its floor.
    """
    if any(PHASE in score.labels for score in scores):
        return request_rate.summarise(scores)
    succeeded = [score for score in scores if not score.failed]
    if not succeeded:
        raise EvalsError("every repetition failed: there is nothing to time; `samples.jsonl` says why")
    metrics: dict[str, Metric] = {}
    for name in dict.fromkeys(name for score in succeeded for name in score.values):
        with_value = [score for score in succeeded if name in score.values]
        for tail in TAILS if _value_kind(name) is TIME else ("",):
            metrics[name + tail] = _metric(name, tail, with_value)
        _check_floors(name, metrics[name])
    return metrics


def _metric(name: str, tail: str, scores: Sequence[Score]) -> Metric:
    """Compute one metric of a value from the repetitions that have it."""
    from evals.timing import statistics

    kind = _value_kind(name)
    statistic = TAILS[tail] if kind is TIME else kind.statistic
    processes = dict.fromkeys(score.cluster for score in scores)
    groups = [[score.values[name] for score in scores if score.cluster == process] for process in processes]
    estimate = statistics.estimate(statistic, groups)
    floors = [score.answer[name] for score in scores if name in (score.answer or {})]
    low, high = statistics.interval(estimate)
    return Metric(
        estimate.value,
        low,
        high,
        estimate.n,
        kind.unit,
        floors={why: min(of_score[why] for of_score in floors) for why in (BANDWIDTH, ARITHMETIC)} if floors else {},
        higher_is_better=kind.higher_is_better,
        statistic=statistic,
    )


def _value_kind(name: str) -> ValueKind:
    """Return how a value becomes a metric; values that are not in `VALUE_KINDS` are times."""
    keys = [key for key in VALUE_KINDS if name == key or name.partition("/")[0].endswith(key)]
    return VALUE_KINDS[keys[0]] if keys else TIME


def _check_floors(name: str, metric: Metric) -> None:
    """Raise `EvalsError` if a value lies below one of its floors."""
    violation = roofline.below(metric.value, metric.floors)
    if violation is not None:
        raise EvalsError(f"{name} is {violation}")


TASKS.add(
    Task(
        name="efficiency",
        summary="latency, throughput and memory, in fresh processes and in turn, with the device's floors",
        version=1,
        needs="generate",
        splits=SPLITS,
        headline="latency",
        samples=samples,
        score=score,
        summarise=summarise,
        supported_options=frozenset({"processes", "repetitions", "rate", "arrivals", "batch"}),
        timed=True,
    )
)
