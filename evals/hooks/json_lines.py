"""The stream of JSON lines (`--progress json`): one event per line, flushed; the schema is in docs/tracking.md.

A reader that goes away, a disk that is full or a reader that is slow never disturbs the run: the stream ends, or leaves
out batches.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from evals.errors import InputError
from evals.hooks.events import BatchDone, RunEvent, RunFinished, RunStarted, RunStopped
from evals.start_folder import absolute

STANDARD_ERROR, PREFIX = "json", "json:"
_BEGINNING = b'{"event":'


class JsonLines:
    """A hook that writes each event as one line."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """Write with a function that takes one whole line and flushes it; it may raise `OSError`."""
        self._write = write

    def _line(self, event: RunEvent) -> None:
        self._write(msgspec.json.encode(event).decode() + "\n")

    def run_started(self, event: RunStarted) -> None:
        """Write the event."""
        self._line(event)

    def batch_done(self, event: BatchDone) -> None:
        """Write the event."""
        self._line(event)

    def run_finished(self, event: RunFinished) -> None:
        """Write the event."""
        self._line(event)

    def run_stopped(self, event: RunStopped) -> None:
        """Write the event."""
        self._line(event)


def check(place: str) -> None:
    """Raise `InputError` unless a value of `--progress` is `json`, or `json:FILE` with a file of events or a new one.

    Example:
        >>> check("json")
        >>> check("jsno")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: --progress 'jsno' is none of bar, none, json, json:FILE
    """
    if place == STANDARD_ERROR:
        return
    if not place.startswith(PREFIX) or not place.removeprefix(PREFIX):
        raise InputError(f"--progress {place!r} is none of bar, none, json, json:FILE")
    path = _path(place)
    if path.is_file() and not _holds_events(path):
        raise InputError(f"--progress {place}: the file holds other things than events, and is not appended to")
    os.close(_opened(place))


def _holds_events(path: Path) -> bool:
    """Whether a file is empty or begins with an event."""
    with path.open("rb") as file:
        beginning = file.read(len(_BEGINNING))
    return _BEGINNING.startswith(beginning)


def stream(place: str) -> JsonLines:
    """Return the hook that writes to a place: `json` (standard error) or `json:FILE` (appended).

    Raises:
        InputError: the file cannot be written.
    """
    if place == STANDARD_ERROR:
        target = sys.stderr

        def to_standard_error(line: str) -> None:
            target.write(line)
            target.flush()

        return JsonLines(to_standard_error)
    check(place)
    return JsonLines(_Appending(place))


class _Appending:
    """Appends lines to a file, which is opened at the first line and stays open until the hook is dropped."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._descriptor: int | None = None

    def __call__(self, line: str) -> None:
        if self._descriptor is None:
            self._descriptor = _opened(self._place)
            line = "\n" * _ends_inside_a_line(self._place) + line
        data = memoryview(line.encode())
        while data:
            data = data[os.write(self._descriptor, data) :]

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def _ends_inside_a_line(place: str) -> bool:
    """Whether a file ends in a torn line, as a full disk leaves one."""
    path = _path(place)
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def absolute_place(place: str) -> str:
    """Return a value of `--progress` that names the same file wherever the working folder is later."""
    return place if place == STANDARD_ERROR else f"{PREFIX}{_path(place)}"


def _path(place: str) -> Path:
    return absolute(Path(place.removeprefix(PREFIX)).expanduser())


def _opened(place: str) -> int:
    """Open a stream's file for appending; a named pipe must have a reader, since the run would wait for one."""
    path = _path(place)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o666)
    except OSError as error:
        reason = "nobody reads this pipe" if error.errno == errno.ENXIO else error.strerror
        raise InputError(f"--progress {place}: cannot write {path}: {reason}") from error
    os.set_blocking(descriptor, True)
    return descriptor
