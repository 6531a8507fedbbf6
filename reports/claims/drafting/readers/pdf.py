"""Read a PDF: spans count the text that pypdf extracts from it."""

from __future__ import annotations

import io
import re

from evals.errors import InputError
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.language.sources.articles import Article

_MOST_PAGES = 300


def extract(content: bytes, name: str) -> str:
    """Return the text of a PDF, its pages separated by form feeds.

    Raises:
        InputError: pypdf is not installed, the file is damaged or locked, or it has no text (a scan).
    """
    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ModuleNotFoundError:
        raise InputError(f"{name}: reading PDF needs pypdf: pip install 'claim-evals[pdf]'") from None
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        pages = [page.extract_text() for page in reader.pages[:_MOST_PAGES]]
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OSError) as error:
        raise InputError(f"{name}: cannot be read as PDF: {' '.join(str(error).split())[:200]}") from error
    text = "\f".join(pages).encode("utf-8", "replace").decode("utf-8")
    if not text.strip():
        raise InputError(f"{name}: has no text to read; a scan needs text recognition first")
    return text


def read_pdf(content: bytes, name: str) -> Article:
    """Read a PDF; headings and tables are those that its text still shows.

    Raises:
        InputError: it cannot be read.
    """
    source = extract(content, name)
    article = read_markdown(re.sub(r"\f", "\n", source))
    return Article(source, article.blocks, article.title, is_extracted=True)
