"""Mini sums: every sum and difference of two one-digit numbers that is a one-digit number itself, 110 in all.

    " 4 + 5 ="   9

They are what is left of mini math when the words are taken away. A fifth is kept for validation, by the rule by which
mini math keeps numbers: the environment that `r1-zero` learns from never shows them, in either order.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from evals.tasks.mini.math import are_held_out

ANSWER = re.compile(r"\s*(\d+)")

LONGEST = 3
"""Characters that an answer needs: a space, a digit, and what shows that the number is over."""


class Sum(NamedTuple):
    """A problem and its result."""

    asked: str
    result: int


@cache
def sums(split: str) -> tuple[Sum, ...]:
    """Give the sums of a split, in order: `environment`, `validation`, or `all` of both.

    Example:
        >>> len(sums("environment")) + len(sums("validation")) == len(sums("all")) == 110
        True
    """
    digits = range(10)
    made = [(a, sign, b, a + b if sign == "+" else a - b) for sign in "+-" for a in digits for b in digits]
    return tuple(
        Sum(f" {a} {sign} {b} =", result)
        for a, sign, b, result in made
        if result in digits and (split == "all" or are_held_out((a, b)) == (split == "validation"))
    )


def read(output: str) -> int | None:
    """Read the number that an output begins with; None where it begins with none.

    Example:
        >>> read(" 12 apples"), read("12"), read("about 12")
        (12, 12, None)
    """
    found = ANSWER.match(output)
    return int(found[1]) if found else None
