"""Draw a forest plot: a point and a 95 % interval per row, on one axis that fits the values; as one SVG drawing.

The drawing needs no style sheet, so it can be saved as a file for a paper. Inside a page the style sheet recolours it
by its classes, so that it follows light and dark mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.reports.rendering.formatting import interval, metric_value, one_line
from evals.reports.rendering.svg import label, line, round_ticks
from evals.reports.rendering.table_formats import cells
from evals.schema import Metric

_PLOT, _ROW, _GAP, _EDGE = 340.0, 26.0, 16.0, 10.0
"""Width of the plot, heights of a row and between panels, and the margin, in pixels."""
_CHARACTER = 7.2
"""Width of a character, in pixels: the widest of common fonts at 13 pixels, on average."""
FONT = "system-ui, 'Segoe UI', 'Noto Sans', 'Liberation Sans', Arial, sans-serif"
"""The font family of the texts."""
_TICKS = 5
"""Maximum number of ticks on an axis, roughly."""


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A value with its interval."""

    label: str
    metric: Metric
    numbers: str | None = None
    """How the value and its interval are printed; None: by the metric's unit."""


@dataclass(frozen=True, slots=True)
class ForestPanel:
    """Rows on one axis; all have one unit."""

    title: str
    rows: tuple[ForestRow, ...]
    reference: float | None = None
    """Where a dashed line is drawn: no difference, or the value that the others are compared with."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps values to pixels."""

    left: float
    low: float
    high: float
    unit: str

    def at(self, value: float) -> float:
        """Return the horizontal position of a value."""
        return self.left + _PLOT * (value - self.low) / (self.high - self.low)

    def ticks(self) -> Iterator[float]:
        """Yield round values between the ends."""
        yield from round_ticks(self.low, self.high, _TICKS)

    def label(self, value: float) -> str:
        """Print a tick: a fraction as percent, anything else with as many digits as it needs."""
        return f"{value * 100:.6g} %" if self.unit == "fraction" else f"{value:z.6g}"


def draw(panels: Sequence[ForestPanel]) -> Markup:
    """Draw panels below each other.

    Args:
        panels: one or more, each with at least one row.

    Returns:
        One `<svg>` element with a title for screen readers, which repeats every number.

    Example:
        >>> rows = (ForestRow("A", Metric(0.8, 0.7, 0.9, 50)), ForestRow("B", Metric(0.6, 0.5, 0.7, 50)))
        >>> drawing = draw([ForestPanel("accuracy", rows, reference=0.8)])
        >>> drawing.startswith("<svg"), drawing.count('class="point"'), "60.00 % (50.0 to 70.0 %)" in drawing
        (True, 2, True)
    """
    rows = [row for panel in panels for row in panel.rows]
    label_width = _CHARACTER * max(cells(_label(row)) for row in rows)
    number_width = _CHARACTER * max(cells(_numbers(row)) for row in rows)
    left = _EDGE + label_width + 2 * _GAP
    width = left + _PLOT + 2 * _GAP + number_width + _EDGE
    parts, top = [], _EDGE
    for panel in panels:
        axis = _axis(panel, left)
        parts.append(_panel(panel, axis, top, width))
        top += _height(panel) + _GAP
    summary = ". ".join(_described(panel) for panel in panels)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="forest" role="img" viewBox="0 0 {0:.0f} {1:.0f}" '
        'width="{0:.0f}" height="{1:.0f}" font-family="{2}" font-size="13"><title>{3}</title>{4}</svg>'
    ).format(width, top - _GAP + _EDGE, FONT, summary, Markup("").join(parts))


def _axis(panel: ForestPanel, left: float) -> _Axis:
    """Fit an axis to the values, their intervals and the reference; a fraction's axis stays within 0 and 1."""
    metrics = [row.metric for row in panel.rows]
    ends = [end for metric in metrics for end in (metric.value, metric.low, metric.high) if end is not None]
    ends += [panel.reference] if panel.reference is not None else []
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    unit = metrics[0].unit
    low, high = low - margin, high + margin
    if unit == "fraction" and min(ends) >= 0 and max(ends) <= 1:
        low, high = max(low, 0.0), min(high, 1.0)
    return _Axis(left, low, high, unit)


def _height(panel: ForestPanel) -> float:
    return _ROW * (len(panel.rows) + 2)


def _panel(panel: ForestPanel, axis: _Axis, top: float, width: float) -> Markup:
    """Draw the title, the axis below the rows, and the rows."""
    first, bottom = top + _ROW, top + _ROW * (len(panel.rows) + 1)
    parts = [_text(_EDGE, top + _ROW / 2, one_line(panel.title), "start", bold=True)]
    parts.append(_text(width - _EDGE, top + _ROW / 2, "value (95 % interval)", "end", quiet=True))
    for tick in axis.ticks():
        at = axis.at(tick)
        parts.append(line(at, first, at, bottom, "grid", "#dfddd6"))
        parts.append(_text(at, bottom + 14, axis.label(tick), "middle", quiet=True))
    parts.append(line(axis.left, bottom, axis.left + _PLOT, bottom, "axis-line", "#5a6063"))
    if panel.reference is not None:
        at = axis.at(panel.reference)
        parts.append(line(at, first, at, bottom, "whole", "#0b6661", dashed=True))
    for index, row in enumerate(panel.rows):
        parts.append(_row(row, axis, first + _ROW * (index + 0.5), width))
    return Markup("").join(parts)


def _row(row: ForestRow, axis: _Axis, middle: float, width: float) -> Markup:
    """Draw a row: its label, the interval with a point at the value, and the numbers."""
    metric, at = row.metric, axis.at(row.metric.value)
    parts = [_text(_EDGE, middle, _label(row), "start")]
    if metric.low is not None and metric.high is not None:
        low, high = axis.at(metric.low), axis.at(metric.high)
        parts.append(line(low, middle, high, middle, "whisker", "#1d2021"))
        parts += [line(end, middle - 4, end, middle + 4, "whisker", "#1d2021") for end in (low, high)]
    parts.append(
        Markup('<rect class="point" x="{:.1f}" y="{:.1f}" width="8" height="8" fill="#0b6661"/>').format(
            at - 4, middle - 4
        )
    )
    parts.append(_text(width - _EDGE, middle, _numbers(row), "end"))
    return Markup("").join(parts)


def _text(x: float, middle: float, text: str, anchor: str, *, bold: bool = False, quiet: bool = False) -> Markup:
    """Write a text whose capitals are centred at a height."""
    return label(x, middle + 4.5, text, anchor, bold=bold, quiet=quiet)


def _label(row: ForestRow) -> str:
    return one_line(row.label)


def _numbers(row: ForestRow) -> str:
    metric = row.metric
    if row.numbers is not None:
        return row.numbers
    if metric.unit == "points":
        spread = " (no interval)" if metric.low is None else f" ({metric.low:z.1f} to {metric.high:z.1f})"
        return f"{metric.value:z.1f} points{spread}"
    value = metric_value(metric)
    return f"{value} ({interval(metric) if metric.low is not None else 'no interval'})"


def _described(panel: ForestPanel) -> str:
    return f"{one_line(panel.title)}: " + "; ".join(f"{_label(row)} {_numbers(row)}" for row in panel.rows)
