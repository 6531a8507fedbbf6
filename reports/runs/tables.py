"""Runs as tables: Markdown, CSV, LaTeX, JSON, and text for the terminal.

One run gives its metrics, how it was made, what it cost and its worst samples, as far as the format can hold them.
Several runs give a comparison first, a column a run where they did the same task, else a row a run, then each run.
Every format begins with the same line: which scale, checkpoint and data it is about (in CSV each row carries these).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from evals.errors import InputError, UnknownName
from evals.records.folder import Record
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import visible
from evals.reports.rendering.table_formats import Table, escape_markdown
from evals.reports.runs import terminal, view
from evals.reports.runs.naming import about, blind, title
from evals.reports.runs.worst_samples import WorstSample, describe_worst

_CSV = (
    "model", "checkpoint", "task", "split", "scale", "data", "blind", "signature", "samples", "failed", "unparsed",
    "truncated", "metric", "value", "low", "high", "n", "unit", "floor",
    "about",
)  # fmt: skip


def render(records: Sequence[Record], format: str) -> str:
    """Write finished runs in a format.

    Args:
        records: one or more; the order is kept.
        format: `md`, `csv`, `tex`, `json`, or `text` for the terminal.

    Returns:
        Text that ends with a line feed; the same records give the same text.

    Raises:
        InputError: when there is no run or no such format.
        RecordError: when a run is not finished.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    if not records:
        raise InputError("a report needs at least one run: none came")
    return FORMATS[format](records).rstrip("\n") + "\n"


# Markdown


def _markdown(records: Sequence[Record]) -> str:
    parts = [escape_markdown(about(records))]
    if len(records) > 1:
        parts += ["# Comparison", table_formats.markdown(view.comparison(records))]
        if (ratios := view.ratios(records)) is not None:
            parts += [f"# {ratios.title}", table_formats.markdown(ratios)]
    for record in records:
        parts.append(f"# {escape_markdown(title(record))}")
        parts += [escape_markdown(about([record]))] if len(records) > 1 else []
        parts += _markdown_run(record)
    return "\n\n".join(parts)


def _markdown_run(record: Record) -> Iterator[str]:
    row = view.headline(record)
    value, spread, n = view.numbers(row.metric)
    yield f"**{value}** {escape_markdown(row.name)}, 95 % interval {spread}, n = {n}"
    for remark in (view.counted(record), *view.notes(record)):
        yield escape_markdown(remark)
    for section in view.sections(record):
        yield f"## {escape_markdown(section.title)}"
        yield table_formats.markdown(view.table(section))
    yield "## Efficiency"
    yield table_formats.markdown(Table("", ("figure", "value"), "lr", tuple(view.efficiency(record))))
    yield "## The worst samples"
    yield table_formats.markdown(_worst(describe_worst(record)))
    yield "## How it was made"
    fields = tuple((f"{group}: {key}", value) for group, entries in view.made(record) for key, value in entries)
    yield table_formats.markdown(Table("", ("field", "value"), "ll", fields))


def _worst(found: Sequence[WorstSample]) -> Table:
    rows = tuple(
        (
            case.id,
            visible(case.question, 300),
            visible(case.output or "none", 300) + "".join(f" ({visible(note, 200)})" for note in case.notes),
            visible(case.answers, 300),
            case.score,
        )
        for case in found
    )
    return Table("The worst samples", ("id", "question", "output", "expected", "score"), "llllr", rows)


# CSV, JSON, LaTeX


def _csv(records: Sequence[Record]) -> str:
    return table_formats.csv(_CSV, (row for record in records for row in _csv_rows(record)))


def _csv_rows(record: Record) -> Iterator[list[str | float | None]]:
    """One row a metric; what the run is about stands in each, so that files can be joined."""
    result, task, model = record.finished(), record.manifest["task"], record.manifest["model"]
    source = record.manifest["data"].get("source")
    run = [model["name"], model.get("checkpoint"), task["name"], task["split"], task["scale"], source]
    run += ["yes" if blind(record) else "no", record.manifest["signature"], result["n"]]
    run += [count for _, count, _ in view.counts(record)]
    for name, metric in view.metrics(record).items():
        floor = max(metric.floors.values(), default=None)
        yield [*run, name, metric.value, metric.low, metric.high, metric.n, metric.unit, floor, about([record])]


def _json(records: Sequence[Record]) -> str:
    runs = [{"about": about([r]), "manifest": r.manifest, "result": r.finished()} for r in records]
    return json.dumps({"about": about(records), "runs": runs}, indent=2, sort_keys=True, allow_nan=False)


def _latex(records: Sequence[Record]) -> str:
    tables: list[Table] = []
    if len(records) > 1:
        tables.append(replace(view.comparison(records), title=f"Comparison. {about(records)}"))
        if (ratios := view.ratios(records)) is not None:
            tables.append(replace(ratios, title=f"{ratios.title}. {about(records)}"))
    for record in records:
        tables += [
            replace(view.table(section), title=f"{title(record)}: {section.title}. {about([record])}")
            for section in view.sections(record)
        ]
    head = f"% {about(records)}\n% needs \\usepackage{{booktabs}}"
    return "\n\n".join([head, *(table_formats.latex(table) for table in tables)])


FORMATS: Mapping[str, Callable[[Sequence[Record]], str]] = {
    "md": _markdown,
    "csv": _csv,
    "tex": _latex,
    "json": _json,
    "text": terminal.text,
}
"""What a run can be written as, apart from the page."""
