"""The records that a claims report rests on, kept beside it: what it takes to write the report again.

    records/outcomes.json              which run answers which job, or why there is none
    records/MODEL-TASK[-blind]/        a run folder with the figures of its samples, without what was shown and answered
    records/curves/SYSTEM.csv          the learning curves

So small that they can be committed: `reports/baseline` is such a folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from evals import records
from evals.errors import InputError, RecordError
from evals.records.folder import MANIFEST, RESULT, SAMPLES, Record, dumps, write_atomically
from evals.reports.claims.evidence import learning_curves
from evals.reports.claims.evidence.learning_curves import LearningCurve
from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
from evals.reports.claims.verdicts import CheckResult
from evals.schema import Json
from evals.timing import statistics

FOLDER, OUTCOMES, CURVES = "records", "outcomes.json", "curves"


@dataclass(frozen=True, slots=True)
class CheckArchive:
    """What was kept of a check."""

    outcomes: Mapping[RequiredRun, RunOutcome]
    curves: tuple[LearningCurve, ...]


def keep(checked: CheckResult, out: Path) -> None:
    """Keep the records of a check under its folder; those of an earlier one are replaced.

    Raises:
        InputError: the folder cannot be written.
    """
    folder = out / FOLDER
    try:
        if (folder / OUTCOMES).exists():
            shutil.rmtree(folder)
        (folder / CURVES).mkdir(parents=True, exist_ok=True)
        rows = list(_outcomes(checked, folder))
        for each in checked.curves:
            shutil.copyfile(each.path, folder / CURVES / f"{_safe(each.system)}.csv")
    except OSError as error:
        raise InputError(f"cannot write in {folder}: {error.strerror or error}") from error
    write_atomically(folder / OUTCOMES, dumps(rows))


def load(out: Path) -> CheckArchive:
    """Read what a check kept.

    Raises:
        InputError: nothing was kept there, or it is damaged.
    """
    folder = out / FOLDER
    if not (folder / OUTCOMES).is_file():
        raise InputError(f"{out} holds no records of a check: there is no {FOLDER}/{OUTCOMES}")
    try:
        rows = orjson.loads((folder / OUTCOMES).read_bytes())
        outcomes = {_job(row): _outcome(row, folder) for row in rows}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise RecordError(f"{folder / OUTCOMES} cannot be read: {error!r}") from error
    curves = [learning_curves.read(path, path.stem) for path in sorted((folder / CURVES).glob("*.csv"))]
    return CheckArchive(outcomes, tuple(curves))


def runs(folder: Path) -> list[Record]:
    """Read the runs under a folder: those that a check kept, or run folders that lie in it.

    Raises:
        InputError: there are none.
    """
    inside = folder / FOLDER if (folder / FOLDER / OUTCOMES).is_file() else folder
    found = [records.load(path.parent) for path in sorted(inside.glob(f"*/{MANIFEST}"))]
    if not found:
        raise InputError(f"{folder} holds no runs: neither run folders nor the records of a check")
    return found


def _outcomes(checked: CheckResult, folder: Path) -> Iterator[dict[str, Json]]:
    """Write each run once, and say of each job where its runs are."""
    taken: set[str] = set()
    for job, outcome in checked.outcomes.items():
        wanted = _metrics(checked, job)
        name = _name(job, taken)
        row: dict[str, Json] = {"model": job.model, "task": job.task, "split": job.split, "shots": job.shots}
        for field, record, suffix in (("record", outcome.record, ""), ("blind", outcome.blind, "-blind")):
            row[field] = f"{name}{suffix}" if record is not None else None
            if record is not None:
                _copy(record, folder / f"{name}{suffix}", wanted)
        yield {**row, "why": outcome.why, "failed": outcome.failed, "proxy": outcome.proxy}


def _copy(record: Record, to: Path, wanted: set[str]) -> None:
    """Write a run without what was shown and answered: each sample's figures of some metrics, and its cluster."""
    to.mkdir(parents=True)
    result = record.finished()
    names = {*wanted, result["headline"]}
    names |= {statistics.statistic(name)[0] for name in names} if record.timed else set()
    write_atomically(to / MANIFEST, dumps(record.manifest))
    write_atomically(to / RESULT, dumps(result))
    lines = (
        orjson.dumps(
            {
                "id": row["id"],
                "index": row["index"],
                "cluster": row["cluster"],
                "values": {name: value for name, value in row["values"].items() if name in names},
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for row in record.samples()
    )
    write_atomically(to / SAMPLES, b"".join(lines))


def _metrics(checked: CheckResult, job: RequiredRun) -> set[str]:
    """The metrics that claims ask of a task."""
    every = (claim.measure for document in checked.documents for claim in document.claims)
    return {measure.metric for measure in every if measure is not None and measure.task == job.task}


def _name(job: RequiredRun, taken: set[str]) -> str:
    """Name a run's folder after its job; what sets jobs of one model and task apart is added."""
    shots = f"{job.shots}-shots" if job.shots is not None else None
    parts = (job.model, job.task, job.split, shots)
    name = base = _safe("-".join(part for part in parts if part))
    number = 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def _safe(name: str) -> str:
    """A name that a file system takes."""
    return "".join(c if c.isalnum() or c in "-._@" else "-" for c in name).strip("-.")


def _job(row: Mapping[str, Json]) -> RequiredRun:
    return RequiredRun(row["model"], row["task"], row["split"], row["shots"])


def _outcome(row: Mapping[str, Json], folder: Path) -> RunOutcome:
    record, blind = (records.load(folder / row[field]) if row[field] else None for field in ("record", "blind"))
    return RunOutcome(record, blind, row["why"], row["failed"], row["proxy"])
