"""Read the full-width forms of Chinese typography as the plain ones, so that one pattern serves both.

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
    return replace(block, text=_text(block.text), rows=rows)


def _text(text: Text) -> Text:
    return text if text.text.isascii() else replace(text, text=plain_width(text.text))
