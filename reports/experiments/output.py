"""Write a report of an experiment: text for the terminal, Markdown, JSON and a page.

text(report) -> str     write(report, folder)
"""

from __future__ import annotations

from pathlib import Path

from evals.reports.experiments.contents import (
    NOTES,
    ExperimentReport,
    as_json,
    comparisons_table,
    needed_lines,
    variants_table,
)
from evals.reports.experiments.figure import draw_looks, forest
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import one_line
from evals.reports.rendering.html import fill
from evals.reports.rendering.table_formats import Table, escape_markdown
from evals.temporaries import write_atomically


def _tables(report: ExperimentReport) -> list[Table]:
    analysis = report.analysis
    tables = [variants_table(report), comparisons_table(report, analysis.comparisons, segments=False)]
    if analysis.segments is not None and analysis.segments.comparisons:
        tables.append(comparisons_table(report, analysis.segments.comparisons, segments=True))
    return tables


def text(report: ExperimentReport) -> str:
    """Write a report for the terminal: the verdict first."""
    parts = ["\n".join(report.verdicts), "\n".join([report.about, report.ratio_line])]
    parts += [f"{table.title}\n{table_formats.text(table)}" for table in _tables(report)]
    parts += ["\n".join(needed_lines(report))] if needed_lines(report) else []
    parts += ["\n".join(f"Note: {line}" for line in report.warnings)] if report.warnings else []
    return "\n\n".join([*parts, NOTES]) + "\n"


def markdown(report: ExperimentReport) -> str:
    """Write a report as Markdown."""
    parts = [f"# {escape_markdown(_title(report))}", *(f"**{escape_markdown(line)}**" for line in report.verdicts)]
    parts += [escape_markdown(report.about), escape_markdown(report.ratio_line)]
    for table in _tables(report):
        parts += [f"## {escape_markdown(table.title)}", table_formats.markdown(table)]
    parts += [escape_markdown(line) for line in needed_lines(report)]
    if report.warnings:
        parts += ["## Notes", "\n".join(f"- {escape_markdown(line)}" for line in report.warnings)]
    return "\n\n".join([*parts, escape_markdown(NOTES)]) + "\n"


def page(report: ExperimentReport) -> str:
    """Write a report as one self-contained page."""
    analysis, baseline = report.analysis, one_line(report.wording.baseline, 60)
    segments = analysis.segments.comparisons if analysis.segments is not None else ()
    panels = [forest(analysis.comparisons, f"Difference from {baseline}", report.wording)]
    if segments:
        panels.append(forest(segments[:60], "By segment", report.wording))
    drawings = [
        draw_looks(
            looks, f"{one_line(row.variant, 60)} less {baseline}", is_share=analysis.is_share, timed=report.timed
        )
        for row, looks in zip(analysis.comparisons, analysis.looks, strict=bool(analysis.looks))
        if len(looks) > 1
    ]
    decisions = [analysis.decision(row, lower_is_better=report.lower_is_better) for row in analysis.comparisons]
    return fill(
        "experiment.html",
        ["report.css", "experiment.css"],
        about=report.about,
        mini=False,
        title=_title(report),
        verdicts=list(zip(report.verdicts, decisions, strict=False)),
        ratio=report.ratio_line,
        ratio_holds=analysis.ratio_holds,
        warnings=report.warnings,
        tables=_tables(report),
        panels=panels,
        drawings=drawings,
        needed=needed_lines(report),
        notes=NOTES,
    )


def _title(report: ExperimentReport) -> str:
    names = [one_line(summary.name, 40) for summary in report.analysis.variants]
    return f"Experiment: {', '.join(names[1:4])}{' …' if len(names) > 4 else ''} against {names[0]}"


def write(report: ExperimentReport, folder: Path) -> None:
    """Write `ab.json`, `ab.md` and `ab.html` into a folder, each atomically.

    Raises:
        InputError: the folder cannot be written.
    """
    import orjson

    folder.mkdir(parents=True, exist_ok=True)
    contents = orjson.dumps(as_json(report), option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n"
    write_atomically(folder / "ab.json", contents)
    write_atomically(folder / "ab.md", markdown(report).encode())
    write_atomically(folder / "ab.html", page(report).encode())
