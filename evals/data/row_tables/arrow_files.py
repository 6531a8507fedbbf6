"""Read Parquet, Arrow and saved data sets through the library `datasets`, memory-mapped.

A Parquet file of some size is converted once into Arrow in `$EVALS_CACHE/tables/<digest>` (by default
`~/.cache/evals/tables`), by the digest of its contents, so that a file that changes is never read from an old copy.
Images and audio are not decoded: they stay the bytes that were stored. No code of a data set is run: the library has
no such loaders any more, and only files of the formats named here are opened.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evals import regular_files
from evals.data.files import digest, inside
from evals.data.json_files import read_json
from evals.data.row_tables.table import RowValues
from evals.data.row_tables.written_fractions import with_written_fractions
from evals.errors import InputError, UnknownName, one_line, shorten
from evals.schema import Json

SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"
"""Files that `save_to_disk` writes into the folder of a data set, and into that of several splits."""
_IN_MEMORY = 32 << 20
"""Largest Parquet table, in bytes as it was before compression, that is read into memory and not converted."""
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 256, 16 << 20
"""Limits on what is turned into Python's values at once: rows hold a few words or an image of megabytes."""


class ArrowTable:
    """Rows of a `datasets.Dataset`, as they are stored, with the names of classes in place of their numbers."""

    def __init__(self, dataset: Any, name: str, split: str, folder: Path | None, facts: dict[str, Json]) -> None:
        """Take a data set; `name`, `split`, `folder` and `facts` as in `DataTable`."""
        self.name, self.split, self.folder = name, split, folder
        self.facts = facts
        self.columns = tuple(dataset.column_names)
        self._converters = {
            column: converter
            for column, feature in dataset.features.items()
            if (converter := _converter(feature, f"{name}, column {column!r}")) is not None
        }
        self._dataset = dataset.with_format("arrow")
        self._selections: dict[tuple[str, ...], Any] = {}
        if not len(dataset):
            raise InputError(f"{name} has no rows")

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._dataset)

    def place(self, index: int) -> str:
        """Name a row for messages."""
        return f"row {index + 1}"

    def number(self, index: int) -> int:
        """Return the number of a row, from 1."""
        return index + 1

    def read(self, index: int, columns: Sequence[str]) -> RowValues:
        """Return the values of some columns of a row."""
        (row,) = self._slice(index, index + 1, columns)
        return row

    def rows(self, columns: Sequence[str]) -> Iterator[RowValues]:
        """Return the values of some columns of all rows."""
        step = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE * len(self) // max(1, self._dataset.data.nbytes)))
        for start in range(0, len(self), step):
            yield from self._slice(start, start + step, columns)

    def member(self, name: str) -> None:
        """Return None: the table is in no archive."""

    def _slice(self, start: int, end: int, columns: Sequence[str]) -> list[dict[str, Any]]:
        if not columns:
            return [{} for _ in range(start, min(end, len(self)))]
        selection = self._selections.get(tuple(columns))
        if selection is None:
            selection = self._selections[tuple(columns)] = self._dataset.select_columns(list(columns))
        try:
            rows: list[dict[str, Any]] = with_written_fractions(selection[start:end]).to_pylist()
        except Exception as error:  # texts that are no UTF-8, dates out of range
            raise InputError(f"{self.name}, row {start + 1} and following: {one_line(error)}") from error
        for column in columns:
            if (converter := self._converters.get(column)) is not None:
                for row in rows:
                    row[column] = converter(row[column])
        return rows


def read_saved(folder: Path, split: str | None) -> ArrowTable:
    """Read a folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote.

    Args:
        folder: the folder.
        split: the split of several; None for the only one.

    Raises:
        InputError: the folder is damaged, names files outside it, or has several splits of which none is chosen.
        UnknownName: there is no such split.
    """
    name = str(folder)
    if (folder / SAVED_SPLITS).is_file():
        splits = read_json(folder / SAVED_SPLITS, _SavedSplits).splits
        chosen = choose_split(name, splits, split)
        return _saved(inside(folder, chosen), name, chosen)
    state = read_json(folder / SAVED, _SavedState)
    only = state.split or "all"
    if split not in {None, only}:
        raise UnknownName(f"split of {folder}", str(split), [only])
    return _saved(folder, name, only)


class _SavedSplits(msgspec.Struct, frozen=True):
    splits: list[str]


class _SavedFile(msgspec.Struct, frozen=True):
    filename: str


class _SavedState(msgspec.Struct, frozen=True):
    data_files: list[_SavedFile] = msgspec.field(name="_data_files")
    fingerprint: str = msgspec.field(name="_fingerprint")
    split: str | None = msgspec.field(name="_split", default=None)


def choose_split(name: str, splits: Sequence[str], split: str | None) -> str:
    """Return the split that is asked for, or the only one. Raises `InputError` if several are there and none is chosen.

    Example:
        >>> choose_split("d", ["test"], None)
        'test'
        >>> choose_split("d", ["train", "test"], None)
        Traceback (most recent call last):
            ...
        evals.errors.InputError: d has the splits train, test: choose one with --split
    """
    if split is not None and split not in splits:
        raise UnknownName(f"split of {name}", split, splits)
    if split is None and len(splits) != 1:
        raise InputError(f"{name} has the splits {', '.join(splits) or '(none)'}: choose one with --split")
    return split or splits[0]


def _saved(folder: Path, name: str, split: str) -> ArrowTable:
    state = read_json(folder / SAVED, _SavedState)
    paths = [inside(folder, file.filename) for file in state.data_files]
    for path in paths:
        if path.parent != folder:
            raise InputError(f"{folder / SAVED} names the file {shorten(path.name)} outside its folder")
    facts: dict[str, Json] = {"files": {path.name: digest(path) for path in paths}, "fingerprint": state.fingerprint}
    dataset = _loaded(name, lambda datasets: datasets.load_from_disk(str(folder)))
    return ArrowTable(_validated(dataset, name), name, split, folder, facts)


def read_arrow(paths: Sequence[Path], name: str, split: str) -> ArrowTable:
    """Read Arrow files, streams or files with an index. Raises `InputError` if one is damaged."""
    facts: dict[str, Json] = {"files": digests_of(paths)}

    def load(datasets: Any) -> Any:
        return datasets.concatenate_datasets([_arrow_file(datasets, path) for path in paths])

    return ArrowTable(_validated(_loaded(name, load), name), name, split, paths[0].parent, facts)


def digests_of(paths: Sequence[Path]) -> dict[str, str]:
    """Return the digests of files by their names, in their order; of files with one name also by their folders'."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.parent.name}/{path.name}" for path in paths]
    digests = {name: digest(path) for name, path in zip(names, paths, strict=True)}
    if len(digests) < len(paths):
        raise InputError(f"two files have the name {paths[0].name} and folders of one name; expected others")
    return digests


def _arrow_file(datasets: Any, path: Path) -> Any:
    """Map one file into memory; a file with an index (Feather) begins with its magic."""
    import pyarrow

    with regular_files.opened(path) as file:
        has_index = file.read(6) == b"ARROW1"
    if has_index:
        mapped = pyarrow.ipc.open_file(pyarrow.memory_map(str(path))).read_all()
        return datasets.Dataset(datasets.table.InMemoryTable(mapped))
    return datasets.Dataset.from_file(str(path))


def read_parquet_table(paths: Sequence[Path], name: str, split: str, features: Json = None) -> ArrowTable:
    """Read Parquet files of one split.

    Args:
        paths: the files, in order.
        name: for messages.
        split: name of the split.
        features: the features as `datasets` writes them, for files that do not hold them.

    Raises:
        InputError: a file is no Parquet, or the files have different columns.
    """
    import pyarrow
    from pyarrow import parquet

    digests = digests_of(paths)

    def load(datasets: Any) -> Any:
        wanted = None if features is None else datasets.Features.from_dict(features)
        if sum(map(_uncompressed_bytes, paths)) <= _IN_MEMORY:
            tables = [parquet.ParquetFile(path).read() for path in paths]
            dataset = datasets.Dataset(datasets.table.InMemoryTable(pyarrow.concat_tables(tables)))
            return dataset if wanted is None else dataset.cast(wanted)
        key = hashlib.sha256("".join(digests.values()).encode()).hexdigest()[:16]
        return datasets.load_dataset(
            "parquet", data_files={split: [str(path) for path in paths]}, split=split, features=wanted,
            cache_dir=str(cache_folder() / "tables" / key),
        )  # fmt: skip

    return ArrowTable(_loaded(name, load), name, split, paths[0].parent, {"files": digests})


def _uncompressed_bytes(path: Path) -> int:
    """Return the size of a Parquet file's values as its footer has it."""
    from pyarrow import parquet

    metadata = parquet.read_metadata(path)
    return sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))


def cache_folder() -> Path:
    """Return the folder for what can be made again: `$EVALS_CACHE`, by default `~/.cache/evals`."""
    return Path(os.environ.get("EVALS_CACHE", "~/.cache/evals")).expanduser()


def _loaded(name: str, load: Callable[[Any], Any]) -> Any:
    """Call the library without its progress bars; turn what it raises into one line."""
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    try:
        return load(datasets)
    except InputError:
        raise
    except Exception as error:  # of a damaged file, the library raises many types of exceptions
        raise InputError(f"{name} cannot be read: {one_line(error.__cause__ or error)}") from error


def _validated(dataset: Any, name: str) -> Any:
    """Check the offsets of mapped data, which a damaged file would let point outside of it."""
    try:
        for batch in dataset.data.to_batches():
            batch.validate(full=True)
    except Exception as error:
        raise InputError(f"{name} is damaged: {one_line(error)}") from error
    return dataset


def _converter(feature: Any, where: str) -> Callable[[Any], Any] | None:
    """Return what puts the names of classes in place of their numbers, within lists and mappings; None for nothing."""
    kind = type(feature).__name__
    if kind == "ClassLabel":
        return _ClassNames(tuple(feature.names), where)
    if isinstance(feature, Mapping):
        inner = {key: converter for key, part in feature.items() if (converter := _converter(part, where)) is not None}
        return _of_mapping(inner) if inner else None
    part = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    converter = None if part is None else _converter(part, where)
    if converter is None:
        return None
    return lambda value: None if value is None else [converter(entry) for entry in value]


class _ClassNames:
    """Returns the name of a class; -1 stands for a secret one, which is missing."""

    def __init__(self, names: tuple[str, ...], where: str) -> None:
        self._names, self._where = names, where

    def __call__(self, value: Any) -> str | None:
        if value is None or value == -1:
            return None
        if not isinstance(value, int) or not 0 <= value < len(self._names):
            raise InputError(f"{self._where}: class {shorten(value)}; the classes are 0 to {len(self._names) - 1}")
        return self._names[value]


def _of_mapping(converters: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: converters[key](part) if key in converters else part for key, part in value.items()}

    return convert
