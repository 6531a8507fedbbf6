"""Choose the reader of an article by its name and its first bytes."""

from __future__ import annotations

from pathlib import PurePath

from evals.errors import InputError
from evals.reports.claims.drafting.readers.bounds import bounded
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.language.sources.articles import Article
from evals.reports.claims.language.sources.encodings import decoded

TEXT = frozenset((".txt", ".md", ".markdown", ".text", ".rst", ""))
HTML = frozenset((".html", ".htm", ".xhtml"))
LATEX = frozenset((".tex", ".latex", ".ltx"))
PDF = frozenset((".pdf",))
SUFFIXES = TEXT | HTML | LATEX | PDF
"""The endings of articles' names."""


def read(content: bytes, name: str) -> Article:
    """Read an article, with bounds on its paragraphs and tables.

    Args:
        content: the bytes of the file.
        name: its name, whose ending says what it is.

    Returns:
        Its blocks. Spans count code points of the file after decoding without translation of line ends (a byte order
        mark counts as one), and of the extracted text for a PDF.

    Raises:
        InputError: the ending is unknown, or the encoding is not known.
    """
    return bounded(_read(content, name))


def _read(content: bytes, name: str) -> Article:
    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{name}: cannot draft from {suffix!r}; text (.txt, .md), .html, .tex and .pdf are read")
    if suffix in PDF or content.startswith(b"%PDF-"):
        from evals.reports.claims.drafting.readers.pdf import read_pdf

        return read_pdf(content, name)
    source = decoded(content, name)
    if suffix in LATEX:
        from evals.reports.claims.drafting.readers.latex import read_latex

        return read_latex(source)
    if suffix in HTML:
        from evals.reports.claims.drafting.readers.html import read_html

        return read_html(source)
    return read_markdown(source)
