"""The precision of numbers written in an expression.

A number in an expression stands for every value that rounds to it, like a printed one: `7e9`, from "7B", means 6.5e9 to
7.5e9, and `0.85` means 0.845 to 0.855. Whole numbers without an exponent (`100`, `2`) and powers of ten (`1e9`) are
exact, and so is a number inside `exact( )`.

in a tree of `evals.reports.claims.language.trees` such a number is a name that begins with `PREFIX`, so that its
occurrences are one number.
"""

from __future__ import annotations

from fractions import Fraction

PREFIX = "≈"


def is_rounded(text: str) -> bool:
    """Whether a number has the precision of its digits rather than being exact.

    Example:
        >>> [is_rounded(text) for text in ("7e9", "0.85", "1.5e3", "100", "1e9", "1.0")]
        [True, True, True, False, False, True]
    """
    mantissa, _, exponent = text.partition("e")
    return "." in mantissa or (bool(exponent) and mantissa.strip("0") not in {"", "1"})


def interval(name: str) -> tuple[Fraction, Fraction]:
    """Return the values that round to a number, by its name in a tree.

    Example:
        >>> [int(end) for end in interval("≈7e9")]
        [6500000000, 7500000000]
    """
    mantissa, _, exponent = name.removeprefix(PREFIX).partition("e")
    scale = Fraction(10) ** int(exponent or 0)
    half = Fraction(1, 2 * 10 ** len(mantissa.partition(".")[2]))
    return (Fraction(mantissa) - half) * scale, (Fraction(mantissa) + half) * scale


def printed(name: str) -> Fraction:
    """Return the number itself, by its name in a tree."""
    return Fraction(name.removeprefix(PREFIX))
