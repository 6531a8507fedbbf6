"""Compare statements on the same topic: do they agree, or can they not both be true?

The same rules compare claims of two documents, claims of one document, and claims with facts of the public record. Two
statements have the same topic if subject, release, quantity, baseline and conditions are equal. The quantity declares
which rules compare its values (`Quantity.compare`). Two statements are a conflict only if they cannot both be true.
Other pairs that a reader may want to see are notes: a bound of 18 beside a value of 16, or one value stated of two
systems.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from evals.reports.claims.language.expressions import referenced_claims
from evals.reports.claims.language.facts import Quantity, Vocabulary
from evals.reports.claims.language.schema import Document
from evals.reports.claims.language.statements import Statement
from evals.reports.claims.language.units import ExactInterval, format_value
from evals.reports.claims.language.values import ValueTable

CONFLICT, DIFFERENCE, NOTE, AGREEMENT = "conflict", "difference", "note", "agreement"
RuleResult = str | None
"""`CONFLICT` (they cannot both be true), `DIFFERENCE` (scores that differ by no more than two protocols do), `NOTE`
(both can be true, but a reader may want to see them side by side), `AGREEMENT`, or None if a rule does not apply."""
PROTOCOL_MARGIN = Fraction(25, 1000)
"""How far two protocols of evaluation may move a score, as a fraction; the same against documents, the public record
and runs. One model moved by 2.4 points between two READMEs of one laboratory."""
_RESULTS = (CONFLICT, DIFFERENCE, NOTE, AGREEMENT)
"""The results, from the one that decides a comparison by several rules to the weakest."""
_REMARKS = {"figures": ", though both can be true", "attribution": ": attributed to different systems"}
"""What a note says, by its rule."""


@dataclass(frozen=True)
class Assertion:
    """A statement about one subject, with its origin; intervals are kept, since each is compared with many."""

    by: str
    """The id of the claim or fact."""
    where: str
    """The id of the document, or `record`."""
    subject: str
    statement: Statement
    table: ValueTable
    """The values that the statement's expressions refer to."""
    implied: bool = False
    """Whether the claim implies the statement rather than stating it."""
    drafted: bool = False
    """Whether rules read it from an article: a setting that they did not read may explain another value."""
    is_shared: bool = False
    """Whether several documents that are checked together have a claim of this id."""

    @property
    def name(self) -> str:
        """How notes name the claim: its id, with the document where the id alone would not tell which is meant."""
        return f"{self.by} of {self.where}" if self.is_shared else self.by

    @property
    def key(self) -> tuple[str, str]:
        """The document and the claim, or `record` and the fact."""
        return self.where, self.by

    @cached_property
    def topic(self) -> Hashable:
        """What the statement is about; assertions with equal topics are compared."""
        statement = self.statement
        conditions = tuple(sorted(statement.conditions.items()))
        baseline = statement.baseline, statement.comparison
        return self.subject, statement.release, statement.quantity, baseline, conditions

    @cached_property
    def allowed(self) -> ExactInterval | None:
        """The interval of values that the statement allows, including its bound; None for a category."""
        return self.table.allowed(self.statement)

    @cached_property
    def printed_interval(self) -> ExactInterval | None:
        """The interval of values that round to the printed digits, ignoring the bound."""
        if self.statement.digits is None:
            return self.allowed
        return ExactInterval(*self.table.rounding_range(self.statement))

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a category; empty for a number."""
        return self.statement.value or ()

    def show(self) -> str:
        """Format the value as its document prints it, after its bound."""
        statement = self.statement
        bound = "" if statement.bound == "exactly" else f"{statement.bound.replace('-', ' ')} "
        if statement.digits is None and (number := self.allowed) is not None:
            unit = self.table.unit(statement)
            ends = [format_value(end, unit) for end in (number.low, number.high) if end is not None]
            return bound + " to ".join(dict.fromkeys(ends))
        return bound + self.table.show(statement)


@dataclass(frozen=True, slots=True)
class StatementPair:
    """Two assertions that a rule found to agree, to conflict, or to be worth a note."""

    first: Assertion
    second: Assertion
    rule: str
    result: str

    @property
    def quantity(self) -> str:
        """The quantity that both are about."""
        return self.first.statement.quantity or ""

    def describe(self) -> str:
        """Describe the pair on one line: the topic, both values, the rule."""
        attribution = self.rule == "attribution"
        subject = f"{self.first.subject} or {self.second.subject}" if attribution else self.first.subject
        first, second = (
            f"{side.name} {f'({side.subject}) ' if attribution else ''}{side.show()}"
            for side in (self.first, self.second)
        )
        joint = "and" if self.result == AGREEMENT else "against" if self.result == CONFLICT else "beside"
        remark = _REMARKS.get(self.rule, "") if self.result == NOTE else ""
        if self.result == DIFFERENCE:
            remark = (
                ": read from an article, where another protocol may be meant"
                if (self.first.drafted or self.second.drafted) and not _within_margin(self.first, self.second)
                else f", within the {float(PROTOCOL_MARGIN) * 100:g} points that two protocols may differ by"
            )
        return f"{self.quantity.replace('-', ' ')} of {subject}: {first} {joint} {second} ({self.rule}){remark}"


def compare(first: Assertion, second: Assertion, quantity: Quantity, *, margin: bool = True) -> tuple[str, str] | None:
    """Compare two assertions on one topic by the rules of their quantity.

    Args:
        first: an assertion.
        second: an assertion on the same topic.
        quantity: their quantity.
        margin: whether scores of protocols that are not both stated may differ by `PROTOCOL_MARGIN`. Not within one
            document: there scores of the same statements must agree, and a protocol that one of them adds makes it
            another score.

    Returns:
        The deciding rule and its result, a conflict before a note before an agreement; None if no rule applies.
    """
    if have_clash(first.statement.protocol, second.statement.protocol):
        return None
    results = [(rule, RULES[rule](first, second)) for rule in quantity.compare if rule in RULES]
    decided = [(rule, result) for rule, result in results if result]
    same_protocol = first.statement.protocol == second.statement.protocol
    if quantity.is_score and (_within_margin(first, second) if margin else not same_protocol):
        decided = [(rule, DIFFERENCE if result == CONFLICT else result) for rule, result in decided]
    return min(decided, key=lambda entry: _RESULTS.index(entry[1]), default=None)


def have_clash(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    """Whether two protocols state different values of one key.

    Example:
        >>> have_clash({"shots": "5"}, {"shots": "0", "prompt": "CoT"}), have_clash({"shots": "5"}, {"prompt": "CoT"})
        (True, False)
    """
    return any(second.get(key, value) != value for key, value in first.items())


def _within_margin(first: Assertion, second: Assertion) -> bool:
    """Whether the values differ by no more than two protocols may; never if both state the same one."""
    protocol = first.statement.protocol
    a, b = first.allowed, second.allowed
    if a is None or b is None or (protocol and protocol == second.statement.protocol):
        return False
    low = None if a.low is None else a.low - PROTOCOL_MARGIN
    high = None if a.high is None else a.high + PROTOCOL_MARGIN
    return ExactInterval(low, high).meets(b)


def _interval(first: Assertion, second: Assertion) -> RuleResult:
    return _overlap(first.allowed, second.allowed)


def _binary(first: Assertion, second: Assertion) -> RuleResult:
    """As `_interval`, where thousands that are printed as K may be 1,024."""
    readings = [(a, b) for a in _thousands(first) for b in _thousands(second)]
    results = {_overlap(a, b) for a, b in readings}
    return None if not readings else AGREEMENT if AGREEMENT in results else CONFLICT


def _thousands(assertion: Assertion) -> list[ExactInterval]:
    """The interval of a number, and that with 1,024 for each 1,000 of its factor `times`."""
    allowed = assertion.allowed
    if allowed is None:
        return []
    power = {10**3: 1, 10**6: 2}.get(int(assertion.statement.times), 0)
    scale = Fraction(1024, 1000) ** power
    ends = (None if end is None else end * scale for end in (allowed.low, allowed.high))
    return [allowed, ExactInterval(*ends)] if power else [allowed]


def _figures(first: Assertion, second: Assertion) -> RuleResult:
    """Printed values that differ are worth a note, as their bounds may allow both."""
    result = _overlap(first.printed_interval, second.printed_interval)
    return NOTE if result == CONFLICT else result


def _overlap(first: ExactInterval | None, second: ExactInterval | None) -> RuleResult:
    if first is None or second is None:
        return None
    return AGREEMENT if first.meets(second) else CONFLICT


def _equal(first: Assertion, second: Assertion) -> RuleResult:
    if not first.words or not second.words:
        return None
    return AGREEMENT if set(first.words) == set(second.words) else CONFLICT


def _set(first: Assertion, second: Assertion) -> RuleResult:
    """Whether one set can satisfy both; two open sets agree only if they name a common member."""
    if not first.words or not second.words:
        return None
    required, permitted, excluded = set[str](), None, set[str]()
    for assertion in (first, second):
        members, bound = set(assertion.words), assertion.statement.bound
        if bound in {"exactly", "at-least"}:
            required |= members
        if bound in {"exactly", "at-most"}:
            permitted = members if permitted is None else permitted & members
        if bound == "without":
            excluded |= members
    if required & excluded or (permitted is not None and not required <= permitted):
        return CONFLICT
    bounds = {first.statement.bound, second.statement.bound}
    if "exactly" in bounds:  # the whole set is known, and it satisfies the other
        return AGREEMENT
    one_side = len({bound == "without" for bound in bounds}) == 1
    return AGREEMENT if one_side and set(first.words) & set(second.words) else None


def _ordering(first: Assertion, second: Assertion) -> RuleResult:
    """Whether the words that both name, at least two, are in the same order."""
    common = [word for word in first.words if word in second.words]
    if len(common) < 2:
        return None
    other_order = [word for word in second.words if word in common]
    return AGREEMENT if common == other_order else CONFLICT


RULES: Mapping[str, Callable[[Assertion, Assertion], RuleResult]] = {
    "interval": _interval,
    "binary": _binary,
    "figures": _figures,
    "equal": _equal,
    "set": _set,
    "ordering": _ordering,
}
"""The rules of `Quantity.compare` for two assertions on one topic. `attribution` is not among them: it compares two
subjects and needs all assertions of both documents."""


def assertions_of(document: Document, table: ValueTable) -> Iterator[Assertion]:
    """List what each claim of a document states or implies, once for each subject."""
    for claim in document.claims:
        for statement in claim.statements:
            for subject in statement.subject:
                implied = statement is not claim
                yield Assertion(
                    claim.id,
                    document.document.id,
                    subject,
                    statement,
                    table,
                    implied=implied,
                    drafted=document.document.drafted,
                )


def without_inherited(assertions: Sequence[Assertion], documents: Sequence[Document]) -> list[Assertion]:
    """Drop implied assertions that a claim shares with a claim it is computed from: they would count twice."""
    sources = {(d.document.id, claim.id): referenced_claims(claim.derive) for d in documents for claim in d.claims}
    present = {(*assertion.key, assertion.topic, assertion.show()) for assertion in assertions}

    def is_inherited(assertion: Assertion) -> bool:
        return assertion.implied and any(
            (assertion.where, id, assertion.topic, assertion.show()) in present for id in sources[assertion.key]
        )

    return [assertion for assertion in assertions if not is_inherited(assertion)]


def all_quantities(vocabulary: Vocabulary, *declared: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Join the quantities of the vocabulary with those that documents declare."""
    return {
        name: quantity for quantities in (vocabulary.quantities, *declared) for name, quantity in quantities.items()
    }
