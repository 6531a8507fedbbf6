"""Lay out a source document with its claims highlighted in place, for the page.

    annotated(checked, document, article) -> AnnotatedArticle
    AnnotatedBlock   a heading, a paragraph, an item or a table, with the notes of the claims that end in it
    Segment          a part of a text with the mark of the worst claim that covers it, and the claims that end there

Time grows with the length of the document and the number of claims: overlapping claims are counted by a sweep over
their ends and not compared with each other.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from evals.reports.claims.language.sources.articles import Article, Block, SourcePlace, Text, plain
from evals.reports.claims.language.sources.placement import PlacedArticle

TONES = ("against", "doubt", "for", "open")
"""The marks of claims, the worst first."""
_UNSEEN = re.compile(
    r"<!--.*?-->|<[^<>]*>|^\s*\]\([^()\s]*\)|!?\[[^\[\]]*\](?:\([^()]*\)|\[[^\[\]]*\]|:[^\n]*)|"
    r"^\s*(?:```|~~~)\w{0,20}[ \t]*$",
    re.S | re.M,
)
"""Comments, tags, images, links, the end of one whose words are a block, and the marks of code in Markdown."""
_RULE_AT_END = re.compile(r"\n[ \t]*(?:-{3,}|\+{3,})\s*$")
"""The line that closes the header of a document, whose first line is not shown either."""
_WORD = re.compile(r"[A-Za-z%°×]{1,12}(?![A-Za-z0-9])")
_CODE = "code"
_LONGEST_LABEL = 12
"""Limit on the characters of a heading's or an item's number."""
_LONGEST = 100_000
"""Limit on the characters of a part of code."""
_MOST_LOOKED_AT = 8
"""Limit on the texts that are looked at for the end of a claim; texts overlap only in nested tables."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a text."""

    text: str
    tone: str | None
    """The mark of the worst claim that covers it; None: no claim does."""
    ends: tuple[str, ...] = ()
    """The IDs of the claims whose last character in this document is the segment's last."""


@dataclass(slots=True)
class AnnotatedBlock:
    """A part of the document."""

    kind: str
    """heading, paragraph, item, table or code."""
    level: int
    """The level of a heading on the page, from 3; the indentation of an item."""
    segments: list[Segment]
    """The text; for a table its caption."""
    rows: list[list[list[Segment]]] = field(default_factory=list)
    headers: int = 0
    """The number of rows of the header."""
    label: str = ""
    """The number or sign before it in the source."""

    @property
    def ids(self) -> Iterator[str]:
        """The claims that end in this part, in order."""
        for segments in (self.segments, *(cell for row in self.rows for cell in row)):
            for segment in segments:
                yield from segment.ends


@dataclass(frozen=True, slots=True)
class AnnotatedArticle:
    """A document with its claims in place."""

    blocks: list[AnnotatedBlock]
    hidden: Mapping[str, SourcePlace]
    """Claims that have a place in the source which the page does not show: code, addresses, navigation."""


def annotated(placed: PlacedArticle, tones: Mapping[str, str]) -> AnnotatedArticle:
    """Lay out a document.

    Args:
        placed: the document and the places of its claims.
        tones: the mark of each placed claim, one of `TONES`.

    Example:
        >>> from evals.reports.claims.language.sources.articles import plain
        >>> article = Article("It scores 78.3 %.", (Block("paragraph", plain("It scores 78.3 %.")),))
        >>> laid_out = annotated(PlacedArticle(article, {"C-1": (10, 16)}, {}), {"C-1": "for"})
        >>> [(part.text, part.tone, part.ends) for part in laid_out.blocks[0].segments]
        [('It scores ', None, ()), ('78.3 %', 'for', ('C-1',)), ('.', None, ())]
    """
    blocks = [*_with_code(placed.article)]
    texts = [text for block, _ in blocks for text in _texts(block) if text.text]
    ends, hidden = _ends(texts, placed.places)
    painter = _Painter(placed.places, tones, ends)
    return AnnotatedArticle([*_annotated(blocks, painter)], hidden)


def _with_code(article: Article) -> Iterator[tuple[Block, str]]:
    """Yield the blocks of an article, and for text and Markdown what is in none: code, mostly.

    Each block is given with its number or sign in the source ("3.1"), and what is in none with `_CODE`.
    """
    last, source = 0, article.source
    for block in article.blocks:
        places = [place for text in _texts(block) if text.text for place in (text.starts[0], text.ends[-1])]
        label = ""
        if places and not article.is_marked_up:
            end = max(last, *places)
            code, label = _between(source, last, max(last, min(places)))
            last = end
            yield from ((part, _CODE) for part in code)
        yield block, label
    if not article.is_marked_up:
        yield from ((part, _CODE) for part in _between(source, last, len(source))[0])


def _between(source: str, start: int, end: int) -> tuple[list[Block], str]:
    """What stands between two blocks: the lines that a reader would see something of, and the number of the next."""
    cut = end if end == len(source) else source.rfind("\n", start, end) + 1 or start
    label = source[cut:end].strip(" \t#*>+_`~-•[")
    if len(label) > _LONGEST_LABEL or not re.search(r"\w", label):
        label = ""
    first_line = source.find("\n", start, cut)
    if first_line >= 0 and not re.search(r"\w", _UNSEEN.sub("", source[start:first_line])):
        start = first_line
    lines = _RULE_AT_END.sub("", source[start:cut]).strip("\r\n")
    if not re.search(r"\w", _UNSEEN.sub("", lines)):
        return [], label
    begin = source.index(lines, start)
    return [Block("paragraph", plain(lines[at : at + _LONGEST], begin + at)) for at in _starts(lines)], label


def _starts(lines: str) -> range:
    return range(0, len(lines), _LONGEST)


def _texts(block: Block) -> Iterator[Text]:
    yield block.text
    for row in block.rows:
        yield from row


def _ends(
    texts: Sequence[Text], places: Mapping[str, SourcePlace]
) -> tuple[dict[int, dict[int, list[str]]], dict[str, SourcePlace]]:
    """Find the last shown character of each claim: for each text, its characters with the claims that end there."""
    order = sorted(range(len(texts)), key=lambda number: texts[number].starts[0])
    begins = [texts[number].starts[0] for number in order]
    ends: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    hidden = {}
    for id, (start, end) in places.items():
        last = bisect_left(begins, end)
        for number in reversed(order[max(0, last - _MOST_LOOKED_AT) : last]):
            character = bisect_left(texts[number].starts, end) - 1
            if texts[number].ends[character] > start:
                ends[id_of(texts[number])][character].append(id)
                break
        else:
            hidden[id] = (start, end)
    return ends, hidden


def _after_words(text: str, ends: Mapping[int, list[str]]) -> dict[int, list[str]]:
    """Move the ends of claims behind the letters of a unit: the number of `32K` is 32.

    Example:
        >>> _after_words("32K at 5", {1: ["C-1"], 7: ["C-2"]})
        {2: ['C-1'], 7: ['C-2']}
        >>> _after_words("better than V3", {10: ["C-1"]})
        {10: ['C-1']}
    """
    moved: dict[int, list[str]] = {}
    for end, ids in ends.items():
        word = _WORD.match(text, end + 1) if text[end].isdecimal() else None
        moved.setdefault(end if word is None else word.end() - 1, []).extend(ids)
    return moved


def id_of(text: Text) -> int:
    """Return what tells a text apart from others of the article; a label that several rows show is one text."""
    return id(text)


class _Painter:
    """Cuts texts where the mark changes or a claim ends."""

    def __init__(
        self, places: Mapping[str, SourcePlace], tones: Mapping[str, str], ends: dict[int, dict[int, list[str]]]
    ) -> None:
        self.ends = ends
        changes: dict[int, list[int]] = defaultdict(lambda: [0] * len(TONES))
        for id, (start, end) in places.items():
            changes[start][TONES.index(tones[id])] += 1
            changes[end][TONES.index(tones[id])] -= 1
        self.cuts: list[int] = [0]
        self.tones: list[str | None] = [None]
        covering = [0] * len(TONES)
        for place in sorted(changes):
            covering = [count + change for count, change in zip(covering, changes[place], strict=True)]
            tone = next((tone for tone, count in zip(TONES, covering, strict=True) if count), None)
            if tone != self.tones[-1]:
                self.cuts.append(place)
                self.tones.append(tone)

    def segments(self, text: Text) -> list[Segment]:
        """Return a text in parts; the claims that end in it are given once."""
        if not text.text:
            return []
        ends = _after_words(text.text, self.ends.pop(id_of(text), {}))
        cuts = {0, len(text.text), *(character + 1 for character in ends)}
        first, last = bisect_right(self.cuts, text.starts[0]), bisect_left(self.cuts, text.ends[-1])
        cuts |= {bisect_left(text.starts, place) for place in self.cuts[first:last]}
        return [
            Segment(text.text[start:end], self._tone(text.starts[start]), tuple(ends.get(end - 1, ())))
            for start, end in pairwise(sorted(cuts))
        ]

    def _tone(self, place: int) -> str | None:
        return self.tones[bisect_right(self.cuts, place) - 1]


def _annotated(blocks: Sequence[tuple[Block, str]], painter: _Painter) -> Iterator[AnnotatedBlock]:
    """Yield the parts; the levels of headings are made to increase by one at a time."""
    levels: list[int] = []
    for block, label in blocks:
        kind = _CODE if label == _CODE else "heading" if block.kind == "title" else block.kind
        level = block.level
        if kind == "heading":
            while levels and levels[-1] >= block.level:
                levels.pop()
            levels.append(block.level)
            level = min(2 + len(levels), 6)
        segments = painter.segments(block.text)
        rows = [[painter.segments(cell) for cell in row] for row in block.rows]
        if segments or rows:
            yield AnnotatedBlock(kind, level, segments, rows, block.headers, label if kind != _CODE else "")
