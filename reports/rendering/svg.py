"""Draw metrics as inline SVG, without scripts, fonts or styles; and as bars of characters.

A strip draws one metric: a bar for the value, a whisker for its 95 % interval, a dashed line for the metric that it is
compared with. Strips are drawn in the cells of a table, all on one scale, so the table also has every number as text,
and the drawing is as wide as the screen allows. Positions are percentages of the cell's width; colours come from the
style sheet (`--accent`, `--ink`, `--rule`), so they follow light and dark mode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.reports.rendering.formatting import amount, interval, metric_value
from evals.schema import Metric

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_SHARES = {"fraction", "coefficient"}


@dataclass(frozen=True, slots=True)
class Scale:
    """The range on which the strips of one table are drawn."""

    low: float
    high: float
    unit: str

    def fits(self, metric: Metric) -> bool:
        """Whether a metric can be drawn on this scale."""
        return _is_share(metric) if self.unit in _SHARES else metric.unit == self.unit

    def at(self, value: float) -> str:
        """Return the position of a value as a percentage of the width; values outside the scale lie at its edge."""
        share = (value - self.low) / (self.high - self.low)
        return f"{min(max(share, 0.0), 1.0) * 100:z.2f}%"


def choose_scale(metrics: Sequence[Metric]) -> Scale | None:
    """Choose the scale for the metrics of one table, or None when they cannot share one.

    Where a table has fractions or coefficients, the scale is theirs: 0 to 1, or -1 to 1 when one of them or an end of
    its interval is negative. Otherwise it goes from 0 to the greatest value, if all metrics have the same unit.

    Example:
        >>> choose_scale([Metric(0.4, None, None, 9), Metric(3.0, None, None, 9, "rank")])
        Scale(low=0.0, high=1.0, unit='fraction')
        >>> choose_scale([Metric(4.1, None, None, 9, "seconds"), Metric(3.0, None, None, 9, "rank")]) is None
        True
    """
    shares = [metric for metric in metrics if _is_share(metric)]
    units = {metric.unit for metric in shares or metrics}
    if shares:
        below = any(end < 0 for metric in shares for end in _ends(metric))
        return Scale(-1.0 if below else 0.0, 1.0, units.pop() if len(units) == 1 else "coefficient")
    ends = [0.0, *(end for metric in metrics for end in _ends(metric))]
    return Scale(min(ends), max(ends), units.pop()) if len(units) == 1 and min(ends) < max(ends) else None


def _is_share(metric: Metric) -> bool:
    return metric.unit in _SHARES and max(map(abs, _ends(metric))) <= 1


def _ends(metric: Metric) -> list[float]:
    return [end for end in (metric.low, metric.value, metric.high) if end is not None]


def strip(metric: Metric, scale: Scale, whole: Metric | None = None) -> Markup:
    """Draw one metric; return an empty drawing when the scale has another unit.

    The drawing repeats the text of its row, so it is hidden from screen readers; its title appears under the pointer.

    Args:
        metric: what is drawn.
        scale: the scale of its table.
        whole: the metric that it is compared with, drawn as a dashed line.
    """
    if not scale.fits(metric):
        return Markup("")
    parts = [_grid(scale), _bar(metric, scale)]
    if whole is not None:
        at = scale.at(whole.value)
        parts.append(Markup('<line class="whole" x1="{0}" x2="{0}" y1="0" y2="100%"/>').format(at))
    parts.append(_whisker(metric, scale))
    drawing = Markup('<svg class="strip" aria-hidden="true" width="100%" height="24"><title>{}</title>{}</svg>')
    return drawing.format(_title(metric), Markup("").join(parts))


def axis(scale: Scale, whole: Metric | None = None) -> Markup:
    """Draw the scale above a column of strips, with a description for screen readers."""
    ends = amount(scale.low, scale.unit), amount(scale.high, scale.unit)
    dashed = f"; the dashed line is the whole, {metric_value(whole)}" if whole else ""
    labels = Markup("").join(
        Markup('<text class="{1}" x="{0}" y="14" text-anchor="{1}">{2}</text>').format(
            scale.at(value), anchor, _tick(value, scale)
        )
        for value, anchor in ((scale.low, "start"), ((scale.low + scale.high) / 2, "middle"), (scale.high, "end"))
    )
    return Markup(
        '<svg class="axis" role="img" width="100%" height="20"><title>Scale from {} to {}</title>'
        "<desc>Bars are values, whiskers their 95 % intervals{}.</desc>{}</svg>"
    ).format(*ends, dashed, labels)


def blocks(metric: Metric, scale: Scale | None, width: int = 20) -> str:
    """Draw a bar of block characters for the terminal; empty without a scale or when the scale has negative values.

    Example:
        >>> blocks(Metric(0.55, None, None, 9), Scale(0.0, 1.0, "fraction"), width=10)
        '█████▌'
    """
    if scale is None or scale.low < 0 or not scale.fits(metric):
        return ""
    eighths = round(min(max(metric.value / scale.high, 0.0), 1.0) * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _grid(scale: Scale) -> Markup:
    lines = (f"{tick * 100:g}%" for tick in _TICKS)
    grid = Markup("").join(Markup('<line class="grid" x1="{0}" x2="{0}" y1="0" y2="100%"/>').format(x) for x in lines)
    zero = Markup('<line class="zero" x1="{0}" x2="{0}" y1="0" y2="100%"/>').format(scale.at(0.0))
    return grid + zero


def _bar(metric: Metric, scale: Scale) -> Markup:
    """Draw the bar from zero to the value; a nested drawing starts at half height, so that heights are in pixels."""
    start, end = sorted((scale.at(0.0), scale.at(metric.value)), key=_number)
    width = f"{_number(end) - _number(start):.2f}%"
    return Markup(
        '<svg y="50%" overflow="visible"><rect class="bar" x="{}" width="{}" y="-5" height="10"/></svg>'
    ).format(start, width)


def _whisker(metric: Metric, scale: Scale) -> Markup:
    if metric.low is None or metric.high is None:
        return Markup("")
    low, high = scale.at(metric.low), scale.at(metric.high)
    ends = Markup("").join(Markup('<line x1="{0}" x2="{0}" y1="-4" y2="4"/>').format(x) for x in (low, high))
    return Markup(
        '<svg class="whisker" y="50%" overflow="visible"><line x1="{}" x2="{}" y1="0" y2="0"/>{}</svg>'
    ).format(low, high, ends)


def _number(percentage: str) -> float:
    return float(percentage.removesuffix("%"))


def _title(metric: Metric) -> str:
    spread = "" if metric.low is None else f", 95 % interval {interval(metric)}"
    return f"{metric_value(metric)}{spread}, n = {metric.n:,}"


def _tick(value: float, scale: Scale) -> str:
    """Label a tick shortly; only the last one has the unit."""
    if scale.unit == "fraction":
        return f"{value * 100:z.0f}" + (" %" if value == scale.high else "")
    return f"{value:z.3g}" if scale.unit in {"coefficient", "rank"} else amount(value, scale.unit)


def round_ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return round values of an axis, at least three: multiples of 1, 2, 2.5 or 5 times a power of ten.

    Args:
        low: the lower end of the axis.
        high: its upper end, above the lower one.
        wanted: about how many there are to be.

    Example:
        >>> round_ticks(0.0, 100.0, 5), round_ticks(3.1, 11.2, 4)
        ([0.0, 20.0, 40.0, 60.0, 80.0, 100.0], [5.0, 7.5, 10.0])
    """
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [factor * shift * power for shift in (0.1, 1) for factor in (1, 2, 2.5, 5, 10)]
    ticks: list[float] = []
    for step in reversed([step for step in steps if step < rough] + [next(step for step in steps if step >= rough)]):
        ticks = [multiple * step for multiple in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(ticks) > 2:
            break
    return ticks


def line(x1: float, y1: float, x2: float, y2: float, kind: str, colour: str, *, dashed: bool = False) -> Markup:
    """Draw a line of a figure; its class is `kind`, by which a page's style may colour it.

    Example:
        >>> str(line(0, 0, 9, 0, "grid", "#dfddd6"))
        '<line class="grid" x1="0.0" y1="0.0" x2="9.0" y2="0.0" stroke="#dfddd6" stroke-width="1"/>'
    """
    dash = Markup(' stroke-dasharray="3 3"') if dashed else Markup("")
    place = Markup('x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"').format(x1, y1, x2, y2)
    width = 1 if kind in {"grid", "axis-line"} else 1.5
    return Markup('<line class="{}" {} stroke="{}" stroke-width="{}"{}/>').format(kind, place, colour, width, dash)


def label(x: float, y: float, text: str, anchor: str, *, bold: bool = False, quiet: bool = False) -> Markup:
    """Write a text of a figure, whose base line is at `y`; `anchor` is `start`, `middle` or `end`.

    Example:
        >>> str(label(4, 16, "a < b", "start"))
        '<text class="plain" x="4.0" y="16.0" text-anchor="start" fill="#1d2021">a &lt; b</text>'
    """
    weight = Markup(' font-weight="600"') if bold else Markup("")
    kind, colour = ("quiet", "#5a6063") if quiet else ("plain", "#1d2021")
    place = Markup('x="{:.1f}" y="{:.1f}" text-anchor="{}"').format(x, y, anchor)
    return Markup('<text class="{}" {} fill="{}"{}>{}</text>').format(kind, place, colour, weight, text)
