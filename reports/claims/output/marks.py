"""The marks of claims in their document, and the notes beside them.

A mark is a colour, a line and a sign; the note has the word of the verdict and its reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evals.reports.claims.evidence.within_document import ClaimKey
from evals.reports.claims.language.sources.placement import PlacedArticle
from evals.reports.claims.output.anchors import Anchors, key_of
from evals.reports.claims.output.annotations import AnnotatedArticle, AnnotatedBlock, annotated
from evals.reports.claims.output.reasons import reason
from evals.reports.claims.output.tables import in_words
from evals.reports.claims.verdicts import CONVICTIONS, SUPPORTED, Assessment, CheckResult

SIGNS: Mapping[str, str] = {"against": "✗", "doubt": "≠", "for": "✓", "open": "?"}
"""The sign of each mark."""
LEGEND = (
    ("against", "refuted, or contradicted by another document"),
    ("doubt", "in doubt: it differs, or holds only under assumptions"),
    ("for", "supported"),
    ("open", "not enough evidence"),
)
"""What each mark means."""
_HEADLINES = {
    "against": CONVICTIONS,
    "doubt": ("nominally_inconsistent", "open", "differs", "modality_not_demonstrated", "inconclusive"),
    "for": SUPPORTED,
}
_MOST_PARTNERS = 8
"""Limit on the claims that a note names as the other side of a conflict; the list below names all."""
_NOT_SHOWN = "its place is in a part of the document that is not shown (code, an address or navigation)"


def tone(word: str) -> str:
    """Return the mark of a headline: `against`, `doubt`, `for` or `open`; the page always prints the word beside it."""
    return next((name for name, words in _HEADLINES.items() if word in words), "open")


@dataclass(frozen=True, slots=True)
class MarkedDocument:
    """A source document with its claims marked, for the template."""

    blocks: list[tuple[AnnotatedBlock, list[dict[str, Any]]]]
    """Each part with its notes."""
    claims: Mapping[str, Mapping[str, str]]
    """What each mark shows, by claim ID."""
    unplaced: list[tuple[str, str, str]]
    """The claims that are not marked: ID, anchor in the list, reason."""


def lay_out(checked: CheckResult, anchors: Anchors) -> dict[str, MarkedDocument]:
    """Mark the claims in the source documents of a check.

    Args:
        checked: the result.
        anchors: the link targets of the page.

    Returns:
        By document ID, the documents whose source was read.
    """
    assessments = {key_of(assessment): assessment for assessment in checked.assessments}
    articles: dict[str, AnnotatedArticle] = {}
    for document, placed in checked.articles.items():
        tones = {id: tone(assessments[document, id].headline) for id in placed.places if (document, id) in assessments}
        places = {id: place for id, place in placed.places.items() if id in tones}
        articles[document] = annotated(replace(placed, places=places), tones)
    marked = {(document, id) for document, article in articles.items() for block in article.blocks for id in block.ids}
    notes = _Notes(anchors, assessments, marked)
    return {
        document: MarkedDocument(
            [(block, notes.of(document, block)) for block in article.blocks],
            {id: notes.mark((where, id)) for where, id in marked if where == document},
            [*_unplaced(document, checked.articles[document], article, assessments, anchors)],
        )
        for document, article in articles.items()
    }


def _unplaced(
    document: str,
    placed: PlacedArticle,
    article: AnnotatedArticle,
    assessments: Mapping[ClaimKey, Assessment],
    anchors: Anchors,
) -> Iterator[tuple[str, str, str]]:
    """Yield the claims that the text does not mark, with the reason."""
    for where, id in assessments:
        if where == document and id in article.hidden:
            yield id, anchors.of((where, id)), _NOT_SHOWN
        elif where == document and id in placed.unplaced:
            yield id, anchors.of((where, id)), placed.unplaced[id]


@dataclass(frozen=True)
class _Notes:
    """Writes the notes of claims."""

    anchors: Anchors
    assessments: Mapping[ClaimKey, Assessment]
    marked: Collection[ClaimKey]
    """The claims that are marked in a document on the page."""

    def mark(self, key: ClaimKey) -> dict[str, str]:
        """What the mark of a claim shows."""
        headline = self.assessments[key].headline
        return {"id": key[1], "anchor": self.anchors.of(key), "tone": tone(headline), "word": in_words(headline)}

    def of(self, document: str, block: AnnotatedBlock) -> list[dict[str, Any]]:
        """The notes of a part: claims with the same verdict, reason and opponents share a note."""
        groups: dict[tuple[str, str, tuple[ClaimKey, ...]], list[str]] = {}
        for id in block.ids:
            assessment = self.assessments[document, id]
            opponents = tuple(self.anchors.partners(assessment)[:_MOST_PARTNERS])
            groups.setdefault((assessment.headline, reason(assessment), opponents), []).append(id)
        return [
            {
                "tone": tone(headline),
                "ids": [(id, self.anchors.of((document, id))) for id in ids],
                "word": in_words(headline),
                "reason": why,
                "against": [(self.anchors.name(key), self.target(key)) for key in opponents],
                "more": self.more((document, ids[0])),
            }
            for (headline, why, opponents), ids in groups.items()
        ]

    def target(self, key: ClaimKey) -> str:
        """The anchor of a claim: its mark in a document, else its place in the list."""
        return f"at-{self.anchors.of(key)}" if key in self.marked else self.anchors.of(key)

    def more(self, key: ClaimKey) -> str:
        """How many opponents a note leaves out."""
        left_out = len(self.anchors.partners(self.assessments[key])) - _MOST_PARTNERS
        return f" and {left_out} more" if left_out > 0 else ""
