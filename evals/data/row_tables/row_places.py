"""Where the rows of a text file are: three numbers for each row, in a file of their own when there are many.

A file without a name, in the system's folder of temporary files (`$TMPDIR`), which ends with the process: the memory of
a table does not grow with its rows.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from typing import IO

from evals.errors import InputError

_BYTES = 24
"""Bytes of a row: three numbers."""
_IN_MEMORY = 1 << 16
"""Number of rows whose places are kept in memory (1.5 MiB); the file grows by so many at once."""
_READ = 256
"""Number of rows whose places are read at once: rows are mostly read in their order."""


class RowPlaces:
    """The places of the rows of a file, in their order. Once all are there, any thread may read them.

    Example:
        >>> places = RowPlaces()
        >>> places.append(0, 7, 1)
        >>> places.append(7, 21, 2)
        >>> len(places), places.bounds(1), places.number(1)
        (2, (7, 21), 2)
    """

    def __init__(self) -> None:
        """Begin without a row."""
        self._latest = array("q")
        self._written = 0
        self._file: IO[bytes] | None = None
        self._read = (0, 0, array("q"))
        """The places that were read last, with the indices of the first and after the last; replaced as a whole."""

    def __len__(self) -> int:
        """Count the rows."""
        return self._written + len(self._latest) // 3

    def append(self, start: int, end: int, number: int) -> None:
        """Add a row: where it starts and ends, and what messages call it.

        Raises:
            InputError: the temporary file cannot be written.
        """
        self._latest.extend((start, end, number))
        if len(self._latest) == 3 * _IN_MEMORY:
            self._write()

    def bounds(self, index: int) -> tuple[int, int]:
        """Return where a row starts and ends, in bytes. Raises `IndexError`."""
        first, last, places = self._read
        if not first <= index < last:
            first, places = self._load(index)
        at = 3 * (index - first)
        return places[at], places[at + 1]

    def number(self, index: int) -> int:
        """Return what messages call a row. Raises `IndexError`."""
        first, last, places = self._read
        if not first <= index < last:
            first, places = self._load(index)
        return places[3 * (index - first) + 2]

    def _load(self, index: int) -> tuple[int, array[int]]:
        """Return some places, that of a row among them, and the index of their first; the next ones are read fast."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        first, places = self._written, self._latest
        if self._file is not None and index < self._written:
            first = index - index % _READ
            count = min(_READ, self._written - first)
            places = array("q", os.pread(self._file.fileno(), count * _BYTES, first * _BYTES))
        self._read = first, first + len(places) // 3, places
        return first, places

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            data = memoryview(self._latest.tobytes())
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise InputError(
                f"the places of the rows cannot be written to {tempfile.gettempdir()}: {error.strerror or error}; set "
                f"TMPDIR to a folder with more space"
            ) from error
        self._written += len(self._latest) // 3
        self._latest = array("q")
