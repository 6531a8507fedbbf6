r"""Values that a text marks: mathematics between the signs of TeX, and bold text.

A dollar sign is also money, so ``$…$`` is mathematics only where it is closed as pandoc closes it (no white space
inside the signs, no digit after them) and holds no prose. All functions are pure and read windows of bounded length.
"""

from __future__ import annotations

import re

from evals.tasks.scoring.math_values import WINDOW, MathText, expression_at

_SPAN = re.compile(
    rf"""\$\$\s*(?P<display>[^$]{{1,{WINDOW}}}?)\s*\$\$
    |\$(?![\s$])(?P<inline>(?:\\\$|[^$\n]){{1,{WINDOW}}}?)(?<!\s)\$(?![0-9])
    |\\\(\s*(?P<round>.{{1,{WINDOW}}}?)\s*\\\)
    |\\\[\s*(?P<square>.{{1,{WINDOW}}}?)\s*\\\](?!\s*[0-9])""",
    re.VERBOSE | re.DOTALL,
)
_BOLD = re.compile(r"\*\*(?P<bold>[^*\n]{1,200}?)\*\*|(?<![_\w])__(?P<underlined>[^_\n]{1,200}?)__(?![_\w])")
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf|mathbf|operatorname|begin|end)\s?\{[^{}]*\}|\\[A-Za-z]+")
_PROSE = re.compile(r"[a-z]{4,}|[A-Za-z]{2,} [A-Za-z]{2,}")
_JOINT = re.compile(r"\s*(?:,?\s*\b(?:and|or|et|und|y|o|ou)\b|,|;|和|或|以及|&)\s*")
_PREFIX = re.compile(r"(?:\s|[(*_~:])*\Z")


def span_at(text: str, start: int) -> MathText | None:
    r"""Read the span of mathematics that begins at a place, with those that "and", "or" or a comma join to it.

    Example:
        >>> span_at("$x=5$ or $x=-3$.", 0).text, span_at("$18 and pays $20", 0)
        ('x=5, x=-3', None)
    """
    span = _match(text, start)
    if span is None:
        return None
    values, end = [_content(span)], span.end()
    while (joint := _JOINT.match(text, end)) and (other := _match(text, joint.end())):
        values.append(_content(other))
        end = other.end()
    return MathText(", ".join(values), start, end)


def spans(text: str) -> list[MathText]:
    r"""Return all spans of mathematics, those joined to one value as one.

    Example:
        >>> [value.text for value in spans("From \\(a = 2\\) we get $$\\frac{1}{2}.$$")]
        ['a = 2', '\\frac{1}{2}']
    """
    values, position = list[MathText](), 0
    opening = re.compile(r"(?<!\\)\$|\\[(\[]")
    while mark := opening.search(text, position):
        value = span_at(text, mark.start())
        if value is None:
            position = mark.end()
        else:
            values.append(value)
            position = value.end
    return values


def bold_at(text: str, start: int) -> MathText | None:
    """Read the bold text that begins at a place.

    Example:
        >>> bold_at("**Evelyn** won", 0).text
        'Evelyn'
    """
    bold = _BOLD.match(text, start)
    return MathText((bold["bold"] or bold["underlined"]).strip().rstrip(" .:"), start, bold.end()) if bold else None


def bolds(text: str) -> list[MathText]:
    """Return all bold texts."""
    matches = (bold_at(text, match.start()) for match in _BOLD.finditer(text))
    return [bold for bold in matches if bold and bold.text]


def is_value(text: str) -> bool:
    r"""Return whether a marked text is wholly a value, not a lone variable or prose.

    Example:
        >>> is_value("2\\sqrt{5}"), is_value("(C)"), is_value("x"), is_value("Step 1"), is_value("18 dollars")
        (True, True, False, False, False)
    """
    if re.fullmatch(r"\s*[A-Za-z]\s*", text):
        return False
    value = expression_at(text, len(text) - len(text.lstrip(" $")))
    return value is not None and not text[value.end :].strip(" .$")


def _match(text: str, start: int) -> re.Match[str] | None:
    span = _SPAN.match(text, start)
    if span is None:
        return None
    if span["inline"] and _PROSE.search(_TEXT.sub("", span["inline"])):
        return None
    return span if _content(span) else None


def _content(span: re.Match[str]) -> str:
    content = next(group for group in span.groups() if group)
    return content.strip().rstrip(".,;").strip() if not content.endswith("\\,") else content.strip()
