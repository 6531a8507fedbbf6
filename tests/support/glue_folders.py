"""Folders of made-up GLUE rows, laid out as the official download and as the hub's data set are."""

from __future__ import annotations

from pathlib import Path

import pyarrow
from pyarrow import parquet

from evals.tasks.formats.glue import read
from evals.tasks.glue_tasks import TABLE

ROWS = 12
"""In each file."""


def official(folder: Path, rows: int = ROWS) -> Path:
    """All nine tasks in the layout of the official download, a few made-up rows each, with its oddities."""
    for task in TABLE.values():
        for split in (*task.sizes, "train"):
            path = folder / task.folder / f"{split.replace('validation', 'dev')}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            names = [*(task.header or ["index", *task.columns.values(), task.label_column])]
            lines = [] if task.header else ["\t".join(names)]
            for n in range(rows):
                texts = {column: f'"{column} {n} of {split}' for column in task.columns.values()}
                lines.append(
                    "\t".join({**texts, task.label_column: label(task, n)}.get(name, str(n)) for name in names)
                )
            path.write_text(("\ufeff" if task.name == "mrpc" else "") + "\n".join(lines) + "\n")
    return folder


def label(task, n):
    """The label of a made-up row, as the official files write it."""
    if not task.labels:
        return f"{n % 6}.250" if n % 6 < 5 else "5.000"
    number = n % len(task.labels)
    return task.labels[number] if task.name in {"mnli", "qnli", "rte"} else str(number)


def hub(source: Path, folder: Path) -> Path:
    """The rows of `official` as the hub has them, STS-B's labels as float32."""
    for task in TABLE.values():
        for split in (*task.sizes, "train"):
            rows = read(task, split, source).rows
            kind = pyarrow.int64() if task.labels else pyarrow.float32()
            columns = {column: [row.texts[column] for row in rows] for column in task.columns}
            columns |= {"label": pyarrow.array([row.label for row in rows], kind), "idx": range(100, 100 + len(rows))}
            path = folder / task.name / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(pyarrow.table(columns), path)
    return folder
