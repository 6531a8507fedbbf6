"""Numbers in lists: "on A, B and C it scores 1, 2 and 3, respectively"."""

from __future__ import annotations

import re

from evals.reports.claims.drafting.language.lexicon import BENCHMARKS, QuantityWords
from evals.reports.claims.drafting.language.numbers import PrintedNumber
from evals.reports.claims.drafting.text.passages import Passage

LIST_JOINT = re.compile(r"\s*(?:分|%)?\s*(?:[、,/]|和|及|与|,?\sand\s)\s*")
"""What stands between the numbers of a list."""
_RESPECTIVELY = re.compile(r"respectively|分别", re.I)
_NAMES_JOINT = re.compile(r"\s*(?:\([^()]{0,30}\))?\s*(?:[、,/]|和|及|与|以及|,?\sand\s)\s*(?:the\s)?")


def listed_quantity(passage: Passage, number: PrintedNumber) -> QuantityWords | None:
    """Return the benchmark of a number in a list beside a list of as many; None without "respectively".

    Args:
        passage: the text.
        number: one of its numbers.
    """
    text, (first, last) = passage.text.text, passage.sentence(number.start)
    if not _RESPECTIVELY.search(text, first, last):
        return None
    numbers = [other for other in passage.numbers if first <= other.start < last]
    run = next((run for run in _runs(text, numbers) if number in run), [])
    named = [
        lists
        for lists in _lists_of_benchmarks(text, first, last)
        if len(lists) == len(run) > 1 and (lists[-1][1] <= run[0].start or lists[0][0] >= run[-1].end)
    ]
    if not named:
        return None
    nearest = min(named, key=lambda lists: abs(lists[-1][1] - run[0].start))
    return nearest[run.index(number)][2]


def _runs(text: str, numbers: list[PrintedNumber]) -> list[list[PrintedNumber]]:
    """The numbers of a sentence in the lists that they form."""
    runs: list[list[PrintedNumber]] = []
    for number in numbers:
        if runs and LIST_JOINT.fullmatch(text[runs[-1][-1].stop : number.begin]):
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _lists_of_benchmarks(text: str, first: int, last: int) -> list[list[tuple[int, int, QuantityWords]]]:
    """The benchmarks of a sentence in the lists that they form, each with its place."""
    places: list[tuple[int, int, QuantityWords]] = []
    for start, end, words in sorted(
        (
            (match.start(), match.end(), benchmark)
            for benchmark in BENCHMARKS
            if benchmark.pattern is not None
            for match in benchmark.pattern.finditer(text, first, last)
        ),
        key=lambda place: (place[0], -place[1]),
    ):
        if not places or start >= places[-1][1]:
            places.append((start, end, words))
    lists: list[list[tuple[int, int, QuantityWords]]] = []
    for place in places:
        if lists and _NAMES_JOINT.fullmatch(text[lists[-1][-1][1] : place[0]]):
            lists[-1].append(place)
        else:
            lists.append([place])
    return lists
