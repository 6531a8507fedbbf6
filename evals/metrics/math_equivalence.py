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
import sys
from fractions import Fraction
from typing import Any, Literal

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
    "crashed",  # the worker process died for another reason, twice
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
    gold, answer = tidy(gold), tidy(answer)
    if not gold or not answer:
        return "unparsed"
    if gold == answer:
        return "exact"
    gold_quantity, quantity = _quantity(gold), _quantity(answer)
    if gold_quantity and quantity:
        return "numeric" if _same_quantity(gold_quantity, quantity) else "different"
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
    gold, answer = tidy(gold), tidy(answer)
    golds, answers = _elements(gold), _elements(answer)
    try:
        if len(golds) == 1 or len(answers) == 1:
            return "symbolic" if _verify(gold, answer) else "different"
        if len(golds) != len(answers):
            return "different"
        if all(map(_verify_element, golds, answers)):
            return "symbolic"
        return "order" if _verify(gold, answer) else "different"
    except MemoryError:
        return "memory"
    except RecursionError:
        return "too-complex"
    except Exception:  # the grammar raises a bare Exception for input that it cannot parse
        return "unparsed"


def disarm() -> None:
    """Disable the evaluation of text in this process, permanently; sympy then parses only exact numerals.

    Even `sympy.Number("0.5")`, which the grammar uses for every number, calls `parse_expr` and with it `eval`.
    """
    import sympy
    import sympy.physics.units  # `simplify` imports it lazily, and it defines its units as text
    from sympy.parsing import sympy_parser

    def read_numeral(text: str, **options: object) -> Any:
        if not re.fullmatch(r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?|[0-9]+\.", text):
            raise ValueError("text is not evaluated")
        return sympy.Rational(text)

    def refuse_text(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "compile":
            return
        # `eval` and `exec` compile as "<string>", `lambdify` as "<lambdifygenerated-1>", an import as the file's path.
        source, filename = map(str, arguments[:2])
        # The only code from text that sympy needs: its template for the arithmetic of polynomials.
        if filename.startswith("<") and not source.startswith("b'def monomial_"):
            raise ValueError("text is not evaluated")

    sympy_parser.parse_expr = read_numeral
    sys.addaudithook(refuse_text)


_UNIT_AT_END = re.compile(r"(?<=[^\s=,])\s*\\(?:text|mbox)\s*\{[^{}]*\}(?:\^\{?[0-9]\}?)?\Z")
_BASE = re.compile(r"[0-9]_\{?([0-9]+)\}?\Z")
_BETWEEN = re.compile(r"(?:,\s*)?(?:\\(?:text|mbox)\s*\{\s*(?:and|or),?\s*\}|\b(?:and|or)\b)|,|;")
_OPENING, _CLOSING = "([{", ")]}"


def _elements(text: str) -> list[str]:
    """Split a list at each comma, semicolon, "and" and "or" outside brackets."""
    depth, start, elements = 0, 0, []
    for mark in re.finditer(rf"{_BETWEEN.pattern}|[()\[\]{{}}]", text):
        depth += (mark[0] in _OPENING) - (mark[0] in _CLOSING)
        if depth == 0 and mark[0] not in _CLOSING:
            elements.append(text[start : mark.start()])
            start = mark.end()
    return [element for element in (part.strip() for part in [*elements, text[start:]]) if element]


def _verify_element(gold: str, answer: str) -> bool:
    reason = decide_plainly(gold, answer)
    return _verify(gold, answer) if reason is None else reason in ("exact", "numeric")


def _verify(gold: str, answer: str) -> bool:
    """Return whether math-verify considers two answers equal; raises `Exception` for input that is not mathematics."""
    from math_verify import verify
    from math_verify.grader import should_treat_as_complex
    from sympy.core import random

    random.seed(0)  # sympy tries random points; use the same ones for each pair
    bases = _BASE.search(gold), _BASE.search(answer)
    if bases[0] and bases[1] and bases[0][1] != bases[1][1]:
        return False
    real = not (should_treat_as_complex(gold) or should_treat_as_complex(answer))
    # math-verify limits time by signals, which only work in the main thread; here the whole process is limited.
    return bool(verify(_parse(gold, real), _parse(answer, real), timeout_seconds=None, allow_set_relation_comp=True))


def _parse(text: str, real: bool) -> Any:
    from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex

    # units=False: math-verify's table of units would read the `t` of `2t` as a unit.
    config = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
    latex = normalize_latex(_UNIT_AT_END.sub("", text), config)
    return latex2sympy(latex, is_real=real, convert_degrees=False, normalization_config=None)


_MARKS = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u00a0": " ", "×": r"\times ", "·": r"\cdot ", "÷": r"\div ", "π": r"\pi "}
    | {"∞": r"\infty ", "√": r"\sqrt ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "²": "^2", "³": "^3"}
)
_TIDY = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=[0-9])(?:,\\!|\{,\}|\\,)(?=[0-9]{3})", ""),
        (r"(?<!\\)\\[!,;: ]|~|\\displaystyle(?![A-Za-z])", " "),
        (r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|°", ""),
        (r"\\?[$€£¥]", ""),
        (r"\*\*", "^"),
        (r"(?<![0-9])\.(?=[0-9])", "0."),
        (r"\\[dtc]?frac\s*(\\[A-Za-z]+|[0-9A-Za-z])", r"\\frac{\1}"),
        (r"(\\[dtc]?frac\s*\{[^{}]*\})\s*(\\[A-Za-z]+|[0-9A-Za-z])", r"\1{\2}"),
        (r"\\?sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])(pi|sqrt|sin|cos|tan|log|ln)(?![A-Za-z])", r"\\\1"),
    )
)
_TEXT = re.compile(r"\\(?:text|mbox|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}")
_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_TEX_FRACTION = re.compile(rf"\\[dtc]?frac\s*\{{\s*(-?(?:{_NUMBER}))\s*\}}\s*\{{\s*({_NUMBER})\s*\}}")
_QUANTITY = re.compile(
    rf"""(?P<sign>[+-]?)\s*
    (?:(?:(?P<whole>[0-9]+)\s+)?(?P<top>{_NUMBER})\s*/\s*(?P<bottom>{_NUMBER})
      |(?P<number>{_NUMBER})(?:[eE](?P<e>[+-]?[0-9]+)|\s*(?:\\times|\\cdot|[x*])\s*10\^\{{?(?P<ten>[+-]?[0-9]+)\}}?)?)
    \s*(?P<percent>\\?%|percent\b)?
    (?:\s+(?P<unit>[A-Za-z][A-Za-z.]+(?:[\s-][A-Za-z.]+)*)(?:\s*\^\{{?[0-9]\}}?)?)?""",
    re.VERBOSE,
)
_NO_UNIT = re.compile(r"\b(?:and|or|to|half|dozen|hundred|thousand|\w+illion|squared|cubed|plus|minus|times)\b")
_MAX_DECIMAL_EXPONENT = 400
_POWER = re.compile(r"\^\s*\{?\s*-?([0-9]+)(?:\s*\^\s*\{?\s*([0-9]+))?")


def tidy(text: str) -> str:
    r"""Write the symbols of an answer as TeX, without spacing commands, currency signs and degree signs.

    Example:
        >>> tidy("$2,\\!125."), tidy("2√3"), tidy("\\dfrac\\pi4")
        ('2125', '2\\sqrt 3', '\\frac{\\pi}{4}')
    """
    text = text.translate(_MARKS)
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    return text.strip(" \t\r\n.")


def _quantity(text: str) -> tuple[Fraction, bool] | None:
    """Parse a number with its unit: its exact value, and whether it is a percentage. None for any other text."""
    match = _QUANTITY.fullmatch(_TEX_FRACTION.sub(r" \1/\2 ", _TEXT.sub(r" \1 ", text)).strip(" ."))
    if match is None or _NO_UNIT.search(match["unit"] or ""):
        return None
    part = {name: Fraction((match[name] or "0").replace(",", "")) for name in ("whole", "top", "bottom", "number")}
    exponent = int(match["e"] or match["ten"] or 0)
    if abs(exponent) > _MAX_DECIMAL_EXPONENT or (match["bottom"] and not part["bottom"]):
        return None
    value = (
        part["whole"] + part["top"] / part["bottom"] if match["bottom"] else part["number"] * Fraction(10) ** exponent
    )
    return (-value if match["sign"] == "-" else value), bool(match["percent"])


def _same_quantity(first: tuple[Fraction, bool], second: tuple[Fraction, bool]) -> bool:
    """Compare two quantities; a percentage equals both its number (the official rule) and a hundredth of it."""
    (a, a_percent), (b, b_percent) = first, second
    return a == b or (a_percent != b_percent and (a / 100 == b if a_percent else a == b / 100))


def _compare_words(gold: str, answer: str) -> Reason | None:
    r"""Compare answers that are words (``\text{(C)}``, ``Tuesday``); algebra would read them as products of letters."""
    words = [re.sub(r"[\s().]", "", _TEXT.sub(r"\1", text)).casefold() for text in (gold, answer)]
    if words[0] == words[1] and re.fullmatch(r"[a-z0-9:,']*[a-z][a-z0-9:,']*", words[0]):
        return "exact"
    is_text = bool(_TEXT.search(gold) or _TEXT.search(answer))
    return "different" if is_text and all(re.fullmatch(r"[a-z,']+", word) for word in words) else None


def _is_too_complex(text: str) -> bool:
    """Return whether an answer is nested too deeply or has a power or factorial that is too large to compute."""
    depth = deepest = 0
    for bracket in re.findall(r"[()\[\]{}]", text):
        depth += 1 if bracket in _OPENING else -1
        deepest = max(deepest, depth)
    powers = [int(n[:9]) ** min(int(m[:2] or 1), 20) for n, m in _POWER.findall(text)]
    factorials = [int(n[:9]) for n in re.findall(r"([0-9]+)\s*!", text)]
    return deepest > MAX_NESTING or max(powers + factorials, default=0) > MAX_EXPONENT
