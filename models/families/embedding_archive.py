"""Read recorded embeddings from a NumPy `.npz` that a stranger wrote.

    entries(path, data)     yields (place, id, packed embedding) for each image and each text

The header of each array is read first: its type, shape and size are checked before a number is decompressed, so a small
file cannot become a large array. Arrays of Python objects are refused, because reading them can run code.
"""

from __future__ import annotations

import io
import tokenize
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from evals.errors import InputError, one_line, shorten

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("image", "text")
ARRAYS = tuple(f"{kind}_{part}" for kind in KINDS for part in ("ids", "embeddings"))
"""The arrays of a file; others are ignored."""
MAX_NUMBERS, NUMBERS_PER_BYTE = 32_000_000, 8
"""A file may hold this many numbers, and as many more for each of its bytes: embeddings compress little, unless each
number is a bit."""
MAX_IDS, MAX_ID_BYTES = 4_000_000, 4_096
"""Limits on the number of ids in an array and on the bytes of one."""
_ID_BYTES, _ID_BYTES_PER_BYTE = 64 << 20, 100
"""An array of ids may have this many bytes, and as many more for each byte of the file: ids are padded with zeros."""
_ROWS = 1_024
"""Number of embeddings that are converted at once."""


def entries(path: Path, data: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield (place, id, packed embedding) for each image and then each text.

    Args:
        path: the name of the file, for messages.
        data: its contents.

    Raises:
        InputError: the file is damaged, lacks an array, or holds an array of a type, shape or size that no embeddings
            have, or an embedding holds a number that is not finite.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns of headers that it has to guess
        try:
            archive = zipfile.ZipFile(io.BytesIO(data))
        except Exception as error:
            raise _damaged(path, "", error) from error
    with archive:
        arrays = _arrays(path, archive, len(data))
        for kind in KINDS:
            yield from _kind(path, kind, arrays[f"{kind}_ids"].read(), arrays[f"{kind}_embeddings"].read())


@dataclass(frozen=True)
class _Array:
    """An array of the file whose header was read and checked, and whose numbers were not."""

    path: Path
    archive: zipfile.ZipFile
    name: str
    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """The size of its numbers, without the header."""
        return prod(self.shape) * self.dtype.itemsize

    def read(self) -> NDArray[Any]:
        """Decompress the numbers: exactly as many as the header announces."""
        import numpy as np

        try:
            with self.archive.open(f"{self.name}.npy") as stream:
                _header(stream)
                content = stream.read(self.bytes)
                rest = stream.read(1)
        except Exception as error:  # what zip and its decompressors raise for damaged bytes: a dozen types
            raise _damaged(self.path, self.name, error) from error
        if len(content) != self.bytes or rest:
            has = "more" if rest else f"{len(content):,}"
            raise InputError(f"{self.path}: {self.name} has {has} bytes where its header announces {self.bytes:,}")
        flat = np.frombuffer(content, self.dtype)
        return flat.reshape(self.shape, order="F" if self.by_columns else "C")


def _arrays(path: Path, archive: zipfile.ZipFile, file_bytes: int) -> dict[str, _Array]:
    """Read the headers of the four arrays and check them against each other and the size of the file."""
    names = [info.filename for info in archive.infolist()]
    lacking = [name for name in ARRAYS if f"{name}.npy" not in names]
    if lacking:
        raise InputError(f"{path} lacks {', '.join(lacking)}; expected the arrays {', '.join(ARRAYS)}")
    repeated = [name for name in ARRAYS if names.count(f"{name}.npy") > 1]
    if repeated:
        raise InputError(f"{path} holds {repeated[0]} twice")
    arrays = {name: _array(path, archive, name) for name in ARRAYS}
    for kind in KINDS:
        ids, vectors = arrays[f"{kind}_ids"], arrays[f"{kind}_embeddings"]
        if len(ids.shape) != 1 or len(vectors.shape) != 2 or ids.shape[0] != vectors.shape[0]:
            shapes = f"{kind}_ids {shorten(ids.shape)} and {kind}_embeddings {shorten(vectors.shape)}"
            raise InputError(f"{path}: {shapes}, expected (N,) and (N, D)")
        if vectors.dtype.kind not in "fiub" or not vectors.shape[1]:
            raise InputError(f"{path}: {kind}_embeddings are {vectors.dtype}, expected rows of numbers")
        if ids.dtype.kind not in "USiu":
            raise InputError(f"{path}: {kind}_ids are {ids.dtype}, expected text or whole numbers")
        if ids.shape[0] > MAX_IDS or ids.dtype.itemsize > MAX_ID_BYTES:
            size = f"{ids.shape[0]:,} ids of {ids.dtype.itemsize:,} bytes"
            raise InputError(f"{path}: {kind}_ids has {size}; at most {MAX_IDS:,} of {MAX_ID_BYTES:,} bytes are read")
        if ids.bytes > _ID_BYTES + _ID_BYTES_PER_BYTE * file_bytes:
            raise InputError(f"{path}: {kind}_ids takes {ids.bytes:,} bytes, out of a file of {file_bytes:,}")
    numbers = sum(prod(arrays[f"{kind}_embeddings"].shape) for kind in KINDS)
    allowed = MAX_NUMBERS + NUMBERS_PER_BYTE * file_bytes
    if numbers > allowed:
        raise InputError(f"{path} announces {numbers:,} numbers; a file of {file_bytes:,} bytes may hold {allowed:,}")
    return arrays


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> _Array:
    """Read the header of an array."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with archive.open(f"{name}.npy") as stream:
                shape, by_columns, dtype = _header(stream)
        except Exception as error:  # as in `_Array.read`, and what NumPy raises for a header that it cannot read
            raise _damaged(path, name, error) from error
    if dtype.hasobject:
        raise InputError(f"{path} is not a readable .npz: {name} holds Python objects, which are not read")
    return _Array(path, archive, name, shape, by_columns, dtype)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an `.npy`: the shape, whether it is stored by columns, and the type.

    Source: numpy.lib.format, "Format Version 1.0" to "3.0".
    """
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    if version not in {(1, 0), (2, 0), (3, 0)}:
        raise ValueError(f"it has version {version} of NumPy's format; 1.0 to 3.0 are read")
    # 3.0 differs from 2.0 in the encoding of field names, which no embeddings have.
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        return read(stream)
    except (ValueError, SyntaxError, tokenize.TokenError, Warning, MemoryError, RecursionError):
        # NumPy's messages repeat the whole header, or name an object by its address.
        raise ValueError(
            "its header cannot be read; expected a type of numbers or text, an order and a shape"
        ) from None


def _kind(path: Path, kind: str, ids: NDArray[Any], vectors: NDArray[Any]) -> Iterator[tuple[str, str, str]]:
    import numpy as np

    from evals.records.embeddings import pack

    for start in range(0, len(ids), _ROWS):
        rows = _as_float32(vectors[start : start + _ROWS])
        for number, (id, vector) in enumerate(zip(_texts(ids[start : start + _ROWS]), rows, strict=True), start + 1):
            if not np.isfinite(vector).all():
                raise InputError(f"{path}: the embedding of {kind} {id} holds a number that is not finite")
            yield f"{kind} row {number}", id, pack(vector)


def _texts(ids: NDArray[Any]) -> list[str]:
    return [id.decode("utf-8", "replace") if isinstance(id, bytes) else str(id) for id in ids.tolist()]


def _as_float32(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return (N, D) numbers as float32; rows that float32 does not reach are first scaled by a power of two.

    A cosine does not depend on the scale, and a power of two changes no digit.

    Example:
        >>> import numpy as np
        >>> _as_float32(np.array([[1e-200, 2e-200], [3.0, 4.0]])).tolist()[1]
        [3.0, 4.0]
        >>> bool(_as_float32(np.array([[1e-200, 2e-200]])).all())
        True
    """
    import numpy as np

    if vectors.dtype.itemsize > 4 and vectors.dtype.kind == "f":
        peaks_N = np.abs(vectors).max(axis=1, initial=0.0)
        far_N = np.isfinite(peaks_N) & ((peaks_N > 1e18) | ((peaks_N < 1e-18) & (peaks_N > 0)))
        if far_N.any():
            vectors = vectors.copy()
            vectors[far_N] = np.ldexp(vectors[far_N], -np.frexp(peaks_N[far_N])[1][:, None])
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is rejected by its id
        return vectors.astype(np.float32)


def _damaged(path: Path, name: str, error: Exception) -> InputError:
    where = f"{name}: " if name else ""
    return InputError(f"{path} is not a readable .npz: {where}{one_line(error)[:200]}")
