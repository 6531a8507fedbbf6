"""Reports for readers: tables, pages and exports, made from run folders only.

It may import the records, the statistics, the comparison of runs and the statistics of timings, but no model and no
task; importing it and writing text takes milliseconds. Start with `evals.reports.runs.contents`, which gathers what a
report of a run shows.

    evals.reports.runs.tables.render(records, "md")          Markdown, CSV, LaTeX, JSON, or text for the terminal
    evals.reports.runs.terminal.show(record)                 all about one run, for the terminal
    evals.reports.runs.page.render(records)                  one self-contained page
    evals.reports.runs.worst_samples.choose_worst(record)    the worst samples
    evals.reports.experiments.output.text(report)            a report of deployed variants
    evals.reports.write(record)                              report.md and report.html into the run folder
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evals.records.folder import Record
    from evals.reports.runs import page, tables, terminal, worst_samples

__all__ = ["page", "tables", "terminal", "worst_samples", "write"]


def write(record: Record) -> None:
    """Write `report.md` and `report.html` into the folder of a finished run, each atomically.

    Raises:
        RecordError: when the run is not finished.
        InputError: when the folder cannot be written.
    """
    from evals.reports.runs import page, tables
    from evals.reports.runs.contents import gather
    from evals.temporaries import write_atomically

    contents = gather([record], "page")
    for name, text in {"report.md": tables.markdown(contents), "report.html": page.html(contents)}.items():
        write_atomically(record.folder / name, text.encode())


def __getattr__(name: str) -> Any:
    """Import a module of reports of runs when it is first used: `list` and `check` use other rooms of this package."""
    if name in {"page", "tables", "terminal", "worst_samples"}:
        return importlib.import_module(f"evals.reports.runs.{name}")
    raise AttributeError(f"module 'evals.reports' has no attribute {name!r}")
