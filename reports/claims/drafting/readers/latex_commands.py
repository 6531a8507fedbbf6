r"""Expand what a LaTeX article defines (`\newcommand`), quantities (`\SI{3}{\giga\byte}`) and inline formulas.

expand(text) -> Text              macros of the article replaced by what they print, their definitions left out
quantities(text) -> Text          the commands of siunitx as number and unit
formulas(text) -> Text            inline formulas: a number stays, `$k=5$` becomes `…`, `mAP$_{50}$` becomes `mAP50`
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evals.reports.claims.drafting.language.words import entries
from evals.reports.claims.language.sources.articles import Text, TextBuilder

_ARGUMENT = r"\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\}"
_DEFINITION = re.compile(
    rf"\\(?:(?:re|provide)?newcommand|providecommand|DeclareRobustCommand|DeclareMathOperator|def)\*?\s*"
    rf"(?:\{{\s*\\(?P<braced>[A-Za-z]+)\s*\}}|\\(?P<bare>[A-Za-z]+))\s*"
    rf"(?:\[(?P<count>\d)\]\s*(?:\[(?P<default>[^\]]*)\])?|(?P<places>(?:\#\d)+))?\s*(?P<body>{_ARGUMENT})"
)
_MOST_PASSES, _MOST_GROWTH = 4, 200_000
"""Bounds on macros that expand to macros, and on the characters that expansion adds."""
_PLACE = re.compile(r"#(\d)")
_SI_PARTS: dict[str, str] = dict(entries("latex_units"))
_NUMBER_ARGUMENT = rf"\s*(?:\[[^\]]*\])?\s*(?P<number>{_ARGUMENT})"
_QUANTITY = re.compile(
    rf"\\(?:(?P<range>SIrange|qtyrange|numrange)|(?P<number_only>num|tablenum)|SI|qty)(?![A-Za-z]){_NUMBER_ARGUMENT}"
    rf"(?(range)\s*(?P<upto>{_ARGUMENT}))(?(number_only)|(?:\s*(?:\[[^\]]*\])?\s*(?P<unit>{_ARGUMENT}))?)"
)
_FORMULA = re.compile(r"(?<!\\)\$(?!\$)((?:[^$\\\n]|\\.|\n(?!\s*\n)){1,400}?)(?<!\\)\$|\\\(((?:.|\n){1,400}?)\\\)")
_PRINTS = re.compile(
    r"\\(?:times|pm|mp|sim|approx|geq?|leq?|cdot|rightarrow|to|%|\$|[,;:! ]|quad|left|right|displaystyle)(?![A-Za-z])"
    r"|\\(?:text|mathrm|textrm|mathbf|textbf|bm|boldsymbol|bf|rm|mathit|mathsf|underline|operatorname|uparrow|downarrow)"
    r"(?![A-Za-z])(?:\s*\{(?P<inner>[^{}]{0,24})\})?"
)
_NUMERIC = re.compile(r"(?:[\d.,:+\-−–/<>=~%×±^(){}\[\]\s|]|(?<=[\d\s])[kKMBTxs](?![A-Za-z]))*")
_MARKDOWN_FORMULA = re.compile(r"(?<![\\\w$])\$(?![\s$])((?:[^$\\\n]|\\.){1,200}?)(?<![\s\\])\$(?![\d$])")
_NO_WORD = r"(?:[^$\\\nA-Za-z]|\\[A-Za-z]+|\\[^A-Za-z()\n]|(?<![A-Za-z])[A-Za-z](?![A-Za-z])){1,200}?"
_INLINE = (
    _MARKDOWN_FORMULA,
    re.compile(rf"(?<![\\\w$])\$ (?=\S)({_NO_WORD}) \$(?![\w$])"),
    re.compile(rf"\\{{1,2}}\(\s?({_NO_WORD})\s?\\{{1,2}}\)"),
)
"""Formulas of Markdown and HTML: `$2t$`, `$ 2t $` and `\\(2t\\)`; with spaces or brackets only without a word inside,
because `\\(5 GB\\)` is text with escaped brackets."""
_WORDS = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,},?\s+[A-Za-z]{2,}")
"""Two words: what stands between two dollar signs is text about prices."""
_SCRIPT = re.compile(r"\s*(?P<kind>[_^])\s*(?:\{(?P<braced>[^{}]*)\}|(?P<bare>\w|\*|\\[a-z]+))\s*")
_NAME = re.compile(r"\s*(?P<name>[A-Za-z]{1,12})\s*_\s*(?:\{(?P<braced>[^{}]*)\}|(?P<bare>\w))\s*")
_DEVIATION = re.compile(r"_\s*\{?\s*(?=\\pm)")


@dataclass(frozen=True, slots=True)
class Macro:
    """A command that an article defines."""

    body: str
    arguments: int = 0
    default: str | None = None
    """What stands for the first argument if it is not given in square brackets; None: it is given in braces."""


def expand(text: Text) -> Text:
    r"""Replace the commands that an article defines by their bodies, and leave the definitions out.

    Example:
        >>> from evals.reports.claims.language.sources.articles import plain
        >>> expand(plain(r"\newcommand{\pct}[1]{#1\%}It reaches \pct{78.3}.")).text
        'It reaches 78.3\\%.'
    """
    macros: dict[str, Macro] = {}
    for match in _DEFINITION.finditer(text.text):
        count = int(match["count"] or len(match["places"] or "") // 2)
        macros[match["braced"] or match["bare"]] = Macro(match["body"][1:-1], count, match["default"])
    text = text.edited(_DEFINITION)
    if not macros:
        return text
    call = re.compile(r"\\(" + "|".join(sorted(map(re.escape, macros), key=len, reverse=True)) + r")(?![A-Za-z])")
    limit = len(text.text) + _MOST_GROWTH
    for _ in range(_MOST_PASSES):
        expanded = _pass(text, call, macros, limit)
        if expanded.text == text.text:
            break
        text = expanded
    return text


def _pass(text: Text, call: re.Pattern[str], macros: dict[str, Macro], limit: int) -> Text:
    builder, last = TextBuilder(), 0
    for match in call.finditer(text.text):
        if match.start() < last:
            continue
        if len(builder.characters) > limit:
            break
        macro = macros[match[1]]
        arguments, end = _arguments(text, match.end(), macro)
        builder.copy(text, last, match.start())
        place = (text.starts[match.start()], text.ends[end - 1])
        cut = 0
        for hole in _PLACE.finditer(macro.body):
            builder.put(macro.body[cut : hole.start()], *place)
            number = int(hole[1]) - 1
            if number < len(arguments):
                argument = arguments[number]
                builder.copy(argument, 0, len(argument.text))
            cut = hole.end()
        builder.put(macro.body[cut:], *place)
        last = end
    builder.copy(text, last, len(text.text))
    return builder.build()


def _arguments(text: Text, place: int, macro: Macro) -> tuple[list[Text], int]:
    """The arguments of a call, and where it ends."""
    arguments: list[Text] = []
    if macro.default is not None:
        option = re.compile(r"\s*\[([^\]]*)\]").match(text.text, place)
        if option:
            arguments.append(text.part(*option.span(1)))
            place = option.end()
        else:
            builder = TextBuilder()
            builder.put(macro.default, text.starts[place - 1], text.ends[place - 1])
            arguments.append(builder.build())
    braced = re.compile(rf"\s*({_ARGUMENT}|[^\s{{}}\\])")
    while len(arguments) < macro.arguments and (match := braced.match(text.text, place)):
        start, end = match.span(1)
        inner = (start + 1, end - 1) if text.text[start] == "{" else (start, end)
        arguments.append(text.part(*inner))
        place = end
    return arguments, place


def quantities(text: Text) -> Text:
    r"""Print the numbers and units of siunitx.

    Example:
        >>> from evals.reports.claims.language.sources.articles import plain
        >>> quantities(plain(r"\SI{3.2}{\giga\byte}, \qty{45}{\percent}, \num{12 000}, \SIrange{2}{4}{\hour}")).text
        '3.2 GB, 45%, 12000, 2–4 h'
    """
    builder, last = TextBuilder(), 0
    for match in _QUANTITY.finditer(text.text):
        builder.copy(text, last, match.start())
        _number(builder, text, match.span("number"))
        if match["upto"]:
            builder.put("–", *text.span(*match.span("upto")))
            _number(builder, text, match.span("upto"))
        if match["unit"]:
            unit = _unit(match["unit"][1:-1])
            builder.put(unit if unit == "%" else f" {unit}", *text.span(*match.span("unit")))
        last = match.end()
    builder.copy(text, last, len(text.text))
    return builder.build()


def _number(builder: TextBuilder, text: Text, place: tuple[int, int]) -> None:
    """Add a number of siunitx without the spaces in it."""
    for index in range(place[0] + 1, place[1] - 1):
        if not text.text[index].isspace() and text.text[index] != "~":
            builder.copy(text, index, index + 1)


def _unit(words: str) -> str:
    parts = re.findall(r"\\([A-Za-z]+)|([^\s\\~.]+)", words)
    return "".join(_SI_PARTS.get(command, command) if command else plain for command, plain in parts)


def formulas(text: Text, *, is_markdown: bool = False) -> Text:
    r"""Keep the numbers of inline formulas; a formula with other digits becomes an ellipsis.

    Args:
        text: the text.
        is_markdown: whether a dollar sign may be one: it then opens a formula only where Pandoc takes it for one.

    Example:
        >>> from evals.reports.claims.language.sources.articles import plain
        >>> formulas(plain(r"mAP$_{50}$ of $78.3$, $2\times$ less, $k=5$, $x$")).text
        'mAP50 of 78.3, 2\\times less, …, x'
    """
    if is_markdown:
        return _inline(text)
    builder, last = TextBuilder(), 0
    for match in _FORMULA.finditer(text.text):
        group = 1 if match[1] is not None else 2
        builder.copy(text, last, match.start())
        _formula(builder, text.part(*match.span(group)), text.span(*match.span()))
        last = match.end()
    builder.copy(text, last, len(text.text))
    return builder.build()


def _inline(text: Text) -> Text:
    """Read the formulas of a format in which a dollar sign may be one."""
    builder, last = TextBuilder(), 0
    matches = [match for words in _INLINE for match in words.finditer(text.text)]
    for match in sorted(matches, key=lambda match: match.start()):
        if match.start() >= last and not _WORDS.search(match[1]):
            builder.copy(text, last, match.start())
            _formula(builder, text.part(*match.span(1)), text.span(*match.span()))
            last = match.end()
    builder.copy(text, last, len(text.text))
    return builder.build()


def _formula(builder: TextBuilder, inner: Text, place: tuple[int, int]) -> None:
    inner = inner.edited(_DEVIATION, fill=" ")
    bare = _PRINTS.sub(" ", inner.text)
    script, name = _SCRIPT.fullmatch(inner.text), _NAME.fullmatch(_PRINTS.sub(_inner, inner.text))
    if not re.search(r"\d", inner.text) or (_NUMERIC.fullmatch(bare) and "_" not in bare):
        builder.copy(inner, 0, len(inner.text))
    elif script is not None:
        builder.put("" if script["kind"] == "^" else script["braced"] or script["bare"], *place)
    elif name is not None:
        builder.put(name["name"] + (name["braced"] or name["bare"]), *place)
    else:
        builder.put("…", *place)


def _inner(match: re.Match[str]) -> str:
    return match["inner"] or ""
