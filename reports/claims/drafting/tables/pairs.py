"""Columns that print two values in each cell become two: "F1/EM" over "93.4/86.7", "(img + txt)" over "11.4 + 42.4"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evals.reports.claims.drafting.tables.columns import is_pair
from evals.reports.claims.drafting.tables.layout import is_blank
from evals.reports.claims.language.sources.articles import Text

_SUM = re.compile(r"\d[\d,]*(?:\.\d+)?\s?\+\s?\d[\d,]*(?:\.\d+)?")
_SUMMANDS = re.compile(
    r"^(?P<base>.*\S)\s*[\[((]\s*(?P<first>[\w .-]{1,20}?)\s*\+\s*(?P<second>[\w .-]{1,20}?)\s*[\]))]\W*$"
)
"""A header that says what the parts of a sum are: "Params (M) (img + txt)"."""


def parts(header: str, cells: Sequence[Text]) -> list[tuple[str, list[Text]]]:
    """Return a column, or the two that it prints in one.

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
        return [(name, [_half(cell, place, "+") for cell in cells]) for place, name in enumerate(names)]
    if sum(map(is_pair, filled)) * 2 <= len(filled):
        return [(header, list(cells))]
    first, slash, second = header.rpartition(" ")[2].partition("/")
    base = header.removesuffix(f"{first}{slash}{second}").strip()
    names = [f"{base} {first}", f"{base} {second}"] if slash and second else [f"{header} 1", f"{header} 2"]
    return [(name.strip(), [_half(cell, place, "/") for cell in cells]) for place, name in enumerate(names)]


def _half(cell: Text, place: int, mark: str) -> Text:
    """The part of a cell before or after its mark."""
    cut = cell.text.find(mark)
    if cut < 0:
        return cell if place == 0 else cell.part(0, 0)
    return (cell.part(0, cut) if place == 0 else cell.part(cut + 1, len(cell.text))).strip()
