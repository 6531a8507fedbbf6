"""Draw the Pareto figure of a selection: per task, quality against one cost, with intervals, as SVG.

The drawing needs no style sheet, so it can be saved as a file. Inside a page the style sheet recolours it by its
classes, so that it follows light and dark mode. It is as wide as a phone, and scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.reports.choices.front import dominates
from evals.reports.choices.requirements import COSTS, LATENCY, MEMORY, measured
from evals.reports.choices.selection import JudgedCandidate, Selection
from evals.reports.rendering.forest import FONT
from evals.reports.rendering.formatting import one_line
from evals.reports.rendering.svg import label, line, round_ticks
from evals.schema import Metric

CAPTION = (
    "Filled points are on the Pareto front of everything that counts, open points are dominated, crosses are excluded. "
    "Bars are 95 % intervals, the line is the front of the two axes shown, dashed lines are limits."
)
_WIDTH, _HEIGHT = 360.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 34.0, 44.0
"""Margins of the plot in a panel, in pixels."""
_CHARACTER, _LINE = 6.6, 13.0
"""Width and height of a character of a label, in pixels."""
_TICKS = 4
_LONGEST = 24
"""Maximum number of characters of a label."""


@dataclass(frozen=True)
class _Axis:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    end: float
    unit: str

    def at(self, value: float) -> float:
        """Return the position of a value."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> Iterator[float]:
        """Yield round values between the ends."""
        yield from round_ticks(self.low, self.high, _TICKS)

    def label(self, value: float) -> str:
        """Print a tick without its unit."""
        factor = {"fraction": 100.0, "seconds": 1000.0, "bytes": 1e-6}.get(self.unit, 1.0)
        return f"{value * factor:z.6g}"


_UNITS = {"fraction": "%", "seconds": "ms", "bytes": "MB"}


def panels(selection: Selection) -> list[Markup]:
    """Draw a panel per task, each as one `<svg>` element; none if no cost or no quality was measured."""
    cost = _cost(selection)
    if cost is None:
        return []
    shown = [(task, _panel(selection, task, cost)) for task in selection.criteria.tasks]
    return [_svg(content, _HEIGHT, _described(selection, task, cost)) for task, content in shown if content]


def drawing(selection: Selection) -> Markup:
    """Draw all panels below each other, as one `<svg>` element with its caption."""
    cost = _cost(selection)
    contents = [_panel(selection, task, cost) for task in selection.criteria.tasks] if cost is not None else []
    contents = [content for content in contents if content]
    parts = [
        Markup('<g transform="translate(0 {:.0f})">{}</g>').format(_HEIGHT * index, content)
        for index, content in enumerate(contents)
    ]
    if not contents:
        parts.append(label(_WIDTH / 2, 30, "No cost is measured: there is nothing to draw.", "middle"))
    titles = ". ".join(_described(selection, task, cost) for task in selection.criteria.tasks) if cost else "No figure"
    return _svg(Markup("").join(parts), _HEIGHT * max(len(contents), 0.2), titles)


def _cost(selection: Selection) -> str | None:
    """Return the cost that the figure shows: the one that is limited or, else, measured for most candidates."""
    counts = {
        name: sum(judged.candidate.measured(name) is not None for judged in selection.candidates) for name in COSTS
    }
    limited = {limit.name for limit in selection.requirements}
    return max((name for name in COSTS if counts[name]), key=lambda name: (counts[name], name in limited), default=None)


def _panel(selection: Selection, task: str, cost: str) -> Markup:
    """Draw the axes, the front and the points of a task; empty if no candidate has both values."""
    points = [
        (judged, quality, value)
        for judged in selection.candidates
        if (quality := judged.candidate.quality.get(task)) and (value := judged.candidate.measured(cost))
    ]
    units = {value.unit for _, _, value in points}
    if not points or len(units) > 1:
        return Markup("")
    limits = {limit.name: limit.limit for limit in selection.requirements}
    across = _axis([value for *_, value in points], limits.get(cost), _LEFT, _WIDTH - _RIGHT)
    up = _axis([quality for _, quality, _ in points], limits.get(task), _HEIGHT - _BOTTOM, _TOP)
    parts = [*_frame(across, up, f"{task} {selection.headlines[task]}", _cost_name(cost, across.unit))]
    if cost in limits and across.low <= limits[cost] <= across.high:
        at = across.at(limits[cost])
        parts.append(line(at, _TOP, at, _HEIGHT - _BOTTOM, "limit", "#8f3500", dashed=True))
    if task in limits and up.low <= limits[task] <= up.high:
        at = up.at(limits[task])
        parts.append(line(_LEFT, at, _WIDTH - _RIGHT, at, "limit", "#8f3500", dashed=True))
    parts += _steps([(value.value, quality) for judged, quality, value in points if not judged.excluded], across, up)
    taken = [_box(across.at(value.value) - 6, up.at(quality.value) + 6, 12.0) for _, quality, value in points]
    for judged, quality, value in points:
        parts += _point(judged, across, up, value, quality)
        parts.append(_label(judged.name, across.at(value.value), up.at(quality.value), taken))
    return Markup("").join(parts)


def _axis(values: Sequence[Metric], limit: float | None, start: float, end: float) -> _Axis:
    """Fit an axis to values and intervals, and to a limit that is not far away."""
    ends = [end for value in values for end in (value.value, value.low, value.high) if end is not None]
    if values[0].unit == "bytes":
        ends = [value.value for value in values]
    low, high = min(ends), max(ends)
    room = (high - low) or abs(high) * 0.2 or 1.0
    if limit is not None and low - room <= limit <= high + room:
        low, high = min(low, limit), max(high, limit)
    room = ((high - low) or abs(high) * 0.2 or 1.0) * 0.1
    if values[0].unit == "fraction":
        return _Axis(max(low - room, 0.0) if low >= 0 else low - room, min(high + room, 1.0), start, end, "fraction")
    return _Axis(max(low - room, 0.0) if low >= 0 else low - room, high + room, start, end, values[0].unit)


def _frame(across: _Axis, up: _Axis, quality: str, cost: str) -> Iterator[Markup]:
    unit = _UNITS.get(up.unit)
    yield label(4, 16, one_line(f"{quality}, {unit}" if unit else quality, 46), "start", bold=True)
    bottom = _HEIGHT - _BOTTOM
    for tick in across.ticks():
        yield line(across.at(tick), _TOP, across.at(tick), bottom, "grid", "#dfddd6")
        yield label(across.at(tick), bottom + 16, across.label(tick), "middle", quiet=True)
    for tick in up.ticks():
        yield line(_LEFT, up.at(tick), _WIDTH - _RIGHT, up.at(tick), "grid", "#dfddd6")
        yield label(_LEFT - 6, up.at(tick) + 4, up.label(tick), "end", quiet=True)
    yield line(_LEFT, bottom, _WIDTH - _RIGHT, bottom, "axis-line", "#5a6063")
    yield label((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, cost, "middle")


def _steps(points: Sequence[tuple[float, Metric]], across: _Axis, up: _Axis) -> Iterator[Markup]:
    """Draw the front of the two axes as steps, from the cheapest point to the best."""
    sign = -1.0 if points and points[0][1].higher_is_better is False else 1.0
    pairs = sorted((cost, sign * quality.value) for cost, quality in points)
    front = [pair for pair in pairs if not any(dominates((-o[0], o[1]), (-pair[0], pair[1])) for o in pairs)]
    if len(front) < 2:
        return
    corners = [f"M{across.at(front[0][0]):.1f} {up.at(sign * front[0][1]):.1f}"]
    corners += [f"H{across.at(cost):.1f}V{up.at(sign * value):.1f}" for cost, value in front[1:]]
    yield Markup('<path class="front" d="{}" fill="none" stroke="#94c7c1" stroke-width="2"/>').format("".join(corners))


def _point(judged: JudgedCandidate, across: _Axis, up: _Axis, cost: Metric, quality: Metric) -> Iterator[Markup]:
    x, y = across.at(cost.value), up.at(quality.value)
    if cost.low is not None and cost.high is not None and cost.unit != "bytes":
        yield line(across.at(cost.low), y, across.at(cost.high), y, "whisker", "#5a6063")
    if quality.low is not None and quality.high is not None:
        yield line(x, up.at(quality.low), x, up.at(quality.high), "whisker", "#5a6063")
    if judged.excluded:
        for sign in (1, -1):
            yield line(x - 4, y - 4 * sign, x + 4, y + 4 * sign, "cross", "#8f3500")
        return
    kind, colour = ("point", "#0b6661") if judged.on_front else ("open-point", "#fffefc")
    yield Markup(
        '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4.5" fill="{}" stroke="#0b6661" stroke-width="2"/>'
    ).format(kind, x, y, colour)


_Box = tuple[float, float, float, float]


def _box(left: float, bottom: float, width: float) -> _Box:
    return left, bottom - _LINE, left + width, bottom


def _label(name: str, x: float, y: float, taken: list[_Box]) -> Markup:
    """Write a candidate's name beside its point, where it covers no other label and no point."""
    text = one_line(name if len(name) <= _LONGEST else f"{name[:10]}…{name[-12:]}")
    width = _CHARACTER * len(text)
    places = [
        (x + dx, y + dy, anchor)
        for dy in (-7, 16, -20, 29, -33, 42)
        for dx, anchor in ((8, "start"), (-8, "end"))
    ]  # fmt: skip
    boxes = [_box(left if anchor == "start" else left - width, bottom + 2, width) for left, bottom, anchor in places]
    free = next((index for index, box in enumerate(boxes) if _fits(box, taken)), 0)
    taken.append(boxes[free])
    left, bottom, anchor = places[free]
    return label(left, bottom, text, anchor)


def _fits(box: _Box, taken: Sequence[_Box]) -> bool:
    left, top, right, bottom = box
    inside = left >= _LEFT and right <= _WIDTH and top >= _TOP - 10 and bottom <= _HEIGHT - _BOTTOM + 4
    return inside and not any(left < box[2] and right > box[0] and top < box[3] and bottom > box[1] for box in taken)


def _cost_name(cost: str, unit: str) -> str:
    names = {LATENCY: "latency", MEMORY: "peak memory"}
    return f"{names.get(cost, 'price of 1,000 answers')}, {_UNITS.get(unit, unit)}"


def _described(selection: Selection, task: str, cost: str) -> str:
    """Describe a panel for screen readers: every value."""
    values = [
        f"{judged.name}: {measured(judged.candidate.quality.get(task))} at {measured(judged.candidate.measured(cost))}"
        for judged in selection.candidates
    ]
    limits = [limit.text for limit in selection.requirements if limit.name in {task, cost}]
    return one_line(f"{task} {selection.headlines[task]} against {cost}. {'; '.join([*values, *limits])}")


def _svg(content: Markup, height: float, title: str) -> Markup:
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="scatter" role="img" viewBox="0 0 {0:.0f} {1:.0f}" '
        'width="{0:.0f}" height="{1:.0f}" font-family="{2}" font-size="12"><title>{3}</title>{4}</svg>'
    ).format(_WIDTH, height, FONT, title, content)
