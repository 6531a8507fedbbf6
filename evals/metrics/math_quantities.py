r"""Numbers with units: their exact values.

A number may be an integer, a decimal (also with a comma, or with repeating digits), a fraction, a mixed number, a power
of ten, a number with a scale ("1.5 million") or a numeral in words ("two").
"""

from __future__ import annotations

import re
from fractions import Fraction

from evals.metrics.math_symbols import TEXT

ExactNumber = tuple[Fraction, bool]
"""The exact value, and whether it is a percentage."""

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_TEX_FRACTION = re.compile(rf"\\[dtc]?frac\s*\{{\s*(-?(?:{_NUMBER}))\s*\}}\s*\{{\s*({_NUMBER})\s*\}}")
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALES |= {"K": 10**3, "M": 10**6, "B": 10**9}
_RATE = r"(?:[kcm]?m|mi|ft|mph|[km]?g|m?[Ll])\s?/\s?(?:s|sec|h|hr|min|m|[Ll]|[km]?g)(?:\s*\^\{?[0-9]\}?)?"
_QUANTITY = re.compile(
    rf"""(?P<sign>[+-]?)\s*
    (?:(?:(?P<units>[0-9]+)\s+)?(?P<top>{_NUMBER})\s*/\s*(?P<bottom>{_NUMBER})
      |(?P<number>{_NUMBER})(?:[eE](?P<e>[+-]?[0-9]+)|\s*(?:\\times|\\cdot|[x*])\s*10\^\{{?(?P<ten>[+-]?[0-9]+)\}}?
        |\s{{0,3}}(?P<scale>(?<=\s)(?:{"|".join(name for name in _SCALES if len(name) > 1)})|(?<=[0-9])[KMB])\b)?)
    \s*(?P<percent>\\?%|percent\b)?
    (?:\s*(?:{_RATE})|\s+(?P<unit>[A-Za-z][A-Za-z.]+(?:[\s-][A-Za-z.]+)*)(?:\s*\^\{{?[0-9]\}}?)?)?""",
    re.VERBOSE,
)
_NO_UNIT = re.compile(
    r"\b(?:and|or|to|half|dozen|hundred|thousand|\w+illion|squared|cubed|plus|minus|times|mod|pi|sqrt|not|if|base"
    r"|halves|thirds|fourths|fifths|sixths|sevenths|eighths|ninths|tenths|hundredths|thousandths|millionths)\b"
)
_MAX_DECIMAL_EXPONENT = 400
_MAX_CHARACTERS = 1_000
"""Longer texts are no quantities; Python converts at most 4,300 digits to a number."""
_REPEATING = re.compile(
    r"(-?)([0-9]*)\.([0-9]{0,40}?)(?:\\overline\s*\{?([0-9]{1,40})\}?|\(([0-9]{1,40})\)|(?P<block>[0-9]{1,6}?)(?P=block){2,20}\.\.\.)"
)
_DECIMAL_COMMA = re.compile(r"[+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),[0-9]+(?=\s*(?:%|\\%|[A-Za-z]|\Z))")
_DIVISIONS = ("/", "\\div")
_OPERATOR = r"\*|/|\\times|\\cdot|\\div"
_PRODUCT = rf"(?:{_NUMBER})(?:\s*(?:{_OPERATOR})\s*(?:{_NUMBER})){{0,20}}"
_CALCULATION = re.compile(rf"\s*[+-]?\s*{_PRODUCT}(?:\s*[+-]\s*{_PRODUCT}){{0,20}}\s*")
_TERM = re.compile(rf"([+-]?)\s*({_PRODUCT})")
_FACTOR = re.compile(rf"({_OPERATOR}|)\s*({_NUMBER})")
NUMERALS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
"""Numerals in words; the index of each is its value."""
_VALUE_OF_NUMERAL = {word: value for value, word in enumerate(NUMERALS)}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}
_NUMERAL_WORD = "|".join([*NUMERALS, *_TENS, *_LARGE, "hundred", "dozen", *(f"{part}s?" for part in _PARTS)])
NUMERAL = re.compile(
    rf"(?<![\w-])(?:(?:half\s)?an?\s(?=dozen|hundred|half\b|third|quarter|[a-z]{{1,4}}illion|thousand))?(?:{_NUMERAL_WORD})(?:(?:[\s-](?:and\s)?(?:an?\s)?)(?:{_NUMERAL_WORD}))*(?![\w])(?:-\w+)?",
    re.IGNORECASE,
)
"""A numeral in words, or a longer word that begins with one."""


def numeral(text: str) -> Fraction | None:
    """Compute a whole numeral in words; None for any other text.

    Example:
        >>> numeral("twenty-seven"), numeral("two hundred and five"), numeral("two and a half"), numeral("two apples")
        (Fraction(27, 1), Fraction(205, 1), Fraction(5, 2), None)
        >>> numeral("three quarters"), numeral("two dozen"), numeral("five two")
        (Fraction(3, 4), Fraction(24, 1), None)
        >>> numeral("a dozen"), numeral("half a dozen")
        (Fraction(12, 1), Fraction(6, 1))
    """
    words = text.strip(" .").casefold().replace("-", " ").split()
    if len(words) > 24:
        return None
    if words[0:1] == ["half"] and words[-1] == "dozen" and len(words) - words.count("a") == 2:
        return Fraction(6)
    if (
        len(words) > 1
        and words[0] in ("a", "an")
        and words[1] in ("dozen", "thousand", "million", "billion", "trillion")
    ):
        words[0] = "one"
    if len(words) >= 2 and (bottom := _PARTS.get(words[-1]) or _PARTS.get(words[-1].removesuffix("s"))):
        top = 1 if words[-2] in ("a", "an") else _VALUE_OF_NUMERAL.get(words[-2])
        whole = words[:-2]
        if not top:
            return None
        if not whole:
            return Fraction(top, bottom)
        units = _integer(whole[:-1]) if whole[-1] == "and" else None
        return units + Fraction(top, bottom) if units is not None else None
    integer = _integer(words[:-1] if words[-1:] == ["dozen"] else words)
    return None if integer is None else Fraction(integer * (12 if words[-1] == "dozen" else 1))


def _integer(words: list[str]) -> int | None:
    """Compute an integer in words: groups below a thousand, each with a smaller scale than the one before it."""
    total, group, scale = 0, list[str](), 10**15
    for word in [*words, ""]:
        if word and word not in _LARGE:
            group.append(word)
            continue
        below = _below_a_thousand(group) if group or word or not total else 0
        if below is None or (word and _LARGE[word] >= scale):
            return None
        scale, group = _LARGE.get(word, 1), []
        total += below * scale
    return total


def _below_a_thousand(words: list[str]) -> int | None:
    hundreds = 0
    if words[1:2] == ["hundred"]:
        hundreds = 1 if words[0] in ("a", "one") else _VALUE_OF_NUMERAL.get(words[0], 0)
        if not hundreds:
            return None
        words = words[2:]
        if not words:
            return hundreds * 100
    if words[:1] == ["and"]:
        words = words[1:]
    if len(words) == 1:
        unit = _TENS.get(words[0], _VALUE_OF_NUMERAL.get(words[0]))
        return None if unit is None else hundreds * 100 + unit
    if len(words) == 2 and words[0] in _TENS and 0 < _VALUE_OF_NUMERAL.get(words[1], 0) < 10:
        return hundreds * 100 + _TENS[words[0]] + _VALUE_OF_NUMERAL[words[1]]
    return None


def quantity(text: str) -> ExactNumber | None:
    r"""Parse a number with its unit; None for any other text.

    Example:
        >>> quantity("1.5 million"), quantity("4 2/3 cups"), quantity("25%"), quantity("18x")
        ((Fraction(1500000, 1), False), (Fraction(14, 3), False), (Fraction(25, 1), True), None)
        >>> quantity("0.1\\overline{6}")
        (Fraction(1, 6), False)
    """
    if len(text) > _MAX_CHARACTERS:
        return None
    text = TEXT.sub(r" \1 ", text)
    if repeating := _REPEATING.fullmatch(text.strip()):
        return _repeating(repeating), False
    for value_in_words in (numeral(text), _with_unit(text)):
        if value_in_words is not None:
            return value_in_words, False
    match = _QUANTITY.fullmatch(_TEX_FRACTION.sub(r" \1/\2 ", text).strip(" ."))
    if match is None or _NO_UNIT.search(match["unit"] or ""):
        return None
    part = {name: Fraction((match[name] or "0").replace(",", "")) for name in ("units", "top", "bottom", "number")}
    exponent = int(match["e"] or match["ten"] or 0)
    if abs(exponent) > _MAX_DECIMAL_EXPONENT or (match["bottom"] and not part["bottom"]):
        return None
    value = (
        part["units"] + part["top"] / part["bottom"]
        if match["bottom"]
        else part["number"] * Fraction(10) ** exponent * _SCALES.get(match["scale"] or "", 1)
    )
    return (-value if match["sign"] == "-" else value), bool(match["percent"])


def _with_unit(text: str) -> Fraction | None:
    """Compute a numeral in words with a unit, "eighteen dollars"; None for any other text."""
    words = NUMERAL.match(text.strip(" ."))
    unit = text.strip(" .")[words.end() :] if words else ""
    if words is None or not re.fullmatch(r"(?:\s[A-Za-z]{2,20}){1,4}", unit) or _NO_UNIT.search(unit):
        return None
    return numeral(words[0])


def calculated(text: str) -> ExactNumber | None:
    r"""Compute a sum of products of plain numbers; None for any other text.

    Example:
        >>> calculated("20-18"), calculated("3 \\times 4 + 1/2"), calculated("5/0")
        ((Fraction(2, 1), False), (Fraction(25, 2), False), None)
    """
    if not _CALCULATION.fullmatch(text):
        return None
    total = Fraction(0)
    for term in _TERM.finditer(text):
        factors = _FACTOR.findall(term[2])
        product = Fraction(-1 if term[1] == "-" else 1)
        for operator, factor in factors:
            number = Fraction(factor.replace(",", ""))
            if operator in _DIVISIONS and not number:
                return None
            product = product / number if operator in _DIVISIONS else product * number
        total += product
    return total, False


def same_quantity(first: ExactNumber, second: ExactNumber) -> bool:
    """Compare two quantities; a percentage equals both its number (the official rule) and a hundredth of it."""
    (a, a_percent), (b, b_percent) = first, second
    return a == b or (a_percent != b_percent and (a / 100 == b if a_percent else a == b / 100))


def with_decimal_comma(text: str) -> ExactNumber | None:
    """Parse a number whose comma is a decimal comma; None for other text and for a comma before three digits.

    Example:
        >>> with_decimal_comma("2,74"), with_decimal_comma("1.234,5"), with_decimal_comma("1,234")
        ((Fraction(137, 50), False), (Fraction(2469, 2), False), None)
    """
    match = _DECIMAL_COMMA.match(text)
    if match is None:
        return None
    integer_part, decimals = match[0].split(",")
    if len(decimals) == 3 and integer_part.lstrip("+-") != "0" and "." not in integer_part:
        return None
    return quantity(f"{integer_part.replace('.', '')}.{decimals}{text[match.end() :]}")


def _repeating(match: re.Match[str]) -> Fraction:
    sign, integer_part, before = match[1], match[2] or "0", match[3]
    block = match[4] or match[5] or match["block"]
    shift = 10 ** len(before)
    value = (
        Fraction(int(integer_part))
        + Fraction(int(before or "0"), shift)
        + Fraction(int(block), (10 ** len(block) - 1) * shift)
    )
    return -value if sign else value
