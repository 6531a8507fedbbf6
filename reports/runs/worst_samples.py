"""The worst samples: how they are chosen, and what a report shows of them.

Failures come first, then the lowest values. Samples that are equally bad (most are, at zero) are spread over labels
and images, so that the twelve shown differ from each other; remaining ties are ordered by a hash of the id. The choice
is not random: the same record gives the same samples.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from statistics import fmean

from evals.records.embeddings import unpack
from evals.records.folder import Record
from evals.records.types import SampleRecord
from evals.reports.rendering.formatting import amount, json_text
from evals.reports.runs.naming import labels_of
from evals.reports.runs.prompts import ShownPrefix, ShownPrompt, ShownPrompts
from evals.schema import Json


@dataclass(frozen=True, slots=True)
class WorstSample:
    """One sample as a report shows it."""

    id: str
    """The benchmark's own identifier."""
    question: str
    """The last text of its prompt."""
    output: str
    """What the model wrote, whole."""
    answer: str | None
    """The answer that was read from the output, if it differs from the output by more than white space at the ends."""
    expected: tuple[tuple[str, int], ...]
    """The reference answers, each with how many annotators gave it, the most frequent first."""
    score: str
    """Its score, as printed."""
    labels: tuple[tuple[str, str], ...]
    """The labels by which metrics are split."""
    notes: tuple[str, ...]
    """What went wrong: a failure, a cut, an output without a readable answer."""
    image: bytes | None = None
    """Its image as PNG, if the run kept one."""
    prompts: tuple[ShownPrompt, ...] = ()
    """What the model read for it; empty if the run did not record it."""

    @property
    def answers(self) -> str:
        """The reference answers on one line, those of several annotators with their count.

        Example:
            >>> WorstSample("1", "", "", None, (("red", 7), ("blue", 1)), "0.0 %", (), ()).answers
            'red (7); blue'
        """
        return "; ".join(f"{answer} ({count})" if count > 1 else answer for answer, count in self.expected)


@dataclass(frozen=True, slots=True, order=True)
class _RankedSample:
    """A sample record with its rank; the first in order is the worst."""

    rank: tuple[bool, float]
    digest: bytes
    row: SampleRecord = field(compare=False)

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """The sample's labels, hashable."""
        return tuple(sorted(self.row.labels.items()))


def choose_worst(record: Record, count: int = 12) -> list[SampleRecord]:
    """Choose the worst samples of a finished run, the very worst first; reads the record once.

    Args:
        record: a finished run.
        count: maximum number of samples.

    Returns:
        Their records of `samples.jsonl`; fewer than `count` if fewer samples have a value or failed.
    """
    chosen: list[_RankedSample] = []
    uses: Counter[object] = Counter()
    for _, ties in groupby(_candidates(record, count), key=lambda sample: sample.rank):
        chosen += _spread(list(ties), count - len(chosen), uses)
    return [sample.row for sample in chosen]


def describe_worst(record: Record, count: int = 12) -> tuple[list[WorstSample], tuple[ShownPrefix, ...]]:
    """Describe the worst samples for readers, with what the model read and the images that the run kept of them.

    Returns:
        The samples, and the prefixes that their prompts share.
    """
    rows = choose_worst(record, count)
    shown = ShownPrompts(record, rows)
    return [replace(_describe(row, record), prompts=shown.of(row)) for row in rows], shown.prefixes()


def described(record: Record, rows: Sequence[SampleRecord]) -> list[WorstSample]:
    """Describe samples of a run for readers, with what the model read."""
    shown = ShownPrompts(record, rows)
    return [replace(_describe(row, record), prompts=shown.of(row)) for row in rows]


def sample_value(row: SampleRecord, record: Record) -> float | None:
    """Return the score of one sample: its headline value, else the mean of its fractions; None without any."""
    result = record.finished()
    values: Mapping[str, float] = row.values
    if result.headline in values:
        return values[result.headline]
    metrics = result.metrics
    fractions = [v for name, v in values.items() if name not in metrics or metrics[name].unit == "fraction"]
    return fmean(fractions) if fractions else None


def _candidates(record: Record, count: int) -> list[_RankedSample]:
    """Return, in order, the samples that can be among the worst; a split may have hundreds of thousands.

    A sample is left out when `count` others are worse, or when `count` equally bad samples with the same labels come
    before it.
    """
    ranks: list[tuple[bool, float]] = []
    alike: dict[object, list[_RankedSample]] = defaultdict(list)
    for sample in _rank(record):
        if len(ranks) == count and sample.rank > ranks[-1]:
            continue
        insort(ranks, sample.rank)
        del ranks[count:]
        group = alike[sample.rank, sample.labels]
        insort(group, sample)
        del group[count:]
    return sorted(sample for group in alike.values() for sample in group)


def _rank(record: Record) -> Iterator[_RankedSample]:
    """Rank every sample that has a value or failed; of times and errors the largest are the worst."""
    result = record.finished()
    entry = result.metrics.get(result.headline)
    timed = record.timed or (entry is not None and entry.higher_is_better is False)
    for row in record.samples():
        value = sample_value(row, record)
        if value is not None or row.failed:
            goodness = -(value or 0.0) if timed else value or 0.0
            rank = not row.failed, round(goodness, 9)  # 0.3 and 0.1 + 0.2 are equally bad
            yield _RankedSample(rank, hashlib.sha256(row.id.encode()).digest(), row)


def _spread(ties: list[_RankedSample], count: int, uses: Counter[object]) -> list[_RankedSample]:
    """Choose among equally bad samples, each time the one whose image and labels were chosen least; updates `uses`."""
    chosen: list[_RankedSample] = []
    while ties and len(chosen) < count:
        rarest = min(
            ties,
            key=lambda sample: (uses[sample.row.cluster], sum(uses[label] for label in sample.labels), sample.digest),
        )
        ties.remove(rarest)
        chosen.append(rarest)
        uses.update([*([rarest.row.cluster] if rarest.row.cluster else []), *rarest.labels])
    return chosen


def _describe(row: SampleRecord, record: Record) -> WorstSample:
    result = record.finished()
    embedded = record.manifest.task.needs == "embed"
    output, answer = embeddings(row.output) if embedded else json_text(row.output), json_text(row.answer)
    unit = result.metrics[result.headline].unit
    has_headline = result.headline in row.values
    return WorstSample(
        id=row.id,
        question=row.prompt.strip(),
        output=output,
        answer=answer if row.answer is not None and answer.strip() != output.strip() else None,
        expected=_count_equal(row.target),
        score=amount(sample_value(row, record), unit if has_headline else "fraction"),
        labels=tuple(sorted(row.labels.items())),
        notes=tuple(_notes(row)),
        image=record.image(row.id),
    )


def embeddings(output: Json) -> str:
    """Describe an output of embeddings by their count and size; the numbers themselves are not readable.

    Example:
        >>> embeddings(["AACAPwAAAL8=", [1.0, -0.5], None]), embeddings("AACAPwAAAL8=")
        ('2 embeddings of 2 numbers', '1 embedding of 2 numbers')
    """
    vectors = [vector for vector in (output if isinstance(output, list) else [output]) if vector is not None]
    if not vectors:
        return ""
    size = len(unpack(vectors[0]))
    return f"{len(vectors)} {'embedding' if len(vectors) == 1 else 'embeddings'} of {size} numbers"


def _count_equal(target: Json) -> tuple[tuple[str, int], ...]:
    """Count equal reference answers.

    Example:
        >>> _count_equal(["red", "blue", "red"]), _count_equal("#### 72")
        ((('red', 2), ('blue', 1)), (('#### 72', 1),))
    """
    answers: Sequence[Json] = target if isinstance(target, list) else [target]
    counts = Counter(json_text(answer) for answer in answers)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _notes(row: SampleRecord) -> Iterator[str]:
    if row.failed:
        yield f"failed: {row.failure or 'no reason was recorded'}"
    elif row.answer is None:
        yield "no answer could be read from the output"
    if part := labels_of(row).get("answered by") if row.answered_by else None:
        yield f"answered by {part}"
    if row.truncated:
        yield "cut at the token limit"
