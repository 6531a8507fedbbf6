"""Find the places of quotes in a text; white space, quotation marks, dashes and widths may differ.

    index = QuoteIndex(plain("It scores 78.3 %."), ["78.3 %"])
    index.find("78.3 %")    [(10, 16)]

The time grows with the length of the text and the number of quotes, not with their product: the text is read once for
the beginnings of all quotes.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from evals.reports.claims.language.sources.articles import SourcePlace, Text

_TYPOGRAPHY: dict[int, str] = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-", "‑": "-", "\u3001": ","}
)
_TYPOGRAPHY |= {wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)}  # full-width forms
_SPACE = re.compile(r"\s+")
_BEGINNING = 8
"""Number of characters by which quotes are looked up."""
_MOST_CANDIDATES = 1_000
"""Limit on the places that are compared with one quote one by one; beyond, the text is searched for the whole quote."""
_MOST_PLACES = 1_000
"""Limit on the places that are returned."""


def normalised(text: str) -> str:
    r"""Return a text with plain quotation marks, dashes and widths, and one space for any white space.

    A quote is typed, not copied.

    Example:
        >>> normalised("doesn’t  need\u00a08 GB — it\nruns")
        "doesn't need 8 GB - it runs"
    """
    return " ".join(text.translate(_TYPOGRAPHY).split())


class QuoteIndex:
    """The places of some quotes in a text."""

    def __init__(self, text: Text, quotes: Iterable[str]) -> None:
        """Read the text once.

        Args:
            text: the text, with the place of each character in the source.
            quotes: the quotes that will be looked for.
        """
        self._text = text
        self._pieces = array("L", [0])
        """Where pieces without white space begin in the text, and …"""
        self._begins = array("L", [0])
        """… where they begin in the normalised text."""
        self._content = self._normalise(text.text)
        self._positions = self._look_up({normalised(quote)[:_BEGINNING] for quote in quotes})

    def _normalise(self, text: str) -> str:
        parts, last, length = [], 0, 0
        for match in _SPACE.finditer(text):
            parts += [text[last : match.start()], " "]
            length += match.start() - last
            self._add(match.start(), length)
            last, length = match.end(), length + 1
            self._add(last, length)
        return "".join((*parts, text[last:])).translate(_TYPOGRAPHY)

    def _add(self, piece: int, begin: int) -> None:
        self._pieces.append(piece)
        self._begins.append(begin)

    def _look_up(self, beginnings: set[str]) -> dict[str, array[int]]:
        """The positions of each beginning in the normalised text, in order."""
        positions: dict[str, array[int]] = defaultdict(lambda: array("L"))
        content = self._content
        for length in {len(beginning) for beginning in beginnings if beginning}:
            for start in range(len(content) - length + 1):
                part = content[start : start + length]
                if part in beginnings:
                    positions[part].append(start)
        return positions

    def find(self, quote: str, within: SourcePlace | None = None) -> list[SourcePlace]:
        """Return the places in the source where a quote stands, in order.

        Args:
            quote: one of the quotes of the index.
            within: the first code point at which the quote may begin, and the one after the last; None: anywhere.

        Returns:
            First code point, and the one after the last; the first thousand places.
        """
        plain = normalised(quote)
        return [
            self._text.span(self._place(position), self._place(position + len(plain) - 1) + 1)
            for position in islice(self._find(plain, within), _MOST_PLACES)
        ]

    def _find(self, quote: str, within: SourcePlace | None) -> Iterator[int]:
        """Yield the positions of a quote in the normalised text."""
        positions = self._positions.get(quote[:_BEGINNING], array("L"))
        first, last = 0, len(positions)
        if within is not None:
            first, last = (bisect_left(positions, self._position(place)) for place in within)
        for position in positions[first : min(last, first + _MOST_CANDIDATES)]:
            if quote and self._content.startswith(quote, position):
                yield position
        if quote and last - first > _MOST_CANDIDATES:
            end = positions[last - 1] + len(quote)
            position = self._content.find(quote, positions[first + _MOST_CANDIDATES], end)
            while position >= 0:
                yield position
                position = self._content.find(quote, position + 1, end)

    def _place(self, position: int) -> int:
        """The index in the text of a position in the normalised text."""
        piece = bisect_right(self._begins, position) - 1
        return self._pieces[piece] + position - self._begins[piece]

    def _position(self, place: int) -> int:
        """The position in the normalised text of the first character that stands at a place of the source or later."""
        index = bisect_left(self._text.starts, place)
        piece = bisect_right(self._pieces, index) - 1
        return min(
            self._begins[piece] + index - self._pieces[piece],
            self._begins[piece + 1] if piece + 1 < len(self._begins) else len(self._content),
        )
