"""Mini sums: every sum and difference of two one-digit numbers whose result is a one-digit number, 110 in all.

    " 4 + 5 ="   9

They are mini math without the words. A fifth is held out for validation, by the rule by which mini math holds out
numbers: the environment that `r1-zero` learns from never shows these pairs of numbers, in either order.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from evals.tasks.mini.math import are_held_out

ANSWER = re.compile(r"\s*(\d+)")

LONGEST = 3
"""Number of characters that an answer needs: a space, a digit, and one more that ends the number."""


class Sum(NamedTuple):
    """A problem and its result."""

    prompt: str
    result: int


@cache
def sums(split: str) -> tuple[Sum, ...]:
    """Return the sums of a split, in order: `environment`, `validation`, or `all` for both.

    Example:
        >>> len(sums("environment")) + len(sums("validation")) == len(sums("all")) == 110
        True
    """
    digits = range(10)
    problems = [(a, sign, b, a + b if sign == "+" else a - b) for sign in "+-" for a in digits for b in digits]
    return tuple(
        Sum(f" {a} {sign} {b} =", result)
        for a, sign, b, result in problems
        if result in digits and (split == "all" or are_held_out((a, b)) == (split == "validation"))
    )


def read(output: str) -> int | None:
    """Read the number at the start of an output; return None if it does not start with one.

    Example:
        >>> read(" 12 apples"), read("12"), read("about 12")
        (12, 12, None)
    """
    number = ANSWER.match(output)
    return int(number[1]) if number else None
