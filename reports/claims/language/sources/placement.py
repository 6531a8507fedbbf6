"""Find the place of each claim in its source document.

A drafted claim has its place (`span`). Of other claims the quote is looked for: in what a reader sees, and failing that
in the source itself, in the line of the claim if it has one. Cells of a table are looked for in the tables of the
document. What cannot be placed beyond doubt is not placed, and the reason is kept.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.sources.articles import Article, SourcePlace, Text, TextBuilder, line_starts, plain
from evals.reports.claims.language.sources.quotes import QuoteIndex
from evals.reports.claims.language.sources.table_places import CellPlaces
from evals.reports.claims.language.tables.expansion import CellClaim

_NO_DIGITS = re.compile(r"&#?\w+;|[^\d.]")


@dataclass(frozen=True, slots=True)
class PlacedArticle:
    """A source document and the places of its claims."""

    article: Article
    places: Mapping[str, SourcePlace]
    """For each claim that was placed, by ID: its first code point in the source, and the one after the last."""
    unplaced: Mapping[str, str]
    """For each other claim: why it has no place."""


def place(document: Document, article: Article) -> PlacedArticle:
    r"""Find the place of each claim of a document.

    Args:
        document: the claims.
        article: the source document.

    Example:
        >>> article = Article("It takes 0.8 s.", ())
        >>> claims = [{"id": "C-1", "quote": "0.8 s", "says": "fast"}, {"id": "C-2", "quote": "1 s", "says": "slow"}]
        >>> document = Document.model_validate({"document": {"id": "d", "title": "D"}, "claims": claims})
        >>> placed = place(document, article)
        >>> placed.places, placed.unplaced
        ({'C-1': (9, 14)}, {'C-2': 'its quote does not stand in the document'})
    """
    places: dict[str, SourcePlace] = {}
    unplaced: dict[str, str] = {}
    rest = []
    for claim in document.claims:
        if claim.span is not None and _prints(article.source, claim.span, claim):
            places[claim.id] = claim.span
        else:
            rest.append(claim)
    quotes = _Quotes(article, [claim.quote for claim in rest if claim.quote])
    cells = CellPlaces(article, [claim for claim in rest if isinstance(claim, CellClaim)])
    for claim in rest:
        where = cells.find(claim) if isinstance(claim, CellClaim) else quotes.find(claim)
        if isinstance(where, str):
            unplaced[claim.id] = where
        else:
            places[claim.id] = where
    return PlacedArticle(article, places, unplaced)


def _prints(source: str, span: SourcePlace, claim: Claim) -> bool:
    """Whether the place of a claim lies in the source and has the digits that the claim prints."""
    if not 0 <= span[0] < span[1] <= len(source):
        return False
    digits = _NO_DIGITS.sub("", unicodedata.normalize("NFKC", source[slice(*span)]).replace(",", ""))
    return claim.printed is None or claim.printed.lstrip("-") in digits


class _Quotes:
    """The places of quotes, in what a reader sees and in the source."""

    def __init__(self, article: Article, quotes: Iterable[str]) -> None:
        quotes = list(quotes)
        self.end = len(article.source)
        self.lines = line_starts(article.source) if quotes else [0]
        self.indexes = [QuoteIndex(text, quotes) for text in (_visible(article), plain(article.source)) if quotes]

    def find(self, claim: Claim) -> SourcePlace | str:
        """Return the place of a claim's quote, or why it has none."""
        if not claim.quote:
            return "it has no quote"
        if claim.line is not None and claim.line <= len(self.lines):
            end = self.lines[claim.line] if claim.line < len(self.lines) else self.end
            for index in self.indexes:
                if places := index.find(claim.quote, (self.lines[claim.line - 1], end)):
                    return places[0]
        for index in self.indexes:
            if places := index.find(claim.quote):
                if len(places) == 1:
                    return places[0]
                lines = dict.fromkeys(bisect_right(self.lines, place[0]) for place in places[:4])
                return f"its quote stands {len(places)} times in the document (line {', '.join(map(str, lines))}, …)"
        return "its quote does not stand in the document"


def _visible(article: Article) -> Text:
    """What a reader sees of an article, its parts separated by spaces."""
    builder = TextBuilder()
    for block in article.blocks:
        for text in (block.text, *(cell for row in block.rows for cell in row)):
            if text.text:
                builder.copy(text, 0, len(text.text))
                builder.put(" ", text.ends[-1], text.ends[-1])
    return builder.build()
