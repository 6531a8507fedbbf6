"""Filter and sort the samples of a run.

A condition is one of:

    wrong, right, failed, unparsed, truncated, unfinished, long, disputed     what became of the sample
    NAME=TEXT                 a label (`answer type=number`), or id, answer, target; a value or cost by its number
    NAME<0.5, NAME<=, NAME>, NAME>=        a value, a cost, or length (characters of the output)
    NAME~TEXT                 the text occurs in prompt, output, answer, target or thought, or in `any` of them

Only a run's log is read, line by line; of the samples that meet the conditions the first ones in order are kept.
"""

from __future__ import annotations

import heapq
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evals.errors import InputError, UnknownName
from evals.plain_numbers import real
from evals.records.folder import Record
from evals.records.types import SampleRecord
from evals.reports.rendering.formatting import json_text
from evals.reports.runs.naming import labels_of
from evals.reports.runs.reported import disputed
from evals.reports.runs.worst_samples import sample_value

Condition = Callable[[SampleRecord], bool]
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_LARGEST_FIRST = ":desc"
_SEARCH = re.compile(r"(?P<name>any|prompt|output|answer|target|thought)~(?P<words>.*)", re.DOTALL)
_COMPARISON = re.compile(r"(?P<name>.+?)\s*(?P<sign><=|>=|<|>)\s*(?P<number>.+)")


@dataclass(frozen=True, slots=True)
class ChosenSamples:
    """The samples that a reader asked for."""

    rows: tuple[SampleRecord, ...]
    """The first ones in the wanted order."""
    matching: int
    """Number of samples that meet the conditions."""
    total: int
    conditions: tuple[str, ...]


def choose(record: Record, where: Sequence[str] = (), sort: str | None = None, count: int | None = 12) -> ChosenSamples:
    """Choose the samples of a finished run that meet all conditions.

    Args:
        record: a finished run.
        where: conditions, as the module describes them.
        sort: `id` (the order of the split), `score`, `length`, or the name of a value or cost; with `:desc` after it
            the largest come first. None for the order of the split.
        count: most samples to return; None for all.

    Raises:
        InputError: a condition or the order is not known, or names what no sample has.
    """
    record.finished()
    if count is not None and count < 1:
        raise InputError(f"{count} samples were asked for, expected at least 1")
    conditions = [_condition(text, record) for text in where]
    key = _key(sort or "id", record)
    names: set[str] = set()
    matching = total = 0

    def matches() -> Iterator[tuple[tuple[float, int], SampleRecord]]:
        nonlocal matching, total
        for row in record.samples():
            total += 1
            names.update(_names(row))
            if all(condition(row) for condition in conditions):
                matching += 1
                yield (key(row), row.index), row

    ordered = matches() if count is None else heapq.nsmallest(count, matches(), key=operator.itemgetter(0))
    rows = tuple(row for _, row in sorted(ordered, key=operator.itemgetter(0)))
    _check_names([*where, *([sort] if sort else [])], names)
    return ChosenSamples(rows, matching, total, tuple(where))


def _names(row: SampleRecord) -> Iterator[str]:
    yield from labels_of(row)
    yield from row.values
    yield from row.cost
    yield from row.reported or ()


_FIXED = frozenset({"id", "answer", "target", "length", "score"})


def _check_names(texts: Sequence[str], names: set[str]) -> None:
    """Raise `UnknownName` if a condition or the order names what no sample has."""
    for text in texts:
        match = _COMPARISON.fullmatch(text)
        name = match["name"] if match else text.partition("=")[0] if "=" in text else text.removesuffix(_LARGEST_FIRST)
        is_known = name.strip() in names | _FIXED or text in STATES or _SEARCH.fullmatch(text)
        if not is_known:
            raise UnknownName("label, value or cost of these samples", name.strip(), names | _FIXED)


def _is_right(row: SampleRecord, record: Record) -> bool:
    value = sample_value(row, record)
    return not row.failed and value is not None and value >= 1


STATES: Mapping[str, Callable[[SampleRecord, Record], bool]] = {
    "right": _is_right,
    "wrong": lambda row, record: not _is_right(row, record),
    "failed": lambda row, record: row.failed,
    "unparsed": lambda row, record: row.answer is None and not row.failed,
    "truncated": lambda row, record: row.truncated,
    "unfinished": lambda row, record: row.truncated_thinking,
    "long": lambda row, record: row.long_prompt,
    "disputed": lambda row, record: disputed(row, record),
}
"""What may have become of a sample: `wrong` has not the full score, `unfinished` ended inside a thought, of `disputed`
the harness of an imported run has another score."""


def _condition(text: str, record: Record) -> Condition:
    if match := _SEARCH.fullmatch(text):
        name, words = match["name"], match["words"].casefold()
        return lambda row: words in _searched(row, name)
    if text in STATES:
        if text in ("right", "wrong"):
            _check_graded(record, text)
        state = STATES[text]
        return lambda row: state(row, record)
    if match := _COMPARISON.fullmatch(text):
        name, number = match["name"].strip(), match["number"].strip()
        limit, compare = _finite(number), _COMPARISONS[match["sign"]]
        if math.isnan(limit):
            raise InputError(f"--where {text}: {number!r} is not a number")
        return lambda row: (value := _number(row, name, record)) is not None and compare(value, limit)
    name, equals, wanted = text.partition("=")
    if not equals:
        known = ", ".join(STATES)
        raise InputError(f"--where {text}: expected {known}, NAME=TEXT, NAME<NUMBER or any~TEXT")
    name, wanted = name.strip(), wanted.strip()
    exact = _finite(wanted.removeprefix("="))
    return lambda row: wanted in _texts(row, name) or _number(row, name, record) == exact


def _finite(text: str) -> float:
    """Read a number; NaN if the text is none."""
    try:
        return real(text)
    except ValueError:
        return math.nan


def _check_graded(record: Record, text: str) -> None:
    """Raise if the scores of a run are not shares of the full score, so that no sample is right or wrong by them."""
    headline = record.finished().headline
    metric = record.finished().metrics[headline]
    if metric.unit != "fraction" or metric.higher_is_better is False:
        raise InputError(f"--where {text}: {headline} is no share of a full score; write --where '{headline}<NUMBER'")


def _searched(row: SampleRecord, name: str) -> str:
    names = ("prompt", "output", "answer", "target", "thought") if name == "any" else (name,)
    return "\n".join(json_text(row[part]) for part in names if row[part] is not None).casefold()


def _texts(row: SampleRecord, name: str) -> list[str]:
    """Return what a name means for a sample: of a list (the right answers of a question) also each entry."""
    if name in labels_of(row):
        return [labels_of(row)[name]]
    value = {"id": row.id, "answer": row.answer, "target": row.target}.get(name)
    entries = value if isinstance(value, list) else []
    return [json_text(entry) for entry in (value, *entries) if entry is not None]


def _number(row: SampleRecord, name: str, record: Record) -> float | None:
    if name == "score":
        return sample_value(row, record)
    if name == "length":
        return float(len(json_text(row.output)))
    for values in (row.values, row.cost, row.reported or {}):
        if name in values:
            return float(values[name])
    return None


def _key(sort: str, record: Record) -> Callable[[SampleRecord], float]:
    """Return what samples are ordered by; those without it come last."""
    name, sign = sort.removesuffix(_LARGEST_FIRST), -1.0 if sort.endswith(_LARGEST_FIRST) else 1.0
    if name == "id":
        return lambda row: sign * row.index

    def key(row: SampleRecord) -> float:
        value = _number(row, name, record)
        return math.inf if value is None else sign * value

    return key
