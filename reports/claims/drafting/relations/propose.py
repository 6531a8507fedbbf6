"""Propose how the numbers of an article follow from each other.

Differences, ratios, savings, error reductions, sums and means are proposed. A change ("+23 %", "2.3 times faster", "a
gap of 4.5 points") is held against each pair of values that it may mean, in each meaning that its words allow. A pair
that fits becomes its `derive`. If none fits, a formula is proposed only where one pair alone can be meant: the check
then shows that it does not follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.language.lexicon import METRICS
from evals.reports.claims.drafting.language.words import entries
from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.drafting.relations.formulas import Formula, Target, fits, formulas
from evals.reports.claims.drafting.relations.levels import Level, interval, levels
from evals.reports.claims.drafting.tables.means import propose_means

_TOTAL = re.compile(r"\btotal|in all|altogether|\bsum\b|合计|共计|总计|总共|一共|together", re.I)
_PART = re.compile(r"of which|including|其中|包括", re.I)
_MEAN = re.compile(r"\baverage|\bmean\b|平均", re.I)
_MANY = re.compile(r"\baverage|on average|across|overall|平均|总体|up to|最高", re.I)
_COSTS: dict[str, frozenset[str]] = {row["change"]: frozenset(row["of"]) for row in entries("costs")}
"""For each kind of change the quantities of which it may be the change."""
_GENERIC_METRICS = frozenset(("accuracy", "average-score", "error-rate", "win-rate", "success-rate", "top-1-accuracy"))
_METRIC_NAMES = frozenset(words.id for words in METRICS) & _GENERIC_METRICS
"""Metrics whose name says little, so that a change of them may be one of any score."""
_MOST_PAIRS = (1_000, 200, 24)
"""Numbers of pairs, in the sentence, of both systems, of the subject and any other, among which a fit is no chance."""
_NEAR = 600
"""Number of characters within which values are taken to be those of a change that names no baseline."""
_SCORE_CHANGES = {"error-reduction", "retention", "quality-loss"}


def propose_relations(draft: ArticleDraft) -> None:
    """Give the changes of a draft their formula, its sums and means too, and the columns of averages their parts."""
    for table in draft.tables:
        propose_means(table)
    known = levels(draft)
    for claim in draft.claims:
        if claim.is_change:
            _propose_change(claim, known)
        else:
            _propose_total(claim, known)
            if claim.derive is None:
                _propose_cell(claim, known, draft.tables)


def _propose_change(claim: Proposal, known: Sequence[Level]) -> None:
    usable = [level for level in known if _is_of_kind(claim, level)]
    tiers = (_in_sentence(claim, usable), _of_both(claim, usable), _of_subject(claim, usable))
    for tier, pairs in enumerate(tiers):
        if tier and len(pairs) > _MOST_PAIRS[tier]:
            continue
        target = Target.of(claim)
        matching = [
            (pair, formula) for pair in pairs for formula in formulas(claim, *pair) if fits(target, formula, *pair)
        ]
        if matching and (tier < 2 or _is_telling(claim)):
            (new, old), formula = matching[0]
            claim.derive = formula.text(new.id, old.id)
            claim.grounds.append(f"fits {formula.says} of {new.id} and {old.id}")
            if claim.is_implied and claim.bound == "exactly":
                claim.bound = "about"
            if formula.adds_one:
                claim.readings = [
                    {
                        "says": "so much on top of the baseline",
                        "reads": f"{claim.id} + 1",
                        "derive": formula.text(new.id, old.id),
                    }
                ]
            if claim.baseline is None and old.subject not in {None, claim.subject}:
                claim.baseline = old.subject
            return
    for pairs in tiers if _names_quantity(claim) else tiers[:2]:
        if (pair := _only_pair(pairs)) and _can_fail(claim, pair) and (pairs is not tiers[2] or _is_near(claim, pair)):
            _propose_failing(claim, *pair)
            return


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
        return is_score and (claim.unit != "points" or level.quantity == quantity or not _names_quantity(claim))
    return level.quantity == quantity or not _names_quantity(claim)


def _names_quantity(claim: Proposal) -> bool:
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
        if old.subject == claim.baseline and _same_kind(new, old) and _same_split(claim, new)
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
        if old.subject not in {None, claim.subject} and _same_kind(new, old) and _same_split(claim, new)
    ]


def _same_split(claim: Proposal, level: Level) -> bool:
    return len({claim.protocol.get("split"), level.split} - {None}) < 2


def _is_telling(claim: Proposal) -> bool:
    """Whether digits say enough that a fit is no chance: two of them at least."""
    return not claim.is_implied and len(claim.printed.replace(".", "").strip("0")) >= 2


def _only_pair(pairs: Sequence[tuple[Level, Level]]) -> tuple[Level, Level] | None:
    """The one pair that can be meant; None if there are several."""
    unordered = {frozenset((first.id, second.id)) for first, second in pairs}
    return pairs[0] if len(unordered) == 1 else None


def _is_near(claim: Proposal, pair: tuple[Level, Level]) -> bool:
    """Whether a change stands beside the two values: of a baseline that is not named, others far away may be meant."""
    return all(
        claim.sentence[0] - _NEAR <= level.span[0] < claim.sentence[1] + _NEAR and not level.table for level in pair
    )


def _can_fail(claim: Proposal, pair: tuple[Level, Level]) -> bool:
    """Whether a change that fits nothing may be held against the one pair that it can mean."""
    new, old = pair
    if (
        claim.bound not in {"exactly", "about", "at-least", "above"}
        or _MANY.search(claim.words)
        or claim.upto is not None
        or not new.is_plain
        or not old.is_plain
    ):
        return False
    if claim.quantity in {None, "change"} or "place" in claim.conditions:
        return False
    in_sentence = all(claim.sentence[0] <= level.span[0] < claim.sentence[1] for level in pair)
    if in_sentence:
        return old.is_start or (new.subject != old.subject and claim.subject in {new.subject, old.subject, None})
    if claim.subject != new.subject or claim.baseline not in {old.subject, None} or old.subject == new.subject:
        return False
    return _names_quantity(claim) or (claim.baseline is not None and not (new.table or old.table))


def _propose_failing(claim: Proposal, new: Level, old: Level) -> None:
    """Hold a change against the one pair that it can mean, in each meaning that its words allow."""
    meanings: list[Formula] = formulas(claim, new, old)
    if not meanings:
        return
    claim.derive = meanings[0].text(new.id, old.id)
    claim.readings = [
        {
            "says": formula.says,
            **({"reads": f"{claim.id} + 1"} if formula.adds_one else {}),
            "derive": formula.text(new.id, old.id),
        }
        for formula in meanings
    ]
    claim.grounds.append(f"{new.id} and {old.id} are the one pair that it can mean, and do not give it")
    if claim.is_implied and claim.bound == "exactly":
        claim.bound = "about"
    claim.confidence = round(claim.confidence * 0.9, 2)


def _propose_total(claim: Proposal, known: Sequence[Level]) -> None:
    """Propose a sum or a mean of the other values of a sentence, if they give it."""
    if not claim.unit or not claim.quantity:
        return
    total, mean = _TOTAL.search(claim.words), _MEAN.search(claim.words)
    if not (total or mean):
        return
    dimension = next((level.unit for level in known if level.id == claim.id), None)
    parts = [
        level
        for level in known
        if level.table is None
        and claim.sentence[0] <= level.span[0] < claim.sentence[1]
        and level.id != claim.id
        and dimension is not None
        and level.unit == dimension
        and level.is_plain
    ]
    if len(parts) < 2 or (mean and len({part.subject for part in parts}) > 1):
        return
    low, high = interval(claim)
    count = len(parts) if mean and not total else 1
    if sum(part.low for part in parts) / count <= high and low <= sum(part.high for part in parts) / count:
        text = " + ".join(part.id for part in parts)
        claim.derive = f"({text}) / {count}" if count > 1 else text
        claim.grounds.append(
            "is the mean of the values beside it" if count > 1 else "is the sum of the values beside it"
        )
    elif total and not _PART.search(claim.words) and _are_added(claim, parts):
        claim.derive = " + ".join(part.id for part in parts)


def _are_added(claim: Proposal, parts: Sequence[Level]) -> bool:
    """Whether the text itself adds the values: "a + b + c"."""
    return claim.words.count("+") >= len(parts) - 1 > 0 and all(
        second.span[0] - first.span[1] < 40 for first, second in pairwise(parts)
    )


def _propose_cell(claim: Proposal, known: Sequence[Level], tables: Sequence[TableProposal]) -> None:
    """Let a value of the text be checked by the cell that prints it too; one that differs is noted only.

    Another protocol is as likely as a mistake where they differ.
    """
    if claim.quantity is None or claim.subject is None or claim.unit is None or "at" in claim.conditions:
        return
    low, high = interval(claim)
    same = [
        level
        for level in known
        if level.table
        and level.subject == claim.subject
        and level.quantity == claim.quantity
        and _same_split(claim, level)
    ]
    equal = [level for level in same if level.low < high and low < level.high]
    if len(equal) == 1 and claim.bound == "exactly" and claim.upto is None and not claim.conditions.get("place"):
        cell = equal[0]
        table = next(table for table in tables if table.id == cell.table)
        unit = next(str(column["unit"]) for column in table.columns if column["name"] == cell.column)
        if unit == claim.unit:
            claim.compares = {"table": cell.table, "column": cell.column, "row": cell.row, "relation": "level"}
            claim.grounds.append(f"{cell.id} prints it too")
    elif len(same) == 1 and not equal:
        claim.doubt(f"{same[0].id} prints another value: another protocol, or one of them is wrong", 0.9)
