"""Draw how a value and its confidence sequence developed from look to look, as one SVG drawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.reports.rendering.forest import FONT
from evals.reports.rendering.formatting import one_line
from evals.reports.rendering.svg import round_ticks

WIDE, PANEL = (720.0, 300.0), (400.0, 270.0)
"""Width and height of a drawing: alone on a page, or one of several, which a phone shows whole."""
_RIGHT, _TOP, _BOTTOM = 16.0, 34.0, 40.0
_LETTER = 8.0
"""Width of a digit of a label, in pixels."""
_TICKS = 5
_REFERENCE = Markup('stroke="#0b6661" stroke-dasharray="3 3" class="whole"')
_BOUND = Markup('stroke="#8f3500" stroke-dasharray="1 3" class="bound"')
_GRID = Markup('stroke="#dfddd6" class="grid"')


@dataclass(frozen=True, slots=True)
class SequencePoint:
    """One look."""

    place: float
    """How far the data had come: samples, rows or a time."""
    value: float
    """The estimate, in the units of the drawing."""
    low: float
    high: float
    """The interval, which holds at all looks together."""


@dataclass(frozen=True, slots=True)
class SequenceAxes:
    """How the axes of a drawing are labelled."""

    place: Callable[[float], str]
    """Prints how far the data had come."""
    unit: str
    """Follows the numbers of the values: " pt", " %" or nothing."""
    reference: float | None = None
    """A value that is always shown, as a dashed line: no difference."""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """The smallest and the largest possible value."""
    bounds: tuple[float, ...] = ()
    """Values that decide something, as dotted lines."""
    sides: tuple[str, str] = ("", "")
    """What values above the reference mean, and those below."""
    last: float | None = None
    """Where the axis of the places ends, if not at the last point: the last point is marked."""
    size: tuple[float, float] = WIDE
    """Width and height of the drawing."""


def draw_sequence(points: Sequence[SequencePoint], title: str, axes: SequenceAxes, quantity: str) -> Markup:
    """Draw the estimate at each look, and the band of its confidence sequence.

    Args:
        points: at least two, in the order of their places.
        title: what is shown.
        axes: how the axes are labelled.
        quantity: what the value is called in the drawing's description: `difference`.
    """
    plot = _Plot.of(points, axes)
    upper = [f"{plot.x(point.place):.1f},{plot.y(point.high):.1f}" for point in points]
    lower = [f"{plot.x(point.place):.1f},{plot.y(point.low):.1f}" for point in points]
    middle = [f"{plot.x(point.place):.1f},{plot.y(point.value):.1f}" for point in points]
    band = Markup('<polygon class="band" points="{}" fill="#94c7c1" fill-opacity="0.45"/>')
    line = Markup('<polyline class="way" points="{}" fill="none" stroke="#1d2021" stroke-width="1.5"/>')
    parts = [
        _text(4, 16, title, "start", bold=True), *_frame(plot, axes), band.format(" ".join(upper + lower[::-1])),
        line.format(" ".join(middle)), *_marks(plot, axes, points[-1]),
    ]  # fmt: skip
    first = points[0].place
    start, end = points[0], points[-1]
    summary = (
        f"{title}: from {axes.place(first)} to {axes.place(end.place)} the {quantity} went from {start.value:z.3g} to "
        f"{end.value:z.3g}, its sequence from {start.low:z.3g} to {start.high:z.3g}, at the end {end.low:z.3g} to "
        f"{end.high:z.3g}."
    )
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="forest looks" role="img" viewBox="0 0 {0:.0f} {1:.0f}" '
        'width="{0:.0f}" height="{1:.0f}" font-family="{2}" font-size="13"><title>{3}</title>{4}</svg>'
    ).format(*axes.size, FONT, summary, Markup("").join(parts))


@dataclass(frozen=True, slots=True)
class _Plot:
    """Maps places and values to pixels."""

    low: float
    high: float
    first: float
    last: float
    left: float
    width: float
    height: float

    @classmethod
    def of(cls, points: Sequence[SequencePoint], axes: SequenceAxes) -> _Plot:
        low, high = _range(points, axes)
        first = points[0].place
        last = max(points[-1].place if axes.last is None else axes.last, first + 1)
        labels = [_tick_label(tick, axes) for tick in round_ticks(low, high, _TICKS)]
        left = 14.0 + _LETTER * max(map(len, labels), default=0)
        return cls(low, high, first, last, left, *axes.size)

    def x(self, place: float) -> float:
        return self.left + (self.width - self.left - _RIGHT) * (place - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        room = self.height - _TOP - _BOTTOM
        return _TOP + room * (self.high - min(max(value, self.low), self.high)) / (self.high - self.low)


def _frame(plot: _Plot, axes: SequenceAxes) -> Iterator[Markup]:
    """Draw the grid with its labels, the reference and the bounds."""
    across = Markup('<line x1="{0:.1f}" x2="{1:.1f}" y1="{2:.1f}" y2="{2:.1f}" {3}/>')
    ticks = round_ticks(plot.low, plot.high, _TICKS)
    for tick in ticks:
        kind = _REFERENCE if tick == axes.reference else _GRID
        yield across.format(plot.left, plot.width - _RIGHT, plot.y(tick), kind)
        yield _text(plot.left - 6, plot.y(tick) + 4.5, _tick_label(tick, axes), "end")
    for bound in axes.bounds:
        if plot.low <= bound <= plot.high:
            yield across.format(plot.left, plot.width - _RIGHT, plot.y(bound), _BOUND)
    for place, anchor in ((plot.first, "start"), ((plot.first + plot.last) / 2, "middle"), (plot.last, "end")):
        yield _text(plot.x(place), plot.height - 14, axes.place(place), anchor)


def _marks(plot: _Plot, axes: SequenceAxes, end: SequencePoint) -> Iterator[Markup]:
    """Write what the two sides mean, and mark where the sequence ended."""
    above, below = axes.sides
    for text, y in ((above, _TOP + 14), (below, plot.height - _BOTTOM - 6)):
        if text:
            yield _text(plot.width - _RIGHT - 4, y, text, "end", halo=True)
    if axes.last is not None:
        x, value = plot.x(end.place), plot.y(end.value)
        stop = Markup('<line x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}" stroke="#1d2021" class="way"/>')
        yield stop.format(x, plot.y(end.high), plot.y(end.low))
        yield Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="4" fill="#0b6661"/>').format(x, value)


def _range(points: Sequence[SequencePoint], axes: SequenceAxes) -> tuple[float, float]:
    """Return the range of values that is shown: the sequence from a tenth of the looks on; before, it is very wide."""
    shown = points[len(points) // 10 :]
    always = [*axes.bounds, *([] if axes.reference is None else [axes.reference])]
    low, high = min([*always, *(point.low for point in shown)]), max([*always, *(point.high for point in shown)])
    margin = (high - low) * 0.05 or 1.0
    return max(low - margin, axes.limits[0]), min(high + margin, axes.limits[1])


def _tick_label(tick: float, axes: SequenceAxes) -> str:
    return f"{tick:z.6g}{axes.unit}"


def _text(x: float, y: float, text: str, anchor: str, *, bold: bool = False, halo: bool = False) -> Markup:
    kind = 'font-weight="600" class="plain" fill="#1d2021"' if bold else 'class="quiet" fill="#5a6063"'
    if halo:  # readable on a line of the grid
        kind = 'class="side" fill="#5a6063" stroke="#fffefc" stroke-width="4" paint-order="stroke"'
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" {}>{}</text>').format(
        x, y, anchor, Markup(kind), one_line(text)
    )
