"""The pairs of values that a change may mean, the nearest first."""

from __future__ import annotations

from collections.abc import Sequence

from evals.reports.claims.drafting.language.lexicon import METRICS
from evals.reports.claims.drafting.language.words import entries
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.relations.levels import Level, same_split

_COSTS: dict[str, frozenset[str]] = {row["change"]: frozenset(row["of"]) for row in entries("costs")}
"""For each kind of change the quantities of which it may be the change."""
_GENERIC_METRICS = frozenset(("accuracy", "average-score", "error-rate", "win-rate", "success-rate", "top-1-accuracy"))
_METRIC_NAMES = frozenset(words.id for words in METRICS) & _GENERIC_METRICS
"""Metrics whose name says little, so that a change of them may be one of any score."""
_SCORE_CHANGES = {"error-reduction", "retention", "quality-loss"}


def tiers(claim: Proposal, known: Sequence[Level]) -> tuple[list[tuple[Level, Level]], ...]:
    """Return the pairs that a change may mean: in its sentence, of both its systems, of its subject and any other.

    Args:
        claim: the change.
        known: the values of the article.
    """
    usable = [level for level in known if _is_of_kind(claim, level)]
    return _either_way(claim, _in_sentence(claim, usable)), _of_both(claim, usable), _of_subject(claim, usable)


def _either_way(claim: Proposal, pairs: list[tuple[Level, Level]]) -> list[tuple[Level, Level]]:
    """Take a pair of two systems in both orders if the clause of the change does not say which of them changed."""
    if any(ground.startswith(("subject named in the clause", "subject named beside")) for ground in claim.grounds):
        return pairs
    turned = [(old, new) for new, old in pairs if new.subject != old.subject and not (old.is_start or new.is_end)]
    return [*pairs, *turned]


def _is_of_kind(claim: Proposal, level: Level) -> bool:
    """Whether a change may be a change of a value."""
    if not level.is_plain or level.quantity is None:
        return False
    quantity = (claim.quantity or "").removesuffix("-change")
    if claim.unit not in {"percent", "points", "times"}:
        return level.quantity == quantity
    if quantity in _COSTS:
        return level.quantity in _COSTS[quantity]
    is_score = level.unit.dimension == {}
    if quantity in _SCORE_CHANGES or (quantity in _METRIC_NAMES and is_score) or claim.unit == "points":
        return is_score and (claim.unit != "points" or level.quantity == quantity or not names_quantity(claim))
    return level.quantity == quantity or not names_quantity(claim)


def names_quantity(claim: Proposal) -> bool:
    """Whether a change says what changes."""
    return claim.quantity is not None and claim.quantity not in {"change", "accuracy-change", "error-rate-change"}


def _same_kind(first: Level, second: Level) -> bool:
    """Whether two values can be compared: of one quantity, not of two splits."""
    splits = {first.split, second.split} - {None}
    if first.table and second.table and (first.table, first.column) != (second.table, second.column):
        return False
    return (
        first.quantity == second.quantity
        and first.unit.dimension == second.unit.dimension
        and len(splits) < 2
        and first.low != second.low
    )


def _in_sentence(claim: Proposal, known: Sequence[Level]) -> list[tuple[Level, Level]]:
    """The pairs of values in the sentence of a change; if it has one alone, values just before it count too."""
    inside = [
        level for level in known if level.table is None and claim.sentence[0] <= level.span[0] < claim.sentence[1]
    ]
    if len(inside) < 2:
        before = [
            level
            for level in known
            if level.table is None and claim.sentence[0] - 200 <= level.span[0] < claim.sentence[0]
        ]
        inside = [*before[-2 + len(inside) :], *inside]
    pairs = [
        (first, second) for n, first in enumerate(inside) for second in inside[n + 1 :] if _same_kind(first, second)
    ]
    return [
        _ordered(claim, *pair)
        for pair in sorted(
            pairs, key=lambda pair: abs(pair[1].span[0] - claim.span[0]) + abs(pair[0].span[0] - claim.span[0])
        )
    ]


def _ordered(claim: Proposal, first: Level, second: Level) -> tuple[Level, Level]:
    """Put the new value before the old one: the subject's before the baseline's, the end before the start."""
    if first.is_end or second.is_start or (first.subject == claim.subject and second.subject != claim.subject):
        return first, second
    if second.subject == claim.subject and first.subject != claim.subject:
        return second, first
    return (second, first) if first.is_start or second.is_end else (first, second)


def _of_both(claim: Proposal, known: Sequence[Level]) -> list[tuple[Level, Level]]:
    """The pairs of values of the subject and the baseline anywhere in the article."""
    if claim.subject is None or claim.baseline is None:
        return []
    return [
        (new, old)
        for new in known
        if new.subject == claim.subject
        for old in known
        if old.subject == claim.baseline and _same_kind(new, old) and same_split(claim, new)
    ]


def _of_subject(claim: Proposal, known: Sequence[Level]) -> list[tuple[Level, Level]]:
    """The pairs of values of the subject and of any other system."""
    if claim.subject is None or claim.baseline is not None:
        return []
    return [
        (new, old)
        for new in known
        if new.subject == claim.subject
        for old in known
        if old.subject not in {None, claim.subject} and _same_kind(new, old) and same_split(claim, new)
    ]
