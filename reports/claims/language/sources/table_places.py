"""Find the cells of a claims file's tables in the tables of its source document.

A cell is found where its row's name, its column's header and its text stand together, exactly once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product

from evals.reports.claims.language.sources.articles import Article, Block, SourcePlace, Text, line_starts
from evals.reports.claims.language.sources.quotes import normalised
from evals.reports.claims.language.tables.expansion import CellClaim

_MARKS = re.compile(r"[*_`\s]|</?[A-Za-z]+>|\\(?:textbf|underline)\b|[{}]")
_MOST_NAMES = 3
"""Limit on the cells at the beginning of a row, and on the rows of a header, that are read as names."""
_Key = tuple[str, str, str]


class CellPlaces:
    """The cells of an article's tables, by row, column and text."""

    def __init__(self, article: Article, claims: Sequence[CellClaim]) -> None:
        """Read the tables of the article, if there are claims to place.

        Args:
            article: the source document.
            claims: the claims that will be looked for.
        """
        wanted = {_key(claim) for claim in claims}
        self._places: dict[_Key, list[SourcePlace]] = defaultdict(list)
        self._lines = line_starts(article.source) if wanted else [0]
        for block in article.blocks if wanted else ():
            for key, place in _cells(block):
                if key in wanted:
                    self._places[key].append(place)

    def find(self, claim: CellClaim) -> SourcePlace | str:
        """Return the place of the cell of a claim, or why it has none."""
        places = [*dict.fromkeys(self._places.get(_key(claim), ()))]
        in_line = [place for place in places if bisect_right(self._lines, place[0]) == claim.line]
        if len(in_line) == 1 or len(places) == 1:
            return (in_line or places)[0]
        if places:
            return f"{len(places)} cells of the document have its row, column and text"
        return "no cell of the document's tables has its row, column and text"


def _key(claim: CellClaim) -> _Key:
    cell = claim.cell
    names = cell.table.rows[cell.row].name, cell.table.columns[cell.column].name
    return bare(names[0]), bare(names[1]), bare(cell.printed.text)


def bare(text: str) -> str:
    """Return a text without marks and white space, for comparing what is printed.

    Example:
        >>> bare("**92.0 %**")
        '92.0%'
    """
    return _MARKS.sub("", normalised(text))


def _cells(block: Block) -> Iterator[tuple[_Key, SourcePlace]]:
    """Yield the cells of a table under each name that its row and its column may have."""
    headers = [_names([row[column] for row in block.rows[: block.headers]]) for column in range(_width(block))]
    for row in block.rows[block.headers :]:
        names = _names(row[:_MOST_NAMES])
        for column, cell in enumerate(row):
            if cell.text.strip() and cell.starts:
                text, place = bare(cell.text), cell.span(0, len(cell.text))
                yield from (((name, header, text), place) for name, header in product(names, headers[column]))


def _width(block: Block) -> int:
    return len(block.rows[0]) if block.rows else 0


def _names(cells: Sequence[Text]) -> list[str]:
    texts = [text for cell in cells[:_MOST_NAMES] if (text := bare(cell.text))]
    return [*dict.fromkeys([*texts, "".join(texts)])]
