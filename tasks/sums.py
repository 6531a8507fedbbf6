"""Sums without words: what `r1-zero` learns by trial, asked as its environment asks.

    " 4 + 5 ="   9

`tasks/mini/sums.py` makes them: the 86 that the environment shows, and 24 of `validation`, in which no two numbers meet
that meet in the environment. The answer is the number that an output begins with. Accuracy is a mean over sums, with
Wilson's interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evals import data
from evals.errors import InputError, UnknownName
from evals.metrics.estimates import Mean, means
from evals.registry import TASKS
from evals.schema import Generate, Metric, Options, Prediction, Sample, Samples, Score, Task
from evals.tasks.mini import sums as bundled
from evals.tasks.mini.sums import LONGEST, read, sums

SPLITS = ("environment", "validation")
"""What learns by trial is measured where it tries; whether it learnt more than that, `validation` says."""


def samples(options: Options) -> Samples:
    """Give the sums of a split.

    Raises:
        InputError: there are no official files of this task.
        UnknownName: there is no such split.
    """
    if options.data is not None or options.scale == "full":
        raise InputError("math/sums is made by this project: it has no official files; leave out --data and --scale")
    split = options.split or SPLITS[0]
    if split not in SPLITS:
        raise UnknownName("split of math/sums", split, list(SPLITS))
    asked = sums(split)
    ids = [one.asked.replace(" ", "").rstrip("=") for one in asked]

    def build(index: int) -> Sample:
        return Sample(ids[index], (Generate(ids[index], (asked[index].asked,), LONGEST),), target=asked[index].result)

    source = Path(bundled.__file__)  # makes them, and reads answers
    return Samples(ids, build, {"source": "bundled", "split": split, "files": {source.name: data.digest(source)}})


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Compare the number that each output begins with. Raises `InputError` when an output is no text."""
    return [_score(sample, predictions[sample.id][0]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    answer = read(prediction.text())
    values = {"accuracy": float(answer == sample.target)}
    return Score(sample.id, answer, sample.target, values, failed=prediction.failure is not None)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Give the share of sums that are solved."""
    return means(scores, {"accuracy": Mean("accuracy")})


TASKS.add(
    Task(
        name="math/sums",
        summary="sums and differences of one-digit numbers, bundled: what r1-zero learns by trial",
        version=1,
        needs="generate",
        splits=SPLITS,
        headline="accuracy",
        samples=samples,
        score=score,
        summarise=summarise,
    )
)
