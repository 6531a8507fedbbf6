"""Find who a number is about, and what it is compared with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evals.reports.claims.drafting.language.numbers import PrintedNumber
from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.text.baselines import (
    compared_names,
    compared_with,
    is_baseline,
    start_of_change,
    still_compared,
)
from evals.reports.claims.drafting.text.names import Mention
from evals.reports.claims.drafting.text.passages import Passage
from evals.reports.claims.drafting.text.relatives import is_older

_BASELINE_CLAUSE = re.compile(r"(?:相比|相较|对比|compared (?:to|with)|relative to|versus|against|unlike)", re.I)
_OBJECT_BEFORE = pattern("subjects.object_before")
_OWNER_BETWEEN = pattern("subjects.owner_between")
_FOR_AFTER = pattern("subjects.for_after")
_RESPECTIVELY = re.compile(r"respectively|分别", re.I)
_AND = re.compile(r"^\s*(?:,|,|、|and|和|与|及|, and)\s*$", re.I)
_WORD_AND_BRACKET = re.compile(
    r"\s(?:attention|fusion|module|backbone|head|model|encoder|decoder|layer|method|variant|version|loss|baseline|pre-?training|quanti[sz]ation|fine-?tuning)s?\s[((]\s?$"
)
_PRONOUN = re.compile(r"[\s,;:，；]*(?:and |but |while )?(?:it|its|they|their)\b", re.I)
"""A clause that goes on with what the sentence is about."""
_ADVERBIAL = re.compile(r"\s*(?:On|In|For|With|At|Among|Of|After|By)\b")
"""How a sentence begins whose first names are not what it is about: "On the hardest one, X, it takes …"."""
_POSSESSED = re.compile(r"^(?:'s|’s|\s?的)")


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who a number is about."""

    subject: str | None
    baseline: str | None
    named: str
    """Where the subject is named; empty if it is taken from the text before."""


def leading_subject(passage: Passage) -> str | None:
    """Return the subject that a text begins with: "**Otter 2**: …", "DeepSeek-V3:…"."""
    if not passage.mentions:
        return None
    first = passage.mentions[0]
    after = passage.text.text[first.end : first.end + 2]
    if first.start <= 14 and re.match(r"\s?[::—–-]|\s?[((]", after):
        return first.subject
    return None


def attribute(
    passage: Passage, number: PrintedNumber, claims: Sequence[PrintedNumber], context: str | None
) -> Attribution:
    """Find the subject and the baseline of a number.

    Args:
        passage: the text.
        number: one of its numbers.
        claims: the numbers that are claims, in order.
        context: the subject of the text before, used if the sentence names none.
    """
    text = passage.text.text
    first, last = passage.sentence(number.start)
    clause = passage.clause(number.start)
    mentions = [mention for mention in passage.mentions if first <= mention.start < last]
    baselines = compared_names(text, mentions, first)
    owners = [mention for mention in mentions if _owns_another(text, mention, claims, number)]
    if paired := _paired(text, mentions, claims, number, (first, last)):
        return Attribution(paired, None, "named in the same order")
    if compared := compared_with(text, number, baselines, first):
        return Attribution(compared, None, "is the one compared with")
    owner = _owner(passage, number, mentions, claims)
    baseline = _baseline(number, still_compared(text, number, baselines, claims), clause, owner)
    if owner is not None and _is_lead(text, number, owner, first):
        ahead = next((mention.subject for mention in mentions if not is_baseline(text, mention, first)), context)
        return Attribution(ahead if ahead != owner.subject else context, owner.subject, "")
    if owner is not None:
        return Attribution(owner.subject, baseline if baseline != owner.subject else None, "named beside the number")
    if start := start_of_change(text, number, baselines):
        return Attribution(start.subject, None, "is the one compared with")
    weak = [
        mention
        for mention in mentions
        if mention not in (*baselines, *owners)
        and (_is_object(text, mention, first) or _is_bracketed(text, mention, number.start))
    ]
    acting = [mention for mention in mentions if mention not in (*baselines, *owners, *weak)]
    if _PRONOUN.match(text, clause[0]) and acting and acting[0].end <= clause[0]:
        subject = _continued(text, first, acting[0], context)
        return Attribution(subject, baseline if baseline != subject else None, "named in the sentence")
    in_clause = [mention for mention in acting if clause[0] <= mention.start and mention.end <= number.start]
    in_clause = [mention for mention in in_clause if not _is_owned(text, mention)] or in_clause
    before = in_clause or [mention for mention in acting if mention.end <= number.start]
    if before:
        subject = before[-1].subject
        where = "named in the clause" if in_clause else "named in the sentence"
        return Attribution(subject, baseline if baseline != subject else None, where)
    is_origin = (
        len(mentions) == 1
        and not _PRONOUN.match(text, first)
        and _BASED_ON.search(text[first : mentions[0].start]) is not None
    )
    if (context is None or is_origin) and (before := [mention for mention in weak if mention.end <= number.start]):
        return Attribution(
            before[-1].subject, baseline if baseline != before[-1].subject else None, "named in the sentence"
        )
    after = [mention for mention in (*acting, *weak) if number.end <= mention.start < clause[1]]
    if after and context is None:
        return Attribution(after[0].subject, baseline if baseline != after[0].subject else None, "named in the clause")
    return Attribution(context, baseline if baseline != context else None, "")


def _continued(text: str, first: int, mention: Mention, context: str | None) -> str:
    """Whom "it" means in a later clause of a sentence: not the example with which an adverbial begins it."""
    return context if context is not None and _ADVERBIAL.match(text, first) else mention.subject


def _is_lead(text: str, number: PrintedNumber, owner: Mention, first: int) -> bool:
    """Whether a signed number in brackets is the lead over the name before it: "better than A (+4 %), B (+5 %)"."""
    is_signed = re.search(r"[((]\s?[-+\u2212]\s?$", text[: number.start][-4:]) is not None
    return is_signed and owner.end <= number.start and _AHEAD.search(text[first : owner.start]) is not None


_AHEAD = re.compile(
    r"\b(?:better|more|higher|faster) than\b|\b(?:outperform|surpass|exceed|beat)\w*|优于|超过|高于|领先", re.I
)


def _is_object(text: str, mention: Mention, first: int) -> bool:
    """Whether a name follows a preposition, so that it is not what the sentence is about."""
    before = text[max(first, mention.start - 40) : mention.start]
    return _OBJECT_BEFORE.search(before[-16:]) is not None or _BASED_ON.search(before) is not None


_BASED_ON = re.compile(
    r"(?:基于|源自|初始化自|(?:based|built) (?:up)?on|derived from|(?:initiali[sz]ed|distilled|fine-?tuned) from)"
    r"[^,，。.;;]{0,32}$",
    re.I,
)
"""What a system is made from, perhaps in several parts: "基于 A 编码器 + B 解码器"."""


def _is_owned(text: str, mention: Mention) -> bool:
    """Whether a name follows "of", so that another name in the clause is the one that acts."""
    return re.search(r"\bof (?:the |our |a )?$", text[max(0, mention.start - 8) : mention.start]) is not None


def acting_subject(passage: Passage, sentence: tuple[int, int]) -> str | None:
    """Return the one subject that a sentence is about; None if it has none or several."""
    text, (first, last) = passage.text.text, sentence
    mentions = [mention for mention in passage.mentions if first <= mention.start < last]
    baselines = compared_names(text, mentions, first)
    acting = [
        mention
        for mention in mentions
        if mention not in baselines
        and not _is_object(text, mention, first)
        and not _is_bracketed(text, mention, last)
        and not _owns_another(text, mention, passage.numbers, None)
        and not is_older(text[mention.start : mention.end])
    ]
    if acting and _PRONOUN_FIRST.search(text[first : acting[0].start]):
        return None  # "So it answers in 0.9 s where Otter 1 took 1.4 s" goes on with what was before
    subjects = {mention.subject for mention in acting}
    return next(iter(subjects)) if len(subjects) == 1 else None


def _is_bracketed(text: str, mention: Mention, place: int) -> bool:
    """Whether a name stands in brackets that do not hold a place: "throughput (8 GPUs, Otter 2) rises to …"."""
    opened = max(text.rfind("(", 0, mention.start), text.rfind("（", 0, mention.start))
    closed = next((n for n in range(mention.end, min(len(text), mention.end + 160)) if text[n] in ")）"), None)
    if opened < 0 or closed is None or re.search(r"[)）]", text[opened : mention.start]):
        return False
    return "(" not in text[mention.end : closed] and not opened < place <= closed


def _owns_another(text: str, mention: Mention, claims: Sequence[PrintedNumber], number: PrintedNumber | None) -> bool:
    """Whether another number is the name's own, as in "less than half the 720 ms of Otter 1"."""
    before = [other for other in claims if other is not number and 0 <= mention.start - other.stop <= 12]
    return any(_VALUE_OF.fullmatch(text, other.stop, mention.start) for other in before)


_VALUE_OF = re.compile(r"\s?(?:(?:of|for|by|from|that)\s(?:the\s|our\s)?|[((])")
_PRONOUN_FIRST = re.compile(r"\b(?:[Ii]t|[Ii]ts|[Tt]hey)\b")


def _owner(
    passage: Passage, number: PrintedNumber, mentions: Sequence[Mention], claims: Sequence[PrintedNumber]
) -> Mention | None:
    """The name that stands at a number as its owner: "V3's 72.1 %", "72.1 % for V3", "V3 (72.1 %)", "72.1 (V3)"."""
    text = passage.text.text
    for mention in reversed([entry for entry in mentions if entry.end <= number.start]):
        between = text[mention.end : number.begin]
        others = [other for other in claims if mention.end <= other.start < number.start]
        if others:
            break
        if (
            len(between) <= 24
            and (_POSSESSED.match(between) or re.match(r"(?:\s[a-z]+){0,1}\s?[((::]\s*$|,\s(?:a|an)\s$", between))
            and (_OWNER_BETWEEN.match(between) or _WORD_AND_BRACKET.match(between))
        ):
            return mention
        break
    for mention in [entry for entry in mentions if entry.start >= number.stop]:
        between = text[number.stop : mention.start]
        if any(number.stop <= other.start < mention.start for other in claims):
            break
        if _POSSESSED.match(text[mention.end :]) and text[mention.end :][:1] != "的":
            break
        if number.unit == "parameters" and re.fullmatch(r"\s?的\s?", between):
            return mention
        is_heading_values = between.rstrip()[-1:] in {"(", "（"} and text[mention.end :].lstrip()[:1] in {":", "："}
        if is_heading_values:  # "63.2 (Otter 1: 29.8)"
            break
        if len(between) <= 40 and _FOR_AFTER.match(between) and not _is_after_verb(text, number):
            return mention
        if _OF_AFTER.fullmatch(between) and re.search(r"\bthe\s[$€£]?$", text[: number.begin]):
            return mention
        break
    return None


_OF_AFTER = re.compile(r"\s(?:of|that|which)\s(?:the\s|our\s)?")
"""What stands between a value and its owner: "the 720 ms of Otter 1", "the 2T tokens that Otter 1 saw"."""


def _is_after_verb(text: str, number: PrintedNumber) -> bool:
    """Whether a change is stated of the sentence's subject, so that a name after it is no owner."""
    return (
        number.unit in {"times", "points"}
        and re.match(r"\s*(?:more|less|faster|slower|better)", text[number.stop :]) is not None
    )


def _baseline(
    number: PrintedNumber, baselines: Sequence[Mention], clause: tuple[int, int], owner: Mention | None
) -> str | None:
    """The name that a number is compared with: the nearest in its clause, else in its sentence."""
    candidates = [mention for mention in baselines if owner is None or mention.start != owner.start]
    inside = [mention for mention in candidates if clause[0] <= mention.start < clause[1]]
    nearest = min(inside or candidates, key=lambda mention: abs(mention.start - number.start), default=None)
    return nearest.subject if nearest is not None else None


def _paired(
    text: str,
    mentions: Sequence[Mention],
    claims: Sequence[PrintedNumber],
    number: PrintedNumber,
    sentence: tuple[int, int],
) -> str | None:
    """Pair names and numbers that are listed in the same order: "A and B score 80 and 75, respectively"."""
    first, last = sentence
    if not _RESPECTIVELY.search(text, first, last):
        return None
    values = [claim for claim in claims if first <= claim.start < last]
    lists: list[list[Mention]] = []
    for mention in mentions:
        if lists and _AND.match(text[lists[-1][-1].end : mention.start]):
            lists[-1].append(mention)
        else:
            lists.append([mention])
    names = max(lists, key=len, default=[])
    if len(names) > 1 and len(names) == len(values):
        return names[values.index(number)].subject
    return None
