"""The nine tasks of GLUE as a table: their columns, labels, wordings and metrics.

prompt         returns the prompt for the texts of a row
continuation   returns the continuation for a label
read_label     reads a label of a data file as a number
read_answer    reads a model's or a submission's answer (a label, a continuation or a number) as a number
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.plain_numbers import real
from evals.schema import Json

HIGHEST = 5
"""STS-B's labels range from 0 (nothing in common) to this (same meaning); each is a mean of annotators' points."""


@dataclass(frozen=True, slots=True)
class Subtask:
    """One of the nine tasks."""

    name: str
    """The name in the hub's data set."""
    folder: str
    """The name of its folder in the official download."""
    summary: str
    """One line for lists."""
    columns: Mapping[str, str]
    """The texts of a row: from the hub's column name to that of the official files."""
    label_column: str
    """The column of the official files that holds the label; the hub's is `label`."""
    text_names: tuple[str, ...]
    """The names of the texts in the prompt."""
    question: str
    """The question of the prompt."""
    labels: tuple[str, ...]
    """The names of the labels, in the order of their numbers; empty for STS-B, whose labels are scores."""
    continuations: tuple[str, ...]
    """The continuation of the prompt for each label; for STS-B, for each point of the scale."""
    metrics: tuple[str, ...]
    """The official metrics; the first is the headline."""
    sizes: Mapping[str, int]
    """Number of rows of each official validation file."""
    header: tuple[str, ...] = ()
    """The column names, for official files without a header line."""


_TWO = {"sentence1": "sentence1", "sentence2": "sentence2"}
_PAIR = ("Sentence 1", "Sentence 2")
_PREMISE = ("Premise", "Hypothesis")
_IMPLIED = "Does the premise imply the hypothesis?"

TABLE: Mapping[str, Subtask] = {
    task.name: task
    for task in (
        Subtask(
            name="cola",
            folder="CoLA",
            summary="is a sentence grammatical",
            columns={"sentence": "sentence"},
            label_column="label",
            text_names=("Sentence",),
            question="Is this sentence grammatical?",
            labels=("unacceptable", "acceptable"),
            continuations=(" no", " yes"),
            metrics=("matthews",),
            sizes={"validation": 1043},
            header=("source", "label", "star", "sentence"),
        ),
        Subtask(
            name="sst2",
            folder="SST-2",
            summary="is an opinion of a film positive",
            columns={"sentence": "sentence"},
            label_column="label",
            text_names=("Sentence",),
            question="Is the opinion in this sentence positive or negative?",
            labels=("negative", "positive"),
            continuations=(" negative", " positive"),
            metrics=("accuracy",),
            sizes={"validation": 872},
        ),
        Subtask(
            name="mrpc",
            folder="MRPC",
            summary="do two sentences of the news say the same",
            columns={"sentence1": "#1 String", "sentence2": "#2 String"},
            label_column="Quality",
            text_names=_PAIR,
            question="Do the two sentences say the same?",
            labels=("not_equivalent", "equivalent"),
            continuations=(" no", " yes"),
            metrics=("accuracy", "f1"),
            sizes={"validation": 408},
        ),
        Subtask(
            name="stsb",
            folder="STS-B",
            summary="how similar are two sentences, from 0 to 5",
            columns=_TWO,
            label_column="score",
            text_names=_PAIR,
            question="From 0 to 5, how similar are the two sentences?",
            labels=(),
            continuations=(" 0", " 1", " 2", " 3", " 4", " 5"),
            metrics=("pearson", "spearman"),
            sizes={"validation": 1500},
        ),
        Subtask(
            name="qqp",
            folder="QQP",
            summary="do two questions ask the same",
            columns={"question1": "question1", "question2": "question2"},
            label_column="is_duplicate",
            text_names=("Question 1", "Question 2"),
            question="Do the two questions ask the same?",
            labels=("not_duplicate", "duplicate"),
            continuations=(" no", " yes"),
            metrics=("accuracy", "f1"),
            sizes={"validation": 40430},
        ),
        Subtask(
            name="mnli",
            folder="MNLI",
            summary="does a sentence imply another, contradict it, or neither",
            columns={"premise": "sentence1", "hypothesis": "sentence2"},
            label_column="gold_label",
            text_names=_PREMISE,
            question="Is this entailment, neutral or contradiction?",
            labels=("entailment", "neutral", "contradiction"),
            continuations=(" entailment", " neutral", " contradiction"),
            metrics=("accuracy",),
            sizes={"validation_matched": 9815, "validation_mismatched": 9832},
        ),
        Subtask(
            name="qnli",
            folder="QNLI",
            summary="does a sentence answer a question",
            columns={"question": "question", "sentence": "sentence"},
            label_column="label",
            text_names=("Question", "Sentence"),
            question="Does the sentence answer the question?",
            labels=("entailment", "not_entailment"),
            continuations=(" yes", " no"),
            metrics=("accuracy",),
            sizes={"validation": 5463},
        ),
        Subtask(
            name="rte",
            folder="RTE",
            summary="does a text imply a sentence",
            columns=_TWO,
            label_column="label",
            text_names=_PREMISE,
            question=_IMPLIED,
            labels=("entailment", "not_entailment"),
            continuations=(" yes", " no"),
            metrics=("accuracy",),
            sizes={"validation": 277},
        ),
        Subtask(
            name="wnli",
            folder="WNLI",
            summary="who is meant by a pronoun",
            columns=_TWO,
            label_column="label",
            text_names=_PREMISE,
            question=_IMPLIED,
            labels=("not_entailment", "entailment"),
            continuations=(" no", " yes"),
            metrics=("accuracy",),
            sizes={"validation": 71},
        ),
    )
}
"""The nine tasks, in the order of the leaderboard."""


def splits_of(task: Subtask) -> tuple[str, ...]:
    """List a task's splits. `validation` is all of its validation files, `test` all of its test files."""
    names = dict.fromkeys(["validation", *task.sizes])
    return (*names, *(name.replace("validation", "test") for name in names))


def files_of(task: Subtask, split: str) -> list[str]:
    """List the files that a split consists of, by the hub's names.

    Example:
        >>> files_of(TABLE["mnli"], "test"), files_of(TABLE["mnli"], "validation_matched")
        (['test_matched', 'test_mismatched'], ['validation_matched'])
    """
    kind = split.partition("_")[0]
    names = [name.replace("validation", kind) for name in task.sizes]
    return [name for name in names if split in (name, kind)]


def metrics_of(task: Subtask) -> list[str]:
    """Return the names of a task's metrics, for each set if it has several.

    Example:
        >>> metrics_of(TABLE["mrpc"]), metrics_of(TABLE["mnli"])
        (['accuracy', 'f1'], ['accuracy/matched', 'accuracy/mismatched'])
    """
    subsets = [split.partition("_")[2] for split in task.sizes]
    return [metric_name(metric, {"set": subset} if subset else {}) for subset in subsets for metric in task.metrics]


def metric_name(metric: str, labels: Mapping[str, str]) -> str:
    """Return the name of a metric, followed by the set if the task has several."""
    return f"{metric}/{labels['set']}" if "set" in labels else metric


def prompt(task: str, fields: Mapping[str, str]) -> str:
    """Return the prompt for a row: each text on its own line, the question, and "Answer:".

    Args:
        task: a key of `TABLE`.
        fields: the texts by the hub's column names; other columns are ignored. White space around a text is removed,
            and each run of white space in it becomes one space.

    Example:
        >>> print(prompt("rte", {"sentence1": "Tom snores.", "sentence2": "Tom sleeps. ", "label": 0}))
        Premise: Tom snores.
        Hypothesis: Tom sleeps.
        Does the premise imply the hypothesis?
        Answer:
    """
    subtask = TABLE[task]
    texts = (" ".join(fields[column].split()) for column in subtask.columns)
    lines = [f"{name}: {text}" for name, text in zip(subtask.text_names, texts, strict=True)]
    return "\n".join([*lines, subtask.question, "Answer:"])


def continuation(task: str, label: float) -> str:
    """Return the continuation of the prompt for a label, with its leading space.

    Args:
        task: a key of `TABLE`.
        label: the label's number; for STS-B the score, which is rounded to the nearest point of the scale.

    Example:
        >>> continuation("rte", 0), continuation("wnli", 0), continuation("mnli", 2), continuation("stsb", 3.8)
        (' yes', ' no', ' contradiction', ' 4')
    """
    return TABLE[task].continuations[math.floor(label + 0.5)]


def read_label(task: Subtask, label: Json) -> float | None:
    """Read a label of a data file: a name in `Subtask.labels` or its number; for STS-B any finite number.

    Returns:
        The label's number; None for anything else.

    Example:
        >>> rte = TABLE["rte"]
        >>> [read_label(rte, label) for label in ("not_entailment", "1", 1, 2, "yes", None)]
        [1, 1, 1, None, None, None]
        >>> [read_label(TABLE["stsb"], label) for label in ("3.800", 4, "nan")]
        [3.8, 4.0, None]
        >>> read_label(TABLE["stsb"], "1_0")  # which Python's `float` reads as ten
    """
    index = _index(label, task.labels)
    if index is not None:
        return index
    number = _number(label)
    if number is None or not task.labels:
        return number
    return int(number) if number.is_integer() and 0 <= number < len(task.labels) else None


def read_answer(task: Subtask, answer: Json) -> float | None:
    """Read an answer: a continuation of the prompt, or a label as `read_label` reads it.

    Example:
        >>> read_answer(TABLE["rte"], " yes"), read_answer(TABLE["rte"], "entailment"), read_answer(TABLE["rte"], "or")
        (0, 0, None)
    """
    index = _index(answer, [continuation.strip() for continuation in task.continuations]) if task.labels else None
    return read_label(task, answer) if index is None else index


def _index(answer: Json, choices: Sequence[str]) -> int | None:
    """Return the index of a text among choices in lower case, ignoring case and white space around it."""
    normalised = answer.strip().casefold() if isinstance(answer, str) else None
    return choices.index(normalised) if normalised in choices else None


def _number(value: Json) -> float | None:
    """Read a finite number, or a text that contains one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = real(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
