"""Read data files as rows of a declared type.

The type of a row is a `msgspec.Struct`: declared fields are checked, other fields are skipped, both at C speed and
without intermediate dicts. Every error in a file is an `InputError` that names the file, the position in it and what
was expected.

    files      read_parquet  read_tsv  digest (`json_files` reads JSON)
    folders    find  inside
    rows       unique
"""

from __future__ import annotations

import hashlib
import io
import json
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

import msgspec

from evals import regular_files
from evals.data.json_files import contents, row_at
from evals.errors import InputError, one_line, shorten

T = TypeVar("T")


# Files


def read_parquet(path: Path, kind: type[T]) -> list[T]:
    """Read a Parquet file as rows of a declared type.

    Args:
        path: the file.
        kind: a `msgspec.Struct`; only its declared columns are read.

    Raises:
        InputError: the file cannot be read, is not a Parquet file, lacks a column, or has a value of another type.
    """
    import pyarrow
    from pyarrow import parquet

    columns = [field.encode_name for field in msgspec.structs.fields(kind)]  # type: ignore[arg-type]
    try:
        file = parquet.ParquetFile(io.BytesIO(contents(path)))
        missing_columns = [name for name in columns if name not in file.schema_arrow.names]
        if missing_columns:
            raise InputError(
                f"{path} has no column {', '.join(missing_columns)}; it has {', '.join(file.schema_arrow.names)}"
            )
        rows = file.read(columns=columns).to_pylist()
        return msgspec.convert(rows, list[kind])  # type: ignore[valid-type]
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {one_line(error)}") from error
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}{row_at(rows, str(error))}") from error


def parquet_columns(path: Path) -> list[str]:
    """Return the names of a Parquet file's columns. Raises `InputError` if it is none."""
    return list(_schema(path).names)


def class_names(path: Path, column: str) -> list[str]:
    """Return the names of the classes that a column of numbers stands for, as `datasets` stores them; empty for none.

    Raises:
        InputError: the file is not a Parquet file.
    """
    try:
        stored = json.loads((_schema(path).metadata or {}).get(b"huggingface", b"{}"))
        names = stored["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def _schema(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
        assert isinstance(schema.names, list)  # decodes the names
        return schema
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {one_line(error)}") from error


def read_tsv(
    path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None, skip_short: bool = False
) -> list[tuple[int, tuple[str, ...]]]:
    r"""Read columns of a tab-separated file without quoting: a quotation mark is a character like any other.

    Args:
        path: UTF-8, with or without a byte order mark; empty lines are skipped.
        columns: the names of the columns to read.
        header: the names of all columns, for a file without a header line.
        skip_short: skip lines with too few columns, which some published training files contain.

    Returns:
        For each row, its line number (from 1) and the requested columns in the requested order.

    Raises:
        InputError: the file cannot be read, is not UTF-8, has no rows, lacks a column, or has a line with another
            number of columns.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "dev.tsv"
        >>> _ = path.write_text('\ufeffQuality\tText\n1\tHe said "yes.\n')
        >>> read_tsv(path, ["Text", "Quality"])
        [(2, ('He said "yes.', '1'))]
    """
    try:
        lines = enumerate(contents(path).decode("utf-8-sig").split("\n"), start=1)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    rows = [(number, line.rstrip("\r").split("\t")) for number, line in lines if line.rstrip("\r")]
    names = list(header) if header is not None else rows.pop(0)[1] if rows else []
    if not rows:
        raise InputError(f"{path} has no rows")
    missing_columns = [name for name in columns if name not in names]
    if missing_columns:
        raise InputError(f"{path} has no column {', '.join(missing_columns)}; it has {', '.join(names)}")
    for number, row in rows:
        if len(row) != len(names) and not (skip_short and len(row) < len(names)):
            raise InputError(f"{path}, line {number}: {len(row)} columns, expected {len(names)} ({', '.join(names)})")
    indices = [names.index(name) for name in columns]
    return [(number, tuple(row[i] for i in indices)) for number, row in rows if len(row) == len(names)]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits. Raises `InputError` if the file cannot be read."""
    try:
        with regular_files.opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


# Folders


def listing_digest(paths: Iterable[Path]) -> str:
    """Hash the names and sizes of files, for folders that are too large to read; 16 hexadecimal digits.

    The hash changes if a file is added, removed or replaced by a file of another size.
    """
    entries = sorted(f"{path.name}\0{path.stat().st_size}" for path in paths)
    return hashlib.sha256("\n".join(entries).encode()).hexdigest()[:16]


def find(folder: Path, patterns: Sequence[str], source: str) -> list[list[Path]]:
    """Find the files of a benchmark in a user's folder.

    Args:
        folder: the folder that the user gave.
        patterns: one pattern per kind of file (`*questions.json`).
        source: where the files can be downloaded, for the error message.

    Returns:
        For each pattern, the files that match, sorted; at least one.

    Raises:
        InputError: the folder does not exist, or a pattern matches no file; the message names all missing patterns.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; {source}")
    files = [sorted(path for path in folder.glob(pattern) if path.is_file()) for pattern in patterns]
    missing = [pattern for pattern, paths in zip(patterns, files, strict=True) if not paths]
    if missing:
        raise InputError(f"{folder} has no {' and no '.join(missing)}; {source}")
    return files


def inside(folder: Path, name: str) -> Path:
    """Join a folder and a file name from a data file, and check that the path stays inside the folder.

    The name is checked both as a POSIX and as a Windows path. Symbolic links in the folder are followed, since the user
    made them.

    Raises:
        InputError: the name is empty, absolute, or contains `..`, has a control character (a line break, NUL), or is
            longer than a file system allows (255 bytes for each part, 4,096 in all).

    Example:
        >>> inside(Path("images"), "val2014/1.jpg").as_posix()
        'images/val2014/1.jpg'
        >>> inside(Path("images"), "../secret.jpg")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: the file name '../secret.jpg' leaves its folder images
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise InputError(f"the file name {shorten(name)} has a control character")
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    longest = max((len(part.encode()) for part in posix.parts), default=0)
    if longest > 255 or len(name.encode()) > 4_096:
        raise InputError(f"the file name {shorten(name)} has {len(name):,} characters, more than a file system allows")
    if windows.drive or windows.root or posix.is_absolute() or ".." in windows.parts or not windows.parts:
        raise InputError(f"the file name {shorten(name)} leaves its folder {folder}")
    return folder / name


# Rows


def unique(ids: Sequence[Hashable], where: object, label: str = "id") -> None:
    """Check that no id occurs twice. Raises `InputError` with the first repeated id.

    Example:
        >>> unique([1, 2, 1], "q.json", "question_id")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: q.json: question_id 1 comes twice
    """
    if len(set(ids)) < len(ids):
        earlier: set[Hashable] = set()
        repeated = next(id for id in ids if id in earlier or earlier.add(id))  # type: ignore[func-returns-value]
        raise InputError(f"{where}: {label} {repeated} comes twice")
