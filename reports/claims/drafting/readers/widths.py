"""Read full-width forms of Chinese typography, and decimal commas in tables, as the plain ones: one pattern serves all.

Each character is replaced by one, so the places in the source stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import replace

from evals.reports.claims.language.sources.articles import Article, Block, Text

_PLAIN = {wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)} | dict.fromkeys(map(ord, "\u2122\u00ae"), " ")
"""Full-width forms, and the marks of registered names, which stand between a name and its number: RTX\u2122 4090."""
_COMMA_BEFORE_DIGIT = re.compile(r"\uff0c(?=[+\-\uff0b\uff0d]?[\d\uff10-\uff19])")
"""A comma that separates two numbers; as a plain one it would be read as a separator of thousands."""

_WITH_COMMA = re.compile(r"[^\d\w]{0,3}\d{1,3},(?P<decimals>\d+)(?:\s?[^\d\s,.;]{1,8}|[^\d\w]{0,3})?")
_WITH_POINT = re.compile(r"[^\d\w]{0,3}(?:\d+|\d{1,3}(?:,\d{3})+)?\.\d+\D{0,4}")
_PERCENT_WITH_COMMA = re.compile(r"[^\d\w]{0,3}\d{1,2},\d{1,2}\s?%[^\d\w]{0,3}")
"""A share whose comma stands for the point, also as a slip in a table with points: `41,8%`."""
_FEWEST_WITH_COMMA = 2


def plain_width(text: str) -> str:
    r"""Return a text with plain punctuation, digits and letters, of the same length.

    Example:
        >>> plain_width("\uff0873.8\uff05\uff0c+5.8\uff05\uff09")
        '(73.8%\u3001+5.8%)'
    """
    return _COMMA_BEFORE_DIGIT.sub("\u3001", text).translate(_PLAIN) if not text.isascii() else text


def with_plain_widths(article: Article) -> Article:
    """Return an article whose texts have plain widths; its source stays."""
    return replace(article, blocks=tuple(map(_block, article.blocks)), title=plain_width(article.title))


def _block(block: Block) -> Block:
    rows = tuple(tuple(map(_text, row)) for row in block.rows)
    return replace(block, text=_text(block.text), rows=_with_decimal_points(rows))


def _with_decimal_points(rows: tuple[tuple[Text, ...], ...]) -> tuple[tuple[Text, ...], ...]:
    """Read `4,31` as 4.31 in a table with such cells and none with a point; `4,310` alone has thousands."""
    texts = [cell.text.strip() for row in rows for cell in row]
    tails = [match["decimals"] for match in map(_WITH_COMMA.fullmatch, texts) if match]
    decimals = sum(len(tail) != 3 for tail in tails)
    is_usual = decimals >= _FEWEST_WITH_COMMA and not any(map(_WITH_POINT.fullmatch, texts))
    pattern = _WITH_COMMA if is_usual else _PERCENT_WITH_COMMA
    if not any(map(pattern.fullmatch, texts)):
        return rows
    return tuple(
        tuple(
            replace(cell, text=cell.text.replace(",", ".")) if pattern.fullmatch(cell.text.strip()) else cell
            for cell in row
        )
        for row in rows
    )


def _text(text: Text) -> Text:
    return text if text.text.isascii() else replace(text, text=plain_width(text.text))
