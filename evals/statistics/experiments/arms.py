"""The mean of each variant with its variance: over rows, or over units by leaving each out in turn.

Where a few units hold most rows, residuals about the mean are much smaller than the outcomes vary: a unit that holds
most rows decides the mean that it is compared with. The jackknife divides each residual by `1 - share of the rows`,
which makes up for that under any pattern of variances; the degrees of freedom say how few units the variance is of.

Letters in array names: U units, A the two arms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.statistics.clusters import Floats
from evals.statistics.experiments.sequences import LEAST_EVENTS, LEAST_NUMBER_EVENTS

FEW_MIXED = 30
"""Number of units in both variants below which their covariance is not used to narrow an interval."""
_NOISE = 1e-12
"""Deviations below this share of the outcomes are rounding errors."""
_ROUNDING = 1e-10
"""A difference of two sums below this share of them is a rounding error."""


@dataclass(frozen=True, slots=True)
class ArmSums:
    """The mean of one variant. The fields are numbers, or arrays of the values at several times."""

    units: Any
    rows: Any
    mean: Any
    squared_error: Any
    """Of the mean; at least that of independent rows. Where one unit holds all rows it is that of independent rows."""
    row_error: Any
    """The squared error that independent rows would have."""
    freedom: Any
    """Degrees of freedom of the squared error; infinite for shares of independent rows."""
    events: Any
    """How many units decide the mean, in parts of what a confidence sequence needs: of shares, successes or failures,
    whichever are fewer, in twenties; of numbers and of units with several rows, the rare events whose variance would be
    known as well, in fives."""
    squares: Any
    cubes: Any
    """Sums over units of their squared and cubed residuals."""
    even_units: Any
    """How many units of equal size would weigh as these do: few, where a few units hold most rows."""


@dataclass(frozen=True, slots=True)
class PairSums:
    """Two variants, with what units in both have in common."""

    baseline: ArmSums
    variant: ArmSums
    covariance: Any = 0.0
    """Of the two means."""
    mixed_freedom: float = math.inf
    """Degrees of freedom where the covariance counts: each unit in both is one."""

    @property
    def difference(self) -> Any:
        """The variant's mean less that of the baseline."""
        return self.variant.mean - self.baseline.mean

    @property
    def squared_error(self) -> Any:
        """The squared standard error of the difference."""
        return np.maximum(self.baseline.squared_error + self.variant.squared_error - 2 * self.covariance, 0.0)

    @property
    def independent(self) -> Any:
        """How many independent rows would have this error: the clock of a confidence sequence."""
        rows, expected = self.baseline.rows + self.variant.rows, self.baseline.row_error + self.variant.row_error
        with np.errstate(divide="ignore", invalid="ignore"):
            counted = np.where(self.squared_error > 0, rows * expected / self.squared_error, rows)
        return np.where(expected > 0, counted, self.baseline.units + self.variant.units)

    @property
    def events(self) -> Any:
        """The events of the variant that has fewer, in parts of what a sequence needs; 0 if nothing varies."""
        events = np.minimum(self.baseline.events, self.variant.events)
        units = np.minimum(self.baseline.units, self.variant.units) / LEAST_EVENTS
        return np.where(self.squared_error > 0, np.minimum(events, units), 0.0)


def arm_of_rows(sums: RowSums) -> ArmSums:
    """Make the arm of independent rows."""
    squares, cubes, fourths = sums.residuals
    fewest = np.minimum(sums.total, sums.rows - sums.total) / LEAST_EVENTS
    events = fewest if sums.is_share else _events(squares, fourths)
    error = squares / np.maximum(sums.rows - 1, 1) / sums.rows
    freedom = np.full_like(sums.rows, math.inf) if sums.is_share else np.maximum(sums.rows - 1.0, 1.0)
    return ArmSums(
        units=sums.rows,
        rows=sums.rows,
        mean=sums.mean,
        squared_error=error,
        row_error=error,
        freedom=freedom,
        events=events,
        squares=squares,
        cubes=cubes,
        even_units=sums.rows,
    )


@dataclass(frozen=True, slots=True)
class RowSums:
    """Sums over the rows of one variant: numbers, or arrays of the sums at several times."""

    rows: Any
    total: Any
    squares: Any
    cubes: Any
    fourths: Any
    """Sums of the outcomes less the shift, of their squares, cubes and fourth powers."""
    shift: float
    is_share: bool

    @property
    def mean(self) -> Any:
        """The mean outcome."""
        return self.total / self.rows + self.shift

    @property
    def residuals(self) -> tuple[Any, Any, Any]:
        """Sums of the second, third and fourth powers of the residuals about the mean."""
        mean = self.total / self.rows
        squares = self.squares - mean * self.total
        smallest = (_NOISE * (np.abs(mean) + abs(self.shift))) ** 2 * self.rows
        varies = squares > np.maximum(smallest, _ROUNDING * self.squares)
        cubes = self.cubes - 3 * mean * self.squares + 2 * mean**2 * self.total
        fourths = self.fourths - 4 * mean * self.cubes + 6 * mean**2 * self.squares - 3 * mean**3 * self.total
        fourths = np.maximum(fourths, squares**2 / self.rows)  # which they are, but for rounding
        return np.where(varies, squares, 0.0), np.where(varies, cubes, 0.0), np.where(varies, fourths, 0.0)


def _events(squares: Any, fourths: Any) -> Any:
    """Return the number of rare events whose residuals have these sums of second and fourth powers, in fives."""
    with np.errstate(divide="ignore", invalid="ignore"):
        events = np.where(np.asarray(fourths) > 0, np.asarray(squares) ** 2 / np.asarray(fourths), 0.0)
    return events / LEAST_NUMBER_EVENTS


def pair_of_units(rows_AU: Floats, sums_AU: Floats, rows_of_A: tuple[RowSums, RowSums]) -> PairSums:
    """Make two arms from the sums of their units.

    Args:
        rows_AU: the rows of each unit in each arm; 0 where it is not in the arm.
        sums_AU: the sums of the outcomes less the shift.
        rows_of_A: the sums over the rows of each arm.

    Source: Efron and Stein, The jackknife estimate of variance, Annals of Statistics 9 (1981), for the variance; Bell
    and McCaffrey, Bias reduction in standard errors for linear regression with multi-stage samples, Survey Methodology
    28 (2002), for the degrees of freedom.
    """
    scaled_AU = np.zeros_like(rows_AU)
    arms = []
    for arm, sums in enumerate(rows_of_A):
        here_U = rows_AU[arm] > 0
        scaled_U = _left_out(rows_AU[arm, here_U], sums_AU[arm, here_U], sums.shift)
        scaled_AU[arm, here_U] = scaled_U
        arms.append(_arm_of_units(rows_AU[arm, here_U], scaled_U, sums))
    mixed_U = (rows_AU > 0).all(axis=0)
    if mixed_U.sum() < FEW_MIXED:
        return PairSums(arms[0], arms[1])
    corrections = [(arm.units - 1) / arm.units for arm in arms]  # as for the variances
    product = float((scaled_AU[0] * scaled_AU[1]).sum() / (arms[0].rows * arms[1].rows))
    effects_U = scaled_AU[1] / arms[1].rows - scaled_AU[0] / arms[0].rows
    freedom = jackknife_freedom(rows_AU.sum(axis=0), effects_U)
    return PairSums(
        arms[0], arms[1], covariance=product * math.sqrt(corrections[0] * corrections[1]), mixed_freedom=freedom
    )


def _left_out(rows_U: Floats, sums_U: Floats, shift: float) -> Floats:
    """Return by how much the mean changes if each unit is left out, times the number of rows; zeros for one unit."""
    total = rows_U.sum()
    mean = sums_U.sum() / total
    residuals_U = sums_U - mean * rows_U
    if len(rows_U) < 2 or np.square(residuals_U).sum() <= (_NOISE * (abs(mean) + abs(shift))) ** 2 * (rows_U**2).sum():
        return np.zeros_like(rows_U)
    changes_U: Floats = residuals_U / (1 - rows_U / total)
    return changes_U


def _arm_of_units(rows_U: Floats, scaled_U: Floats, sums: RowSums) -> ArmSums:
    units, rows = float(len(rows_U)), float(rows_U.sum())
    squares = float(np.square(scaled_U).sum())
    of_rows = arm_of_rows(sums)
    row_error = float(of_rows.squares) / rows**2
    events = float(_events(squares, (scaled_U**4).sum())) if squares > 0 else math.inf
    return ArmSums(
        units=units,
        rows=rows,
        mean=float(sums.mean),
        squared_error=max(squares * (units - 1) / units / rows**2, row_error),
        row_error=row_error,
        freedom=jackknife_freedom(rows_U, scaled_U),
        events=min(events, float(of_rows.events)),
        squares=squares,
        cubes=float((scaled_U**3).sum()),
        even_units=rows**2 / float(np.square(rows_U).sum()),
    )


def jackknife_freedom(sizes_U: Floats, scaled_U: Floats) -> float:
    """Return the degrees of freedom of a jackknife variance, at least 1.

    It is the smallest of three: those of units whose sums vary as their sizes do (their rows are alike), or as the
    roots of their sizes do (their rows are independent), and twice the squared mean of the squared values over their
    variance, which is small where few units vary (rare successes) or one outweighs the others.

    Args:
        sizes_U: the rows of each unit.
        scaled_U: by how much each unit changes the estimate.

    Example:
        >>> import numpy as np
        >>> round(jackknife_freedom(np.ones(9), np.array([1.0, -1.0] * 4 + [0.0])), 2)
        8.0
        >>> round(jackknife_freedom(np.array([300.0] + [1.0] * 40), np.ones(41)), 2)
        1.0
    """
    if len(sizes_U) < 2:
        return 1.0
    squares_U = np.square(scaled_U)
    variation = float(np.square(squares_U).sum() - squares_U.sum() ** 2 / len(squares_U))
    scale = float(squares_U.sum() ** 2)
    by_values = 2 * scale / variation if variation > _NOISE * scale else math.inf
    by_sizes = min(_freedom(sizes_U, sizes_U / sizes_U.max()), _freedom(sizes_U, np.square(sizes_U / sizes_U.max())))
    return max(1.0, min(by_values, by_sizes))


def _freedom(sizes_U: Floats, variances_U: Floats) -> float:
    """Return the degrees of freedom if the units' sums have these variances, normal and independent."""
    shares_U = sizes_U / sizes_U.sum()
    weights_U = 1 / np.square(1 - shares_U)
    total = variances_U.sum()
    squared = (weights_U * shares_U**2).sum()
    mixed = (weights_U * shares_U * variances_U).sum()
    # The scaled residuals' covariance is that of V - h v' - v h' + sum(v) h h'; these are its trace and squared norm.
    trace = (weights_U * (variances_U * (1 - 2 * shares_U) + total * shares_U**2)).sum()
    norm = (np.square(weights_U * variances_U) * (1 - 4 * shares_U)).sum()
    norm += 2 * total * (np.square(weights_U * shares_U) * variances_U).sum()
    norm += 2 * (squared * (weights_U * variances_U**2).sum() + mixed**2)
    norm += (total * squared) ** 2 - 4 * total * squared * mixed
    return float(trace**2 / norm)
