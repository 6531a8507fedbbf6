r"""Values that a text marks: mathematics between the signs of TeX, and bold text.

A dollar sign is also money, so ``$…$`` is mathematics only where it is closed as pandoc closes it (no white space
inside the signs, no digit after them) and holds no prose. All functions are pure and read windows of bounded length.
"""

from __future__ import annotations

import re

from evals.tasks.scoring.math_reading.values import WINDOW, MathText, expression_at

_ALIGNED = r"(?:align|aligned|alignat|eqnarray|equation|gather|gathered|multline|split)\*?"
MAX_LINES = 3_000
"""Longest derivation in aligned lines, in characters."""
_SPAN = re.compile(
    rf"""\$\$\s*(?P<display>[^$]{{1,{WINDOW}}}?)\s*\$\$
    |\$(?![\s$])(?P<inline>(?:\\\$|[^$\n]){{1,{WINDOW}}}?)(?<!\s)\$(?![0-9])
    |\\\(\s*(?P<round>.{{1,{WINDOW}}}?)\s*\\\)
    |\\\[\s*(?P<square>.{{1,{WINDOW}}}?)\s*\\\](?!\s*[0-9])
    |\\begin\{{(?P<kind>{_ALIGNED})\}}(?P<lines>.{{1,{MAX_LINES}}}?)\\end\{{(?P=kind)\}}""",
    re.VERBOSE | re.DOTALL,
)
_ALIGNED_LINES = re.compile(rf"\\begin\{{(?P<kind>{_ALIGNED})\}}(?P<lines>.*)\\end\{{(?P=kind)\}}\.?", re.DOTALL)
_LINE_MARK = re.compile(r"\\begin\{|\\end\{|\\\\")
_DISPLAY = re.compile(
    rf"\$\$[^$]{{1,{WINDOW}}}?\$\$|\\\[.{{1,{MAX_LINES}}}?\\\]"
    rf"|\\begin\{{(?P<kind>{_ALIGNED})\}}.{{1,{MAX_LINES}}}?\\end\{{(?P=kind)\}}",
    re.DOTALL,
)
_SPACE_AT_END = re.compile(r"\s+(?=(?:\\end\{[a-z]+\*?\}\s*)?(?:\$\$|\\\])?\Z)")
_BOLD = re.compile(r"\*\*(?P<bold>[^*\n]{1,200}?)\*\*|(?<![_\w])__(?P<underlined>[^_\n]{1,200}?)__(?![_\w])")
_LABEL = re.compile(r"(?P<marks>\*\*|__)[^*_\n]{0,200}(?::\s?(?P=marks)|(?P=marks)\s?:)")
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf|mathbf|operatorname|begin|end)\s?\{[^{}]*\}|\\[A-Za-z]+")
_PROSE = re.compile(r"[a-z]{4,}|[A-Za-z]{2,} [A-Za-z]{2,}")
_JOINT = re.compile(r"\s*(?:,?\s*\b(?:and|or|et|und|y|o|ou)\b|,|;|和|或|以及|&)\s*")
_ASSIGNED = re.compile(r"[A-Za-z]\s*=|-?[0-9]+\Z")
_LETTER = re.compile(r"[A-Za-z]|[A-Z]{2}")


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
        is_value = _ASSIGNED.match(values[-1]) and re.search(r"\bor\b|或", joint[0])  # $x = 1$ or $2$
        if not is_value and ("=" in values[0]) != ("=" in _content(other)) and not _LETTER.fullmatch(values[0]):
            break
        values.append(_content(other))
        end = other.end()
    values = [value for value in values if not _LETTER.fullmatch(value)] or values
    return MathText(", ".join(values), start, end)


def spans(text: str) -> list[MathText]:
    r"""Return all spans of mathematics, those joined to one value as one.

    Example:
        >>> [value.text for value in spans("From \\(a = 2\\) we get $$\\frac{1}{2}.$$")]
        ['a = 2', '\\frac{1}{2}']
    """
    values, position = list[MathText](), 0
    opening = re.compile(rf"(?<!\\)\$|\\[(\[]|\\begin\{{{_ALIGNED}\}}")
    while mark := opening.search(text, position):
        value = span_at(text, mark.start())
        if value is None:
            position = mark.end()
        else:
            values.append(value)
            position = value.end
    return values


def on_one_line(text: str) -> str:
    r"""Replace the line breaks in displayed mathematics by spaces, and remove the space before its end.

    Example:
        >>> on_one_line("Thus\n\\[\nx = 2\n\\]\nas above")
        'Thus\n\\[ x = 2\\]\nas above'
    """
    return _DISPLAY.sub(lambda display: _SPACE_AT_END.sub("", display[0].replace("\n", " ")), text)


def bold_at(text: str, start: int) -> MathText | None:
    """Read the bold text that begins at a place.

    Example:
        >>> bold_at("**Evelyn** won", 0).text
        'Evelyn'
    """
    bold = _BOLD.match(text, start)
    return MathText((bold["bold"] or bold["underlined"]).strip().rstrip(" .:"), start, bold.end()) if bold else None


def bolds(text: str) -> list[MathText]:
    """Return all bold texts; a label, which a colon ends (``**Answer:**``, ``**Total**:``), is none.

    Example:
        >>> [bold.text for bold in bolds("**Answer:** she has **18** and **Total**: 20")]
        ['18']
    """
    matches = (bold_at(text, match.start()) for match in _BOLD.finditer(text) if not _LABEL.match(text, match.start()))
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
    groups = span.groupdict()
    content = groups["lines"] or next(text for name, text in groups.items() if text and name != "kind")
    aligned = _ALIGNED_LINES.fullmatch(content.strip())
    if groups["lines"] or aligned:
        content = _last_line(aligned["lines"] if aligned else content)
    return content.strip().rstrip(".,;").strip() if not content.endswith("\\,") else content.strip()


def _last_line(lines: str) -> str:
    r"""Return the last line of aligned equations, without its marks of alignment.

    Example:
        >>> _last_line("x &= 1 + 1 \\\\ &= \\begin{pmatrix} 2 \\\\ 3 \\end{pmatrix}.")
        '= \\begin{pmatrix} 2 \\\\ 3 \\end{pmatrix}.'
    """
    depth = start = 0
    line = ""
    for mark in _LINE_MARK.finditer(lines):
        depth += mark[0].startswith("\\begin") - mark[0].startswith("\\end")
        if depth == 0 and mark[0] == "\\\\":
            line = lines[start : mark.start()].strip() or line
            start = mark.end()
    line = lines[start:].strip() or line
    matrix = line.find("\\begin")
    end = matrix if matrix >= 0 else len(line)
    return line[:end].replace("&", "").lstrip() + line[end:]
