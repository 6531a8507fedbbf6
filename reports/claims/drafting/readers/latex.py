r"""Read LaTeX with the place of every character.

Commands that print nothing are left out (`\label`, `\cite`), those with a text keep it (`\textbf{92.0}`), and symbols
become the characters that they print; commands that the article defines are expanded. Tables are those of `tabular`,
with the caption of the `table` around them; footnotes and the notes of tables are paragraphs of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.readers.latex_commands import expand
from evals.reports.claims.drafting.readers.latex_tables import TABLE, tables, without_inner_tables
from evals.reports.claims.drafting.readers.latex_text import ARGUMENT, clean
from evals.reports.claims.language.sources.articles import Article, Block, Text, plain

_COMMENT = re.compile(r"(?<!\\)%[^\n]*|(?<=\\\\)%[^\n]*|\\iffalse(?![A-Za-z]).*?\\fi(?![A-Za-z])", re.S)
_DOCUMENT = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|\Z)", re.S)
_DROPPED_PARTS = pattern("latex.dropped_parts")
_FLOAT = re.compile(r"\\begin\{(table\*?|wraptable|sidewaystable)\}.*?\\end\{\1\}", re.S)
_NOTES = re.compile(r"\\begin\{tablenotes\}(.*?)\\end\{tablenotes\}", re.S)
_SECTION = re.compile(r"\\(?P<level>(?:sub){0,2}section|paragraph|chapter)\*?\s*(?:\[[^\]]*\])?\{")
_BREAK = pattern("latex.break")
_FOOTNOTE = re.compile(r"\\footnote(?:text)?\s*(?:\[[^\]]*\])?\s*" + ARGUMENT)


def read_latex(source: str) -> Article:
    r"""Read LaTeX.

    Example:
        >>> article = read_latex(r"\section{Otter} It scores \textbf{78.3\%}~\cite{a} in $2\times$ less.")
        >>> article.blocks[1].text.text, article.blocks[1].text.span(10, 15)
        ('It scores 78.3% in 2× less.', (34, 40))
    """
    text = expand(plain(_blanked(source, _COMMENT)))
    title = re.search(r"\\title\s*(?:\[[^\]]*\])?" + ARGUMENT, text.text)
    body = _DOCUMENT.search(text.text)
    inside = text.part(*body.span(1)) if body else text
    blocks: list[Block] = []
    heading = clean(text.part(*title.span(1))) if title else plain("")
    if heading.text:
        blocks.append(Block("title", heading, level=1))
    blocks += _blocks(inside)
    return Article(source, tuple(blocks), " ".join(heading.text.split()), is_marked_up=True)


def _blanked(source: str, words: re.Pattern[str]) -> str:
    """Put spaces where words match; every character keeps its place."""
    return words.sub(lambda match: re.sub(r"[^\r\n]", " ", match[0]), source)


def _blocks(text: Text) -> Iterator[Block]:
    """Yield the blocks between tables, and the tables."""
    last = 0
    text = without_inner_tables(Text(_blanked(text.text, _DROPPED_PARTS), text.starts, text.ends))
    content = text.text
    pieces = sorted([*_FLOAT.finditer(content), *TABLE.finditer(content)], key=lambda match: match.start())
    for match in pieces:
        if match.start() < last:
            continue
        yield from _paragraphs(text.part(last, match.start()))
        float_text = text.part(*match.span())
        yield from tables(float_text)
        for notes in _NOTES.finditer(float_text.text):
            yield from _plain_paragraphs(float_text.part(*notes.span(1)))
        last = match.end()
    yield from _paragraphs(text.part(last, len(content)))


def _paragraphs(text: Text) -> Iterator[Block]:
    """Yield headings and paragraphs."""
    last = 0
    for match in _SECTION.finditer(text.text):
        yield from _plain_paragraphs(text.part(last, match.start()))
        argument = re.match(ARGUMENT, text.text[match.end() - 1 :])
        end = match.end() - 1 + (argument.end() if argument else 1)
        level = {"chapter": 1, "section": 1, "subsection": 2, "subsubsection": 3, "paragraph": 4}[match["level"]]
        heading = clean(text.part(match.end(), end - 1))
        if heading.text:
            yield Block("heading", heading, level=level)
        last = end
    yield from _plain_paragraphs(text.part(last, len(text.text)))


def _plain_paragraphs(text: Text) -> Iterator[Block]:
    """Yield paragraphs and items, each followed by its footnotes."""
    cuts = [*_BREAK.finditer(text.text)]
    starts, ends = [0, *(match.end() for match in cuts)], [*(match.start() for match in cuts), len(text.text)]
    before = ["", *(match[0] for match in cuts)]
    for start, end, mark in zip(starts, ends, before, strict=True):
        part = text.part(start, end)
        paragraph = clean(part)
        if paragraph.text:
            yield Block("item" if mark.startswith(r"\item") else "paragraph", paragraph)
        for note in _FOOTNOTE.finditer(part.text):
            words = clean(part.part(*note.span(1)))
            if words.text:
                yield Block("paragraph", words)
