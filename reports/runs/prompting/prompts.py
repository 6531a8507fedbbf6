"""Write what several prompts give: their values, the spread between them, and the interval over both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evals.errors import counted
from evals.records.folder import Record
from evals.records.prompting.summary import PromptsSummary, summary_of
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import interval, metric_value, one_line, visible
from evals.reports.rendering.table_formats import Table
from evals.schema import Metric

_TEMPLATE = 42
"""Characters of a template in the table."""


def text(summary: PromptsSummary, folder: Path) -> str:
    """Write a summary for the terminal."""
    parts = [
        f"{summary.model} on {summary.task} {summary.split}, {summary.scale} scale: "
        f"{counted(len(summary.prompts), 'prompt')}, the same {counted(summary.samples, 'sample')} with each",
        table_formats.text(_table(summary)),
        *sentences(summary),
        f"{folder} holds a run folder per prompt, and prompts.json",
    ]
    return "\n\n".join(parts) + "\n"


def markdown(summary: PromptsSummary) -> str:
    """Write a summary as Markdown, with the templates in full."""
    table = table_formats.markdown(_table(summary))
    blocks = [
        f"Prompt {number}:\n\n```text\n{visible(entry.template).replace('```', '` ` `')}\n```"
        for number, entry in enumerate(summary.prompts, start=1)
    ]
    title = f"# {one_line(summary.model)} on {summary.task}: {counted(len(summary.prompts), 'prompt')}"
    return "\n\n".join([title, table.strip(), *sentences(summary), *blocks]) + "\n"


def sentences(summary: PromptsSummary) -> Iterator[str]:
    """Say what the prompts show."""
    values = [entry.value for entry in summary.prompts]
    yield (
        f"Between prompts: from {_percent(min(values))} to {_percent(max(values))}; the standard deviation is "
        f"{_points(summary.spread)}, without what chance in the samples adds."
    )
    yield (
        f"Over prompts and samples: {_percent(summary.value)}, 95 % interval "
        f"{_interval(summary.value, summary.low, summary.high)}. For these prompts alone it is "
        f"{_interval(summary.value, summary.sample_low, summary.sample_high)}: the rest is the choice of prompts."
    )
    if len(summary.prompts) < 5:
        yield "Few prompts say little about others: with fewer than 5 the interval is wide."
    if summary.replica:
        yield "Bundled replicas learnt the first wording only: others are new to them. Public models may differ less."
    if summary.metric != summary.headline:
        yield f"{summary.headline} is no mean of samples; the interval is about {summary.metric} of its samples."


def notes(a: Record, b: Record, difference: float | None, metric: str) -> Iterator[str]:
    """Yield a warning for each run of a comparison whose value another prompt changes by more than the difference."""
    for record in (a, b):
        summary = summary_of(record)
        if summary is None or difference is None or metric not in {summary.metric, summary.headline}:
            continue
        if abs(difference) < summary.range:
            yield (
                f"Warning: the difference is smaller than the spread between prompts of "
                f"{one_line(summary.model)}: {counted(len(summary.prompts), 'prompt')} give "
                f"{_percent(min(entry.value for entry in summary.prompts))} to "
                f"{_percent(max(entry.value for entry in summary.prompts))} on these samples."
            )


def _table(summary: PromptsSummary) -> Table:
    has_headline = summary.metric != summary.headline
    rows = tuple(
        (
            str(number),
            _percent(entry.value),
            interval(Metric(entry.value, entry.low, entry.high, summary.samples)),
            *([f"{entry.headline:.3f}"] if has_headline else []),
            f"{entry.unparsed:,}",
            f"{entry.failed:,}",
            _short(entry.template),
        )
        for number, entry in enumerate(summary.prompts, start=1)
    )
    columns = ("prompt", summary.metric, "95 % interval", *([summary.headline] if has_headline else []))
    columns += ("unparsed", "failed", "template")
    return Table("", columns, "l" + "r" * (len(columns) - 2) + "l", rows)


def _short(template: str) -> str:
    shown = one_line(template)
    return shown if len(shown) <= _TEMPLATE else f"{shown[: _TEMPLATE - 1].rstrip()}…"


def _percent(value: float) -> str:
    return metric_value(Metric(value, None, None, 1))


def _points(value: float) -> str:
    return f"{100 * value:.1f} points"


def _interval(value: float, low: float, high: float) -> str:
    return interval(Metric(value, min(low, value), max(high, value), 1))
