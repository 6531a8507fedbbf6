"""When two statements about the same thing cannot both be true, and when they agree.

Documents, and the public record beside them, are compared by one rule. Two statements are about the same thing when
subject, quantity, baseline and conditions are equal. Their quantity declares by which rules their values compare
(`evals.reports.claims.language.schema.Quantity.compare`); each gives "apart", "agree" or nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from evals.reports.claims.language.schema import Quantity, Statement, Vocabulary
from evals.reports.claims.language.units import ExactInterval, figure
from evals.reports.claims.language.values import ValueTable

CONFLICT, AGREE = "apart", "agree"
RuleResult = str | None
"""`apart`, `agree`, or None where a rule has nothing to say."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A statement with who makes it."""

    by: str
    """The id of the claim or fact."""
    where: str
    """The document, or `record`."""
    subject: str
    statement: Statement
    ledger: ValueTable
    implied: bool = False
    """Whether it follows from the claim rather than being what it says."""

    @property
    def topic(self) -> Hashable:
        """What it is about: equal topics are compared."""
        said = self.statement
        return self.subject, said.quantity, said.baseline, tuple(sorted(said.conditions.items()))

    @property
    def allowed(self) -> ExactInterval | None:
        """What its number allows; None for a category."""
        return self.ledger.allowed(self.statement)

    @property
    def figures(self) -> ExactInterval | None:
        """What its digits stand for, whatever bound they are given as."""
        said = self.statement
        return self.allowed if said.digits is None else ExactInterval(*self.ledger.spread(said))

    @property
    def words(self) -> tuple[str, ...]:
        """Its category, as written."""
        return self.statement.value or ()

    def show(self) -> str:
        """Print its value as its document does."""
        said = self.statement
        bound = "" if said.bound == "exactly" else f"{said.bound.replace('-', ' ')} "
        if said.digits is None and (number := self.allowed) is not None:
            unit = self.ledger.unit(said)
            ends = [figure(end, unit) for end in (number.low, number.high) if end is not None]
            return bound + " to ".join(dict.fromkeys(ends))
        return bound + self.ledger.show(said)


@dataclass(frozen=True, slots=True)
class StatementPair:
    """Two statements that were compared, and what came of it."""

    first: Assertion
    second: Assertion
    rule: str
    answer: str

    @property
    def quantity(self) -> str:
        """What they are about."""
        return self.first.statement.quantity or ""

    def says(self) -> str:
        """Say it on one line."""
        joint = "against" if self.answer == CONFLICT else "and"
        whose = self.first.subject if self.rule != "attribution" else f"{self.first.subject} or {self.second.subject}"
        sides = [
            f"{said.by} {f'({said.subject}) ' if self.rule == 'attribution' else ''}{said.show()}"
            for said in (self.first, self.second)
        ]
        return f"{self.quantity.replace('-', ' ')} of {whose}: {sides[0]} {joint} {sides[1]} ({self.rule})"


def compare(first: Assertion, second: Assertion, quantity: Quantity) -> tuple[str, str] | None:
    """Hold two statements of one topic against each other: the rule that decided and its answer.

    A rule that finds them apart outweighs one that finds them agreeing.
    """
    answers = [(rule, RULES[rule](first, second)) for rule in quantity.compare if rule in RULES]
    given = [(rule, answer) for rule, answer in answers if answer]
    return min(given, key=lambda found: found[1] != CONFLICT, default=None)


def _interval(first: Assertion, second: Assertion) -> RuleResult:
    ours, theirs = first.allowed, second.allowed
    if ours is None or theirs is None:
        return None
    return AGREE if ours.meets(theirs) else CONFLICT


def _figures(first: Assertion, second: Assertion) -> RuleResult:
    ours, theirs = first.figures, second.figures
    if ours is None or theirs is None:
        return None
    return AGREE if ours.meets(theirs) else CONFLICT


def _equal(first: Assertion, second: Assertion) -> RuleResult:
    if not first.words or not second.words:
        return None
    return AGREE if set(first.words) == set(second.words) else CONFLICT


def _set(first: Assertion, second: Assertion) -> RuleResult:
    """Whether some set satisfies both; agreement is only said of two that name a member in common."""
    if not first.words or not second.words:
        return None
    least, most, banned = set[str](), None, set[str]()
    for said in (first, second):
        own, bound = set(said.words), said.statement.bound
        if bound in {"exactly", "at-least"}:
            least |= own
        if bound in {"exactly", "at-most"}:
            most = own if most is None else most & own
        if bound == "without":
            banned |= own
    if least & banned or (most is not None and not least <= most):
        return CONFLICT
    bounds = {first.statement.bound, second.statement.bound}
    if "exactly" in bounds:  # the whole set is known, and it satisfies the other
        return AGREE
    one_side = len({bound == "without" for bound in bounds}) == 1
    return AGREE if one_side and set(first.words) & set(second.words) else None


def _ordering(first: Assertion, second: Assertion) -> RuleResult:
    """Whether two words stand in the opposite order; agreement when two or more stand in the same."""
    common = [word for word in first.words if word in second.words]
    if len(common) < 2:
        return None
    theirs = [word for word in second.words if word in common]
    return AGREE if common == theirs else CONFLICT


RULES: Mapping[str, Callable[[Assertion, Assertion], RuleResult]] = {
    "interval": _interval,
    "figures": _figures,
    "equal": _equal,
    "set": _set,
    "ordering": _ordering,
}
"""Every rule of `Quantity.compare` but `attribution`, which is about two subjects and found over whole documents."""


def pairs(said: Sequence[Assertion], quantities: Mapping[str, Quantity], *, within: bool) -> list[StatementPair]:
    """Compare all statements of one topic with each other.

    Args:
        said: of all documents.
        quantities: how each is compared.
        within: compare statements of one document; otherwise those of two.
    """
    topics: dict[Hashable, list[Assertion]] = defaultdict(list)
    for each in said:
        topics[each.topic].append(each)
    found = []
    for group in topics.values():
        for first, second in combinations(group, 2):
            same = (first.by, first.where) == (second.by, second.where)  # ids are of a document's own
            if not same and (first.where == second.where) == within:
                decided = compare(first, second, quantities[first.statement.quantity or ""])
                found += [StatementPair(first, second, *decided)] if decided else []
    return found if within else [*found, *_attributions(said, quantities)]


def _attributions(said: Sequence[Assertion], quantities: Mapping[str, Quantity]) -> Iterator[StatementPair]:
    """Find what one document says of one subject only and another of another subject only."""
    holders: dict[Hashable, list[Assertion]] = defaultdict(list)
    for each in said:
        if "attribution" in quantities[each.statement.quantity or ""].compare:
            for content in _contents(each):
                conditions = tuple(sorted(each.statement.conditions.items()))
                holders[each.statement.quantity, conditions, content].append(each)
    for group in holders.values():
        subjects: dict[str, set[str]] = defaultdict(set)
        for each in group:
            subjects[each.where].add(each.subject)
        for first, second in combinations(group, 2):
            if first.where != second.where and not subjects[first.where] & subjects[second.where]:
                yield StatementPair(first, second, "attribution", CONFLICT)


def _contents(said: Assertion) -> list[Hashable]:
    """What is said of the subject: its figure, or each of its words."""
    figures = said.figures
    return [(figures.low, figures.high)] if figures else list(said.words)


def gather(
    where: str, ledger: ValueTable, entries: Iterable[tuple[str, Sequence[Statement], Statement | None]]
) -> Iterator[Assertion]:
    """List what each entry says, once a subject.

    Args:
        where: the document, or `record`.
        ledger: its numbers.
        entries: id, statements, and which of them is the entry itself.
    """
    for by, statements, own in entries:
        for statement in statements:
            for subject in statement.subject:
                yield Assertion(by, where, subject, statement, ledger, implied=statement is not own)


def declared(vocabulary: Vocabulary, *own: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """All quantities: the vocabulary's and those that documents declare."""
    return {name: quantity for each in (vocabulary.quantities, *own) for name, quantity in each.items()}
