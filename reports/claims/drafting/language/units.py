"""The words of units, in English and Chinese, with the names that the vocabulary gives them."""

from __future__ import annotations

import re
from decimal import Decimal

from evals.reports.claims.drafting.language.words import entries, joined

UNITS: tuple[tuple[re.Pattern[str], str, Decimal], ...] = tuple(
    (re.compile(joined(row["any"]), re.ASCII), str(row["unit"]), Decimal(row.get("factor", "1")))
    for row in entries("units")
)
"""For each unit the words that follow the digits, its name in the vocabulary, and the factor of the words."""
_NOUNS_BEFORE: tuple[tuple[re.Pattern[str], str, Decimal], ...] = tuple(
    (re.compile(joined(row["any"])), row["unit"], Decimal(row["least"])) for row in entries("nouns_before")
)
_NOUNS_AFTER = ((re.compile(r"[\s-]?(?:上下文|context)"), "tokens"), (re.compile(r"[-\s]parameter"), "parameters"))
_COUNTERS_AFTER = re.compile(
    r"\s?[余多]?(?:首|部|段|行|件|例|组|款|本|支|场|用户|人(?![工形脸机民])|单词|词(?!元)|样本|对话|视频|歌曲)"
)
"""Words that count things in Chinese, read after large numbers only: 2 万行代码, 3千万用户."""
DATA_AFTER = re.compile(r"\s?[\u4e00-\u9fff]{0,4}(?:数据|语料)(?![集点])")
"""Text that a large count is one of: `600B 代码数据`."""
_NOUN_FAR = re.compile(
    r"\s(?:[A-Za-z][A-Za-z-]*\s){1,5}?(?P<noun>tokens?|parameters?|images?|pairs?|samples?|examples?)\b"
)
"""A noun some adjectives after a large count: "14.8 trillion diverse and high-quality tokens"."""
_FAR_UNITS = {
    **{"token": "tokens", "parameter": "parameters", "image": "images", "pair": "pairs"},
    **{"sample": "items", "example": "items"},
}


_FACTOR = re.compile(r"(?<!time )\bfactor of\s*(?:about|around|almost|nearly|over|more than|up to)?\s*$", re.I)
"""What stands before a bare number that is a ratio."""


def unit_around(text: str, begin: int, end: int, *, times: Decimal, value: Decimal) -> tuple[str, str] | None:
    """Return what a number without a unit counts, by the words around it, and these words.

    Args:
        text: the text.
        begin: where the number begins.
        end: where it ends.
        times: the factor that its digits count.
        value: the number with its factor.

    Example:
        >>> unit_around("参数规模为13亿", 5, 8, times=Decimal(10**8), value=Decimal(13 * 10**8))[0]
        'parameters'
    """
    if value >= 10**9 and (match := DATA_AFTER.match(text, end)):
        return "tokens", match[0].strip()
    for after, unit in _NOUNS_AFTER:
        if times >= 1000 and (match := after.match(text, end)):
            return unit, match[0]
    if value >= 1000 and (match := _COUNTERS_AFTER.match(text, end)):
        return "items", match[0].strip()
    if times >= 1_000_000 and (match := _NOUN_FAR.match(text, end)):
        return _FAR_UNITS[match["noun"].rstrip("s")], match["noun"]
    before = text[max(0, begin - 40) : begin]
    if match := _FACTOR.search(before):
        return "times", match[0]
    for words, unit, least in _NOUNS_BEFORE:
        if (match := words.search(before)) and value >= least:
            return unit, match[0]
    return None
