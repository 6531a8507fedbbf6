"""Prove that two statements cannot both be true.

A proof is a list of sentences: what each statement allows, why no value satisfies both, and, where a claim only implies
its statement, why it follows. A reader can check each sentence against the two documents.
"""

from __future__ import annotations

from evals.reports.claims.evidence.cross_document import CONFLICT, Assertion, StatementPair
from evals.reports.claims.language.schema import ImpliedStatement
from evals.reports.claims.language.units import format_range


def prove(pair: StatementPair) -> tuple[str, ...]:
    """Return the sentences that show why both statements of a contradicting pair cannot be true.

    Args:
        pair: two statements of one subject, quantity and baseline under the same conditions.

    Raises:
        ValueError: the pair is no contradiction.
    """
    if pair.result != CONFLICT:
        raise ValueError(f"{pair.first.name} and {pair.second.name} do not contradict each other")
    sides = (pair.first, pair.second)
    return *(line for side in sides if (line := _implication(side))), _clash(pair.rule, *sides)


def _implication(side: Assertion) -> str | None:
    """Why a claim implies a statement; None if it states it."""
    if not side.implied:
        return None
    because = side.statement.because if isinstance(side.statement, ImpliedStatement) else None
    quantity = (side.statement.quantity or "").replace("-", " ")
    reason = f", because {because.rstrip('.')}" if because else ""
    return f"{side.name} implies the {quantity} of {side.subject} “{side.show()}”{reason}."


def _clash(rule: str, first: Assertion, second: Assertion) -> str:
    """Why no value satisfies both statements."""
    a, b = first.allowed, second.allowed
    if a is not None and b is not None:
        ranges = [format_range(ends, side.table.unit(side.statement)) for side, ends in ((first, a), (second, b))]
        return f"{first.name} allows {ranges[0]} and {second.name} {ranges[1]}: no number is in both."
    if rule == "set":
        return _clash_of_sets(first, second)
    if rule == "ordering":
        words = [word for word in first.words if word in second.words]
        other = [word for word in second.words if word in words]
        return f"{first.name} has the order {', '.join(words)}, and {second.name} {', '.join(other)}."
    return f"It has one value: {first.name} says {', '.join(first.words)}, and {second.name} {', '.join(second.words)}."


def _clash_of_sets(first: Assertion, second: Assertion) -> str:
    """Name the members that one statement requires and the other excludes."""
    for side, other in ((first, second), (second, first)):
        required = set(side.words) if side.statement.bound in {"exactly", "at-least"} else set[str]()
        bound = other.statement.bound
        permitted = set(other.words) if bound in {"exactly", "at-most"} else required
        excluded = set(other.words) if bound == "without" else set[str]()
        if members := sorted((required - permitted) | (required & excluded)):
            allowed = f"allows only {', '.join(other.words)}" if bound in {"exactly", "at-most"} else "excludes it"
            return f"{side.name} requires {', '.join(members)}, and {other.name} {allowed}."
    raise AssertionError("contradicting sets have a member that one requires and the other excludes")
