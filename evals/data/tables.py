"""Read tables of any size in pieces: CSV, TSV, JSON Lines and Parquet, a few columns by their names.

The memory does not grow with the file. The separator of a text table is found from its first line: the one of comma,
semicolon, tab and bar with which the line has the columns that are asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evals import regular_files
from evals.data.json_files import readable, stream_jsonl
from evals.errors import InputError, one_line, shorten

_SEPARATORS = ",;\t|"
_BLOCK_BYTES, _BLOCK_ROWS = 1 << 22, 1 << 16
_MAX_HEADER = 1 << 20
_JSON_SUFFIXES = frozenset((".jsonl", ".ndjson", ".json"))


def stream_table(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """Yield pieces of a table's columns, in the order of its rows.

    Args:
        path: a `.parquet` file; a `.jsonl`, `.ndjson` or `.json` file with one object per line; or a text file with a
            line of names and one separator, with or without a byte order mark, which may be a pipe.
        columns: the names of the columns to read.

    Yields:
        For each piece, one Arrow array per requested column: of texts, from text files; a missing key of a JSON object
        and null are null, and an empty cell of a text file is an empty text.

    Raises:
        InputError: the file cannot be read, lacks a column or names one twice, or a row has another number of cells.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from _stream_parquet(path, columns)
    elif suffix in _JSON_SUFFIXES:
        yield from _stream_json(path, columns)
    else:
        yield from _stream_text(path, columns)


def _stream_text(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    import pyarrow
    from pyarrow import csv as arrow_csv

    with readable(path), regular_files.opened(path, pipe=True) as raw, io.BufferedReader(raw.raw, _MAX_HEADER) as file:
        names, separator, lines = _header(path, file.peek(_MAX_HEADER)[:_MAX_HEADER], columns)
        try:
            reader = arrow_csv.open_csv(
                file,
                arrow_csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=_distinct(names), skip_rows=lines),
                arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    column_types={name: pyarrow.string() for name in columns},
                    include_columns=list(columns),
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                yield [batch.column(name) for name in columns]
        except pyarrow.ArrowException as error:
            if "Empty CSV file" in str(error):
                return
            raise InputError(f"{path} cannot be read as a table: {one_line(error)[:200]}") from error


def _header(path: Path, start: bytes, columns: Sequence[str]) -> tuple[list[str], str, int]:
    """Return the names of a text table's columns, its separator, and the number of lines up to the first row."""
    if start[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise InputError(f"{path} is in UTF-16; save it as UTF-8")
    if start[:2] == b"\x1f\x8b":
        raise InputError(f"{path} is compressed: give it as <(zcat {path})")
    first = io.StringIO(start.decode("utf-8-sig", "replace"), newline="")
    rows, lines = {}, 0
    for separator in _SEPARATORS:
        first.seek(0)
        reader = csv.reader(first, delimiter=separator)
        try:
            rows[separator] = [name.strip() for name in next((row for row in reader if row), [])]
        except csv.Error as error:
            raise InputError(f"{path} has no readable line of column names: {one_line(error)}") from error
        lines = reader.line_num

    def fit(separator: str) -> tuple[int, int]:
        return sum(name in rows[separator] for name in columns), len(rows[separator])

    best = max(_SEPARATORS, key=fit)
    names = rows[best]
    if not any(names):
        raise InputError(f"{path} has no line with the names of its columns")
    if "\N{REPLACEMENT CHARACTER}" in "".join(names) and not set(columns) <= set(names):
        raise InputError(f"{path} is not in UTF-8, as its line of column names shows; save it as UTF-8")
    _check_columns(path, names, columns)
    return names, best, lines


def _check_columns(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    for column in columns:
        if names.count(column) != 1:
            shown = ", ".join(shorten(name, 40) for name in names[:30])
            times = f"{names.count(column)} columns" if column in names else "no column"
            raise InputError(f"{path} has {times} {column!r}; its columns are {shown}")


def _distinct(names: Sequence[str]) -> list[str]:
    """Number the repeated names: a table may repeat the name of a column that nobody asks for."""
    return [name if name not in names[:index] else f"{name}\0{index}" for index, name in enumerate(names)]


def _stream_parquet(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    import pyarrow
    from pyarrow import parquet

    with readable(path), regular_files.opened(path) as stream:
        try:
            file = parquet.ParquetFile(stream)
            _check_columns(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(batch_size=_BLOCK_ROWS, columns=list(columns)):
                yield [batch.column(batch.schema.get_field_index(name)) for name in columns]
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not a readable Parquet file: {one_line(error)}") from error


def _stream_json(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    import pyarrow

    scalar = str | int | float | bool | None
    names = [f"column_{index}" for index in range(len(columns))]
    kind = msgspec.defstruct(
        "LogRow", [(name, scalar, None) for name in names], rename=dict(zip(names, columns, strict=True))
    )
    rows: list[list[str | None]] = []
    seen = [False] * len(columns)
    for _, row in stream_jsonl(path, kind):
        values = [getattr(row, name) for name in names]
        seen = [was_seen or value is not None for was_seen, value in zip(seen, values, strict=True)]
        rows.append([_as_text(value) for value in values])
        if len(rows) == _BLOCK_ROWS:
            yield [pyarrow.array(column, pyarrow.string()) for column in zip(*rows, strict=True)]
            rows = []
    if rows:
        yield [pyarrow.array(column, pyarrow.string()) for column in zip(*rows, strict=True)]
    missing = [name for name, was_seen in zip(columns, seen, strict=True) if not was_seen]
    if missing:
        known = next((row for _, row in stream_jsonl(path, dict[str, Any])), {})
        shown = ", ".join(shorten(name, 40) for name in list(known)[:30])
        raise InputError(
            f"{path} has no line with a value of {', '.join(map(repr, missing))}; its first line has {shown}"
        )


def _as_text(value: str | float | bool | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else repr(value)
