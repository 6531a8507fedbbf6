"""Write a task file to begin with: commented, with data beside it, so that it runs at once."""

from __future__ import annotations

import re
from pathlib import Path

from evals.errors import InputError, shorten

_TASK = """\
# A task without code: https://… for your colleagues, and what it measures. Every key is in docs/writing-a-task.md.
#
#     python -m evals run --model r1 --task ./{name}.yaml
#
name: {name}
summary: capitals of countries
version: 1                    # raise it whenever a score may change

# Where the rows are: a table beside this file (CSV, JSON, Parquet, …), or hf:ORG/NAME#CONFIG. --data takes its place.
data: {name}.jsonl
split: {name}                 # of one file, its name; of a folder or a data set of the hub, test, validation, …

# What the model reads, in Jinja. The columns of a row are its variables; row["A column"] is one of another spelling.
prompt: |
  Question: What is the capital of {{{{ country }}}}?
  Answer:

# The right answer, as an expression: a column, a list of which any is right, or for choices an index from 0 or a label.
target: capital

# generate: a text is written, and an answer is read from it. choose: the likeliest of the choices; see below.
ask: generate
max_new_tokens: 16
stop: ["\\n"]
answer:
  read: exact                 # exact, contains, letter, number, math, regex (with pattern:), label
metrics: [accuracy, contains]

# Metrics by subset, and rows that are not independent of each other (questions about one passage):
subset: continent
# cluster: country
# average: subsets            # each subset weighs the same; without it, each row does

# Multiple choice, in place of the keys above:
# ask: choose
# choices: choices            # a column with a list; or the texts, the same for all rows: [yes, no]
# continuation: " {{{{ choice }}}}"
# normalise: characters

# Examples before each question, from another split:
# examples: {{split: train, count: 5, order: random, answer: " {{{{ capital }}}}"}}
"""
_ROWS = """\
{"country": "Peru", "capital": "Lima", "continent": "America"}
{"country": "Kenya", "capital": "Nairobi", "continent": "Africa"}
{"country": "Mexico", "capital": ["Mexico City", "Ciudad de México"], "continent": "America"}
"""


def write_start(name: str, folder: Path) -> tuple[Path, Path]:
    """Write `NAME.yaml` and its rows, `NAME.jsonl`.

    Returns:
        The two files.

    Raises:
        InputError: the name has other characters than letters, digits, `.`, `-` and `_`, a file of the name exists, or
            it cannot be written.
    """
    if re.fullmatch(r"\w[\w.-]*", name) is None:
        raise InputError(f"new-task {shorten(name)}: a name has letters, digits, . - _, and is no path")
    paths = folder / f"{name}.yaml", folder / f"{name}.jsonl"
    for path, text in zip(paths, (_TASK.format(name=name), _ROWS), strict=True):
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise InputError(f"{path} exists; remove it, or choose another name") from error
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return paths
