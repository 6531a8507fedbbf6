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
    """Reads all of its files at once, since results and samples may stand apart."""


READERS = tuple(
    _HarnessReader(name, module.is_log, module.read)
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


def read(paths: Sequence[Path]) -> list[HarnessRun]:
    """Read the runs of some logs.

    Args:
        paths: files, or folders with the logs of one harness or of several, at any depth.

    Returns:
        The runs, those of one file in its order.

    Raises:
        InputError: a path is missing, a file is no log that is known or is malformed, or a folder has none.

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
    return [run for reader in READERS if reader.harness in by_reader for run in reader.read(by_reader[reader.harness])]


def _logs(path: Path) -> list[tuple[Path, _HarnessReader]]:
    """Return the logs at a path with their readers; what else is in a folder is passed over."""
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        if len(files) > _MOST_FILES:
            raise InputError(f"{path} holds {counted(len(files), 'file')}, at most {_MOST_FILES:,}: name the logs")
        logs = [(file, reader) for file in files if (reader := _reader(file)) is not None]
        if not logs:
            raise InputError(f"{path} holds no log of {_harnesses()}")
        return logs
    reader = _reader(path)
    if reader is None:
        raise InputError(f"{path} is no log of {_harnesses()}; see docs/importing.md for the files of each")
    return [(path, reader)]


def _reader(path: Path) -> _HarnessReader | None:
    return next((reader for reader in READERS if reader.is_log(path)), None)


def _harnesses() -> str:
    names = [reader.harness for reader in READERS]
    return f"{', '.join(names[:-1])} or {names[-1]}"
