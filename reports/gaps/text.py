"""Write why two runs disagree, for the terminal."""

from __future__ import annotations

from evals.errors import counted
from evals.reports.gaps.attribution import Gap
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import json_text, one_line
from evals.reports.rendering.table_formats import Table
from evals.reports.runs.naming import short_names
from evals.reports.runs.terminal import width

_FIELD_WIDTH = 44


def text(gap: Gap) -> str:
    """Write the parts of a difference, and the fields that may explain what is left."""
    a, b = short_names([gap.a, gap.b])
    task = gap.a.manifest.task.name
    difference = gap.a_value - gap.b_value
    parts = [
        f"{a} reports {_value_of(gap, gap.a_value)} ({gap.a_metric}) and {b} {_value_of(gap, gap.b_value)} "
        f"({gap.b_metric}) on {task}: a gap of {_points(gap, difference)}.",
        f"{gap.note}; {gap.same_outputs:,} of them have the same outputs.",
    ]
    if gap.parts:
        rows = [(part.name, _points(gap, part.points), f"{part.samples:,}", part.detail) for part in gap.parts]
        rows.append(("sum", _points(gap, sum(part.points for part in gap.parts)), "", ""))
        parts.append(table_formats.text(Table("", ("part", "points", "samples", ""), "lrrl", tuple(rows)), width()))
    else:
        parts.append("No sample is scored otherwise.")
    outputs = gap.common - gap.same_outputs
    if outputs and gap.differences:
        parts.append(
            f"What may have changed {counted(outputs, 'output')}, the likeliest first; only another run can tell which "
            f"did:"
        )
        parts.append(
            "\n".join(
                f"  {entry.field}: {_value(entry.a)} in the first run, {_value(entry.b)} in the second ({entry.why})"
                for entry in gap.differences
            )
        )
    return "\n\n".join(parts) + "\n"


def _value(value: object) -> str:
    return "not stated" if value is None else one_line(json_text(value), _FIELD_WIDTH)


def _value_of(gap: Gap, value: float) -> str:
    return f"{100 * value:.2f} %" if gap.unit == "fraction" else f"{value:.6g}"


def _points(gap: Gap, value: float) -> str:
    """Print a difference in percentage points, or as it is where the values are no fractions."""
    return f"{100 * (value + 0.0):+.2f} points" if gap.unit == "fraction" else f"{value + 0.0:+.6g}"
