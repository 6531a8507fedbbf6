"""Draw how a difference and its confidence sequence developed while the log grew, as one SVG drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from evals.reports.experiments.sentences import Wording, time_text
from evals.reports.rendering.forest import FONT, ForestPanel, ForestRow
from evals.reports.rendering.formatting import one_line
from evals.schema import Metric
from evals.statistics.experiments.comparison import VariantComparison
from evals.statistics.experiments.looks import Look

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720.0, 300.0, 84.0, 16.0, 34.0, 40.0
_TICKS = 5
_ZERO = Markup('stroke="#0b6661" stroke-dasharray="3 3" class="whole"')
_GRID = Markup('stroke="#dfddd6" class="grid"')


def draw_looks(looks: Sequence[Look], title: str, *, is_share: bool, timed: bool) -> Markup:
    """Draw the difference at each look, and the band of its confidence sequence.

    Args:
        looks: at least two, in the order of time.
        title: what is shown.
        is_share: whether differences are printed in points.
        timed: whether the times are milliseconds since 1970; otherwise the axis shows the rows so far.
    """
    scale = 100.0 if is_share else 1.0
    places = [look.time if timed else look.rows for look in looks]
    low, high = _range(looks, scale)
    first, last = places[0], max(places[-1], places[0] + 1)

    def x(place: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (place - first) / (last - first)

    def y(value: float) -> float:
        clipped = min(max(value * scale, low), high)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - clipped) / (high - low)

    upper = [f"{x(place):.1f},{y(look.high):.1f}" for place, look in zip(places, looks, strict=True)]
    lower = [f"{x(place):.1f},{y(look.low):.1f}" for place, look in zip(places, looks, strict=True)]
    middle = [f"{x(place):.1f},{y(look.difference):.1f}" for place, look in zip(places, looks, strict=True)]
    parts = [_text(_LEFT, 16, title, "start", bold=True)]
    for tick in _ticks(low, high):
        at = y(tick / scale)
        kind = _ZERO if tick == 0 else _GRID
        parts.append(
            Markup('<line x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}" {3}/>').format(_LEFT, _WIDTH - _RIGHT, at, kind)
        )
        parts.append(_text(_LEFT - 6, at + 4.5, f"{tick:z.6g}" + (" pt" if is_share else ""), "end"))
    band = Markup('<polygon class="band" points="{}" fill="#94c7c1" fill-opacity="0.45"/>')
    parts.append(band.format(" ".join(upper + lower[::-1])))
    line = Markup('<polyline class="way" points="{}" fill="none" stroke="#1d2021" stroke-width="1.5"/>')
    parts.append(line.format(" ".join(middle)))
    for place, anchor in ((first, "start"), ((first + last) / 2, "middle"), (last, "end")):
        parts.append(_text(x(place), _HEIGHT - 14, _label(place, timed), anchor))
    summary = (
        f"{title}: from {_label(first, timed)} to {_label(places[-1], timed)} the difference went from "
        f"{looks[0].difference * scale:z.3g} to {looks[-1].difference * scale:z.3g}, its sequence from "
        f"{looks[0].low * scale:z.3g} to {looks[0].high * scale:z.3g}, at the end {looks[-1].low * scale:z.3g} to "
        f"{looks[-1].high * scale:z.3g}."
    )
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="forest looks" role="img" viewBox="0 0 {0:.0f} {1:.0f}" '
        'width="{0:.0f}" height="{1:.0f}" font-family="{2}" font-size="13"><title>{3}</title>{4}</svg>'
    ).format(_WIDTH, _HEIGHT, FONT, summary, Markup("").join(parts))


def _range(looks: Sequence[Look], scale: float) -> tuple[float, float]:
    """Return the range of values that is shown: the sequence from a tenth of the looks on; before, it is very wide."""
    shown = looks[len(looks) // 10 :]
    low = min(0.0, *(look.low * scale for look in shown))
    high = max(0.0, *(look.high * scale for look in shown))
    margin = (high - low) * 0.05 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [multiple * step for multiple in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _label(place: float, timed: bool) -> str:
    if not timed:
        return f"{place:,.0f} rows"
    return time_text(place)


def _text(x: float, y: float, text: str, anchor: str, *, bold: bool = False) -> Markup:
    kind = 'font-weight="600" class="plain" fill="#1d2021"' if bold else 'class="quiet" fill="#5a6063"'
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" {}>{}</text>').format(
        x, y, anchor, Markup(kind), one_line(text)
    )


def forest(comparisons: Sequence[VariantComparison], title: str, wording: Wording) -> ForestPanel:
    """Make a panel of differences with their intervals."""
    scale, unit = (100.0, "points") if wording.is_share else (1.0, "")
    rows = []
    for row in comparisons:
        difference = row.difference
        name = f"{row.variant}, {row.segment}" if row.segment else row.variant
        low = None if difference.low is None else difference.low * scale
        high = None if difference.high is None else difference.high * scale
        metric = Metric((difference.value or 0.0) * scale, low, high, row.baseline_rows + row.variant_rows, unit)
        rows.append(ForestRow(name[:60], metric, wording.difference(difference)))
    return ForestPanel(title, tuple(rows), reference=0.0)
