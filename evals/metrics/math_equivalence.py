r"""Decide whether two mathematical answers are equal: by exact arithmetic if possible, otherwise by math-verify.

`decide_plainly` compares texts, rational numbers, units and words. It is a pure function, and GSM8K needs nothing else.
`decide_symbolically` passes the remaining pairs to math-verify, which may take unbounded time or memory. Therefore only
the worker processes of `evals.metrics.math_grader` call it.

No text is ever evaluated. math-verify's mode for plain expressions is not used, because it calls sympy's `parse_expr`
and with it `eval`. Every answer is parsed by the grammar of latex2sympy2-extended, in a process in which `disarm` has
disabled the evaluation of text.

The verdict differs from math-verify's on purpose in these cases: rational numbers are compared exactly, not to six
decimals; the elements of a list such as ``10, 4, -2`` are ordered, as in `test_order` of hendrycks/math @985bdc1 (the
elements of a set, ``\{10, 4, -2\}``, are not); numerals in different bases differ; a letter after a number is a
variable, not a unit.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from evals.metrics import math_algebra
from evals.metrics.math_algebra import UNIT_AT_END
from evals.metrics.math_forms import (
    as_tuple,
    one_of_alternatives,
    option_value,
    other_collection,
    same_ratio,
    signs_chosen,
)
from evals.metrics.math_notation import OPENING, Side, elements, is_relation, sides, value_of
from evals.metrics.math_quantities import calculated, quantity, same_quantity, with_decimal_comma
from evals.metrics.math_symbols import TEXT, tidy
from evals.metrics.math_units import unit_ratio

Reason = Literal[
    "exact",  # the same text apart from spacing and currency signs, or the same words
    "numeric",  # the same rational number
    "symbolic",  # the same expression, set, interval, matrix or relation, according to math-verify
    "different",
    "order",  # lists with the same elements in another order, which the official scorer counts as wrong
    "unparsed",  # an answer is empty or not mathematics
    "too-long",
    "too-complex",  # nested too deeply, or a power or factorial that is too large to compute
    "timeout",
    "memory",
    "crashed",  # the process that graded the pair died for another reason
    "given-up",  # the time for pairs that take long was spent on others
]
"""The reason for a verdict. Only ``exact``, ``numeric`` and ``symbolic`` mean that the answers are equal."""

MAX_EXPONENT = 9_999
"""Largest exponent, and largest argument of a factorial."""
MAX_NESTING = 10
"""Largest depth of nested brackets. Each level doubles the parsing time; gold answers in MATH have three levels."""


def decide_plainly(gold: str, answer: str, *, max_characters: int = 1_000) -> Reason | None:
    r"""Decide whether an answer equals the gold answer, if that takes no algebra.

    Args:
        gold: the gold answer.
        answer: the answer to grade.
        max_characters: longer answers are not graded, unless both texts are the same.

    Returns:
        The reason, or None if only algebra can decide.

    Example:
        >>> [decide_plainly("18", answer) for answer in ("18", "$18.00", "36/2", "18 eggs a day", "18%", "81")]
        ['exact', 'numeric', 'numeric', 'numeric', 'numeric', 'different']
        >>> decide_plainly("\\text{(C)}", "C"), decide_plainly("2", "9^{9^{9^9}}"), decide_plainly("2", "\\sqrt{4}")
        ('exact', 'too-complex', None)
    """
    if gold.strip() == answer.strip() != "":
        return "exact"
    if max(len(gold), len(answer)) > max_characters:
        return "too-long"
    ratio = unit_ratio(gold, answer)
    gold, answer = tidy(gold), tidy(answer)
    if not gold or not answer:
        return "unparsed"
    if ratio != 1:
        return _converted(gold, answer, ratio)
    if gold == answer:
        return "exact"
    gold, answer = _forms(gold, answer)
    forms = _compare_forms(gold, answer)
    numbers = forms or _compare_quantities(gold, answer)
    if numbers:
        return numbers
    if _is_too_complex(gold) or _is_too_complex(answer):
        return "too-complex"
    return _compare_words(gold, answer)


def decide_symbolically(gold: str, answer: str) -> Reason:
    r"""Decide by algebra whether an answer equals the gold answer; call this only in a process that can be killed.

    Args:
        gold: the gold answer; `decide_plainly` returned None for this pair.
        answer: the answer to grade.

    Returns:
        One of ``symbolic``, ``different``, ``order``, ``unparsed``, ``too-complex`` and ``memory``.
    """
    gold, answer = _forms(tidy(gold), tidy(answer))
    golds, answers = elements(gold), elements(answer)
    try:
        if _HAS_SIGNS.search(gold + answer) and (reason := _compare_signs(gold, answer)):
            return reason
        if quantity(gold) and len(golds) == 1 < len(answers):
            return "different"
        if len(golds) == 1 or len(answers) == 1:
            return "symbolic" if _same(gold, answer) else "different"
        if len(golds) != len(answers):
            return "different"
        if all(map(_same_element, golds, answers)):
            return "symbolic"
        values, names = (
            [value_of(element).value for element in answers],
            {value_of(element).name for element in answers},
        )
        if None in values or not math_algebra.same(gold, ", ".join(value or "" for value in values)):
            return "different"
        return "symbolic" if names != {None} and len(names) == 1 else "order"
    except MemoryError:
        return "memory"
    except RecursionError:
        return "too-complex"
    except Exception:  # the grammar raises a bare Exception for input that it cannot parse
        return "unparsed"


def element_count(answer: str) -> int:
    r"""Return the number of elements of an answer that is a list, 1 for any other.

    Example:
        >>> element_count("5, -3"), element_count("(5, -3)"), element_count("10,\\!080"), element_count("58,500")
        (2, 1, 1, 1)
    """
    answer = tidy(answer)
    if _HAS_SIGNS.search(answer):
        return max(1, len(signs_chosen(answer)))
    return 1 if quantity(answer) or TEXT.search(answer) else max(1, len(elements(answer)))


def _forms(gold: str, answer: str) -> tuple[str, str]:
    """Reduce the forms of an answer: an option with its value, coordinates, alternatives, steps before the last."""
    answer = as_tuple(gold, option_value(gold, answer))
    return gold, one_of_alternatives(gold, _last_step(gold, answer))


def _compare_forms(gold: str, answer: str) -> Reason | None:
    """Compare answers of which one is a ratio, a clock time, a set or a tuple."""
    if gold == answer:
        return "numeric" if quantity(gold) else "exact"
    ratios = same_ratio(gold, answer)
    if ratios is not None:
        return (_compare_words(gold, answer) or "numeric") if ratios else "different"
    return "different" if other_collection(gold, answer) else None


def _converted(gold: str, answer: str, ratio: Fraction | None) -> Reason:
    """Compare two quantities whose units differ; None as the ratio stands for units that contradict each other."""
    numbers = [quantity(UNIT_AT_END.sub("", text)) or quantity(text) for text in (gold, answer)]
    if ratio is None or numbers[0] is None or numbers[1] is None:
        return "different"
    return "numeric" if numbers[0][0] == numbers[1][0] * ratio else "different"


_HAS_SIGNS = re.compile(r"\\(?:pm|mp)(?![A-Za-z])")


def _compare_signs(gold: str, answer: str) -> Reason | None:
    r"""Compare answers with ``\pm`` as the values with either sign, in any order; None if that shows nothing."""
    golds, answers = signs_chosen(gold), signs_chosen(answer)
    if len(golds) != len(answers):
        return "different"
    for element in golds:
        match = next((other for other in answers if _same_element(element, other)), None)
        if match is None:
            return "different"
        answers.remove(match)
    return "symbolic"


def _last_step(gold: str, answer: str) -> str:
    """Return the equations of an answer that give values, if the others only lead to them: ``2x=6, x=3``."""
    steps = elements(answer)
    if len(steps) < 2 or len(elements(gold)) > 1 or not all(map(is_relation, steps)):
        return answer
    return ", ".join(step for step in steps if value_of(step).value is not None) or answer


def _same_element(gold: str, answer: str) -> bool:
    reason = decide_plainly(gold, answer)
    return _same(gold, answer) if reason is None else reason in ("exact", "numeric")


def _same(gold: str, answer: str) -> bool:
    """Compare two answers by algebra; an equation is compared as a value only if it gives one."""
    gold_side = value_of(gold)
    side = _with_argument_of(gold_side, value_of(answer))
    if gold_side.value is None or side.value is None:
        if is_relation(gold):
            return is_relation(answer) and math_algebra.same(gold, answer)
        first, *_, last = sides(answer)
        return math_algebra.same(gold, last) and math_algebra.same(first, last)  # it simplifies its first side
    names = {gold_side.name, side.name} - {None}
    if len(names) == 2 and all(re.fullmatch("[A-Za-z]", name or "") for name in names):
        if not any(map(_VARIABLE.search, (gold_side.value, side.value))):
            return False  # x=1 is not y=1
        return math_algebra.same(gold, answer)  # y=x is x=y
    if math_algebra.same(gold_side.value, side.value):
        return not is_relation(side.value) or is_relation(gold) or any(map(gold.__contains__, OPENING))
    return gold_side.name is not None and side.name is not None and math_algebra.same(gold, answer)


def _with_argument_of(gold: Side, side: Side) -> Side:
    """Write a function with the gold answer's argument: ``f(t) = t^2`` as ``f(x) = x^2``."""
    functions = [re.fullmatch(r"([A-Za-z])\s*\(\s*([A-Za-z])\s*\)", other.name or "") for other in (gold, side)]
    if functions[0] is None or functions[1] is None or functions[0][1] != functions[1][1] or side.value is None:
        return side
    variable = re.compile(rf"(?<![A-Za-z\\]){functions[1][2]}(?![A-Za-z])")
    return Side(variable.sub(functions[0][2], side.value), gold.name)


_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_POWER = re.compile(r"\^\s*\{?\s*-?([0-9]+)(?:\s*\^\s*\{?\s*([0-9]+))?")


def _compare_quantities(gold: str, answer: str) -> Reason | None:
    """Compare two numbers with units; a comma before other than three digits may be a decimal comma."""
    gold_side, side = value_of(gold), value_of(answer)
    if side.value is None and quantity(gold) and is_relation(answer):
        return "different"
    if not _holds(answer):
        return "different"
    if gold_side.value is None and quantity(answer) and is_relation(gold):
        return "different"
    if gold_side.value is None or side.value is None:
        return None
    names = {gold_side.name, side.name} - {None}
    if len(names) == 2:
        numbers = quantity(gold_side.value) and quantity(side.value)
        return "different" if numbers and all(re.fullmatch("[A-Za-z]", name or "") for name in names) else None
    gold_quantity = quantity(gold_side.value) or calculated(gold_side.value)
    answer_quantity = quantity(side.value) or calculated(side.value)
    if gold_quantity and answer_quantity:
        return "numeric" if same_quantity(gold_quantity, answer_quantity) else "different"
    if gold_quantity or answer_quantity:
        gold_number = gold_quantity
        answer_number = answer_quantity or with_decimal_comma(side.value)
        if gold_number and answer_number and same_quantity(gold_number, answer_number):
            return "numeric"
    return None


def _holds(text: str) -> bool:
    """Return whether no calculation with numbers contradicts itself: ``2+2=5``; other texts hold."""
    values = [value for side in sides(text) if (value := calculated(side)) is not None]
    return all(same_quantity(values[0], value) for value in values)


def _compare_words(gold: str, answer: str) -> Reason | None:
    r"""Compare answers that are words (``\text{(C)}``, ``Tuesday``); algebra would read them as products of letters."""
    words = [re.sub(r"[\s().]", "", TEXT.sub(r"\1", text)).casefold() for text in (gold, answer)]
    if words[0] == words[1] and re.fullmatch(r"[a-z0-9:,']*[a-z][a-z0-9:,']*", words[0]):
        return "exact"
    if words[1] == "none" and words[0] == "0":
        return "exact"
    phrases = [" ".join(TEXT.sub(r" \1 ", text).casefold().strip(" .()").split()) for text in (gold, answer)]
    if re.fullmatch(r"[a-z]{2,20}(?: [a-z]{2,20})?", phrases[0]) and _names(phrases[1], phrases[0]):
        return "exact"
    is_text = bool(TEXT.search(gold) or TEXT.search(answer))
    return "different" if is_text and all(re.fullmatch(r"[a-z,']+", word) for word in words) else None


def _names(phrase: str, word: str) -> bool:
    """Return whether a phrase says no more than a word: "an ellipse", "odd function", "the colour is red"."""
    if re.search(r"\b(?:not|no|or|and|nor|neither|never|isn't|than|but)\b", phrase):
        return False
    phrase = re.sub(r"\A(?:an?|the) ", "", phrase)
    return bool(
        re.fullmatch(rf"{word}(?: function| (?:is|has|was|had|wins|won) [a-z ]{{1,60}})?", phrase)
        or re.fullmatch(rf"(?:[a-z]+ ){{1,6}}(?:is|was|are) (?:an? |the )?{word}", phrase)
    )


def _is_too_complex(text: str) -> bool:
    """Return whether an answer is nested too deeply or has a power or factorial that is too large to compute."""
    depth = deepest = 0
    for bracket in re.findall(r"[()\[\]{}]", text):
        depth += 1 if bracket in OPENING else -1
        deepest = max(deepest, depth)
    powers = [int(n[:9]) ** min(int(m[:2] or 1), 20) for n, m in _POWER.findall(text)]
    factorials = [int(n[:9]) for n in re.findall(r"([0-9]+)\s*!", text)]
    return deepest > MAX_NESTING or max(powers + factorials, default=0) > MAX_EXPONENT
