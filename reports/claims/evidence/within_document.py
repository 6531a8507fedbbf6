"""Find the claims of one document that cannot be true together, and choose which of them is marked inconsistent.

Of two contradicting claims the inconsistent one is chosen by rule: the one whose own arithmetic fails, else the one
that is not printed but implied, else the later one. As few claims as possible are marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.reports.claims.evidence.arithmetic import Finding
from evals.reports.claims.evidence.cross_document import StatementPair
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.values import ValueTable

ClaimKey = tuple[str, str]
"""The id of a document and the id of a claim in it."""
_PASSING = {"na", "consistent", "open"}


def inconsistent_claims(
    pairs: Sequence[StatementPair], findings: Mapping[ClaimKey, Finding], documents: Sequence[Document]
) -> frozenset[ClaimKey]:
    """Choose, of each contradicting pair of one document, the claim to mark as inconsistent.

    Args:
        pairs: contradicting statements, both of one document each.
        findings: the arithmetic of every claim.
        documents: the documents, which give the order of the claims.
    """
    position = {(d.document.id, claim.id): number for d in documents for number, claim in enumerate(d.claims)}
    implicit = {(d.document.id, claim.id): claim.implicit for d in documents for claim in d.claims}
    failing = {key for key, finding in findings.items() if finding.verdict not in _PASSING}
    sides = [[pair.first.key, pair.second.key] for pair in pairs]
    chosen: set[ClaimKey] = set()
    for keys in sorted(sides, key=lambda keys: sorted((position[key] for key in keys), reverse=True)):
        if not {*keys} & (chosen | failing):
            chosen.add(max(keys, key=lambda key: (implicit[key], position[key])))
    return frozenset(chosen | {key for keys in sides for key in keys if key in failing})


def failing_partners(claim: Claim, table: ValueTable, finding: Finding) -> set[str]:
    """Return the ids of the claims that a claim's failed arithmetic uses; none if its arithmetic holds."""
    if finding.verdict in _PASSING:
        return set()
    texts = [claim.derive, *(text for check in claim.checks if check.compare for text in (check.left, check.right))]
    ids = {name for text in texts if text for name in table.inputs(text)}
    return {id for id in ids if id in table.claims} - {claim.id}


def make_symmetric(partners: Mapping[ClaimKey, set[str]]) -> dict[ClaimKey, set[str]]:
    """Add each claim to the partners of its partners: a failed computation does not show which input is wrong."""
    symmetric = {key: set(ids) for key, ids in partners.items()}
    for (document, id), others in partners.items():
        for other in others:
            symmetric[document, other].add(id)
    return symmetric
