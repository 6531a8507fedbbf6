"""Python's fork server under a temporary folder of any length."""

from __future__ import annotations

import multiprocessing
import tempfile
from multiprocessing import util
from multiprocessing.context import ForkServerContext

_LONGEST = 60
"""Most characters of a temporary folder under which the server's socket fits: its whole path has at most 107 bytes."""


def fork_server_context() -> ForkServerContext:
    """Return the context `forkserver`; a socket goes to /tmp if the temporary folder has too long a path for it.

    >>> fork_server_context().get_start_method()
    'forkserver'
    """
    if len(tempfile.gettempdir()) > _LONGEST:
        usual, tempfile.tempdir = tempfile.tempdir, "/tmp"
        try:
            util.get_temp_dir()
        finally:
            tempfile.tempdir = usual
    return multiprocessing.get_context("forkserver")
