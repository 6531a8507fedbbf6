"""A comparison of two runs as text."""

from __future__ import annotations

from evals.comparison import Comparison, MetricComparison
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import MISSING, amount, interval, one_line, probability, written
from evals.reports.rendering.table_formats import Table
from evals.reports.runs import view
from evals.reports.runs.naming import about, short_names
from evals.schema import Metric

_SHOWN = 60


def text(found: Comparison) -> str:
    """Write what differs in the result and in the making, for the terminal."""
    a, b = short_names([found.a, found.b])
    parts = [about([found.a, found.b]), table_formats.text(_metrics(found, a, b))]
    parts += [_power(found.metrics[0])] if found.metrics else []
    parts += [table_formats.text(_fields(found, a, b))] if found.differences else ["Nothing that is recorded differs."]
    return "\n\n".join(parts) + "\n"


def _metrics(found: Comparison, a: str, b: str) -> Table:
    if found.a.timed:
        return _ratios(found, a, b)
    columns = ("metric", a, b, "difference", "95 % interval", "p", "p (Holm)", "better, worse", "n")
    rows = tuple(
        (
            one.name, _figure(one.a), _figure(one.b), _points(one.difference), _interval(one), probability(one.p),
            probability(one.adjusted), f"{one.wins}, {one.losses}" if one.p is not None else MISSING, f"{one.n:,}",
        )
        for one in found.metrics
    )  # fmt: skip
    return Table("Comparison", columns, "lrrrrrrrr", rows)


def _ratios(found: Comparison, a: str, b: str) -> Table:
    units = {name: metric.unit for name, metric in view.metrics(found.a).items()}
    rows = tuple(
        (
            one.name, amount(one.a, units[one.name]), amount(one.b, units[one.name]),
            amount(one.ratio, "x"), interval(Metric(one.ratio or 0.0, one.ratio_low, one.ratio_high, one.n, "x")),
            f"{one.n:,}",
        )
        for one in found.metrics
    )  # fmt: skip
    return Table("Comparison", ("metric", a, b, f"{a} / {b}", "95 % interval", "n"), "lrrrrr", rows)


def _fields(found: Comparison, a: str, b: str) -> Table:
    rows = tuple(
        (
            each.field,
            one_line(written(each.a), _SHOWN) or MISSING,
            one_line(written(each.b), _SHOWN) or MISSING,
            each.why,
        )
        for each in found.differences
    )
    return Table("What differs, the likeliest to explain a change first", ("field", a, b, "why"), "llll", rows)


def _power(headline: MetricComparison) -> str:
    """Say by what test, and what difference so many samples would have found."""
    if headline.detectable is None:
        return f"{headline.name}: {headline.test}"
    return (
        f"{headline.name}: {headline.test}; so many samples find a true difference of "
        f"{headline.detectable * 100:.2f} points significant four times in five"
    )


def _figure(value: float) -> str:
    return f"{value:.4f}"


def _points(value: float) -> str:
    return f"{value:+.4f}"


def _interval(one: MetricComparison) -> str:
    return MISSING if one.low is None or one.high is None else f"{one.low:+.4f} to {one.high:+.4f}"
