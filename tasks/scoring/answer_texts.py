"""Compare the text of an answer with the right ones: equal once both are normalised, or contained.

normalised(text)            Unicode NFKC, case folded, white space joined, marks stripped from both ends
occurs(target, output)      whether a normalised target stands in a normalised output as a word of its own
"""

from __future__ import annotations

import re
import unicodedata

_DECIMAL = re.compile(r"\.\d")
"""A full stop that belongs to a number, as in .5, and is not stripped."""
_IN_NUMBER = re.compile(r"\d[.,]\d")
_MARKS = frozenset(".,;:!?…。、\"'`*_")
"""Marks that are stripped from both ends. NFKC turns the wide forms of the other marks into these."""


def normalised(text: str) -> str:
    r"""Normalise a text for comparison, as the module's docstring describes.

    Example:
        >>> normalised("  The ＲＥＤ\n star. "), normalised("(-5)"), normalised(".5%"), normalised("“红色”。")
        ('the red star', '-5', '.5%', '红色')
    """
    joined = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    start, end = 0, len(joined)
    while start < end and _is_mark(joined[start]) and not _DECIMAL.match(joined, start):
        start += 1
    while start < end and _is_mark(joined[end - 1]):
        end -= 1
    return joined[start:end]


def occurs(target: str, output: str) -> bool:
    """Return whether a normalised target occurs in a normalised output outside longer words and numbers.

    Example:
        >>> occurs("red", "it is red."), occurs("red", "a hundred"), occurs("红色", "是红色的")
        (True, False, True)
        >>> occurs("3", "it is 3."), occurs("3", "13"), occurs("3", "3.5"), occurs("3", "1,3")
        (True, False, False, False)
    """
    start = output.find(target)
    while start >= 0:
        if not _splits_word(output, start) and not _splits_word(output, start + len(target)):
            return True
        start = output.find(target, start + 1)
    return False


def _is_mark(character: str) -> bool:
    """Return whether a character is stripped from the ends: punctuation, a quote, a bracket, emphasis or a space."""
    return character in _MARKS or unicodedata.category(character) in {"Ps", "Pe", "Pi", "Pf", "Zs"}


def _splits_word(text: str, index: int) -> bool:
    """Return whether cutting `text` before `index` cuts through a number or a word.

    Words count only in scripts that put spaces between them (below U+2E80). A point or a comma between two digits
    belongs to their number: it may be a decimal point, a thousands separator or a list separator, and an uncertain
    match does not count.
    """
    if not 0 < index < len(text):
        return False
    if all(c.isalnum() and c < "\u2e80" for c in text[index - 1 : index + 1]):
        return True
    return any(_IN_NUMBER.match(text, start) for start in (index - 2, index - 1) if start >= 0)
