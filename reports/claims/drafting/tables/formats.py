"""Whether the values of a table are of one kind in each column or in each row, by their printed units and sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from evals.errors import InputError
from evals.reports.claims.language.tables.printed_cells import PrintedCell, read_cell

_UNLIKE = 1.0
"""Spread of the decimal logarithms from which values are of several kinds."""
_STRONG, _WEAK = 2.0, 1.0


def lean(rows: Sequence[Sequence[str]]) -> float:
    """Return above 0 if each column holds values of one kind, below 0 if each row does, and 0 without a sign of either.

    Args:
        rows: the cells of each row, without its label; all rows have the same number.

    Example:
        >>> lean([["81.2", "35 ms"], ["79.0", "20 ms"]]) > 0, lean([["81.2 %", "79.0 %"], ["35 ms", "20 ms"]]) < 0
        (True, True)
        >>> lean([["81.2", "79.0"], ["35.1", "20.7"]])
        0.0
    """
    if len(rows) < 2 or len(rows[0]) < 2:
        return 0.0
    cells = [[_read(cell) for cell in row] for row in rows]
    columns = [list(column) for column in zip(*cells, strict=True)]
    across, down = _mixed(cells), _mixed(columns)
    if across != down:
        return _STRONG * (across - down)
    wide, long = _spread(cells), _spread(columns)
    if max(wide, long) < _UNLIKE or min(wide, long) * 2 > max(wide, long):
        return 0.0
    return _WEAK if wide > long else -_WEAK


def _read(cell: str) -> PrintedCell | None:
    text = re.sub(r"\$|\\|~", "", " ".join(cell.split()))
    try:
        return read_cell(text)
    except InputError:
        return None


def _mixed(lines: Sequence[Sequence[PrintedCell | None]]) -> float:
    """The share of lines that print several units or factors."""
    kinds = [{_kind(cell) for cell in line if cell is not None} for line in lines]
    return sum(len(kind) > 1 for kind in kinds) / len(kinds)


def _kind(cell: PrintedCell) -> str:
    unit = (cell.unit or "").lower()
    unit = "bytes" if re.fullmatch(r"[kmgt]i?b", unit) else "time" if re.fullmatch(r"m?s|min|h|m", unit) else unit
    return unit or ("count" if cell.count > 1 else "")


def _spread(lines: Sequence[Sequence[PrintedCell | None]]) -> float:
    """The mean range of the decimal logarithms in a line."""
    ranges = []
    for line in lines:
        sizes = [
            math.log10(size) for cell in line if cell is not None and (size := abs(float(cell.value)) * cell.count)
        ]
        if len(sizes) > 1:
            ranges.append(max(sizes) - min(sizes))
    return sum(ranges) / len(ranges) if ranges else 0.0
