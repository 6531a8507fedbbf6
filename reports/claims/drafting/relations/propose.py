"""Propose how the numbers of an article follow from each other.

Differences, ratios, savings, error reductions, sums and means are proposed. A change ("+23 %", "2.3 times faster", "a
gap of 4.5 points") is held against each pair of values that it may mean, in each meaning that its words allow. A pair
that fits becomes its `derive`. If none fits, a formula is proposed only where one pair alone can be meant: the check
then shows that it does not follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.language.lexicon import BENCHMARKS, METRICS
from evals.reports.claims.drafting.language.words import entries
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.relations.formulas import Target, fits, formulas
from evals.reports.claims.drafting.relations.levels import Level, levels, same_split
from evals.reports.claims.drafting.relations.products import propose_product
from evals.reports.claims.drafting.relations.totals import propose_cell, propose_share, propose_total
from evals.reports.claims.drafting.tables.means import propose_means
from evals.reports.claims.language.expressions import referenced_claims

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
    open_changes = [claim for claim in draft.claims if claim.is_change and not _propose_fitting(claim, known)]
    explained = {frozenset(referenced_claims(claim.derive)) for claim in draft.claims if claim.derive}
    for claim in open_changes:
        _propose_only_pair(claim, known, explained, draft)
    for claim in draft.claims:
        if not claim.is_change:
            propose_total(claim, known, draft.article.source)
            propose_product(claim, known, draft.article.source)
            if claim.unit == "percent" and claim.derive is None:
                propose_share(claim, draft.article.source[claim.sentence[0] : claim.sentence[1]])
            if claim.derive is None:
                propose_cell(claim, known, draft.tables)


def _propose_fitting(claim: Proposal, known: Sequence[Level]) -> bool:
    """Give a change the formula of the first pair that fits; returns whether there is one, or none is looked for."""
    if claim.between is not None or claim.is_cell:
        _propose_between(claim, known)
        return True
    for tier, pairs in enumerate(_tiers(claim, known)):
        if tier and len(pairs) > _MOST_PAIRS[tier]:
            continue
        target = Target.of(claim)
        matching = [
            (pair, formula) for pair in pairs for formula in formulas(claim, *pair) if fits(target, formula, *pair)
        ]
        if tier:  # among many pairs one that fits only at the edges of its rounding is chance
            matching = [entry for entry in matching if target.holds_middle(entry[1], *entry[0])]
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
            return True
    return False


def _tiers(claim: Proposal, known: Sequence[Level]) -> tuple[list[tuple[Level, Level]], ...]:
    """The pairs that a change may mean: in its sentence, of both its systems, of its subject and any other."""
    usable = [level for level in known if _is_of_kind(claim, level)]
    return _either_way(claim, _in_sentence(claim, usable)), _of_both(claim, usable), _of_subject(claim, usable)


def _propose_only_pair(
    claim: Proposal, known: Sequence[Level], explained: Set[frozenset[str]], draft: ArticleDraft
) -> None:
    """Hold a change that fits nothing against the one pair that it can mean, if no other can be meant.

    Args:
        claim: the change.
        known: the values of the article.
        explained: the pairs that another change already fits.
        draft: the draft, for the numbers that were not read.
    """
    tiers = _tiers(claim, known)
    for pairs in tiers if _names_quantity(claim) else tiers[:2]:
        if (
            (pair := _only_pair(pairs))
            and _can_fail(claim, pair)
            and (pairs is not tiers[2] or _is_near(claim, pair))
            and (pairs is tiers[0] or (_is_named_alone(claim, pair, draft) and _are_named(pair, draft)))
            and not _is_apart(claim, pair, draft, is_explained=frozenset((pair[0].id, pair[1].id)) in explained)
        ):
            _propose_failing(claim, *[(new, old) for new, old in pairs if {new.id, old.id} == {pair[0].id, pair[1].id}])
            return


def _is_named_alone(claim: Proposal, pair: tuple[Level, Level], draft: ArticleDraft) -> bool:
    """Whether a change names its subject, and no second table of its quantity can be meant."""
    if not any(ground.startswith("subject named") for ground in claim.grounds):
        return False
    if pair[0].table is None or pair[0].quantity is None:
        return True
    words = next((words for words in (*BENCHMARKS, *METRICS) if words.id == pair[0].quantity), None)
    if words is None or words.pattern is None:
        return True
    names = ([*(c["name"] for c in table.columns), *(row["name"] for row in table.rows)] for table in draft.tables)
    return sum(any(words.pattern.search(str(name)) for name in group) for group in names) < 2


def _are_named(pair: tuple[Level, Level], draft: ArticleDraft) -> bool:
    """Whether both values of a pair name whom they are about; of a guessed subject, another value may be meant."""
    claims = {claim.id: claim for claim in draft.claims}
    return all(
        level.table is not None
        or (level.id in claims and any(ground.startswith("subject named") for ground in claims[level.id].grounds))
        for level in pair
    )


def _is_apart(claim: Proposal, pair: tuple[Level, Level], draft: ArticleDraft, *, is_explained: bool) -> bool:
    """Whether what stands between a change and a pair of values says that another thing changed.

    Numbers that were not read may be what changed; so may the thing after "while", or after "and" if the pair already
    explains another change: "a falls by 96 %, from 870 to 34 ms, and b by 6 %".
    """
    if pair[0].table or pair[1].table:
        return False
    first, last = min(level.span[0] for level in pair), max(level.span[1] for level in pair)
    start, end = (last, claim.span[0]) if last <= claim.span[0] else (claim.span[1], first)
    if start >= end:
        return False
    between = draft.article.source[start:end]
    names = [(start + mention.start, start + mention.end) for mention in draft.names.mentions(between)]
    read = [*names, *(other.span for other in draft.claims)]
    loose = [
        match
        for match in re.finditer(r"\d+\.\d+|\d+(?=\s?[a-zA-Z]+/s)", between)
        if not any(low <= start + match.start() < high for low, high in read)
    ]
    contrast = r"\b(?:while|whereas)\b|而" + (r"|\band\b|[,;,;]\s*(?:with|plus)\b|并|以及" if is_explained else "")
    return bool(loose) or ((pair[1].is_start or is_explained) and re.search(contrast, between) is not None)


def _either_way(claim: Proposal, pairs: list[tuple[Level, Level]]) -> list[tuple[Level, Level]]:
    """Take a pair of two systems in both orders if the clause of the change does not say which of them changed."""
    if any(ground.startswith(("subject named in the clause", "subject named beside")) for ground in claim.grounds):
        return pairs
    turned = [(old, new) for new, old in pairs if new.subject != old.subject and not (old.is_start or new.is_end)]
    return [*pairs, *turned]


def _propose_between(claim: Proposal, known: Sequence[Level]) -> None:
    """Hold the change of a table against the two values beside it."""
    pair = [level for place in claim.between or () for level in known if level.span == place and level.is_plain]
    if len(pair) != 2 or pair[0].unit.dimension != pair[1].unit.dimension:
        return
    old, new = pair
    matching = [formula for formula in formulas(claim, new, old) if fits(Target.of(claim), formula, new, old)]
    if matching:
        claim.derive = matching[0].text(new.id, old.id)
        claim.grounds.append(f"fits {matching[0].says} of {new.id} and {old.id}, which stand beside it")
    else:
        _propose_failing(claim, (new, old))


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


def _propose_failing(claim: Proposal, *pairs: tuple[Level, Level]) -> None:
    """Hold a change against the one pair that it can mean, in each meaning and order that its words allow."""
    meanings = [(formula, *pair) for pair in pairs for formula in formulas(claim, *pair)]
    if not meanings:
        return
    first, new, old = meanings[0]
    claim.derive = first.text(new.id, old.id)
    claim.readings = [
        {
            "says": formula.says,
            **({"reads": f"{claim.id} + 1"} if formula.adds_one else {}),
            "derive": formula.text(later.id, earlier.id),
        }
        for formula, later, earlier in meanings
    ]
    claim.grounds.append(f"{new.id} and {old.id} are the one pair that it can mean, and do not give it")
    if claim.is_implied and claim.bound == "exactly":
        claim.bound = "about"
    claim.confidence = round(claim.confidence * 0.9, 2)
