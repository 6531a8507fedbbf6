"""Temporary files and folders: written beside what they become, and removed if their process was killed.

Whoever writes one holds a lock on it (`flock`). A lock ends with its process, however that ends. So a temporary that
can be locked was abandoned; the next start of the same command removes it. One that a living process writes is never
removed, not even if it runs on another machine that shares the file system.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from evals.errors import InputError

_TEMPORARY = re.compile(r"\..+\.[^.]+\.tmp")
"""File names of temporaries: `.result.json.4711.tmp`."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the contents of a file; even after a crash it has either the old or the new contents.

    What earlier writers of the same file left behind is removed, if they were killed.

    Raises:
        InputError: the file cannot be written.
    """
    with writing_atomically(path) as file:
        file.write(data)


@contextmanager
def writing_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name when the context ends; after an error the old contents remain.

    Raises:
        InputError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        remove_abandoned(path.parent, path.name)
        descriptor = _open_locked(temporary, os.O_WRONLY | os.O_CREAT)
        with os.fdopen(descriptor, "wb") as file:
            file.truncate()
            yield file
            file.flush()
            os.fsync(descriptor)
            temporary.replace(path)  # before the lock ends
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def scratch_folder(name: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a temporary folder, which ends with the context; those of the same name that were abandoned are removed.

    Args:
        name: what the folder is for; a part of its name.
        parent: where to make it; None is the system's folder for temporary files.

    Yields:
        The folder, empty. It may be moved away.
    """
    parent = parent or Path(tempfile.gettempdir())
    remove_abandoned(parent, name)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".tmp", dir=parent))
        with suppress(FileNotFoundError):  # removed by another process before it was locked
            descriptor = _open_locked(folder, os.O_RDONLY)
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def signals_end_contexts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `SystemExit`, so that the contexts within remove their temporaries.

    The exit status is that of a process that the signal ended (143 and 129). A signal that is ignored stays ignored
    (`nohup`), and outside the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    changed = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    try:
        for number in changed:
            signal.signal(number, _end)
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove the temporaries of processes that have ended.

    Args:
        folder: where to look; not in the folders inside it.
        name: only the temporaries of this file or scratch folder; None is all.
    """
    pattern = ".*.tmp" if name is None else f".{glob.escape(name)}.*.tmp"
    for path in folder.glob(pattern):
        if _TEMPORARY.fullmatch(path.name):
            _remove_abandoned(path)


def _remove_abandoned(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # somebody else's, or gone
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.lstat()):
            return  # what was opened has been moved away since, and a living process writes the next one of its name
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:  # in use, or the file system has no locks
        return
    finally:
        os.close(descriptor)


def _open_locked(path: Path, flags: int) -> int:
    """Open and lock a temporary. Raises `FileNotFoundError` if it is missing and `flags` do not create it."""
    while True:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            with suppress(OSError):  # a file system without locks: then nothing is ever removed there
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        except FileNotFoundError:  # removed between opening and locking
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
