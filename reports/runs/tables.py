"""Write runs as tables: Markdown, CSV, LaTeX, JSON, and text for the terminal.

A report of one run has its metrics, how it was made, what it cost and its worst samples, as far as the format can hold
them. A report of several runs begins with a comparison: a column per run if they did the same task, else a row per run.
Every format begins with the same line: which scale, checkpoint and data it is about (in CSV each row carries these).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from evals.errors import InputError, UnknownName
from evals.records.folder import Record
from evals.reports.rendering import forest, table_formats
from evals.reports.rendering.formatting import visible
from evals.reports.rendering.table_formats import Table, escape_markdown
from evals.reports.runs import sections, terminal
from evals.reports.runs.contents import Detail, ReportContents, RunContents, gather
from evals.reports.runs.worst_samples import WorstSample

_CSV = (
    "model", "checkpoint", "task", "split", "scale", "data", "blind", "signature", "samples", "failed", "unparsed",
    "truncated", "metric", "value", "low", "high", "n", "unit", "floor",
    "about",
)  # fmt: skip


def render(records: Sequence[Record], format: str) -> str:
    """Write finished runs in a format.

    Args:
        records: one or more; the order is kept.
        format: `md`, `csv`, `tex`, `json`, `svg` (a forest plot), or `text` for the terminal.

    Returns:
        Text that ends with a line feed; the same records give the same text.

    Raises:
        InputError: when there is no run or no such format.
        RecordError: when a run is not finished.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    write, detail = FORMATS[format]
    return write(gather(records, detail))


# Markdown


def markdown(contents: ReportContents) -> str:
    """Write a report as GitHub's Markdown."""
    parts = [escape_markdown(text) for text in (contents.about, *contents.conclusions)]
    if contents.comparison is not None:
        parts += ["# Comparison", table_formats.markdown(contents.comparison)]
    if contents.ratios is not None:
        parts += [f"# {contents.ratios.title}", table_formats.markdown(contents.ratios)]
    several = len(contents.runs) > 1
    parts += _markdown_races(contents, "#") if several else []
    for run in contents.runs:
        parts.append(f"# {escape_markdown(run.title)}")
        parts += [escape_markdown(run.about)] if several else []
        parts += _markdown_run(run, [] if several else _markdown_races(contents, "##"))
    return _end_line("\n\n".join(parts))


def _markdown_races(contents: ReportContents, head: str) -> Iterator[str]:
    """Yield how each race went: the end of each pair, and some of its looks."""
    for race in contents.races:
        yield f"{head} {escape_markdown(race.title)}"
        for panel in race.panels:
            looks = panel.few_looks()
            yield escape_markdown(panel.outcome)
            yield f"{escape_markdown(looks.title)}\n\n{table_formats.markdown(looks)}"
        yield escape_markdown(race.caption_of_tables)


def _markdown_run(run: RunContents, races: Iterable[str]) -> Iterator[str]:
    value, spread, n = sections.numbers(run.headline.metric)
    yield f"**{value}** {escape_markdown(run.headline.name)}, 95 % interval {spread}, n = {n}"
    for remark in (run.counted, *run.notes):
        yield escape_markdown(remark)
    yield from races
    for section in run.sections:
        yield f"## {escape_markdown(section.title)}"
        yield table_formats.markdown(sections.table(section))
    yield "## Efficiency"
    yield table_formats.markdown(Table("", ("quantity", "value"), "lr", run.efficiency))
    yield "## The worst samples"
    yield table_formats.markdown(_worst(run.worst))
    yield "## How it was made"
    fields = tuple((f"{group}: {key}", value) for group, entries in run.provenance for key, value in entries)
    yield table_formats.markdown(Table("", ("field", "value"), "ll", fields))


def _worst(samples: Sequence[WorstSample]) -> Table:
    rows = tuple(
        (
            sample.id,
            visible(sample.question, 300),
            visible(sample.output or "none", 300) + "".join(f" ({visible(note, 200)})" for note in sample.notes),
            visible(sample.answers, 300),
            sample.score,
        )
        for sample in samples
    )
    return Table("The worst samples", ("id", "question", "output", "expected", "score"), "llllr", rows)


# CSV, JSON, LaTeX


def _csv(contents: ReportContents) -> str:
    return table_formats.csv(_CSV, (row for run in contents.runs for row in _csv_rows(run)))


def _csv_rows(run: RunContents) -> Iterator[list[str | float | None]]:
    """Yield one row per metric; each row names the run, so that files can be concatenated."""
    task, model, data = run.manifest.task, run.manifest.model, run.manifest.data
    start = [model["name"], model.get("checkpoint"), task.name, task.split, task.scale, data.get("source")]
    start += ["yes" if run.blind else "no", run.manifest.signature, run.n]
    start += [count.samples for count in run.counts]
    for name, metric in run.metrics.items():
        floor = max(metric.floors.values(), default=None)
        yield [*start, name, metric.value, metric.low, metric.high, metric.n, metric.unit, floor, run.about]


def _json(contents: ReportContents) -> str:
    runs = [
        {"about": run.about, "manifest": run.manifest.to_dict(), "result": run.result.to_dict()}
        for run in contents.runs
    ]
    report = {"about": contents.about, "runs": runs}
    if contents.conclusions:
        report["conclusions"] = list(contents.conclusions)
    text = json.dumps(report, indent=2, sort_keys=True, allow_nan=False)
    return _end_line(text)


def _latex(contents: ReportContents) -> str:
    tables: list[Table] = []
    if contents.comparison is not None:
        caption = " ".join([f"{contents.comparison.title}.", *contents.conclusions, contents.about])
        tables.append(replace(contents.comparison, title=caption))
    if contents.ratios is not None:
        tables.append(replace(contents.ratios, title=f"{contents.ratios.title}. {contents.about}"))
    for run in contents.runs:
        tables += [
            replace(sections.table(section), title=f"{run.title}: {section.title}. {run.about}")
            for section in run.sections
        ]
    head = f"% {contents.about}\n% needs \\usepackage{{booktabs}}"
    return _end_line("\n\n".join([head, *table_formats.latex_tables(tables)]))


def _svg(contents: ReportContents) -> str:
    if not contents.forest:
        raise InputError("a forest plot shows the headline of two or more runs, which must be one metric: add runs")
    return _end_line(forest.draw(contents.forest))


def forest_png(records: Sequence[Record]) -> bytes:
    """Draw the forest plot of finished runs as a PNG file.

    Raises:
        InputError: fewer than two runs, or other headlines; or the plot cannot be drawn on this machine.
        RecordError: when a run is not finished.
    """
    from evals.reports.rendering.png import png

    return png(_svg(gather(records, "metrics")), forest.FONT)


def _text(contents: ReportContents) -> str:
    return _end_line(terminal.text(contents))


def _end_line(text: str) -> str:
    return text.rstrip("\n") + "\n"


FORMATS: Mapping[str, tuple[Callable[[ReportContents], str], Detail]] = {
    "md": (markdown, "samples"),
    "csv": (_csv, "metrics"),
    "tex": (_latex, "metrics"),
    "json": (_json, "metrics"),
    "text": (_text, "remarks"),
    "svg": (_svg, "metrics"),
}
"""How a report can be written, apart from the page, and what each format shows of a run."""
