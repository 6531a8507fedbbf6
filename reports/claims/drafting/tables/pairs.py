"""Columns that print several values in each cell become several: "F1/EM" over "93.4/86.7", "(a + b)" over "1 + 2"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evals.reports.claims.drafting.tables.headers import is_blank, is_number
from evals.reports.claims.language.sources.articles import Text

_SUM = re.compile(r"\d[\d,]*(?:\.\d+)?\s?\+\s?\d[\d,]*(?:\.\d+)?")
_SUMMANDS = re.compile(
    r"^(?P<base>.*\S)\s*[\[((]\s*(?P<first>[\w .-]{1,20}?)\s*\+\s*(?P<second>[\w .-]{1,20}?)\s*[\]))]\W*$"
)
"""A header that says what the parts of a sum are: "Params (M) (img + txt)"."""
_MARKS = tuple(
    re.compile(mark)
    for mark in (
        r"\s?/\s?(?![A-Za-z])",
        r"\svs\.?\s",
        r"\s*(?:-->|->|=>|→)\s*",
        r"\s?[\uff0c\u3001]\s?",
        r"(?<=\d)\s+(?=\d+\.\d)",
    )
)
"""What stands between the values of a cell."""
_MOST = 6
_NAMES = re.compile(
    r"(?P<base>.*?)(?P<open>[\[((]?)(?P<names>[^\s()()\[\]]+(?:\s?(?:/|\bvs\.?)\s?[^\s()()\[\]]+)+)[\]))]?\W*$"
)


def parts(header: str, cells: Sequence[Text]) -> list[tuple[str, list[Text]]]:
    """Return a column, or the ones that it prints in one.

    A sum is parted only where its header names both parts; else its cells print no single number and are not read.

    Args:
        header: the name of the column.
        cells: its cells.

    Returns:
        The name and the cells of each column.
    """
    filled = [cell.text.strip() for cell in cells if not is_blank(cell.text)]
    summands = _SUMMANDS.match(header)
    if summands and sum(_SUM.fullmatch(text) is not None for text in filled) * 2 > len(filled):
        names = [f"{summands['base']} ({summands[part].strip()})" for part in ("first", "second")]
        return [(name, [_part(cell, place, re.compile(r"\+")) for cell in cells]) for place, name in enumerate(names)]
    for mark in _MARKS:
        counts = [len(pieces) for text in filled if _are_values(pieces := mark.split(text))]
        if len(counts) * 2 > len(filled):
            number = max(counts)
            return [
                (name, [_part(cell, place, mark) for cell in cells])
                for place, name in enumerate(_names(header, number))
            ]
    return [(header, list(cells))]


def are_several(text: str) -> bool:
    """Whether a cell prints several values.

    Example:
        >>> are_several("93.4/86.7"), are_several("4.54 vs 4.19"), are_several("53.0   70.1"), are_several("3/5")
        (True, True, True, False)
    """
    return any(_are_values(mark.split(text.strip())) for mark in _MARKS)


def _are_values(pieces: Sequence[str]) -> bool:
    """Whether the parts of a cell are several values: no date, no "3/5", no count of a total."""
    return (
        1 < len(pieces) <= _MOST
        and all(is_number(piece) or is_blank(piece) for piece in pieces)
        and "." in pieces[0]
        and is_number(pieces[0])
    )


def _names(header: str, number: int) -> list[str]:
    """Name the parts of a column: "SQuAD F1/EM" is SQuAD F1 and SQuAD EM; else they are numbered."""
    match = _NAMES.match(header)
    names = re.split(r"\s?(?:/|\bvs\.?)\s?", match["names"]) if match else []
    if match and len(names) == number:
        stem = names[0].rpartition("-")[0] if "-" in names[0] and all("-" not in name for name in names[1:]) else ""
        full = [names[0], *(f"{stem}-{name}" if stem else name for name in names[1:])]
        return [f"{match['base']} {name}".strip() for name in full]
    return [f"{header} {place}" for place in range(1, number + 1)]


def _part(cell: Text, place: int, mark: re.Pattern[str]) -> Text:
    """The part of a cell between two marks."""
    cuts = [(0, 0), *(match.span() for match in mark.finditer(cell.text)), (len(cell.text), len(cell.text))]
    if place + 1 >= len(cuts):
        return cell.part(0, 0)
    return cell.part(cuts[place][1], cuts[place + 1][0]).strip()
