"""Say the outcome of a race between models, from their run folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from evals.comparison import compare
from evals.errors import counted
from evals.records.folder import Record
from evals.records.sequential.entry import SequentialEntry
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import one_line
from evals.reports.rendering.table_formats import Table
from evals.reports.runs import conclusion, sections
from evals.reports.runs.early.parts import interval_kinds
from evals.reports.runs.early.sentences import decision, left
from evals.reports.runs.naming import about, short_names
from evals.start_folder import shown


def text(records: Sequence[Record]) -> str:
    """Write the outcome of a race for the terminal: what was decided, what it rests on, and a table of the models.

    Args:
        records: the finished runs of a race on one task, in the order of the models.
    """
    names = short_names(records)
    columns = ("model", sections.headline(records[0]).name, "95 % interval", "samples", "outcome")
    rows = tuple(
        (name, *sections.numbers(sections.headline(record).metric), _outcome(record))
        for name, record in zip(names, records, strict=True)
    )
    folders = ", ".join(one_line(str(shown(record.folder))) for record in records)
    last = max((_entry(record) for record in records), key=lambda entry: entry.used)
    parts = [decision(last), *_explained(records), about(records, interval_kinds(records))]
    return (
        "\n\n".join([*parts, table_formats.text(Table("", columns, "lrrrl", rows)), f"{folders} hold the runs"]) + "\n"
    )


SECOND_CHANCE = (
    "By itself it is wrong in at most 5 of 100 cases; who believes whichever speaks first, a race or its test, is "
    "wrong in at most 10."
)
"""What is said beside an ordinary test that follows a race without a decision: two errors add up."""


def _explained(records: Sequence[Record]) -> Iterator[str]:
    """Yield what the decision is about, how far it can be trusted, and what it has saved."""
    entries = [_entry(record) for record in records]
    saved = sum(entry.of - record.finished().n for entry, record in zip(entries, records, strict=True))
    first, pairs = entries[0], len(records) * (len(records) - 1) // 2
    looks = max(entry.looks for entry in entries)
    of_all = "" if pairs == 1 else f" about any of the {pairs} pairs"
    if first.decision == "undecided" and first.best is None and not first.tied:
        remaining = [record for record in records if not left(_entry(record), record.manifest.model_name)]
        if len(remaining) == 2:
            sentence = conclusion.sentence(compare(*remaining), *short_names(remaining))
            yield f"The ordinary test of all samples, made once: {sentence} {SECOND_CHANCE}"
        if len(remaining) < len(records):
            yield (
                f"That a model is out is wrong in at most 5 of 100 races, about any of the {pairs} pairs, although "
                f"this one looked {counted(looks, 'time')}."
            )
        return
    if len(records) == 2 and first.low is not None and first.high is not None:
        low, high = 100 * first.low, 100 * first.high
        ends = f"between {low:.1f} and {high:.1f} points" if low < 0 < high else ""
        if not ends:
            better, (near, far) = first.models[0 if low > 0 else 1], sorted((abs(low), abs(high)))
            ends = f"{near:.1f} to {far:.1f} points in favour of {one_line(better, 60)}"
        yield f"In brackets: on other samples like these, and on all {first.of:,}, the difference is {ends}."
    if all(record.finished().n > entry.used for record, entry in zip(records, entries, strict=True)):
        yield "The runs have more samples than that, of earlier commands; the table uses them."
    needed = f"{saved:,} {'answer was' if saved == 1 else 'answers were'} not needed"
    rest = (
        f"{needed}; the same command without --until-decided computes them." if saved else "All were computed before."
    )
    yield (
        f"Such a statement{of_all} is wrong in at most 5 of 100 races, although this one looked "
        f"{counted(looks, 'time')}. {rest}"
    )


def _outcome(record: Record) -> str:
    """Say in a few words what became of a model."""
    entry, name = _entry(record), record.manifest.model_name
    low, high = (100 * (end or 0.0) for end in (entry.low, entry.high))
    loses = {"first_better": 1, "second_better": 0}.get(entry.decision)
    if len(entry.models) > 2 and name in entry.tied:
        return "the same as the other models that remain"
    if name == entry.best and len(entry.models) > 2:
        return "the best"
    if loses is None or (entry.pair and entry.pair[loses] != name):
        return {"within_margin": "the same", "undecided": "not decided"}.get(entry.decision, "better")
    if len(entry.models) == 2:
        return "worse"
    size = f"{low:.1f} to {high:.1f}" if low > 0 else f"{-high:.1f} to {-low:.1f}"
    return f"out: {one_line(entry.pair[1 - loses], 40)} is better by {size} points"


def _entry(record: Record) -> SequentialEntry:
    entry = record.finished().sequential
    assert entry is not msgspec.UNSET, "the record of a race"
    return entry
