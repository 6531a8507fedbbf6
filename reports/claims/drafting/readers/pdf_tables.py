"""Find the tables of a PDF's page by where its words stand: columns are apart by two spaces or more.

page_tables(layout) -> tables, of the text that pypdf extracts in its layout mode
placed(table, page, start) -> the table with the places of its cells in the text that it extracts plainly
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evals.errors import InputError
from evals.reports.claims.language.sources.articles import Block, SourcePlace, Text, plain
from evals.reports.claims.language.tables.printed_cells import read_cell

_SEGMENT = re.compile(r"\S+(?: \S+)*")
_CAPTION = re.compile(r"\s*(?:Table|Tab\.|Figure|Fig\.|表|图)\s?[\dIVX]+")
_ENDS_WITH_A_NUMBER = re.compile(r"(?m)^(?=[^\n]{0,200}[^\W\d])[^\n]{1,300}\d[%)\]BKMx×*†‡]{0,3}[ \t]*$")
_MEASURED = re.compile(r"\W*\d+\.\d")
"""A value, which no header begins with."""
_MOST_HEADER_LINES, _WIDEST_TITLE = 5, 60
WordGroup = tuple[int, int, str]
"""Words of a line: where they begin and end, and what they are."""


@dataclass(frozen=True, slots=True)
class LaidTable:
    """A table as it stands on a page; the first column names the rows, and may be empty."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """A table in the text of its document, with the place of all that it prints."""

    span: SourcePlace
    block: Block


def has_rows(page: str) -> bool:
    """Whether the plain text of a page has lines that may be rows: two or more that end with a number."""
    return len(_ENDS_WITH_A_NUMBER.findall(page)) > 1


def page_tables(layout: str) -> list[LaidTable]:
    r'''Find the tables of a page.

    Args:
        layout: its text with the words where they stand, as pypdf's layout mode gives it.

    Example:
        >>> page = """Model      Params (B)   Active Params (B)
        ... Otter 2    40           3.7
        ... Tern       70           70
        ... """
        >>> page_tables(page)[0].header, page_tables(page)[0].rows[0]
        (('Model', 'Params (B)', 'Active Params (B)'), ('Otter 2', '40', '3.7'))
    '''
    lines = [line.rstrip() for line in layout.splitlines()]
    gutter = _gutter(lines)
    halves = (
        [lines]
        if gutter is None
        else [[line[:gutter] for line in lines], [" " * gutter + line[gutter:] for line in lines]]
    )
    return [table for half in halves for table in _tables(list(map(_segments, half)))]


def placed(table: LaidTable, page: str, start: int) -> PlacedTable | None:
    """Find a table in the plain text of its page; None if a row is not there as a whole.

    Args:
        table: the table.
        page: the plain text of the page.
        start: the place of the page in the text of the document.
    """
    places = [number for number, character in enumerate(page) if not character.isspace()]
    bare = "".join(page[number] for number in places)
    last, rows = 0, []
    for row in table.rows:
        first = bare.find(_bare("".join(row)), last)
        if first < 0:
            return None
        last, cells = first, []
        for cell in row:
            width = len(_bare(cell))
            cells.append(_text(page, start, places[last], places[last + width - 1] + 1) if width else None)
            last += width
        rows.append(cells)
    begin = next(cell for cell in rows[0] if cell is not None).starts[0]
    empty = Text("", [], [])
    header = tuple(Text(name, [begin] * len(name), [begin] * len(name)) for name in table.header)
    body = tuple(tuple(cell or empty for cell in row) for row in rows)
    top = _header_start(page, page.rfind("\n", 0, begin - start) + 1, table.header)
    after = page.find("\n", places[last - 1])
    end = start + (len(page) if after < 0 else after)
    caption = _caption(page, start, top, end - start)
    return PlacedTable((start + top, end), Block("table", caption, rows=(header, *body), headers=1))


def _bare(text: str) -> str:
    return re.sub(r"\s", "", text)


def _text(page: str, start: int, first: int, end: int) -> Text:
    """The text of a cell; a name that is broken after a hyphen is joined."""
    return plain(page[first:end], start + first).edited(re.compile(r"(?<=-)\s+"))


def _header_start(page: str, first: int, header: Sequence[str]) -> int:
    """Where the lines above the rows begin whose words all are of the header."""
    words = {word for name in header for word in name.split()}
    while first > 0:
        above = page.rfind("\n", 0, first - 1) + 1
        line = page[above:first].split()
        if not line or not words.issuperset(line):
            break
        first = above
    return first


def _caption(page: str, start: int, top: int, end: int) -> Text:
    """The caption next to a table: of the lines below it, else of those above."""
    below = re.compile(r"\s*(?P<caption>(?:Table|表)\s?[\dIVX]+.*)").match(page, end)
    above = list(re.finditer(r"(?m)^(?P<caption>\s*(?:Table|表)\s?[\dIVX]+.*)$", page[max(0, top - 400) : top]))
    if below:
        return plain(below["caption"], start + below.start("caption"))
    if above:
        return plain(above[-1]["caption"], start + max(0, top - 400) + above[-1].start("caption"))
    return plain("", start)


def _gutter(lines: Sequence[str]) -> int | None:
    """The column of spaces between the two columns of a page's text; None if it has one."""
    width = max(map(len, lines), default=0)
    full = [line for line in lines if len(line) > width * 0.75]
    if len(full) < 15:
        return None
    for place in sorted(range(int(width * 0.4), int(width * 0.6)), key=lambda n: abs(n - width // 2)):
        clear = sum(line[place : place + 2].isspace() for line in full)
        if clear > 0.95 * len(full) and sum(len(line[:place].split()) > 3 for line in full) * 2 > len(full):
            return place
    return None


def _segments(line: str) -> list[WordGroup]:
    """The words of a line that stand together; several values in a row are apart."""
    segments: list[WordGroup] = []
    for match in _SEGMENT.finditer(line):
        words = list(re.finditer(r"\S+", match[0]))
        values = [_is_value(word[0]) and re.search(r"\d", word[0]) is not None for word in words]
        apart = words if len(words) > 1 and all(values) else [match]
        base = match.start() if apart is words else 0
        segments += [(base + word.start(), base + word.end(), word[0]) for word in apart]
    return segments


def _is_value(text: str) -> bool:
    """Whether a cell prints a number, or nothing."""
    try:
        read_cell(text)
    except InputError:
        return False
    return True


def _is_row(segments: Sequence[WordGroup]) -> bool:
    values = [text for _, _, text in segments[1:] if _is_value(text)]
    return len(values) * 2 >= len(segments) > 1 and any(re.search(r"\d", text) for text in values)


def _tables(lines: Sequence[Sequence[WordGroup]]) -> Iterator[LaidTable]:
    """Yield the tables of lines: rows one below the other, with a header above them."""
    number = 0
    while number < len(lines):
        if not _is_row(lines[number]):
            number += 1
            continue
        rows: list[Sequence[WordGroup]] = []
        first = last = number
        while number < len(lines) and number - last <= 2:
            line = lines[number]
            if line and _CAPTION.match(line[0][2]):
                break
            if _is_row(line):
                rows += [*lines[last + 1 : number], line] if rows else [line]
                last = number
            elif len(line) > 1 or (line and len(line[0][2]) > _WIDEST_TITLE):
                break
            number += 1
        ends_open = rows[-1][0][2].endswith("-") and last + 1 < len(lines) and len(lines[last + 1]) == 1
        rows += [lines[last + 1]] if ends_open else []
        table = _table(lines[max(0, first - _MOST_HEADER_LINES - 2) : first], [row for row in rows if row])
        if table is not None:
            yield table
        number = max(number, last + 1)


def _table(above: Sequence[Sequence[WordGroup]], rows: Sequence[Sequence[WordGroup]]) -> LaidTable | None:
    """Build a table of rows; None if their columns do not fit, or if one of them has no header."""
    counts = Counter(len(row) for row in rows if _is_row(row))
    width, usual = counts.most_common(1)[0]
    if usual < 2 or max(counts) > width or usual * 2 < sum(counts.values()):
        return None
    full = [row for row in rows if len(row) == width and _is_row(row)]
    columns = [(min(row[n][0] for row in full), max(row[n][1] for row in full)) for n in range(width)]
    names = _headers(above, columns)
    if names is None or not all(names[1:]) or len({*names[1:]}) < width - 1 or any(map(_MEASURED.match, names[1:])):
        return None
    body: list[list[str]] = []
    for row in rows:
        if len(row) == 1 and body and body[-1][0].endswith("-"):
            body[-1][0] += row[0][2]
            continue
        cells = [""] * width
        for n, segment in zip(_assigned(row, columns), row, strict=True):
            if cells[n]:
                return None
            cells[n] = segment[2]
        body.append(cells)
    while body and not any(body[-1][1:]):
        body.pop()
    return LaidTable(tuple(names), tuple(map(tuple, body))) if len(body) > 1 else None


def _assigned(row: Sequence[WordGroup], columns: Sequence[SourcePlace]) -> list[int]:
    """The column of each of a line's segments: in order if there is one for each, else the nearest one."""
    if len(row) == len(columns):
        return list(range(len(columns)))
    return [min(range(len(columns)), key=lambda n: _distance(segment, columns[n])) for segment in row]


def _distance(segment: WordGroup, column: SourcePlace) -> tuple[int, float]:
    start, end, _ = segment
    overlap = min(end, column[1]) - max(start, column[0])
    return -max(overlap, 0), abs((start + end) - sum(column)) / 2


def _headers(above: Sequence[Sequence[WordGroup]], columns: Sequence[SourcePlace]) -> list[str] | None:
    """Join the lines above the rows into the names of the columns; None if the nearest one is no header."""
    names: list[list[str]] = [[] for _ in columns]
    left, right = columns[0][0], columns[-1][1]
    taken = blanks = 0
    for line in reversed(above):
        if not line:
            blanks += 1
            if taken or blanks > 1:
                break
            continue
        is_outside = line[0][0] < left - 3 or line[-1][1] > right + 30
        is_prose = any(len(text) > _WIDEST_TITLE // 2 + 10 for _, _, text in line) or _CAPTION.match(line[0][2])
        if taken == _MOST_HEADER_LINES or is_outside or is_prose or _is_row(line) or len(line) > len(columns):
            break
        for n, name in _heads(line, columns):
            names[n].insert(0, name)
        taken += 1
    return [" ".join(parts) for parts in names] if taken else None


def _heads(line: Sequence[WordGroup], columns: Sequence[SourcePlace]) -> Iterator[tuple[int, str]]:
    """Yield the columns that each segment of a header stands above: all those that it spans."""
    nearest = _assigned(line, columns)
    if len(line) >= len(columns) - 1 and len({*nearest}) < len(line):
        nearest = list(range(len(columns) - len(line), len(columns)))
    for segment, column in zip(line, nearest, strict=True):
        spanned = [n for n in range(1, len(columns)) if segment[0] <= sum(columns[n]) / 2 <= segment[1]]
        for n in spanned if len(spanned) > 1 and len(line) < len(columns) - 1 else [column]:
            yield n, segment[2]
