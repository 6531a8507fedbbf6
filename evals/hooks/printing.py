"""Send what hooks print to standard error, so that standard output holds what the command prints and nothing else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class _Divided:
    """Standard output for all threads but those of hooks, whose output goes to standard error."""

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.threads: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        is_hook = threading.get_ident() in self.threads
        return getattr(sys.stderr if is_hook else self.output, name)


_lock = threading.Lock()


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
