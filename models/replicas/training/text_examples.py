"""Training examples from mini GLUE and mini math: the prompt of a row, in the task's own words, and its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evals.tasks.glue_tasks import continuation, prompt
from evals.tasks.math import INSTRUCTIONS
from evals.tasks.math import prompt as math_prompt
from evals.tasks.mini import math
from evals.tasks.mini.glue import TABLE, row

GLUE_TASKS = tuple(TABLE)
TEXT_TASKS = (*GLUE_TASKS, "math")

EVALUATION_SPLIT = "validation watched"
"""Stream for evaluation during training: drawn like the bundled validation splits, but with none of their rows."""

SUMS = "sums"
"""Task name of examples that hold a single sum of a mathematical problem."""
FIRST_SUMS_PROBLEM = 1_000_000_000
"""Number of the first problem of which only the sums are used."""

SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


class TextExample(NamedTuple):
    """A prompt and the answer to it."""

    task: str
    """One of `TEXT_TASKS`, or `SUMS`."""
    prompt: str
    answer: str
    """A label or a worked solution, with the space before it."""


def text_example(task: str, split: str, index: int) -> TextExample:
    """Make one example, worded exactly as the task's zero-shot prompt at evaluation.

    Args:
        task: One of `TEXT_TASKS`.
        split: As in `glue.row` and `math.problem`.
        index: The row's number, from 0.
    """
    if task == "math":
        problem = math.problem(split, index)
        return TextExample(task, INSTRUCTIONS["####"] + math_prompt(problem.question), f" {problem.answer}")
    columns = row(task, split, index)
    texts = {column: str(columns[column]) for column in TABLE[task].columns}
    return TextExample(task, prompt(task, texts), continuation(task, float(columns["label"])))


@dataclass(frozen=True)
class TextPortions:
    """How many text examples a step has, over all processes."""

    rows: int
    """Rows of each GLUE task."""
    easy: int = 0
    """In the first `easy` steps, twice as many rows are drawn and the shorter half is used."""
    problems: int = 0
    """Mathematical problems."""
    drill: int = 0
    """Further mathematical problems of which only the sums are used."""


def step_examples(portions: TextPortions, processes: int, step: int, rank: int) -> list[TextExample]:
    """Make the examples that one process learns from in one step; the result depends only on the arguments.

    Args:
        portions: How many examples all processes get.
        processes: Number of processes.
        step: Number of the step, from 0.
        rank: Number of the process, from 0.
    """
    examples: list[TextExample] = []
    for task in TEXT_TASKS:
        share = (portions.problems if task == "math" else portions.rows) // processes
        drawn = 2 * share if step < portions.easy else share
        first = (step + min(step, portions.easy)) * processes * share + rank * drawn
        candidates = [text_example(task, "train", index) for index in range(first, first + drawn)]
        examples += sorted(candidates, key=lambda example: len(example.prompt) + len(example.answer))[:share]
    share = portions.drill // processes
    first = FIRST_SUMS_PROBLEM + (step * processes + rank) * share
    return examples + [example for index in range(first, first + share) for example in sum_examples(index)]


def sum_examples(index: int) -> list[TextExample]:
    """Make one example of each sum of a training problem, except sums whose numbers are reserved for validation."""
    problem = math.problem("train", index)
    return [
        TextExample(SUMS, f" {first} {sign} {second} =", f" {result}")
        for first, sign, second, result in SUM.findall(problem.answer)
        if not math.are_held_out((int(first), int(second)))
    ]


def evaluation_examples(number: int, tasks: Sequence[str] = TEXT_TASKS) -> list[TextExample]:
    """Make `number` examples of each task for evaluation during training."""
    return [text_example(task, EVALUATION_SPLIT, index) for task in tasks for index in range(number)]


def tokenizer_texts(tasks: Sequence[str], number: int) -> Iterator[str]:
    """Make texts to train a tokenizer on: `number` examples of each task.

    MNLI's second genre is included, so that its words are single tokens as well.
    """
    for task in tasks:
        splits = ("train", "train", "validation_mismatched watched") if task == "mnli" else ("train",)
        for position, split in enumerate(splits):
            for index in range(number):
                example = text_example(task, split, 10_000_000 * (1 + position) + index)
                yield f"{example.prompt}{example.answer}"
