"""Keep the answers of a server from the moment they come until their samples are recorded: what was paid for is kept.

A sample with several requests is recorded when its last one is answered, and a probe is fitted when all its training
samples are answered. Until then the answers are in the run folder, in one file per process (`.answers-0.log`): on each
line the digest of a request, that of the line, and the prediction as JSON, separated by spaces. After a kill they are
read in place of asking again; a line that was damaged is not. The files are removed when all samples are recorded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import threading
from pathlib import Path

import msgspec

from evals.errors import InputError
from evals.schema import Prediction, Request

_NAME = ".answers-{}.log"
_DIGEST_BYTES = 16
_CONTENT_START = 2 * (2 * _DIGEST_BYTES + 1)


class AnswerLog:
    """The answers of one process, and those that all processes of the run and of its earlier starts have kept.

    Safe for several threads. A process that is killed loses at most the requests that its threads wait for.
    """

    def __init__(self, folder: Path, process: int = 0) -> None:
        """Continue the file of a process.

        Args:
            folder: the run folder.
            process: number of the process among the workers.

        Raises:
            InputError: the file cannot be written.
        """
        self._folder = folder
        self._path = folder / _NAME.format(process)
        self._lock = threading.Lock()
        self._places: dict[bytes, tuple[Path, int]] = {}
        """The file and offset of each answer, by the digest of its request."""
        self._read: dict[Path, int] = {}
        """How far each file was read."""
        try:
            self._file = self._path.open("ab", buffering=0)
            if self._file.tell():
                self._file.write(b"\n")  # the last line may have been cut off by a kill
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror or error}") from error

    def find(self, request: Request) -> Prediction | None:
        """Return the answer to a request, or None if none was kept."""
        digest = _digest(request)
        with self._lock:
            if digest not in self._places:
                self._read_on()
            place = self._places.get(digest)
        if place is None:
            return None
        path, offset = place
        try:
            with path.open("rb") as file:
                file.seek(offset)
                line = file.readline()
        except OSError:
            return None
        content = line[_CONTENT_START:-1]
        if line != _line(digest, content):
            return None  # the line is damaged: the request is sent again
        fields = msgspec.json.decode(content)
        return Prediction(**{**fields, "scores": tuple(fields["scores"]), "tokens": tuple(fields["tokens"])})

    def add(self, request: Request, prediction: Prediction) -> None:
        """Keep an answer; one to a request that was shortened is not kept. Raises `InputError` if that is impossible.

        The line survives the end of this process, but perhaps not that of the machine: only records are waited for.
        """
        if prediction.shortened is not None:
            return
        fields = {field.name: getattr(prediction, field.name) for field in dataclasses.fields(prediction)}
        line = memoryview(_line(_digest(request), msgspec.json.encode(fields)))
        with self._lock:
            start = os.fstat(self._file.fileno()).st_size
            try:
                while line:
                    line = line[self._file.write(line) :]
            except OSError as error:
                os.ftruncate(self._file.fileno(), start)
                raise InputError(f"cannot write {self._path}: {error.strerror}; what was finished is kept") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_on(self) -> None:
        """Note where the answers are that came since the last look."""
        for path in self._folder.glob(_NAME.format("*")):
            offset = self._read.get(path, 0)
            with path.open("rb") as file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n"):  # being written
                        break
                    with contextlib.suppress(ValueError):  # cut off by a kill, or empty
                        self._places[bytes.fromhex(line[: 2 * _DIGEST_BYTES].decode())] = path, offset
                    offset += len(line)
            self._read[path] = offset


def forget(folder: Path) -> None:
    """Remove the answers that a run has kept, when all its samples are recorded."""
    for path in folder.glob(_NAME.format("*")):
        path.unlink(missing_ok=True)


def _line(digest: bytes, content: bytes) -> bytes:
    """Return the line of a request's digest and an answer, with a digest of both."""
    check = hashlib.blake2b(digest + content, digest_size=_DIGEST_BYTES)
    return b" ".join([digest.hex().encode(), check.hexdigest().encode(), content]) + b"\n"


def _digest(request: Request) -> bytes:
    """Identify a request by all its fields; an image and a clip by their keys."""
    return hashlib.blake2b(repr(request).encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()
