"""The samples that went worst: which they are, and what people are shown of them.

Failures come first, then the lowest figures. Samples that are equally bad (most are, at zero) are spread over labels
and pictures, so that the twelve show twelve different things; what is still equal is ordered by a hash of the id.
Nothing is drawn: the same record gives the same samples.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import fmean

from evals.records.embeddings import unpack
from evals.records.folder import Record
from evals.reports.rendering.formatting import amount, written
from evals.schema import Json


@dataclass(frozen=True, slots=True)
class WorstSample:
    """One sample as people are shown it."""

    id: str
    """The benchmark's own identifier."""
    question: str
    """The last text of its prompt."""
    output: str
    """What the model wrote, whole."""
    answer: str | None
    """What was read from the output, where that is something else."""
    expected: tuple[tuple[str, int], ...]
    """The reference answers, each with how many annotators gave it, the commonest first."""
    score: str
    """What it was worth, printed."""
    labels: tuple[tuple[str, str], ...]
    """What metrics are split by."""
    notes: tuple[str, ...]
    """What went wrong on the way: a failure, a cut, an output that could not be read."""

    @property
    def answers(self) -> str:
        """The reference answers on one line, those that several annotators gave with their count.

        Example:
            >>> WorstSample("1", "", "", None, (("red", 7), ("blue", 1)), "0.0 %", (), ()).answers
            'red (7); blue'
        """
        return "; ".join(f"{answer} ({count})" if count > 1 else answer for answer, count in self.expected)


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a sample stands; the first in order is the worst."""

    rank: tuple[bool, float]
    digest: bytes
    row: dict[str, Json] = field(compare=False)

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """The sample's labels, as something that can be counted."""
        return tuple(sorted(self.row["labels"].items()))


def choose_worst(record: Record, count: int = 12) -> list[dict[str, Json]]:
    """Choose the worst samples of a finished run, the very worst first; reads the record once.

    Args:
        record: a finished run.
        count: how many are wanted.

    Returns:
        Their records of `samples.jsonl`; fewer where there are not so many with a figure.
    """
    chosen: list[_Place] = []
    seen: Counter[object] = Counter()
    for _, equal in groupby(_candidates(record, count), key=lambda place: place.rank):
        chosen += _spread(list(equal), count - len(chosen), seen)
    return [place.row for place in chosen]


def describe_worst(record: Record, count: int = 12) -> list[WorstSample]:
    """Describe the worst samples for people."""
    return [_case(row, record) for row in choose_worst(record, count)]


def figure(row: Mapping[str, Json], record: Record) -> float | None:
    """Say what one sample was worth: its own headline figure, or else the mean of its fractions; None without any."""
    result = record.result or {}
    values: Mapping[str, float] = row["values"]
    if result["headline"] in values:
        return values[result["headline"]]
    metrics = result["metrics"]
    fractions = [v for name, v in values.items() if metrics.get(name, {}).get("unit", "fraction") == "fraction"]
    return fmean(fractions) if fractions else None


def _candidates(record: Record, count: int) -> list[_Place]:
    """Keep, of a split that may have hundreds of thousands of samples, those that can be among the worst, in order.

    A sample that is better than `count` others cannot, and neither can one that `count` equally bad samples with the
    same labels come before.
    """
    ranks: list[tuple[bool, float]] = []
    alike: dict[object, list[_Place]] = defaultdict(list)
    for place in _places(record):
        if len(ranks) == count and place.rank > ranks[-1]:
            continue
        insort(ranks, place.rank)
        del ranks[count:]
        group = alike[place.rank, place.labels]
        insort(group, place)
        del group[count:]
    return sorted(place for group in alike.values() for place in group)


def _places(record: Record) -> Iterator[_Place]:
    """Place every sample that has a figure, or that failed; of times the longest are the worst."""
    slow = record.timed
    for row in record.samples():
        value = figure(row, record)
        if value is not None or row["failed"]:
            badness = -(value or 0.0) if slow else value or 0.0
            rank = not row["failed"], round(badness, 9)  # 0.3 and 0.1 + 0.2 are equally bad
            yield _Place(rank, hashlib.sha256(row["id"].encode()).digest(), row)


def _spread(places: list[_Place], count: int, seen: Counter[object]) -> list[_Place]:
    """Choose among equally bad samples: each time the one whose picture and labels were seen least; counts them."""
    chosen: list[_Place] = []
    while places and len(chosen) < count:
        best = min(
            places,
            key=lambda place: (seen[place.row["cluster"]], sum(seen[label] for label in place.labels), place.digest),
        )
        places.remove(best)
        chosen.append(best)
        seen.update([*([best.row["cluster"]] if best.row["cluster"] else []), *best.labels])
    return chosen


def _case(row: Mapping[str, Json], record: Record) -> WorstSample:
    result = record.result or {}
    embedded = record.manifest["task"].get("needs") == "embed"
    output, answer = embeddings(row["output"]) if embedded else written(row["output"]), written(row["answer"])
    unit = result["metrics"].get(result["headline"], {}).get("unit", "fraction")
    own = result["headline"] in row["values"]
    return WorstSample(
        id=row["id"],
        question=row["prompt"].strip(),
        output=output,
        answer=answer if row["answer"] is not None and answer != output else None,
        expected=_counted(row["target"]),
        score=amount(figure(row, record), unit if own else "fraction"),
        labels=tuple(sorted(row["labels"].items())),
        notes=tuple(_notes(row)),
    )


def embeddings(output: Json) -> str:
    """Say what was embedded, whose numbers tell nobody anything.

    Example:
        >>> embeddings(["AACAPwAAAL8=", [1.0, -0.5], None]), embeddings("AACAPwAAAL8=")
        ('2 embeddings of 2 numbers', '1 embedding of 2 numbers')
    """
    given = [one for one in (output if isinstance(output, list) else [output]) if one is not None]
    if not given:
        return ""
    size = len(unpack(given[0]))
    return f"{len(given)} {'embedding' if len(given) == 1 else 'embeddings'} of {size} numbers"


def _counted(target: Json) -> tuple[tuple[str, int], ...]:
    """Count equal reference answers.

    Example:
        >>> _counted(["red", "blue", "red"]), _counted("#### 72")
        ((('red', 2), ('blue', 1)), (('#### 72', 1),))
    """
    answers: Sequence[Json] = target if isinstance(target, list) else [target]
    counts = Counter(written(answer) for answer in answers)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _notes(row: Mapping[str, Json]) -> Iterator[str]:
    if row["failed"]:
        yield f"failed: {row['failure'] or 'no reason was recorded'}"
    elif row["answer"] is None:
        yield "no answer could be read from the output"
    if row["truncated"]:
        yield "cut at the token limit"
