"""Give the thread of a hook a working folder of its own, so that `chdir` in a hook moves no other thread.

Linux has one per thread if the thread asks for it (`unshare` with CLONE_FS, which needs no rights). Elsewhere all
threads share one.
"""

from __future__ import annotations

import ctypes
import sys

_CLONE_FS = 0x200


def keep_working_folder() -> bool:
    """Separate the working folder of this thread from that of the process; return whether the system can do it."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).unshare(_CLONE_FS) == 0)
    except (OSError, AttributeError):  # a C library without it
        return False
