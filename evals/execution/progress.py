"""What a person sees while a command works: a line at once, the seconds while a model is loaded, and bars.

    announce(text)     write the line, and count the seconds below it until the first bar
    bar(…)             a bar of `tqdm`
    note(text)         write a line above the bar
    counting()         ends the count when a command ends

On a terminal the seconds replace each other in one line; in a file there is only the first line.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_INTERVAL = 0.5
"""Seconds between two updates of the line."""


class _Waiting:
    """Writes the seconds that have passed, from a thread of its own, until it is ended."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while not self._ended.wait(_INTERVAL):
            sys.stderr.write(f"\r  {time.monotonic() - self._start:.0f} s")
            sys.stderr.flush()

    def end(self) -> None:
        """Stop, and clear the line."""
        self._ended.set()
        self._thread.join()
        sys.stderr.write("\r          \r")
        sys.stderr.flush()


_waiting: list[_Waiting] = []
"""The running count; empty if there is none. A process has one terminal, so it has one count."""


def announce(text: str) -> None:
    """Write a line to standard error; on a terminal count the seconds until the first bar or `end`."""
    end()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    if sys.stderr.isatty():
        _waiting.append(_Waiting())


def end() -> None:
    """Stop counting, if anything is counted."""
    while _waiting:
        _waiting.pop().end()


@contextmanager
def counting() -> Iterator[None]:
    """End the count of seconds when a command ends or fails, so that no message is written into its line."""
    try:
        yield
    finally:
        end()


def note(text: str) -> None:
    """Write a line to standard error, above the bar if there is one."""
    from tqdm import tqdm

    end()
    tqdm.write(f"evals: {text}", file=sys.stderr)


def bar(**options: Any) -> tqdm[Any]:
    """Return a bar with the options of `tqdm`, in place of the count of seconds."""
    from tqdm import tqdm

    end()
    return tqdm(**options)
