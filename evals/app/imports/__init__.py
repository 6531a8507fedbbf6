"""Make run folders of the logs of other harnesses: the command `import`.

    import_logs(paths, out) -> ImportOutcome

`benchmarks` recognises the tasks of this suite among those of a harness, so that the recorded outputs are scored again
by its scorers; `foreign` keeps the scores of all other tasks; `folders` writes a run folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals import logs, records
from evals.app.imports import folders
from evals.errors import InputError, counted
from evals.records import Record
from evals.reports.runs import reported

__all__ = ["ImportOutcome", "import_logs", "summary"]


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of some logs."""

    records: tuple[Record, ...]
    """The finished runs."""
    refused: tuple[str, ...] = ()
    """Why each other run could not be imported; one log of several does not keep the others from it."""


def import_logs(paths: Sequence[Path | str], out: Path | str | None = None) -> ImportOutcome:
    """Make a run folder of each run in some logs.

    Args:
        paths: files, or folders that hold logs: of lm-eval, lmms-eval, inspect_ai, lighteval, HELM, mteb, VLMEvalKit
            and Every Eval Ever.
        out: the run folder, or for several runs the folder of theirs; None for `runs/<model>-<task>-<signature>`.

    Returns:
        The finished runs. Outputs of a task of this suite are scored again by its scorer; all others keep their scores.

    Raises:
        InputError: a path is missing or no log, a log is malformed, no run can be imported, or the folder holds other
            files.

    Example:
        >>> import_logs(["/nowhere"])
        Traceback (most recent call last):
            ...
        evals.errors.InputError: /nowhere does not exist
    """
    place = None if out is None else Path(out).expanduser()
    records.check_place(place)
    runs, unreadable = logs.read([Path(path) for path in paths])
    scored_logs, refused = _scored(runs, unreadable)
    _check_distinct(scored_logs)
    names: list[str] = []
    for log in scored_logs:
        name = folders.name_of(log)
        if names.count(name):
            name = f"{name}-{log.manifest.signature}"
        names.append(name)
    written = []
    for log, name in zip(scored_logs, names, strict=True):
        folder = Path("runs") / f"{name}-{log.manifest.signature}" if place is None else place
        written.append(folders.write(log, folder / name if place is not None and len(scored_logs) > 1 else folder))
    return ImportOutcome(tuple(written), tuple(refused))


def _scored(runs: Sequence[logs.HarnessRun], unreadable: Sequence[str]) -> tuple[list[folders.ScoredLog], list[str]]:
    """Score the runs; those that cannot be are named after the logs that cannot be read. Raises if none can."""
    scored_logs, refused = [], list(unreadable)
    for run in runs:
        try:
            scored_logs.append(folders.scored(run))
        except InputError as error:
            refused.append(str(error))
    if not scored_logs:
        raise InputError("; ".join(refused[:3]) + (f"; and {len(refused) - 3} more" if len(refused) > 3 else ""))
    return scored_logs, refused


def _check_distinct(scored_logs: Sequence[folders.ScoredLog]) -> None:
    """Raise if two logs are one run, as when a folder holds a copy of another."""
    files_by_signature: dict[str, str] = {}
    for log in scored_logs:
        before = files_by_signature.setdefault(log.manifest.signature, log.files)
        if before != log.files:
            raise InputError(f"{before} and {log.files} are one run, {log.manifest.signature}: name one of them")


def summary(imported: Sequence[Record]) -> str:
    """Say what was imported: for each run its origin, its values beside those of the harness, and where it is."""
    return "\n\n".join("\n".join(_lines(record)) for record in imported) + "\n"


def _lines(record: Record) -> Iterator[str]:
    result, manifest = record.finished(), record.manifest
    yield f"{reported.origin(record)}: {manifest.model_name} on {manifest.task.name}, {counted(result.n, 'sample')}"
    yield from (f"  {sentence}" for sentence in reported.sentences(record))
    yield f"  {record.folder} holds the run"
