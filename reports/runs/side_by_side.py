"""Show several runs side by side: their metrics in one table, and ratios of models that were timed in turn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from evals.records.folder import Record
from evals.reports.rendering.forest import ForestPanel, ForestRow
from evals.reports.rendering.table_formats import Table
from evals.reports.runs import conclusion, sections
from evals.reports.runs.early.parts import whole_size
from evals.reports.runs.naming import short_names
from evals.reports.runs.sections import NUMBERS, cell, headline, numbers, ordered_metrics
from evals.schema import Metric

if TYPE_CHECKING:
    from evals.comparison import Comparison


def same_task(records: Sequence[Record]) -> bool:
    """Whether runs can be columns of one table: they did the same task on the same split."""
    return len({(record.finished().task, record.finished().split) for record in records}) == 1


def comparison(records: Sequence[Record]) -> Table:
    """Put several runs into one table: a column per run if they did the same task, else a row per run."""
    names = short_names(records)
    if not same_task(records):
        return _headlines(names, records)
    metrics_by_run = [ordered_metrics(record) for record in records]
    merged = sections.merge([section for metrics in metrics_by_run for section in sections.divide(metrics)])
    rows = tuple(
        (row.name, *(cell(metrics.get(row.name)) for metrics in metrics_by_run))
        for section in merged
        for row in section.rows
    )
    return Table("Comparison", ("metric", *names), "l" + "r" * len(names), rows)


def _headlines(names: Sequence[str], records: Sequence[Record]) -> Table:
    """Put runs of different tasks into one table, a row per run with its headline metric."""
    rows = []
    for name, record in zip(names, records, strict=True):
        row = headline(record)
        rows.append((name, record.finished().task, row.name, *numbers(row.metric)))
    return Table("Comparison", ("run", "task", "metric", *NUMBERS), "lllrrr", tuple(rows))


def forest(
    records: Sequence[Record], pairs: Sequence[tuple[int, Comparison]], refused: Collection[int] = ()
) -> tuple[ForestPanel, ...]:
    """Make the panels of a forest plot: the headlines of runs, and how they differ from the first.

    Args:
        records: two or more runs.
        pairs: the comparisons with the first run, each with the other run's index.
        refused: the indices of the runs that cannot be compared with the first; their labels say so.

    Returns:
        No panel if the headlines are different metrics.
    """
    names, rows = short_names(records), [headline(record) for record in records]
    if len({(row.name, row.metric.unit) for row in rows}) > 1:
        return ()
    one_task = same_task(records)
    labels = [_with_part(name, record) for name, record in zip(names, records, strict=True)]
    labels = labels if one_task else [f"{name}, {_benchmark(run)}" for name, run in zip(labels, records, strict=True)]
    shown = tuple(
        ForestRow(f"{label} (not comparable)" if index in refused else label, row.metric)
        for index, (label, row) in enumerate(zip(labels, rows, strict=True))
    )
    first = rows[0].metric.value if pairs else None
    where = f" on {_benchmark(records[0])}" if one_task else ""
    panel = ForestPanel(f"{rows[0].name}{where}", shown, reference=first)
    differences = conclusion.difference_panel(pairs, names)
    return (panel,) if differences is None else (panel, differences)


def _with_part(name: str, record: Record) -> str:
    whole = whole_size(record)
    return name if whole is None else f"{name} ({record.finished().n:,} of {whole:,})"


def _benchmark(record: Record) -> str:
    return f"{record.manifest.task.name} {record.manifest.task.split}"


def ratios(records: Sequence[Record]) -> Table | None:
    """Compare models that were timed in turn with the first of them, by ratios; None for other runs."""
    first, *others = records
    if not others or not all(record.timed for record in records):
        return None
    metrics = ordered_metrics(first)
    ratios_by_run = [
        {name: ratio for name in metrics if (ratio := _ratio(record, first, name)) is not None} for record in others
    ]
    if not all(ratios_by_run):
        return None
    names = short_names(records)
    names_with_ratio = [name for name in metrics if any(name in ratios_by_name for ratios_by_name in ratios_by_run)]
    rows = tuple(
        (name, *(cell(ratios_by_name.get(name)) for ratios_by_name in ratios_by_run)) for name in names_with_ratio
    )
    columns = ("metric", *(f"{name} / {names[0]}" for name in names[1:]))
    return Table("Timed in turn", columns, "l" + "r" * len(others), rows)


def _ratio(record: Record, first: Record, name: str) -> Metric | None:
    """Divide a metric of a run by that of the first run; None where the ratio says nothing about the models."""
    from evals.timing import statistics

    entry = record.finished().metrics.get(name)
    if entry is None:  # of a kind of request that this model was not asked, as it reads no images
        return None
    metric = statistics.TimedMetric.of(name, entry)
    # `compare` shows the tails too
    if name.startswith("device/") or name.endswith("-tokens") or metric.statistic in statistics.TAILS:
        return None
    pairs = statistics.in_turn(record, first, metric.value)
    if not pairs or not all(denominator for session in pairs for _, denominator in session):
        return None
    estimate = statistics.ratio(metric.statistic, pairs)
    return Metric(estimate.value, *statistics.interval(estimate), estimate.n, "x")
