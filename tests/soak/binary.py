"""Damage binary files and keep their structure: archives, tables, images, audio and weights.

Checksums and lengths are made valid again, so that a change reaches the code behind those checks.
"""

from __future__ import annotations

import functools
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from tests.soak import mutators
from tests.soak.mutators import HOSTILE_TEXTS, HOSTILE_VALUES, Mutator

SIZES = [0, 1, 2, 3, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
SHAPES = ["4, 8", "-1,8", "10**9,8", "1000000000,8", "4,0", "0,8", "4", "4,8,2", "9" * 400 + ",8", "4L,8L", ""]
HEADERS = [
    *(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}" for shape in SHAPES),
    "{'descr': '|O', 'fortran_order': False, 'shape': (4,8), }",
    "{'descr': [('a','<f4')], 'fortran_order': False, 'shape': (4,8), }",
    "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<U0', 'fortran_order': False, 'shape': (4,), }", "{}", "[", "(" * 5_000, "\xff\xfe",
    "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<f4', 'fortran_order': 3, 'shape': (4,8)}",
    "__import__('os').system('false')", "{'descr': '<c8', 'fortran_order': True, 'shape': (4,8), }",
]  # fmt: skip


# Archives of arrays


def _npz(content: bytes, random: Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > 1 << 24:  # a bomb from an earlier damage
                return mutators.flip(content, random)
            parts = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # it was damaged before, in any way
        return mutators.flip(content, random)
    if not parts:
        return mutators.flip(content, random)
    at = random.randrange(len(parts))
    name, array = parts[at]
    match random.randrange(9):
        case 0 | 1 | 2:
            version = random.choice([(1, 0), (2, 0), (3, 0), (9, 9)])
            header = random.choice(HEADERS).encode("latin1")
            size = struct.pack("<H" if version == (1, 0) else "<I", random.choice([len(header), len(header), 65535]))
            parts[at] = name, b"\x93NUMPY" + bytes(version) + size + header + array[128:]
        case 3:
            parts[at] = name, array + bytes(random.choice([1, 10**6]))
        case 4:
            parts.append(parts[at])
        case 5:
            parts[at] = random.choice(["../x.npy", "a" * 5_000, "image_ids", "b\x00.npy", "é.npy"]), array
        case 6:
            del parts[at]
        case 7:
            mebibytes = random.choice([20, 300])
            return _archive([*parts[:at], *parts[at + 1 :]], _Bomb(name, array[:128], mebibytes))
        case 8:
            parts[at] = name, mutators.flip(array[:130], random) + array[130:]
    kind = random.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    if sum(len(array) for _, array in parts) > 100_000:
        kind = zipfile.ZIP_DEFLATED
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind, compresslevel=1) as archive:
        for name, array in parts:
            archive.writestr(zipfile.ZipInfo(name), array, kind)
    return file.getvalue()


class _Bomb(NamedTuple):
    """A member of an archive that is a header and zeros, which no process has to hold in memory."""

    name: str
    header: bytes
    mebibytes: int


def _archive(parts: list[tuple[str, bytes]], bomb: _Bomb) -> bytes:
    """Write an archive by hand whose last member is a bomb."""
    body, directory = bytearray(), bytearray()
    packed = [(name, *_deflated(array, 0), len(array)) for name, array in parts]
    packed.append((bomb.name, *_deflated(bomb.header, bomb.mebibytes), len(bomb.header) + (bomb.mebibytes << 20)))
    for name, data, checksum, size in packed:
        encoded = name.encode("utf-8", "replace")[:0xFFFF]
        common = struct.pack("<HHHHHIIIHH", 20, 0x800, 8, 0, 33, checksum, len(data), size, len(encoded), 0)
        directory += b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + encoded
        body += b"PK\3\4" + common + encoded + data
    end = struct.pack("<HHHHIIH", 0, 0, len(packed), len(packed), len(directory), len(body), 0)
    return bytes(body + directory + b"PK\5\6" + end)


@functools.lru_cache(maxsize=64)
def _deflated(start: bytes, mebibytes: int) -> tuple[bytes, int]:
    """Compress a text and so many MiB of zeros; returns the data and its checksum."""
    compressor, checksum = zlib.compressobj(1, zlib.DEFLATED, -15), zlib.crc32(start)
    data = [compressor.compress(start)]
    for _ in range(mebibytes):
        data.append(compressor.compress(_zeros(1)))
        checksum = zlib.crc32(_zeros(1), checksum)
    return b"".join([*data, compressor.flush()]), checksum


@functools.lru_cache(maxsize=4)
def _zeros(mebibytes: int) -> bytes:
    return bytes(mebibytes << 20)


# Tables


def _parquet(content: bytes, random: Random) -> bytes:
    """Change the types, names and values of columns, or bytes of the footer, which describes the table."""
    import pyarrow
    from pyarrow import parquet

    if random.random() < 0.4:
        (length,) = struct.unpack("<I", content[-8:-4]) if len(content) > 12 else (0,)
        start = max(len(content) - 8 - length, 0)
        return content[:start] + mutators.flip(content[start:-8], random) + content[-8:]
    try:
        table = parquet.read_table(io.BytesIO(content))
        names = table.column_names
    except Exception:  # it was damaged before, in any way
        return mutators.flip(content, random)
    if not table.num_columns:
        return mutators.flip(content, random)
    at = random.randrange(table.num_columns)
    name, rows = names[at], table.num_rows
    values = [random.choice(HOSTILE_VALUES)] * rows
    match random.randrange(7):
        case 0 | 1:
            try:
                column = pyarrow.array(values)
            except (pyarrow.ArrowException, OverflowError, UnicodeError):
                column = pyarrow.nulls(rows)
            table = table.set_column(at, name, column)
        case 2:
            column = table.column(at)  # its texts may be no UTF-8, so it is not decoded
            first = pyarrow.nulls(min(rows, 1), column.type)
            table = table.set_column(at, name, pyarrow.chunked_array([first, *column.slice(1).chunks]))
        case 3:
            table = table.drop_columns([name])
        case 4:
            table = table.append_column(name, table.column(at))
        case 5:
            table = table.slice(0, random.choice([0, 1]))
        case 6:
            text = random.choice(HOSTILE_TEXTS).encode("utf-8", "replace").decode()
            table = table.rename_columns([text if n == at else other for n, other in enumerate(names)])
    file = io.BytesIO()
    try:
        parquet.write_table(table, file, compression=random.choice(["snappy", "gzip", "zstd", "none"]))
    except pyarrow.ArrowException:  # a type that Parquet does not have, such as a structure without fields
        return mutators.flip(content, random)
    return file.getvalue()


# Images and audio


def _png(content: bytes, random: Random) -> bytes:
    chunks, at = [], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return mutators.flip(content, random)
    number = random.randrange(len(chunks))
    kind, data = chunks[number]
    match random.randrange(7):
        case 0 | 1:
            width, height = random.choice(SIZES), random.choice(SIZES)
            tail = bytes(random.choice([0, 1, 2, 3, 4, 6, 8, 16, 255]) for _ in range(5))
            chunks[0] = (
                b"IHDR",
                struct.pack(">II", width, height) + (chunks[0][1][8:13] if random.random() < 0.6 else tail),
            )
        case 2:
            chunks.insert(number, chunks[number])
        case 3:
            del chunks[number]
        case 4:
            chunks[number] = kind, mutators.flip(data, random)
        case 5:
            bomb = _compressed_zeros(random.choice([1, 60]))
            texts = [(b"zTXt", b"a\0\0" + bomb), (b"iCCP", b"a\0\0" + bomb), (b"iTXt", b"a\0\1\0\0\0" + bomb),
            (b"IDAT", bomb),
                     (b"eXIf", b"MM\0*" + bytes(40)), (b"acTL", struct.pack(">II", 2**31 - 1, 0)), (b"tRNS", b"\0"),
                     (b"PLTE", b"ab")]  # fmt: skip
            chunks.insert(min(1, len(chunks)), random.choice(texts))
        case 6:
            chunks[number] = bytes(random.randrange(256) for _ in range(4)), data
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return content[:8] + body


@functools.lru_cache(maxsize=4)
def _compressed_zeros(mebibytes: int) -> bytes:
    return zlib.compress(_zeros(mebibytes), 1)


def _jpeg(content: bytes, random: Random) -> bytes:
    """Change a segment before the image's data: its sizes, its length, its place."""
    segments, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:
        (length,) = struct.unpack(">H", content[at + 2 : at + 4])
        segments.append(bytearray(content[at : at + 2 + length]))
        at += 2 + length
    if not segments:
        return mutators.flip(content, random)
    number = random.randrange(len(segments))
    match random.randrange(6):
        case 0 | 1:
            frame = next((s for s in segments if 0xC0 <= s[1] <= 0xC2), segments[number])
            frame[5:9] = struct.pack(">HH", random.choice(SIZES) & 0xFFFF, random.choice(SIZES) & 0xFFFF)
        case 2:
            segments[number][2:4] = struct.pack(">H", random.choice(SIZES) & 0xFFFF)
        case 3:
            segments.insert(number, segments[random.randrange(len(segments))])
        case 4:
            del segments[number]
        case 5:
            segments[number][1] = random.randrange(256)
    return content[:2] + b"".join(map(bytes, segments)) + content[at:]


def _wav(content: bytes, random: Random) -> bytes:
    """Change a field of the format, a length, or add a chunk."""
    data = bytearray(content)
    if len(data) < 44:
        return mutators.flip(content, random)
    match random.choice([*range(7)] * 6 + [7]):
        case 0:
            struct.pack_into("<H", data, 20, random.choice([0, 1, 2, 3, 6, 7, 0xFFFE, 0xFFFF]))
        case 1:
            struct.pack_into("<H", data, 22, random.choice(SIZES) & 0xFFFF)
        case 2:
            struct.pack_into("<I", data, 24, random.choice([*SIZES, 999, 9_999_991, 383_987, 384_001]))
        case 3:
            struct.pack_into("<H", data, 32, random.choice(SIZES) & 0xFFFF)
        case 4:
            struct.pack_into("<H", data, 34, random.choice([0, 1, 7, 8, 9, 12, 16, 20, 24, 32, 33, 64, 65535]))
        case 5:
            struct.pack_into("<I", data, random.choice([4, 16, 40]), random.choice(SIZES))
        case 6:
            size = random.choice([0, 1, 3, 1000])
            length = random.choice([size, size + 1, 0xFFFFFFFF])
            at = random.choice([12, 36, len(data)])
            data[at:at] = random.choice([b"LIST", b"fmt ", b"data", b"junk"]) + struct.pack("<I", length) + bytes(size)
        case 7:
            data[36:] = b"data" + struct.pack("<I", 50 << 20) + _zeros(50)
    return bytes(data)


# Weights


def _safetensors(content: bytes, random: Random) -> bytes:
    """Change the header of a weight file, or its length."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
    except (struct.error, ValueError, RecursionError, MemoryError, OverflowError):
        return mutators.flip(content, random)
    if random.random() < 0.2:
        size = random.choice([0, 1, length - 1, length + 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
        return struct.pack("<Q", max(size, 0)) + content[8:]
    text = mutators.json_value(header, random).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


MUTATORS: Mapping[str, Mutator] = {
    "npz": _npz, "parquet": _parquet, "png": _png, "jpeg": _jpeg, "wav": _wav, "safetensors": _safetensors,
}  # fmt: skip
"""The mutator of each binary format."""
