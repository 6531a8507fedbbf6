"""What is publicly known, held against what a claim says.

supported            a fact of the record agrees, and none of the claim's statements is contradicted
partially_supported  a reader judged so, with the reason
contradicted         a statement disagrees with every release that the record knows
no_public_record     the sources were read and hold nothing of the kind
source_unreadable    the source that would tell could not be read
na                   nothing in the record is about it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from evals.reports.claims.evidence.arithmetic import Finding
from evals.reports.claims.evidence.cross_document import AGREE, CONFLICT, Assertion, compare
from evals.reports.claims.language.schema import Claim, Fact, PublicRecord, Quantity
from evals.reports.claims.language.values import ValueTable

_WORDS = {CONFLICT: "contradicted", AGREE: "supported"}


class FactIndex:
    """The public record, ready to be asked."""

    def __init__(self, record: PublicRecord, ledger: ValueTable | None, quantities: Mapping[str, Quantity]) -> None:
        """Take the facts, a ledger that has their numbers, and how quantities compare."""
        self._record = record
        self._quantities = quantities
        self._facts: dict[str, Fact] = {fact.id: fact for fact in record.facts}
        self._ledger = ledger
        self._topics: dict[object, list[Fact]] = defaultdict(list)
        for fact in record.facts:
            for subject in fact.subject:
                self._topics[subject, fact.quantity, fact.baseline].append(fact)

    def check(self, claim: Claim, said: Sequence[Assertion]) -> Finding:
        """Hold a claim's statements against the record."""
        if claim.record is not None and claim.record.judged is not None:
            lines = [self._cite(self._facts[id]) for id in claim.record.facts]
            return Finding(claim.record.judged, (f"judged: {claim.record.why}", *lines))
        named = [self._facts[id] for id in claim.record.facts] if claim.record else None
        words, lines = [], list[str]()
        for each in said:
            about = named if named is not None and not each.implied else self._about(each)
            word, more = self._held(each, about)
            words += [word] if word else []
            lines += more
        return Finding(_together(words), tuple(dict.fromkeys(lines)))

    def _about(self, said: Assertion) -> list[Fact]:
        """The facts of a statement's subject, quantity and baseline, under its conditions."""
        topic = said.subject, said.statement.quantity, said.statement.baseline
        return [fact for fact in self._topics[topic] if fact.conditions == said.statement.conditions]

    def _held(self, said: Assertion, facts: Iterable[Fact]) -> tuple[str | None, list[str]]:
        """Compare a statement with the facts about it, release by release: one that agrees is enough."""
        answers: dict[str | None, list[str]] = defaultdict(list)
        states, lines = set[str](), list[str]()
        for fact in facts:
            if fact.state != "known":
                states.add(fact.state)
                lines.append(f"{said.by}: {self._cite(fact)}")
                continue
            assert self._ledger is not None
            theirs = Assertion(fact.id, "record", said.subject, fact, self._ledger)
            quantity = self._quantities[said.statement.quantity or fact.quantity or ""]
            decided = compare(said, theirs, quantity)
            if decided:
                answers[fact.release].append(decided[1])
                verb = "against" if decided[1] == CONFLICT else "as"
                lines.append(f"{said.show()} {verb} {theirs.show()}: {self._cite(fact)}")
        if any(CONFLICT not in found for found in answers.values()):
            return _WORDS[AGREE], lines
        if answers:
            return _WORDS[CONFLICT], lines
        word = "no_public_record" if "absent" in states else "source_unreadable" if states else None
        return word, lines

    def _cite(self, fact: Fact) -> str:
        """Say what a fact is and where it was read."""
        source = self._record.sources[fact.source]
        name = f"{' and '.join(fact.subject)} {(fact.quantity or '').replace('-', ' ')}".strip()
        release = f" ({fact.release})" if fact.release else ""
        ledger = self._ledger
        value = f" {fact.state}"
        if ledger is not None and fact.state == "known":
            computed = Assertion(fact.id, "record", fact.subject[0], fact, ledger) if fact.derive else None
            value = f" {computed.show() if computed else ledger.show(fact)}"
        place = ", ".join(part for part in (source.title, fact.where, source.revision) if part)
        return f"{name}{release}:{value} [{place}]"


def _together(words: Sequence[str]) -> str:
    """Join what the record says of a claim's statements."""
    if "contradicted" in words:
        return "contradicted"
    for word in ("supported", "no_public_record", "source_unreadable"):
        if word in words:
            return word
    return "na"
