"""Draw how a value and its confidence sequence developed from look to look, as one SVG drawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.reports.rendering.forest import FONT
from evals.reports.rendering.formatting import one_line

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720.0, 300.0, 84.0, 16.0, 34.0, 40.0
_TICKS = 5
_REFERENCE = Markup('stroke="#0b6661" stroke-dasharray="3 3" class="whole"')
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


def draw_sequence(points: Sequence[SequencePoint], title: str, axes: SequenceAxes, quantity: str) -> Markup:
    """Draw the estimate at each look, and the band of its confidence sequence.

    Args:
        points: at least two, in the order of their places.
        title: what is shown.
        axes: how the axes are labelled.
        quantity: what the value is called in the drawing's description: `difference`.
    """
    low, high = _range(points, axes)
    first, last = points[0].place, max(points[-1].place, points[0].place + 1)

    def x(place: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (place - first) / (last - first)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - min(max(value, low), high)) / (high - low)

    upper = [f"{x(point.place):.1f},{y(point.high):.1f}" for point in points]
    lower = [f"{x(point.place):.1f},{y(point.low):.1f}" for point in points]
    middle = [f"{x(point.place):.1f},{y(point.value):.1f}" for point in points]
    parts = [_text(_LEFT, 16, title, "start", bold=True)]
    for tick in _ticks(low, high):
        at, kind = y(tick), _REFERENCE if tick == axes.reference else _GRID
        parts.append(
            Markup('<line x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}" {3}/>').format(_LEFT, _WIDTH - _RIGHT, at, kind)
        )
        parts.append(_text(_LEFT - 6, at + 4.5, f"{tick:z.6g}{axes.unit}", "end"))
    band = Markup('<polygon class="band" points="{}" fill="#94c7c1" fill-opacity="0.45"/>')
    parts.append(band.format(" ".join(upper + lower[::-1])))
    line = Markup('<polyline class="way" points="{}" fill="none" stroke="#1d2021" stroke-width="1.5"/>')
    parts.append(line.format(" ".join(middle)))
    for place, anchor in ((first, "start"), ((first + last) / 2, "middle"), (last, "end")):
        parts.append(_text(x(place), _HEIGHT - 14, axes.place(place), anchor))
    start, end = points[0], points[-1]
    summary = (
        f"{title}: from {axes.place(first)} to {axes.place(end.place)} the {quantity} went from {start.value:z.3g} to "
        f"{end.value:z.3g}, its sequence from {start.low:z.3g} to {start.high:z.3g}, at the end {end.low:z.3g} to "
        f"{end.high:z.3g}."
    )
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="forest looks" role="img" viewBox="0 0 {0:.0f} {1:.0f}" '
        'width="{0:.0f}" height="{1:.0f}" font-family="{2}" font-size="13"><title>{3}</title>{4}</svg>'
    ).format(_WIDTH, _HEIGHT, FONT, summary, Markup("").join(parts))


def _range(points: Sequence[SequencePoint], axes: SequenceAxes) -> tuple[float, float]:
    """Return the range of values that is shown: the sequence from a tenth of the looks on; before, it is very wide."""
    shown = points[len(points) // 10 :]
    always = [] if axes.reference is None else [axes.reference]
    low, high = min([*always, *(point.low for point in shown)]), max([*always, *(point.high for point in shown)])
    margin = (high - low) * 0.05 or 1.0
    return max(low - margin, axes.limits[0]), min(high + margin, axes.limits[1])


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [multiple * step for multiple in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _text(x: float, y: float, text: str, anchor: str, *, bold: bool = False) -> Markup:
    kind = 'font-weight="600" class="plain" fill="#1d2021"' if bold else 'class="quiet" fill="#5a6063"'
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" {}>{}</text>').format(
        x, y, anchor, Markup(kind), one_line(text)
    )
