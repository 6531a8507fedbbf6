r"""Print LaTeX as a reader sees it: commands that print nothing left out, symbols put as characters."""

from __future__ import annotations

import re

from evals.reports.claims.drafting.language.words import entries, pattern
from evals.reports.claims.drafting.readers.latex_commands import formulas, quantities
from evals.reports.claims.language.sources.articles import Text, TextBuilder

ARGUMENT = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_BRACES = ARGUMENT.replace("(", "(?:", 1)
_OPTIONS = r"\*?(?:\s*\([^)]*\))?(?:\s*\[[^\]]*\])*"
_SILENT = pattern("latex.silent")
"""Commands that print nothing."""
_LENGTHS = pattern("latex.lengths")
"""Commands of two arguments that print nothing."""
_MULTIROW = re.compile(
    r"\\multirow(?:\s*\[[^\]]*\])?\s*\{[^{}]*\}(?:\s*\[[^\]]*\])?\s*(?:\{[^{}]*\}|\*)(?:\s*\[[^\]]*\])?\s*" + ARGUMENT
)
_FOOTNOTE_MARK = re.compile(r"(?<!10)\\textsuperscript\s*\{(?!(?:st|nd|rd|th)\})[^{}]*\}")
_EDITS: tuple[tuple[re.Pattern[str], int | None, str], ...] = (
    (re.compile(rf"(?:{_LENGTHS.pattern})\*?\s*{_BRACES}\s*{_BRACES}"), None, ""),
    (_MULTIROW, 1, ""),
    (re.compile(rf"(?:{_SILENT.pattern})" + _OPTIONS + rf"(?:\s*{_BRACES})?"), None, ""),
    (re.compile(r"\\href\s*\{[^{}]*\}\s*" + ARGUMENT), 1, ""),
    (re.compile(r"\\footnote(?:text)?\s*(?:\[[^\]]*\])?\s*" + _BRACES), None, ""),
    (re.compile(r"\\multicolumn\s*\{[^{}]*\}\s*\{(?:[^{}]|\{[^{}]*\})*\}\s*" + ARGUMENT), 1, ""),
    (re.compile(r"\\(?:textcolor|colorbox)\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}\s*" + ARGUMENT), 1, ""),
    (_FOOTNOTE_MARK, None, ""),
)  # fmt: skip
_WRAPPER = pattern("latex.wrapper")
_SYMBOLS: dict[str, str] = dict(entries("latex_symbols"))
_SYMBOL = re.compile(
    "|".join(
        re.escape(symbol) + ("(?![A-Za-z])" if symbol[-1].isalpha() else "")
        for symbol in sorted(_SYMBOLS, key=len, reverse=True)
    )
)
_LETTER_SYMBOL = re.compile(
    "|".join(
        re.escape(symbol) + "(?![A-Za-z])"
        for symbol in sorted(_SYMBOLS, key=len, reverse=True)
        if symbol[0] == "\\" and symbol[1:].isalpha()
    )
)
_LEFTOVER = re.compile(r"\\[A-Za-z]+\*?(?:\[[^\]]*\])?\s?|[{}$]")
_THOUSANDS = re.compile(r"(?<=\d)\{,\}(?=\d)")
_SPACES = re.compile(r"(?<=\s)[ \t]+(?=\S)")


def clean(text: Text) -> Text:
    r"""Remove commands, and put the characters that symbols print.

    Example:
        >>> from evals.reports.claims.language.sources.articles import plain
        >>> clean(plain(r"\multirow{2}{*}{Ibis}~\cite{a} needs $2.1\times$ \textbf{less}")).text
        'Ibis needs 2.1× less'
    """
    text = quantities(text)
    for words, group, fill in _EDITS:
        text = text.edited(words, group, fill)
    text = formulas(text)
    for _ in range(4):
        if not _WRAPPER.search(text.text):
            break
        text = text.edited(_WRAPPER, 1)
    return symbols(text.edited(_THOUSANDS, None, ",")).edited(_LEFTOVER).edited(_SPACES).strip()


def symbols(text: Text, *, in_math: bool = False) -> Text:
    r"""Put the characters that the commands of symbols print.

    Args:
        text: the text.
        in_math: replace only commands of a backslash and letters, which other formats have in formulas too.

    Example:
        >>> from evals.reports.claims.language.sources.articles import plain
        >>> symbols(plain(r"2.1\times, 5\%"), in_math=True).text
        '2.1×, 5\\%'
    """
    builder, last = TextBuilder(), 0
    for match in (_LETTER_SYMBOL if in_math else _SYMBOL).finditer(text.text):
        builder.copy(text, last, match.start())
        builder.put(_SYMBOLS[match[0]], *text.span(*match.span()))
        last = match.end()
    builder.copy(text, last, len(text.text))
    return builder.build()
