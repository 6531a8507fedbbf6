"""Store the runs of a check beside its report, so that the report can be written again without running a model.

    records/outcomes.json              for each required run: its folder, or why there is none
    records/MODEL-TASK[-blind]/        a run folder with the values of its samples, but without prompts and outputs
    records/curves/SYSTEM.csv          the learning curves

An archive is small enough to be committed: `reports/baseline` contains one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from evals import records
from evals.errors import InputError, RecordError
from evals.records.folder import MANIFEST, RESULT, SAMPLES, Record, dumps
from evals.reports.claims.evidence import learning_curves
from evals.reports.claims.evidence.learning_curves import LearningCurve
from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
from evals.reports.claims.verdicts import CheckResult
from evals.schema import Json
from evals.temporaries import scratch_folder, write_atomically
from evals.timing import statistics

ARCHIVE, OUTCOMES, CURVES = "records", "outcomes.json", "curves"


@dataclass(frozen=True, slots=True)
class CheckArchive:
    """The stored runs and learning curves of a check."""

    outcomes: Mapping[RequiredRun, RunOutcome]
    curves: tuple[LearningCurve, ...]


def store(checked: CheckResult, out: Path) -> None:
    """Store the runs of a check in a folder; those of an earlier check are replaced.

    Args:
        checked: a check that had runs.
        out: the folder of its report.

    Raises:
        InputError: the folder cannot be written.
    """
    folder = out / ARCHIVE
    try:
        if folder.exists() and not (folder / OUTCOMES).exists():
            folder.rmdir()  # only if it is empty: no check has written it
        with scratch_folder(ARCHIVE, out) as building, scratch_folder(ARCHIVE, out) as replaced:
            (building / CURVES).mkdir()
            rows = list(_store_outcomes(checked, building))
            for curve in checked.curves:
                shutil.copyfile(curve.path, building / CURVES / f"{_safe(curve.system)}.csv")
            write_atomically(building / OUTCOMES, dumps(rows))
            building.chmod(out.stat().st_mode)  # that of a temporary folder is private
            if folder.exists():
                folder.rename(replaced / ARCHIVE)
            building.rename(folder)
    except OSError as error:
        raise InputError(f"cannot write in {folder}: {error.strerror or error}") from error


def load(out: Path) -> CheckArchive:
    """Read the archive of a check.

    Args:
        out: the folder of its report.

    Raises:
        InputError: the folder has no archive, or it is damaged.
    """
    folder = out / ARCHIVE
    if not (folder / OUTCOMES).is_file():
        raise InputError(f"{out} holds no records of a check: there is no {ARCHIVE}/{OUTCOMES}")
    try:
        rows = orjson.loads((folder / OUTCOMES).read_bytes())
        outcomes = {_required_run(row): _outcome(row, folder) for row in rows}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise RecordError(f"{folder / OUTCOMES} cannot be read: {error!r}") from error
    curves = [learning_curves.read(path, path.stem) for path in sorted((folder / CURVES).glob("*.csv"))]
    return CheckArchive(outcomes, tuple(curves))


def runs(folder: Path) -> tuple[list[Record], list[str]]:
    """Read the finished runs in a folder: those of an archive, or the run folders directly in it.

    Returns:
        The finished runs, and why each other run folder was left out.

    Raises:
        InputError: there are none.
    """
    inside = folder / ARCHIVE if (folder / ARCHIVE / OUTCOMES).is_file() else folder
    run_folders = [path.parent for path in sorted(inside.glob(f"*/{MANIFEST}"))]
    if not run_folders:
        raise InputError(f"{folder} holds no runs: neither run folders nor the records of a check")
    return records.load_finished(run_folders)


def _store_outcomes(checked: CheckResult, folder: Path) -> Iterator[dict[str, Json]]:
    """Write each run and yield the row of `outcomes.json` that names its folders."""
    names: set[str] = set()
    for run, outcome in checked.outcomes.items():
        metrics = _metrics(checked, run)
        name = _folder_name(run, names)
        row: dict[str, Json] = {
            "model": run.model, "task": run.task, "split": run.split, "shots": run.shots, "rate": run.rate
        }  # fmt: skip
        for field, record, suffix in (("record", outcome.record, ""), ("blind", outcome.blind, "-blind")):
            row[field] = f"{name}{suffix}" if record is not None else None
            if record is not None:
                _copy(record, folder / f"{name}{suffix}", metrics)
        note: dict[str, Json] = {"note": outcome.note} if outcome.note else {}
        yield {**row, "why": outcome.why, "failed": outcome.failed, "proxy": outcome.proxy, **note}


def _copy(record: Record, to: Path, metrics: set[str]) -> None:
    """Write a run without prompts and outputs: of each sample only its cluster and its values of some metrics."""
    to.mkdir(parents=True)
    result = record.finished()
    names = {*metrics, result.headline}
    if record.timed:
        names |= {
            statistics.TimedMetric.of(name, result.metrics[name]).value for name in names if name in result.metrics
        }
    shutil.copyfile(record.folder / MANIFEST, to / MANIFEST)  # as it stands: its signature is that of its fields
    shutil.copyfile(record.folder / RESULT, to / RESULT)  # likewise: its digest
    lines = (
        orjson.dumps(
            {
                "id": row.id,
                "index": row.index,
                "cluster": row.cluster,
                "values": {name: value for name, value in row.values.items() if name in names},
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for row in record.samples()
    )
    write_atomically(to / SAMPLES, b"".join(lines))


def _metrics(checked: CheckResult, run: RequiredRun) -> set[str]:
    """The metrics of a task that claims refer to."""
    measures = (claim.measure for document in checked.documents for claim in document.claims)
    return {measure.metric for measure in measures if measure is not None and measure.task == run.task}


def _folder_name(run: RequiredRun, names: set[str]) -> str:
    """Return a folder name for a run that is not in `names`, and add it there."""
    shots = f"{run.shots}-shots" if run.shots is not None else None
    rate = f"{run.rate:g}-per-second" if run.rate is not None else None
    parts = (run.model, run.task, run.split, shots, rate)
    name = base = _safe("-".join(part for part in parts if part))
    number = 1
    while name in names:
        number += 1
        name = f"{base}-{number}"
    names.add(name)
    return name


def _safe(name: str) -> str:
    """Replace the characters that file systems do not accept."""
    return "".join(c if c.isalnum() or c in "-._@" else "-" for c in name).strip("-.")


def _required_run(row: Mapping[str, Json]) -> RequiredRun:
    return RequiredRun(row["model"], row["task"], row["split"], row["shots"], row.get("rate"))


def _outcome(row: Mapping[str, Json], folder: Path) -> RunOutcome:
    record, blind = (records.load(folder / row[field]) if row[field] else None for field in ("record", "blind"))
    return RunOutcome(record, blind, row["why"], row["failed"], row["proxy"], row.get("note", ""))
