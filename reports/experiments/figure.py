"""Draw how a difference and its confidence sequence developed while the log grew, as one SVG drawing."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from evals.reports.experiments.sentences import Wording, time_text
from evals.reports.rendering.forest import ForestPanel, ForestRow
from evals.reports.rendering.sequences import SequenceAxes, SequencePoint, draw_sequence
from evals.schema import Metric
from evals.statistics.experiments.comparison import VariantComparison
from evals.statistics.experiments.looks import Look


def draw_looks(looks: Sequence[Look], title: str, *, is_share: bool, timed: bool) -> Markup:
    """Draw the difference at each look, and the band of its confidence sequence.

    Args:
        looks: at least two, in the order of time.
        title: what is shown.
        is_share: whether differences are printed in points.
        timed: whether the times are milliseconds since 1970; otherwise the axis shows the rows so far.
    """
    scale = 100.0 if is_share else 1.0
    points = [
        SequencePoint(
            look.time if timed else look.rows, look.difference * scale, look.low * scale, high=look.high * scale
        )
        for look in looks
    ]
    axes = SequenceAxes(time_text if timed else "{:,.0f} rows".format, " pt" if is_share else "", reference=0.0)
    return draw_sequence(points, title, axes, "difference")


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
