"""Keep apart what hooks and the code of users print, what the command prints, and the stream of events.

to_standard_error()    what this thread prints goes to standard error: standard output is the command's
whole_lines()          standard error gets whole lines only, so that each event of the stream is a line of its own
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class _Divided:
    """Standard output for all threads but those of hooks, whose output goes to standard error."""

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.threads: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        is_hook = threading.get_ident() in self.threads
        return getattr(sys.stderr if is_hook else self.output, name)


class _WholeLines:
    """Standard error that holds back the beginning of a line until its thread has written the rest.

    One thread's line never stands inside that of another, also if it is written in parts or never ended.
    """

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.users = 0
        self.buffer = _Bytes(self)
        self._begun: dict[threading.Thread, str] = {}
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        thread = threading.current_thread()
        with self._lock:
            for ended in [other for other in self._begun if not other.is_alive()]:
                self.output.write(f"{self._begun.pop(ended)}\n")
            lines, newline, begun = (self._begun.pop(thread, "") + text).rpartition("\n")
            if begun:
                self._begun[thread] = begun
            if newline:
                self.output.write(lines + newline)
                self.output.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hold back what is no line yet; the lines were flushed."""

    def end(self) -> None:
        """Write the lines that were begun, and end them."""
        with self._lock:
            for begun in self._begun.values():
                self.output.write(f"{begun}\n")
            self._begun.clear()
            self.output.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.output, name)


class _Bytes(io.RawIOBase):
    """The bytes behind a `_WholeLines`."""

    def __init__(self, text: _WholeLines) -> None:
        self._text = text

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def write(self, data: Any) -> int:
        """Write bytes as text."""
        content = bytes(data)
        self._text.write(content.decode(errors="backslashreplace"))
        return len(content)


_lock = threading.Lock()


@contextmanager
def whole_lines(*, wanted: bool = True) -> Iterator[None]:
    """Let standard error get whole lines only, from whatever Python code of this process writes to `sys.stderr`."""
    if not wanted:
        yield
        return
    with _lock:
        output: Any = sys.stderr
        whole = output if isinstance(output, _WholeLines) else _WholeLines(output)
        sys.stderr = cast(TextIO, whole)
        whole.users += 1
    try:
        yield
    finally:
        with _lock:
            whole.users -= 1
            if not whole.users:
                with suppress(OSError, ValueError):  # nobody reads it any more
                    whole.end()
                if sys.stderr is cast(TextIO, whole):
                    sys.stderr = whole.output


@contextmanager
def to_standard_error() -> Iterator[None]:
    """Let what this thread prints go to standard error."""
    thread = threading.get_ident()
    with _lock:
        output: Any = sys.stdout
        divided = output if isinstance(output, _Divided) else _Divided(output)
        sys.stdout = divided
        divided.threads.add(thread)
    try:
        yield
    finally:
        with _lock:
            divided.threads.discard(thread)
            if not divided.threads and sys.stdout is divided:
                sys.stdout = divided.output
