"""Read the rows of a GLUE task from the bundled files, the official files or the hub's files.

The official files (`CoLA/dev.tsv`) are tab-separated without quoting: MRPC's contain unpaired quotation marks and start
with a byte order mark. Columns are found by name, because some copies lack a few. The hub's files
(`cola/validation-00000-of-00001.parquet`) have the same rows in the same order, MRPC's with spaces around punctuation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from evals import data, regular_files
from evals.errors import InputError, shorten
from evals.schema import Json
from evals.tasks.glue_tasks import HIGHEST, TABLE, Subtask, read_label
from evals.tasks.mini import BUNDLED

MINI = BUNDLED / "glue"
_INDEX = "index"
"""Column of the rows' numbers in official files; CoLA and SST-2 have it in the test file only."""
WHERE = (
    "GLUE is at https://gluebenchmark.com/tasks (CoLA/dev.tsv, …) and https://huggingface.co/datasets/nyu-mll/glue "
    "(cola/validation-00000-of-00001.parquet, …): put the folders into one and name that with --data; "
    "a table of another form is read with --columns"
)


class GlueRow(NamedTuple):
    """A row of any of the nine tasks."""

    texts: Mapping[str, str]
    """The texts, by the hub's column names."""
    label: float | None
    """The number of the label, or STS-B's score; None in a split whose labels are secret."""


class GlueSplit(NamedTuple):
    """The rows of one split of one task."""

    rows: list[GlueRow]
    kind: str
    """`bundled`, `official files` or `hub files`."""
    files: list[Path]


def read(task: Subtask, split: str, folder: Path | None) -> GlueSplit:
    """Read a split.

    Args:
        task: one of the nine.
        split: the hub's name: `train`, `validation`, `test`, and for MNLI `validation_matched`, `test_mismatched`, ….
        folder: a folder that contains a folder for each task, or the folder of this task; None for the bundled rows.

    Raises:
        InputError: the file is missing or malformed, lacks a column, has no rows, or has a label that is not one of the
            task's; the message names the file and the line.
    """
    kind, files = _find(task, split, folder)
    rows = [row for path in files for row in (_tsv if path.suffix == ".tsv" else _parquet)(task, path, split)]
    if not rows:
        raise InputError(f"{files[0]} has no rows")
    unlabelled = [index for index, row in enumerate(rows) if row.label is None]
    if unlabelled and (len(unlabelled) < len(rows) or split == "train"):
        raise InputError(
            f"{files[0]}: {len(unlabelled)} of {len(rows)} rows have no label (the first is row {unlabelled[0]}); a "
            "split has all of its labels, or none for a submission"
        )
    return GlueSplit(rows, kind, files)


def has_split(task: Subtask, split: str, folder: Path | None) -> bool:
    """Return whether the files of a split are there; bundled rows always are."""
    return folder is None or bool(_files(task, split, folder)[1])


def _find(task: Subtask, split: str, folder: Path | None) -> tuple[str, list[Path]]:
    """Return the kind and the paths of the files of a split."""
    if folder is None:
        path = MINI / f"{task.name}-{split}.parquet"
        if not path.is_file():
            raise InputError(f"the bundled rows of {task.name} have no split {split!r}; {WHERE}")
        return "bundled", [path]
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; {WHERE}")
    kind, files = _files(task, split, folder)
    if not files:
        official, hub = _names(split)
        raise InputError(f"{folder} has no {task.folder}/{official} and no {task.name}/{hub}; {WHERE}")
    return kind, files


def _names(split: str) -> tuple[str, str]:
    """Return the names of a split's files: the official one, and the pattern of the hub's."""
    return f"{split.replace('validation', 'dev')}.tsv", f"{split}-*.parquet"


def _files(task: Subtask, split: str, folder: Path) -> tuple[str, list[Path]]:
    """Return the kind and the paths of the files of a split in a folder; no paths if they are not there."""
    official, hub = _names(split)
    other_folders = {name for other in TABLE.values() if other is not task for name in (other.folder, other.name)}
    for candidate in (
        folder / task.folder,
        folder / task.name,
        *([folder] if folder.name not in other_folders else []),
    ):
        if (candidate / official).is_file():
            return "official files", [candidate / official]
        if paths := sorted(candidate.glob(hub)):
            return "hub files", paths
    return "", []


def _tsv(task: Subtask, path: Path, split: str) -> Iterator[GlueRow]:
    # CoLA's dev and train files have no header, its test file has one; test files have no labels.
    header = None if split.startswith("test") else task.header or None
    names = header or _first_line(path)
    labelled = not split.startswith("test") or task.label_column in names
    columns = [*task.columns.values(), *([task.label_column] if labelled else [])]
    numbered = _INDEX in names and split != "train"
    # A few lines of QQP's published train.tsv are broken; the hub's copy omits them too.
    if numbered:
        columns.insert(0, _INDEX)
    rows = data.read_tsv(path, columns, header=header, skip_short=split == "train")
    for position, (number, row) in enumerate(rows):
        if numbered:
            index, row = row[0], row[1:]
            if index.strip() != str(position):  # predictions name rows by it
                raise InputError(
                    f"{path}, line {number}: index is {shorten(index)}, expected {position}: the rows of a split are "
                    f"numbered from 0 in their order"
                )
        texts = dict(zip(task.columns, row, strict=False))
        yield GlueRow(texts, row_label(task, row[-1], f"{path}, line {number}") if labelled else None)


def _first_line(path: Path) -> list[str]:
    try:
        with regular_files.opened(path) as file:
            return file.readline().decode("utf-8-sig", errors="replace").rstrip("\r\n").split("\t")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _parquet(task: Subtask, path: Path, split: str) -> Iterator[GlueRow]:
    labelled = not split.startswith("test") or "label" in data.parquet_columns(path)
    fields: list[tuple[str, Any]] = [(column, str) for column in task.columns]
    fields += [("label", int | float | str | None)] if labelled else []
    names = data.class_names(path, "label")
    for number, row in enumerate(data.read_parquet(path, msgspec.defstruct("Row", fields))):
        texts = {column: getattr(row, column) for column in task.columns}
        label = getattr(row, "label", None)
        yield GlueRow(texts, row_label(task, _named(label, names, path, task), f"{path}, row {number}"))


def _named(label: Json, names: Sequence[str], path: Path, task: Subtask) -> Json:
    """Return the name of a class that a file stores by its number, if the file names its classes as the task does."""
    if not names or isinstance(label, str) or label is None or not 0 <= label < len(names):
        return label
    numbers = [read_label(task, name) for name in names]
    if sorted(number for number in numbers if number is not None) == list(range(len(task.labels))):
        return names[int(label)]
    raise InputError(f"{path} names its labels {', '.join(names)}; the task's are {', '.join(task.labels)}")


def row_label(task: Subtask, label: Json, where: str) -> float | None:
    """Read the label of a row; None if it is secret, which files write as -1."""
    number = read_label(task, label)
    if label is None or str(label).strip() in {"-1", "-1.0"}:
        return None
    if task.labels and number is None:
        allowed = ", ".join(f"{number} ({name})" for number, name in enumerate(task.labels))
        raise InputError(f"{where}: the label is {label!r:.40}, expected one of {allowed}")
    if number is None or (not task.labels and not 0 <= number <= HIGHEST):
        raise InputError(f"{where}: the score is {label!r:.40}, expected a number from 0 to {HIGHEST}")
    return number
