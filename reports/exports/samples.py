"""Export the samples of a run as a table: Parquet, CSV or JSON lines.

One row per sample: what the model was asked and read, what it wrote and thought, what was read from it, and the score.
Columns of a group have its name before them: `value: accuracy`, `label: answer type`, `cost: seconds`, `reported: acc`.
The column `part` says which samples of its split a run has that has not all of them, or that it stopped early.
Lists and objects (the ten answers of VQA) are JSON texts. The log is read twice, line by line: once for the columns.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.prefixes import PrefixReader
from evals.records.types import SampleRecord
from evals.reports.rendering.formatting import json_text
from evals.reports.rendering.table_formats import inert
from evals.reports.runs.early.parts import part
from evals.reports.runs.naming import labels_of
from evals.schema import Json
from evals.temporaries import writing_atomically

_ROWS = 2048
"""Rows that are held in memory."""
_TEXTS = (
    "task", "model", "id", "prompt", "read", "output", "thought", "answer", "target", "failure", "cluster", "scores",
)  # fmt: skip
_FLAGS = ("failed", "truncated", "truncated_thinking", "long_prompt")

Cells = dict[str, Json]


def export(record: Record, format: str, path: Path) -> int:
    """Write the samples of a finished run to a file, whole or not at all.

    Args:
        record: a finished run.
        format: `parquet`, `csv` or `jsonl`.
        path: the file; an existing one is replaced.

    Returns:
        The number of rows.

    Raises:
        InputError: the run has no samples, or the file cannot be written.
        RecordError: the run is not finished, or a file of it is damaged.
    """
    record.finished()
    columns = _columns(record)
    if not columns:
        raise InputError(f"{record.folder} has no samples to export: its log holds metrics only")
    with writing_atomically(path) as file:
        return FORMATS[format](columns, _rows(record), file)


def _columns(record: Record) -> dict[str, type]:
    """Return the columns of all samples with their types, in the order of printing."""
    groups: dict[str, dict[str, None]] = {"label": {}, "value": {}, "reported": {}, "cost": {}}
    has_rows = False
    for row in record.samples():
        has_rows = True
        for group, entries in _groups(row).items():
            groups[group].update(dict.fromkeys(entries))
    if not has_rows:
        return {}
    columns: dict[str, type] = {
        "index": int,
        **({"part": str} if part(record) else {}),
        **dict.fromkeys(_TEXTS, str),
        **dict.fromkeys(_FLAGS, bool),
    }
    for group, names in groups.items():
        columns |= {f"{group}: {name}": str if group == "label" else float for name in names}
    return columns


def _groups(row: SampleRecord) -> dict[str, Mapping[str, Json]]:
    return {"label": labels_of(row), "value": row.values, "reported": row.reported or {}, "cost": row.cost}


def _rows(record: Record) -> Iterator[Cells]:
    reader, manifest = PrefixReader(record.folder), record.manifest
    for row in record.samples():
        inputs = [entry for entry in row.inputs or () if entry is not None]
        read = [reader.whole(entry).text for entry in inputs]
        cells: Cells = {
            "index": row.index, "part": part(record) or None,
            "task": manifest.task.name, "model": manifest.model_name, "id": row.id,
            "prompt": row.prompt, "read": _text(read[0] if len(read) == 1 else read or None),
            "output": _text(row.output), "thought": _text(row.thought), "answer": _text(row.answer),
            "target": _text(row.target), "failure": row.failure, "cluster": row.cluster or None,
            "scores": _text(row.scores if any(row.scores) else None), "failed": row.failed,
            "truncated": row.truncated, "truncated_thinking": row.truncated_thinking,
            "long_prompt": row.long_prompt,
        }  # fmt: skip
        for group, entries in _groups(row).items():
            convert: Callable[[Json], Json] = str if group == "label" else float
            cells |= {f"{group}: {name}": convert(value) for name, value in entries.items()}
        yield cells


def _text(value: Json) -> str | None:
    return None if value is None else json_text(value)


def _jsonl(columns: Mapping[str, type], rows: Iterator[Cells], file: BinaryIO) -> int:
    count = 0
    for cells in rows:
        count += 1
        stated = {name: cells[name] for name in columns if cells.get(name) is not None}
        file.write(json.dumps(stated, ensure_ascii=False).encode(errors="surrogatepass") + b"\n")
    return count


def _csv(columns: Mapping[str, type], rows: Iterator[Cells], file: BinaryIO) -> int:
    """Write comma-separated values; a text that a spreadsheet would compute gets an apostrophe before it."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # with "\n" a lone "\r" in a text would not be quoted
    writer.writerow(columns)
    count = 0
    for cells in rows:
        count += 1
        values = (cells.get(name) for name in columns)
        writer.writerow([inert(value) if isinstance(value, str) else value for value in values])
    text.detach()
    return count


def _parquet(columns: Mapping[str, type], rows: Iterator[Cells], file: BinaryIO) -> int:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    types = {str: arrow.string(), float: arrow.float64(), bool: arrow.bool_(), int: arrow.int64()}
    schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()])
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        batch: list[Cells] = []
        for cells in rows:
            count += 1
            batch.append({name: cells.get(name) for name in columns})
            if len(batch) == _ROWS:
                writer.write_table(arrow.Table.from_pylist(batch, schema))
                batch.clear()
        if batch:
            writer.write_table(arrow.Table.from_pylist(batch, schema))
    return count


FORMATS: Mapping[str, Callable[[Mapping[str, type], Iterator[Cells], BinaryIO], int]] = {
    "parquet": _parquet,
    "csv": _csv,
    "jsonl": _jsonl,
}
