"""The rows of mini GLUE and mini math as a model is asked them, with the answer: what the replicas learn from."""

from __future__ import annotations

from typing import NamedTuple

from evals.tasks.glue_tasks import continuation, prompt
from evals.tasks.math import INSTRUCTIONS
from evals.tasks.math import prompt as math_prompt
from evals.tasks.mini import math
from evals.tasks.mini.glue import TABLE, row

TASKS = (*TABLE, "math")


class Lesson(NamedTuple):
    """What is read, and what is answered to it."""

    task: str
    asked: str
    answer: str
    """With the space before it; a label, or a worked solution."""


def lesson(task: str, split: str, index: int) -> Lesson:
    """Make one lesson, in exactly the words in which the task asks at evaluation, without examples.

    Args:
        task: One of `TASKS`.
        split: As in `glue.row` and `math.problem`.
        index: The row's number, from 0.
    """
    if task == "math":
        problem = math.problem(split, index)
        return Lesson(task, INSTRUCTIONS["####"] + math_prompt(problem.question), f" {problem.answer}")
    made = row(task, split, index)
    texts = {column: str(made[column]) for column in TABLE[task].columns}
    return Lesson(task, prompt(task, texts), continuation(task, float(made["label"])))
