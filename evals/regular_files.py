"""Open the files that a stranger names or a folder holds: a device never ends, and a pipe may never begin.

read(path) -> bytes     opened(path) -> a binary stream
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

MAX_BYTES = 4 << 30
"""Largest file that is read into memory, in bytes: ten times the largest benchmark file."""

_PIECE = 1 << 20


def opened(path: Path, *, pipe: bool = False) -> io.BufferedReader:
    """Open a file for reading, without waiting for a pipe's other end.

    Args:
        path: a file, or a link to one.
        pipe: whether a pipe is allowed too (`<(zcat outputs.gz)`), for files that the user named; it is waited for.

    Raises:
        OSError: the file cannot be opened, or it is a folder, a device or a socket (or a pipe).

    Example:
        >>> opened(Path("/dev/zero"))
        Traceback (most recent call last):
            ...
        OSError: [Errno 22] it is no regular file but a device: '/dev/zero'
    """
    wait = 0 if pipe else os.O_NONBLOCK
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | wait)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or (pipe and stat.S_ISFIFO(mode)):
        return io.BufferedReader(io.FileIO(descriptor))
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = "a pipe" if stat.S_ISFIFO(mode) else "a device"
    raise OSError(errno.EINVAL, f"it is no regular file but {kind}", str(path))


def read(path: Path, *, pipe: bool = False, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a file.

    Args:
        path: a file, or a link to one.
        pipe: as for `opened`.
        limit: the largest size that is read, in bytes: a file with a hole can claim any, and all of it would be read.

    Raises:
        OSError: as `opened`, or the file is larger than `limit`.
    """
    with opened(path, pipe=pipe) as file:
        size = os.fstat(file.fileno()).st_size
        pieces = [b"" if size > limit else file.read(size + 1)]  # `read` reserves as much memory as it may read
        total = max(size, len(pieces[0]))
        while size < total <= limit and (piece := file.read(_PIECE)):  # a pipe, or a file that grows
            pieces.append(piece)
            total += len(piece)
        if total > limit:
            raise OSError(errno.EFBIG, f"it has over {limit:,} bytes", str(path))
        return b"".join(pieces)
