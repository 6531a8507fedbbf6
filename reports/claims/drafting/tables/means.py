"""Say of a column of averages or totals which columns it is the mean or sum of, where the numbers show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from evals.errors import InputError
from evals.reports.claims.drafting.proposals import TableProposal
from evals.reports.claims.drafting.tables.columns import is_average
from evals.reports.claims.drafting.tables.labels import is_change_name
from evals.reports.claims.language.tables.printed_cells import read_cell
from evals.reports.claims.language.units import last_place

_ENOUGH = 3
"""Number of rows that fit from which one that does not is taken for a mistake."""


_CLEAR, _FAR = 10, Fraction(1, 2)
"""How many times its rounding, and by how much, a value must be off to be held against a mean that two rows show."""
_NO_PART = re.compile(
    r"(?<![a-z])(?:recover(?:y|ed)?|retention|retain(?:ed|s)?|relative|ratio|wins?|win[ _-]?rate|rank(?:s|ing)?)"
    r"(?![a-z])|恢复|保留|比",
    re.I,
)
"""What a column that is no part of an average is called: whole words, as "winogrande" and "generation" are none."""
_TOTAL = re.compile(r"\W*(?:total|sum|overall total|合计|总计|总和|共计)\b.*", re.I)


def propose_means(table: TableProposal) -> None:
    """Declare a column of averages or totals the plain mean or sum of the others, if the rows fit.

    An average may be weighted or count columns that are not shown, so one that no row fits says nothing.
    """
    names = [str(column["name"]) for column in table.columns]
    averages = [n for n, name in enumerate(names) if is_average(name)]
    totals = [n for n, name in enumerate(names) if _TOTAL.fullmatch(name)]
    derived = {n for n, name in enumerate(names) if is_change_name(name) or _NO_PART.search(name)}
    for index in (*averages, *totals):
        parts = [
            n
            for n, other in enumerate(table.columns)
            if n not in {*averages, *totals, *derived} and other["unit"] == table.columns[index]["unit"]
        ]
        if len(parts) > 1:
            _propose(table, index, parts, is_sum=index in totals)


def _propose(table: TableProposal, index: int, parts: Sequence[int], *, is_sum: bool) -> None:
    rows = [[_value(row["cells"][n]) for n in (index, *parts)] for row in table.rows]
    complete = [[value for value in row if value is not None] for row in rows if None not in row]
    if len(complete) != len([row for row in rows if row[0] is not None]):
        return
    off = [_off(row, is_sum=is_sum) for row in complete]
    fitting, failing = sum(gap <= slack for gap, slack in off), [pair for pair in off if pair[0] > pair[1]]
    is_clear = all(gap > max(_FAR, _CLEAR * slack) for gap, slack in failing)
    if is_sum:  # a larger total may have parts that are not shown
        is_clear = is_clear and all(row[0][0] <= sum(value for value, _ in row[1:]) for row in complete)
    is_shown = fitting > 0 and (
        not failing or (len(failing) == 1 and (fitting >= _ENOUGH or (fitting == 2 and is_clear)))
    )
    if is_shown and not (is_sum and len(complete) < 2):
        table.columns[index]["sum_of" if is_sum else "mean_of"] = [table.columns[n]["name"] for n in parts]


def _value(text: Any) -> tuple[Fraction, Fraction] | None:
    """The number of a cell, and half of its last place."""
    try:
        printed = read_cell(str(text))
    except InputError:
        return None
    return None if printed is None else (printed.value, last_place(printed.digits) / 2)


def _off(values: list[tuple[Fraction, Fraction]], *, is_sum: bool) -> tuple[Fraction, Fraction]:
    """How far the first value is from the mean or sum of the others, and how far the rounding of all allows."""
    (stated, half), parts = values[0], values[1:]
    count = 1 if is_sum else len(parts)
    computed = sum((value for value, _ in parts), Fraction(0)) / count
    return abs(stated - computed), half + sum((part for _, part in parts), Fraction(0)) / count
