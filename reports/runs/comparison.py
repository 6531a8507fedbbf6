"""A comparison of two runs as text."""

from __future__ import annotations

from evals.comparison import Comparison, MetricComparison
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import MISSING, amount, interval, json_text, metric_value, one_line, probability
from evals.reports.rendering.table_formats import Table
from evals.reports.runs import conclusion
from evals.reports.runs.blind_control import BlindControls
from evals.reports.runs.naming import about, count, short_names
from evals.reports.runs.prompting import prompts
from evals.reports.runs.sections import ordered_metrics
from evals.schema import Metric

_FIELD_WIDTH = 60


def text(comparison: Comparison) -> str:
    """Write for the terminal the metrics in which two runs differ, and the differences in how they were made."""
    records = [comparison.a, comparison.b]
    a, b = short_names(records)
    parts = [conclusion.sentence(comparison, a, b)] if comparison.metrics else []
    parts += [about(records, BlindControls().among(records)), table_formats.text(_metrics(comparison, a, b))]
    if comparison.metrics and not conclusion.is_same_run(comparison):
        parts += comparison.notes
        headline = comparison.metrics[0]
        parts += prompts.notes(comparison.a, comparison.b, headline.difference, headline.name)
        parts += [_power(comparison), *_correction(comparison), *_subset(comparison)]
    if comparison.differences:
        parts.append(table_formats.text(_fields(comparison, a, b)))
    else:
        parts.append("Nothing that is recorded differs.")
    return "\n\n".join(parts) + "\n"


def _metrics(comparison: Comparison, a: str, b: str) -> Table:
    if comparison.a.timed:
        return _ratios(comparison, a, b)
    columns = ("metric", a, b, "difference", "95 % interval", "p", "p (Holm)", "better, worse", "n")
    rows = tuple(
        (
            metric.name, *_values(comparison, metric), _interval(comparison, metric),
            probability(metric.p), probability(metric.adjusted),
            _won(comparison, metric), f"{metric.n:,}",
        )
        for metric in comparison.metrics
    )  # fmt: skip
    return Table("Comparison", columns, "lrrrrrrrr", rows)


def _won(comparison: Comparison, metric: MetricComparison) -> str:
    is_known = metric.p is not None and conclusion.direction_known(comparison, metric.name)
    return f"{metric.wins}, {metric.losses}" if is_known else MISSING


def _ratios(comparison: Comparison, a: str, b: str) -> Table:
    units = {name: metric.unit for name, metric in ordered_metrics(comparison.a).items()}
    rows = tuple(
        (
            metric.name, amount(metric.a, units[metric.name]), amount(metric.b, units[metric.name]),
            amount(metric.ratio, "x"),
            interval(Metric(metric.ratio or 0.0, metric.ratio_low, metric.ratio_high, metric.n, "x")),
            f"{metric.n:,}",
        )
        for metric in comparison.metrics
    )  # fmt: skip
    return Table("Comparison", ("metric", a, b, f"{a} / {b}", "95 % interval", "n"), "lrrrrr", rows)


def _fields(comparison: Comparison, a: str, b: str) -> Table:
    rows = tuple(
        (
            difference.field,
            one_line(json_text(difference.a), _FIELD_WIDTH) or MISSING,
            one_line(json_text(difference.b), _FIELD_WIDTH) or MISSING,
            difference.why,
        )
        for difference in comparison.differences
    )
    return Table("What differs, the most likely explanation of a change first", ("field", a, b, "why"), "llll", rows)


def _power(comparison: Comparison) -> str:
    """Name the test of the headline, and the smallest difference that it would have detected."""
    headline = comparison.metrics[0]
    if headline.p is None and headline.low is not None:
        return (
            f"{headline.name}: {headline.test}; a run stopped early, so no test of a fixed number of samples is valid. "
            f"Values are those of the {headline.n:,} samples that both runs have. The interval of the difference is "
            f"about all {comparison.a.manifest.sample_count:,}, and about others like them"
        )
    if headline.p is None:
        return f"{headline.name} has no test: {headline.test.removeprefix('none: ')}"
    if not (headline.wins or headline.losses):
        return f"{headline.name}: {headline.test}"
    if not headline.detectable:
        return f"{headline.name}: {headline.test}; {conclusion.power(comparison, headline)}"
    least = conclusion.points(headline.detectable, conclusion.unit(comparison, headline.name), digits=2)
    samples = count(headline.n, comparison.a.manifest.task.name)
    return f"{headline.name}: {headline.test}; minimum detectable difference at 80 % power with {samples}: {least}"


def _values(comparison: Comparison, metric: MetricComparison) -> tuple[str, str, str]:
    """Print the values of both runs, fractions as percent, and their difference in percentage points."""
    unit = conclusion.unit(comparison, metric.name)
    a, b = (metric_value(Metric(value, None, None, metric.n, unit)) for value in (metric.a, metric.b))
    return a, b, conclusion.points(metric.difference, unit, sign=True, digits=2)


def _interval(comparison: Comparison, metric: MetricComparison) -> str:
    if metric.low is None or metric.high is None:
        return MISSING
    unit = conclusion.unit(comparison, metric.name)
    low, high = (conclusion.points(end, unit, sign=True, digits=2) for end in (metric.low, metric.high))
    return f"{low.removesuffix(' points')} to {high}"


def _correction(comparison: Comparison) -> list[str]:
    """Say which p-values are corrected for several comparisons and which are not."""
    tested = [metric for metric in comparison.metrics if metric.p is not None]
    if len(tested) < 2:
        return []
    others = [metric.name for metric in tested if metric.adjusted is None]
    text = f"p (Holm) is corrected for {tested[0].family} tested metrics. Intervals are not corrected."
    if comparison.metrics[0].p is not None:
        text += " The p-value of the first line is that of the headline alone."
    if tested[0].family < 2:
        text = (
            f"Only {tested[0].name} is a hypothesis, so its p-value needs no correction. Intervals are not corrected."
        )
    if others:
        text += f" Other readings of the same answers are not corrected: {', '.join(others)}."
    untested = [metric.name for metric in comparison.metrics[1:] if metric.p is None]
    if untested:
        text += f" Not tested: {', '.join(untested)}."
    return [text]


def _subset(comparison: Comparison) -> list[str]:
    """Say what the test of runs on a random subset is about."""
    manifest = comparison.a.manifest
    if manifest.subset != "random" or not any(metric.p is not None for metric in comparison.metrics):
        return []
    chosen = f"{manifest.sample_count:,} of {manifest.samples_in_split:,}"
    return [
        f"Both runs have the same {chosen} samples, chosen at random. Test and interval are about samples like these, "
        "not about the split alone, so they are not corrected for its finite size."
    ]
