r"""The quantity that a problem asks for, and its value in an answer: ``x+y = 5`` answers "Find $x+y$." with 5.

An equation is an answer only if a name stands on its left (`evals.metrics.math_notation.value_of`), because ``x+y = 5``
may as well be a condition. Where the problem asks for the left side, its right side is the answer.
"""

from __future__ import annotations

import re

from evals.metrics.math_notation import elements, sides, tidy
from evals.tasks.scoring.math_spans import spans

_QUESTION = re.compile(
    r"\b(?:find|what|compute|determine|evaluate|how|calculate|simplify|express|value|enter|give|expand|sum|product)\b"
    r"|\A\s*(?:Question:)?\s*\Z",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.?!]\$?\s+(?=[A-Z])")
_DRESS = re.compile(r"\\(?:left|right|displaystyle|big|Big|bigl|bigr)(?![A-Za-z])|[\s{}.,;?]")
"""What the same expression may be written with or without."""


def asked_quantities(problem: str) -> frozenset[str]:
    """Return the mathematical expressions that a problem asks for, without spaces and braces.

    Example:
        >>> sorted(asked_quantities("If $x+y=5$ and $x = 2$, what is $x - y$?"))
        ['x-y']
    """
    quantities = set[str]()
    for span in spans(problem):
        before = problem[: span.start]
        sentence_ends = list(_SENTENCE_END.finditer(before))
        sentence = before[sentence_ends[-1].end() :] if sentence_ends else before
        if "=" not in span.text and _QUESTION.search(sentence):
            quantities.add(_undressed(span.text))
    return frozenset(quantities)


def asked_value(answer: str, quantities: frozenset[str]) -> str:
    """Return the value that an answer gives to a quantity of the problem; any other answer as it is.

    Args:
        answer: the answer as it was read, one equation or several.
        quantities: what `asked_quantities` returned for the problem.

    Example:
        >>> asked_value("x=2, x-y=-1", frozenset({"x-y"})), asked_value("3x-1=2", frozenset({"x"}))
        ('-1', '3x-1=2')
    """
    if not quantities or "=" not in answer:
        return answer
    equations = elements(tidy(answer))
    for equation in reversed(equations if all("=" in equation for equation in equations) else []):
        first, *others = sides(equation)
        if others and others[-1] and _undressed(first) in quantities:
            return others[-1]
    return answer


def _undressed(expression: str) -> str:
    return _DRESS.sub("", tidy(expression))
