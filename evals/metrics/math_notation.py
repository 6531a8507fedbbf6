r"""The notation of mathematical answers: the elements of a list, and the value of an equation."""

from __future__ import annotations

import re
from typing import NamedTuple

from evals.metrics.math_symbols import TEXT

OPENING, CLOSING = "([{", ")]}"
_BETWEEN = re.compile(r"(?:,\s*)?(?:\\(?:text|mbox|textrm)\s*\{\s*(?:and|or),?\s*\}|\b(?:and|or|et|und|ou)\b)|,|;")
_MARKUP = r"(?:_\{?[A-Za-z0-9,]{1,6}\}?)?'{0,3}(?:\^\{\\prime\})?(?:\^\{?-1\}?)?"
_SYMBOL = rf"(?:[A-Za-z]|\\(?!(?:sqrt|frac|pi|infty|text|sin|cos|tan)(?![A-Za-z]))[A-Za-z]+){_MARKUP}"
_NAME = re.compile(
    rf"""(?:
    {_SYMBOL}                                                    # x, a_1, \theta
    |(?:\\[A-Za-z]+\s*\{{)?[A-Z]{{2,4}}\}}?                          # the segment AB, \overline{{AB}}
    |m?\s?\\(?:angle|triangle)\s*[A-Z]{{1,3}}|\|\s*[A-Z]{{2}}\s*\||\[[A-Z]{{3,6}}\]
    |[fghpquFGHPQRSTEVDNAC]{_MARKUP}\s*\([^()=]{{1,40}}\)|P\([^()]{{1,40}}\) # f(2), P(A \cup B), P(X=2)
    |[A-Za-z]{_MARKUP}\s*\(\s*(?:[A-Za-z]|[0-9]+)\s*\)              # x(t), a(5)
    |\(\s*{_SYMBOL}(?:\s*,\s*{_SYMBOL}){{1,5}}\s*\)                  # (r, \theta)
    |\{{?\\(?:sin|cos|tan|cot|sec|csc|arg|det|deg|gcd|lcm|dim|Re|Im|max|min)(?![A-Za-z])(?:\s|\\left)*
        (?:\(?\s*{_SYMBOL}\s*\)?|\{{{_SYMBOL}\}}|\\angle\s*[A-Z]{{1,3}})\}}?
    |\\(?:lim|sum|int|prod|binom|max|min|det)(?![A-Za-z]).{{1,200}}
    |(?:\\(?:mathbf|vec|hat|bar|mathrm|mathcal|operatorname|overline|widehat)\s*\{{?\s*[A-Za-z]{{1,8}}\s*\}}?)
        (?:\s*\([^()=]{{0,40}}\))?
    |\\(?:text|mbox|mathrm|textbf)\s*\{{[^{{}}]*\}}(?:\s*\([^()=]{{0,40}}\))?
    |[A-Za-z]{{3,}}(?:\s[A-Za-z]{{1,20}}){{0,6}}                        # Total area
    )""",
    re.VERBOSE,
)
EQUALS = re.compile(r"(?<![<>=\\])(?<!(?<![0-9)}])!)=(?!=)")
"""An equals sign; that of ``5!=120`` is one."""
_ARROW = re.compile(r"\\(?:Rightarrow|rightarrow|implies|Longrightarrow|longrightarrow)(?![A-Za-z])|[⇒→⟹]")
_OPERATION = re.compile(r"(?<=[^\s(])\s*[-+*/^]|\\(?:cdot|times|div|[dt]?frac|sqrt|binom)|\)\s*\(|!|[0-9)]\s*\(")
_INEQUALITY = re.compile(r"[<>]|\\(?:leq?|geq?|neq?|lt|gt)(?![A-Za-z])")
_MEMBER = re.compile(rf"\A\s*{_SYMBOL}\s*\\in(?![A-Za-z])\s*")
_BOXED = re.compile(r"\A\s*\\(?:boxed|fbox)\s*\{(.*)\}\s*\Z", re.DOTALL)
_LETTERS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]|\\(?:alpha|beta|gamma|theta|lambda|phi|omega)")


def elements(text: str) -> list[str]:
    """Split a list at each comma, semicolon, "and" and "or" outside brackets.

    Example:
        >>> elements("(1,2), (3,4) or 5")
        ['(1,2)', '(3,4)', '5']
    """
    parts, depth, start = list[str](), 0, 0
    for mark in re.finditer(rf"{_BETWEEN.pattern}|[()\[\]{{}}]", text):
        depth += (mark[0] in OPENING) - (mark[0] in CLOSING)
        if depth == 0 and mark[0] not in CLOSING:
            parts.append(text[start : mark.start()])
            start = mark.end()
    return [part for part in (part.strip() for part in [*parts, text[start:]]) if part]


class Side(NamedTuple):
    """The value that an answer gives, where it is an equation."""

    value: str | None
    """The value; None if the answer is a relation between quantities and gives no value."""
    name: str | None
    """What stands on the left: ``x`` in ``x=5``."""


def value_of(text: str) -> Side:
    r"""Return the value of an answer; an equation gives one only where a name stands on its left.

    A name is a single symbol, a value of a function or a quantity in words. A calculation (``3 \times 4 = 12``,
    ``a+b = 8+9 = 17``) gives its result, and a deduction (``2x=6 \Rightarrow x=3``) its last step.

    Example:
        >>> value_of("x=5"), value_of("f(2) = 7").value, value_of("3x-1=2").value, value_of("3 + 4 = 7").value
        (Side(value='5', name='x'), '7', None, '7')
        >>> value_of("a+b = 8+9 = 17").value, value_of("2x=6 \\Rightarrow x=3").value
        ('17', '3')
    """
    boxed = _BOXED.match(text)
    text = _ARROW.split(boxed[1] if boxed else text)[-1].strip()
    member = _MEMBER.match(text)
    if member:
        return Side(text[member.end() :], None)
    parts = sides(text)
    if len(parts) > 2 and sum("=" in element for element in elements(text)) > 1:
        return Side(None, None)  # several equations
    if len(parts) == 1:
        return Side(text, None)
    left, right = parts[0], parts[-1]
    if not right:
        return Side(None, None)
    if not left or _NAME.fullmatch(left):
        inner = parts[-2]
        return Side(right, (inner if _NAME.fullmatch(inner) else left) or None)
    if _INEQUALITY.search(text):
        return Side(None, None)
    has_letters = [bool(_LETTERS.search(TEXT.sub("", part))) for part in parts]
    if not has_letters[-1] and (not any(has_letters) or any(map(_is_calculation, parts[1:-1]))):
        return Side(right, None)
    if len(parts) == 2 and not has_letters[0] and _NAME.fullmatch(right):
        return Side(left, right)
    return Side(None, None)


def _is_calculation(side: str) -> bool:
    """Return whether a side of an equation computes with numbers: ``8+9``."""
    return bool(_OPERATION.search(side)) and not _LETTERS.search(TEXT.sub("", side))


def sides(text: str) -> list[str]:
    r"""Split an equation at the equals signs outside brackets.

    Example:
        >>> sides("5!=5 \\cdot 24 = 120")
        ['5!', '5 \\cdot 24', '120']
    """
    parts, depth, start = list[str](), 0, 0
    for mark in re.finditer(rf"{EQUALS.pattern}|[{{}}()]", text):
        depth += (mark[0] in "{(") - (mark[0] in "})")
        if mark[0] == "=" and depth == 0:
            parts.append(text[start : mark.start()].strip())
            start = mark.end()
    return [*parts, text[start:].strip()]


def is_relation(text: str) -> bool:
    r"""Return whether an answer has an equals sign or an inequality outside braces.

    Example:
        >>> is_relation("x<2"), is_relation("2x+3")
        (True, False)
    """
    return len(sides(text)) > 1 or bool(_INEQUALITY.search(text))
