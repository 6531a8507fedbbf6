r"""Units of measurement in mathematical answers: which units contradict each other, and what one is in another.

An answer need not state a unit, and words that are no unit ("eggs") say nothing. Where both answers state one, 5 m is
no 5 cm, and 50 mm is 5 cm. All functions are pure.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

_TABLE: dict[str, dict[str, Fraction | int]] = {
    "length": {
        "mm|millimet(?:er|re)s?": Fraction(1, 1000),
        "cm|centimet(?:er|re)s?": Fraction(1, 100),
        "dm|decimet(?:er|re)s?": Fraction(1, 10),
        "m|met(?:er|re)s?": 1,
        "km|kilomet(?:er|re)s?": 1000,
        "inch(?:es)?": Fraction(254, 10_000),
        "ft|foot|feet": Fraction(3048, 10_000),
        "yd|yards?": Fraction(9144, 10_000),
        "mi|miles?": Fraction(1_609_344, 1000),
    },
    "time": {
        "s|secs?|seconds?": 1,
        "mins?|minutes?": 60,
        "h|hrs?|hours?": 3600,
        "days?": 86_400,
        "weeks?": 604_800,
    },
    "long time": {"months?": 1, "years?|yrs?": 12, "decades?": 120, "centur(?:y|ies)": 1200},
    "mass": {
        "mg|milligrams?": Fraction(1, 1000),
        "g|grams?": 1,
        "kg|kilograms?": 1000,
        "oz|ounces?": Fraction(45_359_237, 1_600_000),
        "lbs?|pounds?": Fraction(45_359_237, 100_000),
    },
    "volume": {"ml|millilit(?:er|re)s?": Fraction(1, 1000), "l|lit(?:er|re)s?": 1},
    "kitchen": {"pints?": 1, "quarts?": 2, "gallons?": 8},
    "dollar": {"cents?|¢|\\\\cents?": Fraction(1, 100), "\\\\?\\$|dollars?|usd|bucks?": 1},
    "euro": {"€|euros?|eur|\\\\euro": 1},
    "sterling": {"£|gbp|\\\\pounds|pounds sterling": 1},
    "yen": {"¥|yen|jpy": 1},
    "rupee": {"₹|rs|inr|rupees?": 1},
    "angle": {"degrees?": 1},
    "radian": {"rad|radians?": 1},
    "celsius": {"(?:degrees? )?celsius|(?:°|degrees?) ?c|℃": 1},
    "fahrenheit": {"(?:degrees? )?fahrenheit|(?:°|degrees?) ?f|℉": 1},
}
_UNITS = [
    (re.compile(name, re.IGNORECASE), dimension, Fraction(factor))
    for dimension, names in _TABLE.items()
    for name, factor in names.items()
]
_COMPATIBLE = [{"angle", "celsius"}, {"angle", "fahrenheit"}, {"sterling", "mass"}]
"""Dimensions whose units share a name: degrees and pounds."""
_CURRENCY = re.compile(r"\A\s*-?\s*(\\\$|\\pounds(?![A-Za-z])|[$€£¥₹]|[Rr][Ss]\.?(?=\s?[0-9]))\s*-?(?=[\s0-9.\\])")
_BETWEEN_DOLLARS = re.compile(r"\A\s*\$([^$]*(?:\\\$[^$]*)*[^\\$])\$[\s.]*\Z")
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|textit|textsf|hbox|rm|operatorname)\s*\{([^{}]*)\}")
_END = re.compile(
    r"""(?:(?<=[0-9}!)])|\A)\s*(?P<per>/\s*)?(?:(?!(?:square|cubic|sq|cu)\b)[a-z]{1,9}[ ](?!(?:squared|cubed)\b))?
        (?P<unit>°\s?[CF]|[¢$€£¥₹℃℉]|\\\$
        |(?:square|cubic|sq\.?|cu\.?)\s[A-Za-z]+|[A-Za-z]+(?:\s(?:Celsius|Fahrenheit|sterling))?)\.?
        (?:\s*\^\s*\{?(?P<exponent>[1-9])\}?|\s(?P<power>squared|cubed))?
        (?:\s*(?:/|per\s)\s*(?P<each>[A-Za-z]+)(?:\^\{?(?P<each_exponent>[1-9])\}?)?)?\s*\.?\s*\Z""",
    re.VERBOSE,
)
_COMPOUND = re.compile(r"[0-9]\s?[A-Za-z]{1,12},?(?:\sand)?\s[0-9.]+\s?[A-Za-z]")
"""Two quantities: 2 hours and 30 minutes."""
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_DEGREES = re.compile(r"\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree)(?![A-Za-z]))|\\degree(?![A-Za-z])")


class AnswerUnit(NamedTuple):
    """A unit of measurement."""

    dimension: str
    factor: Fraction
    """Its size in the base unit of the dimension."""
    exponent: int
    """2 in square metres."""
    per: AnswerUnit | None
    """The unit of the denominator of a rate."""


def unit_of(answer: str) -> AnswerUnit | None:
    r"""Return the unit that an answer states after its number, or its currency; None if it states no known unit.

    Example:
        >>> unit_of("15\\mbox{ cm}^2").exponent, unit_of("\\$5").dimension, unit_of("5 eggs")
        (2, 'dollar', None)
    """
    answer = _BETWEEN_DOLLARS.sub(r"\1", answer)
    if currency := _CURRENCY.match(answer):
        return _known(currency[1].removesuffix("."), 1)
    bare = _DEGREES.sub("°", _TEXT.sub(r" \1 ", answer).rstrip(" .").replace("\\ ", " "))
    last_digit = max(map(bare.rfind, "0123456789}!)½¼¾"))
    if last_digit < 0 or _COMPOUND.search(bare):
        return None
    for start in (last_digit + 1, bare.rfind("°") if "°" in bare else last_digit + 1):
        tail = bare[start : start + 60]
        if (end := _END.fullmatch(tail.strip())) and not end["per"]:
            break
        # 14 cm^2: the digit is the exponent of the unit
        exponent = re.search(r"[0-9}]\s*((?:[A-Za-z]{1,12}\.?\s?){1,2}\^\s*\{?[1-9]\}?)\s*\Z", bare[-60:])
        if exponent and (end := _END.fullmatch(exponent[1].strip())):
            break
    else:
        return None
    words = end["unit"].split()
    prefix = _POWERS.get(words[0].rstrip(".").casefold(), 0) if len(words) > 1 else 0
    name = words[-1] if prefix else end["unit"]
    power = prefix or _POWERS.get(end["power"] or "", 0) or int(end["exponent"] or 1)
    unit = _known(name, power)
    denominator = _known(end["each"], int(end["each_exponent"] or 1)) if end["each"] else None
    return unit and unit._replace(per=denominator)


def unit_ratio(gold: str, answer: str) -> Fraction | None:
    r"""Return what one unit of an answer is in the gold answer's unit; None if the units contradict each other.

    The ratio is 1 where only one of the answers states a known unit. Of ``cm`` and ``cm^2`` too, because solutions are
    careless about exponents.

    Example:
        >>> unit_ratio("3\\text{ hours}", "180\\text{ minutes}"), unit_ratio("5\\text{ cm}", "5\\text{ kg}")
        (Fraction(1, 60), None)
        >>> unit_ratio("18", "18 dollars")
        Fraction(1, 1)
    """
    gold_unit, unit = unit_of(gold), unit_of(answer)
    if gold_unit is None or unit is None:
        return Fraction(1)
    ratio = _ratio(gold_unit, unit)
    if ratio is None or gold_unit.per is None or unit.per is None:
        return ratio
    denominator = _ratio(gold_unit.per, unit.per)
    return ratio / denominator if denominator else None


def _ratio(gold: AnswerUnit, unit: AnswerUnit) -> Fraction | None:
    if gold.dimension != unit.dimension:
        return Fraction(1) if {gold.dimension, unit.dimension} in _COMPATIBLE else None
    if gold.factor == unit.factor:
        return Fraction(1)
    return (unit.factor / gold.factor) ** gold.exponent if gold.exponent == unit.exponent else None


def _known(name: str, exponent: int) -> AnswerUnit | None:
    name = " ".join(name.split())
    for pattern, dimension, factor in _UNITS:
        if pattern.fullmatch(name):
            return AnswerUnit(dimension, factor, exponent, None)
    return None
