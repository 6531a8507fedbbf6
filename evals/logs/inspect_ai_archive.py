"""Read the files of an `.eval` archive of Inspect: the header and the samples, in whichever compression."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from evals.errors import InputError
from evals.logs import json_text
from evals.schema import Json

_ZSTANDARD = 93
_HEADER_BYTES = 30
_LARGEST_ENTRY = 1 << 30
"""Most bytes of one file of an archive after decompression."""
_LARGEST_ARCHIVE = 2 << 30
"""Most bytes of all samples of an archive after decompression: all are read."""


def read(path: Path) -> tuple[dict[str, Json], list[Mapping[str, Json]]]:
    """Read the header and the samples of an archive. Raises `InputError` if it is damaged, or too large."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise InputError(f"{path} holds a file of one name twice")
            header = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
            if header is None:
                raise InputError(f"{path} is no log of Inspect: it has neither header.json nor _journal/start.json")
            entries = sorted(name for name in names if name.startswith("samples/") and name.endswith(".json"))
            total = sum(archive.getinfo(name).file_size for name in entries)
            if total > _LARGEST_ARCHIVE:
                raise InputError(f"{path}: its samples have {total:,} bytes, at most {_LARGEST_ARCHIVE:,} are read")
            samples = [json_text.mapping(_entry(path, archive, name)) for name in entries]
            return dict(json_text.mapping(_entry(path, archive, header))), samples
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as a zip archive: {error}") from error


def _entry(path: Path, archive: zipfile.ZipFile, name: str) -> Json:
    if archive.getinfo(name).file_size > _LARGEST_ENTRY:
        raise InputError(f"{path}: {name} has {archive.getinfo(name).file_size:,} bytes, at most {_LARGEST_ENTRY:,}")
    return json_text.parse(_content(archive, archive.getinfo(name)), f"{name} of {path}")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return a file of an archive; Inspect compresses with Zstandard, which Python's `zipfile` has from 3.14 on."""
    if entry.compress_type != _ZSTANDARD or archive.fp is None:
        return archive.read(entry)
    import pyarrow as arrow

    archive.fp.seek(entry.header_offset)
    header = archive.fp.read(_HEADER_BYTES)
    if header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{entry.filename} has no header")
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    archive.fp.seek(name_bytes + extra_bytes, os.SEEK_CUR)
    packed = archive.fp.read(entry.compress_size)
    content: bytes = arrow.Codec("zstd").decompress(packed, decompressed_size=entry.file_size, asbytes=True)
    if zlib.crc32(content) != entry.CRC:
        raise zipfile.BadZipFile(f"{entry.filename} is damaged")
    return content
