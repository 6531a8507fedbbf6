"""Tones: which digit was dialled, from the tones of a telephone key. Bundled, and made by this project.

A row, as bundled in `tones/validation.parquet` (`evals.tasks.mini.tones` describes how the audio is made):

    clip_id 0, audio <WAV>, question "Which digit was dialled?", answer "0", noise "faint"

The task shows whether a model hears. A digit is encoded by two simultaneous tones and no text reveals it; each digit is
equally frequent, so a model that ignores the audio is right about one clip in ten. `--blind` replaces each clip by
silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from evals import data
from evals.errors import InputError, UnknownName
from evals.registry import TASKS
from evals.schema import Audio, Generate, Metric, Options, Prediction, Sample, Samples, Score, Task
from evals.tasks.mini import BUNDLED

INSTRUCTION = "Answer the question using a single word or phrase.\n"
"""The instruction of `evals.tasks.vqa`: one model answers both tasks."""
SPLITS = ("validation",)
MAX_NEW_TOKENS = 8
MINI = BUNDLED / "tones"
DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class ToneRow(msgspec.Struct, frozen=True, gc=False):
    """An audio clip with its question and answer."""

    clip_id: int
    audio: bytes
    question: str
    answer: str
    noise: str


def samples(options: Options) -> Samples:
    """Read the bundled split.

    Raises:
        InputError: data or full scale was requested; this task has no official files.
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
        id, audio = str(row.clip_id), Audio(str(row.clip_id), data=row.audio)
        request = Generate(id, (audio, INSTRUCTION, row.question), MAX_NEW_TOKENS, stop=("\n",))
        return Sample(id, (request,), target=row.answer, labels={"noise": row.noise})

    files = {path.name: data.digest(path)}
    return Samples([str(row.clip_id) for row in rows], build, {"source": "bundled", "split": split, "files": files})


def read(output: str) -> str | None:
    """Read a digit from an output that holds only the digit or its name, white space and a final full stop.

    Example:
        >>> read(" 7"), read("Seven."), read("77"), read("It is 7"), read("")
        ('7', '7', None, None, None)
    """
    text = output.strip().rstrip(".").casefold()
    if text in DIGIT_NAMES:
        return str(DIGIT_NAMES.index(text))
    return text if len(text) == 1 and text in "0123456789" else None


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Compare the digit in each output with the dialled digit.

    Raises:
        InputError: an output is not text.
    """
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    answer = read(prediction.text())
    values = {"accuracy": float(answer == sample.target)}
    return Score.of(sample, answer=answer, values=values, failed=prediction.failure is not None)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the share of correct digits, over all clips and by noise level."""
    from evals.metrics.estimates import Mean, means

    levels = sorted({score.labels["noise"] for score in scores})
    by_level = {f"accuracy/{level}": Mean("accuracy", "noise", level) for level in levels}
    return means(scores, {"accuracy": Mean("accuracy"), **by_level})


TASKS.add(
    Task(
        name="tones",
        summary="which digit was dialled, from the tones of a telephone key (bundled): does a model hear",
        version=1,
        needs="generate",
        splits=SPLITS,
        headline="accuracy",
        samples=samples,
        score=score,
        summarise=summarise,
    )
)
