"""Read a zip of images: a table of questions in it (`metadata.csv`, `.jsonl`), or folders whose names are the answers.

Nothing is unpacked: an image is read from the archive when a model needs it, within the limits of an image.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from evals.data.files import digest
from evals.data.images import MAX_BYTES
from evals.data.row_tables.arrow_files import choose_split
from evals.data.row_tables.table import RowValues
from evals.data.row_tables.text_files import TextTable, text_table_of
from evals.errors import InputError, one_line, shorten
from evals.schema import Json

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_TABLES = frozenset({".csv", ".tsv", ".json", ".jsonl"})
_MAX_TABLE = 256 << 20
"""Largest table in an archive, in bytes."""
_MAX_MEMBERS = 2_000_000
_SPLITS = frozenset({"train", "test", "validation", "val", "dev"})


@dataclass
class ImageArchive:
    """Rows about the images of a zip."""

    name: str
    split: str
    columns: tuple[str, ...]
    facts: dict[str, Json]
    archive: zipfile.ZipFile
    table: TextTable | None
    """The table in the archive; None if the names of folders are the answers."""
    images: Sequence[str] = ()
    """Images in the order of their names, if there is no table."""
    base: str = ""
    """The folder of the table: names in it are relative to it."""
    folder: Path | None = field(default=None, init=False)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.images) if self.table is None else len(self.table)

    def place(self, index: int) -> str:
        """Name a row for messages."""
        return self.images[index] if self.table is None else self.table.place(index)

    def number(self, index: int) -> int:
        """Return the number of a row."""
        return index + 1 if self.table is None else self.table.number(index)

    def read(self, index: int, columns: Sequence[str]) -> RowValues:
        """Return the values of some columns of a row."""
        if self.table is not None:
            return self.table.read(index, columns)
        path = self.images[index]
        values = {"id": path, "image": path, "label": PurePosixPath(path).parent.name}
        return {column: values[column] for column in columns}

    def rows(self, columns: Sequence[str]) -> Iterator[RowValues]:
        """Return the values of some columns of all rows."""
        return (self.read(index, columns) for index in range(len(self)))

    def member(self, name: str) -> bytes:
        """Return an image. Raises `InputError` if the archive has none of this name, or it is damaged or too large."""
        path = f"{self.base}{name}"
        try:
            return _contents(self.archive, path, MAX_BYTES)
        except KeyError:
            raise InputError(f"{self.name} has no file {shorten(path)}") from None


def read_archive(path: Path, split: str | None) -> ImageArchive:
    """Open a zip.

    Raises:
        InputError: it is no zip, is encrypted, has no images, several tables, or neither a table nor folders; or it
            has several splits of which none is chosen.
    """
    facts: dict[str, Json] = {"files": {path.name: digest(path)}}
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise InputError(f"{path} is not a readable zip: {one_line(error)}") from error
    members = [name for name in archive.namelist() if not _is_hidden(name)]
    if len(members) > _MAX_MEMBERS:
        raise InputError(f"{path} has {len(members):,} files; at most {_MAX_MEMBERS:,} are read")
    images = sorted(name for name in members if PurePosixPath(name).suffix.lower() in IMAGES)
    tables = [name for name in members if PurePosixPath(name).suffix.lower() in _TABLES]
    if tables:
        return _with_table(path, archive, tables, split, facts)
    splits = sorted({part for name in images for part in PurePosixPath(name).parts[:-2] if part in _SPLITS})
    chosen = path.stem
    if splits:
        chosen = choose_split(str(path), splits, split)
        images = [name for name in images if chosen in PurePosixPath(name).parts[:-2]]
    elif split not in {None, chosen}:
        choose_split(str(path), [chosen], split)
    if not images:
        raise InputError(f"{path} has no images ({', '.join(sorted(IMAGES))})")
    if len({PurePosixPath(name).parent.name for name in images}) < 2:
        raise InputError(
            f"{path} has images and no answers: put a metadata.csv into it (file_name,text,target), or the images of "
            f"each answer into a folder of its name"
        )
    return ImageArchive(str(path), chosen, ("id", "image", "label"), facts, archive, None, images=images)


class ZippedImages(Mapping[str, bytes]):
    """The contents of the images of a zip by their names without folders; safe for threads."""

    def __init__(self, path: Path) -> None:
        """Open a zip. Raises `InputError` if it is none."""
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise InputError(f"{path} is not a readable zip: {one_line(error)}") from error
        self._members = {PurePosixPath(name).name: name for name in self._archive.namelist() if not _is_hidden(name)}

    def __getitem__(self, name: str) -> bytes:
        """Return the contents of an image. Raises `InputError` if it is damaged or too large."""
        return _contents(self._archive, self._members[name], MAX_BYTES)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._members)

    def __len__(self) -> int:
        """Count the images."""
        return len(self._members)


def _is_hidden(name: str) -> bool:
    """Return whether a file of an archive is left out: folders, and what systems add (`__MACOSX/`, `.DS_Store`)."""
    return name.endswith("/") or any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _with_table(
    path: Path, archive: zipfile.ZipFile, tables: Sequence[str], split: str | None, facts: dict[str, Json]
) -> ImageArchive:
    by_split: dict[str, str] = {}
    for name in tables:
        pure = PurePosixPath(name)
        label = next((part for part in pure.parts[:-1] if part in _SPLITS), pure.stem)
        if label in by_split:
            raise InputError(f"{path} holds the tables {by_split[label]} and {name}; expected one for a split")
        by_split[label] = name
    chosen = choose_split(str(path), list(by_split), split)
    pure = PurePosixPath(by_split[chosen])
    content = _contents(archive, str(pure), _MAX_TABLE)
    table = text_table_of(content, f"{path}: {pure}", chosen, pure.suffix.lower())
    base = f"{pure.parent}/" if pure.parent.parts else ""
    return ImageArchive(str(path), chosen, table.columns, facts, archive, table, base=base)


def _contents(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Return the contents of a file of an archive. Raises `KeyError` if there is none, `InputError` if unreadable."""
    archive.getinfo(name)
    try:
        with archive.open(name) as file:
            content = file.read(limit + 1)
    except Exception as error:  # of damaged or encrypted files, the library raises many types of exceptions
        raise InputError(f"{archive.filename}: {name} cannot be read: {one_line(error)}") from error
    if len(content) > limit:
        raise InputError(f"{archive.filename}: {name} has over {limit:,} bytes")
    return content
