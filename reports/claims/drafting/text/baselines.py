"""Find the names with which a sentence compares something.

compared_names(text, mentions, first) -> the names that stand behind "than", "over", "compared with"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from evals.reports.claims.drafting.language.numbers import PrintedNumber
from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.text.names import Mention

_BASELINE_BEFORE = pattern("subjects.baseline_before")

_VERSUS = re.compile(r"\d\s?(?:%|[a-z]{1,3})?\s(?:vs\.?|versus|against|compared (?:to|with))\s[$€]?$", re.I)
"""The second of two values that are compared: "31.2 vs 31.1"."""


def compared_with(text: str, number: PrintedNumber, baselines: Sequence[Mention], first: int) -> str | None:
    """Whom the second of two values is about, if one name is compared: "X outperforms Y on A (31.2 vs 31.1)"."""
    subjects = {mention.subject for mention in baselines if mention.end <= number.start}
    is_second = _VERSUS.search(text[max(first, number.begin - 24) : number.begin]) is not None
    return subjects.pop() if is_second and len(subjects) == 1 else None


def compared_names(text: str, mentions: Sequence[Mention], first: int) -> list[Mention]:
    """The names with which something is compared."""
    baselines = [mention for mention in mentions if is_baseline(text, mention, first)]
    baselines += [
        mention
        for mention in mentions
        if mention not in baselines
        and re.search(r"\d\s?%\s?(?:以上)?(?:的)?\s*$", text[max(first, mention.start - 10) : mention.start])
    ]
    return baselines + _joined_to(text, mentions, baselines)


def start_of_change(text: str, number: PrintedNumber, baselines: Sequence[Mention]) -> Mention | None:
    """Whose value a change starts from: "compared with X, Y rises from a to b", "from a to b relative to X"."""
    if not _at_start(text, number):
        return None
    if before := [mention for mention in baselines if mention.end <= number.start]:
        return before[-1]
    named = _START_OF.match(text, number.stop)
    return next((mention for mention in baselines if named and mention.start == named.end()), None)


def _joined_to(text: str, mentions: Sequence[Mention], baselines: Sequence[Mention]) -> list[Mention]:
    """The names that a list joins to what something is compared with: "outperforms A and B"."""
    joined: list[Mention] = []
    for before, mention in pairwise(mentions):
        is_listed = _CONJUNCTION.fullmatch(text[before.end : mention.start]) is not None
        if is_listed and mention not in baselines and (before in baselines or before in joined):
            joined.append(mention)
    return joined


_CONJUNCTION = re.compile(r"\s*(?:、|和|与|及|以及|,?\s(?:and|or)\s(?:the\s|even\s)?)\s*")


def is_baseline(text: str, mention: Mention, first: int) -> bool:
    """Whether a name is what something is compared with."""
    before = text[max(first, mention.start - 40) : mention.start]
    if re.search(r"(?:相比|相较)[于与]\s?$", before):
        return True
    if re.search(r"(?:与|和|同|是|from|over)\s*$", before) and not re.match(
        r".{0,14}?(?:相比|相较|相当|相近)", text[mention.end : mention.end + 20]
    ):
        return bool(
            re.search(
                r"(?:更|improv\w+|gains?|lead|advantage|points?|%|比)[^,,。]{0,20}(?:over|from)\s*$|是[上前]一代\s*$",
                before,
                re.I,
            )
        )
    return _BASELINE_BEFORE.search(before) is not None


def still_compared(
    text: str, number: PrintedNumber, baselines: Sequence[Mention], claims: Sequence[PrintedNumber]
) -> list[Mention]:
    """The names that a change may be compared with: not A in "over A by 3 points and over the others by 8 points"."""
    before = max((other.stop for other in claims if other.stop <= number.begin), default=0)
    is_another = _ANOTHER.search(text, before, number.begin) is not None
    return [mention for mention in baselines if not (is_another and mention.end <= before)]


_ANOTHER = re.compile(r"\band\s(?:over|than|against|versus|behind|ahead of|relative to|compared (?:to|with))\b")

_START_OF = re.compile(
    r"\s?(?:to|至|到)\s[$€]?[\d.,]+\s?\S{0,12}\s(?:relative to|compared (?:to|with)|over|versus|against)\s(?:the\s)?"
)


def _at_start(text: str, number: PrintedNumber) -> bool:
    return (
        re.search(r"(?:from|由|从)\s*(?:about\s|约)?[$€]?$", text[max(0, number.begin - 14) : number.begin]) is not None
    )
