"""Read numbers that a stranger wrote as text, as other programs read them.

    whole(text) -> int     real(text) -> float

Python's own `int` and `float` also take `1_0` (ten), the digits of every script, and `infinity`; official scorers,
servers and people mean none of them. White space around a number is allowed.
"""

from __future__ import annotations

import math
import re

_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
_REAL = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")


def whole(text: str) -> int:
    """Read a whole number.

    Raises:
        ValueError: the text is none, or has more digits than Python converts (4,300).

    Example:
        >>> whole(" -12 ")
        -12
        >>> whole("1_0")
        Traceback (most recent call last):
            ...
        ValueError: '1_0' is not a whole number
    """
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def real(text: str) -> float:
    """Read a decimal number, with or without an exponent.

    Raises:
        ValueError: the text is none, or the number is too large for 64 bits.

    Example:
        >>> real("3.80"), real(" 1e-3")
        (3.8, 0.001)
        >>> real("1_0")
        Traceback (most recent call last):
            ...
        ValueError: '1_0' is not a number
    """
    if not is_real(text) or not math.isfinite(value := float(text)):
        raise ValueError(f"{text!r} is not a number")
    return value


def is_real(text: str) -> bool:
    """Return whether a text is a decimal number, however large.

    Example:
        >>> is_real("1e999"), is_real("nan")
        (True, False)
    """
    return _REAL.fullmatch(text) is not None
