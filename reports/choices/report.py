"""Show a selection and the advice of guides: for the terminal, as Markdown, JSON, a page and a figure.

render(report, "text")     write(report, folder) -> select.json, select.md, select.html, select.svg
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from evals.errors import InputError, UnknownName, counted
from evals.records.folder import Record
from evals.reports.choices import conclusions, figure, tables
from evals.reports.choices.advice import HeldAdvice, advice_notes, advice_table
from evals.reports.choices.early.pruning import stops
from evals.reports.choices.measurements import ModelCandidate
from evals.reports.choices.requirements import COSTS, PRICE
from evals.reports.choices.selection import JudgedCandidate, Selection
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import one_line
from evals.reports.rendering.html import fill
from evals.reports.rendering.table_formats import Table, escape_markdown
from evals.reports.runs import naming
from evals.schema import Json, Metric
from evals.temporaries import writing_atomically

_WIDTH, _LONG = 100, 60
"""Width of the terminal, and the length from which a cell makes its table a list."""


@dataclass(frozen=True)
class SelectionReport:
    """What is shown: a selection, the advice of guides, or both."""

    selection: Selection | None
    advice: tuple[HeldAdvice, ...] = ()
    records: tuple[Record, ...] = ()
    """The runs that the advice was held against."""
    runs_read: int = 0
    """Number of runs that were read; those of no model or task of the guides are not in `records`."""

    @property
    def about(self) -> str:
        """The first line: which scale, checkpoints and data it is about."""
        if self.selection is not None:
            return conclusions.about(self.selection)
        if self.records:
            return naming.about(self.records)
        if not self.runs_read:
            return "No run: nothing is measured."
        which = "The run is" if self.runs_read == 1 else f"None of the {self.runs_read:,} runs is"
        none = "no" if self.runs_read == 1 else "a"
        return f"{which} of {none} model and task that the advice names: nothing is measured."

    @property
    def title(self) -> str:
        """What it is called."""
        if self.selection is None:
            return f"The advice of guide {' and '.join(dict.fromkeys(held.guide for held in self.advice))}"
        return f"{counted(len(self.selection.candidates), 'candidate')} for {', '.join(self.selection.criteria.tasks)}"

    @property
    def sentences(self) -> list[str]:
        """The outcome of the selection."""
        return conclusions.sentences(self.selection) if self.selection is not None else []

    @property
    def cautions(self) -> list[str]:
        """What a reader must know before relying on the choice."""
        return conclusions.cautions(self.selection) if self.selection is not None else []

    @property
    def notes(self) -> list[str]:
        """How the values are to be read."""
        of_selection = tables.notes(self.selection) if self.selection is not None else []
        return [*of_selection, *advice_notes(self.advice)]

    @property
    def tables(self) -> list[Table]:
        """The tables that have rows."""
        shown = [
            *(tables.of_selection(self.selection) if self.selection is not None else []),
            advice_table(self.advice),
        ]
        return [table for table in shown if table.rows]


def render(report: SelectionReport, format: str) -> str:
    """Write a report; equal runs give equal text.

    Raises:
        UnknownName: there is no such format.
        InputError: a figure of a report without a selection.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    return FORMATS[format](report)


def write(report: SelectionReport, folder: Path) -> None:
    """Write `select.json`, `.md`, `.html` and, of a selection, `.svg` into a folder: all of them, or none.

    Raises:
        InputError: the folder, or one of the files, cannot be written.
    """
    formats = [format for format in ("json", "md", "html", "svg") if format != "svg" or report.selection is not None]
    texts = {folder / f"select.{format}": render(report, format).encode() for format in formats}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write in {folder}: {error.strerror or error}") from error
    for path in texts:
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder")
    with ExitStack() as files:  # each takes its name at the end
        for path, text in texts.items():
            files.enter_context(writing_atomically(path)).write(text)


def _text(report: SelectionReport) -> str:
    parts = [report.about]
    if report.sentences:
        parts.append(_wrapped(" ".join(report.sentences)))
    parts += [_wrapped(caution) for caution in report.cautions]
    for table in report.tables:
        parts.append(f"{table.title}\n{_list(table) if _is_long(table) else table_formats.text(table, _WIDTH)}")
    parts += ["\n".join(_wrapped(note) for note in report.notes)] if report.notes else []
    return "\n\n".join(parts) + "\n"


def _is_long(table: Table) -> bool:
    """Whether a table has cells of prose, so that it is written as a list."""
    return any(len(cell) > _LONG for row in table.rows for cell in row)


def _list(table: Table) -> str:
    """Write a table with long cells as a list: the first cell of a row, beside it the others, wrapped."""
    width = max(len(row[0]) for row in table.rows)
    width = width if width <= _LONG // 2 else 2
    indent = " " * (width + 2)
    lines = []
    for first, *others in table.rows:
        if len(first) > width:
            lines.append(_wrapped(first, "", "  "))
        head = ": ".join(others[:2])
        lines.append(_wrapped(head, f"{first:<{width}}  " if len(first) <= width else indent, indent))
        lines += [_wrapped(line, indent, indent + "  ") for cell in others[2:] for line in cell.split("\n") if line]
    return "\n".join(lines)


def _wrapped(text: str, initial: str = "", indent: str = "") -> str:
    """Wrap a text; a percent sign stays with its number."""
    joined = one_line(text).replace(" %", "\u00a0%")
    return textwrap.fill(joined, _WIDTH, initial_indent=initial, subsequent_indent=indent).replace("\u00a0%", " %")


def _markdown(report: SelectionReport) -> str:
    parts = [escape_markdown(report.about), f"# {escape_markdown(report.title)}"]
    if report.sentences:
        parts.append(f"**{escape_markdown(' '.join(report.sentences))}**")
    parts += [escape_markdown(caution) for caution in report.cautions]
    for table in report.tables:
        rows = tuple(tuple(cell.replace("\n", "; ") for cell in row) for row in table.rows)
        parts += [f"## {escape_markdown(table.title)}", table_formats.markdown(replace(table, rows=rows))]
    parts += ["\n".join(f"- {escape_markdown(note)}" for note in report.notes)] if report.notes else []
    return "\n\n".join(parts) + "\n"


def _page(report: SelectionReport) -> str:
    records = report.selection.records if report.selection is not None else report.records
    return fill(
        "choices.html",
        ["report.css", "choices.css"],
        about=report.about,
        mini=any(record.manifest.task.scale == "mini" for record in records),
        title=report.title,
        sentences=report.sentences,
        cautions=report.cautions,
        figures=figure.panels(report.selection) if report.selection is not None else [],
        caption=figure.CAPTION,
        tables=[(table, _is_long(table)) for table in report.tables],
        notes=report.notes,
    )


def _svg(report: SelectionReport) -> str:
    if report.selection is None:
        raise InputError("--format svg shows a selection: name its tasks with --task")
    return f"{figure.drawing(report.selection)}\n"


# JSON


def _json(report: SelectionReport) -> str:
    """Write a report as JSON; values are fractions, seconds and bytes."""
    content: dict[str, Json] = {"about": report.about}
    if report.selection is not None:
        content |= _selection_json(report, report.selection)
    content["advice"] = [held.to_json() for held in report.advice]
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _selection_json(report: SelectionReport, selection: Selection) -> dict[str, Json]:
    return {
        "sentences": report.sentences,
        "cautions": report.cautions,
        "chosen": selection.chosen.name if selection.chosen else None,
        "best": [judged.name for judged in selection.best],
        "nearest": selection.nearest.name if selection.nearest else None,
        "tasks": dict(selection.headlines),
        "requirements": [
            {"name": limit.name, "limit": limit.limit, "unit": limit.unit, "side": "least" if limit.least else "most"}
            for limit in selection.requirements
        ],
        "candidates": [_candidate_json(selection, judged) for judged in selection.candidates],
        "objectives": list(selection.objectives),
        "left_out": dict(selection.left_out),
        "set_apart": [apart._asdict() for apart in selection.apart],
        "notes": report.notes,
    }


def _candidate_json(selection: Selection, judged: JudgedCandidate) -> dict[str, Json]:
    candidate = judged.candidate
    return {
        "name": judged.name,
        "replica": candidate.replica,
        "quality": {task: _metric_json(value) for task, value in candidate.quality.items()},
        **{name: _metric_json(candidate.measured(name)) for name in COSTS},
        "price_of": candidate.price_of or None,
        "weights_bytes": candidate.weights,
        "failed": candidate.failed,
        "missing": {name: why for name, why in candidate.missing.items() if name != PRICE or selection.criteria.price},
        "standings": {
            limit.name: standing for limit, standing in zip(selection.requirements, judged.standings, strict=True)
        },
        "excluded": list(judged.excluded),
        "stopped": {
            task: {
                "samples": entry.used, "of": entry.of, "decision": entry.decision, "low": entry.low, "high": entry.high,
            }
            for task, entry in stops(candidate).items()
        },
        "on_front": None if judged.dominated_by is None else judged.on_front,
        "dominated_by": list(judged.dominated_by or ()),
        "ties_with_chosen": judged.ties,
        "differences": [
            {
                "task": d.task, "metric": d.metric, "value": d.value, "low": d.low, "high": d.high, "p": d.p,
                "p_holm": d.adjusted, "test": d.test, "shown": d.shown,
            }
            for d in judged.differences
        ],
        "cost_ratios": [
            {"cost": r.name, "value": r.value, "low": r.low, "high": r.high, "shown": r.shown} for r in judged.ratios
        ],
        "runs": _runs_json(candidate),
    }  # fmt: skip


def _runs_json(candidate: ModelCandidate) -> dict[str, Json]:
    runs = {**candidate.runs, **({"efficiency": candidate.timing} if candidate.timing is not None else {})}
    return {task: {"folder": str(run.folder), "signature": run.manifest.signature} for task, run in runs.items()}


def _metric_json(value: Metric | None) -> Json:
    if value is None:
        return None
    return {"value": value.value, "low": value.low, "high": value.high, "n": value.n, "unit": value.unit}


FORMATS: Mapping[str, Callable[[SelectionReport], str]] = {
    "text": _text,
    "md": _markdown,
    "json": _json,
    "html": _page,
    "svg": _svg,
}
"""How a report can be written."""
