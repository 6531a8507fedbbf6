r"""Values in running text: numbers, and the mathematical expression that begins at a place or fills a sentence.

An expression in plain text is a run of tokens: numbers, single letters, operators, brackets, TeX commands and names of
functions. A word ends it. Nothing is evaluated here; `evals.metrics.math_grader` decides what a value equals.

All functions are pure, and each reads a window of bounded length, so they take time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

WINDOW = 700
"""Longest expression, in characters; the longest gold answer of MATH has 159."""

_MAX_NESTING = 40
"""Open brackets, after which a text is no expression: a model that repeats one bracket writes thousands."""

CHARACTERS = str.maketrans(
    "\u2212\u2013\ufe63\uff0d\u00a0\u202f\u2009\uff05\uff0c\uff0e\uff1a\uff08\uff09\uff1d\u3001\uff1b",
    "----   %,.:()=,;",
) | {zero + digit: str(digit) for zero in (0xFF10, 0x660, 0x6F0, 0x966) for digit in range(10)}
"""Minus signs, spaces, digits of other scripts and punctuation that models write, to their ASCII forms."""

# A comma belongs to a number only before exactly three digits: "2,125" is one number, "1, 2, 3" and "1,2" are not.
NUMBER = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
_SPACED = r"[1-9][0-9]{0,2}(?: [0-9]{3})+(?![0-9])(?:\.[0-9]+)?"
_TEX_FRACTION = rf"\\[dtc]?frac\{{-?{NUMBER}\}}\{{{NUMBER}\}}"
_FRACTION = r"(?<![0-9/])[0-9]+/[0-9]+(?![0-9/]|\.[0-9])"
_POWER = r"(?:[eE][+-]?[0-9]+| ?(?:\\times|\\cdot|×|x|\*) ?10\^\{?[+-]?[0-9]+\}?|\^\{?-?[0-9]+\}?)"
_SCALE = r" (?:hundred|thousand|[mb]illion|trillion|dozen)\b"
QUANTITY = re.compile(
    rf"(?:{_FRACTION}|(?<![0-9] ){_SPACED}|{NUMBER}(?:{_POWER}| {_FRACTION}| ?{_TEX_FRACTION})?|{_TEX_FRACTION})"
    rf"(?: ?\\?%|{_SCALE})?"
)
_MINUS = re.compile(r"-( ?)(?:\\?[$€£¥₹])?\Z")
_FUNCTIONS = "sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp|pi|arcsin|arccos|arctan|infinity|min|max|mod"
_WORD_SIGNS = "negative|minus|plus or minus"

_TOKEN = re.compile(
    rf"""(?P<text>\\(?:text|mbox|mathrm|textbf|mathbf|operatorname)\s?\{{[^{{}}]{{0,60}}\}})
    |(?P<environment>\\begin\{{[a-z]{{3,10}}\}}.{{1,400}}?\\end\{{[a-z]{{3,10}}\}})
    |(?P<command>\\[A-Za-z]{{1,20}}|\\[^A-Za-z0-9\s()\[\]])
    |(?P<number>(?:[0-9]{{0,9}}\.[0-9]{{0,9}}?(?P<block>[0-9]{{1,6}}?)(?P=block){{2,9}}\.\.\.|{_SPACED}
        |[0-9]*\.[0-9]{{0,9}}\([0-9]{{1,9}}\)(?![0-9(])
        |[0-9]+,[0-9]{{1,2}}(?![0-9,])(?=\ ?[€%]|\ [^\W\d_]{{3}})|{NUMBER})
        (?:[eE][+-]?[0-9]+\b)?(?:{_SCALE.replace(" ", "[ ]", 1)})?)
    |(?P<function>(?:{_FUNCTIONS})(?![A-Za-z]))
    |(?P<sign>(?:{_WORD_SIGNS})\ (?=[0-9$\\]))
    |(?P<between>,?\ (?:and|or|et|und|oder|y|e|o|ou)\ (?=[-\\$0-9(A-Za-z](?![a-z])))
    |(?P<letter>(?!(?<=['’])s\b)(?<![A-Za-z\u00c0-\u04ff])[A-Za-z\u0370-\u03ff](?![A-Za-z\u00c0-\u04ff]|'[a-z]))
    |(?P<product>(?<=[0-9)}}])[a-z]{{2,3}}(?=[-+*/^=]|\ [-+*/=])|(?<![A-Za-z])[a-z]{{2,3}}(?=\^)(?<![cmk]m)(?<!in|ft))
    |(?P<comma>[,;](?=\s?[-+\\$0-9(A-Za-z\[.]|!))
    |(?P<open>[(\[{{])|(?P<close>[)\]}}])
    |(?P<operator>\*\*(?=[0-9({{a-z])|[-+*/^_=<>!'|&~±×·÷√∞∪∩≤≥≠≈°%:²³−])
    |(?P<currency>[$€£¥₹])
    |(?P<space>\ +)""",
    re.VERBOSE | re.DOTALL,
)
_PAIRS = {"(": ")]", "[": ")]", "{": "}"}
_LOOSE_END = re.compile(
    r"(?:\s\||\s|[-+*/^_=<>:,;'&~$(\[]|\*\*|\\[ ,;:!\\]|\\(?:times|cdot|left|quad|approx)(?![A-Za-z])"
    r"|(?:^|(?<=\s))(?:a|A|I)\b\Z)+\Z"
)
_EAST_ASIAN = r"\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(
    rf"(?i:step|problem|question|figure|case|part|example|line|chapter|equation|page|round)s? [0-9]+(?![.,]?[0-9])"
    rf"|[^\W\d_{_EAST_ASIAN}]{{2,}}\w*(?:(?<=[A-Z]{{2}})-[0-9]+)?(?:\s?\^\{{?[0-9]\}}?)?"
)
"""A word with its digits, a unit with its exponent, or the number of a step; nothing in them is a value."""
_ARTICLE = re.compile(r"(?<![A-Za-z=+*/^-])(?<![=+*/^-] )\s[aAIosye]\Z")
_SUBSTANCE = re.compile(r"[0-9A-Za-z\u0370-\u03ff∞√]")
_BRACKETED = re.compile(rf"\(\s*([-+]?(?:\\?[$€£¥₹])?[-+]?{QUANTITY.pattern})\s*\)")
_NO_RUN = re.compile(r"[\s^_*/=)\]}<>!'%:,;+|&°]+")


_UNITS_OF_PARTS = (
    "hours?|hrs?|minutes?|mins?|seconds?|days?|weeks?|months?|years?|feet|foot|ft|inch(?:es)?|yards?|miles?|pounds?|lbs?"
    "|ounces?|oz|dollars?|cents?|quarters?|dimes?|nickels?|penn(?:y|ies)|km|kilometers?|meters?|cm|centimeters?"
    "|kg|kilograms?|grams?"
)
CONTINUATION = re.compile(
    rf"""[*_]{{0,2}}(?:\ (?P<unit>{_UNITS_OF_PARTS}),?(?:\ and)?\ [0-9.]+\ (?!(?P=unit)\b)(?:{_UNITS_OF_PARTS})\b
    |\ ?[½⅓¼¾⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⁰¹²³⁴⁵⁶⁷⁸⁹‰]+
    |\ and\ (?:a|one|two|three)[\ -](?:hal(?:f|ves)|thirds?|quarters?|fourths?|fifths?|sixths?|eighths?|tenths?)\b
    |[\ -](?:halves|thirds|fourths|fifths|sixths|sevenths|eighths|ninths|tenths|hundredths|thousandths)\b
    |\ (?:squared|cubed)\b|\ to\ the\ (?:power\ of\ \S{{1,9}}|[\w-]{{1,12}}\ power)\b
    |\ (?:times|plus|minus|over|out\ of|to|divided\ by|multiplied\ by)\ -?[0-9]+(?:\.[0-9]+)?
    |,?\ (?:with\ |and\ )?(?:an?\ )?remainder\ (?:of\ |is\ )?[0-9]+|\ ?[rR]\.?\ ?[0-9]+\b
        |\ in\ (?!(?:19|20)[0-9]{{2}}\b)[0-9]{{1,5}}(?=[.!]?\s*(?:\n|\Z))
    |\ ?\((?!\d+\ ?[xX]\ ?\d)(?=[^()]{{0,40}}[-+])(?=[^()]{{0,40}}[a-zA-Z])
        (?:[-+*/^0-9.\ ]|[a-zA-Z](?![a-zA-Z])){{1,40}}\))""",
    re.VERBOSE,
)
"""What makes a number before it a part of a value: ``hours and 30 minutes``, ``and a half``, ``to the 5th power``."""


class MathText(NamedTuple):
    """A value in running text."""

    text: str
    start: int
    end: int


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match of a pattern, or None."""
    matches = deque(pattern.finditer(text), maxlen=1)
    return matches[0] if matches else None


def signed(quantity: re.Match[str]) -> str:
    """Return a quantity with the minus sign before it, unless that is an operator or marks a list item."""
    window = quantity.string[max(0, quantity.start() - 16) : quantity.start()]
    if re.search(r"\b(?:negative|minus) \Z", window):
        return f"-{quantity[0]}"
    minus = _MINUS.search(window)
    if minus is None:
        return quantity[0]
    left = window[: minus.start()].rstrip()
    gap = window[len(left) : minus.start()]
    if minus[1]:  # "= - 5", but not "20 - 18" nor the list item "- 18"
        is_sign = left.endswith(("=", ":", "(", "#")) and "\n" not in gap
    elif gap:  # "is -5", but not "20 -18"
        is_sign = "\n" in gap or not (left[-1:].isdigit() or left.endswith((")", "}", "%")))
    else:  # "(-5", but not "20-18"
        is_sign = not (left[-1:].isalnum() or left.endswith((")", "}", "]", "%")))
    return f"-{quantity[0]}" if is_sign else quantity[0]


def expression_at(text: str, start: int, *, lists: bool = True) -> MathText | None:
    r"""Read the longest mathematical expression that begins at a place in plain text.

    Args:
        text: running text or bare TeX.
        start: where the expression begins, white space aside.
        lists: whether commas, "and" and "or" outside brackets join values.

    Returns:
        The expression, or None if what stands there is no mathematics.

    Example:
        >>> expression_at("18 (since 3 + 4 = 7 eggs are gone)", 0).text
        '18'
        >>> expression_at("x^3 + 3x - 6, as shown", 0).text
        'x^3 + 3x - 6'
        >>> expression_at("5 and -3.", 0).text
        '5 and -3'
        >>> expression_at("a dozen", 0) is None
        True
    """
    limit = min(len(text), start + WINDOW)
    if not _SUBSTANCE.search(text, start, limit):  # a model in a loop: "$$$$…", "= = = …"
        return None
    position, open_brackets = start, list[tuple[str, int]]()
    while position < limit and (token := _TOKEN.match(text, position, limit)):
        kind = token.lastgroup
        if not open_brackets and kind in ("comma", "between") and not lists:
            break
        if kind == "open" and not open_brackets and _is_remark(text, start, position):
            break
        if kind == "open":
            open_brackets.append((token[0], position))
            if len(open_brackets) > _MAX_NESTING:
                break
        elif kind == "close":
            if not open_brackets or token[0] not in _PAIRS[open_brackets[-1][0]]:
                break
            open_brackets.pop()
        position = token.end()
    end = open_brackets[0][1] if open_brackets else position
    return _trimmed(text, start, end)


def _is_remark(text: str, start: int, position: int) -> bool:
    """Return whether a bracket after a space begins a remark: ``18 (3 + 4 = 7 …)`` after a plain number."""
    return (
        text[position] in "(["
        and text[position - 1 : position] == " "
        and QUANTITY.fullmatch(
            text, start + len(text[start:position]) - len(text[start:position].lstrip(" $-")), position - 1
        )
        is not None
    )


def _trimmed(text: str, start: int, end: int) -> MathText | None:
    """Cut what cannot end an expression: operators, spaces, and an article before a word."""
    while True:
        value = text[start:end]
        shorter = _LOOSE_END.sub("", value) if not value.endswith(("\\!", "^'")) else value
        if text[end : end + 1].isalpha() or re.match(r" [^\W\d_]{2}", text[end : end + 3]):
            shorter = _ARTICLE.sub("", shorter)
        if shorter == value:
            break
        if shorter.endswith("\\"):
            shorter = shorter[:-1]
        end = start + len(shorter)
    begin = start + len(value) - len(value.lstrip())
    if begin >= end or not _SUBSTANCE.search(text, begin, end) or _NO_RUN.match(text, begin, begin + 1):
        return None
    bracketed = _BRACKETED.fullmatch(text, begin, end)
    return MathText(bracketed[1] if bracketed else text[begin:end], begin, end)


def runs(sentence: str) -> list[MathText]:
    """Return the maximal expressions of a sentence that hold a digit, a TeX command or a mathematical symbol.

    Words separate them; so do commas, "and" and "or", because running text lists more than answers. The digits of a
    word (``AZYUK2A``) or of a unit (``cm^2``) belong to none.

    Example:
        >>> [run.text for run in runs("the 3 cats (or 2√5 per cm^2 in AZYUK2A) give 9 * 2 = 18")]
        ['3', '2√5', '9 * 2 = 18']
    """
    values, position = list[MathText](), 0
    while (substance := _SUBSTANCE.search(sentence, position)) is not None:
        position = max(position, substance.start() - WINDOW + 1)  # what begins earlier holds only signs and brackets
        word = _WORD.match(sentence, position)
        if word and not re.match(rf"(?:{_FUNCTIONS})(?![A-Za-z])", word[0]):
            position = word.end()
            continue
        value = expression_at(sentence, position, lists=False)
        if value is None:
            position += 1
            continue
        follows = re.match(r"[A-Za-z0-9]", sentence[value.end : value.end + 1])
        glued = (
            follows
            and sentence[value.end - 1 : value.end].isalnum()
            and not re.match(r"[a-z]{1,5}\b", sentence[value.end : value.end + 7])
        )
        if re.search(r"[0-9\\√∞π]", value.text) and not glued:
            values.append(value)
        position = value.end
    return values
