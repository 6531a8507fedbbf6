"""Say whether models have become worse than in their earlier runs, from the run folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from evals.comparison import compare
from evals.errors import counted
from evals.records.folder import Record
from evals.records.sequential.entry import SequentialEntry
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import one_line, p_value
from evals.reports.rendering.table_formats import Table
from evals.reports.runs.naming import about

WORSE, BETTER, OPEN, UNCHANGED = "worse", "better", "not decided", "no value differs"
_FIRST = (WORSE, OPEN)
"""What needs attention first."""


def text(races: Sequence[tuple[Record, Record]]) -> str:
    """Write for the terminal what became of each model: worse, better, the same, or not decided, after n of N samples.

    Args:
        races: each run with the earlier run that it was compared with.
    """
    columns = ("model", "task", "outcome", "difference", "95 % interval", "samples")
    table = Table("", columns, "lllrrr", tuple(_row(*race) for race in races))
    folders = ", ".join(one_line(str(record.folder)) for record, _ in races)
    lines = [line for record, earlier in races for line in _explained(record, earlier)]
    return (
        "\n\n".join(
            [
                _summary(races),
                table_formats.text(table),
                *lines,
                _trust(races),
                about([record for record, _ in races]),
                f"{folders} {'holds the run' if len(races) == 1 else 'hold the runs'}",
            ]
        )
        + "\n"
    )


def worse(races: Sequence[tuple[Record, Record]]) -> list[Record]:
    """Return the runs that are shown to be worse than the earlier ones."""
    return [record for record, earlier in races if outcome(record, earlier) == WORSE]


def outcome(record: Record, earlier: Record) -> str:
    """Say in a few words how a run compares with the earlier one."""
    entry = _entry(record)
    if entry.decision == "within_margin":
        return f"the same within {100 * (entry.target or 0):g} points"
    if entry.decision == "undecided" and not entry.difference:
        headline = compare(record, earlier).metrics[0]
        if headline.n == entry.of and not headline.wins and not headline.losses:
            return UNCHANGED
    return {"first_better": BETTER, "second_better": WORSE}.get(entry.decision, OPEN)


def _summary(races: Sequence[tuple[Record, Record]]) -> str:
    """Count the outcomes, what needs attention first."""
    outcomes = [outcome(*race) for race in races]
    kinds = sorted(dict.fromkeys(outcomes), key=lambda kind: (*_FIRST, kind).index(kind))
    parts = [f"{outcomes.count(kind)} {kind}" for kind in kinds]
    used = sum(_entry(record).used for record, _ in races)
    of = sum(_entry(record).of for record, _ in races)
    than = (
        "Compared with the earlier run" if len(races) == 1 else f"Of {len(races)} runs, compared with the earlier ones"
    )
    return f"{than}: {', '.join(parts)}. {used:,} of {of:,} samples were needed."


def _row(record: Record, earlier: Record) -> tuple[str, ...]:
    entry = _entry(record)
    difference, low, high = (100 * (value or 0.0) for value in (entry.difference, entry.low, entry.high))
    return (
        record.manifest.model_name,
        record.manifest.task.name,
        outcome(record, earlier),
        f"{difference:+z.1f} points",
        f"{low:+z.1f} to {high:+z.1f}",
        f"{entry.used:,} of {entry.of:,}",
    )


def _explained(record: Record, earlier: Record) -> Iterator[str]:
    """Yield what a reader needs beside the table: what may explain a change, and the test of what is not decided."""
    name = f"{record.manifest.model_name} on {record.manifest.task.name}"
    word = outcome(record, earlier)
    if word not in {WORSE, BETTER, OPEN}:
        return
    compared = compare(record, earlier)
    if word == OPEN:
        headline = compared.metrics[0]
        if headline.p is not None:
            yield (
                f"{name}: the ordinary test of all samples, made once, gives {p_value(headline.p)} for a difference of "
                f"{100 * headline.difference:+z.1f} points."
            )
        return
    differences = "; ".join(f"{difference.field}: {difference.why}" for difference in compared.differences[:3])
    yield f"{name} is {word}. {f'What differs: {differences}' if differences else 'Nothing that is recorded differs'}."


def _trust(races: Sequence[tuple[Record, Record]]) -> str:
    """Say how often such a report is wrong."""
    together = "" if len(races) == 1 else f", about any of its {len(races)} runs"
    looks = max(_entry(record).looks for record, _ in races)
    return (
        f"A word like {WORSE!r} or {BETTER!r} is wrong in at most 5 of 100 such reports{together}, although this "
        f"one looked up to {counted(looks, 'time')}. A difference is the value now minus that of the earlier run, on "
        "the same samples; the interval is about other samples like these, and about all of them."
    )


def _entry(record: Record) -> SequentialEntry:
    entry = record.finished().sequential
    assert entry is not msgspec.UNSET, "the record of a race"
    return entry
