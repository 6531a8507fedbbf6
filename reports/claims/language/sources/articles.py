"""The parts of an article: headings, paragraphs, list items and tables, each with the places of its characters.

    Text     plain text, and for each of its characters the code points of the source that print it
    Block    a heading, a paragraph, an item of a list, or a table
    Article  the blocks in the order of the document

Marks (`**`, tags, commands) are no part of a `Text`, so that a number is read as a reader sees it; `Text.span` leads
back to the source.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

BlockKind = Literal["title", "heading", "paragraph", "item", "table"]
SourcePlace = tuple[int, int]
"""The first code point and the one after the last."""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text of an article, each character with its place in the source."""

    text: str
    starts: Sequence[int]
    """For each character, the code point of the source where what prints it begins."""
    ends: Sequence[int]
    """For each character, the code point after what prints it: `&times;` prints one character and has seven."""

    def span(self, start: int, end: int) -> SourcePlace:
        """Return the place in the source of the characters from `start` to `end`."""
        return self.starts[start], self.ends[end - 1]

    def part(self, start: int, end: int) -> Text:
        """Return a part, with its places."""
        return Text(self.text[start:end], self.starts[start:end], self.ends[start:end])

    def strip(self) -> Text:
        """Return the text without white space at its ends."""
        start = len(self.text) - len(self.text.lstrip())
        return self.part(start, max(start, len(self.text.rstrip())))

    def edited(self, pattern: re.Pattern[str], group: int | None = None, fill: str = "") -> Text:
        """Return the text without the matches of a pattern, or with only a group of them.

        Args:
            pattern: what to look for.
            group: the group of the match that stays; None removes the match.
            fill: a character that stands for what is removed, if nothing stays.

        Example:
            >>> plain("a **b** c").edited(re.compile(r"[*]{2}(.+?)[*]{2}"), group=1).span(2, 3)
            (4, 5)
        """
        builder, last = TextBuilder(), 0
        for match in pattern.finditer(self.text):
            builder.copy(self, last, match.start())
            if group is not None and match.start(group) >= 0:
                builder.copy(self, *match.span(group))
            elif fill:
                builder.put(fill, *self.span(*match.span()))
            last = match.end()
        builder.copy(self, last, len(self.text))
        return builder.build()


@dataclass(slots=True)
class TextBuilder:
    """Collects characters with their places."""

    characters: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def put(self, text: str, start: int, end: int) -> None:
        """Add characters that the code points from `start` to `end` print together."""
        for character in text:
            self.characters.append(character)
            self.starts.append(start)
            self.ends.append(end)

    def copy(self, text: Text, start: int, end: int) -> None:
        """Add a part of a text."""
        self.characters += text.text[start:end]
        self.starts += text.starts[start:end]
        self.ends += text.ends[start:end]

    def build(self) -> Text:
        """Return the text collected so far."""
        return Text("".join(self.characters), self.starts, self.ends)


def plain(text: str, start: int = 0) -> Text:
    """Return a text that stands in the source as it is, from the code point `start` on."""
    return Text(text, range(start, start + len(text)), range(start + 1, start + len(text) + 1))


EMPTY = plain("")


def joined(lines: Sequence[Text]) -> Text:
    r"""Return lines as one text; a line break stands for what the source has between two of them.

    Example:
        >>> joined([plain("a"), plain("b", 3)]).text, joined([plain("a"), plain("b", 3)]).span(1, 2)
        ('a\nb', (1, 3))
    """
    builder = TextBuilder()
    for line in lines:
        if builder.characters:
            end = builder.ends[-1]
            builder.put("\n", end, line.starts[0] if line.text else end)
        builder.copy(line, 0, len(line.text))
    return builder.build()


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an article."""

    kind: BlockKind
    text: Text
    """The text; for a table its caption."""
    level: int = 0
    """The level of a heading, or the depth of a list item."""
    rows: tuple[tuple[Text, ...], ...] = ()
    """The cells of a table, the header's included."""
    headers: int = 0
    """The number of rows of the header."""


@dataclass(frozen=True, slots=True)
class Article:
    """An article as its reader sees it."""

    source: str
    """The text in which spans count: the file after UTF-8 decoding, or the text extracted from a PDF."""
    blocks: tuple[Block, ...]
    title: str = ""
    is_extracted: bool = False
    """Whether `source` was extracted from the file, so that it is not the file's own text."""
    is_marked_up: bool = False
    """Whether `source` has marks that a reader does not see (HTML, LaTeX)."""
    left_out: tuple[str, ...] = ()
    """What of it was not read, a line each."""

    @property
    def language(self) -> str:
        """`zh` if a fifth of the letters are Chinese, else `en`."""
        text = "".join(block.text.text for block in self.blocks)
        chinese = len(re.findall(r"[\u4e00-\u9fff]", text))
        return "zh" if chinese * 5 > len(re.findall(r"\w", text)) else "en"

    def line(self, position: int) -> int:
        """Return the number of the line of a code point, from 1, counted as `str.splitlines` does."""
        return max(1, bisect_right(line_starts(self.source), position))


@lru_cache(maxsize=4)
def line_starts(source: str) -> list[int]:
    r"""Return the code point where each line begins, as `str.splitlines` counts lines.

    Example:
        >>> line_starts("a\r\nbc\n")
        [0, 3]
    """
    starts, place = [], 0
    for line in source.splitlines(keepends=True):
        starts.append(place)
        place += len(line)
    return starts or [0]
