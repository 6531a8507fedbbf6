"""Read HTML with the place of every character.

The parser of the standard library gives the place of each tag and text, which trafilatura and lxml do not. Of a page
only `article` or `main` is read, if it has one; navigation, headers, footers, buttons, scripts, styles and code are
left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from html.parser import HTMLParser

from evals.reports.claims.drafting.readers.html_rows import TableUnderWay, add_cell, count, fill_from_above
from evals.reports.claims.drafting.readers.latex_commands import formulas
from evals.reports.claims.drafting.readers.latex_text import symbols
from evals.reports.claims.language.sources.articles import Article, Block, Text, TextBuilder

_SKIPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "math",
        "nav",
        "footer",
        "header",
        "aside",
        "form",
        "button",
        "select",
        "textarea",
        "iframe",
        "object",
        "canvas",
        "pre",
        "code",
        "head",
        "sup",
    ]
)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
_BLOCKS = frozenset(
    [
        "p",
        "div",
        "section",
        "article",
        "main",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "td",
        "th",
        "caption",
        "blockquote",
        "figure",
        "figcaption",
        "details",
        "summary",
        "body",
        "html",
        "address",
        "fieldset",
        "hgroup",
    ]
)
_DEEPEST = 300
"""Limit on the nesting of elements; those further inside count as text of the last one."""
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_BEGINS_CELL = re.compile(r"<t[hd](?:\s[^<>]*)?>\s*\Z", re.I)
"""A cell that is small throughout: `<th><sup>Otter 2</sup></th>`."""
_SUPERSCRIPT_NUMBER = re.compile(r"\d")


class _PageParser(HTMLParser):
    """Collects the blocks of a page."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=False)
        self.source = source
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", source))]
        self.open: list[str] = []
        self.skipped_at: int | None = None
        self.builder = TextBuilder()
        self.blocks: list[tuple[Block, tuple[str, ...]]] = []
        self.tables: list[TableUnderWay] = []
        self.title = ""
        self.feed(source)
        self.close()
        self._flush()

    def _place(self) -> int:
        line, column = self.getpos()
        return self.line_starts[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            if tag in {"br", "hr", "img"} and self.skipped_at is None:
                self._space("\n" if tag == "br" else " ")
            return
        if len(self.open) >= _DEEPEST:
            return
        if tag in {"li", "p", "tr", "td", "th", "dt", "dd", "option"}:
            self._close_implied(tag)
        self.open.append(tag)
        if self.skipped_at is not None:
            return
        if tag == "span" and self.source.endswith("</span>", 0, self._place()):
            self._space(" ")
        values = {name: value or "" for name, value in attrs}
        is_hidden = "hidden" in values or values.get("aria-hidden") == "true" or _HIDDEN.search(values.get("style", ""))
        is_page_part = tag in {"header", "aside"} and "article" in self.open
        begins_cell = tag == "sup" and _BEGINS_CELL.search(self.source, max(0, self._place() - 300), self._place())
        is_shown = is_page_part or begins_cell or (tag == "code" and "pre" not in self.open)
        if is_hidden or (tag in _SKIPPED and not is_shown):
            self.skipped_at = len(self.open)
        elif tag in _BLOCKS:
            self._flush()
            self._enter(tag)
            if self.tables and tag in {"td", "th"}:
                self.tables[-1].spans = (count(values.get("rowspan", "")), count(values.get("colspan", "")))

    def _enter(self, tag: str) -> None:
        if tag == "table":
            self.tables.append(TableUnderWay())
        elif self.tables and tag == "tr":
            self.tables[-1].rows.append([])
            self.tables[-1].is_header_row = True
        elif self.tables and tag == "thead":
            self.tables[-1].in_head = True
        elif self.tables and tag == "td" and not self.tables[-1].in_head:
            first = bool(self.tables[-1].rows) and not self.tables[-1].rows[-1]
            self.tables[-1].is_header_row = self.tables[-1].is_header_row and False if not first else False

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.open:
            return
        while self.open:
            last = self.open[-1]
            if self.skipped_at is None and last in _BLOCKS:
                self._leave(last)
            self.open.pop()
            if self.skipped_at is not None and len(self.open) < self.skipped_at:
                self.skipped_at = None
            if last == tag:
                return

    def _close_implied(self, tag: str) -> None:
        """Close an element whose end tag is left out: `<li>` after `<li>`."""
        same = {
            "td": {"td", "th"},
            "th": {"td", "th"},
            "tr": {"td", "th", "tr"},
            "dt": {"dt", "dd"},
            "dd": {"dt", "dd"},
        }.get(tag, {tag})
        if self.open and self.open[-1] in same:
            self.handle_endtag(self.open[-1])
            if tag == "tr" and self.open and self.open[-1] == "tr":
                self.handle_endtag("tr")

    def _leave(self, tag: str) -> None:
        if self.tables and tag in {"td", "th"}:
            if self.tables[-1].rows:
                add_cell(self.tables[-1], self._take())
        elif self.tables and tag == "caption":
            self.tables[-1].caption = self._take()
        elif self.tables and tag == "tr":
            table = self.tables[-1]
            if table.rows:
                fill_from_above(table)
            if (table.in_head or table.is_header_row) and len(table.rows) == table.header_rows + 1:
                table.header_rows += 1
        elif self.tables and tag == "thead":
            self.tables[-1].in_head = False
        elif self.tables and tag == "table":
            self._add_table(self.tables.pop())
        else:
            self._flush()

    def _add_table(self, table: TableUnderWay) -> None:
        rows = [row for row in table.rows if row]
        width = max((len(row) for row in rows), default=0)
        if width < 2 or len(rows) < 2:
            for row in rows:
                self.blocks += [(Block("paragraph", cell), tuple(self.open)) for cell in row if cell.text.strip()]
            return
        place = rows[0][0].starts[0] if rows[0][0].text else self._place()
        empty = Text(" ", [place], [place])
        padded = tuple(
            tuple(cell if cell.text else empty for cell in (*row, *[empty] * (width - len(row)))) for row in rows
        )
        caption = table.caption or Text("", [], [])
        self.blocks.append(
            (
                Block("table", caption, rows=padded, headers=min(max(table.header_rows, 1), len(padded) - 1)),
                tuple(self.open),
            )
        )

    def handle_data(self, data: str) -> None:
        if "title" in self.open:
            self.title += html.unescape(data)
        if self.skipped_at is None and "title" not in self.open:
            start = self._place()
            for offset, character in enumerate(data):
                self.builder.put(
                    " " if character in "\n\r\t\f\u00a0" else character, start + offset, start + offset + 1
                )

    def handle_entityref(self, name: str) -> None:
        self._entity(f"&{name}")

    def handle_charref(self, name: str) -> None:
        self._entity(f"&#{name}")

    def _entity(self, text: str) -> None:
        start = self._place()
        end = start + len(text)
        end += self.source[end : end + 1] == ";"
        character = html.unescape(self.source[start:end])
        if "title" in self.open:
            self.title += character
        elif self.skipped_at is None:
            self.builder.put(" " if character in "\u00a0\u202f\u2009\u2002\u2003" else character, start, end)

    def _space(self, character: str) -> None:
        place = self._place()
        self.builder.put(character, place, place)

    def _take(self) -> Text:
        text = _with_formulas(_without_runs(self.builder.build())).strip()
        self.builder = TextBuilder()
        return text

    def _flush(self) -> None:
        text = self._take()
        if not text.text:
            return
        if self.tables:  # text of a cell with paragraphs inside: keep it for the cell
            self.builder.copy(text, 0, len(text.text))
            self.builder.put(" ", text.ends[-1], text.ends[-1])
            return
        tag = next((name for name in reversed(self.open) if name in _BLOCKS), "p")
        level = int(tag[1]) if re.fullmatch(r"h[1-6]", tag) else 0
        kind = "heading" if level else "item" if tag in {"li", "dd"} else "paragraph"
        self.blocks.append((Block(kind, text, level=level), tuple(self.open)))  # type: ignore[arg-type]


def html_tables(source: str, start: int, end: int) -> list[Block]:
    """Return the tables of a part of a source that holds HTML, with their places in the whole source."""
    parser = _PageParser(source[start:end])
    return [_moved(block, start) for block, _ in parser.blocks if block.kind == "table"]


def _moved(block: Block, offset: int) -> Block:
    """The block of a part, with its places in the whole."""

    def move(text: Text) -> Text:
        return Text(text.text, [place + offset for place in text.starts], [place + offset for place in text.ends])

    rows = tuple(tuple(map(move, row)) for row in block.rows)
    return Block(block.kind, move(block.text), block.level, rows, block.headers)


def _with_formulas(text: Text) -> Text:
    """Read what a script of the page prints as formulas, such as `$2t$`; a lone dollar sign stays one."""
    if "$" in text.text or "\\(" in text.text:
        text = formulas(text, is_markdown=True)
    return symbols(text, in_math=True) if "\\" in text.text else text


def _without_runs(text: Text) -> Text:
    return text.edited(re.compile(r"(?<= ) +|(?<=\n)[ \n]+"))


def read_html(source: str) -> Article:
    """Read a page.

    Example:
        >>> article = read_html("<h1>Otter</h1><p>It takes <b>0.8&nbsp;s</b>, 2&times; less.</p>")
        >>> article.blocks[1].text.text, article.blocks[1].text.span(9, 14)
        ('It takes 0.8 s, 2× less.', (29, 39))
    """
    reader = _PageParser(source)
    blocks = _main_part(reader.blocks)
    heading = next((block.text.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    return Article(source, _with_statistics(blocks), " ".join((heading or reader.title).split()), is_marked_up=True)


def _main_part(blocks: Sequence[tuple[Block, tuple[str, ...]]]) -> list[Block]:
    """The blocks in `article`, else in `main`, if these hold a third of the text at least; else all."""
    everything = [block for block, _ in blocks]
    size = sum(_size(block) for block in everything)
    for tag in ("main", "article"):
        inner = [block for block, path in blocks if tag in path]
        if sum(_size(block) for block in inner) * 3 >= size > 0 and inner:
            return inner
    return everything


def _size(block: Block) -> int:
    return len(block.text.text) + sum(len(cell.text) for row in block.rows for cell in row)


def _with_statistics(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Join a lone number with the words below it: the statistics of a marketing page are set in two elements."""
    joined: list[Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        is_lone = (
            last is not None
            and last.kind == "paragraph"
            and len(last.text.text) <= 14
            and _SUPERSCRIPT_NUMBER.search(last.text.text) is not None
        )
        if last is not None and is_lone and block.kind == "paragraph" and len(block.text.text) <= 60:
            builder = TextBuilder()
            builder.copy(last.text, 0, len(last.text.text))
            builder.put(" ", last.text.ends[-1], last.text.ends[-1])
            builder.copy(block.text, 0, len(block.text.text))
            joined[-1] = Block("paragraph", builder.build())
        else:
            joined.append(block)
    return tuple(joined)
