"""Where a run folder may be: checked before a model is loaded, so that nothing of a stranger is written over.

    check_place(folder)          not the root of the file system, not a person's home folder
    check_run_folder(folder)     and one that can be written: a run folder, an empty folder, or a new one
    check_two_folders(a, b)      not one folder under two names
    check_output(file)           not a file that holds a run
    runs_inside(folder)          the run folders in a folder that is none itself, for an error

A path is compared after links and `..` are followed.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from evals.errors import InputError, shorten

_MANIFEST = "manifest.json"
_OF_A_RUN = frozenset(
    {_MANIFEST, "samples.jsonl", "prefixes.jsonl", "result.json", "predictions.json", "verified.json", "prompts.json"}
)
"""Files that reports and exports are made from, and that no report or export may replace."""


def check_place(folder: Path | str | None) -> None:
    """Raise `InputError` for a folder in which nobody wants the files of runs; None is no folder.

    Example:
        >>> check_place(Path("/"))
        Traceback (most recent call last):
            ...
        evals.errors.InputError: --out / is the root of the file system; choose a new or an empty folder
    """
    if folder is None:
        return
    place = Path(folder).expanduser().resolve()
    with contextlib.suppress(RuntimeError):  # nobody's home is known
        if place == Path.home().resolve():
            raise InputError(f"--out {folder} is your home folder; choose a new or an empty folder")
    if place == Path(place.anchor):
        raise InputError(f"--out {folder} is the root of the file system; choose a new or an empty folder")


def check_run_folder(folder: Path) -> None:
    """Raise `InputError` if a run cannot write into a folder, or must not; nothing is left behind.

    A folder with other files is refused: a run would write a manifest, samples and reports among them. Names that begin
    with a dot do not count, since a run that was killed early has left a lock.
    """
    check_place(folder)
    _check_writable(folder)
    if folder.is_dir() and not (folder / _MANIFEST).exists():
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if others:
            raise InputError(
                f"--out {folder} holds other files ({shorten(others[0], 60)}) and is no run folder: it has no "
                f"{_MANIFEST}; choose a new or an empty folder"
            )


def check_two_folders(a: Path | str, b: Path | str) -> None:
    """Raise `InputError` if two paths are one folder: a run compared with itself looks like a perfect agreement.

    Example:
        >>> check_two_folders("runs/vl", "runs/../runs/vl")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: runs/vl and runs/../runs/vl are one folder; give two runs
    """
    if Path(a).expanduser().resolve() == Path(b).expanduser().resolve():
        raise InputError(f"{a} and {b} are one folder; give two runs")


def check_output(path: Path | None) -> None:
    """Raise `InputError` if a table would replace a file that holds a run, or its name is that of no file.

    Args:
        path: where the table or the report goes; None for the standard output.

    Example:
        >>> check_output(Path("sums.csv"))
    """
    if path is None:
        return
    try:
        place = path.expanduser().resolve()
    except ValueError as error:  # a NUL, or half of a pair that stands for one character
        raise InputError(f"--out {path} is no name of a file: {error}") from error
    if place.name in _OF_A_RUN and any((place.parent / name).is_file() for name in (_MANIFEST, "prompts.json")):
        raise InputError(f"--out {path} is a file of the run in {place.parent}: name another one")


def runs_inside(folder: Path) -> str:
    """Say which run folders a folder holds that is none itself; empty if it holds none.

    Example:
        >>> runs_inside(Path("/nowhere"))
        ''
    """
    if (folder / "prompts.json").exists():
        return "; it holds one per prompt: name one, such as prompt-1"
    names = sorted(path.parent.name for path in folder.glob(f"*/{_MANIFEST}")) if folder.is_dir() else []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"; it holds {', '.join(names[:3])}{more}: name them, as {folder}/*" if names else ""


def _check_writable(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write in {folder}: {error.strerror or error}") from error
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # it was never made, or another process has begun to use it
                path.rmdir()
