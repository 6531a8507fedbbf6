"""The words in the cells of tables become statements, whose subject is that of their row or column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.tables.headers import is_blank, is_number
from evals.reports.claims.drafting.tables.layout import Layout, bare_name
from evals.reports.claims.drafting.text.names import Names
from evals.reports.claims.drafting.text.passages import read_passage
from evals.reports.claims.drafting.text.statements import Surroundings, read_block
from evals.reports.claims.language.sources.articles import Article, Text, TextBuilder


def subject_of(name: str, names: Names) -> str | None:
    """Return the subject that a row or column names or mentions: of "FunASR Paraformer-Large" the last."""
    bare = bare_name(name)
    exact = names.find(bare)
    if exact is not None:
        return exact
    mentions = names.mentions(name)
    is_one = all(name[first.end : second.start].isspace() for first, second in pairwise(mentions))
    return mentions[-1].subject if mentions and is_one else None


def statements_of_cells(article: Article, form: Layout, names: Names, place: Surroundings) -> Iterator[Proposal]:
    """Yield the statements of a table of words, or of properties with their values."""
    if form.form == "properties":
        subject = place.heading_subject or names.main
        rows = (
            form.body
            if form.header[1].text.strip() and not re.search(r"\d", form.header[1].text)
            else (form.header, *form.body)
        )
        for row in rows:
            builder = TextBuilder()
            builder.copy(row[0], 0, len(row[0].text))
            builder.put(": ", *((row[1].starts[0], row[1].starts[0]) if row[1].text else (0, 0)))
            builder.copy(row[1], 0, len(row[1].text))
            yield from read_block(
                article, read_passage(builder.build(), names), names, Surroundings(place.heading, subject)
            )
        return
    in_columns = sum(subject_of(cell.text, names) is not None for cell in form.header[1:])
    in_rows = sum(subject_of(row[0].text, names) is not None for row in form.body)
    for row in form.body:
        for header, cell in zip(form.header[1:], row[1:], strict=False):
            subject = subject_of((row[0] if in_rows >= in_columns else header).text, names)
            topic = header.text if in_rows >= in_columns else row[0].text
            yield from cell_statements(article, cell, topic, subject, names)


def cell_statements(article: Article, cell: Text, header: str, subject: str | None, names: Names) -> Iterator[Proposal]:
    """Yield the statements of one cell of words, whose subject is that of its row."""
    if not re.search(r"\d|[一二三四五六七八九十]", cell.text) or is_blank(cell.text):
        return
    for proposal in read_block(
        article, read_passage(_with_header(cell, header), names), names, Surroundings(header, subject)
    ):
        if proposal.span[0] == proposal.span[1]:
            continue  # a word of the header
        proposal.is_cell = True
        if subject is not None:
            proposal.subject = subject
            proposal.grounds.append("subject named in the row of the table")
        elif is_number(cell.text):
            continue
        yield proposal


def _with_header(cell: Text, header: str) -> Text:
    """Put the header before a cell, so that its words say what the cell measures; the header's digits are no claims."""
    words = re.sub(r"\d", "", header).strip()
    if not words or not cell.text:
        return cell
    builder = TextBuilder()
    builder.put(f"{words}: ", cell.starts[0], cell.starts[0])
    builder.copy(cell, 0, len(cell.text))
    return builder.build()
