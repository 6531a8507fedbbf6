"""The header of a table: several printed rows become one, with what stands above a group before each of its names."""

from __future__ import annotations

import re

from evals.errors import InputError
from evals.reports.claims.language.sources.articles import Block, Text
from evals.reports.claims.language.tables.printed_cells import read_cell

_NO_WORDS = re.compile(r"\W*(?:\.\.\.|…|⋮|oom|out ?of ?memory(?: ?error)?|n\.?/?a\.?|error|fail(?:ed)?)\W*", re.I)
"""What stands in a cell in place of a value."""
_MOST_HEADERS = 3


def header_and_body(block: Block) -> tuple[tuple[Text, ...], tuple[tuple[Text, ...], ...]]:
    """Return the joined header of a table and the rows below it; rows without a word or number are left out.

    Args:
        block: a block of kind `table`.
    """
    rows = block.rows
    count = max(1, block.headers)
    header = rows[0] if rows else ()
    for row in rows[1 : min(count, len(rows) - 1)]:
        header = _joined(header, row)
    body = tuple(row for row in rows[count:] if any(re.search(r"\w", cell.text) for cell in row))
    for _ in range(_MOST_HEADERS):
        if len(body) < 2 or len(body[0]) != len(header) or not _goes_on(header, body):
            break
        header, body = _joined(header, body[0]), body[1:]
    return header, body


def _goes_on(header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]) -> bool:
    """Whether a first row goes on with the header: it prints words in every column of numbers, and values nowhere."""
    row = body[0]
    words = [n for n in range(1, len(row)) if row[n].text.strip()]
    below = [n for n in words if all(is_number(other[n].text) or is_blank(other[n].text) for other in body[1:])]
    if any(is_blank(row[n].text) or is_number(row[n].text) for n in words):
        return False
    if not row[0].text.strip():
        return len(words) == len(row) - 1 > 1
    empty = [n for n in range(1, len(row)) if not row[n].text.strip() and not header[n].text.strip()]
    repeats = len({row[n].text.strip() for n in words}) < len(words) or _METRIC.search(row[0].text) is not None
    return repeats and len(words) > 1 and len(below) == len(words) and len(words) + len(empty) == len(row) - 1


_METRIC = re.compile(r"^\W*(?:metrics?|measures?|units?|splits?|settings?|指标|单位)\W*$", re.I)


def _joined(top: tuple[Text, ...], low: tuple[Text, ...]) -> tuple[Text, ...]:
    """Join two rows of a header; an empty cell above goes on with the one on its left."""
    joined, group = [], ""
    for above, below in zip(top, low, strict=True):
        group = above.text.strip() or group
        name = below.text.strip()
        if not name:
            joined.append(above)
        elif not joined:
            joined.append(above if _METRIC.search(name) and above.text.strip() else below)
        elif not group or group == name:
            joined.append(below)
        else:
            text = f"{group} ({name})" if "shot" in name else f"{group} {name}"
            joined.append(Text(text, [below.starts[0]] * len(text), [below.ends[-1]] * len(text)))
    return tuple(joined)


def is_number(text: str) -> bool:
    """Whether a cell prints a number.

    Example:
        >>> is_number("78.3 %"), is_number("OOM"), is_number("word")
        (True, False, False)
    """
    try:
        return not _NO_WORDS.fullmatch(text) and read_cell(text) is not None
    except InputError:
        return False


def is_blank(text: str) -> bool:
    """Whether a cell prints nothing: empty, a dash, `OOM`.

    Example:
        >>> is_blank("–"), is_blank("OutOfMemoryError"), is_blank("78.3 %"), is_blank("word")
        (True, True, False, False)
    """
    try:
        return _NO_WORDS.fullmatch(text) is not None or read_cell(text) is None
    except InputError:
        return False
