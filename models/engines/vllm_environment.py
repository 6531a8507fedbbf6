"""Set up the process for vLLM before it is imported: quiet, offline as the rest of the suite, stopped by NaN."""

from __future__ import annotations

import atexit
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_DEFAULTS = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_RAISE_ON_LOGIT_NANS": "1",
}
"""Environment variables that vLLM reads, with the values that hold where the user has set none: no statistics are sent;
its messages do not mix with ours; scores that are no numbers stop the run, so that no token is taken from them."""
_CAUSE = re.compile(r"^(?:\([^)]*\) )*(?:\S+ [\d:.\- ]+\S* )?(?:\[[^\]]*\] )?([\w.]*(?:Error|Exception)): (.+)$")
"""A line of vLLM's log that names an exception, after the process's name, the level and the time."""


def prepare() -> None:
    """Set the environment variables that the user has not set."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def import_vllm(log: Path) -> Any:
    """Import vLLM as `prepare` sets it up; what it prints meanwhile goes into a log. Returns the module."""
    prepare()
    with output_to(log):
        import vllm
    return vllm


def log_file() -> Path:
    """Make an empty file for what vLLM prints; it is removed when this process ends."""
    descriptor, name = tempfile.mkstemp(prefix="evals-vllm-", suffix=".log")
    os.close(descriptor)
    atexit.register(Path(name).unlink, missing_ok=True)
    return Path(name)


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Write what this process and those that it starts meanwhile print into a file; they keep writing there.

    Args:
        log: the file; it is appended to.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for descriptor in (1, 2):
            os.dup2(file, descriptor)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in zip((1, 2), kept, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
        os.close(file)


def cause(log: Path) -> str | None:
    """Return the last exception that a log names, in one line; None if it names none.

    An engine runs in processes of its own, and reports only that it failed. Its log says why.
    """
    if not log.is_file():
        return None
    lines = [match for line in log.read_text(errors="replace").splitlines() if (match := _CAUSE.match(line.strip()))]
    causes = [match for match in lines if "See root cause above" not in match[2] and "Engine core" not in match[2]]
    return f"{causes[-1][1].rpartition('.')[2]}: {causes[-1][2]}" if causes else None
