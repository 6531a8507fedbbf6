"""What people look at: tables and pages, made from run folders and from nothing else.

    evals.reports.runs.tables.render(records, "md")     Markdown, CSV, LaTeX, JSON, or text for the terminal
    evals.reports.runs.terminal.show(record)            all about one run, for the terminal
    evals.reports.runs.page.render(records)             one self-contained page
    evals.reports.runs.worst_samples.choose_worst(record)   the worst samples
    reports.write(record)                    report.md and report.html into the run folder

A report knows no model and no task: it reads `evals.records.folder`. Importing it and writing text costs milliseconds.
"""

from __future__ import annotations

from evals.records.folder import Record, write_atomically
from evals.reports.runs import page, tables, terminal, worst_samples

__all__ = ["page", "tables", "terminal", "worst_samples", "write"]


def write(record: Record) -> None:
    """Write `report.md` and `report.html` into the folder of a finished run, each whole or not at all.

    Raises:
        RecordError: when the run is not finished.
        InputError: when the folder cannot be written.
    """
    texts = {"report.md": tables.render([record], "md"), "report.html": page.render([record])}
    for name, text in texts.items():
        write_atomically(record.folder / name, text.encode())
