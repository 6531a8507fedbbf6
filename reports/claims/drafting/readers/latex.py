r"""Read LaTeX with the place of every character.

Commands that print nothing are left out (`\label`, `\cite`), those with a text keep it (`\textbf{92.0}`), and symbols
become the characters that they print. Tables are those of `tabular`, with the caption of the `table` around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from evals.reports.claims.drafting.language.words import entries, pattern
from evals.reports.claims.language.sources.articles import Article, Block, Text, plain

_COMMENT = re.compile(r"(?<!\\)%[^\n]*")
_DOCUMENT = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|\Z)", re.S)
_DROPPED_PARTS = pattern("latex.dropped_parts")
_TABLE = pattern("latex.table")
_FLOAT = re.compile(r"\\begin\{(table\*?|wraptable|sidewaystable)\}.*?\\end\{\1\}", re.S)
_SECTION = re.compile(r"\\(?P<level>(?:sub){0,2}section|paragraph|chapter)\*?\s*(?:\[[^\]]*\])?\{")
_BREAK = pattern("latex.break")
_ARGUMENT = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_OPTIONS = r"\*?(?:\s*\([^)]*\))?(?:\s*\[[^\]]*\])*"
_SILENT = pattern("latex.silent")
"""Commands that print nothing."""
_EDITS: tuple[tuple[re.Pattern[str], int | None, str], ...] = (
    (re.compile(_SILENT.pattern + _OPTIONS + r"(?:\s*" + _ARGUMENT.replace("(", "(?:", 1) + r")?"), None, ""),
    (re.compile(r"\\href\s*\{[^{}]*\}\s*" + _ARGUMENT), 1, ""),
    (re.compile(r"\\footnote\s*" + _ARGUMENT), None, ""),
    (re.compile(r"\\multicolumn\s*\{[^{}]*\}\s*\{[^{}]*\}\s*" + _ARGUMENT), 1, ""),
    (re.compile(r"\\text(?:color)\s*\{[^{}]*\}\s*" + _ARGUMENT), 1, ""),
)  # fmt: skip
_WRAPPER = pattern("latex.wrapper")
_SYMBOLS: dict[str, str] = dict(entries("latex_symbols"))
_SYMBOL = re.compile(
    "|".join(
        re.escape(symbol) + ("(?![A-Za-z])" if symbol[-1].isalpha() else "")
        for symbol in sorted(_SYMBOLS, key=len, reverse=True)
    )
)
_LEFTOVER = re.compile(r"\\[A-Za-z]+\*?(?:\[[^\]]*\])?\s?|[{}$]")
_MACRO = re.compile(
    r"\\(?:newcommand|renewcommand|def|providecommand)\*?\s*\{?\s*\\(?P<name>[A-Za-z]+)\s*\}?\s*"
    + _ARGUMENT.replace("(", "(?P<text>", 1)
)


def read_latex(source: str) -> Article:
    r"""Read LaTeX.

    Example:
        >>> article = read_latex(r"\section{Otter} It scores \textbf{78.3\%}~\cite{a} in $2\times$ less.")
        >>> article.blocks[1].text.text, article.blocks[1].text.span(10, 15)
        ('It scores 78.3% in 2× less.', (34, 40))
    """
    macros = {match["name"]: _printed(match["text"]) for match in _MACRO.finditer(source)}
    text = plain(_blanked(source, _COMMENT))
    title = re.search(r"\\title\s*(?:\[[^\]]*\])?" + _ARGUMENT, text.text)
    body = _DOCUMENT.search(text.text)
    inside = text.part(*body.span(1)) if body else text
    blocks: list[Block] = []
    heading = _clean(text.part(*title.span(1)), macros) if title else plain("")
    if heading.text:
        blocks.append(Block("title", heading, level=1))
    blocks += _blocks(inside, macros)
    return Article(source, tuple(blocks), " ".join(heading.text.split()), is_marked_up=True)


def _blanked(source: str, words: re.Pattern[str]) -> str:
    """Put spaces where words match; every character keeps its place."""
    return words.sub(lambda match: re.sub(r"[^\r\n]", " ", match[0]), source)


def _printed(text: str) -> str:
    bare = _WRAPPER.sub(lambda match: match[1], text)
    return re.sub(r"[\\{}$]|\\xspace", "", bare).strip() if len(bare) < 40 and "#" not in bare else ""


def _blocks(text: Text, macros: dict[str, str]) -> Iterator[Block]:
    """Yield the blocks between tables, and the tables."""
    last = 0
    content = _blanked(text.text, _DROPPED_PARTS)
    text = Text(content, text.starts, text.ends)
    pieces = sorted([*_FLOAT.finditer(content), *_TABLE.finditer(content)], key=lambda match: match.start())
    for match in pieces:
        if match.start() < last:
            continue
        yield from _paragraphs(text.part(last, match.start()), macros)
        yield from _tables(text.part(*match.span()), macros)
        last = match.end()
    yield from _paragraphs(text.part(last, len(content)), macros)


def _tables(text: Text, macros: dict[str, str]) -> Iterator[Block]:
    caption = re.search(r"\\caption\*?\s*(?:\[[^\]]*\])?" + _ARGUMENT, text.text)
    printed = _clean(text.part(*caption.span(1)), macros) if caption else plain("")
    for match in _TABLE.finditer(text.text):
        body = text.part(*match.span("body"))
        arguments = re.match(r"\s*(?:\[[^\]]*\])?(?:\s*" + _ARGUMENT.replace("(", "(?:", 1) + r"){1,2}", body.text)
        body = body.part(arguments.end(), len(body.text)) if arguments else body
        rows, headers = _rows(body, macros)
        if len(rows) > 1 and len(rows[0]) > 1:
            yield Block("table", printed, rows=tuple(rows), headers=headers)
            printed = plain("")


def _rows(body: Text, macros: dict[str, str]) -> tuple[list[tuple[Text, ...]], int]:
    rows: list[tuple[Text, ...]] = []
    headers, last = 0, 0
    cuts = [*re.finditer(r"\\\\(?:\s*\[[^\]]*\])?|\\tabularnewline", body.text)]
    for start, end in zip(
        [0, *(match.end() for match in cuts)], [*(match.start() for match in cuts), len(body.text)], strict=True
    ):
        line = body.part(start, end)
        rule = re.match(
            r"(?:\s|\\(?:toprule|midrule|bottomrule|hline|cmidrule(?:\([^)]*\))?\{[^}]*\}|cline\{[^}]*\}|specialrule\{[^}]*\}\{[^}]*\}\{[^}]*\}|addlinespace(?:\[[^\]]*\])?))*",
            line.text,
        )
        if rule and re.search(r"midrule|hline", rule[0]) and rows and not headers:
            headers = len(rows)
        line = line.part(rule.end() if rule else 0, len(line.text))
        if not line.text.strip():
            continue
        rows.append(tuple(_cells(line, macros)))
        last = max(last, len(rows[-1]))
    width = last
    padded = [
        row
        + tuple(
            Text(" ", [row[0].starts[0]], [row[0].starts[0]]) if row[0].text else plain(" ")
            for _ in range(width - len(row))
        )
        for row in rows
    ]
    return padded, min(max(headers, 1), max(1, len(padded) - 1))


def _cells(line: Text, macros: dict[str, str]) -> Iterator[Text]:
    edges = [-1, *(match.start() for match in re.finditer(r"(?<!\\)&", line.text)), len(line.text)]
    for first, last in pairwise(edges):
        cell = line.part(first + 1, last)
        span = re.match(r"\s*\\multicolumn\s*\{(\d+)\}", cell.text)
        cleaned = _clean(cell, macros)
        yield cleaned if cleaned.text else Text(" ", [cell.starts[0]], [cell.starts[0]]) if cell.text else plain(" ")
        for _ in range(int(span[1]) - 1 if span else 0):
            yield Text(" ", [cell.starts[0]], [cell.starts[0]])


def _paragraphs(text: Text, macros: dict[str, str]) -> Iterator[Block]:
    """Yield headings and paragraphs."""
    last = 0
    for match in _SECTION.finditer(text.text):
        yield from _plain_paragraphs(text.part(last, match.start()), macros)
        argument = re.match(_ARGUMENT, text.text[match.end() - 1 :])
        end = match.end() - 1 + (argument.end() if argument else 1)
        level = {"chapter": 1, "section": 1, "subsection": 2, "subsubsection": 3, "paragraph": 4}[match["level"]]
        heading = _clean(text.part(match.end(), end - 1), macros)
        if heading.text:
            yield Block("heading", heading, level=level)
        last = end
    yield from _plain_paragraphs(text.part(last, len(text.text)), macros)


def _plain_paragraphs(text: Text, macros: dict[str, str]) -> Iterator[Block]:
    cuts = [*_BREAK.finditer(text.text)]
    starts, ends = [0, *(match.end() for match in cuts)], [*(match.start() for match in cuts), len(text.text)]
    before = ["", *(match[0] for match in cuts)]
    for start, end, mark in zip(starts, ends, before, strict=True):
        paragraph = _clean(text.part(start, end), macros)
        if paragraph.text:
            yield Block("item" if mark.startswith(r"\item") else "paragraph", paragraph)


def _clean(text: Text, macros: dict[str, str]) -> Text:
    """Remove commands, and put the characters that symbols print."""
    for words, group, fill in _EDITS:
        text = text.edited(words, group, fill)
    for _ in range(4):
        if not _WRAPPER.search(text.text):
            break
        text = text.edited(_WRAPPER, 1)
    text = (
        _replaced(
            text,
            re.compile(r"\\(?:" + "|".join(sorted(map(re.escape, macros), key=len, reverse=True)) + r")(?![A-Za-z])"),
            {f"\\{name}": value for name, value in macros.items()},
        )
        if macros
        else text
    )
    text = text.edited(re.compile(r"(?<=\d)\{,\}(?=\d)"), None, ",")
    text = _replaced(text, _SYMBOL, _SYMBOLS)
    return text.edited(_LEFTOVER).edited(re.compile(r"(?<=\s)[ \t]+(?=\S)")).strip()


def _replaced(text: Text, words: re.Pattern[str], printed: dict[str, str]) -> Text:
    from evals.reports.claims.language.sources.articles import TextBuilder

    builder, last = TextBuilder(), 0
    for match in words.finditer(text.text):
        builder.copy(text, last, match.start())
        builder.put(printed[match[0]], *text.span(*match.span()))
        last = match.end()
    builder.copy(text, last, len(text.text))
    return builder.build()
