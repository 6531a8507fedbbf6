"""Find the logs of harnesses among files and folders, and read each with the module of its harness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.errors import InputError, counted
from evals.logs import every_eval_ever, helm, inspect_ai, lighteval, lm_eval, mteb, vlmevalkit
from evals.logs.harness_run import HarnessRun


@dataclass(frozen=True, slots=True)
class _HarnessReader:
    """What reads the logs of one harness."""

    harness: str
    is_log: Callable[[Path], bool]
    """Whether a file is a log of the harness."""
    read: Callable[[Sequence[Path]], list[HarnessRun]]
    """Reads the files of a piece."""
    pieces: Callable[[Sequence[Path]], list[list[Path]]]
    """Divides files into pieces that are read together, such as samples with their results: one that cannot be read
    does not keep the others from it."""


def _single_files(paths: Sequence[Path]) -> list[list[Path]]:
    return [[path] for path in paths]


READERS = tuple(
    _HarnessReader(name, module.is_log, module.read, getattr(module, "pieces", _single_files))
    for name, module in (
        ("inspect_ai", inspect_ai),
        ("lm-eval and lmms-eval", lm_eval),
        ("lighteval", lighteval),
        ("HELM", helm),
        ("mteb", mteb),
        ("Every Eval Ever", every_eval_ever),
        ("VLMEvalKit", vlmevalkit),
    )
)
_MOST_FILES = 10_000


def read(paths: Sequence[Path]) -> tuple[list[HarnessRun], list[str]]:
    """Read the runs of some logs.

    Args:
        paths: files, or folders with the logs of one harness or of several, at any depth.

    Returns:
        The runs, and why each other log could not be read.

    Raises:
        InputError: a path is missing, a named file is no log that is known, or a folder has none.

    Example:
        >>> read([Path("/nowhere")])
        Traceback (most recent call last):
            ...
        evals.errors.InputError: /nowhere does not exist
    """
    by_reader: dict[str, list[Path]] = {}
    for path in dict.fromkeys(path.expanduser() for path in paths):
        for file, reader in _logs(path):
            if file not in by_reader.setdefault(reader.harness, []):
                by_reader[reader.harness].append(file)
    runs: list[HarnessRun] = []
    refused: list[str] = []
    for reader in READERS:
        for files in reader.pieces(by_reader.get(reader.harness, [])):
            try:
                runs += reader.read(files)
            except InputError as error:
                refused.append(str(error))
    return runs, refused


def _logs(path: Path) -> list[tuple[Path, _HarnessReader]]:
    """Return the logs at a path with their readers; what else is in a folder is passed over."""
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        if len(files) > _MOST_FILES:
            raise InputError(f"{path} holds {counted(len(files), 'file')}, at most {_MOST_FILES:,}: name the logs")
        logs = [(file, reader) for file in files if (reader := _reader_in_folder(file)) is not None]
        if not logs:
            raise InputError(f"{path} holds no log of {_harnesses()}")
        return logs
    reader = _reader(path)
    if reader is None:
        raise InputError(f"{path} is no log of {_harnesses()}; see docs/importing.md for the files of each")
    return [(path, reader)]


def _reader(path: Path) -> _HarnessReader | None:
    return next((reader for reader in READERS if reader.is_log(path)), None)


def _reader_in_folder(path: Path) -> _HarnessReader | None:
    """Return the reader of a file among others; one that cannot be read as what its name says is no log."""
    try:
        return _reader(path)
    except InputError:
        return next((reader for reader in READERS if reader.read is lm_eval.read and lm_eval.has_name(path)), None)


def _harnesses() -> str:
    names = [reader.harness for reader in READERS]
    return f"{', '.join(names[:-1])} or {names[-1]}"
