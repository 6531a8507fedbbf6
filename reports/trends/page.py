"""Write trends as Markdown or as a page: the headline and speed of each run by day, and what left its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from evals.errors import UnknownName
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import MISSING, amount, interval, metric_value, one_line
from evals.reports.rendering.html import fill
from evals.reports.rendering.table_formats import Table
from evals.reports.trends.series import Day, Point, Trend, changes, trends

FORMATS = ("md", "html")


def render(days: Sequence[Day], format: str) -> str:
    """Write the trends of several days; equal records give equal text.

    Args:
        days: in the order of time.
        format: `md` or `html`.

    Raises:
        UnknownName: the format is unknown.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    return _page(days) if format == "html" else _markdown(days)


def _about(days: Sequence[Day]) -> str:
    names = [day.name for day in days]
    span = f"{names[0]} to {names[-1]}, {len(names)} days" if len(names) > 1 else f"{names[0]} only"
    scales = dict.fromkeys(str(run.manifest.task.scale) for run in days[-1].runs.values())
    runs = f"runs on the last: {len(days[-1].runs)}, at {' and '.join(scales)} scale"
    return one_line(
        f"{span}; {runs}. A value has changed if it lies outside its 95 % interval of the day before; times depend on "
        "the machine."
    )


# Markdown


def _markdown(days: Sequence[Day]) -> str:
    parts = [table_formats.escape_markdown(_about(days)), "# Trends", table_formats.markdown(_table(days))]
    if len(days) > 1:
        lines = [f"- {table_formats.escape_markdown(line)}" for line in changes(days)]
        parts += ["## What changed since the day before", "\n".join(lines) or "Nothing."]
    return "\n\n".join(parts) + "\n"


def _table(days: Sequence[Day]) -> Table:
    """One row per run: its headline on the last day and on the day before."""
    columns = ("run", "metric", "the day before", "value", "95 % interval", "changed", "samples a second")
    return Table("Trends", columns, "llrrrlr", tuple(_row(trend) for trend in trends(days)))


def _row(trend: Trend) -> tuple[str, ...]:
    *earlier, last = (_point_text(point) for point in trend.points)
    before = earlier[-1].value if earlier else MISSING
    changed = "yes" if trend.points[-1].changed else "no"
    return (trend.run, trend.name, before, last.value, last.spread, changed, last.rate)


@dataclass(frozen=True, slots=True)
class _PointText:
    """A point, as printed."""

    day: str
    value: str
    spread: str
    rate: str
    changed: bool


def _point_text(point: Point) -> _PointText:
    value, spread = (metric_value(point.metric), interval(point.metric)) if point.metric else (MISSING, MISSING)
    return _PointText(point.day, value, spread, amount(point.rate, ""), point.changed)


# The page


def _page(days: Sequence[Day]) -> str:
    return fill(
        "trends.html",
        ["report.css", "trends.css"],
        about=_about(days),
        mini=True,
        title="Trends",
        rows=[_trend_row(trend) for trend in trends(days)],
        changes=changes(days),
        several=len(days) > 1,
    )


@dataclass(frozen=True, slots=True)
class _TrendRow:
    """A run with its drawings of value and speed, and its points as text."""

    run: str
    name: str
    value: Markup
    speed: Markup
    points: tuple[_PointText, ...]


def _trend_row(trend: Trend) -> _TrendRow:
    values = [
        None if point.metric is None else _Mark(point.metric.value, point.metric.low, point.metric.high, point.changed)
        for point in trend.points
    ]
    speeds = [None if point.rate is None else _Mark(point.rate) for point in trend.points]
    return _TrendRow(
        trend.run, trend.name, _draw(values), _draw(speeds), tuple(_point_text(point) for point in trend.points)
    )


@dataclass(frozen=True, slots=True)
class _Mark:
    """The drawn values of one day."""

    value: float
    low: float | None = None
    high: float | None = None
    changed: bool = False

    @property
    def ends(self) -> tuple[float, ...]:
        """All values that the drawing must contain."""
        return tuple(end for end in (self.low, self.value, self.high) if end is not None)


def _draw(marks: Sequence[_Mark | None]) -> Markup:
    """Draw a line over the days with whiskers; a changed value is a square. The page prints the numbers beside it."""
    present_marks = [(index, mark) for index, mark in enumerate(marks) if mark is not None]
    ends = [end for _, mark in present_marks for end in mark.ends]
    least, most = min(ends, default=0.0), max(ends, default=1.0)
    room = (most - least or abs(most) or 1.0) * 0.12
    least, most = least - room, most + room

    def x(index: int) -> float:
        return 4 + 92 * index / max(len(marks) - 1, 1)

    def y(value: float) -> float:
        return 100 * (most - value) / (most - least)

    line = Markup('<line class="{}" x1="{:.2f}%" y1="{:.2f}%" x2="{:.2f}%" y2="{:.2f}%"/>')
    parts = [
        line.format("way", x(day), y(mark.value), x(next_day), y(next_mark.value))
        for (day, mark), (next_day, next_mark) in pairwise(present_marks)
    ]
    dot = Markup('<circle class="dot" cx="{:.2f}%" cy="{:.2f}%" r="2.5"/>')
    square = Markup('<svg x="{:.2f}%" y="{:.2f}%" overflow="visible"><rect class="changed" x="-5" y="-5" width="10" '
                    'height="10"/></svg>')  # fmt: skip
    for index, mark in present_marks:
        if mark.low is not None and mark.high is not None:
            parts.append(line.format("reach", x(index), y(mark.low), x(index), y(mark.high)))
        parts.append((square if mark.changed else dot).format(x(index), y(mark.value)))
    return Markup('<svg class="trend" aria-hidden="true" width="100%" height="56">{}</svg>').format(
        Markup("").join(parts)
    )
