"""Compare claims with the public record (`reports/claims/facts/record.yaml`).

supported            a fact agrees, and no statement of the claim is contradicted
partially_supported  the author of the claims file judged so and gave a reason
contradicted         a statement disagrees with every release that the record knows
no_public_record     the sources were read and contain nothing about it
source_unreadable    the source could not be read
na                   the record has no fact about it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from evals.reports.claims.evidence.arithmetic import Finding
from evals.reports.claims.evidence.cross_document import AGREEMENT, CONFLICT, Assertion, compare
from evals.reports.claims.language.facts import Fact, PublicRecord, Quantity
from evals.reports.claims.language.schema import Claim
from evals.reports.claims.language.values import ValueTable

_WORDS = {CONFLICT: "contradicted", AGREEMENT: "supported"}


class FactIndex:
    """The facts of the public record, indexed by subject, quantity and baseline."""

    def __init__(self, record: PublicRecord, table: ValueTable | None, quantities: Mapping[str, Quantity]) -> None:
        """Index the facts.

        Args:
            record: the facts and their sources.
            table: a table that contains the values of the facts; None only if there are no claims to check.
            quantities: every quantity by name; it declares how its values compare.
        """
        self._record = record
        self._quantities = quantities
        self._facts: dict[str, Fact] = {fact.id: fact for fact in record.facts}
        self._table = table
        self._topics: dict[object, list[Fact]] = defaultdict(list)
        for fact in record.facts:
            for subject in fact.subject:
                self._topics[subject, fact.quantity, fact.baseline].append(fact)

    def check(self, claim: Claim, assertions: Sequence[Assertion]) -> Finding:
        """Compare a claim with the facts.

        Args:
            claim: a claim; if it carries a judgement (`record.judged`), that judgement is the finding.
            assertions: what the claim states and implies.
        """
        if claim.record is not None and claim.record.judged is not None:
            lines = [self._cite(self._facts[id]) for id in claim.record.facts]
            return Finding(claim.record.judged, (f"judged: {claim.record.why}", *lines))
        listed = [self._facts[id] for id in claim.record.facts] if claim.record else None
        words, lines = [], list[str]()
        for assertion in assertions:
            facts = listed if listed is not None and not assertion.implied else self._facts_about(assertion)
            word, explanation = self._compare(assertion, facts)
            words += [word] if word else []
            lines += explanation
        return Finding(_combined(words), tuple(dict.fromkeys(lines)))

    def _facts_about(self, assertion: Assertion) -> list[Fact]:
        """The facts about an assertion's subject, quantity and baseline under the same conditions."""
        topic = assertion.subject, assertion.statement.quantity, assertion.statement.baseline
        return [fact for fact in self._topics[topic] if fact.conditions == assertion.statement.conditions]

    def _compare(self, assertion: Assertion, facts: Iterable[Fact]) -> tuple[str | None, list[str]]:
        """Compare an assertion with facts, release by release; agreement with one release is enough."""
        results_by_release: dict[str | None, list[str]] = defaultdict(list)
        states, lines = set[str](), list[str]()
        for fact in facts:
            if fact.state != "known":
                states.add(fact.state)
                lines.append(f"{assertion.by}: {self._cite(fact)}")
                continue
            assert self._table is not None
            public = Assertion(fact.id, "record", assertion.subject, fact, self._table)
            quantity = self._quantities[assertion.statement.quantity or fact.quantity or ""]
            decided = compare(assertion, public, quantity)
            if decided:
                results_by_release[fact.release].append(decided[1])
                verb = "against" if decided[1] == CONFLICT else "as"
                lines.append(f"{assertion.show()} {verb} {public.show()}: {self._cite(fact)}")
        if any(CONFLICT not in results for results in results_by_release.values()):
            return _WORDS[AGREEMENT], lines
        if results_by_release:
            return _WORDS[CONFLICT], lines
        word = "no_public_record" if "absent" in states else "source_unreadable" if states else None
        return word, lines

    def _cite(self, fact: Fact) -> str:
        """Describe a fact and its source on one line."""
        source = self._record.sources[fact.source]
        name = f"{' and '.join(fact.subject)} {(fact.quantity or '').replace('-', ' ')}".strip()
        release = f" ({fact.release})" if fact.release else ""
        table = self._table
        value = f" {fact.state}"
        if table is not None and fact.state == "known":
            computed = Assertion(fact.id, "record", fact.subject[0], fact, table) if fact.derive else None
            value = f" {computed.show() if computed else table.show(fact)}"
        citation = ", ".join(part for part in (source.title, fact.where, source.revision) if part)
        return f"{name}{release}:{value} [{citation}]"


def _combined(words: Sequence[str]) -> str:
    """Combine the words of a claim's assertions; a contradiction outweighs everything."""
    return next(
        (word for word in ("contradicted", "supported", "no_public_record", "source_unreadable") if word in words), "na"
    )
