"""Hold a change that fits nothing against the one pair that it can mean, if no other can be meant."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from fractions import Fraction

from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.language.lexicon import BENCHMARKS, METRICS
from evals.reports.claims.drafting.language.settings import setting
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.relations.candidates import names_quantity, tiers
from evals.reports.claims.drafting.relations.formulas import formulas
from evals.reports.claims.drafting.relations.levels import Level

_MANY = re.compile(r"\baverage|on average|across|overall|平均|总体|up to|最高", re.I)
_NEAR = 600
"""Number of characters within which values are taken to be those of a change that names no baseline."""


def propose_only_pair(
    claim: Proposal, known: Sequence[Level], explained: Set[frozenset[str]], draft: ArticleDraft
) -> None:
    """Hold a change that fits nothing against the one pair that it can mean, if no other can be meant.

    Args:
        claim: the change.
        known: the values of the article.
        explained: the pairs that another change already fits.
        draft: the draft, for the numbers that were not read.
    """
    ranked = tiers(claim, known)
    for pairs in ranked if names_quantity(claim) else ranked[:2]:
        if (
            (pair := _only_pair(pairs))
            and _can_fail(claim, pair)
            and (pairs is not ranked[2] or _is_near(claim, pair))
            and (pairs is ranked[0] or (_is_named_alone(claim, pair, draft) and _are_named(pair, draft)))
            and not (pairs is ranked[0] and _is_of_another_setting(claim, pair, draft))
            and not _is_apart(claim, pair, draft, is_explained=frozenset((pair[0].id, pair[1].id)) in explained)
        ):
            pair_ids = {pair[0].id, pair[1].id}
            others = [(new, old) for new, old in pairs if {new.id, old.id} != pair_ids]
            propose_failing(claim, *[(new, old) for new, old in pairs if {new.id, old.id} == pair_ids], *others)
            return


def _is_of_another_setting(claim: Proposal, pair: tuple[Level, Level], draft: ArticleDraft) -> bool:
    """Whether a change of values of an earlier sentence names nobody, or a setting: "with 64 GPUs, 3 times faster"."""
    first, last = claim.sentence
    if all(first <= level.span[0] < last for level in pair):
        return False
    sentence = draft.article.source[first:last]
    known = tuple(sentence[mention.start : mention.end] for mention in draft.names.mentions(sentence))
    is_bounded = claim.bound in {"at-least", "above"}
    return is_bounded or not _names_who(claim) or setting(sentence, known) is not None


def _is_named_alone(claim: Proposal, pair: tuple[Level, Level], draft: ArticleDraft) -> bool:
    """Whether a change names its subject, and no second table of its quantity can be meant."""
    if not _names_who(claim):
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
    after = draft.article.source[claim.span[1] : claim.span[1] + 40]
    named = _ON.match(after)
    if (
        named is not None
        and named["what"].lower() not in draft.article.source[claim.sentence[0] : claim.span[0]].lower()
    ):
        return True
    if _ADDED.search(between) or _OF_ANOTHER.search(between) or _THAT_OF.match(after):
        return True
    contrast = r"\b(?:while|whereas)\b|而" + (r"|\band\b|[,;,;]\s*(?:with|plus)\b|并|以及" if is_explained else "")
    return bool(loose) or ((pair[1].is_start or is_explained) and re.search(contrast, between) is not None)


_ADDED = re.compile(
    r"\b(?:with|after|when|under|using|including|plus)\b(?! (?:an? )?(?:average|mean|total|gain|improvement|increase|"
    r"reduction|speed|saving|drop|decrease))|叠加|配合|结合|加上|使用|采用|之后|后(?=[^,，。]{0,6}$)",
    re.I,
)
"""Words by which something besides the pair brings a change about: "and with the discount, 40 % less"."""
_OF_ANOTHER = re.compile(r"[是为](?!原来|原先|之前|此前|以前|前代|上一?代|旧)[^,，。;；到至]{1,14}的\s*$")
_ON = re.compile(r"[^,.;。\d]{0,24}?\bon\s(?:the\s)?(?P<what>[\w-]+)", re.I)
"""What a change is said of behind it: "8 points better on code"."""
_THAT_OF = re.compile(r"[^,.;。]{0,10}\b(?:that|those) of\b", re.I)


def _only_pair(pairs: Sequence[tuple[Level, Level]]) -> tuple[Level, Level] | None:
    """The one pair that can be meant; None if there are several.

    Values that print the same are one. A pair of cells goes before values of the text, which may be of other settings.
    """
    distinct = {frozenset(map(_printed, pair)): pair for pair in reversed(pairs)}
    if len(distinct) == 1:
        return pairs[0]
    cells = [pair for pair in distinct.values() if pair[0].table and pair[1].table]
    return cells[0] if len(cells) == 1 else None


def _printed(level: Level) -> tuple[str | None, str | None, Fraction, Fraction]:
    return level.subject, level.quantity, level.low, level.high


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
    return names_quantity(claim) or (claim.baseline is not None and not (new.table or old.table))


def _names_who(claim: Proposal) -> bool:
    return any(ground.startswith("subject named") for ground in claim.grounds)


def propose_failing(claim: Proposal, *pairs: tuple[Level, Level]) -> None:
    """Hold a change against the one pair that it can mean, in each meaning and order that its words allow.

    Args:
        claim: the change.
        pairs: the new and the old value, the likeliest first; it fails if it follows from none.
    """
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
