"""Columns of changes beside two systems: "Before | After | Change". They are no third system.

Each cell becomes a claim that is held against the two values beside it, where the numbers show that it is their change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.text.names import Names
from evals.reports.claims.drafting.text.passages import read_passage
from evals.reports.claims.drafting.text.statements import Surroundings, read_block
from evals.reports.claims.language.sources.articles import Article, SourcePlace, Text


def changes_beside(
    article: Article, cells: Sequence[tuple[Text, Text]], columns: Sequence[tuple[Text, ...]], names: Names
) -> Iterator[Proposal]:
    """Yield the changes of a column as claims about the two values beside each.

    Args:
        article: the article.
        cells: for each row what it measures, and the cell with the change.
        columns: the two columns of values, the older first.
        names: the systems of the article.
    """
    if not _are_changes([(cell.text, *(column[n].text for column in columns)) for n, (_, cell) in enumerate(cells)]):
        return
    unit = _bare_unit([(cell.text, *(column[n].text for column in columns)) for n, (_, cell) in enumerate(cells)])
    for number, (measure, cell) in enumerate(cells):
        pair = [_place(column[number]) for column in columns]
        if pair[0] is None or pair[1] is None or not re.search(r"\d", cell.text):
            continue
        proposals = list(read_block(article, read_passage(cell, names), names, Surroundings(measure.text, names.main)))
        if not proposals and (bare := _BARE.fullmatch(cell.text)) is not None:
            proposals = [_bare_change(article, cell, bare, unit=unit)]
        for proposal in proposals:
            if proposal.unit in {"percent", "points", "times"}:
                proposal.is_change, proposal.between = True, (pair[0], pair[1])
                proposal.bound = "exactly" if proposal.bound in {"above", "at-least"} else proposal.bound
                proposal.quantity, proposal.quantity_says = None, f"change of {measure.text.strip()}"
                yield proposal


_BARE = re.compile(r"\s*[+−-]?\s?(?P<digits>\d+(?:\.\d+)?)\s*")


def _bare_unit(rows: Sequence[tuple[str, ...]]) -> str:
    """The unit of changes without one: points if more of them are differences than are shares of the old value."""
    differences = shares = 0
    for row in rows:
        numbers = [number for cell in row if (number := _number(cell)) is not None]
        if len(numbers) == 3 and numbers[1]:
            change, old, new = numbers
            differences += abs(change - abs(new - old)) <= _LEAST_SLACK
            shares += abs(change - 100 * abs(new - old) / old) <= _LEAST_SLACK
    return "points" if differences > shares else "percent" if shares > differences else ""


def _bare_change(article: Article, cell: Text, match: re.Match[str], *, unit: str) -> Proposal:
    span = cell.span(*match.span("digits"))
    return Proposal(
        span=span,
        quote=article.source[slice(*span)],
        line=article.line(span[0]),
        printed=match["digits"],
        unit=unit,
        is_negative=re.search(r"[-−]", cell.text) is not None,
        sentence=span,
        words=cell.text,
    )


def _are_changes(rows: Sequence[tuple[str, ...]]) -> bool:
    """Whether at least half of the changes, and one of them, fit the two values beside them.

    Changes may be those from a baseline in another row; then they say nothing of the values beside them.
    """
    read = [(row[0], [number for cell in row if (number := _number(cell)) is not None]) for row in rows]
    fits = [_fits(*numbers, is_ratio=_RATIO.search(cell) is not None) for cell, numbers in read if len(numbers) == 3]
    return any(fits) and sum(fits) * 2 >= len(fits)


def _fits(change: float, old: float, new: float, *, is_ratio: bool) -> bool:
    """Whether a change, its sign aside, is the difference, the relative change or the ratio of two values."""
    values = [abs(new - old)]
    if old and new:
        ratios = [new / old, old / new]
        values = ratios if is_ratio else [*values, *(100 * abs(ratio - 1) for ratio in ratios)]
    return any(abs(change - value) <= max(_LEAST_SLACK, _SLACK * value) for value in values)


_RATIO = re.compile(r"\d\s?(?:[x×✕]|倍|times)|\\times|[x×]\s?\d", re.I)
_LEAST_SLACK = 0.11
"""How far a change may be off where both values and it are rounded to one decimal."""
_SLACK = 0.05
"""The same as a share of the change, for values with few digits."""


def _number(text: str) -> float | None:
    digits = _DIGITS.search(text)
    return None if digits is None else float(re.sub(r"[,'’]", "", digits[0]))


_DIGITS = re.compile(r"\d(?:[\d,]|['’](?=\d{3}))*(?:\.\d+)?|\.\d+")


def _place(cell: Text) -> SourcePlace | None:
    digits = _DIGITS.search(cell.text)
    return None if digits is None else cell.span(*digits.span())
