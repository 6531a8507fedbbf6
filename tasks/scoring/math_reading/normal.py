r"""One form for answers that are written alike: the official comparison of MATH, with numbers written in one way.

Source: hendrycks/math `modeling/math_equivalence.py` @985bdc1 (`strip_string`).
"""

from __future__ import annotations

import re

from evals.metrics.math_units import unit_ratio
from evals.tasks.scoring.math_reading.values import CHARACTERS, NUMBER


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
    text = answer.translate(CHARACTERS)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = re.sub(r"\s", "", text)
    number = re.fullmatch(rf"([+-]?)({NUMBER})", text)
    text = _one_form(number[1], number[2].replace(",", "")) if number else text
    return "\\frac{1}{2}" if text == "0.5" else text


def written_alike(gold: str, answer: str) -> bool:
    r"""Return whether two answers are equal as normalised strings and state no units or symbols that contradict.

    The official comparison drops units and ``x =``, so that 5 m equals 5 cm and ``y=2`` equals ``x=2``; here they
    differ.

    Example:
        >>> written_alike("5\\text{ cm}", "5"), written_alike("5\\text{ cm}", "5\\text{ m}")
        (True, False)
        >>> written_alike("x=2", "2"), written_alike("x=2", "y=2")
        (True, False)
    """
    if normalise(gold) != normalise(answer) or unit_ratio(gold, answer) != 1:
        return False
    names = {name[1] for name in map(_ASSIGNED.match, (gold, answer)) if name}
    return len(names) < 2


_ASSIGNED = re.compile(r"\$?\s*([A-Za-z])\s*=(?!.*=)")


def _one_form(sign: str, digits: str) -> str:
    whole, _, decimals = digits.partition(".")
    number = f"{whole.lstrip('0') or '0'}.{decimals.rstrip('0')}".rstrip(".")
    return f"-{number}" if sign == "-" and number != "0" else number


_UNIT = r"(?![^{}]{0,40}\b(?:hundred|thousand|[a-z]{1,4}illion|dozen|half|and|or|to)\b)[^{}]*"
# What `normalise` leaves out or writes in another way, in this order.
_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\\\", r"\\"),
        (r"\\[!,;:]|(?<!\\)~|\\(?:left|right)(?![A-Za-z])", ""),
        (r"(?<=[0-9])\{,\}(?=[0-9])", ","),
        (r"\^\\circ|\^\{\\circ\}|°|\\degree", ""),
        (r"\\?[$%€£¥₹]", ""),
        (r"\A\s+|(?<![\s.])[\s.]+\Z", ""),
        (rf"(?<=\S)\s*\\(?:text|mbox) ?\{{{_UNIT}\}}(?:\^\{{?[0-9]\}}?)?\Z", ""),
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
