"""Runs for the terminal: plain text without colour codes, in 100 columns, the same in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evals.records.folder import Record
from evals.reports.rendering import svg, table_formats
from evals.reports.rendering.formatting import one_line, visible
from evals.reports.rendering.table_formats import Table
from evals.reports.runs import view
from evals.reports.runs.naming import about, title
from evals.reports.runs.worst_samples import WorstSample, describe_worst

WIDTH = 100


def text(records: Sequence[Record]) -> str:
    """Write finished runs: what they are about, a comparison if there are several, and the metrics of each."""
    parts = [about(records)]
    if len(records) > 1:
        parts.append(table_formats.text(view.comparison(records), WIDTH))
        if (ratios := view.ratios(records)) is not None:
            parts.append(f"{ratios.title}\n\n{table_formats.text(ratios, WIDTH)}")
    for record in records:
        parts += [title(record)] if len(records) > 1 else []
        parts += [_metrics(record), *_remarks(record), _where(record)]
    return "\n\n".join(parts)


def show(record: Record) -> str:
    """Write all about one finished run: its metrics, what it cost, its worst samples, and how it was made."""
    parts = [about([record]), _metrics(record), *_remarks(record)]
    parts += ["Efficiency", _fields(view.efficiency(record))]
    parts.append("The worst samples")
    parts += ["\n".join(_case(case)) for case in describe_worst(record)]
    parts.append("How it was made")
    for group, fields in view.made(record):
        parts.append(_fields(fields) if group == "run" else f"  {group}\n{_fields(fields, indent=4)}")
    return "\n\n".join([*parts, _where(record)]) + "\n"


def _metrics(record: Record) -> str:
    """All metrics in one table, so that every bar begins in the same column."""
    sections = view.sections(record)
    every = [row for section in sections for row in section.rows]
    columns = ("metric", *view.headings(every), "")
    cells = iter(view.printed(every))
    rows: list[tuple[str, ...]] = []
    for section in sections:
        on = svg.scale([row.metric for row in section.rows])
        if section.whole is not None:
            rows.append((section.title, *[""] * (len(columns) - 1)))
        indent = "  " if section.whole else ""
        rows += [(indent + row.label, *next(cells), svg.blocks(row.metric, on)) for row in section.rows]
    return table_formats.text(Table("", columns, "l" + "r" * (len(columns) - 2) + "l", tuple(rows)), WIDTH)


def _remarks(record: Record) -> list[str]:
    return [view.counted(record), *(one_line(note, 300) for note in view.notes(record))]


def _fields(fields: Sequence[tuple[str, str]], indent: int = 2) -> str:
    names = [one_line(name) for name, _ in fields]
    width = max(map(len, names), default=0)
    return "\n".join(
        f"{' ' * indent}{name:<{width}}  {one_line(value, 300)}" for name, (_, value) in zip(names, fields, strict=True)
    )


def _case(case: WorstSample) -> Iterator[str]:
    """A sample on a few lines; the model's own line feeds are shown, not followed."""
    shown = {"output": case.output or "none", "read as": case.answer, "score": case.score, "expected": case.answers}
    yield f"{visible(case.id, 40)}  {one_line(case.question, 300)}"
    yield from (f"  {name:<10}{one_line(value, 300)}" for name, value in shown.items() if value is not None)
    yield from (f"  {'note':<10}{one_line(note, 300)}" for note in case.notes)


def _where(record: Record) -> str:
    return one_line(f"{record.folder} holds the run; {record.folder / 'report.html'} shows it with pictures")
