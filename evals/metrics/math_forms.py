r"""Forms in which an answer states a value, and forms that are no value: ratios, clock times, alternatives, options.

All functions are pure. They take answers that `evals.metrics.math_symbols.tidy` wrote in one way.
"""

from __future__ import annotations

import re
from fractions import Fraction

from evals.metrics.math_notation import elements, sides, value_of
from evals.metrics.math_quantities import quantity
from evals.metrics.math_symbols import TEXT

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_RATIO = re.compile(rf"(?:ratio\s*)?({_NUMBER}(?:\s*:\s*{_NUMBER}){{1,5}})", re.IGNORECASE)
_CLOCK = re.compile(r"(2[0-4]|[01]?[0-9])\s*:\s*([0-5][0-9])\s*(?:([ap])\.?\s?m\.?)?", re.IGNORECASE)
_WRITTEN_FRACTION = re.compile(r"\\frac\s*\{\s*[0-9.]+\s*\}\s*\{\s*[0-9.]+\s*\}|[0-9]+\s*/\s*[0-9]+")
_SET = re.compile(r"(?:\\left\s*)?\\\{(?P<elements>.*?)(?:\\right\s*)?\\\}", re.DOTALL)
_TUPLE = re.compile(r"(?:\\left\s*)?[(\[](?P<elements>.*?)(?:\\right\s*)?[)\]]", re.DOTALL)
_OPTION = re.compile(r"\(?([A-F])\)\s*[.:]?\s*(?=[^\s+*/^=-])(.+)|([A-F])[.:]\s+(.+)", re.DOTALL)
_OR = re.compile(
    r",?\s*(?:\\(?:text|mbox|textrm)\s*\{\s*(?:or|i\.e\.,?|which is)\s*\}|\b(?:or|i\.e\.,?)(?![A-Za-z]))\s*"
)
_DECIMAL = re.compile(r"-?[0-9]*\.([0-9]+)")


def same_ratio(gold: str, answer: str) -> bool | None:
    r"""Compare ratios and clock times; None if neither answer is one.

    A clock time equals the same time only. A ratio of two numbers equals their quotient if that is the ratio's own
    form: ``3:1`` for gold 3 states something else, ``\frac34`` for gold ``3:4`` does not.

    Example:
        >>> same_ratio("3:4:5", "6:8:10"), same_ratio("3:4", "3/4"), same_ratio("3", "3:1"), same_ratio("2:30", "1:15")
        (True, True, False, False)
        >>> same_ratio("4:30 p.m.", "16:30"), same_ratio("18", "18") is None
        (True, True)
    """
    texts = [TEXT.sub(r" \1 ", text).strip() for text in (gold, answer)]
    times = [_CLOCK.fullmatch(text) for text in texts]
    if times[0] and times[1]:
        return _same_time(times[0], times[1])
    ratios = [_RATIO.fullmatch(text) for text in texts]
    if not any(ratios):
        return False if any(times) else None
    parts = [[Fraction(part) for part in ratio[1].split(":")] if ratio else None for ratio in ratios]
    if parts[0] and parts[1]:
        return not any(times) and _proportional(parts[0], parts[1])
    if times[0] or (times[1] and not _WRITTEN_FRACTION.fullmatch(gold)):
        return False
    ratio, other, is_gold = (parts[0], answer, True) if parts[0] else (parts[1], gold, False)
    number = quantity(other)
    if ratio is None or number is None or len(ratio) != 2 or not ratio[1]:
        return False
    return (is_gold or bool(_WRITTEN_FRACTION.fullmatch(other))) and number[0] == ratio[0] / ratio[1]


def _same_time(gold: re.Match[str], answer: re.Match[str]) -> bool:
    """Compare two times; without a.m. or p.m., one of them may be of either half of the day."""
    halves = [time[3].casefold() if time[3] else "" for time in (gold, answer)]
    hours = [int(time[1]) for time in (gold, answer)]
    if gold[2] != answer[2]:
        return False
    if all(halves):
        return halves[0] == halves[1] and hours[0] % 12 == hours[1] % 12
    if not any(halves):
        return hours[0] == hours[1]
    twelve, half, other = (hours[0], halves[0], hours[1]) if halves[0] else (hours[1], halves[1], hours[0])
    return twelve == other or twelve % 12 + 12 * (half == "p") == other


def _proportional(first: list[Fraction], second: list[Fraction]) -> bool:
    return len(first) == len(second) and all(a * second[0] == b * first[0] for a, b in zip(first, second, strict=True))


def option_value(gold: str, answer: str) -> str:
    r"""Return what an answer ``(B) 10`` gives, if it names an option with its value: the letter or the value.

    Example:
        >>> option_value("10", "(B) 10"), option_value("\\text{(B)}", "(B) 10"), option_value("10", "(B)")
        ('10', 'B', '(B)')
    """
    option = _OPTION.fullmatch(TEXT.sub(r" \1 ", answer).strip())
    if option is None:
        return answer
    if re.fullmatch(r"[\s(]*[A-Fa-f][)\s.]*", TEXT.sub(r"\1", gold)):
        return option[1] or option[3]
    return (option[2] or option[4]).strip()


def as_tuple(gold: str, answer: str) -> str:
    """Return the values of the coordinates, ``x=2, y=12``, as a tuple if the gold answer is one; else the answer.

    Example:
        >>> as_tuple("(2,12)", "y=12, x=2"), as_tuple("12", "y=12, x=2")
        ('(2,12)', 'y=12, x=2')
    """
    coordinates = _bracketed(gold, _TUPLE)
    equations = elements(answer)
    if len(coordinates) < 2 or len(equations) != len(coordinates) or len(elements(gold)) > 1:
        return answer
    values = [value_of(equation) for equation in equations]
    names = [side.name or "" for side in values]
    if len(set(names)) < len(names) or not all(
        side.value and re.fullmatch(r"[a-z]", side.name or "") for side in values
    ):
        return answer
    ordered = sorted(zip(names, values, strict=True), key=lambda named: named[0])
    return f"({','.join(side.value or '' for _, side in ordered)})"


def other_collection(gold: str, answer: str) -> bool:
    r"""Return whether one answer is a set in braces and the other a tuple or interval in brackets.

    Example:
        >>> other_collection("(3,4)", "\\{3,4\\}"), other_collection("3,4", "\\{3,4\\}")
        (True, False)
    """
    is_set = [len(_bracketed(text, _SET)) > 1 for text in (gold, answer)]
    is_tuple = [len(_bracketed(text, _TUPLE)) > 1 for text in (gold, answer)]
    return (is_set[0] and is_tuple[1]) or (is_set[1] and is_tuple[0])


def _bracketed(text: str, brackets: re.Pattern[str]) -> list[str]:
    """Return the elements inside a pair of brackets around a whole text; none for other texts."""
    text = text.strip()
    whole = brackets.fullmatch(text)
    if whole is None or len(elements(text)) > 1:
        return []
    return elements(whole["elements"])


def signs_chosen(answer: str) -> list[str]:
    r"""Return the elements of an answer, each with ``\pm`` once with either sign.

    Example:
        >>> signs_chosen("\\frac{1 \\pm 2}{3}"), signs_chosen("\\{1\\pm 2, 5\\}")
        (['\\frac{1 + 2}{3}', '\\frac{1 - 2}{3}'], ['1+ 2', '1- 2', '5'])
    """
    whole = _SET.fullmatch(answer.strip())
    chosen = list[str]()
    for element in elements(whole["elements"] if whole else answer):
        if re.search(r"\\(?:pm|mp)(?![A-Za-z])", element):
            chosen += [_with_sign(element, "+", "-"), _with_sign(element, "-", "+")]
        else:
            chosen.append(element)
    return chosen


def _with_sign(element: str, plus_minus: str, minus_plus: str) -> str:
    element = re.sub(r"\\pm(?![A-Za-z])", plus_minus, element)
    element = re.sub(r"\\mp(?![A-Za-z])", minus_plus, element)
    return re.sub(r"\A\s*\+\s*|(?<=[=({])\s*\+\s*", "", element)


def one_of_alternatives(gold: str, answer: str) -> str:
    r"""Return the gold answer if an answer states it in several ways: ``3/4 or 75%``, ``\frac{3}{56}`` or 0.0536.

    Each alternative must be the gold number, or its decimal rounded to the digits that it has.

    Example:
        >>> one_of_alternatives("\\frac{3}{56}", "\\frac{3}{56}\\text{ or }0.0536"), one_of_alternatives("2", "2 or 3")
        ('\\frac{3}{56}', '2 or 3')
    """
    alternatives = [part.strip() for part in _OR.split(answer)]
    number = quantity(gold)
    if len(alternatives) < 2 or number is None:
        return answer
    others = [quantity(sides(alternative)[-1]) for alternative in alternatives]
    exact = [other is not None and _same_number(number[0], other) for other in others]
    rounds = [_rounds(number[0], alternative) for alternative in alternatives]
    return gold if any(exact) and all(map(max, zip(exact, rounds, strict=True))) else answer


def _same_number(gold: Fraction, other: tuple[Fraction, bool]) -> bool:
    return other[0] == gold or (other[1] and other[0] / 100 == gold)


def _rounds(gold: Fraction, text: str) -> bool:
    decimal = _DECIMAL.fullmatch(text)
    return decimal is not None and abs(Fraction(text) - gold) * 2 <= Fraction(1, 10 ** len(decimal[1]))
