"""Bound what the rules read, so that the time of a hostile article grows with its length only.

Words of hundreds of characters are no text and are left out; paragraphs of thousands are read in pieces that end at a
sentence or a space; the cells of a table are cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from evals.reports.claims.language.sources.articles import Article, Block, Text

_LONGEST_WORD, _LONGEST_PIECE, _LONGEST_CELL, _LONGEST_TITLE = 200, 3_000, 300, 300
_LONG_WORD = re.compile(rf"[^\s\u3000-\u9fff\uff00-\uffef]{{{_LONGEST_WORD},}}")
_END = re.compile(r"[.!?。!?;;]\s*|\s")
MOST_CELLS = 20_000
"""Limit on the cells of a table; a longer one is left out."""


def bounded(article: Article) -> Article:
    """Return an article whose texts have bounded lengths.

    Example:
        >>> from evals.reports.claims.drafting.readers.markdown import read_markdown
        >>> [len(block.text.text) < 3_001 for block in bounded(read_markdown("It is long. " * 400)).blocks]
        [True, True]
    """
    blocks = tuple(piece for block in article.blocks for piece in _pieces(block))
    return replace(article, blocks=blocks, title=article.title[:_LONGEST_TITLE])


def _pieces(block: Block) -> Iterator[Block]:
    text = block.text.edited(_LONG_WORD, fill=" ")
    if block.kind == "table":
        if 0 < len(block.rows) * len(block.rows[0] if block.rows else ()) <= MOST_CELLS:
            rows = tuple(tuple(_cell(cell) for cell in row) for row in block.rows)
            yield replace(block, text=text.part(0, min(len(text.text), _LONGEST_PIECE)), rows=rows)
        return
    while len(text.text) > _LONGEST_PIECE:
        ends = [match.end() for match in _END.finditer(text.text, _LONGEST_PIECE // 2, _LONGEST_PIECE)]
        cut = ends[-1] if ends else _LONGEST_PIECE
        yield replace(block, text=text.part(0, cut).strip())
        text = text.part(cut, len(text.text))
    if text.text.strip():
        yield replace(block, text=text)


def _cell(cell: Text) -> Text:
    short = cell.part(0, min(len(cell.text), _LONGEST_CELL)).edited(_LONG_WORD, fill=" ")
    return short if short.text else cell.part(0, 0)
