"""Read numbers that are given in words: factors, shares, small counts, and "one in five".

find_words(text) -> SpelledNumber, ...      in order
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from evals.reports.claims.drafting.language.words import entries, pattern

_FIXED: dict[str, str] = {word: row["digits"] for row in entries("number_words") for word in row["words"]}
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    *(f"{stem}teen" for stem in ("thir", "four", "fif", "six", "seven", "eigh", "nine")),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {
    **{word: n for n, word in enumerate((*_ONES, *_TEENS), 1)},
    **{word: 10 * n for n, word in enumerate(_TENS, 2)},
    **{f"{tens} {ones}": 10 * n + m for n, tens in enumerate(_TENS, 2) for m, ones in enumerate(_ONES, 1)},
    **{"a": 1, "an": 1, "hundred": 100, "a hundred": 100, "thousand": 1000, "a thousand": 1000},
    **{f"{ones} hundred": 100 * n for n, ones in enumerate(_ONES, 1)},
}
_PARTS = {
    **{
        "half": 2,
        "halves": 2,
        "third": 3,
        "quarter": 4,
        "fourth": 4,
        "fifth": 5,
        "sixth": 6,
        "seventh": 7,
        "eighth": 8,
    },
    **{"ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "twentieth": 20, "hundredth": 100},
}
_CHINESE_DIGITS = {**{digit: n for n, digit in enumerate("一二三四五六七八九", 1)}, "两": 2, "零": 0, "〇": 0}
_WORD = pattern("numbers.word")
_RATED = re.compile(r"\b(?:scor|rat|grad)\w*\W[^.;]{0,20}$", re.I)
"""What stands before "8 out of 10" where it is a mark."""
_NAME = re.compile(r"[A-Z][\w.-]*\s$")
"""What stands before a digit of a name: "Otter 1 in 20 ms"."""


@dataclass(frozen=True, slots=True)
class SpelledNumber:
    """A number in words."""

    start: int
    """Index of its first character."""
    end: int
    """Index after its last character."""
    digits: str
    unit: str | None = None
    """The unit that its words give: times or percent; None if it counts what follows."""


def find_words(text: str) -> Iterator[SpelledNumber]:
    """Find the numbers in words of a text, in order.

    Example:
        >>> [(n.digits, n.unit) for n in find_words("one in eight, two fifths, fivefold, two and a half times, 三成五")]
        [('12.5', 'percent'), ('0.4', 'times'), ('5', 'times'), ('2.5', None), ('35', 'percent')]
    """
    for match in _WORD.finditer(text):
        if number := _read(text, match):
            yield number


def _read(text: str, match: re.Match[str]) -> SpelledNumber | None:
    start, end = match.span()
    if match["word"] or match["zh"]:
        return SpelledNumber(start, end, _FIXED[match[0].lower()], "times")
    if match["part"]:
        share = Fraction(_count(match["many"]), _PARTS[match["part"].lower().removesuffix("s")])
        return SpelledNumber(start, end, _decimal(share), "times")
    if match["whole"]:
        more = Fraction(_count(match["more"] or "a"), _PARTS[match["fraction"].lower().removesuffix("s")])
        return SpelledNumber(start, end, _decimal(_count(match["whole"]) + more))
    if match["fold"]:
        return SpelledNumber(start, end, str(_count(match["fold"])), "times")
    if match["odds"]:
        chosen, among = _count(match["chosen"]), _count(match["among"])
        before = text[:start]
        is_name = match["chosen"].isdecimal() and _NAME.search(before) is not None
        if chosen >= among or is_name or (match["odds"].lower() != "in" and _RATED.search(before)):
            return None
        return SpelledNumber(start, end, _decimal(Fraction(100 * chosen, among)), "percent")
    if match["single"]:
        return SpelledNumber(match.start("single"), match.end("single"), "1")
    if match["bits"]:
        return SpelledNumber(start, end, "0.5")
    if match["over"]:
        return _chinese_share(match)
    if match["small"]:
        return SpelledNumber(start, end, str(_count(match["small"])))
    return _chinese_count(text, match)


def _chinese_share(match: re.Match[str]) -> SpelledNumber | None:
    whole, (under, _, decimals) = _chinese_number(match["over"]), match["under"].partition("点")
    part = Fraction(
        "".join((str(_chinese_number(under)), ".", *(str(_CHINESE_DIGITS[digit]) for digit in decimals or "零")))
    )
    if not 0 < part < whole:
        return None
    if whole == 100:
        return SpelledNumber(*match.span(), _decimal(part), "percent")
    return SpelledNumber(*match.span(), _decimal(Fraction(part, whole)), "times")


def _chinese_count(text: str, match: re.Match[str]) -> SpelledNumber:
    """Read digits of Chinese; `三成五` is 35 %."""
    digits, end = _chinese_number(match["cn"]), match.end()
    if text[end:].lstrip().startswith("成"):
        end = text.index("成", end) + 1
        more = _CHINESE_DIGITS.get(text[end : end + 1], 0)
        return SpelledNumber(match.start(), end + bool(more), str(10 * digits + more), "percent")
    return SpelledNumber(match.start(), end + text.startswith("余", end), str(digits))


def _chinese_number(word: str) -> int:
    total, digit = 0, 0
    for character in word:
        if character in {"十", "百", "千"}:
            total, digit = total + max(digit, 1) * {"十": 10, "百": 100, "千": 1000}[character], 0
        else:
            digit = _CHINESE_DIGITS[character]
    return total + digit


def _count(word: str) -> int:
    word = " ".join(re.split(r"[\s-]+", word.lower()))
    return int(word) if word.isdecimal() else _SMALL[word]


def _decimal(value: Fraction) -> str:
    """Write a share with four digits at most.

    Example:
        >>> _decimal(Fraction(1, 3)), _decimal(Fraction(5, 2)), _decimal(Fraction(70))
        ('0.3333', '2.5', '70')
    """
    return f"{float(value):.4g}"
