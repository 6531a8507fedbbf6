"""Draft the claims of an article: read it, find its names and numbers, and propose derivations.

draft(article) -> ArticleDraft

`evals.reports.claims.drafting.settling` writes it as a claims file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.drafting.readers.widths import with_plain_widths
from evals.reports.claims.drafting.tables.blocks import read_table
from evals.reports.claims.drafting.tables.derived import lift_derived_columns
from evals.reports.claims.drafting.text.names import Names, find_names
from evals.reports.claims.drafting.text.passages import Passage, read_passage
from evals.reports.claims.drafting.text.statements import Surroundings, enter, introduce, read_block
from evals.reports.claims.language.files import load_record, load_vocabulary
from evals.reports.claims.language.sources.articles import Article


@dataclass(slots=True)
class ArticleDraft:
    """The drafted claims of an article."""

    article: Article
    names: Names
    claims: list[Proposal] = field(default_factory=list)
    tables: list[TableProposal] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Why proposals were left out, a line each."""


def draft(article: Article) -> ArticleDraft:
    r"""Draft the claims of an article without a model.

    Example:
        >>> from evals.reports.claims.drafting.readers.markdown import read_markdown
        >>> drafted = draft(read_markdown("# Otter 2\n\nOtter 2 answers in 0.8 s.\n"))
        >>> [(claim.subject, claim.quantity, claim.printed, claim.unit) for claim in drafted.claims]
        [('otter-2', 'latency', '0.8', 'seconds')]
    """
    from evals.reports.claims.drafting.relations.orders import find_orders
    from evals.reports.claims.drafting.relations.propose import propose_relations

    article = with_plain_widths(article)
    record = {id: subject.name for id, subject in load_record().subjects.items()}
    drafted = ArticleDraft(article, find_names(article, record), left_out=[*article.left_out])
    seen: set[tuple[int, int]] = set()
    passages: list[Passage] = []
    for proposal in _proposals(drafted, passages):
        if isinstance(proposal, TableProposal):
            drafted.tables.append(proposal)
        elif proposal.span not in seen:
            seen.add(proposal.span)
            drafted.claims.append(proposal)
    drafted.claims += lift_derived_columns(article, drafted.tables)
    for number, table in enumerate(drafted.tables, 1):
        table.id = f"T-{number}"
    for passage in passages if drafted.tables else ():
        drafted.claims += find_orders(article, passage, drafted.tables)
    drafted.claims.sort(key=lambda claim: claim.span)
    for number, claim in enumerate(drafted.claims, 1):
        claim.id = f"C-{number}"
    propose_relations(drafted, passages)
    return drafted


def _proposals(drafted: ArticleDraft, passages: list[Passage]) -> Iterator[Proposal | TableProposal]:
    place, vocabulary = Surroundings(), load_vocabulary()
    blocks = drafted.article.blocks
    for number, block in enumerate(blocks):
        if block.kind == "table":
            place.item_subject = None
            place.lead = place.lead if number and blocks[number - 1].kind != "table" else ""
            yield from read_table(drafted.article, block, drafted.names, place, vocabulary)
            if block.text.text.strip():
                yield from read_block(drafted.article, read_passage(block.text, drafted.names), drafted.names, place)
            continue
        passage = read_passage(block.text, drafted.names, is_heading=block.kind == "heading")
        passages.append(passage)
        place.follow(block)
        if block.kind in {"heading", "title"}:
            enter(place, block, passage)
        elif block.kind == "paragraph":
            place.quantity = None
        if block.kind != "title":
            yield from read_block(drafted.article, passage, drafted.names, place)
        introduce(place, block, passage)
