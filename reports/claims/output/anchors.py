"""The link targets of a page: one for each claim in the list, and which claims are the other side of a conflict."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from evals.reports.claims.evidence.within_document import ClaimKey
from evals.reports.claims.verdicts import Assessment, CheckResult


class Anchors:
    """The anchors of the claims of a check: the ID of a claim, with its document where two claims share the ID."""

    def __init__(self, checked: CheckResult) -> None:
        """Index the claims and the pairs that contradict each other."""
        self._keys = {key_of(assessment) for assessment in checked.assessments}
        self._shared = {id for id, count in Counter(id for _, id in self._keys).items() if count > 1}
        self._partners: dict[ClaimKey, list[ClaimKey]] = defaultdict(list)
        for pair in (*checked.internal_conflicts, *checked.conflicts):
            self._partners[pair.first.key].append(pair.second.key)
            self._partners[pair.second.key].append(pair.first.key)

    def of(self, key: ClaimKey) -> str:
        """Return the anchor of a claim in the list.

        Args:
            key: the ID of its document, and its own.
        """
        return f"{key[0]}.{key[1]}" if key[1] in self._shared else key[1]

    def name(self, key: ClaimKey) -> str:
        """Return how texts name a claim: its ID, with its document where the ID alone would not tell which is meant."""
        return f"{key[1]} of {key[0]}" if key[1] in self._shared else key[1]

    def partners(self, assessment: Assessment) -> list[ClaimKey]:
        """List the claims that cannot be true together with a claim, in the order of `contradicts`.

        An ID that several documents have means the claims that were compared; failing that, the claim's own document.
        """
        document = assessment.document.document.id
        by_id: dict[str, list[ClaimKey]] = defaultdict(list)
        for key in dict.fromkeys(self._partners[key_of(assessment)]):
            by_id[key[1]].append(key)
        return [key for id in assessment.contradicts for key in self._known(by_id.get(id) or [(document, id)])]

    def _known(self, keys: Iterable[ClaimKey]) -> list[ClaimKey]:
        known = [key for key in keys if key in self._keys]
        return known or [key for _, id in keys for key in sorted(self._keys) if key[1] == id]


def key_of(assessment: Assessment) -> ClaimKey:
    """Return the ID of a claim's document, and its own."""
    return assessment.document.document.id, assessment.claim.id
