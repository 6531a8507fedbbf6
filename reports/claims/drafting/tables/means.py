"""Say of a column of averages which columns it is the mean of, where the numbers show it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from evals.errors import InputError
from evals.reports.claims.drafting.proposals import TableProposal
from evals.reports.claims.drafting.tables.columns import is_average
from evals.reports.claims.language.tables.printed_cells import read_cell
from evals.reports.claims.language.units import last_place

_ENOUGH = 3
"""Number of rows that fit from which one that does not is taken for a mistake."""


def propose_means(table: TableProposal) -> None:
    """Declare a column of averages the plain mean of the others, if the rows fit; else leave it undeclared.

    An average may be weighted or count columns that are not shown, so one that no row fits says nothing.
    """
    averages = [n for n, column in enumerate(table.columns) if is_average(str(column["name"]))]
    for index in averages:
        column = table.columns[index]
        parts = [n for n, other in enumerate(table.columns) if n not in averages and other["unit"] == column["unit"]]
        if len(parts) < 2:
            continue
        rows = [[_value(row["cells"][n]) for n in (index, *parts)] for row in table.rows]
        complete = [row for row in rows if all(value is not None for value in row)]
        fitting = sum(_is_mean(row) for row in complete)
        if fitting and len(complete) == len([row for row in rows if row[0] is not None]):
            failing = len(complete) - fitting
            if failing == 0 or (failing == 1 and fitting >= _ENOUGH):
                column["mean_of"] = [table.columns[n]["name"] for n in parts]


def _value(text: Any) -> tuple[Fraction, Fraction] | None:
    """The number of a cell, and half of its last place."""
    try:
        printed = read_cell(str(text))
    except InputError:
        return None
    return None if printed is None else (printed.value, last_place(printed.digits) / 2)


def _is_mean(row: list[tuple[Fraction, Fraction] | None]) -> bool:
    """Whether the first value is the mean of the others, within the rounding of all."""
    values = [value for value in row if value is not None]
    (mean, half), parts = values[0], values[1:]
    middle = sum((value for value, _ in parts), Fraction(0)) / len(parts)
    slack = half + sum((part for _, part in parts), Fraction(0)) / len(parts)
    return abs(mean - middle) <= slack
