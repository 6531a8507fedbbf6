"""Efficiency: how long a model takes, how much memory it holds, and what its device could do at best.

Three kinds of request are timed, one at a time; a model that reads no pictures is not shown any:

| kind | prompt | new tokens at mini scale | at full scale |
|---|---|---|---|
| `short` | 16 words; at full scale 128 | 16 | 64 |
| `long` | 64 words; at full scale 1,024 | 32 | 256 |
| `caption` | a drawn picture of 96 x 96 and "Describe the picture." | 16 | 64 |

Every model writes exactly so many tokens, whatever it would say, so that models are compared at one length; how many
tokens the same words are to each is told beside. A sample is one repetition in one process, `short/2/7`. Each process
is a fresh start that loads the model and warms up (`evals.timing.stopwatch` has the clock); of several models those of
one
number run side by side and take turns (`evals.timing.interleaving`). By default 3 processes of 10 repetitions, at full
scale 5 of 30; `--processes` and `--repetitions` say otherwise, `--split short` times one kind only.

    latency, /p95, /p99      seconds of a whole answer: the median, and two tails, which of few repetitions are next to
                             the slowest
    time-to-first-token, …   seconds of the same request with one new token
    per-token, …             seconds of each token after the first: what lies between the two, by repetition
    throughput               new tokens a second, one request at a time: all tokens over all seconds
    prompt-tokens            what the words are to the model's tokenizer; and new-tokens
    long-latency, caption-latency, …   the same of the other kinds
    peak-memory              the most bytes held once it is loaded. On a GPU: by tensors, by torch's allocator; on a
                             CPU: by the process, as Linux counts its resident set, Python and libraries included
    peak-memory/weights      of these, all weights, counted
    peak-memory/cache        keys and values at the end of the longest request, counted
    peak-memory/workspace    what answering took on top of what was held after loading, without the cache
    peak-memory/process      on a CPU only: what was held after loading, without the weights
    size-on-disk             bytes of the files of the weights
    device/read, /compute    the best that the device was seen to do: bytes and operations a second

Beside each time stand its floors (`evals.timing.roofline`): what reading the weights and multiplying with them takes
at the
device's best. A repetition below a floor is a failed sample, and a median below one is an error: the clock is wrong.
Intervals are 95 %, by a bootstrap of two levels, processes and the repetitions of each.
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
from evals.timing import roofline
from evals.timing.roofline import ARITHMETIC, BANDWIDTH, FIRST, STEP, WHOLE, DevicePeaks, Floors

SPLITS = ("all", "short", "long", "caption")
PROCESSES = {"mini": 3, "full": 5}
REPETITIONS = {"mini": 10, "full": 30}
TAILS = ("", "/p95", "/p99")
_SIDE = 96
_UNITS = {
    "throughput": "tokens/s", "prompt-tokens": "count", "new-tokens": "count", "peak-memory": "bytes",
    "size-on-disk": "bytes", "device/read": "bytes/s", "device/compute": "operations/s",
}  # fmt: skip


class Kind(NamedTuple):
    """One kind of request."""

    words: int
    new_tokens: int


KINDS = {
    "mini": {"short": Kind(16, 16), "long": Kind(64, 32), "caption": Kind(0, 16)},
    "full": {"short": Kind(128, 64), "long": Kind(1024, 256), "caption": Kind(0, 64)},
}


def samples(options: Options) -> Samples:
    """Make the repetitions. Raises `InputError` for a folder of data, `UnknownName` for no such split."""
    if options.data is not None:
        raise InputError("efficiency reads no data: leave --data out")
    split = options.split or SPLITS[0]
    if split not in SPLITS:
        raise UnknownName("split of efficiency", split, SPLITS)
    kinds = {name: kind for name, kind in KINDS[options.scale].items() if split in ("all", name)}
    processes = options.processes or PROCESSES[options.scale]
    repetitions = options.repetitions or REPETITIONS[options.scale]
    ids = [f"{kind}/{process}/{n}" for process in range(processes) for n in range(repetitions) for kind in kinds]
    parts = {name: _parts(name, kind) for name, kind in kinds.items()}

    def build(index: int) -> Sample:
        kind, process, _ = ids[index].split("/")
        length = kinds[kind].new_tokens
        request = Generate(ids[index], parts[kind], length, min_new_tokens=length)
        return Sample(ids[index], requests=(request,), target=None, cluster=process, labels={"kind": kind})

    lengths = {name: {"words": kind.words, "new_tokens": kind.new_tokens} for name, kind in kinds.items()}
    facts = {"source": "bundled", "split": split, "processes": processes, "repetitions": repetitions, "kinds": lengths}
    return Samples(ids, build, facts)


def _parts(name: str, kind: Kind) -> tuple[Part, ...]:
    if name == "caption":
        return Image("efficiency", data=_picture()), "Describe the picture."
    asked = "Which of these numbers is the largest?"
    numbers = [str(100 + 7919 * place % 897) for place in range(kind.words - asked.count(" ") - 1)]
    return (" ".join([asked, *numbers]),)


def _picture() -> bytes:
    import io

    from PIL import Image as pillow
    from PIL import ImageDraw

    picture, file = pillow.new("RGB", (_SIDE, _SIDE), (206, 238, 202)), io.BytesIO()
    drawing = ImageDraw.Draw(picture)
    drawing.ellipse((12, 14, 44, 46), fill=(212, 38, 38))
    drawing.rectangle((54, 50, 84, 80), fill=(36, 88, 214))
    picture.save(file, "PNG")
    return file.getvalue()


# What was measured


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Read each repetition's figures. Raises `InputError` for an output that is no timing (recorded answers)."""
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    if prediction.failure is not None:
        return Score(sample.id, None, None, {}, True, sample.cluster, sample.labels)
    told = prediction.output
    if not isinstance(told, Mapping) or "seconds" not in told:
        raise InputError(f"the output for id {sample.id} is no timing: efficiency cannot be scored from answers")
    prefix = _prefix(sample.labels["kind"])
    least = {f"{prefix}{name}": dict(kinds) for name, kinds in _floors(told).items()}
    return Score(sample.id, least, None, dict(_values(told, prefix)), False, sample.cluster, sample.labels)


def _prefix(kind: str) -> str:
    return "" if kind == "short" else f"{kind}-"


def _values(told: Mapping[str, Json], prefix: str) -> Iterator[tuple[str, float]]:
    first, whole, count = told["seconds to the first token"], told["seconds"], told["new tokens"]
    yield f"{prefix}{WHOLE}", whole
    yield f"{prefix}{FIRST}", first
    if count > 1:
        yield f"{prefix}{STEP}", (whole - first) / (count - 1)
    yield f"{prefix}throughput", count / whole
    yield f"{prefix}prompt-tokens", told["prompt tokens"]
    yield f"{prefix}new-tokens", count
    requirements, peak, loaded = told.get("demands"), told.get("peak bytes"), told.get("loaded bytes")
    if peak is not None:
        yield "peak-memory", peak
    if requirements is None:
        return
    needs = ResourceRequirements(**requirements)
    yield "peak-memory/weights", needs.weights_bytes
    cache = needs.cache_bytes(told["prompt tokens"], count)
    yield "peak-memory/cache", cache
    if peak is not None and loaded is not None:
        yield "peak-memory/workspace", max(0.0, peak - loaded - cache)
        if needs.device == "cpu":
            yield "peak-memory/process", max(0.0, loaded - needs.weights_bytes)
    yield "size-on-disk", needs.disk_bytes
    if told.get("speeds"):
        yield "device/read", told["speeds"]["bytes_per_second"]
        yield "device/compute", told["speeds"]["operations_per_second"]


def _floors(told: Mapping[str, Json]) -> Floors:
    if not told.get("demands") or not told.get("speeds"):
        return {}
    needs, seen = ResourceRequirements(**told["demands"]), DevicePeaks(**told["speeds"])
    return roofline.floors(needs, seen, told["prompt tokens"], told["new tokens"])


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Make the metrics of the module's docstring.

    Raises:
        EvalsError: every repetition failed, or a median lies below its floor.
    """
    sound = [score for score in scores if not score.failed]
    if not sound:
        raise EvalsError("every repetition failed: there is nothing to time; `samples.jsonl` says why")
    metrics: dict[str, Metric] = {}
    for name in dict.fromkeys(name for score in sound for name in score.values):
        having = [score for score in sound if name in score.values]
        timed = name.endswith((WHOLE, FIRST, STEP))
        for tail in TAILS if timed else ("",):
            metrics[name + tail] = _metric(name + tail, name, having)
        _hold(name, metrics[name])
    return metrics


def _metric(metric: str, figure: str, scores: Sequence[Score]) -> Metric:
    """Make one metric of a figure of the repetitions that have it."""
    from evals.timing import statistics

    processes = dict.fromkeys(score.cluster for score in scores)
    found = statistics.estimate(
        metric, [[score.values[figure] for score in scores if score.cluster == process] for process in processes]
    )
    unit = next(
        (unit for name, unit in _UNITS.items() if figure.partition("/")[0].endswith(name) or figure == name), "seconds"
    )
    least = [score.answer[figure] for score in scores if figure in (score.answer or {})]
    together = {kind: min(each[kind] for each in least) for kind in (BANDWIDTH, ARITHMETIC)} if least else {}
    return Metric(found.value, *statistics.interval(found), found.n, unit, floors=together)


def _hold(name: str, metric: Metric) -> None:
    why = roofline.below(metric.value, metric.floors)
    if why is not None:
        raise EvalsError(f"{name} came out as {why}")


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
        supported_options=frozenset({"processes", "repetitions"}),
        timed=True,
    )
)
