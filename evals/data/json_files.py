"""Read JSON files and JSON Lines as values of a declared type, which are decoded at C speed.

An error names the file, the position in it and what was expected. An object that gives a declared key twice is one,
since its reader would take the last of two values without a word.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import orjson

from evals import garbage, regular_files
from evals.errors import InputError
from evals.repeated_keys import RepeatedKeys
from evals.schema import Json

MAX_BYTES, MAX_LINE = 1 << 30, 1 << 28
"""Largest JSON file, and longest line of JSON Lines, in bytes: benchmarks have up to 400 MB, images up to 200 MB."""
UNREADABLE = (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError, RecursionError)

T = TypeVar("T")


def read_json(path: Path, kind: type[T]) -> T:
    r"""Read a JSON file as a value of a declared type.

    Args:
        path: UTF-8, without a byte order mark; `NaN` and `Infinity` are not JSON.
        kind: a `msgspec.Struct` or any other type that msgspec decodes; values are not converted (1.0 is not an `int`).

    Raises:
        InputError: the file cannot be read, is malformed (the message names line and column), or contains another
            type (the message names the path in the document and the ids of the row).

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "q.json"
        >>> _ = path.write_text('[{"question_id": 7,\n  "image_id": 42,}]')
        >>> read_json(path, list[dict[str, int]])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        evals.errors.InputError: .../q.json: malformed JSON at line 2, column 18: trailing comma in object
        >>> _ = path.write_text('[{"question_id": 7, "image_id": "42"}]')
        >>> read_json(path, list[dict[str, int]])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        evals.errors.InputError: .../q.json: Expected `int`, got `str` - at `$[0][...]` (question_id 7, image_id '42')
    """
    text = contents(path, limit=MAX_BYTES)
    try:
        with garbage.paused():
            value = msgspec.json.decode(text, type=kind)
        RepeatedKeys(kind).check(text, value)
    except UNREADABLE as error:
        raise InputError(f"{path}: {explain(error, text)}") from error
    return value


def read_jsonl(path: Path, kind: type[T]) -> list[T]:
    """Read a file with one JSON value per line, as in `read_json`; empty lines are skipped, errors name the line."""
    return [value for _, value in read_jsonl_lines(path, kind)]


def read_jsonl_lines(path: Path, kind: type[T]) -> list[tuple[int, T]]:
    """Read a file as in `read_jsonl`; each value comes with its line number, from 1."""
    with garbage.paused():
        return list(stream_jsonl(path, kind))


def stream_jsonl(path: Path, kind: type[T]) -> Iterator[tuple[int, T]]:
    """Yield the values of a file as in `read_jsonl_lines`, one after the other, without holding the file."""
    decode, check = msgspec.json.Decoder(kind).decode, RepeatedKeys(kind).check
    for number, line in _lines(path):
        try:
            value = decode(line)
            check(line, value)
        except UNREADABLE as error:
            raise InputError(f"{path}: {explain(error, line, number)}") from error
        yield number, value


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not empty, with their numbers; none is read that no row can be."""
    with readable(path), regular_files.opened(path) as file:
        for number in itertools.count(1):
            line = file.readline(MAX_LINE + 1)
            if len(line) > MAX_LINE:
                raise InputError(f"{path}, line {number}: it has over {MAX_LINE:,} bytes")
            if not line:
                return
            if line.strip():
                yield number, line.removesuffix(b"\n")


def contents(path: Path, limit: int = regular_files.MAX_BYTES) -> bytes:
    """Return the content of a file. Raises `InputError` if it cannot be read, or is larger than `limit`."""
    with readable(path):
        return regular_files.read(path, limit=limit)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an operating system's error about a file into an `InputError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def explain(error: Exception, text: bytes, line: int = 0) -> str:
    """Describe an error in a JSON text and its position; `line` is the line number in a file of JSON lines."""
    if isinstance(error, msgspec.ValidationError):
        row = ""
        with contextlib.suppress(*UNREADABLE):
            row = row_at(msgspec.json.decode(text), str(error))
        return f"line {line}: {error}{row}" if line else f"{error}{row}"
    reason, before = _malformed(error, text)
    breaks, column = before.count(b"\n"), len(before) - before.rfind(b"\n")
    return f"malformed JSON at line {breaks + (line or 1)}, column {column}: {reason}"


def _malformed(error: Exception, text: bytes) -> tuple[str, bytes]:
    """Return why a text is not JSON, and the text before the error."""
    if isinstance(error, orjson.JSONDecodeError):  # of a repeated key
        return error.msg, text.decode(errors="replace")[: error.pos].encode()
    try:
        text.decode()
    except UnicodeDecodeError as undecodable:
        return "not UTF-8", text[: undecodable.start]
    if text.startswith(codecs.BOM_UTF8):
        return "it begins with a byte order mark, which JSON does not allow", b""
    reason, _, position = str(error).removeprefix("JSON is malformed: ").rstrip(")").partition(" (byte ")
    return reason, text[: int(position)] if position else text


def row_at(document: Json, message: str) -> str:
    """Name the ids of the row at the path of an error (`$.questions[3].image_id`); "" if the row has no ids."""
    steps = re.findall(
        r"\.(\w+)|\[(\d+)\]|$", message.rpartition("$")[2]
    )  # the last match is empty: it checks the innermost object
    for key, index in steps:
        if isinstance(document, Mapping):
            ids = [f"{name} {value!r:.40}" for name, value in document.items() if re.search("(^|_)id$", name)]
            if ids:
                return f" ({', '.join(ids)})"
        with contextlib.suppress(LookupError, TypeError, ValueError):
            document = document[key or int(index)]
    return ""
