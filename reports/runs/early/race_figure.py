"""Draw how a race between models went: for each pair the difference and its confidence sequence, from look to look.

The looks are those that the runs of the race state in their results, so each of its run folders shows the same race.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from markupsafe import Markup

from evals.errors import counted
from evals.records.folder import Record
from evals.records.sequential.entry import PairLooks, SequentialEntry
from evals.reports.rendering.formatting import one_line
from evals.reports.rendering.sequences import PANEL, SequenceAxes, SequencePoint, draw_sequence
from evals.reports.rendering.table_formats import Table
from evals.statistics.sequential.races import decided

_NAME = 24
"""Maximum number of characters of a model's name in a figure."""
_FEW = 8
"""Number of looks of a pair that a report without drawings lists."""


@dataclass(frozen=True, slots=True)
class RacePanel:
    """One pair of models."""

    drawing: Markup | None
    """The difference at each look and its band; None with fewer than two looks."""
    outcome: str
    """How it ended, in one sentence."""
    looks: Table
    """What the drawing shows, as numbers: one row per look."""

    def few_looks(self) -> Table:
        """Return some of the looks as a table, the first and the last among them."""
        rows = self.looks.rows
        count = min(len(rows), _FEW)
        places = sorted({round(k * (len(rows) - 1) / max(1, count - 1)) for k in range(count)})
        return Table(self.looks.title, self.looks.columns, self.looks.align, tuple(rows[place] for place in places))


@dataclass(frozen=True, slots=True)
class DrawnRace:
    """A race between two models or more."""

    title: str
    panels: tuple[RacePanel, ...]
    caption: str
    """How the drawings are read, without a term of statistics."""
    caption_of_tables: str
    """How the tables of the looks are read."""


def races(records: Sequence[Record]) -> tuple[DrawnRace, ...]:
    """Draw the races that some runs took part in, each once.

    Args:
        records: finished runs.
    """
    drawn: dict[bytes, DrawnRace] = {}
    for record in records:
        entry = record.finished().sequential
        if entry is not msgspec.UNSET and entry.history:
            key = msgspec.json.encode((record.manifest.task.name, entry.of, entry.history))
            drawn.setdefault(key, _drawn(entry, record.finished().headline))
    return tuple(drawn.values())


def _drawn(entry: SequentialEntry, headline: str) -> DrawnRace:
    last = max(pair.samples[-1] for pair in entry.history)
    panels = tuple(_panel(_leader_first(pair), entry, last) for pair in entry.history)
    several = len(entry.models) > 2
    stop = "a model leaves the race" if several else "the race is decided"
    looks = f"The race looked {counted(max(len(pair.samples) for pair in entry.history), 'time')}."
    meaning = "where the true difference can be: on all samples, and on other samples like these"
    which = "one of the {0}s" if several else "the {0}"
    misses = f"In at most 5 of 100 races {which} misses the true difference at any look."
    drawn = (
        f"{looks} The line is the difference of the models on the samples so far, in points. The band is {meaning}. It "
        f"narrows as samples are added, and {stop} at the first look at which the whole band is on one side of zero."
    )
    if entry.target is not None:
        drawn += (
            f" The dotted lines are {100 * entry.target:g} points above and below zero: models whose whole band is "
            "between them count as the same."
        )
    listed = f"{looks} The tables have some of the looks. The range is {meaning}."
    title = f"The race: how far apart are the models in {headline}?"
    return DrawnRace(title, panels, f"{drawn} {misses.format('band')}", f"{listed} {misses.format('range')}")


def _leader_first(pair: PairLooks) -> PairLooks:
    """Return a pair with the model first that was ahead at the last look."""
    if pair.difference[-1] >= 0:
        return pair
    return PairLooks(
        first=pair.second, second=pair.first, samples=pair.samples, difference=[-value for value in pair.difference],
        low=[-end for end in pair.high], high=[-end for end in pair.low],
    )  # fmt: skip


def _panel(pair: PairLooks, entry: SequentialEntry, last: float) -> RacePanel:
    """Draw one pair; all pairs of a race have the same axis of samples."""
    first, second = one_line(pair.first, _NAME), one_line(pair.second, _NAME)
    margin = entry.target
    points = [
        SequencePoint(samples, 100 * value, 100 * low, high=100 * high)
        for samples, value, low, high in zip(pair.samples, pair.difference, pair.low, pair.high, strict=True)
    ]
    axes = SequenceAxes(
        "{:,.0f} samples".format, " pt", reference=0.0, limits=(-100.0, 100.0), last=last, size=PANEL,
        bounds=() if margin is None else (-100 * margin, 100 * margin),
        sides=(f"{first} is better", f"{second} is better"),
    )  # fmt: skip
    drawing = draw_sequence(points, f"{first} against {second}", axes, "difference") if len(points) > 1 else None
    return RacePanel(drawing, _outcome(pair, entry), _looks(pair, margin))


def _outcome(pair: PairLooks, entry: SequentialEntry) -> str:
    """Say how a pair ended.

    Example:
        >>> pair = PairLooks(
        ...     first="a", second="b", samples=[16, 24], difference=[0.1, 0.2], low=[-0.2, 0.1], high=[0.4, 0.3]
        ... )
        >>> entry = SequentialEntry(
        ...     rule="until-decided", looks=2, used=24, of=90, decision="first_better", clusters=90, largest=1, ids="",
        ...     models=["a", "b", "c"],
        ... )
        >>> _outcome(pair, entry)
        'After 24 of 90 samples: a is better than b by 20.0 points (10.0 to 30.0), so b leaves the race.'
    """
    low, high, value = (100 * ends[-1] for ends in (pair.low, pair.high, pair.difference))
    names = one_line(pair.first, 60), one_line(pair.second, 60)
    start, several = f"After {pair.samples[-1]:,} of {entry.of:,} samples", len(entry.models) > 2
    decision = decided(low, high, None if entry.target is None else 100 * entry.target)
    if decision == "within_margin":
        same = f"{names[0]} and {names[1]} are the same within {100 * (entry.target or 0):g} points"
        return f"{start}: {same} ({value:.1f}, {low:.1f} to {high:.1f})."
    if decision == "undecided":
        return f"{start}: not decided between {names[0]} and {names[1]} ({value:.1f} points, {low:.1f} to {high:.1f})."
    if decision == "second_better":
        low, high, value, names = -high, -low, -value, names[::-1]
    leaves = f", so {names[1]} leaves the race" if several else ""
    return f"{start}: {names[0]} is better than {names[1]} by {value:.1f} points ({low:.1f} to {high:.1f}){leaves}."


def _looks(pair: PairLooks, margin: float | None) -> Table:
    first, second = one_line(pair.first, _NAME), one_line(pair.second, _NAME)
    words = {
        "first_better": f"{first} is better", "second_better": f"{second} is better", "within_margin": "the same",
        "undecided": "not yet",
    }  # fmt: skip
    rows = tuple(
        (
            f"{samples:,}",
            f"{100 * value:+.1f}",
            f"{100 * low:+.1f} to {100 * high:+.1f}",
            words[decided(low, high, margin)],
        )
        for samples, value, low, high in zip(pair.samples, pair.difference, pair.low, pair.high, strict=True)
    )
    columns = ("samples", "difference, points", "range", "decided")
    return Table(f"The looks: {first} minus {second}", columns, "rrrl", rows)
