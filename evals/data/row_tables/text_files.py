"""Read CSV, TSV, JSON and JSON Lines exactly: a cell is the text that stands there, a JSON value is that value.

Only the place of each row is kept, on the disk if there are many; a row is read again when it is needed. Files are
UTF-8, with or without a byte order mark, with line ends of any system that ends lines with a line feed.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec

from evals import regular_files, repeated_keys
from evals.data.files import digest
from evals.data.json_files import MAX_BYTES, MAX_LINE, UNREADABLE, contents, explain
from evals.data.row_tables.row_places import RowPlaces
from evals.data.row_tables.separators import separator_of, split_line, stated_separator
from evals.data.row_tables.table import RowValues
from evals.errors import InputError, shorten
from evals.schema import Json

_ESCAPE = b"\\u"
_CELL_ERRORS = {
    "new-line": "its lines end with a carriage return alone; save it anew",
    "unexpected end of data": "a quotation mark that opens a cell is not closed",
}
_OTHER_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


@dataclass
class TextTable:
    """Rows of a text file. `read_at(start, length)` returns bytes of it, `decode` turns those of a row into values."""

    name: str
    split: str
    folder: Path | None
    facts: dict[str, Json]
    read_at: Callable[[int, int], bytes]
    decode: Callable[[bytes], RowValues] = msgspec.json.decode
    columns: tuple[str, ...] = ()
    word: str = "row"
    """What the numbers of rows count: `line` or `row`."""
    places: RowPlaces = field(default_factory=RowPlaces)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.places)

    def place(self, index: int) -> str:
        """Name a row for messages."""
        return f"{self.word} {self.number(index)}"

    def number(self, index: int) -> int:
        """Return the number of a row."""
        return self.places.number(index)

    def read(self, index: int, columns: Sequence[str]) -> RowValues:
        """Return the values of some columns of a row."""
        start, end = self.places.bounds(index)
        row = self.decode(self.read_at(start, end - start))
        return {column: row.get(column) for column in columns}

    def rows(self, columns: Sequence[str]) -> Iterator[RowValues]:
        """Return the values of some columns of all rows."""
        return (self.read(index, columns) for index in range(len(self)))

    def member(self, name: str) -> None:
        """Return None: the table is in no archive."""

    def add(self, start: int, end: int, number: int) -> None:
        """Append the place of a row."""
        self.places.append(start, end, number)


def read_text_table(path: Path, split: str) -> TextTable:
    """Read a file by the suffix of its name, `.csv`, `.tsv`, `.json` or `.jsonl`.

    Raises:
        InputError: the file cannot be read or has no rows, or a row is malformed; the message names its line.
    """
    facts: dict[str, Json] = {"files": {path.name: digest(path)}}
    try:
        stream = regular_files.opened(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    with stream:
        table = TextTable(str(path), split, path.parent, facts, _FileReader(stream))
        return index_text(table, stream, path.suffix.lower(), lambda: contents(path, limit=MAX_BYTES))


def text_table_of(content: bytes, name: str, split: str, suffix: str) -> TextTable:
    r"""Read the contents of a file that is in memory, as `read_text_table` does.

    Example:
        >>> table = text_table_of(b"Question;Answer\r\n1 + 1?;2\r\n", "q.csv", "q", ".csv")
        >>> table.columns, list(table.rows(["Answer"]))
        (('Question', 'Answer'), [{'Answer': '2'}])
    """

    def read_at(start: int, length: int) -> bytes:
        return content[start : start + length]

    return index_text(TextTable(name, split, None, {}, read_at), io.BytesIO(content), suffix, lambda: content)


class _FileReader:
    """Reads at any position of an open file, whoever else reads it; the file is open as long as the reader lives."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._descriptor = os.dup(stream.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def __call__(self, start: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, start)


def index_text(table: TextTable, stream: IO[bytes], suffix: str, whole: Callable[[], bytes]) -> TextTable:
    """Find the rows of a table and its columns. Raises `InputError` as `read_text_table`."""
    beginning = stream.read(4)
    stream.seek(0)
    for mark, encoding in _OTHER_ENCODINGS.items():
        if beginning.startswith(mark):
            raise InputError(f"{table.name} is {encoding}; save it as UTF-8")
    if suffix in {".csv", ".tsv", ".tab"}:
        _index_cells(table, stream, by_lines=suffix != ".csv")
    elif suffix == ".json":
        _index_json(table, stream, whole)
    else:
        _index_lines(table, stream)
    if not len(table):
        raise InputError(f"{table.name} has no rows")
    return table


# JSON


def _index_lines(table: TextTable, stream: IO[bytes]) -> None:
    """Find the rows of JSON Lines: one object per line; empty lines are skipped."""
    table.word, table.decode = "line", _decoded
    columns: dict[str, None] = {}
    for number, start, line in _numbered(table, stream):
        if line.strip():
            columns |= dict.fromkeys(_checked(table, line, number))
            table.add(start, start + len(line), number)
    table.columns = tuple(columns)


def _numbered(table: TextTable, stream: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Yield each line with its number and the position where it starts, without a byte order mark."""
    position, number = 0, 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise InputError(f"{table.name}, line {number}: it has over {MAX_LINE:,} bytes")
        mark = len(codecs.BOM_UTF8) if number == 1 and line.startswith(codecs.BOM_UTF8) else 0
        yield number, position + mark, line[mark:]
        position += len(line)


def _checked(table: TextTable, line: bytes, number: int) -> dict[str, Json]:
    """Decode a row of JSON Lines. Raises `InputError` if it is no object, or gives a key twice."""
    try:
        return _without_repeats(line)
    except UNREADABLE as error:
        raise InputError(f"{table.name}: {explain(error, line.rstrip(), number)}") from error


def _without_repeats(text: bytes) -> dict[str, Json]:
    """Decode an object. Raises `orjson.JSONDecodeError` if it, or an object in it, gives a key twice."""
    row = _decoded(text)
    if _ESCAPE in text or text.count(b"{") > 1 or any(text.count(b'"%s"' % key.encode()) > 1 for key in row):
        repeated_keys.check(text)
    return row


def _decoded(text: bytes) -> dict[str, Json]:
    return msgspec.json.decode(text, type=dict[str, Any])


def _index_json(table: TextTable, stream: IO[bytes], whole: Callable[[], bytes]) -> None:
    """Find the rows of a JSON file: a list of objects, an object that holds one such list, or one object per line."""
    text = whole()
    mark = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
    first = text[mark:].lstrip()[:1]
    try:
        if first == b"[":
            raw_rows = msgspec.json.decode(memoryview(text)[mark:], type=list[msgspec.Raw])
        else:
            members = msgspec.json.decode(memoryview(text)[mark:], type=dict[str, msgspec.Raw])
            lists = [name for name, value in members.items() if bytes(memoryview(value)[:1]) == b"["]
            if not lists and b"\n" not in text.strip():
                return _index_lines(table, stream)
            raw_rows = _rows_of_member(table, members, lists)
    except UNREADABLE as error:
        if first == b"{" and b"trailing characters" in str(error).encode():
            return _index_lines(table, stream)
        raise InputError(f"{table.name}: {explain(error, text[mark:])}") from error
    table.decode = _decoded
    columns: dict[str, None] = {}
    position = mark
    for number, raw in enumerate(raw_rows, start=1):
        row = bytes(raw)
        try:
            columns |= dict.fromkeys(_without_repeats(row))
        except UNREADABLE as error:
            raise InputError(f"{table.name}, row {number}: {explain(error, row)}") from error
        start = text.index(row, position)  # rows come in their order, so this is where the row stands
        position = start + len(row)
        table.add(start, position, number)
    table.columns = tuple(columns)
    return None


def _rows_of_member(table: TextTable, members: dict[str, msgspec.Raw], lists: Sequence[str]) -> list[msgspec.Raw]:
    """Return the rows of an object's only list of objects."""
    rows = {name: msgspec.json.decode(members[name], type=list[msgspec.Raw]) for name in lists}
    of_objects = [name for name, raws in rows.items() if raws and bytes(memoryview(raws[0])[:1]) == b"{"]
    if len(of_objects) == 1:
        return rows[of_objects[0]]
    raise InputError(
        f"{table.name} is an object with {', '.join(map(shorten, list(members)[:8])) or 'no keys'}; expected a list of "
        f"rows, an object that holds one list of rows, or one row per line"
    )


# Cells


def _index_cells(table: TextTable, stream: IO[bytes], *, by_lines: bool) -> None:
    """Find the rows of a file of cells; `by_lines` for TSV, where no cell has a line break."""
    csv.field_size_limit(MAX_LINE)
    positions = _Positions(table, stream)
    stated = stated_separator(next(iter(positions.peek(1)), ""))
    if stated is not None and not by_lines:
        next(positions)
    separator = "\t" if by_lines else stated or separator_of(*positions.peek(2))
    records = (split_line(line) for line in positions) if by_lines else csv.reader(
        positions, delimiter=separator, strict=True
    )  # fmt: skip
    names: list[str] = []
    try:
        names = [name.strip() for name in next(iter(records), [])]
        repeated = next((name for name in names if name and names.count(name) > 1), None)
        if repeated is not None:
            raise InputError(f"{table.name} has two columns named {shorten(repeated)}")
        start, first_line = positions.end, positions.line + 1
        for cells in records:
            if cells and any(cells):
                if len(cells) != len(names):
                    raise InputError(
                        f"{table.name}, line {first_line}: {len(cells)} columns, expected {len(names)} "
                        f"({', '.join(names)}), separated by {separator!r}"
                    )
                table.add(start, positions.end, len(table) + 1)
            start, first_line = positions.end, positions.line + 1
    except csv.Error as error:
        reason = next((reason for word, reason in _CELL_ERRORS.items() if word in str(error)), error)
        raise InputError(f"{table.name}, line {first_line if names else 1}: {reason}") from error
    table.columns = tuple(names)
    table.decode = _CellDecoder(tuple(names), separator, by_lines)


class _Positions:
    """The lines of a file as texts, and how far they have been read."""

    def __init__(self, table: TextTable, stream: IO[bytes]) -> None:
        self._name = table.name
        self._lines = _numbered(table, stream)
        self._ahead: list[tuple[int, int, bytes]] = []
        self.end, self.line = 0, 0

    def peek(self, count: int) -> list[str]:
        """Return the next lines, which stay the next ones."""
        while len(self._ahead) < count and (line := next(self._lines, None)) is not None:
            self._ahead.append(line)
        return [self._decoded(number, line) for number, _, line in self._ahead[:count]]

    def __iter__(self) -> _Positions:
        return self

    def __next__(self) -> str:
        self.line, start, line = self._ahead.pop(0) if self._ahead else next(self._lines)
        self.end = start + len(line)
        return self._decoded(self.line, line)

    def _decoded(self, number: int, line: bytes) -> str:
        if b"\0" in line:
            place = f"{self._name}, line {number}"
            raise InputError(f"{place}: a NUL character, which no text has; is it UTF-16? then save it as UTF-8")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._name}, line {number}: not UTF-8 at byte {error.start + 1} of the line; save it as UTF-8"
            ) from error


@dataclass(frozen=True)
class _CellDecoder:
    """Turns the bytes of a row into its cells by column; an empty cell is a missing value."""

    names: tuple[str, ...]
    separator: str
    by_lines: bool

    def __call__(self, text: bytes) -> RowValues:
        if self.by_lines:
            cells = split_line(text.decode())
        else:
            reader = csv.reader(io.StringIO(text.decode(), newline=""), delimiter=self.separator, strict=True)
            cells = next(cells for cells in reader if cells)
        return {name: cell or None for name, cell in zip(self.names, cells, strict=True)}
