"""Gather what a report shows, from run folders: the only step that reads files or computes a statistic.

contents = gather(records)      reads the records, their worst samples and their blind controls
tables, terminal, page          render the contents and nothing else
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from markupsafe import Markup
from msgspec import UNSET

from evals.errors import InputError, counted
from evals.records.folder import Record
from evals.records.sequential.entry import PairLooks
from evals.records.types import Manifest, Result
from evals.reports.rendering.forest import ForestPanel
from evals.reports.rendering.formatting import amount, json_text
from evals.reports.rendering.table_formats import Table
from evals.reports.runs import conclusion, reported, sections, side_by_side
from evals.reports.runs.blind_control import BlindControls
from evals.reports.runs.early import sentences as early
from evals.reports.runs.early.parts import interval_kinds
from evals.reports.runs.naming import about, blind, short_names, title
from evals.reports.runs.prompts import ShownPrefix
from evals.reports.runs.sections import MetricRow, Section
from evals.reports.runs.verifying import verification
from evals.reports.runs.worst_samples import WorstSample, describe_worst
from evals.schema import Json, Metric

if TYPE_CHECKING:
    from evals.reports.runs.early.race_figure import DrawnRace

Detail = Literal["metrics", "remarks", "samples", "page"]
"""How much of a run a report shows: its metrics; remarks too, which need its blind control; its worst samples too; and
what only a page draws."""

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
    "reasoning_tokens": ("new tokens for reasoning", "count"),
    "retries": ("requests sent again", "count"),
    "outputs_continued": ("cut outputs that a server continued", "count"),
    "outputs_repeated": ("cut outputs that a server wrote again", "count"),
    "outputs_changed": ("of these, outputs that begin otherwise", "count"),
    "uncounted_answers": ("answers without a count of tokens: tokens and cost are at least these", "count"),
}
"""What a run costs, in the order of printing: label and unit."""
_MANY = 6
"""Maximum number of metrics that a note names one by one."""
_GROUPS = ("imported", "task", "data", "model", "plan", "code", "packages", "machine", "environment")

Fields = tuple[tuple[str, str], ...]
"""Labels with what is printed beside them."""


class Count(NamedTuple):
    """How many samples of a run went wrong in one way."""

    name: str
    samples: int
    meaning: str


@dataclass(frozen=True, slots=True)
class RunContents:
    """What a report shows of one run."""

    folder: Path
    """The run folder; its path is printed, and no file in it is read."""
    title: str
    about: str
    """Scale, checkpoint and data, in one line."""
    blind: bool
    """Whether the run is a blind control."""
    manifest: Manifest
    result: Result
    headline: MetricRow
    metrics: Mapping[str, Metric]
    """Every metric by its name, in the order of printing."""
    sections: tuple[Section, ...]
    """The same metrics as tables."""
    n: int
    """Number of samples."""
    counts: tuple[Count, ...]
    """How many samples went wrong in which way; zeros too."""
    notes: tuple[str, ...]
    """What the blind control shows, and which values are conventions and not measurements."""
    looks: Markup | None
    """A drawing of the looks of a run that stopped early, for a page; None for other runs."""
    efficiency: Fields
    """What the run cost."""
    provenance: tuple[tuple[str, Fields], ...]
    """How the run was made: groups of the manifest's fields."""
    worst: tuple[WorstSample, ...]
    prefixes: tuple[ShownPrefix, ...]
    """What the prompts of the worst samples share."""

    @property
    def counted(self) -> str:
        """How many samples there were and how many went wrong, in one line."""
        wrong = ", ".join(f"{count.samples:,} {count.name}" for count in self.counts)
        parts = self.result.to_dict().get("answered_by") or {}
        by = "; answered by " + ", ".join(f"{name} {count:,}" for name, count in parts.items()) if parts else ""
        return f"{counted(self.n, 'sample')}: {wrong}{by}"


@dataclass(frozen=True, slots=True)
class ReportContents:
    """What a report shows of one or several runs."""

    about: str
    """The first line: scale, checkpoints and data of all runs, and what their blind controls show."""
    title: str
    runs: tuple[RunContents, ...]
    comparison: Table | None
    """The runs in one table; None for a single run."""
    ratios: Table | None
    """Models that were timed in turn, as ratios to the first; None for other runs."""
    conclusions: tuple[str, ...]
    """How the later runs differ from the first, or why they cannot be compared with it: one sentence each."""
    forest: tuple[ForestPanel, ...]
    """The headlines of several runs, and their differences, for a forest plot; empty where they have no one unit."""
    merged: tuple[Section, ...]
    """All metrics of runs of one task, for a table with a column per run; empty for other runs."""
    races: tuple[DrawnRace, ...] = ()
    """The races that the runs took part in."""

    @property
    def mini(self) -> bool:
        """Whether any run has mini scale."""
        return any(run.manifest.task.scale == "mini" for run in self.runs)


_NO_TAIL_INTERVAL = (
    "Percentiles and maxima have no interval: a few processes do not show how slow the slowest runs of others would be."
)
_AT_A_RATE = (
    "Times count from the arrival of a request, so they include the queue. Requests of one replay wait for each other: "
    "the intervals rest on the independent replays."
)


def gather(records: Sequence[Record], detail: Detail = "samples") -> ReportContents:
    """Gather what a report of finished runs shows.

    Args:
        records: one or more runs; the order is kept.
        detail: what is read beyond the results. `metrics` reads the samples only where several runs are compared.

    Raises:
        InputError: when there is no run.
        RecordError: when a run is not finished.
    """
    if not records:
        raise InputError("a report needs at least one run: none was given")
    controls = BlindControls()
    several_runs = len(records) > 1
    raced = detail in {"samples", "page"} and any(_race_history(record) for record in records)
    runs = tuple(_gather_run(record, detail, controls) for record in records)
    same_task = several_runs and side_by_side.same_task(records)
    names = short_names(records)
    pairs, refused = conclusion.with_first(records, names) if same_task else ([], {})
    conclusions = [*conclusion.sentences(pairs, names), *conclusion.not_comparable(refused, names)]
    if several_runs and not same_task:
        conclusions = ["The runs are of different benchmarks, so their values cannot be compared with each other."]
    return ReportContents(
        about=about(records, [*controls.among(records), *interval_kinds(records)]),
        title=f"Comparison of {len(records)} runs" if several_runs else title(records[0]),
        runs=runs,
        comparison=side_by_side.comparison(records) if several_runs else None,
        ratios=side_by_side.ratios(records) if several_runs else None,
        conclusions=tuple(conclusions),
        forest=side_by_side.forest(records, pairs, set(refused)) if several_runs else (),
        merged=tuple(sections.merge([section for run in runs for section in run.sections])) if same_task else (),
        races=_races(records) if raced else (),
    )


def _gather_run(record: Record, detail: Detail, controls: BlindControls) -> RunContents:
    result, metrics = record.finished(), sections.ordered_metrics(record)
    worst, prefixes = describe_worst(record) if detail in {"samples", "page"} else ([], ())
    control = controls.beside(record) if detail != "metrics" else []
    return RunContents(
        folder=record.folder,
        title=title(record),
        about=about([record]),
        blind=blind(record),
        manifest=record.manifest,
        result=result,
        headline=sections.headline(record),
        metrics=metrics,
        sections=tuple(sections.divide(metrics)),
        n=result.n,
        counts=tuple(Count(name, getattr(result, name), meaning) for name, meaning in COUNTS.items()),
        notes=(
            *early.sentences(record),
            *control,
            *reported.sentences(record),
            *verification.notes(record),
            *_notes(metrics),
            *_timing_note(record),
        ),
        looks=_looks(record, metrics[result.headline]) if detail == "page" else None,
        efficiency=_efficiency(result),
        provenance=_provenance(record.manifest.to_dict()),
        worst=tuple(worst),
        prefixes=prefixes,
    )


def _looks(record: Record, headline: Metric) -> Markup | None:
    if record.finished().stopped is None or _race_history(record):
        return None
    from evals.reports.runs.early import figure  # the statistics, which other reports do not load

    return figure.draw(record, headline)


def _race_history(record: Record) -> Sequence[PairLooks]:
    """Return the looks of the race that a run took part in; none for other runs."""
    entry = record.finished().sequential
    return () if entry is UNSET else entry.history


def _races(records: Sequence[Record]) -> tuple[DrawnRace, ...]:
    from evals.reports.runs.early import race_figure  # the statistics, which other reports do not load

    return race_figure.races(records)


def _timing_note(record: Record) -> Iterator[str]:
    """Yield how the intervals of a timed run are meant."""
    if record.timed:
        yield _AT_A_RATE if record.at_a_rate else _NO_TAIL_INTERVAL


def _notes(metrics: Mapping[str, Metric]) -> Iterator[str]:
    """Yield the notes of metrics, each once, after the names of the metrics that have it."""
    names: dict[str, list[str]] = {}
    for name, metric in metrics.items():
        if metric.note:
            names.setdefault(metric.note, []).append(name)
    for note, noted in names.items():
        every = len(metrics) > 1 and len(noted) == len(metrics)
        subject = ", ".join(noted) if len(noted) <= _MANY else f"{len(noted)} metrics ({noted[0]}, …)"
        yield f"{'every metric' if every else subject}: {note}"


def _efficiency(result: Result) -> Fields:
    """Print what a run cost; entries that this version does not know come last."""
    entries = result.efficiency
    others = {name: _label(name) for name in sorted(set(entries) - set(_EFFICIENCY))}
    return tuple(
        (label, amount(entries[name], unit))
        for name, (label, unit) in {**_EFFICIENCY, **others}.items()
        if name in entries
    )


def _label(name: str) -> tuple[str, str]:
    """Make a label and a unit from an entry's name; the unit of a cost is its currency.

    Example:
        >>> _label("cost_usd"), _label("joules_used")
        (('cost', 'USD'), ('joules used', ''))
    """
    kind, _, currency = name.partition("_")
    return ("cost", currency.upper()) if kind == "cost" and currency else (name.replace("_", " "), "")


def _provenance(manifest: Mapping[str, Json]) -> tuple[tuple[str, Fields], ...]:
    """Print how a run was made: groups of the manifest, each with its fields as dotted paths."""
    run = tuple((key, json_text(manifest[key])) for key in ("signature", "command") if key in manifest)
    run += (("started", manifest["started"]),) if manifest.get("started") else ()
    rest = sorted(set(manifest) - {*_GROUPS, "signature", "command", "started"})
    groups = [(name, tuple(_flatten(manifest[name]))) for name in (*_GROUPS, *rest) if name in manifest]
    return (("run", run), *((name, fields) for name, fields in groups if fields))


def _flatten(value: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a part of the manifest as dotted paths, without those that are null."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flatten(value[key], f"{path}.{key}" if path else key)
    elif value is not None:
        yield path or "value", json_text(value)
