"""Read JSON of a stranger: one line for what is damaged, with its place, and numbers that JSON does not have."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from evals import regular_files
from evals.errors import InputError, one_line
from evals.schema import Json


def parse(text: bytes, where: str) -> Any:
    """Parse one JSON text; `NaN` and `Infinity`, which Python's own writer makes, are read.

    Raises:
        InputError: the text is malformed.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in text and b"Infinity" not in text:
            raise InputError(f"{where} is no JSON: {one_line(error)}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is no JSON: {one_line(error)}") from error


def read(path: Path) -> Any:
    """Parse a JSON file. Raises `InputError` if it cannot be read or is malformed."""
    try:
        content = regular_files.read(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return parse(content.removeprefix(b"\xef\xbb\xbf"), str(path))


def read_object(path: Path) -> dict[str, Json]:
    """Parse a JSON file that holds one object. Raises `InputError` if it does not."""
    value = read(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}, expected a JSON object")
    return value


def lines(path: Path) -> Iterator[tuple[int, dict[str, Json]]]:
    """Yield number and object of each line of a JSON Lines file, one by one.

    Raises:
        InputError: a line is malformed or no object.
    """
    try:
        with regular_files.opened(path) as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                value = parse(line.removeprefix(b"\xef\xbb\xbf"), f"{path}, line {number},")
                if not isinstance(value, dict):
                    raise InputError(f"{path}, line {number}, holds a {type(value).__name__}, expected a JSON object")
                yield number, value
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def number(value: Json) -> float | None:
    """Return a finite number, also one written as text or as a truth value; None for anything else.

    Example:
        >>> number("-43.8"), number(True), number("N/A"), number([1])
        (-43.8, 1.0, None, None)
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool | int | float) and abs(value) < 1e300 and math.isfinite(value):
        return float(value)
    return None


def text(value: Json) -> str | None:
    """Return a text that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None


def mapping(value: Json) -> Mapping[str, Json]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}
