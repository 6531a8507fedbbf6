"""A comparison over time: what could be seen at each look while the log grew.

At each look all rows count that had come until then, and no others: of a unit that comes back, its rows so far. The
interval is that of the report, had it been made then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evals.statistics.clusters import Floats
from evals.statistics.experiments.arms import ArmSums, PairSums, arm_of_rows, pair_of_units
from evals.statistics.experiments.cells import NO_TIME, Integers
from evals.statistics.experiments.comparison import ArmPair, row_columns, row_sums, sequence_widths
from evals.statistics.experiments.sequences import boundary

_MOST_POINTS = 200
"""Number of looks that a figure shows, at most."""
_FIELDS = ("units", "rows", "mean", "squared_error", "row_error", "freedom", "events", "squares", "cubes", "even_units")


@dataclass(frozen=True, slots=True)
class Look:
    """A comparison at one of the times at which the log might have been looked at."""

    time: int
    rows: int
    difference: float
    low: float
    high: float
    """Of the confidence sequence."""


def looks_of(pair: ArmPair, alpha: float) -> tuple[Look, ...]:
    """Return the confidence sequence at up to 200 times, the last of them that of the whole log."""
    times = np.unique(_times(pair)[pair.masks[0] | pair.masks[1]])
    ends = times[np.unique(np.linspace(0, len(times) - 1, _MOST_POINTS).astype(int))]
    columns = [column.tolist() for column in sequence_over_time(pair, ends, alpha).values()]
    return tuple(
        Look(int(time), int(rows), value, value - below, value + above)
        for time, rows, value, below, above in zip(*columns, strict=True)
    )


def sequence_over_time(pair: ArmPair, ends_T: Integers, alpha: float) -> dict[str, Floats]:
    """Compute the confidence sequence at several times.

    Args:
        pair: the baseline and another variant.
        ends_T: the times, in ascending order.
        alpha: the level of the sequence.

    Returns:
        Arrays (T,) for the times from which the sequence has begun: `time`, `rows`, `difference`, and how far the
        interval reaches `below` and `above` it.
    """
    begins = max(int(_times(pair)[mask_C].min()) for mask_C in pair.masks)
    ends_T = ends_T[ends_T >= begins]  # before, a variant has no rows
    sums = _units_until(pair, ends_T) if pair.clustered else _rows_until(pair, ends_T)
    is_ready = sums.events >= 1
    below, above = sequence_widths(sums, boundary(sums.independent, alpha), permutes=pair.permutes)
    columns = {
        "time": ends_T,
        "rows": sums.baseline.rows + sums.variant.rows,
        "difference": sums.difference,
        "below": below,
        "above": above,
    }
    return {name: np.asarray(column, float)[is_ready] for name, column in columns.items()}


def _times(pair: ArmPair) -> Integers:
    """Return the cells' times; a missing one counts as the first."""
    times_C = pair.cells.time_C
    known_C = times_C > NO_TIME
    return np.where(known_C, times_C, times_C[known_C].min() if known_C.any() else 0)


def _rows_until(pair: ArmPair, ends_T: Integers) -> PairSums:
    """Add up the rows that had come by each time."""
    times_C, cells = _times(pair), pair.cells
    arms = []
    for mask_C in pair.masks:
        order = np.argsort(times_C[mask_C], kind="stable")
        stops_T = np.searchsorted(times_C[mask_C][order], ends_T, side="right")
        sums = [np.concatenate([[0.0], np.cumsum(column[mask_C][order])])[stops_T] for column in row_columns(cells)]
        arms.append(arm_of_rows(row_sums(cells, sums)))
    return PairSums(arms[0], arms[1])


def _units_until(pair: ArmPair, ends_T: Integers) -> PairSums:
    """Add up the rows so far of each unit by each time."""
    cells, times_C = pair.cells, _times(pair)
    assert cells.unit_C is not None
    places = np.flatnonzero(pair.masks[0] | pair.masks[1])
    places = places[np.argsort(times_C[places], kind="stable")]
    units, codes = np.unique(cells.unit_C[places], return_inverse=True)
    arm = pair.masks[1][places].astype(np.int64)
    flat = arm * len(units) + codes
    stops_T = np.searchsorted(times_C[places], ends_T, side="right")
    columns = [column[places] for column in row_columns(cells)]
    rows_F, sums_F = np.zeros(2 * len(units)), np.zeros(2 * len(units))
    totals, pairs, start = np.zeros((2, len(columns))), [], 0
    for stop in stops_T.tolist():
        part = slice(start, stop)
        rows_F += np.bincount(flat[part], columns[0][part], len(rows_F))
        sums_F += np.bincount(flat[part], columns[1][part], len(sums_F))
        for number, column in enumerate(columns):
            totals[:, number] += np.bincount(arm[part], column[part], 2)
        rows = row_sums(cells, totals[0]), row_sums(cells, totals[1])
        pairs.append(pair_of_units(rows_F.reshape(2, -1), sums_F.reshape(2, -1), rows))
        start = stop
    return _stacked(pairs)


def _stacked(pairs: list[PairSums]) -> PairSums:
    """Join the sums at several times into sums whose fields are arrays."""
    arms = [
        ArmSums(**{name: np.array([float(getattr(arm, name)) for arm in column]) for name in _FIELDS})
        for column in ([pair.baseline for pair in pairs], [pair.variant for pair in pairs])
    ]
    covariance: Floats = np.array([pair.covariance for pair in pairs])
    return PairSums(arms[0], arms[1], covariance)
