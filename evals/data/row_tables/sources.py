"""Open what `--data` names as a table: a file, a folder, a zip, or a data set of the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from evals.data.row_tables.archives import read_archive
from evals.data.row_tables.arrow_files import (
    SAVED,
    SAVED_SPLITS,
    choose_split,
    read_arrow,
    read_parquet_table,
    read_saved,
)
from evals.data.row_tables.table import DataTable
from evals.data.row_tables.text_files import read_text_table
from evals.errors import InputError
from evals.schema import Json

HUB = "hf:"
TEXTS = frozenset({".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson"})
_ARROW, _PARQUET, _ZIP = frozenset({".arrow", ".feather"}), frozenset({".parquet"}), ".zip"
FORMATS = "CSV, TSV, JSON, JSON Lines, Parquet, Arrow, a zip of images, a folder of save_to_disk, hf:ORG/NAME"
_PACKED = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz4", ".tar", ".tgz", ".7z", ".rar"})
_SHARD = re.compile(r"[-_.](\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?$")
_KEYWORD = re.compile(r"(?:^|[-_. ])(train|test|validation|val|dev)(?:[-_. ]|$)")


def is_table(source: Path) -> bool:
    """Return whether a value of `--data` is a table by its name: `hf:…`, a file of a table format, a saved data set.

    Example:
        >>> is_table(Path("hf:openai/gsm8k#main")), is_table(Path("q.csv")), is_table(Path("."))
        (True, True, False)
    """
    if str(source).startswith(HUB):
        return True
    if source.is_dir():
        return (source / SAVED).is_file() or (source / SAVED_SPLITS).is_file()
    return source.suffix.lower() in TEXTS | _ARROW | _PARQUET | {_ZIP}


def open_table(source: Path, split: str | None = None) -> DataTable:
    """Open a table.

    Args:
        source: a file, a folder, a zip, or `hf:ORG/NAME[@REV][#CONFIG]`.
        split: the split; None for the only one.

    Raises:
        InputError: there is no such source, it is malformed, of another format, or has several splits of which none is
            chosen.
        UnknownName: there is no such split.
    """
    if str(source).startswith(HUB):
        from evals.data.row_tables.hub_files import fetch

        files = fetch(str(source).removeprefix(HUB), split)
        _check_shards(files.paths, f"{source} {files.split}")
        table = read_files(files.paths, f"{source} {files.split}", files.split, files.features)
        files.verify([*table.facts["files"].values()])
        table.facts = {**table.facts, **files.facts}
        return table
    if not source.exists():
        raise InputError(f"{source} does not exist; --data takes {FORMATS}")
    if not source.is_dir():
        stem = _split_name(source)
        if source.suffix.lower() == _ZIP:
            return read_archive(source, split)
        if split not in {None, stem, source.stem}:
            choose_split(str(source), [stem], split)
        return read_files([source], str(source), stem)
    if (source / SAVED).is_file() or (source / SAVED_SPLITS).is_file():
        return read_saved(source, split)
    files_by_split = splits_of(_data_files(source))
    if not files_by_split:
        raise InputError(f"{source} holds no data file; --data takes {FORMATS}")
    if split is None and len(files_by_split) > 1:
        listed = ", ".join(path.name for paths in files_by_split.values() for path in paths[:1])
        raise InputError(
            f"{source} holds {listed}: name one of them with --data, or choose with --split: "
            f"{', '.join(files_by_split)}"
        )
    chosen = choose_split(str(source), list(files_by_split), split)
    _check_shards(files_by_split[chosen], f"{source} {chosen}")
    return read_files(files_by_split[chosen], str(source), chosen)


def _data_files(folder: Path) -> list[Path]:
    """Return the data files of a folder and of its subfolder `data`, as the hub's repositories have them."""
    suffixes = TEXTS | _ARROW | _PARQUET | {_ZIP}
    listed = [*folder.iterdir(), *((folder / "data").iterdir() if (folder / "data").is_dir() else ())]
    return sorted(
        path for path in listed
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
    )  # fmt: skip


def splits_of(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Group files by their split: the name of a shard without its number, or the name of the file.

    Example:
        >>> splits_of([Path("test-00000-of-00002.parquet"), Path("test-00001-of-00002.parquet"), Path("train.csv")])
        {'test': [PosixPath('test-00000-of-00002.parquet'), PosixPath('test-00001-of-00002.parquet')], 'train': [PosixPath('train.csv')]}
    """  # noqa: E501
    by_split: dict[str, list[Path]] = {}
    for path in paths:
        by_split.setdefault(_split_name(path), []).append(path)
    return by_split


def _check_shards(paths: Sequence[Path], name: str) -> None:
    """Refuse shards of which some are missing or of another set: half of a split would be measured as the split.

    Example:
        >>> _check_shards([Path("test-00000-of-00002.parquet")], "d test")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: d test lacks the shard 00001 of 00002; get it, or name the files to read with --data
    """
    shards = [shard for path in paths if (shard := _SHARD.search(path.stem)) is not None]
    counts = sorted({shard[2] for shard in shards})
    if not shards:
        return
    present = {int(shard[1]) for shard in shards}
    if len(counts) > 1 or len(present) < len(paths):
        named = ", ".join(path.name for path in paths[:6])
        raise InputError(f"{name} has shards of several sets: {named}; leave those of one")
    missing = [number for number in range(int(counts[0])) if number not in present]
    if missing:
        raise InputError(
            f"{name} lacks the shard {missing[0]:05} of {counts[0]}; get it, or name the files to read with --data"
        )


def _split_name(path: Path) -> str:
    stem = _SHARD.sub("", path.stem)
    keyword = _KEYWORD.search(stem.lower())
    return stem if keyword is None or keyword[1] != stem.lower() else keyword[1]


def read_files(paths: Sequence[Path], name: str, split: str, features: Json = None) -> DataTable:
    """Read the files of one split, which are of one format.

    Raises:
        InputError: they are of several formats, of another format, or several files of texts.
    """
    suffixes = sorted({path.suffix.lower() for path in paths})
    if len(suffixes) > 1:
        raise InputError(f"{name} has files of several formats: {', '.join(path.name for path in paths[:6])}; name one")
    (suffix,) = suffixes
    if suffix in _PARQUET:
        return read_parquet_table(paths, name, split, features)
    if suffix in _ARROW:
        return read_arrow(paths, name, split)
    if suffix == _ZIP and len(paths) == 1:
        return read_archive(paths[0], None)
    if suffix not in TEXTS:
        hint = "unpack it first; " if suffix in _PACKED else ""
        raise InputError(f"{paths[0]} has the suffix {suffix}; {hint}--data takes {FORMATS}")
    if len(paths) > 1:
        raise InputError(f"{name} has {len(paths)} files of texts for one split; join them, or name one")
    return read_text_table(paths[0], split)
