"""A learning curve: how a system did at moments of its training, drawn with its numbers beside it.

Read from a file that lies beside a checkpoint, a row a moment and split, which its training wrote:

    interactions,split,right,of,rate,low,high
    5000,environment,7,86,0.0814,0.0400,0.1586
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup

from evals.errors import InputError
from evals.reports.rendering.formatting import amount, interval
from evals.schema import Metric

FILE = "curve.csv"
COLUMNS = ("interactions", "split", "of", "rate", "low", "high")
"""What a file must have; it may have more."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What one training run reached, split by split."""

    system: str
    splits: Mapping[str, Mapping[int, Metric]]
    """By split, then by moment, in the order of the file."""
    path: Path
    """Where it was read."""


@dataclass(frozen=True, slots=True)
class CurveFigure:
    """A curve as the page has it."""

    title: str
    drawing: Markup
    splits: tuple[str, ...]
    points: tuple[tuple[str, ...], ...]
    """A row a moment: its number, then what each split gave."""


def read(path: Path, system: str) -> LearningCurve:
    """Read a curve.

    Raises:
        InputError: the file lacks a column, or a row is no measurement; the line is named.
    """
    splits: dict[str, dict[int, Metric]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if lacking := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise InputError(f"{path} lacks {', '.join(lacking)}: a curve has {', '.join(COLUMNS)}")
        for row in rows:
            try:
                rate, low, high = (float(row[name]) for name in ("rate", "low", "high"))
                found = Metric(rate, low, high, int(row["of"]))
                splits.setdefault(row["split"], {})[int(row["interactions"])] = found
            except (TypeError, ValueError) as error:
                raise InputError(f"{path}, line {rows.line_num}: {error}") from error
    return LearningCurve(system, splits, path)


def draw(learning: LearningCurve) -> CurveFigure:
    """Draw a curve, a line a split: the first drawn through and dotted full, the others dashed and hollow."""
    moments = sorted({step for points in learning.splits.values() for step in points})
    last = max(moments, default=0) or 1
    parts = [_grid(share) for share in (0.0, 0.5, 1.0)]
    for number, points in enumerate(learning.splits.values()):
        parts += _line(points, last, "" if number == 0 else " other")
    title = f"What {learning.system} learnt, by interactions"
    drawing = Markup(
        '<svg class="curve" role="img" width="100%" height="220"><title>{}</title><desc>Share that is solved, from 0 '
        "at the bottom to 100 % at the top, against 0 to {} interactions; whiskers are 95 % intervals. The table has "
        "the numbers.</desc>{}</svg>"
    ).format(title, f"{last:,}", Markup("").join(parts))
    return CurveFigure(title, drawing, tuple(learning.splits), tuple(_row(step, learning) for step in moments))


def _row(step: int, learning: LearningCurve) -> tuple[str, ...]:
    return (f"{step:,}", *(_figure(points.get(step)) for points in learning.splits.values()))


def _figure(found: Metric | None) -> str:
    return "–" if found is None else f"{amount(found.value, 'fraction')} ({interval(found)})"


def _grid(share: float) -> Markup:
    y = 100 * (1 - share)
    return Markup('<line class="grid" x1="0" x2="100%" y1="{0:.0f}%" y2="{0:.0f}%"/>').format(y)


def _line(points: Mapping[int, Metric], last: int, style: str) -> list[Markup]:
    """Draw one split: the way between its moments, their whiskers and their dots."""
    marks = [(100 * step / last, found) for step, found in sorted(points.items())]
    line = Markup('<line class="dotted{}" x1="{:.2f}%" y1="{:.2f}%" x2="{:.2f}%" y2="{:.2f}%"/>')
    whisker = Markup('<line class="reach{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="{2:.2f}%" y2="{3:.2f}%"/>')
    dot = Markup('<circle class="dot{}" cx="{:.2f}%" cy="{:.2f}%" r="4"/>')
    parts = [line.format(style, a, _down(one.value), b, _down(two.value)) for (a, one), (b, two) in pairwise(marks)]
    for x, found in marks:
        if found.low is not None and found.high is not None:
            parts.append(whisker.format(style, x, _down(found.low), _down(found.high)))
        parts.append(dot.format(style, x, _down(found.value)))
    return parts


def _down(share: float) -> float:
    return 100 * (1 - share)


def curves(found: Sequence[LearningCurve]) -> list[CurveFigure]:
    """Draw those that have more than one moment."""
    return [draw(each) for each in found if len({step for points in each.splits.values() for step in points}) > 1]
