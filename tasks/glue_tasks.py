"""The nine tasks of GLUE as a table: their columns, labels, wordings and metrics.

prompt         a row's texts to what a language model is asked
continuation         a label to what answers it
read_label     a label as files have it to its number
read_answer    a label, an continuation or a number as models and submissions have it to its number
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evals.schema import Json

HIGHEST = 5
"""STS-B's labels are from 0 (nothing in common) to this (the same), the means of several people's whole points."""


@dataclass(frozen=True, slots=True)
class Subtask:
    """One of the nine tasks."""

    name: str
    """As the hub's data set calls it."""
    folder: str
    """As the official download calls it."""
    summary: str
    """One line for lists."""
    columns: Mapping[str, str]
    """The texts of a row: the hub's column to the column of the official files."""
    label_column: str
    """The column of the official files that holds the label; the hub's is `label`."""
    shown: tuple[str, ...]
    """What the prompt calls each text."""
    question: str
    """What the prompt asks."""
    labels: tuple[str, ...]
    """The names of the labels; a label's number is its place. None for STS-B, whose labels are scores."""
    continuations: tuple[str, ...]
    """What answers the prompt, a label each; for STS-B a point of the scale each."""
    metrics: tuple[str, ...]
    """The official ones; the first is the headline."""
    sizes: Mapping[str, int]
    """The rows of the official validation file, or of each where there are two."""
    header: tuple[str, ...] = ()
    """The names of the columns of official files that begin with no line of them."""


_TWO = {"sentence1": "sentence1", "sentence2": "sentence2"}
_PAIR = ("Sentence 1", "Sentence 2")
_PREMISE = ("Premise", "Hypothesis")
_IMPLIED = "Does the premise imply the hypothesis?"

TABLE: Mapping[str, Subtask] = {
    task.name: task
    for task in (
        Subtask(
            "cola", "CoLA", "is a sentence grammatical",
            {"sentence": "sentence"}, "label",
            ("Sentence",), "Is this sentence grammatical?",
            ("unacceptable", "acceptable"), (" no", " yes"), ("matthews",), {"validation": 1043},
            header=("source", "label", "star", "sentence"),
        ),
        Subtask(
            "sst2", "SST-2", "is an opinion of a film positive",
            {"sentence": "sentence"}, "label",
            ("Sentence",), "Is the opinion in this sentence positive or negative?",
            ("negative", "positive"), (" negative", " positive"), ("accuracy",), {"validation": 872},
        ),
        Subtask(
            "mrpc", "MRPC", "do two sentences of the news say the same",
            {"sentence1": "#1 String", "sentence2": "#2 String"}, "Quality",
            _PAIR, "Do the two sentences say the same?",
            ("not_equivalent", "equivalent"), (" no", " yes"), ("accuracy", "f1"), {"validation": 408},
        ),
        Subtask(
            "stsb", "STS-B", "how similar are two sentences, from 0 to 5",
            _TWO, "score",
            _PAIR, "From 0 to 5, how similar are the two sentences?",
            (), (" 0", " 1", " 2", " 3", " 4", " 5"), ("pearson", "spearman"), {"validation": 1500},
        ),
        Subtask(
            "qqp", "QQP", "do two questions ask the same",
            {"question1": "question1", "question2": "question2"}, "is_duplicate",
            ("Question 1", "Question 2"), "Do the two questions ask the same?",
            ("not_duplicate", "duplicate"), (" no", " yes"), ("accuracy", "f1"), {"validation": 40430},
        ),
        Subtask(
            "mnli", "MNLI", "does a sentence imply another, contradict it, or neither",
            {"premise": "sentence1", "hypothesis": "sentence2"}, "gold_label",
            _PREMISE, "Is this entailment, neutral or contradiction?",
            ("entailment", "neutral", "contradiction"), (" entailment", " neutral", " contradiction"),
            ("accuracy",), {"validation_matched": 9815, "validation_mismatched": 9832},
        ),
        Subtask(
            "qnli", "QNLI", "does a sentence answer a question",
            {"question": "question", "sentence": "sentence"}, "label",
            ("Question", "Sentence"), "Does the sentence answer the question?",
            ("entailment", "not_entailment"), (" yes", " no"), ("accuracy",), {"validation": 5463},
        ),
        Subtask(
            "rte", "RTE", "does a text imply a sentence",
            _TWO, "label",
            _PREMISE, _IMPLIED,
            ("entailment", "not_entailment"), (" yes", " no"), ("accuracy",), {"validation": 277},
        ),
        Subtask(
            "wnli", "WNLI", "who is meant by a pronoun",
            _TWO, "label",
            _PREMISE, _IMPLIED,
            ("not_entailment", "entailment"), (" no", " yes"), ("accuracy",), {"validation": 71},
        ),
    )
}  # fmt: skip
"""All that tells one of the nine from another, in the order of the leaderboard."""


def prompt(task: str, fields: Mapping[str, str]) -> str:
    """Write what a language model is asked: each text on a line, the question, "Answer:".

    Args:
        task: a name of `TABLE`.
        fields: the texts by the hub's column names; other columns are ignored. Space around a text is dropped, and so
            are line ends in it.

    Example:
        >>> print(prompt("rte", {"sentence1": "Tom snores.", "sentence2": "Tom sleeps. ", "label": 0}))
        Premise: Tom snores.
        Hypothesis: Tom sleeps.
        Does the premise imply the hypothesis?
        Answer:
    """
    subtask = TABLE[task]
    texts = (" ".join(fields[column].split()) for column in subtask.columns)
    lines = [f"{name}: {text}" for name, text in zip(subtask.shown, texts, strict=True)]
    return "\n".join([*lines, subtask.question, "Answer:"])


def continuation(task: str, label: float) -> str:
    """Give what answers the prompt of a row with this label, a space before it.

    Args:
        task: a name of `TABLE`.
        label: the label's number; for STS-B the score, which is rounded to the nearest point of the scale.

    Example:
        >>> continuation("rte", 0), continuation("wnli", 0), continuation("mnli", 2), continuation("stsb", 3.8)
        (' yes', ' no', ' contradiction', ' 4')
    """
    return TABLE[task].continuations[math.floor(label + 0.5)]


def read_label(task: Subtask, label: Json) -> float | None:
    """Read a label as files have it: a name of `Subtask.labels` or its number; for STS-B any number.

    Returns:
        The label's number; None for anything else.

    Example:
        >>> rte = TABLE["rte"]
        >>> [read_label(rte, label) for label in ("not_entailment", "1", 1, 2, "yes", None)]
        [1, 1, 1, None, None, None]
        >>> [read_label(TABLE["stsb"], label) for label in ("3.800", 4, "nan")]
        [3.8, 4.0, None]
    """
    if isinstance(label, str) and label.strip().casefold() in task.labels:
        return task.labels.index(label.strip().casefold())
    number = _number(label)
    if number is None or not task.labels:
        return number
    return int(number) if number.is_integer() and 0 <= number < len(task.labels) else None


def read_answer(task: Subtask, answer: Json) -> float | None:
    """Read an answer: as `read_label` does, or an continuation of the prompt.

    Example:
        >>> read_answer(TABLE["rte"], " yes"), read_answer(TABLE["rte"], "entailment"), read_answer(TABLE["rte"], "or")
        (0, 0, None)
    """
    continuations = [continuation.strip() for continuation in task.continuations]
    if task.labels and isinstance(answer, str) and answer.strip().casefold() in continuations:
        return continuations.index(answer.strip().casefold())
    return read_label(task, answer)


def _number(value: Json) -> float | None:
    """Read a finite number, also one that is written as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
