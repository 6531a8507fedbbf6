"""Sums without words: the problems that `r1-zero` learns by trial and error, in the form that its environment uses.

    " 4 + 5 ="   9

`evals.tasks.mini.sums` makes them: 86 sums of the environment, and 24 of `validation`, whose pairs of numbers never
occur in the environment. The answer is the number at the start of an output. Accuracy is a mean over sums, with
Wilson's interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evals import data
from evals.errors import InputError, UnknownName
from evals.registry import TASKS
from evals.schema import Generate, Metric, Options, Prediction, Sample, Samples, Score, Task
from evals.tasks.mini import sums as bundled
from evals.tasks.mini.sums import LONGEST, read, sums

SPLITS = ("environment", "validation")
"""`environment` holds the sums that a model learns from by trial; `validation` shows whether it learnt more than
those."""


def samples(options: Options) -> Samples:
    """Generate the sums of a split.

    Raises:
        InputError: data or full scale was requested; this task has no official files.
        UnknownName: there is no such split.
    """
    if options.data is not None or options.scale == "full":
        raise InputError("math/sums is made by this project: it has no official files; leave out --data and --scale")
    split = options.split or SPLITS[0]
    if split not in SPLITS:
        raise UnknownName("split of math/sums", split, list(SPLITS))
    problems = sums(split)
    ids = [problem.prompt.replace(" ", "").rstrip("=") for problem in problems]

    def build(index: int) -> Sample:
        id, problem = ids[index], problems[index]
        return Sample(id, (Generate(id, (problem.prompt,), LONGEST),), target=problem.result)

    source = Path(bundled.__file__)  # it generates the sums and reads the answers; its digest is that of the data
    return Samples(ids, build, {"source": "bundled", "split": split, "files": {source.name: data.digest(source)}})


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Compare the number at the start of each output with the result.

    Raises:
        InputError: an output is not text.
    """
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    answer = read(prediction.text())
    values = {"accuracy": float(answer == sample.target)}
    return Score.of(sample, answer=answer, values=values, failed=prediction.failure is not None)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the share of sums that are solved."""
    from evals.metrics.estimates import Mean, means

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
