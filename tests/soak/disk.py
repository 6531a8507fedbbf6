"""A work folder whose disk can be made full.

Where this user may mount, the folder is a file system of its own in memory, and a full disk is its real end. Elsewhere
a limit on the size of files stands for it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

EXTRA_BYTES = (0, 4_096, 8_192, 20_000, 100_000, 300_000)
"""What may still be written to a disk before it is full; a file system in memory counts whole pages."""
_BYTES = 256 << 20


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """Yield an empty folder, on a file system of its own if possible."""
    folder = Path(tempfile.mkdtemp(prefix="evals-soak-work-"))
    mounted = can_mount() and _mount("tmpfs", f"size={_BYTES}", folder)
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def almost_full(folder: Path, extra: int) -> Iterator[int | None]:
    """Leave `extra` bytes on the folder's disk; yields a limit on the size of files where that is not possible."""
    if not os.path.ismount(folder):
        yield extra
        return
    status = os.statvfs(folder)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    _mount("tmpfs", f"remount,size={max(used + extra, status.f_frsize)}", folder)
    try:
        yield None
    finally:
        _mount("tmpfs", f"remount,size={_BYTES}", folder)


@functools.cache
def can_mount() -> bool:
    """Whether this user may mount a file system in memory."""
    with tempfile.TemporaryDirectory() as folder:
        if not _mount("tmpfs", "size=64k", Path(folder)):
            return False
        subprocess.run(["umount", folder], check=True, capture_output=True)
        return True


def _mount(kind: str, options: str, folder: Path) -> bool:
    command = shutil.which("mount")
    if command is None:
        return False
    return subprocess.run([command, "-t", kind, "-o", options, kind, str(folder)], capture_output=True).returncode == 0
