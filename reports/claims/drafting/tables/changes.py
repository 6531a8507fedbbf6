"""Columns of changes beside two systems: "Before | After | Change". They are no third system.

Each cell becomes a claim that is held against the two values beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.text.names import Names
from evals.reports.claims.drafting.text.passages import read_passage
from evals.reports.claims.drafting.text.statements import Surroundings, read_block
from evals.reports.claims.language.sources.articles import Article, SourcePlace, Text

_CHANGE = re.compile(
    r"\W*(?:(?:relative|absolute|total|avg\.?|%|percent(?:age)?)\s)?(?:changes?|diff(?:erence)?s?|delta|Δ|improvements?|"
    r"gains?|speed-?ups?|increases?|decreases?|reductions?|savings?|变化|变化率|差异|差值|提升|提升幅度|降幅|增幅|加速比)"
    r"(?:\s?(?:\(.{1,12}\)|%))?\W*",
    re.I,
)


def is_change_name(name: str) -> bool:
    """Whether the header of a column or row says that it holds changes.

    Example:
        >>> is_change_name("Change"), is_change_name("Δ (%)"), is_change_name("DeltaNet")
        (True, True, False)
    """
    return _CHANGE.fullmatch(" ".join(name.split())) is not None


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
    for number, (measure, cell) in enumerate(cells):
        pair = [_place(column[number]) for column in columns]
        if pair[0] is None or pair[1] is None or not re.search(r"\d", cell.text):
            continue
        for proposal in read_block(article, read_passage(cell, names), names, Surroundings(measure.text, names.main)):
            if proposal.unit in {"percent", "points", "times"}:
                proposal.is_change, proposal.between = True, (pair[0], pair[1])
                proposal.bound = "exactly" if proposal.bound in {"above", "at-least"} else proposal.bound
                proposal.quantity, proposal.quantity_says = None, f"change of {measure.text.strip()}"
                yield proposal


def _place(cell: Text) -> SourcePlace | None:
    digits = re.search(r"\d[\d,]*(?:\.\d+)?|\.\d+", cell.text)
    return None if digits is None else cell.span(*digits.span())
