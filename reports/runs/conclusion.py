"""Say the outcome of a comparison of two runs in one sentence that can be quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evals.errors import EvalsError
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.reports.rendering.forest import ForestPanel, ForestRow
from evals.reports.rendering.formatting import amount, p_value
from evals.reports.runs.naming import count
from evals.reports.runs.sections import higher_is_better
from evals.schema import Metric

if TYPE_CHECKING:
    from evals.comparison import Comparison, MetricComparison

_ALPHA = 0.05


def unit(comparison: Comparison, name: str) -> str:
    """Return the unit of a metric that two runs were compared in; a value without a metric of its own is a fraction."""
    entry = comparison.a.finished().metrics.get(name)
    return entry.unit if entry else "fraction"


def points(value: float, unit: str, *, sign: bool = False, digits: int = 1) -> str:
    """Print a difference; one of fractions in percentage points.

    Example:
        >>> points(0.0432, "fraction"), points(-0.1, "coefficient", sign=True), points(0.00012, "fraction")
        ('4.3 points', '-0.100', '0.012 points')
    """
    if unit == "fraction":
        if value and not round(100 * value, digits):  # not "0.0 points" for what is not zero
            return f"{100 * value:{'+' if sign else ''}.2g} points"
        return f"{100 * value:{'+' if sign else ''}z.{digits}f} points"
    return ("+" if sign and value > 0 else "") + amount(value, unit)


def is_same_run(comparison: Comparison) -> bool:
    """Whether a run was compared with itself or a copy of itself."""
    a, b = comparison.a, comparison.b
    if a.folder.resolve() == b.folder.resolve():
        return True
    if a.finished().n != b.finished().n:  # one of them stopped early
        return False
    differ = comparison.differences or any(metric.difference for metric in comparison.metrics)
    return a.manifest.signature == b.manifest.signature and not differ


def sentence(comparison: Comparison, a: str, b: str, *, adjusted: float | None = None, comparisons: int = 1) -> str:
    """Say which of two runs is better in the headline, by how much, or that no difference could be shown.

    Args:
        comparison: of the two runs.
        a: what the first run is called.
        b: what the second run is called.
        adjusted: the p-value after a correction, if several pairs of runs are compared.
        comparisons: the number of pairs.

    Returns:
        One sentence, with its full stop; empty if the runs have no metric in common.
    """
    if is_same_run(comparison):
        return f"A run is compared with itself (signature {comparison.a.manifest.signature}): nothing can differ."
    if not comparison.metrics:
        return ""
    metric, task = comparison.metrics[0], comparison.a.manifest.task
    where = f"in {metric.name} on {task.name} {task.split}"
    if metric.ratio is not None:
        return _timed(comparison, metric, a, b)
    kind = unit(comparison, metric.name)
    if metric.p is None and metric.low is not None:
        return _stopped_early(comparison, metric, a, b)
    if metric.p is None:
        why = metric.test.removeprefix("none: ")
        values = f"{a} has {amount(metric.a, kind)} and {b} has {amount(metric.b, kind)} {where}"
        return f"{values}; the difference of {points(abs(metric.difference), kind)} was not tested: {why}."
    if not direction_known(comparison, metric.name):
        values = f"{a} has {amount(metric.a, kind)} and {b} has {amount(metric.b, kind)} {where}"
        details = f"difference {points(abs(metric.difference), kind)}, {p_value(metric.p)}"
        return f"{values} ({details}); which is better is not known."
    if not metric.difference and not metric.wins and not metric.losses:
        same = f"{a} and {b} have the same value on each of {count(metric.n, task.name)}"
        return f"{same} {where}: no difference was found."
    p = metric.p if adjusted is None else adjusted
    flip = (metric.difference < 0) == _higher(comparison, metric)  # b is better
    first, second, sign = (b, a, -1) if flip else (a, b, 1)
    sign *= 1 if _higher(comparison, metric) else -1
    holm = f" after Holm's correction for {comparisons} comparisons" if adjusted is not None and comparisons > 1 else ""
    details = f"{_spread(metric, sign, kind)}{p_value(p)}{holm}, {count(metric.n, task.name)}"
    size = points(abs(metric.difference), kind)
    if p < _ALPHA and not _contains(metric.low, metric.high, 0.0):
        return f"{first} is better than {second} by {size} ({details}) {where}."
    gap = f"{first} better by {size}" if metric.difference else f"difference {size}"
    undecided = f"No difference could be shown between {a} and {b} {where} ({gap}, {details})"
    return f"{undecided}; {power(comparison, metric, corrected=bool(holm))}."


def _stopped_early(comparison: Comparison, metric: MetricComparison, a: str, b: str) -> str:
    """Say the same of two runs of which one stopped early, by the interval of their confidence sequence."""
    task, kind = comparison.a.manifest.task, unit(comparison, metric.name)
    of = count(comparison.a.manifest.sample_count, task.name)
    where = f"in {metric.name} on {task.name} {task.split}"
    is_b = (metric.difference < 0) == _higher(comparison, metric)
    first, second, sign = (b, a, -1) if is_b else (a, b, 1)
    sign *= 1 if _higher(comparison, metric) else -1
    if not metric.difference and not metric.wins and not metric.losses:
        signature = comparison.a.manifest.signature
        runs = f"{a} and {b}"
        if signature == comparison.b.manifest.signature:
            runs = f"Two runs of one signature ({signature}), of which one stopped early,"
        same = f"{runs} have the same value on each of the first {metric.n:,} of {of} in random order"
        return f"{same} {where}: no difference was found."
    size = points(abs(metric.difference), kind)
    details = f"{_spread(metric, sign, kind)}the first {metric.n:,} of {of} in random order"
    if not _contains(metric.low, metric.high, 0.0):
        return f"{first} is better than {second} by {size} ({details}) {where}."
    gap = f"{first} better by {size}" if metric.difference else f"difference {size}"
    return f"No difference is shown yet between {a} and {b} {where} ({gap}, {details})."


def power(comparison: Comparison, metric: MetricComparison, *, corrected: bool = False) -> str:
    """Say which difference would have been found with 80 % power, by the test without a correction."""
    kind = unit(comparison, metric.name)
    if metric.detectable == 0:
        return "the differences do not vary, so it is not known which difference would have been found"
    if metric.detectable is None or (kind == "fraction" and metric.detectable > 1):
        samples = count(metric.n, comparison.a.manifest.task.name)
        return f"with {samples}, no difference would have been found four times in five"
    test = " without the correction" if corrected else ""
    return f"a difference of {points(metric.detectable, kind)} would have been found four times in five{test}"


def _timed(comparison: Comparison, metric: MetricComparison, a: str, b: str) -> str:
    """Say the same of two models that were timed in turn, by the ratio of their times."""
    ratio, low, high = metric.ratio or 0.0, metric.ratio_low, metric.ratio_high
    spread = f"95 % interval {low:.2f} to {high:.2f}, " if low is not None and high is not None else ""
    pairs = count(metric.n, comparison.a.manifest.task.name)
    text = f"{metric.name} of {a} is {ratio:.2f} times that of {b} ({spread}{pairs})"
    if low is None or _contains(low, high, 1.0):
        return f"No difference could be shown between {a} and {b}: {text}."
    first, second = (a, b) if (ratio > 1) == _higher(comparison, metric) else (b, a)
    return f"{first} is better than {second}: {text}."


def direction_known(comparison: Comparison, name: str) -> bool:
    """Whether it is known that a higher, or a lower, value of a metric is better: logs of harnesses may not say."""
    imported = comparison.a.manifest.imported
    if not isinstance(imported, ImportEntry) or imported.scored_again or name not in imported.metrics:
        return not isinstance(imported, ImportEntry) or imported.scored_again
    return imported.metrics[name].higher_is_better is not None


def _higher(comparison: Comparison, metric: MetricComparison) -> bool:
    known = metric.name in comparison.a.finished().metrics
    return higher_is_better(comparison.a, metric.name) if known else True


def _spread(metric: MetricComparison, sign: int, kind: str) -> str:
    """Print the interval of how much better the better run is, without its unit, which stands before it."""
    if metric.low is None or metric.high is None:
        return ""
    ends = sorted((sign * metric.low, sign * metric.high))
    low, high = (points(end, kind).removesuffix(" points") for end in ends)
    return f"95 % interval {low} to {high}, "


def _contains(low: float | None, high: float | None, value: float) -> bool:
    return low is not None and high is not None and low <= value <= high


# Several runs


def with_first(records: Sequence[Record], names: Sequence[str]) -> tuple[list[tuple[int, Comparison]], dict[int, str]]:
    """Compare each later run with the first, where protocol and samples are the same.

    Args:
        records: two or more runs.
        names: what they are called.

    Returns:
        The comparisons, each with the later run's index; and for the runs that cannot be compared, by index, why not.
    """
    from evals.comparison import compare

    pairs, refused = [], {}
    for index, record in enumerate(records[1:], start=1):
        try:
            pairs.append((index, compare(records[0], record)))
        except EvalsError as error:
            why = str(error)
            folders = {str(records[0].folder): names[0], str(record.folder): names[index]}
            for folder in sorted(folders, key=len, reverse=True):
                why = why.replace(folder, folders[folder])
            refused[index] = why
    return pairs, refused


def not_comparable(refused: Mapping[int, str], names: Sequence[str]) -> list[str]:
    """Say which runs cannot be compared with the first, and why.

    Example:
        >>> not_comparable({1: "task.shots is 0 in one, 5 in the other"}, ["A", "B"])
        ['B cannot be compared with A: task.shots is 0 in one, 5 in the other.']
    """
    return [f"{names[index]} cannot be compared with {names[0]}: {why}." for index, why in refused.items()]


def sentences(pairs: Sequence[tuple[int, Comparison]], names: Sequence[str]) -> list[str]:
    """Say the outcome of each comparison with the first run; their p-values are corrected for their number."""
    from evals.statistics.paired import holm

    tested = [
        (index, comparison.metrics[0].p)
        for index, comparison in pairs
        if comparison.metrics and comparison.metrics[0].p is not None and not is_same_run(comparison)
    ]
    corrected = dict(zip((index for index, _ in tested), holm([p for _, p in tested if p is not None]), strict=True))
    texts = [
        sentence(comparison, names[0], names[index], adjusted=corrected.get(index), comparisons=len(tested))
        for index, comparison in pairs
    ]
    return [text for text in texts if text]


def difference_panel(pairs: Sequence[tuple[int, Comparison]], names: Sequence[str]) -> ForestPanel | None:
    """Make the panel of the differences between the first run and the others; None if there is no difference to show.

    A difference without an interval has a row too: the largest one, of all right and all wrong, has none.
    """
    rows = []
    for index, comparison in pairs:
        metric = comparison.metrics[0] if comparison.metrics else None
        if metric is None or metric.ratio is not None or is_same_run(comparison):
            continue
        kind = unit(comparison, metric.name)
        factor = 100 if kind == "fraction" else 1
        low, high = (None if end is None else factor * end for end in (metric.low, metric.high))
        difference = Metric(factor * metric.difference, low, high, metric.n, "points" if kind == "fraction" else kind)
        rows.append(ForestRow(names[index], difference))
    return ForestPanel(f"difference: {names[0]} minus the others", tuple(rows), reference=0.0) if rows else None
