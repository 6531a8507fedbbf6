r"""The final answer of a worked solution: where a model states it, and its text in one form.

A model that was asked to end in ``#### n`` (GSM8K) or ``\boxed{...}`` (MATH) does so only sometimes. `extract_strict`
reads the asked form and nothing else; `extract_flexible` reads whatever states an answer. Both take the *last* answer
that the model gives, because models recite examples before they answer. What is no part of the answer goes first:

    output -> strip_thinking -> cut_run_on -> extract_strict, extract_flexible -> Answer -> normalise,
    evals.metrics.math_grader

All functions are pure and take time linear in the length of the text: a model may write megabytes of braces.

Sources: openai/grade-school-math `dataset.py` @3101c7d (the form ``#### n``); hendrycks/math
`modeling/math_equivalence.py` @985bdc1 (the last box, and what `normalise` leaves out).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from evals.errors import UnknownName

How = Literal["boxed", "####", "answer-is", "A:", "last-number"]

RUN_ON_STOPS = ("\nQuestion:", "\nQ:", "\nProblem:", "\nUser:", "\nHuman:")
"""What begins the next question when a model goes on after its answer."""


@dataclass(frozen=True)
class Answer:
    """An answer as the model wrote it, and how it was read."""

    text: str
    r"""The answer without the words around it: ``18``, ``-3/4``, ``\frac{\pi}{2}``."""
    how: How
    """The form that stated it; ``last-number`` where nothing stated one."""


def strip_thinking(text: str, *, opened: bool = False) -> tuple[str, bool]:
    """Remove the ``<think>...</think>`` blocks of a reasoning model.

    Args:
        text: the output of a model.
        opened: whether the prompt ended in ``<think>``, as some chat templates do. A ``</think>`` without its opening
            tag says the same.

    Returns:
        The text outside the blocks, and whether the last block was closed. An unclosed block means that the model
        was cut off while it thought: no answer was reached.

    Example:
        >>> strip_thinking("<think>16 - 7 = 9</think>#### 18")
        ('#### 18', True)
        >>> strip_thinking("16 - 7 = 9</think>#### 18")
        ('#### 18', True)
        >>> strip_thinking("<think>16 - 7 = 9, so")
        ('', False)
    """
    outside: list[str] = []
    position, thinking = 0, opened
    for tag in re.finditer(r"<(/?)think>", text):
        if not thinking:
            # A closing tag without an opening one ends a block that the prompt opened: all before it was thought.
            outside = [] if tag[1] else [*outside, text[position : tag.start()]]
        position, thinking = tag.end(), not tag[1]
    if not thinking:
        outside.append(text[position:])
    return "".join(outside).strip(), not thinking


def cut_run_on(text: str, stops: Iterable[str] = RUN_ON_STOPS) -> tuple[str, bool]:
    r"""Cut what a model wrote after it had answered: the next question, which nobody asked.

    A stop counts only after something that can be an answer (a digit or a box), so that a model which first repeats the
    question keeps its answer.

    Args:
        text: the output of a model, without its thinking.
        stops: what begins a next question, letter for letter.

    Returns:
        The text up to the first stop that counts, and whether there was one.

    Example:
        >>> cut_run_on("She makes $18.\n#### 18\nQuestion: A robe takes 2 bolts")
        ('She makes $18.\n#### 18', True)
        >>> cut_run_on("Let me see.\nQuestion: How much is 9 * 2?\n#### 18")
        ('Let me see.\nQuestion: How much is 9 * 2?\n#### 18', False)
    """
    possible = re.search(r"[0-9]|\\boxed|\\fbox", text)
    if possible is None:
        return text, False
    starts = [start for stop in stops if (start := text.find(stop, possible.start())) >= 0]
    return (text[: min(starts)], True) if starts else (text, False)


def extract_strict(text: str, form: str) -> Answer | None:
    r"""Read the last answer given in the form that was asked for.

    Args:
        text: the output of a model, without thinking and run-on text; or a gold solution.
        form: ``####`` for ``#### n``, ``boxed`` for ``\boxed{...}``, ``A:`` for a line ``A: n``.

    Returns:
        The answer, or None where that form is absent, empty or cut off.

    Raises:
        UnknownName: there is no such form.

    Example:
        >>> extract_strict("9 * 2 = $18\n#### 2,125", "####")
        Answer(text='2,125', how='####')
        >>> extract_strict("so it is \\boxed{\\frac{1}{2}}.", "boxed").text
        '\\frac{1}{2}'
        >>> extract_strict("The answer is 18.", "####") is None
        True
    """
    if form not in _STRICT:
        raise UnknownName("form of answer", form, _STRICT)
    how, find = _STRICT[form]
    statement = find(text.translate(_CHARACTERS))
    return Answer(statement[1], how) if statement else None


def extract_flexible(text: str) -> Answer | None:
    r"""Read the answer in whatever form the model states it.

    The last ``\boxed{...}`` or ``#### n`` counts, whichever comes later; without them the last "the answer is n" or
    line ``A: n``; without those the last number.

    Args:
        text: the output of a model, without thinking and run-on text.

    Returns:
        The answer, or None where the text holds no statement and no digit.

    Example:
        >>> extract_flexible("The answer is $18 every day at the market...")
        Answer(text='18', how='answer-is')
        >>> extract_flexible("so 3 of them are left, and 9 - 5 = 20-18")
        Answer(text='18', how='last-number')
        >>> extract_flexible("Here, of course, is nothing.") is None
        True
    """
    text = text.translate(_CHARACTERS)
    for statements in _FLEXIBLE:
        candidates = [(statement, how) for how, find in statements.items() if (statement := find(text))]
        if candidates:
            (_, answer), how = max(candidates)
            return Answer(answer, how)
    number = _last(_QUANTITY, text)
    return Answer(_signed(number), "last-number") if number else None


def normalise(answer: str) -> str:
    r"""Write an answer in one form, so that answers written alike are equal as strings.

    This is the official comparison of MATH (`strip_string`) with numbers written in one way besides: spaces, units,
    currency, percent and degree signs go; ``\dfrac12``, ``1/2`` and ``0.5`` become ``\frac{1}{2}``. It reads no
    mathematics: ``x+1`` and ``1+x`` stay different, which `evals.metrics.math_grader` is for.

    Args:
        answer: the text of an `Answer` or of a gold answer.

    Returns:
        The text to compare.

    Example:
        >>> [normalise(text) for text in ("18", "$18.00.", "18.0", "2,125", ".5", "-0.0")]
        ['18', '18', '18', '2125', '\\frac{1}{2}', '0']
        >>> normalise("x = 10\\text{ units}")
        '10'
    """
    text = answer.translate(_CHARACTERS)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = re.sub(r"\s", "", text)
    number = re.fullmatch(rf"([+-]?)({_NUMBER})", text)
    text = _one_form(number[1], number[2].replace(",", "")) if number else text
    return "\\frac{1}{2}" if text == "0.5" else text


def _one_form(sign: str, digits: str) -> str:
    whole, _, decimals = digits.partition(".")
    number = f"{whole.lstrip('0') or '0'}.{decimals.rstrip('0')}".rstrip(".")
    return f"-{number}" if sign == "-" and number != "0" else number


# The quantities of running text, from here on in patterns that cannot backtrack more than a constant number of times.

_CHARACTERS = str.maketrans("\u2212\u2013\ufe63\uff0d\u00a0\u202f\uff05\uff0c\uff0e", "----  %,.") | {
    0xFF10 + digit: str(digit) for digit in range(10)
}
"""Minus signs, spaces and full-width digits that models write, to their ASCII forms."""

# A comma belongs to a number only before exactly three digits: "2,125" is one number, "1, 2, 3" and "1,2" are not.
_NUMBER = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
_TEX_FRACTION = rf"\\[dtc]?frac\{{-?{_NUMBER}\}}\{{{_NUMBER}\}}"
_FRACTION = r"(?<![0-9/])[0-9]+/[0-9]+(?![0-9/]|\.[0-9])"
_POWER = r"(?:[eE][+-]?[0-9]+| ?(?:\\times|\\cdot|×|x|\*) ?10\^\{?[+-]?[0-9]+\}?|\^\{?-?[0-9]+\}?)"
_QUANTITY = re.compile(
    rf"(?:{_FRACTION}|{_NUMBER}(?:{_POWER}| {_FRACTION}| ?{_TEX_FRACTION})?|{_TEX_FRACTION})(?: ?\\?%)?"
)
_MINUS = re.compile(r"-( ?)(?:\\?[$€£¥])?\Z")


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    matches = deque(pattern.finditer(text), maxlen=1)
    return matches[0] if matches else None


def _signed(quantity: re.Match[str]) -> str:
    """Return a quantity with the minus sign before it, unless that is an operator or marks a list item."""
    window = quantity.string[max(0, quantity.start() - 16) : quantity.start()]
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


# The statements of an answer. Each finder returns where the last one begins, and the answer.

_Statement = tuple[int, str] | None

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
"""A brace, or a character behind a backslash, which is none: ``\\{``."""
_HASH = re.compile(r"#### (-?[0-9.,]*[0-9])")
_COLON = re.compile(r"^A: (-?[0-9.,]*[0-9])", re.MULTILINE)
_PHRASE = re.compile(r"\banswer ?(?:is|would be|will be|=)(?=(.{1,300}))", re.IGNORECASE | re.DOTALL)
_HASH_LINE = re.compile(r"####(?!#)([^\n#]{1,300})")
_COLON_LINE = re.compile(r"(?:^[ \t*]{0,8}A|\b[Aa]nswer|\bANSWER)\*{0,2}:(.{1,300})", re.MULTILINE)
# What may stand between "is" and a value; then a value as a number, between the signs of TeX, or as bare TeX.
_DRESS = r"[\s*_`:\"'(~≈=]*(?:(?:approximately|about|roughly|equal to) )?"
_HEAD = re.compile(rf"{_DRESS}-? ?(?:\\?[$€£¥])?-?")
_SPAN = re.compile(rf"{_DRESS}(?:\$\$(.+?)\$\$|\$(?!\s)([^$\n]+)(?<!\s)\$|\\\((.+?)\\\)|\\\[(.+?)\\\])", re.DOTALL)
_TEX = re.compile(rf"{_DRESS}(-?[^\s\\]*\\[A-Za-z][^\n]*?)[\s*_]*(?:\.?[\s*_]*\Z|\.\s|\n)")
_GOES_ON = re.compile(r"\s*(?:[-+*/×÷^=]|\\times|\\cdot|\\div)\s*[$€£¥(]*[0-9]|\^|\\[A-Za-z]|[A-Za-z]\b")
"""What follows a number that is only the first part of an expression: ``20-18``, ``2x``."""
_IN_A_LIST = re.compile(r"[.):]\s+[A-Z]")
"""What follows the number of a step, as in the heading ``#### 3. Add the parts``."""


def _last_match(pattern: re.Pattern[str], text: str) -> _Statement:
    match = _last(pattern, text)
    return (match.start(), match[1]) if match else None


def _last_box(text: str) -> _Statement:
    r"""Find the last ``\boxed{...}``; one that never closes was cut off and states nothing."""
    box = _last(_BOX, text)
    if box is None:
        return None
    if not text.startswith("{", box.end()):
        # `\boxed 5` is right TeX; the official extraction reads it up to the dollar sign.
        content = re.split(r"[$\n]", text[box.end() :], maxsplit=1)[0].strip()
        return (box.start(), content) if content else None
    depth = 0
    for brace in _BRACE.finditer(text, box.end()):
        depth += (brace[0] == "{") - (brace[0] == "}")
        if depth == 0:
            content = text[box.end() + 1 : brace.start()].strip()
            return (box.start(), content) if content else None
    return None


def _last_phrase(text: str) -> _Statement:
    statement = None
    for phrase in _PHRASE.finditer(text):
        stated = _stated(phrase[1])
        statement = (phrase.start(), stated[0]) if stated else statement
    return statement


def _last_line(pattern: re.Pattern[str], text: str) -> _Statement:
    """Find the last line that states an answer; one that only begins a solution ("A: 3 eggs are eaten.") does not."""
    statement = None
    last_digit = max(map(text.rfind, "0123456789"))
    for line in pattern.finditer(text):
        value, rest = _stated(line[1]) or ("", "")
        ends = line.end() > last_digit or len(re.findall(r"[A-Za-z]{3,}", rest)) < 3
        if value and ends and not re.search("[0-9]", rest) and not _IN_A_LIST.match(rest):
            statement = (line.start(), value)
    return statement


def _stated(segment: str) -> tuple[str, str] | None:
    """Return the value at the head of a segment, ``18`` of ``is $18 a day``, and the rest; None for half a value."""
    span = _SPAN.match(segment) or _TEX.match(segment)
    if span:
        value = next(group for group in span.groups() if group).strip()
        return (value, segment[span.end() :]) if value and not _BOX.search(value) else None
    head = _HEAD.match(segment)
    quantity = _QUANTITY.match(segment, head.end()) if head else None
    if not head or not quantity or _GOES_ON.match(segment, quantity.end()):
        return None
    return "-" * ("-" in head[0]) + quantity[0], segment[quantity.end() :]


_Finder = Callable[[str], _Statement]

_STRICT: Mapping[str, tuple[How, _Finder]] = {
    "####": ("####", partial(_last_match, _HASH)),
    "boxed": ("boxed", _last_box),
    "A:": ("A:", partial(_last_match, _COLON)),
}
_FLEXIBLE: tuple[Mapping[How, _Finder], ...] = (
    {"boxed": _last_box, "####": partial(_last_line, _HASH_LINE)},
    {"answer-is": _last_phrase, "A:": partial(_last_line, _COLON_LINE)},
)
"""The statements that `extract_flexible` looks for, the more deliberate ones first."""

# What `normalise` leaves out or writes in another way, in this order.
_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\\\", r"\\"),
        (r"\\[!,;:]|(?<!\\)~|\\(?:left|right)(?![A-Za-z])", ""),
        (r"(?<=[0-9])\{,\}(?=[0-9])", ","),
        (r"\^\\circ|\^\{\\circ\}|°|\\degree", ""),
        (r"\\?[$%€£¥]", ""),
        (r"\A\s+|(?<![\s.])[\s.]+\Z", ""),
        (r"(?<=\S)\s*\\(?:text|mbox) ?\{[^{}]*\}(?:\^\{?[0-9]\}?)?\Z", ""),
        (r"\\(?:text|mbox|mathrm) ?\{([^{}]*)\}", r"\1"),
        (r"\\[dt]frac", r"\\frac"),
        (r"\\frac\s*([0-9])", r"\\frac{\1}"),
        (r"(\\frac\{[^{}]*\})\s*([0-9])", r"\1{\2}"),
        (r"\\sqrt\s*([0-9])", r"\\sqrt{\1}"),
        (r"\A\s*[A-Za-z]\s*=(?!.*=)", ""),
        (r"(?<=[0-9])\s+([0-9]+)/([0-9]+)\Z", r"\\frac{\1}{\2}"),
        (r"\A(-?[0-9]+)/([0-9]+)\Z", r"\\frac{\1}{\2}"),
        (r"(?<![0-9])\.(?=[0-9])", "0."),
    )
)
