r"""Read the files of GSM8K, MATH and MATH-500 (JSON Lines), and the bundled parquet files, in GSM8K's form.

    {"question": "Janet's ducks lay 16 eggs per day. …", "answer": "… \n#### 18"}
    {"problem": "How many vertical asymptotes …?", "level": "Level 3", "type": "Algebra",
     "solution": "… $\\boxed{2}$ vertical asymptotes.", "unique_id": "test/algebra/1.json"}

The gold answer of a problem is the last answer that its worked solution states.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from evals import data
from evals.errors import InputError, shorten
from evals.plain_numbers import is_real


class _Gsm8k(msgspec.Struct, frozen=True):
    question: str
    answer: str


class _Math(msgspec.Struct, frozen=True):
    problem: str
    solution: str
    unique_id: str | None = None
    level: str | int | None = None
    type: str | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Problem:
    """One problem, from any of the files."""

    id: str
    question: str
    solution: str
    gold: str
    """The answer that the solution states."""
    labels: Mapping[str, str]


def read_problems(path: Path, form: str) -> list[Problem]:
    """Read a file of problems.

    Args:
        path: a JSON Lines file, or a bundled parquet file, which is in GSM8K's form.
        form: the form in which solutions state their answers, `####` or `boxed`.

    Raises:
        InputError: the file is malformed or empty, ids are not unique, or a solution states no answer, or
            one of GSM8K an answer that is no number: its scorer would read 1 of `1/2`.
    """
    if path.suffix == ".parquet":
        rows: Sequence[_Gsm8k | _Math] = data.read_parquet(path, _Gsm8k)
        form = "####"
    else:
        rows = data.read_jsonl(path, _Gsm8k) if form == "####" else data.read_jsonl(path, _Math)
    if not rows:
        raise InputError(f"{path} has no problems")
    problems = [_problem(path, number, row, form) for number, row in enumerate(rows)]
    data.unique([problem.id for problem in problems], path)
    return problems


def _problem(path: Path, number: int, row: _Gsm8k | _Math, form: str) -> Problem:
    """Convert a row to a problem; the gold answer is the last that its solution states in the benchmark's form."""
    from evals.tasks.scoring.math_reading.answers import extract_strict  # compiles many patterns

    solution = row.answer if isinstance(row, _Gsm8k) else row.solution
    gold = extract_strict(solution, form)
    if gold is None:
        expected = "#### and the answer" if form == "####" else "\\boxed{answer}"
        raise InputError(
            f"{path}, problem {number + 1}: its solution does not end in {expected}; --columns answer=COLUMN reads a "
            f"column that holds the answer alone"
        )
    if isinstance(row, _Gsm8k):
        answer = stated_number(solution, gold.text, f"{path}, problem {number + 1}")
        return Problem(str(number), row.question, solution, answer, {})
    optional_labels = {"level": row.level, "type": row.type or row.subject}
    labels = {name: str(value) for name, value in optional_labels.items() if value is not None}
    return Problem(row.unique_id or str(number), row.problem, solution, gold.text, labels)


def stated_number(solution: str, text: str, where: str) -> str:
    """Return the number that a solution in GSM8K's form states, without commas.

    Args:
        solution: the solution, which states its answer after `####`.
        text: what is read of that answer.
        where: the problem, for messages.

    Raises:
        InputError: the answer is no number: GSM8K's scorer would read 1 of `1/2`.
    """
    answer = text.replace(",", "")
    stated = solution.rpartition("####")[2].strip().partition("\n")[0]
    if not is_real(answer) or re.search("[0-9]", stated.partition(text)[2]):
        raise InputError(f"{where}: its answer {shorten(stated)} is not a number, of which #### reads {text}")
    return answer
