"""Read and draw learning curves: the accuracy of a system at several points of its training.

The training writes the file beside the checkpoint, with one row for each point and split:

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
from evals.reports.rendering.formatting import MISSING, amount, interval
from evals.schema import Metric

FILE = "curve.csv"
COLUMNS = ("interactions", "split", "of", "rate", "low", "high")
"""The columns that a file must have; others are ignored."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The learning curve of one training run, by split."""

    system: str
    splits: Mapping[str, Mapping[int, Metric]]
    """The metric by split, then by number of interactions, in the order of the file."""
    path: Path
    """The file it was read from."""


@dataclass(frozen=True, slots=True)
class CurveFigure:
    """A drawn curve, with the table of its numbers."""

    title: str
    drawing: Markup
    splits: tuple[str, ...]
    points: tuple[tuple[str, ...], ...]
    """Table rows: the number of interactions, then the value of each split."""


def read(path: Path, system: str) -> LearningCurve:
    """Read a curve.

    Args:
        path: the CSV file.
        system: the name of the system.

    Raises:
        InputError: the file lacks a column, or a row has a wrong value; the message names the line.
    """
    splits: dict[str, dict[int, Metric]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise InputError(f"{path} lacks {', '.join(missing)}: a curve has {', '.join(COLUMNS)}")
        for row in rows:
            try:
                rate, low, high = (float(row[name]) for name in ("rate", "low", "high"))
                metric = Metric(rate, low, high, int(row["of"]))
                splits.setdefault(row["split"], {})[int(row["interactions"])] = metric
            except (TypeError, ValueError) as error:
                raise InputError(f"{path}, line {rows.line_num}: {error}") from error
    return LearningCurve(system, splits, path)


def draw(curve: LearningCurve) -> CurveFigure:
    """Draw a curve with one line per split: the first solid with filled dots, the others dashed with hollow ones."""
    steps = sorted({step for points in curve.splits.values() for step in points})
    last = max(steps, default=0) or 1
    parts = [_grid(share) for share in (0.0, 0.5, 1.0)]
    for index, points in enumerate(curve.splits.values()):
        parts += _line(points, last, "" if index == 0 else " other")
    title = f"What {curve.system} learnt, by interactions"
    drawing = Markup(
        '<svg class="curve" role="img" width="100%" height="220"><title>{}</title><desc>Share that is solved, from 0 '
        "at the bottom to 100 % at the top, against 0 to {} interactions; whiskers are 95 % intervals. The table has "
        "the numbers.</desc>{}</svg>"
    ).format(title, f"{last:,}", Markup("").join(parts))
    return CurveFigure(title, drawing, tuple(curve.splits), tuple(_row(step, curve) for step in steps))


def _row(step: int, curve: LearningCurve) -> tuple[str, ...]:
    return (f"{step:,}", *(_cell(points.get(step)) for points in curve.splits.values()))


def _cell(metric: Metric | None) -> str:
    return MISSING if metric is None else f"{amount(metric.value, 'fraction')} ({interval(metric)})"


def _grid(share: float) -> Markup:
    y = 100 * (1 - share)
    return Markup('<line class="grid" x1="0" x2="100%" y1="{0:.0f}%" y2="{0:.0f}%"/>').format(y)


def _line(points: Mapping[int, Metric], last: int, style: str) -> list[Markup]:
    """Draw one split: the lines between its points, their whiskers and their dots."""
    marks = [(100 * step / last, metric) for step, metric in sorted(points.items())]
    line = Markup('<line class="dotted{}" x1="{:.2f}%" y1="{:.2f}%" x2="{:.2f}%" y2="{:.2f}%"/>')
    whisker = Markup('<line class="reach{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="{2:.2f}%" y2="{3:.2f}%"/>')
    dot = Markup('<circle class="dot{}" cx="{:.2f}%" cy="{:.2f}%" r="4"/>')
    parts = [
        line.format(style, x1, _down(first.value), x2, _down(second.value))
        for (x1, first), (x2, second) in pairwise(marks)
    ]
    for x, metric in marks:
        if metric.low is not None and metric.high is not None:
            parts.append(whisker.format(style, x, _down(metric.low), _down(metric.high)))
        parts.append(dot.format(style, x, _down(metric.value)))
    return parts


def _down(share: float) -> float:
    return 100 * (1 - share)


def curves(recorded: Sequence[LearningCurve]) -> list[CurveFigure]:
    """Draw the curves that have more than one point."""
    return [draw(curve) for curve in recorded if len({step for points in curve.splits.values() for step in points}) > 1]
