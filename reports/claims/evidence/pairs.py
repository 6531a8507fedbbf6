"""Find the pairs of statements that agree or conflict among all statements of the documents.

Statements on one topic are compared two by two. Above a limit those with the same content count as one, and each is
compared with the lowest and the highest only: every statement that conflicts with another is still found, but not with
each of its partners. So the time stays in proportion to the number of statements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations

from evals.reports.claims.evidence.cross_document import (
    CONFLICT,
    DIFFERENCE,
    NOTE,
    Assertion,
    StatementPair,
    compare,
)
from evals.reports.claims.language.facts import Quantity

MOST_EXACT = 200
"""Number of statements on one topic up to which each is compared with each."""


MOST_KINDS = 50
"""Number of kinds (document and protocol) of one topic with whose statements each is compared above that number."""


def compare_all(
    assertions: Sequence[Assertion], quantities: Mapping[str, Quantity], *, within: bool
) -> list[StatementPair]:
    """Compare the assertions on one topic.

    Args:
        assertions: the assertions of all documents.
        quantities: every quantity by name; it declares how its values compare.
        within: compare assertions of the same document; otherwise those of two documents.
    """
    by_topic: dict[Hashable, list[Assertion]] = defaultdict(list)
    for assertion in assertions:
        by_topic[assertion.topic].append(assertion)
    pairs = []
    for group in by_topic.values():
        for first, second in combinations(group, 2) if len(group) <= MOST_EXACT else _telling_pairs(group):
            if first.key != second.key and (first.where == second.where) == within:
                quantity = quantities[first.statement.quantity or ""]
                decided = compare(first, second, quantity, margin=not within)
                if decided and not within and (first.drafted or second.drafted):
                    decided = _softened(first, second, quantity, decided)
                pairs += [StatementPair(first, second, *decided)] if decided else []
    return pairs if within else [*pairs, *_attributions(assertions, quantities)]


def _telling_pairs(group: Sequence[Assertion]) -> Iterator[tuple[Assertion, Assertion]]:
    """Yield pairs among which each statement that conflicts with another occurs with one of its partners.

    Two intervals conflict if one ends before the other begins. So a statement conflicts with some other of a kind if it
    conflicts with the one that ends first or with the one that begins last. Kinds are told apart by document and
    protocol. Categories are compared with one statement of each content.
    """
    kinds: dict[Hashable, dict[Hashable, Assertion]] = defaultdict(dict)
    for assertion in group:
        kinds[_kind(assertion)].setdefault(_content(assertion), assertion)
    extremes = {kind: _extremes(contents.values()) for kind, contents in kinds.items()}
    first_kinds = dict(list(extremes.items())[:MOST_KINDS])
    seen: set[tuple[int, int]] = set()
    for assertion in group:
        for other in chain.from_iterable(({**first_kinds, _kind(assertion): extremes[_kind(assertion)]}).values()):
            pair = (id(assertion), id(other))
            if assertion is not other and pair not in seen:
                seen |= {pair, pair[::-1]}
                yield assertion, other


def _kind(assertion: Assertion) -> Hashable:
    return assertion.where, tuple(sorted(assertion.statement.protocol.items())), assertion.allowed is None


def _content(assertion: Assertion) -> Hashable:
    interval = assertion.allowed
    number = None if interval is None else (interval.low, interval.high)
    return number, frozenset(assertion.words), assertion.statement.bound


def _extremes(assertions: Iterable[Assertion]) -> list[Assertion]:
    """The statements that end first and begin last; all of them if they are categories."""
    numbers = [(interval, assertion) for assertion in assertions if (interval := assertion.allowed) is not None]
    if not numbers:
        return list(assertions)
    first = [entry for entry in numbers if entry[0].high is not None]
    last = [entry for entry in numbers if entry[0].low is not None]
    chosen = [min(first, key=lambda entry: entry[0].high or 0)[1]] if first else []
    return chosen + ([max(last, key=lambda entry: entry[0].low or 0)[1]] if last else [])


def _softened(first: Assertion, second: Assertion, quantity: Quantity, decided: tuple[str, str]) -> tuple[str, str]:
    """Weaken a conflict of two documents of which one was drafted, where a setting may explain it.

    Scores conflict only if both state the same protocol, and it names more than the metric or the split. Times, rates
    and amounts of memory depend on hardware and load, which are seldom read: they are shown side by side. So are ratios
    to a baseline that is not named, and what the drafter has set apart because its setting is not known.
    """
    rule, result = decided
    if result != CONFLICT:
        return decided
    if any(_is_set_apart(entry) for entry in (first, second)):
        return rule, NOTE
    protocol = first.statement.protocol
    if quantity.is_score:
        is_stated = protocol == second.statement.protocol and "shots" in protocol
        return decided if is_stated else (rule, DIFFERENCE)
    unit = first.table.unit(first.statement)
    is_measured = any(part in _MEASURED for part in unit.dimension)
    return (rule, NOTE) if is_measured else decided


def _is_set_apart(assertion: Assertion) -> bool:
    """Whether a statement has a setting that is known in its own document only."""
    statement = assertion.statement
    is_placed = "place" in statement.protocol or "place" in statement.conditions
    return is_placed or (statement.unit == "times" and statement.baseline is None)


_MEASURED = frozenset(("second", "bit", "watt", "joule"))
"""Parts of units of what a run measures: times, rates, memory, power."""


def _attributions(assertions: Sequence[Assertion], quantities: Mapping[str, Quantity]) -> Iterator[StatementPair]:
    """Note values that one document states of one subject only and another document of another subject only."""
    by_content: dict[Hashable, list[Assertion]] = defaultdict(list)
    for assertion in assertions:
        if "attribution" in quantities[assertion.statement.quantity or ""].compare:
            for content in _contents(assertion):
                conditions = tuple(sorted(assertion.statement.conditions.items()))
                by_content[assertion.statement.quantity, conditions, content].append(assertion)
    for group in by_content.values():
        subjects: dict[str, set[str]] = defaultdict(set)
        for assertion in group:
            subjects[assertion.where].add(assertion.subject)
        for first, second in combinations(group, 2):
            if first.where != second.where and not subjects[first.where] & subjects[second.where]:
                yield StatementPair(first, second, "attribution", NOTE)


def _contents(assertion: Assertion) -> list[Hashable]:
    """What is attributed to the subject: the printed number, or each word."""
    number = assertion.printed_interval
    return [(number.low, number.high)] if number else list(assertion.words)
