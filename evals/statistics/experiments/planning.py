"""What the rows of an experiment can show: the smallest difference that is found, and how many rows show the seen one.

Both use the test that decides: the score test of two shares with its pooled variance, a t test with its degrees of
freedom, the permutation test where outcomes are skewed, or the boundary of the confidence sequence; at the level that
Holm's correction leaves, and at the variants' present shares of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from evals.statistics.experiments.comparison import ArmPair, VariantComparison
from evals.statistics.experiments.proportions import ProportionPair
from evals.statistics.experiments.sequences import LEAST_NUMBER_EVENTS, boundary
from evals.statistics.experiments.skewness import skewed_end
from evals.statistics.intervals import LEVEL, t_quantile
from evals.statistics.power import POWER

_LARGEST_SCALE = 1e15
"""Times the present rows, beyond which no number of rows is given."""


def with_plans(
    comparisons: Sequence[VariantComparison], pairs: Sequence[ArmPair], *, growing: bool
) -> tuple[VariantComparison, ...]:
    """Add to comparisons that were made together what their rows can show.

    Args:
        comparisons: with the p-values after Holm.
        pairs: what was compared in each.
        growing: whether the confidence sequences decide, and not the p-values.
    """
    equal = (1 - LEVEL) / max(len(comparisons), 1)
    planned = []
    for row, pair in zip(comparisons, pairs, strict=True):
        if row.p is None or row.adjusted_p is None:
            planned.append(row)
            continue
        # The level for which p is small enough exactly if the adjusted one is: between 5 % and 5 % over their number.
        is_between = not growing and row.p > 0 and row.adjusted_p < 1
        deciding = DecidingTest(pair, (1 - LEVEL) * row.p / row.adjusted_p if is_between else equal, growing)
        significant, powerful = deciding.rows_needed(None), deciding.rows_needed(POWER)
        if significant is not None and not growing and row.adjusted_p > 1 - LEVEL:  # small samples: an exact test
            significant = max(significant, row.baseline_rows + row.variant_rows + 1)
        planned.append(
            replace(
                row,
                detectable=DecidingTest(pair, equal, growing).detectable(),
                rows_for_significance=significant,
                rows_for_power=powerful if powerful is None or significant is None else max(powerful, significant),
            )
        )
    return tuple(planned)


def has_too_few(comparison: VariantComparison) -> bool:
    """Return whether outcomes are skewed and so few units decide a mean that no test can be relied on."""
    return comparison.skewness is not None and comparison.events < LEAST_NUMBER_EVENTS


@dataclass(frozen=True)
class DecidingTest:
    """The test by which one comparison is decided."""

    pair: ArmPair
    level: float
    """How often it may find a difference where there is none, two-sided."""
    growing: bool

    def detectable(self) -> float | None:
        """Return the smallest true difference that is found with `POWER` at the present rows; None if none is.

        Of shares, the larger one of both directions from the baseline, unless only one has room.
        """
        pair = self.pair
        if not pair.cells.is_share:
            if self.growing and not pair.is_ready:
                return None
            return max(self._bounds(sign * pair.means.standard_error, 1.0, POWER) for sign in (1, -1))
        baseline = pair.proportions.baseline
        ends = [self._root(lambda size, s=sign: self._excess(s * size, POWER), 1e-12, room)
                for sign, room in ((1, 1 - baseline), (-1, baseline)) if room > 1e-9]  # fmt: skip
        return max((end for end in ends if end is not None), default=None)

    def _excess(self, difference: float, power: float) -> float:
        """Return by how much a difference from the baseline's share exceeds what is found with a power."""
        pair = self.pair.proportions
        shares = ProportionPair(pair.baseline, pair.baseline + difference, pair.baseline_trials, pair.variant_trials)
        return abs(difference) - self._bounds(difference, 1.0, power, shares)

    def rows_needed(self, power: float | None) -> int | None:
        """Return the rows with which the seen difference is significant (None), or found with a power."""
        difference = self.pair.means.variant - self.pair.means.baseline
        if difference == 0 or (self.pair.means.standard_error == 0 and not self.pair.cells.is_share):
            return None
        rows = float(self.pair.sums.baseline.rows + self.pair.sums.variant.rows)

        def excess(log_scale: float) -> float:
            return abs(difference) - self._bounds(difference, math.exp(log_scale), power)

        least = self._least_scale()
        if least > _LARGEST_SCALE:
            return None
        scale = self._root(excess, math.log(least), math.log(_LARGEST_SCALE))
        return None if scale is None else math.ceil(rows * math.exp(scale) - 1e-9 * rows)

    def _least_scale(self) -> float:
        """Return the share of the present rows below which there is no test."""
        sums = self.pair.sums
        events = float(sums.events)
        fewest = min(float(sums.baseline.units), float(sums.variant.units))
        least = (1.0 if self.pair.cells.is_share else 2.0) / fewest
        if not self.growing and self.pair.permutations is None:
            return least
        return max(least, 1 / events) if events > 0 else math.inf

    def _bounds(
        self, difference: float, scale: float, power: float | None, shares: ProportionPair | None = None
    ) -> float:
        """Return the smallest difference that is significant, or found with a power, at `scale` times the rows.

        Args:
            difference: the true one; its sign says which end of a skewed distribution counts.
            scale: times the present rows.
            power: the chance to find it; None is the difference that is significant itself.
            shares: the true shares; None are those that were seen.
        """
        pair = self.pair
        freedom = min(max(pair.freedom * scale, 1.0), 1e12)
        error = pair.means.standard_error / math.sqrt(scale)
        at_null = error
        if pair.cells.is_share:
            true = shares or pair.proportions
            trials = true.baseline_trials * scale, true.variant_trials * scale
            scaled = ProportionPair(true.baseline, true.variant, *trials)
            error = scaled.standard_error
            at_null = error if self.growing else scaled.pooled_error
        if self.growing:
            bound = float(boundary(max(float(pair.sums.independent) * scale, 1.0), self.level))
            least = bound * at_null
            if pair.permutations is not None:
                test = pair.permutations.scaled(scale)
                skewness = test.skewness if difference > 0 else -test.skewness
                least = max(least, float(skewed_end(bound, skewness)) * test.standard_error)
        else:
            least = t_quantile(1 - self.level, freedom) * at_null
            if pair.permutations is not None:
                test = pair.permutations.scaled(scale)
                low, high = test.ends(1 - self.level)
                least = max(least, (high if difference > 0 else -low) * test.standard_error)
        if power is None:
            return least
        is_normal = pair.cells.is_share and not pair.clustered
        quantile = NormalDist().inv_cdf(power) if is_normal else t_quantile(2 * power - 1, freedom)
        return least + quantile * error

    def _root(self, excess: object, low: float, high: float) -> float | None:
        """Return where a function that grows becomes positive, or the lower end if it is; None if it never is."""
        from scipy.optimize import brentq

        assert callable(excess)
        if excess(low) >= 0:
            return low
        return float(brentq(excess, low, high, xtol=1e-12, rtol=1e-10)) if excess(high) > 0 else None
