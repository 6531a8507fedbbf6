"""Complete a run whose samples are computed: its result, its images, its submission files and its reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evals import records
from evals.execution.executor import Executor, own_memory_bytes
from evals.records import Record, RunFolder, load, result
from evals.records.sequential.entry import SequentialEntry
from evals.records.types import Result
from evals.schema import Samples, Task


def reopen(folder: Path) -> None:
    """Remove the result and the reports of a run that goes on: they are of fewer samples."""
    for name in (records.RESULT, "report.md", "report.html"):
        (folder / name).unlink(missing_ok=True)


def finish(
    task: Task, samples: Samples, executor: Executor, run_folder: RunFolder, entry: SequentialEntry | None = None
) -> None:
    """Write the result of a run whose samples are computed: all of them, or those until it stopped early."""
    folder = run_folder.folder
    if entry is None or entry.used == entry.of:
        run_folder.check_complete()
    record = replace(load(folder), result=None)
    if not task.per_sample:
        records.rewrite(record, result.rescore(task, record))
    summary = result.summarise(task, record, peak_memory_bytes=peak_memory(executor), sequential=entry)
    _keep_images(record, samples, summary)
    _write_submission(task, record)
    run_folder.finish(summary)


def write_report(run_folder: RunFolder) -> None:
    """Write the reports of a finished run, unless it has some."""
    if not (run_folder.folder / "report.html").exists():  # also after a crash between writing the result and its report
        report(load(run_folder.folder))


def report(record: Record) -> None:
    """Write the reports of a finished run."""
    from evals import reports

    reports.write(record)


def _keep_images(record: Record, samples: Samples, summary: Result) -> None:
    """Keep a small image of each of the worst samples, so that a page can show them without the data."""
    from evals.data.images import thumbnail
    from evals.reports.runs.worst_samples import choose_worst

    for row in choose_worst(replace(record, result=summary)):
        image = thumbnail(samples[row.index])
        if image is not None:
            (record.folder / records.WORST).mkdir(exist_ok=True)
            records.write_atomically(record.folder / records.WORST / records.image_name(row.id), image)


def _write_submission(task: Task, record: Record) -> None:
    """Write the benchmark's submission files, if the samples have no targets."""
    if task.submission is None:
        return
    for name, text in task.submission([result.score_of(row) for row in record.samples()]).items():
        path = record.folder / records.SUBMISSION / name
        path.parent.mkdir(exist_ok=True)
        records.write_atomically(path, text.encode())


def peak_memory(executor: Executor) -> int:
    """Return the peak memory in bytes: of the model's device if it counts, else of the processes of this run."""
    counted = executor.peak_memory_bytes()
    if counted is not None:
        return counted
    return max(executor.process_memory_bytes(), own_memory_bytes())
