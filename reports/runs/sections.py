"""The tables of metrics that a report of a run has, before they are Markdown, LaTeX, text or a page.

A metric's name is a path. `accuracy` has slices (`accuracy/yes-no`) and breakdowns: `accuracy/question-type/how many`
is the row `how many` of the table "accuracy by question type". A path is a breakdown when its first part is itself a
metric, so `mnli/accuracy/matched` stays in the main table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals.records.folder import Record
from evals.reports.rendering import svg
from evals.reports.rendering.formatting import MISSING, amount, interval, metric_value
from evals.reports.rendering.table_formats import Table
from evals.schema import Metric

_LOWER_UNITS = {"rank", "seconds", "bytes"}
"""Units whose lower values are better, for records of version 0.1, which do not state the direction of a metric."""

NUMBERS = ("value", "95 % interval", "n")
"""The columns of a metric."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric in a table."""

    label: str
    """What the table calls it."""
    name: str
    """Its name in `result.json`."""
    metric: Metric


@dataclass(frozen=True, slots=True)
class Section:
    """One table of metrics."""

    title: str
    """`Metrics`, or which metric is broken down by what."""
    subject: str
    """The header of the column of labels."""
    rows: tuple[MetricRow, ...]
    whole: MetricRow | None = None
    """Of a breakdown: the metric that is broken down."""

    @property
    def floors(self) -> list[str]:
        """The kinds of floor that its metrics have, in order."""
        return floors(self.rows)

    @property
    def scale(self) -> svg.Scale | None:
        """The scale on which its metrics are drawn, or None when they cannot share one."""
        return svg.choose_scale([row.metric for row in self.rows])


def ordered_metrics(record: Record) -> dict[str, Metric]:
    """Return the metrics of a finished run: the headline's family first, numbers in names by size.

    Timings keep the order of their task: the latencies that a user waits for come before their parts.
    """
    metrics = {name: entry.metric() for name, entry in record.finished().metrics.items()}
    if record.timed:
        return metrics
    family = record.finished().headline.split("/")[0]
    return {
        name: metrics[name]
        for name in sorted(metrics, key=lambda name: (name.split("/")[0] != family, _natural_order(name)))
    }


def headline(record: Record) -> MetricRow:
    """Return the headline metric of the run."""
    name = record.finished().headline
    return MetricRow(name, name, ordered_metrics(record)[name])


def divide(metrics: dict[str, Metric]) -> list[Section]:
    """Divide the metrics of a run into the main table and its breakdowns; every metric is in exactly one of them.

    Example:
        >>> whole, part = Metric(0.6, None, None, 5), Metric(0.5, None, None, 2)
        >>> [section.title for section in divide({"accuracy": whole, "accuracy/level/1": part})]
        ['Metrics', 'Accuracy by level']
    """
    main: list[MetricRow] = []
    breakdowns: dict[tuple[str, str], list[MetricRow]] = defaultdict(list)
    for name, metric in metrics.items():
        whole, *rest = name.split("/", 2)
        if whole in metrics and len(rest) == 2:
            breakdowns[whole, rest[0]].append(MetricRow(rest[1], name, metric))
        else:
            main.append(MetricRow(name, name, metric))
    sections = [Section("Metrics", "metric", tuple(main))]
    for (whole, kind), rows in breakdowns.items():
        subject = kind.replace("-", " ")
        title = f"{whole[:1].upper()}{whole[1:]} by {subject}"
        sections.append(Section(title, subject, tuple(_order(rows)), MetricRow(whole, whole, metrics[whole])))
    return sections


def merge(sections: Sequence[Section]) -> list[Section]:
    """Merge the sections of several runs: every metric of any run, in the order of the first run that has it."""
    merged: dict[str, tuple[Section, dict[str, MetricRow]]] = {}
    for section in sections:
        _, rows = merged.setdefault(section.title, (section, {}))
        rows.update({row.name: row for row in section.rows if row.name not in rows})
    return [replace(section, rows=tuple(rows.values())) for section, rows in merged.values()]


# Print


def table(section: Section) -> Table:
    """Print a section as a table."""
    rows = tuple((row.label, *cells) for row, cells in zip(section.rows, cells_of(section.rows), strict=True))
    columns = (section.subject, *headings(section.rows))
    return Table(section.title, columns, "l" + "r" * (len(columns) - 1), rows)


def floors(rows: Sequence[MetricRow]) -> list[str]:
    """List the kinds of floor that some metrics have, in order: `bandwidth`, `arithmetic`."""
    return list(dict.fromkeys(kind for row in rows for kind in row.metric.floors))


def headings(rows: Sequence[MetricRow]) -> tuple[str, ...]:
    """Name the columns of numbers; where metrics have floors, these are printed beside the value."""
    value, *rest = NUMBERS
    return (value, *(f"{kind} floor" for kind in floors(rows)), *rest)


def cells_of(rows: Sequence[MetricRow]) -> list[tuple[str, ...]]:
    """Print the numbers of each metric, one cell for each of `headings`."""
    kinds = floors(rows)
    cells = []
    for metric in (row.metric for row in rows):
        value, *rest = numbers(metric)
        cells.append((value, *(amount(metric.floors.get(kind), metric.unit) for kind in kinds), *rest))
    return cells


def numbers(metric: Metric) -> tuple[str, str, str]:
    """Print a metric: value, interval, n."""
    return metric_value(metric), interval(metric), f"{metric.n:,}"


def cell(metric: Metric | None) -> str:
    """Print a value with its interval in one cell."""
    if metric is None:
        return MISSING
    value = metric_value(metric)
    return value if metric.low is None else f"{value} ({interval(metric)})"


def _order(rows: Sequence[MetricRow]) -> list[MetricRow]:
    """Order a breakdown from high to low, unless all its labels are numbered, as levels are."""
    if all(re.search(r"\d", row.label) for row in rows):
        return sorted(rows, key=lambda row: _natural_order(row.label))
    return sorted(rows, key=lambda row: (-row.metric.value, -row.metric.n, row.label))


def _natural_order(name: str) -> list[list[tuple[bool, int, str, str]]]:
    """Return a key that orders names part by part, and numbers in them by size.

    Example:
        >>> sorted(["recall@10", "recall@5", "recall", "recall/x"], key=_natural_order)
        ['recall', 'recall/x', 'recall@5', 'recall@10']
    """

    def key(piece: str) -> tuple[bool, int, str, str]:
        digits = piece.lstrip("0") if piece.isdecimal() else ""  # not as a number, which may have too many digits
        return piece.isdecimal(), len(digits), digits, piece

    return [[key(piece) for piece in re.split(r"(\d+)", part)] for part in name.split("/")]


def higher_is_better(record: Record, metric: str) -> bool:
    """Whether a higher value of a metric is better.

    Args:
        record: a finished run.
        metric: one of its metrics.
    """
    entry = record.finished().metrics[metric]
    return entry.unit not in _LOWER_UNITS if entry.higher_is_better is None else entry.higher_is_better
