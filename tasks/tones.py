"""Tones: which digit was dialled, by the sound of a telephone's key. Bundled, and made by this project.

It shows that a model hears: a digit is told by two tones at once, which no text gives away, and each digit comes
equally often, so whoever does not listen is right about one recording in ten (`--blind` replaces each by silence). A
row and how recordings are made: `evals.tasks.mini.tones`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from evals import data
from evals.errors import InputError, UnknownName
from evals.metrics.estimates import Mean, means
from evals.registry import TASKS
from evals.schema import Audio, Generate, Metric, Options, Prediction, Sample, Samples, Score, Task
from evals.tasks.mini import BUNDLED
from evals.tasks.vqa import INSTRUCTION

SPLITS = ("validation",)
MAX_NEW_TOKENS = 8
MINI = BUNDLED / "tones"
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class ToneRow(msgspec.Struct, frozen=True, gc=False):
    """A recording and what is asked about it."""

    clip_id: int
    audio: bytes
    question: str
    answer: str
    noise: str


def samples(options: Options) -> Samples:
    """Read the bundled split.

    Raises:
        InputError: there are no official files of this task.
        UnknownName: there is no such split.
    """
    if options.data is not None or options.scale == "full":
        raise InputError("tones is made by this project: it has no official files; leave out --data and --scale")
    split = options.split or SPLITS[0]
    if split not in SPLITS:
        raise UnknownName("split of tones", split, SPLITS)
    path = MINI / f"{split}.parquet"
    rows = data.read_parquet(path, ToneRow)

    def build(index: int) -> Sample:
        row = rows[index]
        id, sound = str(row.clip_id), Audio(str(row.clip_id), data=row.audio)
        asked = Generate(id, (sound, INSTRUCTION, row.question), MAX_NEW_TOKENS, stop=("\n",))
        return Sample(id, (asked,), target=row.answer, labels={"noise": row.noise})

    files = {path.name: data.digest(path)}
    return Samples([str(row.clip_id) for row in rows], build, {"source": "bundled", "split": split, "files": files})


def read(output: str) -> str | None:
    """Read a digit from an answer: the digit or its name, alone but for white space and a full stop.

    Example:
        >>> read(" 7"), read("Seven."), read("77"), read("It is 7"), read("")
        ('7', '7', None, None, None)
    """
    said = output.strip().rstrip(".").casefold()
    if said in NUMBERS:
        return str(NUMBERS.index(said))
    return said if len(said) == 1 and said in "0123456789" else None


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Compare the digit of each output with the one that was dialled. Raises `InputError` when an output is no text."""
    return [_score(sample, predictions[sample.id][0]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    answer = read(prediction.text())
    values = {"accuracy": float(answer == sample.target)}
    failed = prediction.failure is not None
    return Score(sample.id, answer, sample.target, values, failed, sample.cluster, sample.labels)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Give the share of digits that are right, in all and by how strong the noise is."""
    kinds = sorted({score.labels["noise"] for score in scores})
    return means(
        scores, {"accuracy": Mean("accuracy")} | {f"accuracy/{k}": Mean("accuracy", "noise", k) for k in kinds}
    )


TASKS.add(
    Task(
        name="tones",
        summary="which digit was dialled, by the tones of a telephone's key, bundled: does a model hear",
        version=1,
        needs="generate",
        splits=SPLITS,
        headline="accuracy",
        samples=samples,
        score=score,
        summarise=summarise,
    )
)
