"""Which numbers a table can contain: ranges, whole numbers of items, deviations, intervals, units of a column."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from statistics import median

from evals.reports.claims.evidence.tables.grid import Grid, GridColumn, GridValue, TableFinding
from evals.statistics.power import attainable_count

_CHANGE = re.compile(
    r"Δ|\b(delta|gain|gains|improvement|increase|decrease|change|difference|diff|lead|growth|relative|vs|over|speed-?up|"
    r"reduction|drop)\b",
    re.IGNORECASE,
)
"""Headers of changes, which may be negative or above 100 %."""
_RELATIVE = re.compile(
    r"\b(relative|relatively|normali[sz]ed|efficiency|utili[sz]ation|usage|recover(y|ed|s)?|retention|retained|"
    r"(versus|against|over|of|to|vs\.?) (the )?"
    r"(baseline|base|teacher|human|reference|original|full model|fp16|bf16|fp32))\b|= ?100 ?%|"
    r"相对|归一化|标准化|利用率|占用率|使用率|加速|效率|提升|变化|差值|差异|增幅|降幅|增长|保持率|恢复率|"
    r"(较|比)(基线|基准|上|前|原)",
    re.IGNORECASE,
)
"""Words of a header, a row or a caption for shares of another value than the whole, which may exceed 100 %."""
_WHOLE = 100
"""A whole, in percent."""
_Z = 1.959964
_NARROW, _WIDE = 0.5, 4.0
"""The factors of the binomial width within which a 95 % interval of right-or-wrong items must lie: clusters of items
widen it, and stratified samples narrow it."""
_ENOUGH = 5
"""The smallest expected number of right and of wrong items for a check of widths."""
_UNIT_JUMP = 400
"""The ratio to the rest of its column from which a time or size is taken to be in another unit."""


def check_ranges(grid: Grid) -> Iterator[TableFinding]:
    """Find shares above a whole, counts above their total, and times, sizes and shares below zero.

    A share above 100 % is inconsistent only if it can be no share of another value: its column is known to be of right
    answers or a benchmark, it is the only one of its table, no row or column is the 100 % of the others, and no word
    says that values are relative. Where only the words are missing it is open, and where they are there, no finding.

    Example:
        >>> from evals.reports.claims.evidence.tables.grid import GridRow, GridValue
        >>> from evals.reports.claims.language.units import Unit
        >>> column = GridColumn("Accuracy", Unit("%", Fraction(1, 100), {}), direction="higher")
        >>> values = {(0, 0): GridValue("T1r1-1", Fraction("101.5"), Fraction(1, 20))}
        >>> [finding.line for finding in check_ranges(Grid((column,), (GridRow("x"),), values))]
        ['101.5 % is more than a whole']
    """
    above = {place for place, value in grid.values.items() if _is_above_whole(grid, place, value)}
    references = _references(grid)
    for (row, index), value in grid.values.items():
        column = grid.columns[index]
        line = _out_of_range(value, column)
        if line is not None:
            yield TableFinding((row, index), "internally_inconsistent", line)
        elif (row, index) in above and not references:
            line = f"{column.show(value)} is more than a whole"
            is_alone = len(above) == 1 and all(other.value != _WHOLE for _, other in grid.column(index))
            if column.is_direction_sure and is_alone:
                yield TableFinding((row, index), "internally_inconsistent", line)
            else:
                yield TableFinding((row, index), "open", f"{line}, unless it is a share of another value")


def _references(grid: Grid) -> list[str]:
    """Return the rows and columns whose shares all are 100 %: what the others are relative to."""
    shares = {place: value.value == _WHOLE for place, value in grid.values.items() if grid.columns[place[1]].is_percent}
    lines = [(row.name, [is_whole for place, is_whole in shares.items() if place[0] == number])
             for number, row in enumerate(grid.rows)]  # fmt: skip
    lines += [(column.name, [is_whole for place, is_whole in shares.items() if place[1] == number])
              for number, column in enumerate(grid.columns)]  # fmt: skip
    return [name for name, wholes in lines if len(wholes) >= 2 and all(wholes)]


def _is_above_whole(grid: Grid, place: tuple[int, int], value: GridValue) -> bool:
    """Return whether a cell is a share above 100 % of which nothing says that it is relative to another value."""
    row, column = grid.rows[place[0]], grid.columns[place[1]]
    if not column.is_percent or column.direction == "lower" or "sum" in (row.role, column.role):
        return False
    if value.total is not None or not value.fits or value.ends[0] <= _WHOLE or _CHANGE.search(column.name):
        return False
    return not any(_RELATIVE.search(text) for text in (column.name, row.name, row.group or "", grid.caption))


def _out_of_range(value: GridValue, column: GridColumn) -> str | None:
    low, high = value.ends
    shown = column.show(value)
    if value.total is not None:
        return f"{value.value} of {value.total}: a part is more than the whole" if value.value > value.total else None
    if not value.fits or _CHANGE.search(column.name):
        return None
    if column.unit.dimension.keys() == {"item"} and column.items is not None and low > column.items:
        return f"{value.value} of {column.items} items: a part is more than the whole"
    if value.deviation is not None and value.deviation < 0:
        return f"a deviation of {column.show(value.deviation)} is below zero"
    if high < 0 and (column.is_percent or (column.unit.dimension and "dollar" not in column.unit.dimension)):
        return f"{shown} is below zero"
    return None


def check_items(grid: Grid) -> Iterator[TableFinding]:
    """Check that each percentage is a whole number of its test items (the GRIM test).

    Only columns with `items` whose items are right or wrong are checked. With several runs, the mean is a whole number
    of items times runs; where `runs` is not stated, an unattainable percentage is open, as it may be such a mean. One
    that is attainable if it was cut instead of rounded is nominally inconsistent.

    Source: Brown and Heathers, The GRIM test, Social Psychological and Personality Science 8 (2017).
    """
    for (row, index), value in grid.values.items():
        column = grid.columns[index]
        if column.items is None or column.graded or column.role != "value" or grid.rows[row].role != "value":
            continue
        if (whole := _whole(grid, index)) is None or not value.fits or value.total is not None:
            continue
        items = column.items * (column.runs or 1)
        low, high = (end / whole for end in value.ends)
        of = f"{column.items:,} items" + (f" in {column.runs} runs" if (column.runs or 1) > 1 else "")
        shown = column.show(value)
        if high < 0 or low > 1:
            continue
        if (count := attainable_count(low, high, items)) is not None:
            yield TableFinding((row, index), "consistent", f"{shown} is {count:,} of {items:,} ({of})")
            continue
        cut = attainable_count(value.value / whole, (value.value + 2 * value.half) / whole, items)
        near = math.floor(value.value / whole * items)
        steps = " and ".join(column.show(Fraction(n, items) * whole) for n in (near, near + 1))
        line = f"{shown} is no whole number of {of}{' if rounded' if cut is not None else ''}; the nearest are {steps}"
        if cut is not None:
            line += f"; cut instead of rounded, it is {cut:,}"
        if column.runs is None:
            line += "; the mean of several runs, which the document does not state, may be"
        verdict = "internally_inconsistent" if cut is None else "nominally_inconsistent"
        yield TableFinding((row, index), "open" if column.runs is None else verdict, line)


def check_spreads(grid: Grid) -> Iterator[TableFinding]:
    """Check deviations and intervals: an interval contains its value, and both are possible at their number of items.

    The standard deviation of n values between 0 and 1 with mean p is at most sqrt(p (1 - p) n / (n - 1)).
    """
    for (row, index), value in grid.values.items():
        column, whole = grid.columns[index], _whole(grid, index)
        if value.low is not None and value.high is not None:
            low, high = sorted((value.low, value.high))
            ends = f"{column.show(low)} to {column.show(high)}"
            contains = value.low <= value.high and low - value.half <= value.value <= high + value.half
            word = "contains its value" if contains else f"does not contain its value {column.show(value)}"
            yield TableFinding(
                (row, index), "consistent" if contains else "internally_inconsistent", f"the interval {ends} {word}"
            )
            if whole is not None and contains:
                yield from _width(grid, (row, index), float((high - low) / 2 / whole), float(value.half / whole))
        if value.deviation is not None and value.deviation >= 0 and whole is not None:
            yield from _deviation(grid, (row, index), whole)


def _deviation(grid: Grid, place: tuple[int, int], whole: int) -> Iterator[TableFinding]:
    """Compare a deviation with the largest that its mean allows."""
    value, column = grid.values[place], grid.columns[place[1]]
    printed = float((value.deviation or 0) / whole)
    sizes = [size for size in (column.items, column.runs) if size is not None and size > 1]
    half = float(value.half / whole)
    if grid.spread == "ci95":
        yield from _width(grid, place, printed, half)
        return
    if grid.spread is None:
        return
    low, high = (float(min(max(end / whole, Fraction(0)), Fraction(1))) for end in value.ends)
    mean = min(
        max(0.5, low), high
    )  # the mean, of those that round to the printed one, that allows the largest deviation
    size = column.runs if column.runs and column.runs > 1 else min(sizes, default=2)
    largest = math.sqrt(mean * (1 - mean) * size / (size - 1)) / (math.sqrt(size) if grid.spread == "se" else 1)
    word = "standard error" if grid.spread == "se" else "standard deviation"
    text = f"the {word} of {size:,} values between 0 and {whole} with this mean is at most {largest * whole:.4g}"
    holds = printed - half <= largest
    yield TableFinding(
        place, "consistent" if holds else "internally_inconsistent", f"{text}; {printed * whole:.4g} is printed"
    )


def _width(grid: Grid, place: tuple[int, int], printed: float, half: float) -> Iterator[TableFinding]:
    """Compare half the width of a 95 % interval with that of right-or-wrong items."""
    value, column = grid.values[place], grid.columns[place[1]]
    whole = _whole(grid, place[1])
    if column.items is None or column.graded or (column.runs or 1) > 1 or whole is None:
        return
    share = float(value.value / whole)
    if not min(share, 1 - share) * column.items >= _ENOUGH:
        return
    expected = _Z * math.sqrt(share * (1 - share) / column.items)
    holds = printed + half >= _NARROW * expected and printed - half <= _WIDE * expected
    text = f"at {column.items:,} items a 95 % interval of this value is about ± {expected * whole:.3g} wide"
    verdict = "consistent" if holds else "nominally_inconsistent"
    yield TableFinding(place, verdict, f"{text}; ± {printed * whole:.3g} is printed")


def _whole(grid: Grid, index: int) -> int | None:
    """What a share of 1 is in a column: 100 in percent, 1 in plain numbers of at most 1; None if it has no shares."""
    column = grid.columns[index]
    if column.is_percent:
        return 100
    if column.unit.dimension or column.unit.factor != 1:
        return None
    return 1 if all(0 <= value.value <= 1 for _, value in grid.column(index)) else None


def check_units(grid: Grid) -> Iterator[TableFinding]:
    """Find cells whose unit, or whose size, does not fit the rest of their column.

    A printed unit of another dimension is inconsistent. A fraction among percentages, and a time or size some hundred
    times as large or small as the rest of its column, is nominally so.
    """
    for index, column in enumerate(grid.columns):
        entries = [(row, value) for row, value in grid.column(index) if value.total is None]
        for row, value in entries:
            if value.is_bound:
                continue
            if not value.fits:
                line = f"its unit is none of the column's, {column.unit.symbol or 'plain numbers'}"
                yield TableFinding((row, index), "internally_inconsistent", line)
                continue
            others = [float(other.value) for n, other in entries if n != row and other.fits]
            reason = _other_unit(float(value.value), value.half, others, column) if len(others) >= 2 else None
            if reason is not None:
                yield TableFinding((row, index), "nominally_inconsistent", reason)


def _other_unit(value: float, half: Fraction, others: list[float], column: GridColumn) -> str | None:
    """Describe why a value seems to be in another unit than the rest of its column; None if it does not."""
    if column.is_percent and not _CHANGE.search(column.name):
        is_fraction = 0 < value < 1 and half < Fraction(1, 100) and min(others) > 10
        if is_fraction:
            return (
                f"{value:g} % among values of {min(others):g} to {max(others):g} %: it may be a fraction, {value:.1%}"
            )
        return None
    if not column.unit.dimension.keys() & {"second", "bit"} or min(others) <= 0 or value <= 0:
        return None
    middle = median(others)
    if max(others) <= 8 * min(others) and not 1 / _UNIT_JUMP < value / middle < _UNIT_JUMP:
        times = max(value / middle, middle / value)
        return f"{value:g} {column.unit.symbol} is {times:.3g} times off the rest of its column"
    return None
