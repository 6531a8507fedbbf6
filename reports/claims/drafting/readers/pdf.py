"""Read a PDF: spans count the text that pypdf extracts from it.

The text has no marks: paragraphs, headings and items are told by their lines. Tables are found by where their words
stand on the page (`pdf_tables`), else as rows of numbers below a header with a word for each column. Other rows of
numbers are left out, because they would be taken for those of the sentence before.
"""

from __future__ import annotations

import io
import logging
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby

from evals.errors import InputError
from evals.reports.claims.drafting.readers.pdf_tables import PlacedTable, has_rows, page_tables, placed
from evals.reports.claims.language.sources.articles import Article, Block, Text, joined, plain

_MOST_PAGES = 300
_HEADING = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[A-Z](?:\.\d{1,2}){0,2})\s+[A-Z][A-Za-z].{0,80}|[A-Z][A-Z :-]{4,60}"
)
_SECTION_NUMBER = re.compile(r"(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[A-Z](?:\.\d{1,2}){0,2})\s+(?=[A-Z])")
_FOOTNOTE_NUMBER = re.compile(r"\d{1,2}(?=[A-Z][a-z]|https?:)")
_ITEM = re.compile(r"\s*(?:[•◦‣▪–]|\(\d{1,2}\)|\[\d{1,3}\])\s+")
_CAPTION = re.compile(r"\s*(?:Table|Figure|Fig\.|表|图)\s?\d+[.::|]")
_END = re.compile(r"[.!?:。!?:]['\")”]?\s*$")
_NUMBER = re.compile(r"[<>~≈]?[-+−]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[%kKMBTx×]|ms|s|GB|MB)?[*†‡§]*(?:±\d[\d.]*)?|[-–—]")
_CORNER = re.compile(r"(?:models?|methods?|systems?|name|approach|variant|模型|方法)\b", re.I)
_TWO_WORDS = re.compile(r"^\(|\.$")
"""A word of a header that belongs to the one before or after it: `(ms)`, `Avg.`."""
_DEVIATION = re.compile(r"\s?±\s?")
_FEWEST_NUMBERS, _FEWEST_REPEATS, _FEWEST_ROWS, _WIDEST_GROUP = 3, 3, 2, 40


def extract(content: bytes, name: str) -> tuple[str, list[PlacedTable]]:
    """Return the text of a PDF, its pages separated by form feeds, and the tables that stand in it.

    Raises:
        InputError: pypdf is not installed, the file is damaged or locked, or it has no text (a scan).
    """
    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ModuleNotFoundError:
        raise InputError(f"{name}: reading PDF needs pypdf: pip install 'claim-evals[pdf]'") from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of each font that it reads in part
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        pages = [page.extract_text() for page in reader.pages[:_MOST_PAGES]]
        laid = {
            number: page.extract_text(extraction_mode="layout")
            for number, page in enumerate(reader.pages[:_MOST_PAGES])
            if has_rows(pages[number])
        }
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OSError) as error:
        raise InputError(f"{name}: cannot be read as PDF: {' '.join(str(error).split())[:200]}") from error
    pages = [page.encode("utf-8", "replace").decode("utf-8") for page in pages]
    text = "\f".join(pages)
    if not text.strip():
        raise InputError(f"{name}: has no text to read; a scan needs text recognition first")
    starts = [0, *accumulate(len(page) + 1 for page in pages)]
    candidates = (placed(table, pages[n], starts[n]) for n, layout in laid.items() for table in page_tables(layout))
    return text, sorted((table for table in candidates if table), key=lambda table: table.span)


def read_pdf(content: bytes, name: str) -> Article:
    """Read a PDF; headings and tables are those that its text still shows.

    Raises:
        InputError: it cannot be read.
    """
    source, tables = extract(content, name)
    blocks = tuple(blocks_of(source, tables))
    title = next((block.text.text for block in blocks if len(block.text.text) > 8), "")
    return Article(source, blocks, " ".join(title.split())[:300], is_extracted=True)


def blocks_of(source: str, tables: Sequence[PlacedTable] = ()) -> Iterator[Block]:
    r"""Yield the parts of extracted text, each with its places.

    Args:
        source: the text.
        tables: those that are found already, in the order of the text.

    Example:
        >>> text = "1 Results\nOtter 2 reaches 78.3 %.\nModel MMLU RTE BoolQ\nOtter 70.1 65.0 71.2\nTern 6.0 5.1 7.3\n"
        >>> [(block.kind, block.text.text, len(block.rows)) for block in blocks_of(text)]
        [('heading', 'Results', 0), ('paragraph', 'Otter 2 reaches 78.3 %.', 0), ('table', '', 3)]
    """
    lines = list(_lines(source))
    wide = sorted(len(line.text) for line in lines)[len(lines) * 3 // 4] if lines else 0
    paragraph: list[Text] = []
    caption, top = plain(""), None
    for kind, group in groupby(lines, key=lambda line: _table_at(tables, line) or _cells(line) is not None):
        run = list(group)
        if isinstance(kind, PlacedTable):
            yield from _paragraph(paragraph)
            paragraph = []
            yield kind.block
            top = None
            continue
        if kind:
            top = _continued(top, paragraph, run) or _top(paragraph, run)
            table = _table(top, run, caption) if top else None
            yield from _paragraph(paragraph)
            paragraph = []
            if table is not None:
                yield table
            continue
        top = top if len(run) == 1 else None
        for line in run:
            if paragraph and _begins(line, paragraph[-1], wide):
                yield from _paragraph(paragraph)
                paragraph = []
            if _CAPTION.match(line.text):
                caption = line
            if _HEADING.fullmatch(line.text) and not _END.search(line.text):
                yield from _paragraph(paragraph)
                paragraph = []
                number = _SECTION_NUMBER.match(line.text)
                heading = line.part(number.end(), len(line.text)) if number else line
                yield Block("heading", heading, level=2 if number and "." in number[0] else 1)
            else:
                paragraph.append(line)
    yield from _paragraph(paragraph)


def _table_at(tables: Sequence[PlacedTable], line: Text) -> PlacedTable | None:
    """The table that a line is of."""
    number = bisect_right(tables, line.starts[0], key=lambda table: table.span[0]) - 1
    return tables[number] if number >= 0 and line.starts[0] < tables[number].span[1] else None


def _lines(source: str) -> Iterator[Text]:
    """Yield the lines without page numbers and without what is printed on every page."""
    places: list[Text] = []
    start = 0
    for raw in re.split(r"(?<=[\n\f])", source):
        line = plain(raw, start).strip()
        if footnote := _FOOTNOTE_NUMBER.match(line.text):
            line = line.part(footnote.end(), len(line.text))
        start += len(raw)
        if line.text and not re.fullmatch(r"\d{1,4}", line.text):
            places.append(line)
    repeated = Counter(line.text for line in places)
    yield from (line for line in places if repeated[line.text] < _FEWEST_REPEATS or _cells(line) is not None)


def _begins(line: Text, before: Text, wide: int) -> bool:
    """Whether a line begins a paragraph: it is marked, or the one before ends a sentence and leaves its line short."""
    if _ITEM.match(line.text) or _CAPTION.match(line.text):
        return True
    return _END.search(before.text) is not None and len(before.text) < wide * 0.8


def _paragraph(lines: Sequence[Text]) -> Iterator[Block]:
    if not lines:
        return
    text = joined(lines)
    mark = _ITEM.match(text.text)
    if mark:
        text = text.part(mark.end(), len(text.text))
    if text.text.strip():
        yield Block("item" if mark else "paragraph", text)


def _cells(line: Text) -> list[tuple[int, int]] | None:
    """The places of the numbers that end a line, if there are several and little else: a row of a table."""
    words = [match.span() for match in re.finditer(r"\S+(?:\s?±\s?\S+)?", line.text)]
    numbers = 0
    while numbers < len(words) and _NUMBER.fullmatch(_DEVIATION.sub("±", line.text[slice(*words[-1 - numbers])])):
        numbers += 1
    if numbers < _FEWEST_NUMBERS or len(words) - numbers > 2 * numbers + 2:
        return None
    return words[len(words) - numbers :]


def _columns(line: Text) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\S+", line.text)]


def _top(paragraph: list[Text], lines: Sequence[Text]) -> tuple[Text, ...] | None:
    """Take the header of rows from the lines above: a word for each column, and one for the names if there is one.

    A line that has a word twice is a row of words below the header: "Architecture MoE Dense MoE".
    """
    least = min(len(_cells(line) or []) for line in lines)
    number = len(paragraph) - 1
    while number >= 0 and len(_columns(paragraph[number])) in {least, least + 1}:
        line = paragraph[number]
        words = _columns(line)
        printed = [line.text[slice(*word)] for word in words]
        if any(_TWO_WORDS.search(word) or _NUMBER.fullmatch(word) or word == "&" for word in printed):
            return None
        has_corner = len(words) == least + 1 or _CORNER.match(line.text) is not None
        values = printed[1:] if has_corner else printed
        if len({*values}) == len(values):
            del paragraph[number:]
            corner = line.part(*words[0]) if has_corner else Text(" ", line.starts[:1], line.starts[:1])
            return corner, *(line.part(*word) for word in words[has_corner:])
        number -= 1
    return None


def _continued(top: tuple[Text, ...] | None, between: list[Text], lines: Sequence[Text]) -> tuple[Text, ...] | None:
    """Return the header of the table before, if at most the name of a group of rows stands between: "Coding Tasks"."""
    least = min(len(_cells(line) or []) for line in lines)
    is_group = not between or (len(between) == 1 and len(between[0].text) < _WIDEST_GROUP)
    if top is None or not is_group or least != len(top) - 1 or any(re.search(r"\d", line.text) for line in between):
        return None
    between.clear()
    return top


def _table(top: tuple[Text, ...], lines: Sequence[Text], caption: Text) -> Block | None:
    """Build a table of rows under a header; None if a row has no name."""
    count = len(top) - 1
    rows = [(line, (_cells(line) or [])[-count:]) for line in lines]
    names = [line.part(0, cells[0][0]).strip() for line, cells in rows]
    if len(rows) < _FEWEST_ROWS or not all(name.text for name in names):
        return None
    body = ((name, *(line.part(*cell) for cell in cells)) for name, (line, cells) in zip(names, rows, strict=True))
    return Block("table", caption, rows=(top, *body), headers=1)
