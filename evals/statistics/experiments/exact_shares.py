"""How often the score statistic of two equal shares is as large as one that was seen, counted exactly.

In small samples the statistic has few values, so that a normal quantile lets more of them through than it should: up to
one in eleven where 5 % are meant. Here the chances of all outcomes of two binomial samples are added up, at the worst
common share.

Source: Suissa and Shuster, Exact unconditional sample sizes for the 2 x 2 binomial trial, JRSS A 148 (1985).

Letters in array names: P common shares, B successes of the baseline, V successes of the variant.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from evals.statistics.clusters import Floats

_MOST_OUTCOMES = 40_000
"""Larger samples have so many outcomes that the normal quantile lets at most 5.7 % through."""
_EQUAL = 1e-9
"""Relative difference below which two statistics are the same."""
_SHARES_P = np.concatenate([np.geomspace(1e-4, 0.05, 40), np.linspace(0.05, 0.5, 92)[1:]])
"""Common shares; larger ones repeat them, with successes and failures exchanged."""


class ExactShares:
    """All outcomes of two samples of independent trials that succeed equally often.

    Example:
        >>> outcomes = ExactShares(12, 12)
        >>> round(outcomes.p(2.2), 3), round(outcomes.quantile(0.05), 3)
        (0.023, 2.064)
    """

    def __init__(self, baseline: int, variant: int) -> None:
        """Compute the statistic of each outcome; the arguments are the numbers of trials, at least 1."""
        from scipy.stats import binom

        successes_B, successes_V = np.arange(baseline + 1.0), np.arange(variant + 1.0)
        total = baseline + variant
        pooled_BV = (successes_B[:, None] + successes_V) / total
        spread_BV = pooled_BV * (1 - pooled_BV) * total / (total - 1) * (1 / baseline + 1 / variant)
        differences_BV = np.abs(successes_V / variant - (successes_B / baseline)[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            self._sizes_BV: Floats = np.where(spread_BV > 0, differences_BV / np.sqrt(spread_BV), 0.0)
        self._chances_PB: Floats = np.asarray(binom.pmf(successes_B, baseline, _SHARES_P[:, None]), np.float64)
        self._chances_PV: Floats = np.asarray(binom.pmf(successes_V, variant, _SHARES_P[:, None]), np.float64)

    def p(self, z: float) -> float:
        """Return the largest chance, over all common shares, of a statistic at least as far from 0 as `z`."""
        reaches_BV = (self._sizes_BV >= abs(z) * (1 - _EQUAL)).astype(np.float64)
        chances_P = ((self._chances_PB @ reaches_BV) * self._chances_PV).sum(axis=1)
        return float(min(chances_P.max(), 1.0))

    def quantile(self, level: float) -> float:
        """Return the value that statistics exceed with a chance of at most `level`; infinite if there is none."""
        sizes = np.unique(self._sizes_BV)
        low, high = 0, len(sizes)  # the first size whose p is small enough
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.p(float(sizes[middle])) <= level else (middle + 1, high)
        return float(sizes[low]) * (1 - 2 * _EQUAL) if low < len(sizes) else float("inf")


@lru_cache(maxsize=64)
def exact_shares(baseline: int, variant: int) -> ExactShares | None:
    """Return the outcomes of two samples, or None if they have too many to be counted.

    Args:
        baseline: the number of trials, at least 1.
        variant: the same.
    """
    return ExactShares(baseline, variant) if (baseline + 1) * (variant + 1) <= _MOST_OUTCOMES else None


@lru_cache(maxsize=4096)
def exact_quantile(baseline: int, variant: int, level: float) -> float:
    """Return the quantile of small samples; 0 of those that are not counted."""
    outcomes = exact_shares(baseline, variant)
    return outcomes.quantile(level) if outcomes is not None else 0.0
