"""List the pairs of claims that cannot both be true, each with both quotes and its proof."""

from __future__ import annotations

from itertools import groupby

from evals.reports.claims.evidence.cross_document import Assertion, StatementPair
from evals.reports.claims.evidence.proofs import prove
from evals.reports.claims.verdicts import CheckResult
from evals.reports.rendering.table_formats import escape_markdown


def pages(checked: CheckResult) -> str:
    """Return the contradicting pairs of a check as Markdown: a section per topic, a paragraph per pair.

    Args:
        checked: the result of a check; pairs within one document come after those of two.
    """
    pairs = [*checked.conflicts, *checked.internal_conflicts]
    sections = []
    for topic, group in groupby(sorted(pairs, key=_topic), key=_topic):
        of_topic = list(group)
        sections.append(f"### {topic} ({len(of_topic)})")
        sections += [_paragraph(pair, checked) for pair in of_topic]
    return "\n\n".join(sections)


def _topic(pair: StatementPair) -> str:
    return escape_markdown(f"{pair.quantity.replace('-', ' ')} of {pair.first.subject}")


def _paragraph(pair: StatementPair, checked: CheckResult) -> str:
    sides = " against ".join(_side(side, checked) for side in (pair.first, pair.second))
    return f"**{pair.first.name} and {pair.second.name}**: {sides}. {escape_markdown(' '.join(prove(pair)))}"


def _side(side: Assertion, checked: CheckResult) -> str:
    """The document's words, and the claim in a sentence."""
    claim = next(a.claim for a in checked.assessments if (a.document.document.id, a.claim.id) == side.key)
    says = escape_markdown(claim.says.rstrip("."))
    return f"“{escape_markdown(claim.quote)}” ({says})" if claim.quote else says
