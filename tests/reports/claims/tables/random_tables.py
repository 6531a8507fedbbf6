"""Random honest tables, rounded to their printed precision, and a table with the parts that a test needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np

from evals.reports.claims.evidence.tables.grid import Grid, GridColumn, GridRow, GridValue
from evals.reports.claims.language.units import Unit

PERCENT = Unit("%", Fraction(1, 100), {})
SECONDS = Unit("s", Fraction(1), {"second": 1})


@dataclass(frozen=True)
class HonestTable:
    """A table whose printed values are rounded from true ones."""

    grid: Grid
    true: np.ndarray
    """The true values, rows by columns, in the unit of each column."""


def rounded(value: float, places: int) -> Fraction:
    """Round as a decimal is rounded by hand."""
    return Fraction(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def honest_table(generator: np.random.Generator) -> HonestTable:
    """Draw a table: shares of items, and perhaps a time, an average (plain or weighted), deviations, intervals."""
    rows, scores = int(generator.integers(2, 7)), int(generator.integers(2, 7))
    items = generator.integers(20, 3000, scores)
    counts = generator.binomial(items, generator.uniform(0.2, 0.98, (rows, 1)))
    places = int(generator.integers(0, 3))
    true = [100 * counts[:, n] / items[n] for n in range(scores)]
    columns = [GridColumn(f"task {n}", PERCENT, direction="higher", items=int(items[n])) for n in range(scores)]
    precision = [places] * scores
    if generator.random() < 0.5:
        true.append(np.exp(generator.normal(0, 0.8, rows)))
        columns.append(GridColumn("latency", SECONDS, direction="lower"))
        precision.append(2)
    if (
        kind := generator.integers(0, 5)
    ) > 0:  # a plain mean, declared or not, a weighted one, or one with hidden columns
        weights = np.ones(scores) if kind != 3 else generator.dirichlet(np.ones(scores)) * scores
        parts = tuple(range(scores))
        mean = sum(weight * column for weight, column in zip(weights, true, strict=False)) / scores
        hidden = 100 * generator.beta(8, 3, rows)
        true.append((mean * scores + hidden) / (scores + 1) if kind == 4 else mean)
        columns.append(
            GridColumn("Avg", PERCENT, role="average", direction="higher", parts=parts, declared=bool(kind == 1))
        )
        precision.append(places + int(generator.integers(0, 2)))
    values = np.stack(true, axis=1)
    spread = (None, "sd", "se", "ci95")[generator.integers(0, 4)]
    cells = {}
    for column, shape in enumerate(columns):
        best = values[:, column].min() if shape.direction == "lower" else values[:, column].max()
        for row in range(rows):
            id, value = f"T1r{row + 1}-{column + 1}", values[row, column]
            cells[row, column] = _cell(value, precision[column], shape, spread, is_best=value == best, id=id)
    grid = Grid(tuple(columns), tuple(GridRow(f"system {n}") for n in range(rows)), cells, spread=spread)
    return HonestTable(grid, values)


def _cell(value: float, places: int, column: GridColumn, spread: str | None, *, is_best: bool, id: str) -> GridValue:
    half = Fraction(1, 2 * 10**places)
    deviation = low = high = None
    if column.items is not None and spread is not None:
        share, n = value / 100, column.items
        sd = 100 * math.sqrt(share * (1 - share) * n / (n - 1))
        deviation = rounded({"sd": sd, "se": sd / math.sqrt(n), "ci95": 1.96 * sd / math.sqrt(n)}[spread], places)
        if spread == "ci95":
            low, high = rounded(value, places) - deviation, rounded(value, places) + deviation
    return GridValue(id, rounded(value, places), half, bold=is_best, deviation=deviation, low=low, high=high)
