"""What a report of a run consists of, before it is Markdown, LaTeX, a terminal or a page.

A metric's name is a path. `accuracy` has slices (`accuracy/yes-no`) and breakdowns: `accuracy/question-type/how many`
is the row `how many` of the table "accuracy by question type". A path is a breakdown when its first part is a metric
of its own, so `mnli/accuracy/matched` stays in the main table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evals.records.folder import Record
from evals.reports.rendering.formatting import MISSING, amount, interval, measured, written
from evals.reports.rendering.table_formats import Table
from evals.reports.runs.blind_control import demonstrated
from evals.reports.runs.naming import short_names
from evals.schema import Json, Metric

COUNTS = {
    "failed": "gave no output and count as wrong",
    "unparsed": "gave an output without a readable answer",
    "truncated": "were cut at the token limit",
}
"""What can go wrong with a sample, and what that means."""

_EFFICIENCY = {
    "seconds": ("time", "seconds"),
    "samples_per_second": ("samples per second", ""),
    "prompt_tokens": ("prompt tokens", "count"),
    "new_tokens": ("new tokens", "count"),
    "padding_share": ("padding", "fraction"),
    "model_share": ("time inside the model", "fraction"),
    "peak_memory_bytes": ("peak memory", "bytes"),
    "cached_tokens": ("prompt tokens that a server had cached", "count"),
    "reasoning_tokens": ("new tokens that were thoughts", "count"),
    "retries": ("requests sent again", "count"),
}
"""What a run costs, in the order of printing: label and unit."""
NUMBERS = ("value", "95 % interval", "n")
_GROUPS = ("task", "data", "model", "plan", "code", "packages", "machine", "environment")


@dataclass(frozen=True, slots=True)
class Row:
    """One metric in a table."""

    label: str
    """What the table calls it."""
    name: str
    """Its name in `result.json`."""
    metric: Metric


@dataclass(frozen=True, slots=True)
class Section:
    """One table of metrics."""

    title: str
    """`Metrics`, or what is broken down by what."""
    subject: str
    """The header of its labels."""
    rows: tuple[Row, ...]
    whole: Row | None = None
    """Of a breakdown: the metric that is broken down."""

    @property
    def floors(self) -> list[str]:
        """The kinds of floor that its metrics have, in order."""
        return floors(self.rows)


def metrics(record: Record) -> dict[str, Metric]:
    """The metrics of a finished run: the headline's family first, numbers in names in their order.

    Timings keep the order of their task, which goes from what one waits for to what it is made of.
    """
    found = {name: Metric(**entry) for name, entry in record.finished()["metrics"].items()}
    if record.timed:
        return found
    first = record.finished()["headline"].split("/")[0]
    return {name: found[name] for name in sorted(found, key=lambda name: (name.split("/")[0] != first, _natural(name)))}


def headline(record: Record) -> Row:
    """The metric that stands for the run."""
    name = record.finished()["headline"]
    return Row(name, name, metrics(record)[name])


def sections(record: Record) -> list[Section]:
    """Divide the metrics of a finished run into the main table and its breakdowns; every metric is in one of them."""
    found = metrics(record)
    main: list[Row] = []
    breakdowns: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for name, metric in found.items():
        whole, *rest = name.split("/", 2)
        if whole in found and len(rest) == 2:
            breakdowns[whole, rest[0]].append(Row(rest[1], name, metric))
        else:
            main.append(Row(name, name, metric))
    tables = [Section("Metrics", "metric", tuple(main))]
    for (whole, kind), rows in breakdowns.items():
        subject = kind.replace("-", " ")
        row = Row(whole, whole, found[whole])
        tables.append(Section(f"{whole[:1].upper()}{whole[1:]} by {subject}", subject, tuple(_ordered(rows)), row))
    return tables


def counts(record: Record) -> list[tuple[str, int, str]]:
    """How many samples went wrong in which way, with what that means; the names with a count of zero too."""
    return [(name, record.finished().get(name) or 0, meaning) for name, meaning in COUNTS.items()]


def counted(record: Record) -> str:
    """Say on one line how many samples there were, and how many went wrong in which way."""
    wrong = ", ".join(f"{count:,} {name}" for name, count, _ in counts(record))
    return f"{record.finished()['n']:,} samples: {wrong}"


def notes(record: Record) -> list[str]:
    """Say what the blind control shows, and of which metrics the value is a convention and no measurement, and why."""
    conventions = [f"{name}: {metric.note}" for name, metric in metrics(record).items() if metric.note]
    return [*demonstrated([record]), *conventions]


def efficiency(record: Record) -> list[tuple[str, str]]:
    """What the run cost: label and printed figure; figures that this version does not know come last."""
    entries: Mapping[str, float | None] = record.finished().get("efficiency") or {}
    others = {name: _unknown(name) for name in sorted(set(entries) - set(_EFFICIENCY))}
    return [
        (label, amount(entries[name], unit))
        for name, (label, unit) in {**_EFFICIENCY, **others}.items()
        if name in entries
    ]


def _unknown(name: str) -> tuple[str, str]:
    """Label a figure by its name; of money the currency is its unit.

    Example:
        >>> _unknown("cost_usd"), _unknown("joules_used")
        (('cost', 'USD'), ('joules used', ''))
    """
    kind, _, currency = name.partition("_")
    return ("cost", currency.upper()) if kind == "cost" and currency else (name.replace("_", " "), "")


def made(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """How a run was made: groups of the manifest, each with its fields as dotted paths."""
    manifest = record.manifest
    run = [(str(key), written(manifest[key])) for key in ("signature", "command") if key in manifest]
    rest = sorted(set(manifest) - {*_GROUPS, "signature", "command"})
    groups = [(name, list(_fields(manifest[name]))) for name in (*_GROUPS, *rest) if name in manifest]
    return [("run", run), *((name, fields) for name, fields in groups if fields)]


def table(section: Section) -> Table:
    """Print a section."""
    rows = tuple((row.label, *cells) for row, cells in zip(section.rows, printed(section.rows), strict=True))
    columns = (section.subject, *headings(section.rows))
    return Table(section.title, columns, "l" + "r" * (len(columns) - 1), rows)


def floors(rows: Sequence[Row]) -> list[str]:
    """The kinds of floor that some metrics have, in order: `bandwidth`, `arithmetic`."""
    return list(dict.fromkeys(kind for row in rows for kind in row.metric.floors))


def headings(rows: Sequence[Row]) -> tuple[str, ...]:
    """Name the columns of numbers: the floors of a value stand beside it where there are any."""
    value, *rest = NUMBERS
    return (value, *(f"{kind} floor" for kind in floors(rows)), *rest)


def printed(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Print the numbers of each metric, as `headings` names them."""
    kinds = floors(rows)
    cells = []
    for metric in (row.metric for row in rows):
        value, *rest = numbers(metric)
        cells.append((value, *(amount(metric.floors.get(kind), metric.unit) for kind in kinds), *rest))
    return cells


def numbers(metric: Metric) -> tuple[str, str, str]:
    """Print a metric: value, interval, n."""
    return measured(metric), interval(metric), f"{metric.n:,}"


def side_by_side(records: Sequence[Record]) -> bool:
    """Whether runs can stand in one table as columns: they did the same task on the same split."""
    return len({(record.finished()["task"], record.finished()["split"]) for record in records}) == 1


def joined(records: Sequence[Record]) -> list[Section]:
    """Join the sections of several runs: every metric that one of them has, in the order of the first that has it."""
    found: dict[str, tuple[Section, dict[str, Row]]] = {}
    for section in (section for record in records for section in sections(record)):
        _, rows = found.setdefault(section.title, (section, {}))
        rows.update({row.name: row for row in section.rows if row.name not in rows})
    return [replace(section, rows=tuple(rows.values())) for section, rows in found.values()]


def ratios(records: Sequence[Record]) -> Table | None:
    """Set models that were timed in turn against the first of them; None for any other runs."""
    first, *others = records
    if not others or not all(record.timed for record in records):
        return None
    compared = [[one for name in metrics(first) if (one := _ratio(record, first, name))] for record in others]
    if not all(compared):
        return None
    names = short_names(records)
    by_name = [dict(column) for column in compared]
    shown = [name for name in metrics(first) if any(name in column for column in by_name)]
    body = tuple((name, *(_cell(column.get(name)) for column in by_name)) for name in shown)
    columns = ("metric", *(f"{name} / {names[0]}" for name in names[1:]))
    return Table("Timed in turn", columns, "l" + "r" * len(others), body)


def _ratio(record: Record, first: Record, name: str) -> tuple[str, Metric] | None:
    """A figure over the first's, where that tells of the models."""
    from evals.timing import statistics

    if name.startswith("device/") or name.endswith(("-tokens", *statistics.TAILS)):  # `compare` has the tails too
        return None
    pairs = statistics.in_turn(record, first, name)
    if not pairs or not all(other for group in pairs for _, other in group):
        return None
    found = statistics.ratio(name, pairs)
    return name, Metric(found.value, *statistics.interval(found), found.n, "x")


def comparison(records: Sequence[Record]) -> Table:
    """Put several runs into one table: a column a run where they can be, else a row a run with its headline."""
    names = short_names(records)
    if side_by_side(records):
        found = [metrics(record) for record in records]
        rows = [row for section in joined(records) for row in section.rows]
        body = tuple((row.name, *(_cell(each.get(row.name)) for each in found)) for row in rows)
        return Table("Comparison", ("metric", *names), "l" + "r" * len(names), body)
    heads = [headline(record) for record in records]
    tasks = [record.finished()["task"] for record in records]
    body = tuple(
        (name, task, head.name, *numbers(head.metric)) for name, task, head in zip(names, tasks, heads, strict=True)
    )
    return Table("Comparison", ("run", "task", "metric", *NUMBERS), "lllrrr", body)


def _cell(metric: Metric | None) -> str:
    """Print a value with its interval."""
    if metric is None:
        return MISSING
    value = measured(metric)
    return value if metric.low is None else f"{value} ({interval(metric)})"


def _ordered(rows: Sequence[Row]) -> list[Row]:
    """Order a breakdown from high to low, unless its labels are numbered, as levels are."""
    if all(re.search(r"\d", row.label) for row in rows):
        return sorted(rows, key=lambda row: _natural(row.label))
    return sorted(rows, key=lambda row: (-row.metric.value, -row.metric.n, row.label))


def _natural(name: str) -> list[list[tuple[bool, int, str]]]:
    """Order names part by part, and numbers in them by size.

    Example:
        >>> sorted(["recall@10", "recall@5", "recall", "recall/x"], key=_natural)
        ['recall', 'recall/x', 'recall@5', 'recall@10']
    """
    return [
        [(piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece) for piece in re.split(r"(\d+)", part)]
        for part in name.split("/")
    ]


def _fields(value: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Flatten a part of the manifest into dotted paths; what is not set is left out."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _fields(value[key], f"{path}.{key}" if path else key)
    elif value is not None:
        yield path or "value", written(value)
