"""Read plain text and Markdown.

One reader serves both: text copied from a page keeps some of its Markdown, such as bars of tables and asterisks, and
lists may run on in one line. Code, links' addresses, comments, display formulas and the header are left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import pairwise

from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.readers.front_matter import front_matter
from evals.reports.claims.drafting.readers.html import html_tables
from evals.reports.claims.drafting.readers.latex_commands import formulas
from evals.reports.claims.drafting.readers.latex_text import symbols
from evals.reports.claims.language.sources.articles import Article, Block, Text, TextBuilder, joined, plain

_FENCE = re.compile(r"^\s*(```+|~~~+)")
_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s*(?=\S)")
_CHINESE_HEADING = re.compile(r"^\s*(?:第?[一二三四五六七八九十]+[、章节.]|[0-9]+(?:\.[0-9]+)+\s+(?=\S))")
_ITEM = re.compile(r"^(?P<indent>\s*)(?:[-*+•·◦]\s+|(?:\d{1,3}|[a-z])[.)]\s+)")
_RUN_ON = re.compile(r"(?<=[。:;:;.!?*])(?=(?:-\s|\d{1,2}\.\s?\*\*|#{2,4}\s))|(?<=\S)(?=#{3,4}\s)")
"""Where a list or a heading begins in the middle of a line, because the line ends were lost."""
_RULE = re.compile(r"^[\s|:+=—–-]*$")
_BAR = re.compile(r"(?<!\\)\|")
_CODE = pattern("markdown.code")
_RUN = re.compile(r"\s*[\w-]+ \(.{0,80}?\bpretrained=")
"""The line that an evaluation harness prints above its table: the model and the settings of the run."""
_HTML_TABLE = re.compile(r"<table\b.*?</table\s*>", re.S | re.I)
_HTML_BLOCK = re.compile(r"<(script|style|svg|pre|head)\b.*?</\1\s*>|<!--.*?-->", re.S | re.I)
_DISPLAY = re.compile(r"(?<![\\$])\$\$(?!\$)(?:[^$`]|\$(?!\$)){1,2000}?(?<!\\)\$\$(?!\$)")
"""A formula that stands apart from the text: `$$ L = 2t $$`."""
_TAG = re.compile(
    r"</?[A-Za-z][A-Za-z0-9-]*(?:\s+[A-Za-z_:@.-][\w:@.-]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'=<>`]+))?){0,40}\s*/?>"
)
"""A tag of HTML; what only stands between < and > may be text: `y<t`."""
_ENTITY = re.compile(r"&(?:[A-Za-z]{2,8}\d{0,2}|#\d{1,6}|#[xX][0-9a-fA-F]{1,5});")
_LINK = re.compile(r"\]\(|</?a\b", re.I)
_DATED = re.compile(r"\W*(?:19|20)\d{2}\s?[./年-]|\W*(?:News|Updates?|Changelog|更新|新闻)\b", re.I)
_SECTION = re.compile(
    r"\d|(?:Model |Project )?(?:Introduction|Overview|Summary|Abstract|Contents|About)\b|Table of|简介|目录", re.I
)
"""What the heading of a section begins with, which is no title."""
_LETTERS = re.compile(r"[^\W\d_]{2}")
_LONGEST_TITLE = 150
_MARKS: tuple[tuple[re.Pattern[str], int | None, str], ...] = (
    (re.compile(r"```.*$"), None, " "),
    (re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])"), None, " "),
    (re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^()]*(?:\([^()]*\)[^()]*)*\)"), 1, ""),
    (re.compile(r"\[([^\[\]]+)\]\[[^\]]*\]"), 1, ""),
    (re.compile(r"<br\s*/?>", re.I), None, " "),
    (re.compile(r"<sup\b[^>]*>.*?</sup>|\[\^[^\]]+\]", re.I), None, ""),
    (_TAG, None, ""),
    (re.compile(r"`([^`\n]*)`"), 1, ""),
    (re.compile(r"\*\*\*|\*\*|__(?=\w)|(?<=\w)__|~~"), None, ""),
    (re.compile(r"(?<![\w*])[*_](?=\S)([^*_\n]+?)(?<=\S)[*_](?![\w*])"), 1, ""),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), 1, ""),
    (re.compile(r"\\(?:,|;|!|mathbf|textbf|mathrm|text)(?![A-Za-z])"), None, " "),
)


def read_markdown(source: str) -> Article:
    r"""Read text or Markdown.

    Example:
        >>> article = read_markdown("# Otter\n\nIt scores **78.3 %**.")
        >>> article.title, article.blocks[1].text.text, article.blocks[1].text.span(10, 14)
        ('Otter', 'It scores 78.3 %.', (21, 25))
    """
    header = front_matter(source)
    text, tables = _blank(source[: header.end]) + _without_code(source[header.end :]), []
    for match in _HTML_TABLE.finditer(text):
        tables += html_tables(source, *match.span())
    text = _HTML_TABLE.sub(lambda match: _blank(match[0]), text)
    blocks = tuple(sorted([*_blocks(list(_lines(text))), *tables], key=_begin))
    return Article(source, blocks, _title(source, blocks, header.title))


def _begin(block: Block) -> int:
    """The place where a block begins."""
    texts = [block.text, *(cell for row in block.rows for cell in row)]
    return next((text.starts[0] for text in texts if text.text), 0)


def _without_code(source: str) -> str:
    """Blank HTML that is not text, comments, and display formulas; every character keeps its place."""
    text = re.sub(_HTML_BLOCK, lambda match: _blank(match[0]), source)
    return _DISPLAY.sub(lambda match: _blank(match[0]), text) if "$$" in text else text


def _blank(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)


def _lines(source: str) -> Iterator[Text]:
    """Yield the lines outside code, split where a list runs on in one line."""
    place, fence, width, code_seen = 0, "", 3, False
    raw_lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n|$)", source)[:-1]
    closed = [bool(re.fullmatch(r"\s*(```+|~~~+)\s*", line)) for line in raw_lines]
    for number, raw in enumerate(raw_lines):
        line = plain(raw.rstrip("\r\n"), place)
        place += len(raw)
        marker = _FENCE.match(line.text)
        if fence:
            if marker and closed[number] and len(marker[1]) >= width:
                fence = ""
                yield plain("", line.starts[0] if line.text else place)
                continue
            is_row = line.text.count("|") >= 2 and _is_row(raw_lines, number)
            if fence == "closed" and (is_row or _RUN.match(line.text)):
                yield line
                continue
            if fence == "closed" or (marker is None and _is_code(line.text, code_seen)):
                continue
            fence = ""
        if marker:
            width = len(marker[1])
            is_closed = any(closed[number + 1 :]) and _closes_soon(raw_lines[number + 1 :], marker[1])
            fence = "closed" if is_closed else "open"
            continue
        bare = _ITEM.sub("", line.text)
        if code_seen := _is_code(bare, code_seen):
            continue
        if not line.text.strip() or "|" in line.text:
            yield line
            continue
        cuts = [0, *(match.start() for match in _RUN_ON.finditer(line.text)), len(line.text)]
        for first, last in pairwise(cuts):
            if first < last:
                yield line.part(first, last)


def _is_row(lines: list[str], number: int) -> bool:
    """Whether a line in code is a row of a printed table: a line beside it is a row or a rule of it."""
    near = [lines[other] for other in (number - 1, number + 1) if 0 <= other < len(lines)]
    bars = lines[number].count("|")
    is_framed = lines[number].strip().startswith("|") and lines[number].strip().endswith("|")
    return (
        is_framed
        and "||" not in lines[number]
        and any(line.count("|") == bars or (re.fullmatch(r"\s*[+|][+|:=-]{8,}\s*", line) is not None) for line in near)
    )


def _closes_soon(lines: list[str], marker: str) -> bool:
    """Whether a fence that opens before these lines is closed before a heading or another fence with a language.

    A long fence holds a text with fences of its own: only one of its length closes it.
    """
    if len(marker) > 3:
        return any(line.strip() == marker for line in lines)
    for line in lines:
        if re.fullmatch(r"\s*(```+|~~~+)\s*", line.rstrip("\r\n")):
            return True
        if re.search(r"```\w", line) or re.match(r"#{2,6}\s*\S*[\u4e00-\u9fff]", line):
            return False
    return False


def _is_code(text: str, code_seen: bool) -> bool:
    bare = text.strip()
    if not bare:
        return False
    without_comment = re.sub(r"#.*$", "", bare)
    if re.search(r"[\u4e00-\u9fff]", re.sub(r"([\"'“])[^\"'”]*[\"'”]", "", without_comment)):
        return False
    if code_seen and not without_comment.strip():
        return True
    return _CODE.match(bare) is not None and not re.match(r"\$\s?\d", bare)


def _blocks(lines: list[Text]) -> Iterator[Block]:
    paragraph: list[Text] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.text.count("|") >= 2 and _is_table(lines, number):
            yield from _paragraph(paragraph)
            paragraph = []
            rows = []
            while number < len(lines) and lines[number].text.count("|") >= 2:
                rows.append(lines[number])
                number += 1
            yield _table(rows)
            continue
        heading = _HEADING.match(line.text) or (None if paragraph else _CHINESE_HEADING.match(line.text))
        item = None if heading else _ITEM.match(line.text)
        if heading or item or not line.text.strip() or _is_underline(line.text, paragraph):
            if _is_underline(line.text, paragraph):
                yield Block("heading", _clean(paragraph.pop()), level=1)
            yield from _paragraph(paragraph)
            paragraph = []
        if heading and len(line.text) < 120 and not re.search(r"[。;;]", line.text[heading.end() :]):
            level = len(heading[1]) if heading.re is _HEADING else 2
            yield Block("heading", _clean(line.part(heading.end(), len(line.text))), level=level)
        elif item:
            paragraph = [line.part(item.end(), len(line.text))]
            while number + 1 < len(lines) and _continues(lines[number + 1]):
                number += 1
                paragraph.append(lines[number])
            yield Block("item", _clean(joined(paragraph)), level=len(item["indent"]) // 2)
            paragraph = []
        elif line.text.strip() and not _RULE.fullmatch(line.text):
            paragraph.append(line)
        number += 1
    yield from _paragraph(paragraph)


def _is_underline(text: str, paragraph: list[Text]) -> bool:
    return len(paragraph) == 1 and re.fullmatch(r"\s*(=+|-{3,})\s*", text) is not None


def _continues(line: Text) -> bool:
    """Whether a line goes on with the list item before it: it is indented and begins nothing of its own."""
    starts_own = _ITEM.match(line.text) or _HEADING.match(line.text) or line.text.count("|") >= 2
    return bool(re.match(r"\s+\S", line.text)) and not starts_own


def _is_table(lines: list[Text], number: int) -> bool:
    following = lines[number + 1].text if number + 1 < len(lines) else ""
    return following.count("|") >= 2 or (_RULE.fullmatch(following) is not None and "|" in following)


def _table(rows: list[Text]) -> Block:
    rules = [number for number, row in enumerate(rows) if _RULE.fullmatch(row.text)]
    cells = [_cells(row) for number, row in enumerate(rows) if number not in rules]
    width = max((len(row) for row in cells), default=0)
    padded = tuple(row + (plain("", rows[0].starts[0]),) * (width - len(row)) for row in cells)
    return Block("table", plain("", rows[0].starts[0]), rows=padded, headers=min(rules[0] if rules else 1, len(padded)))


def _cells(row: Text) -> tuple[Text, ...]:
    stripped = row.strip()
    cuts = [match.start() for match in _BAR.finditer(stripped.text)]
    edges = [-1, *cuts, len(stripped.text)]
    parts = [stripped.part(first + 1, last) for first, last in pairwise(edges)]
    if stripped.text.startswith("|"):
        parts = parts[1:]
    if stripped.text.endswith("|"):
        parts = parts[:-1]
    return tuple(_clean(part) for part in parts)


def _paragraph(paragraph: list[Text]) -> Iterator[Block]:
    """Yield a paragraph; short lines of text that no sentence joins stay apart."""
    if paragraph:
        yield Block("paragraph", _clean(joined(paragraph)))


def _clean(text: Text) -> Text:
    """Remove the marks of Markdown and HTML."""
    if "$" in text.text or "\\(" in text.text:
        text = formulas(text, is_markdown=True)
    if "\\" in text.text:
        text = symbols(text, in_math=True)
    for words, group, fill in _MARKS:
        text = text.edited(words, group, fill)
    return (_with_entities(text) if "&" in text.text else text).strip()


def _with_entities(text: Text) -> Text:
    """Print the characters that entities stand for: `&nbsp;`, `&times;`, `&#43;`."""
    builder, last = TextBuilder(), 0
    for match in _ENTITY.finditer(text.text):
        builder.copy(text, last, match.start())
        printed = html.unescape(match[0])
        builder.put(printed if len(printed) == 1 else match[0], *text.span(*match.span()))
        last = match.end()
    builder.copy(text, last, len(text.text))
    return builder.build()


def _title(source: str, blocks: tuple[Block, ...], header: str) -> str:
    """The first heading of level 1, or the title in the header; failing both, the first line that may be one."""
    for block in blocks:
        if block.kind == "heading" and block.level == 1:
            return block.text.text
    for block in blocks if not header else ():
        for line in _title_lines(source, block):
            return "" if block.kind == "heading" and _SECTION.match(line) else line
    return header


def _title_lines(source: str, block: Block) -> Iterator[str]:
    """Yield the lines of a block that may be a title: no item, row of links, rule, item of news or long sentence."""
    text = block.text
    if block.kind in {"item", "table"} or not text.text:
        return
    if _LINK.search(source[text.starts[0] : text.span(0, len(text.text))[1]]):
        return
    for line in map(str.strip, text.text.splitlines()):
        if 8 < len(line) <= _LONGEST_TITLE and _LETTERS.search(line) and not _DATED.match(line):
            yield line
