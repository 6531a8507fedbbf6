"""Compare claims with the public record (`reports/claims/facts/record.yaml`).

A fact has a key: subject, release, quantity, baseline, conditions and protocol, in the version of its source. Several
values of a quantity are normal: a total with and without a module, a score of the base and of the chat model.

supported            a fact agrees, and no statement of the claim is contradicted
partially_supported  a part of the claim is supported; of another the record says nothing certain, or the claim says
                     more than its statements (`beyond`)
contradicted         a fact of the same key disagrees, and no fact of the quantity agrees
differs              facts disagree, but those of another release or protocol, or by no more than protocols differ
no_public_record     the sources were read and contain nothing about it, or nothing of this release or protocol
source_unreadable    a source that may state it was not read
na                   the record has no fact about it
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from evals.reports.claims.evidence.arithmetic import Finding
from evals.reports.claims.evidence.cross_document import (
    AGREEMENT,
    CONFLICT,
    DIFFERENCE,
    NOTE,
    Assertion,
    compare,
    have_clash,
)
from evals.reports.claims.evidence.published.benchmark_names import named_benchmark
from evals.reports.claims.language.facts import Fact, FactSource, PublicRecord, Quantity
from evals.reports.claims.language.schema import Claim
from evals.reports.claims.language.statements import Statement
from evals.reports.claims.language.values import ValueTable

SETTING = "setting"
"""The key of a protocol for how a score came about, in the words of the document: "majority voting"."""
_OTHER_KEY = "other key"
"""The result of a disagreement with a fact about another release, protocol or condition than the claim states."""
_VERBS = {CONFLICT: "against", DIFFERENCE: "beside", _OTHER_KEY: "beside"}
_COLUMN = re.compile(r"column (.+) of its tables")
_UNCERTAIN = ("differs", "no_public_record", "source_unreadable")


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
        """Compare a claim with the facts, by rule; a judgement of its author (`record.judged`) decides nothing.

        Args:
            claim: a claim.
            assertions: what the claim states and implies.
        """
        by_rule = claim.record is not None and claim.record.judged is None
        listed = [self._facts[id] for id in claim.record.facts] if claim.record is not None and by_rule else None
        words, lines = [], list[str]()
        for assertion in assertions:
            facts = listed if listed is not None and not assertion.implied else self._facts_about(assertion)
            word, explanation = self._compare(assertion, facts)
            words += [word] if word else []
            lines += explanation
        word = _combined(words)
        if claim.beyond is not None and word == "supported":
            word = "partially_supported"
            lines.append(f"beyond what was compared, it says more: {claim.beyond}")
        return Finding(word, tuple(dict.fromkeys(lines)))

    def judgement(self, claim: Claim) -> tuple[str, ...]:
        """The judgement by hand that a claim carries, and the facts that it cites; empty without one."""
        if claim.record is None or claim.record.judged is None:
            return ()
        cited = (self._cite(self._facts[id]) for id in claim.record.facts)
        return f"{claim.record.judged.replace('_', ' ')}: {claim.record.why}", *cited

    def _facts_about(self, assertion: Assertion) -> list[Fact]:
        """The facts about an assertion's subject, quantity and baseline, under its conditions or narrower ones."""
        statement = assertion.statement
        topic = assertion.subject, statement.quantity, statement.baseline
        facts = [fact for fact in self._topics[topic] if fact.comparison == statement.comparison]
        return [fact for fact in facts if statement.conditions.items() <= fact.conditions.items()]

    def _compare(self, assertion: Assertion, facts: Iterable[Fact]) -> tuple[str | None, list[str]]:
        """Compare an assertion with facts: any agreement is enough, and only a fact of the same key contradicts."""
        states, results, lines = set[str](), set[str](), list[str]()
        for fact in facts:
            if fact.state != "known":
                if fact.conditions != assertion.statement.conditions:
                    continue
                states.add(fact.state)
                lines.append(f"{assertion.by}: {self._cite(fact)}")
            elif not _is_comparable(assertion.statement, fact):
                states.add("other")
                lines.append(f"no record of this release or protocol; of another: {self._cite(fact)}")
            else:
                result, line = self._compare_with_fact(assertion, fact)
                if result == _OTHER_KEY and self._is_of_variant(assertion, fact):
                    states.add("other")
                    line = f"no record of this release or protocol; of another: {self._cite(fact)}"
                else:
                    results |= {result} if result else set()
                lines += [line] if line else []
        if results & {AGREEMENT, NOTE}:
            return "supported", lines
        if CONFLICT in results and DIFFERENCE not in results:
            return "contradicted", lines
        if results:
            return "differs", lines
        return ("no_public_record" if states & {"absent", "other"} else "source_unreadable" if states else None), lines

    def _compare_with_fact(self, assertion: Assertion, fact: Fact) -> tuple[str | None, str | None]:
        """Compare an assertion with a known fact; a conflict needs a fact of the same key."""
        assert self._table is not None
        public = Assertion(fact.id, "record", assertion.subject, fact, self._table)
        quantity = self._quantities[assertion.statement.quantity or fact.quantity or ""]
        decided = compare(assertion, public, quantity)
        if decided is None:
            return None, None
        result = decided[1]
        if result == CONFLICT and not _has_same_key(assertion.statement, fact, quantity):
            result = _OTHER_KEY
        verb = _VERBS.get(result, "as")
        return result, f"{assertion.show()} {verb} {public.show()}: {self._cite(fact)}"

    def _is_of_variant(self, assertion: Assertion, fact: Fact) -> bool:
        """Whether a fact is of a variant (V3-Base) of which a statement about the plain name (V3) says nothing."""
        subject = self._record.subjects.get(assertion.subject)
        if fact.release is None or assertion.statement.release is not None or subject is None:
            return False
        plain = {subject.name, subject.name.partition("-")[2]}
        return fact.release not in plain and any(part in fact.release for part in plain if part)

    def _cite(self, fact: Fact) -> str:
        """Describe a fact and its sources on one line."""
        name = f"{' and '.join(fact.subject)} {self._name(fact.quantity)}".strip()
        key = [*([fact.release] if fact.release else []), *(f"{key} {value}" for key, value in fact.protocol.items())]
        variant = f" ({', '.join(key)})" if key else ""
        table = self._table
        value = f" {fact.state}"
        if table is not None and fact.state == "known":
            computed = Assertion(fact.id, "record", fact.subject[0], fact, table) if fact.derive else None
            value = f" {computed.show() if computed else table.show(fact)}"
        sources = [self._record.sources[name] for name in fact.source]
        place = ", ".join(part for part in (fact.where, f"line {fact.line}" if fact.line else None) if part)
        titles = "; ".join(map(_title, sources))
        return f"{name}{variant}:{value} [{titles}{', ' + place if place else ''}]"

    def _name(self, quantity: str | None) -> str:
        """Name a quantity in words; one that a document declares for a column of its tables by its header."""
        declared = self._quantities.get(quantity or "")
        header = _COLUMN.fullmatch(declared.says) if declared is not None else None
        return named_benchmark(header[1]).name if header else (quantity or "").replace("-", " ")


def _title(source: FactSource) -> str:
    """The title and revision of a source, and whether it could not be read again."""
    unread = f"source not read again, {source.not_read_again}" if source.not_read_again else None
    return ", ".join(part for part in (source.title, source.revision, unread) if part)


def _is_comparable(statement: Statement, fact: Fact) -> bool:
    """Whether a fact may be about the same thing: releases and protocols that are both stated agree.

    A `setting`, which a drafted claim has where its text says that the score is of no plain run, must be the fact's.
    """
    releases = {statement.release, fact.release} - {None}
    is_plain = statement.protocol.get(SETTING) in {None, fact.protocol.get(SETTING)}
    return len(releases) < 2 and is_plain and not have_clash(statement.protocol, fact.protocol)


def _has_same_key(statement: Statement, fact: Fact, quantity: Quantity) -> bool:
    """Whether a fact can contradict a statement.

    Conditions must be equal. Of a score, the release and the whole protocol of the fact must be stated. Any other
    quantity of a subject without a release must agree with one of its releases.
    """
    if statement.conditions != fact.conditions:
        return False
    if not quantity.is_score:
        return True
    is_stated = fact.protocol.items() <= statement.protocol.items()
    return is_stated and (fact.release is None or fact.release == statement.release)


def _combined(words: Sequence[str]) -> str:
    """Combine the words of a claim's assertions; a contradiction outweighs everything."""
    if "contradicted" not in words and "supported" in words and any(word in words for word in _UNCERTAIN):
        return "partially_supported"
    return next((word for word in ("contradicted", "supported", *_UNCERTAIN) if word in words), "na")
