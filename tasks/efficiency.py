"""Efficiency: how long a model takes, how much memory it holds, and what its device could do at best.

Three splits are three kinds of request, each of one length: `short` (32 words, 16 new tokens), `long` (256 words, 64
new tokens) and `caption` (a drawn picture and "Describe the picture.", 16 new tokens). A sample is one repetition in
one process, `2/17` the eighteenth of the third process: 3 processes of 30 repetitions, each process a fresh start that
warms up first (`evals.timing` has the clock). A model that ends its text early makes fewer tokens; `new-tokens` says
how many there were, and no latency is extrapolated.

| metric | |
|---|---|
| `latency`, `/p95`, `/p99` | seconds of a whole answer: the median and two tails; `caption-latency` for `caption` |
| `time-to-first-token`, … | seconds of the same request with one new token |
| `per-token`, … | seconds of each token after the first |
| `throughput` | new tokens a second, one request at a time |
| `peak-memory`, `loaded-memory`, `working-memory` | bytes: in all, of loading, and of cache and workspace on top |
| `floor/read`, `floor/compute` | seconds a token needs at the speed that was probed on the same device |

Intervals are 95 %, by a bootstrap of two levels: processes, and repetitions within each (Kalibera and Jones, Rigorous
benchmarking in reasonable time, ISMM 2013). A median below its floor means that the clock is wrong: an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from evals.errors import EvalsError, InputError, UnknownName
from evals.registry import TASKS
from evals.schema import Generate, Image, Json, Metric, Options, Part, Prediction, Sample, Samples, Score, Task

PROCESSES, REPETITIONS = 3, 30
TAILS = {"/p95": 0.95, "/p99": 0.99}
_SIDE = 96


class Kind(NamedTuple):
    """One kind of request."""

    words: int
    new_tokens: int


KINDS = {"short": Kind(32, 16), "long": Kind(256, 64), "caption": Kind(0, 16)}


def samples(options: Options) -> Samples:
    """Make the repetitions of a split. Raises `InputError` for a folder of data, `UnknownName` for no such split."""
    if options.data is not None:
        raise InputError("efficiency reads no data: leave --data out")
    split = options.split or "short"
    if split not in KINDS:
        raise UnknownName("split of efficiency", split, KINDS)
    parts, ids = _parts(split), [f"{p}/{r}" for p in range(PROCESSES) for r in range(REPETITIONS)]

    def build(index: int) -> Sample:
        request = Generate(ids[index], parts, KINDS[split].new_tokens)
        labels = {"process": ids[index].partition("/")[0], "split": split}
        return Sample(ids[index], requests=(request,), target=None, cluster=labels["process"], labels=labels)

    facts = {"source": "bundled", "split": split, "words": KINDS[split].words, "new_tokens": KINDS[split].new_tokens}
    return Samples(ids, build, facts)


def _parts(split: str) -> tuple[Part, ...]:
    if split == "caption":
        return Image("efficiency", data=_picture()), "Describe the picture."
    words = "Tell me which of these numbers is the largest and why it is so".split()
    counted = [words[place] if place < len(words) else str(place * 7919 % 997) for place in range(KINDS[split].words)]
    return (" ".join(counted),)


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
    return Score(sample.id, told, None, _values(told), False, sample.cluster, sample.labels)


def _values(told: Mapping[str, Json]) -> dict[str, float]:
    first, whole, count = told["seconds to the first token"], told["seconds"], told["new tokens"]
    values = {
        "latency": whole,
        "time-to-first-token": first,
        "new-tokens": count,
        "prompt-tokens": told["prompt tokens"],
    }
    if count > 1:
        values["per-token"] = max(0.0, whole - first) / (count - 1)
    names = {"peak bytes": "peak-memory", "loaded bytes": "loaded-memory", "working bytes": "working-memory"}
    names |= {"seconds to read": "floor/read", "seconds to compute": "floor/compute"}
    return {**values, **{name: told[figure] for figure, name in names.items() if figure in told}}


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Make the metrics of the module's docstring.

    Raises:
        EvalsError: every repetition failed, or a time lies below its floor.
    """
    sound = [score for score in scores if not score.failed]
    if not sound:
        raise EvalsError("every repetition failed: there is nothing to time")
    prefix = "caption-" if sound[0].labels["split"] == "caption" else ""
    metrics: dict[str, Metric] = {}
    for name in ("latency", "time-to-first-token", "per-token"):
        times = [score for score in sound if name in score.values]
        if times:
            full = f"{prefix}{name}" if name == "latency" else name
            metrics[full] = _metric(times, name, _quantile(0.5))
            for suffix, level in TAILS.items():
                metrics[f"{full}{suffix}"] = _metric(times, name, _quantile(level))
    metrics["throughput"] = _throughput(sound)
    for name, unit in (("new-tokens", "count"), ("prompt-tokens", "count")):
        values = [score.values[name] for score in sound]
        metrics[name] = Metric(sum(values) / len(values), None, None, len(values), unit)
    metrics |= _extremes(sound)
    _hold_floors(metrics)
    return metrics


def _extremes(sound: Sequence[Score]) -> dict[str, Metric]:
    """The most memory of any process, and the lowest floor that any probe gave."""
    found = {}
    for name, unit, best in (
        ("peak-memory", "bytes", max), ("loaded-memory", "bytes", max), ("working-memory", "bytes", max),
        ("floor/read", "seconds", min), ("floor/compute", "seconds", min),
    ):  # fmt: skip
        values = [score.values[name] for score in sound if name in score.values]
        if values:
            processes = len({score.cluster for score in sound})
            found[name] = Metric(float(best(values)), float(min(values)), float(max(values)), processes, unit)
    return found


def _hold_floors(metrics: Mapping[str, Metric]) -> None:
    for floor in ("floor/read", "floor/compute"):
        if "per-token" in metrics and floor in metrics and metrics["per-token"].value < metrics[floor].value:
            times = f"{metrics['per-token'].value:.3g} s a token, at least {metrics[floor].value:.3g} s"
            raise EvalsError(f"a time lies below its floor: {times} ({floor}); the clock or the probe is wrong")


def _quantile(level: float) -> Callable[..., float]:
    import numpy as np

    return lambda values: float(np.quantile(values, level))


def _metric(scores: Sequence[Score], name: str, statistic: Callable[..., float]) -> Metric:
    from evals.stats import two_level_bootstrap

    by_process = _by_process(scores, name)
    value = statistic([value for values in by_process for value in values])
    low, high = two_level_bootstrap(by_process, statistic, f"efficiency {name}") or (None, None)
    return Metric(value, low, high, len(scores), "seconds")


def _by_process(scores: Sequence[Score], name: str) -> list[list[float]]:
    processes = sorted({score.cluster for score in scores})
    return [[score.values[name] for score in scores if score.cluster == process] for process in processes]


def _throughput(scores: Sequence[Score]) -> Metric:
    tokens = sum(score.values["new-tokens"] for score in scores)
    return Metric(tokens / sum(score.values["latency"] for score in scores), None, None, len(scores), "tokens/s")


TASKS.add(
    Task(
        name="efficiency",
        summary="latency, throughput and memory, in fresh processes, with the device's floors",
        version=1,
        needs="generate",
        splits=tuple(KINDS),
        headline="latency",
        samples=samples,
        score=score,
        summarise=summarise,
        timed=True,
    )
)
