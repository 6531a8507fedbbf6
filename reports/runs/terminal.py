"""Write runs for the terminal: plain text without colour codes, in at most 100 columns, in a pipe always 100.

A narrower terminal (or the variable COLUMNS) has narrower tables; under 80 columns they have no bars.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from evals.records.folder import Record
from evals.reports.rendering import svg, table_formats
from evals.reports.rendering.formatting import one_line, visible
from evals.reports.rendering.table_formats import Table
from evals.reports.runs.contents import ReportContents, RunContents, gather
from evals.reports.runs.sections import cells_of, headings
from evals.reports.runs.worst_samples import WorstSample
from evals.start_folder import shown

_MAX_WIDTH, _MIN_WIDTH, _BARS_FROM = 100, 40, 80


def width() -> int:
    """Return the columns of the terminal, from 40 to 100."""
    return min(_MAX_WIDTH, max(_MIN_WIDTH, shutil.get_terminal_size((_MAX_WIDTH, 24)).columns))


def text(contents: ReportContents) -> str:
    """Write a report: what it is about, a comparison of several runs, and the metrics of each."""
    parts = [contents.about, *contents.conclusions]
    if contents.comparison is not None:
        parts.append(table_formats.text(contents.comparison, width()))
    if contents.ratios is not None:
        parts.append(f"{contents.ratios.title}\n\n{table_formats.text(contents.ratios, width())}")
    for run in contents.runs:
        parts += [run.title] if len(contents.runs) > 1 else []
        parts += [_metrics(run), *_remarks(run), _folder(run)]
    return "\n\n".join(parts)


def show(record: Record) -> str:
    """Write all about one finished run: its metrics, what it cost, its worst samples, and how it was made."""
    (run,) = gather([record]).runs
    parts = [run.about, _metrics(run), *_remarks(run)]
    parts += ["Efficiency", _fields(run.efficiency)]
    parts.append("The worst samples")
    parts += ["\n".join(sample_lines(sample)) for sample in run.worst]
    if any(sample.prompts for sample in run.worst):
        parts.append("show RUN --prompt ID prints all that the model read for a sample, with its token ids")
    parts.append("How it was made")
    for group, fields in run.provenance:
        parts.append(_fields(fields) if group == "run" else f"  {group}\n{_fields(fields, indent=4)}")
    return "\n\n".join([*parts, _folder(run)]) + "\n"


def _metrics(run: RunContents) -> str:
    """Write all metrics as one table, so that every bar begins in the same column."""
    all_rows = [row for section in run.sections for row in section.rows]
    columns = ("metric", *headings(all_rows), "")
    cells = iter(cells_of(all_rows))
    rows: list[tuple[str, ...]] = []
    for section in run.sections:
        scale = section.scale
        if section.whole is not None:
            rows.append((section.title, *[""] * (len(columns) - 1)))
        indent = "  " if section.whole else ""
        bars = [svg.blocks(row.metric, scale) if width() >= _BARS_FROM else "" for row in section.rows]
        rows += [(indent + row.label, *next(cells), bar) for row, bar in zip(section.rows, bars, strict=True)]
    return table_formats.text(Table("", columns, "l" + "r" * (len(columns) - 2) + "l", tuple(rows)), width())


def _remarks(run: RunContents) -> list[str]:
    return [run.counted, *(one_line(note, 300) for note in run.notes)]


def _fields(fields: Sequence[tuple[str, str]], indent: int = 2) -> str:
    names = [one_line(name) for name, _ in fields]
    width = max(map(len, names), default=0)
    return "\n".join(
        f"{' ' * indent}{name:<{width}}  {one_line(value, 300)}" for name, (_, value) in zip(names, fields, strict=True)
    )


def sample_lines(sample: WorstSample) -> Iterator[str]:
    """Write a sample on a few lines; line feeds in the model's output are shown, not followed."""
    fields = {
        "read": _read(sample),
        "output": sample.output or "none",
        "read as": sample.answer,
        "score": sample.score,
        "expected": sample.answers,
    }
    yield f"{visible(sample.id, 40)}  {one_line(sample.question, 300)}"
    yield from (f"  {name:<10}{one_line(value, 300)}" for name, value in fields.items() if value is not None)
    yield from (f"  {'note':<10}{one_line(note, 300)}" for note in sample.notes)


def _read(sample: WorstSample) -> str | None:
    """Describe what the model read: the number of prompts and tokens, and the first prompt."""
    if not sample.prompts:
        return None
    first, *others = sample.prompts
    count = "" if first.tokens is None else f"{first.tokens:,} tokens: "
    return f"{len(others) + 1} prompts, the first of {count}{first.whole_text}" if others else count + first.whole_text


def _folder(run: RunContents) -> str:
    folder = shown(run.folder)
    return one_line(f"{folder} holds the run; {folder / 'report.html'} shows it with images")
