"""The rows of a GLUE task: bundled, of the official files, or of the hub's.

The official files (`CoLA/dev.tsv`) are tab-separated and quote nothing: MRPC's are full of single quotation marks, and
begin with a byte order mark. Their columns are found by name, so it does not matter that some copies lack a few. The
hub's (`cola/validation-00000-of-00001.parquet`) hold the same rows in the same order, MRPC's with spaces around marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from evals import data
from evals.errors import InputError
from evals.schema import Json
from evals.tasks.glue_tasks import HIGHEST, TABLE, Subtask, read_label
from evals.tasks.mini import BUNDLED

MINI = BUNDLED / "glue"
WHERE = (
    "GLUE is at https://gluebenchmark.com/tasks (CoLA/dev.tsv, …) and https://huggingface.co/datasets/nyu-mll/glue "
    "(cola/validation-00000-of-00001.parquet, …): put the folders into one and name that with --data"
)


class GlueRow(NamedTuple):
    """A row of any of the nine tasks."""

    texts: Mapping[str, str]
    """By the hub's column names."""
    label: float
    """Its number, or STS-B's score."""


class GlueSplit(NamedTuple):
    """One split of one task, read."""

    rows: list[GlueRow]
    kind: str
    """`bundled`, `official files` or `hub files`."""
    files: list[Path]


def read(task: Subtask, split: str, folder: Path | None) -> GlueSplit:
    """Read a split.

    Args:
        task: one of the nine.
        split: as the hub calls it: `train`, `validation`, `validation_matched`, `validation_mismatched`.
        folder: with a folder for each task, or itself the folder of this task; None for the bundled rows.

    Raises:
        InputError: there is no such file, it is malformed, lacks a column, has no rows, or a label is none of the
            task's; names the file and the line.
    """
    kind, files = _find(task, split, folder)
    rows = [row for path in files for row in (_tsv if path.suffix == ".tsv" else _parquet)(task, path, split)]
    if not rows:
        raise InputError(f"{files[0]} has no rows")
    return GlueSplit(rows, kind, files)


def _find(task: Subtask, split: str, folder: Path | None) -> tuple[str, list[Path]]:
    """Find the files of a split, and say what kind they are."""
    if folder is None:
        return "bundled", [MINI / f"{task.name}-{split}.parquet"]
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; {WHERE}")
    official, hub = f"{split.replace('validation', 'dev')}.tsv", f"{split}-*.parquet"
    others = {name for other in TABLE.values() if other is not task for name in (other.folder, other.name)}
    for place in (folder / task.folder, folder / task.name, *([folder] if folder.name not in others else [])):
        if (place / official).is_file():
            return "official files", [place / official]
        if found := sorted(place.glob(hub)):
            return "hub files", found
    raise InputError(f"{folder} has no {task.folder}/{official} and no {task.name}/{hub}; {WHERE}")


def _tsv(task: Subtask, path: Path, split: str) -> Iterator[GlueRow]:
    columns = [*task.columns.values(), task.label_column]
    # A few lines of QQP's published train.tsv are broken; the hub's copy leaves them out too.
    rows = data.read_tsv(path, columns, header=task.header or None, skip_short=split == "train")
    for number, (*texts, label) in rows:
        yield GlueRow(dict(zip(task.columns, texts, strict=True)), _label(task, label, f"{path}, line {number}"))


def _parquet(task: Subtask, path: Path, split: str) -> Iterator[GlueRow]:
    fields = [*((column, str) for column in task.columns), ("label", int if task.labels else float)]
    for number, row in enumerate(data.read_parquet(path, msgspec.defstruct("Row", fields))):
        texts = {column: getattr(row, column) for column in task.columns}
        yield GlueRow(texts, _label(task, row.label, f"{path}, row {number}"))  # type: ignore[attr-defined]


def _label(task: Subtask, label: Json, where: str) -> float:
    number = read_label(task, label)
    if task.labels and number is None:
        allowed = ", ".join(f"{number} ({name})" for number, name in enumerate(task.labels))
        raise InputError(f"{where}: the label is {label!r:.40}, expected one of {allowed}")
    if number is None or (not task.labels and not 0 <= number <= HIGHEST):
        raise InputError(f"{where}: the score is {label!r:.40}, expected a number from 0 to {HIGHEST}")
    return number if task.labels else round(number, 3)  # the hub's are float32: 3.799999952 for 3.8
