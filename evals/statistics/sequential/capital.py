"""The capital of a gambler who bets against a value of the mean, cluster by cluster.

A gambler who claims that the mean of a set is higher than `m` bets on each next cluster, before it is seen, that its
sum exceeds what `m` lets expect. If the mean is `m`, the game is fair: the capital is a nonnegative martingale, so it
ever exceeds `1 / alpha` times its beginning with a probability of at most `alpha` (Ville's inequality). So all values
of the mean against which a gambler has won more are excluded, at any number of looks, whenever one stops.

The gambler divides the beginning among several strategies. Each is best at a horizon of its own, a number of clusters
after which the mean should be known: all clusters of the set, a fifth of them, a 25th, …; the capital is the mean of
theirs. A single strategy for all horizons, as that of `confseq` by default, makes the intervals of large sets twice as
wide.

Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 86 (2024): the hedged
capital process of their Theorem 3 with predictable plug-in bets, and their section 5 for draws without replacement,
whose conditional mean is that of Waudby-Smith and Ramdas, Confidence sequences for sampling without replacement,
NeurIPS (2020). With clusters of one sample the capital is that of `diversified_betting_mart` of `confseq` with the bets
`lambda_predmix_eb(x, fixed_n=horizon, alpha=alpha / (2 * horizons))`.

Clusters of several samples: let cluster i have `n_i` samples with the sum `s_i`, and let `m` be the mean of all samples
of the set, so that `s_i - m n_i` has the mean 0 over the clusters. The bet is on this difference. Each cluster is as
likely as any other to be the next one, so the mean of what is left is known from what was drawn: in a set of C clusters
it is `(m N - S) / (C - c)` after c clusters with N samples and the sum S. Since `s_i` lies between 0 and `n_i`, the
difference lies between `-m L` and `(1 - m) L` for clusters of at most L samples, and no bet loses more than half of the
capital. The target is the mean of the samples: a cluster counts by its size.

Letters in array names: C clusters in the order in which they were drawn, H horizons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.statistics.clusters import Floats
from evals.statistics.sequential.control import ControlVariate, control_variate
from evals.statistics.sequential.sampled import PredictedClusters, SampledClusters

MOST_LOST = 0.5
"""The largest share of the capital that one bet can lose, the constant c of the paper."""
HORIZON_RATIO = 5
"""How many times as many clusters each horizon has as the one before."""
SHORTEST_HORIZON = 20
"""Least number of clusters of a horizon, unless the set has fewer."""
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Wagers:
    """What is needed to bet against any value of the mean: none of it depends on that value."""

    drawn: SampledClusters
    """The clusters that were drawn."""
    finite: bool
    """Whether the mean is that of the finite set. If not, it is that of the population that the set was drawn from,
    and the clusters are independent draws."""
    stakes_HC: Floats
    """(H, C) the bet of each strategy on each cluster before it is limited, chosen from the clusters before it."""
    sums_before_C: Floats
    """(C,) the sum of the values of the clusters before each."""
    sizes_before_C: Floats
    """(C,) the number of samples of the clusters before each."""
    most_lost_C: Floats
    """(C,) the largest share of the capital that each bet can lose."""
    control: ControlVariate | None = None
    """What predictions take away from the chance in each cluster, if there are any."""

    def log_capital(self, mean: float, *, higher: bool, at: NDArray[np.intp] | None = None) -> Floats:
        """Return the logarithm of the capital after each cluster, which begins with 1: that of all strategies.

        Args:
            mean: the value that is bet against, from 0 to 1.
            higher: whether the gambler claims that the true mean is higher, or lower.
            at: indices of the clusters after which the capital is wanted; None for all.

        Returns:
            (C,) the logarithms. At each cluster the capital of the claim "higher" does not increase with `mean`, and
            that of "lower" does not decrease, among the values that are still possible.
        """
        logs_HC = np.cumsum(self._log_gains(mean, higher), axis=1)
        return log_mean_exp(logs_HC if at is None else logs_HC[:, at])

    def last_log_capital(self, mean: float, *, higher: bool) -> float:
        """Return the last of `log_capital`, in half of the time."""
        return float(log_mean_exp(self._log_gains(mean, higher).sum(axis=1)))

    def _log_gains(self, mean: float, higher: bool) -> Floats:
        """Return the logarithms (H, C) of the factors by which each cluster multiplies the capital of each strategy."""
        drawn, whole = self.drawn, self.drawn.drawn_from
        excess_C = drawn.sums_C - mean * drawn.sizes_C
        reach_C: Floats | float = (mean if higher else 1 - mean) * whole.largest
        if self.finite:
            left_C = whole.clusters - np.arange(len(excess_C))
            expected_C = (mean * self.sizes_before_C - self.sums_before_C) / left_C
            excess_C -= expected_C
            reach_C = reach_C + expected_C if higher else reach_C - expected_C
        if self.control is not None:
            excess_C -= self.control.excess_C
            reach_C = reach_C + (self.control.reach_above_C if higher else self.control.reach_below_C)
        bets_HC = np.minimum(self.stakes_HC, self.most_lost_C / np.maximum(reach_C, _TINY))
        gains_HC = bets_HC * (excess_C if higher else -excess_C)
        log_gains_HC: Floats = np.log1p(np.maximum(gains_HC, -self.most_lost_C))
        return log_gains_HC


def log_mean_exp(logs_HC: Floats) -> Floats:
    """Return the logarithm of the mean of exponentials over the first axis, without overflow.

    Example:
        >>> log_mean_exp(np.array([1000.0, 1000.0])).item()
        1000.0
    """
    highest_C = logs_HC.max(axis=0)
    mean_C: Floats = highest_C + np.log(np.mean(np.exp(logs_HC - highest_C), axis=0))
    return mean_C


def horizons(clusters: int) -> list[float]:
    """Return the numbers of clusters at which the strategies are best, for a set of this many clusters.

    Example:
        >>> horizons(5_000), horizons(12)
        ([5000.0, 1000.0, 200.0, 40.0], [12.0])
    """
    count = 1 + max(0, math.floor(math.log(clusters / SHORTEST_HORIZON, HORIZON_RATIO)))
    return [clusters / HORIZON_RATIO**power for power in range(count)]


def wagers(drawn: SampledClusters, alpha: float, *, finite: bool, predicted: PredictedClusters | None = None) -> Wagers:
    """Choose the bets on some clusters, each from the clusters before it.

    They are large where the clusters vary little, and where the horizon is short.

    Args:
        drawn: the clusters that were drawn.
        alpha: the probability with which both gamblers together may win `2 / alpha` by chance.
        finite: as in `Wagers`.
        predicted: predictions of the clusters, if there are any; only for the mean of the finite set.

    Source: Waudby-Smith and Ramdas (2024), the plug-in bets for a fixed number of draws; see the module.
    """
    sums_C, sizes_C, whole = drawn.sums_C, drawn.sizes_C, drawn.drawn_from
    size = whole.samples / whole.clusters
    sums_to_C, sizes_to_C = np.cumsum(sums_C), np.cumsum(sizes_C)
    means_C = (0.5 * size + sums_to_C) / (size + sizes_to_C)
    control = None if predicted is None else control_variate(drawn, predicted)
    residuals_C, most_lost_C = sums_C - means_C * sizes_C, np.full(len(sums_C), MOST_LOST)
    if control is not None and predicted is not None:
        assert finite, "the mean of the predictions of a population is not known"
        most_lost_C = control.most_lost(_variances(residuals_C, size), predicted.variance, MOST_LOST)
        residuals_C = residuals_C - control.slopes_C * control.centred_C
    variances_C = _variances(residuals_C, size)
    horizons_H = np.array(horizons(whole.clusters))
    log_threshold = math.log(2 * len(horizons_H) / alpha)
    stakes_HC = np.sqrt(2 * log_threshold / (variances_C * horizons_H[:, None]))
    return Wagers(
        drawn, finite, stakes_HC, sums_to_C - sums_C, sizes_to_C - sizes_C,
        most_lost_C=most_lost_C, control=control,
    )  # fmt: skip


def _variances(residuals_C: Floats, size: float) -> Floats:
    """Return the variance of the clusters before each, drawn towards that of clusters half right."""
    squares_C = np.cumsum(np.square(residuals_C))
    return (0.25 * size**2 + np.append(0.0, squares_C[:-1])) / np.arange(1, len(residuals_C) + 1)
