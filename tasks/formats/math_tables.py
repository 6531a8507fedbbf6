"""Read word problems from a user's table: the question with a worked solution, or with the answer alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evals import data
from evals.data.row_tables import RowField, match_columns, open_table
from evals.errors import InputError, shorten
from evals.plain_numbers import is_real
from evals.schema import Json, Options
from evals.tasks.formats.math import Problem, stated_number
from evals.tasks.formats.own_tables import FieldRow, OwnTable, is_own, open_rows, open_train

FIELDS = (
    RowField("question", ("problem", "text", "prompt", "query", "input"), required=True),
    RowField("solution", ("rationale", "explanation", "worked_solution", "reasoning")),
    RowField("answer", ("target", "final_answer", "gold", "label", "expected", "output")),
    RowField("id", ("unique_id", "problem_id", "question_id", "qid", "uid")),
    RowField("level", ("difficulty",)),
    RowField("type", ("subject", "topic", "category")),
)


@dataclass(frozen=True)
class ProblemTable:
    """The problems of a user's table."""

    problems: list[Problem]
    train: list[Problem] | None
    """Those of its split `train`, if examples need them."""
    facts: dict[str, Json]


def is_table(options: Options, form: str) -> bool:
    """Return whether the user's data are a table and no official file.

    Args:
        options: the options of the run.
        form: the form of answers, `####` or `boxed`.
    """
    if not is_own(options):
        return False
    if options.columns is not None or options.data is None:
        return True
    official = {".jsonl": {"question", "answer"} if form == "####" else {"problem", "solution"}}
    if form == "####":
        official[".parquet"] = {"question", "answer"}
    columns = official.get(options.data.suffix)
    return columns is None or not columns <= {*open_table(options.data).columns}


def read(form: str, options: Options) -> ProblemTable:
    """Read the problems of a user's table.

    Args:
        form: the form in which answers are stated, `####` or `boxed`.
        options: the options of the run.

    Raises:
        InputError: a field has no column, a row has no question or states no answer, or ids are not unique; the
            message names the row. There is no split `train`, and examples need it.
    """
    assert options.data is not None, "the table is named by it"
    source = open_rows(FIELDS, options.data, options.split, options.columns)
    if not {"solution", "answer"} & source.match.columns.keys():
        columns = ", ".join(source.table.columns)
        raise InputError(f"{source.table.name} has no column for solution or answer; its columns are {columns}: choose "
                         f"one with --columns answer=COLUMN")  # fmt: skip
    problems = _problems(source, form)
    data.unique([problem.id for problem in problems], source.table.name)
    if not options.shots:
        return ProblemTable(problems, None, source.facts)
    train = open_train(FIELDS, options, source, f"--shots {options.shots}")
    return ProblemTable(problems, _problems(train, form), source.facts | {"examples": train.table.facts})


def read_subjects(paths: Sequence[Path], form: str) -> list[Problem]:
    """Read the problems of MATH as the hub has them: a Parquet file for each subject, in a folder of its name.

    Args:
        paths: the files.
        form: the form in which answers are stated.

    Returns:
        The problems by subject, in the order of their files. The id is `<subject>/<number in the file, from 0>`, as
        these files have no `unique_id`.

    Raises:
        InputError: a file is no such table, or a solution states no answer.
    """
    problems = []
    for path in sorted(paths):
        source = OwnTable(table := open_table(path), match_columns(FIELDS, table, "question=problem,solution=solution"))
        for row in source:
            problem = _problem(row, form, number=row.index)
            problems.append(replace(problem, id=f"{path.parent.name}/{row.index}"))
    return problems


def _problems(source: OwnTable, form: str) -> list[Problem]:
    return [_problem(row, form, number=source.table.number(row.index)) for row in source]


def _problem(row: FieldRow, form: str, *, number: int) -> Problem:
    solution, gold = _answer(row, form)
    labels = {name: text for name in ("level", "type") if (text := row.optional_text(name))}
    return Problem(row.optional_text("id") or str(number), row.text("question"), solution, gold, labels)


def _answer(row: FieldRow, form: str) -> tuple[str, str]:
    """Return the worked solution of a row and its answer: what the solution states, or else the field `answer`."""
    from evals.tasks.scoring.math_reading.answers import extract_strict  # compiles many patterns

    for field in ("solution", "answer"):
        text = row.optional_text(field) or ""
        stated = extract_strict(text, form)
        if stated is not None:
            return text, stated_number(text, stated.text, row.place) if form == "####" else stated.text
    answer = (row.optional_text("answer") or "").strip()
    if not answer:
        expected = "#### and the answer" if form == "####" else "\\boxed{answer}"
        raise InputError(f"{row.place}: no answer: its solution does not end in {expected}, and answer is missing")
    gold = answer.replace(",", "") if form == "####" else answer
    if form == "####" and not is_real(gold):
        raise InputError(
            f"{row.place}: the answer {shorten(answer, 40)} is not a number, which this benchmark's answers are; "
            f"math/math reads formulas"
        )
    statement = f"#### {answer}" if form == "####" else f"\\boxed{{{answer}}}"
    steps = row.optional_text("solution")
    return f"{steps}\n{statement}" if steps else statement, gold
