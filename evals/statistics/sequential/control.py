"""Predictions as a control variate: what they explain of each cluster is taken away before it is bet on.

A predictor has a value of every sample of the set. Let `h_i` be the sum of cluster i's predictions less their mean in
the set for each of its samples; it adds up to 0 over all clusters, as `e_i = s_i - m n_i` does if the mean is `m`. So
`e_i - lambda_i h_i` is bet on in place of `e_i`, where `lambda_i` is chosen from the clusters before it.

Theorem. The capital is a nonnegative martingale if the mean is `m`, whatever the predictor is worth. Proof: each
cluster that is left is as likely as any other to be the next one, so the mean of what comes is that of what is left.
It is `E_i - lambda_i H_i`, where `E_i` and `H_i` are the means of `e` and `h` over what is left, known since
`e` and `h` add up to 0. With a bet `b_i` chosen before, `1 + b_i (e_i - E_i - lambda_i (h_i - H_i))` has the mean 1.
Since `-g L <= h_i <= (1 - g) L` for clusters of at most L samples and predictions with the mean `g`, the loss is
bounded, and the bet is limited so that no more than a chosen share is lost. Ville's inequality gives the rest. The
choice of `lambda_i` only decides how much is gained.

Source: the predictable plug-in martingale of Waudby-Smith and Ramdas, Estimating means of bounded random variables by
betting, JRSS B 86 (2024), Theorem 3 and section 5 (without replacement), for control variates with a known mean, as
prediction-powered inference uses them (Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Science 382 (2023)) with the
power tuning of PPI++ (Angelopoulos, Duchi and Zrnic, 2023): `lambda` is the slope of the values on the predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evals.statistics.clusters import Floats
from evals.statistics.sequential.sampled import PredictedClusters, SampledClusters

STEEPEST = 2.0
"""The largest slope: a predictor whose values hardly vary must not make the bets small."""
MOST_EVER_LOST = 0.75
"""The largest share of the capital that a bet may lose where the predictions explain much."""
UNSURE_UNTIL = 10
"""Number of clusters by which the slope is drawn towards 0, as long as few have been seen."""


@dataclass(frozen=True, slots=True)
class ControlVariate:
    """What is subtracted from each cluster's excess over its mean, and by how much a bet can lose more for it."""

    slopes_C: Floats
    """(C,) the slope for each cluster, chosen from the clusters before it."""
    centred_C: Floats
    """(C,) the sum of each cluster's predictions less the set's mean for each of its samples."""
    excess_C: Floats
    """(C,) what is subtracted: the slope times how much the predictions exceed the mean of the clusters left."""
    reach_above_C: Floats
    """(C,) the most that can be subtracted."""
    reach_below_C: Floats
    """(C,) the most that can be added."""

    def most_lost(self, variances_C: Floats, variance: float, least: float) -> Floats:
        """Return the share of the capital that each bet may lose: more where the predictions explain more.

        Then little is left to chance, so that the best bet is larger. The share is chosen before each cluster, and any
        is fair.

        Args:
            variances_C: (C,) the variance of the clusters before each, without predictions.
            variance: that of the predictions of the set.
            least: the share where they explain nothing.
        """
        explained_C = np.abs(self.slopes_C) * np.sqrt(variance / variances_C)
        shares_C: Floats = np.minimum(least + (1 - least) * explained_C, MOST_EVER_LOST)
        return shares_C


def control_variate(drawn: SampledClusters, predicted: PredictedClusters) -> ControlVariate:
    """Choose the slope for each cluster from the clusters before it.

    Args:
        drawn: the clusters that were drawn.
        predicted: their predictions.

    Raises:
        ValueError: the predictions are of another number of clusters.
    """
    if len(predicted.sums_C) != len(drawn.sums_C):
        raise ValueError(f"predictions of {len(predicted.sums_C)} clusters, values of {len(drawn.sums_C)}")
    centred_C = predicted.sums_C - predicted.mean * drawn.sizes_C
    slopes_C = np.append(0.0, _slopes(drawn, centred_C, predicted.variance)[:-1])
    left_C = drawn.drawn_from.clusters - np.arange(len(centred_C))
    expected_C = (centred_C - np.cumsum(centred_C)) / left_C  # minus the sum before, over what is left
    most, least = (1 - predicted.mean) * drawn.drawn_from.largest, -predicted.mean * drawn.drawn_from.largest
    up_C, down_C = np.maximum(slopes_C, 0), np.maximum(-slopes_C, 0)
    above_C, below_C = np.maximum(most - expected_C, 0), np.maximum(expected_C - least, 0)
    return ControlVariate(
        slopes_C,
        centred_C,
        excess_C=slopes_C * (centred_C - expected_C),
        reach_above_C=up_C * above_C + down_C * below_C,
        reach_below_C=up_C * below_C + down_C * above_C,
    )


def adjusted_mean(drawn: SampledClusters, predicted: PredictedClusters) -> float:
    """Estimate the mean of the set: the mean of what was drawn, less what the predictions explain of its chance.

    Args:
        drawn: the clusters that were drawn.
        predicted: their predictions.

    Returns:
        The estimate, within what is possible: that all samples that are left are wrong, or right.

    Example:
        >>> from evals.statistics.sequential.finite_set import FiniteSet
        >>> right = np.array([1.0, 0.0] * 40 + [1.0] * 20)
        >>> whole = PredictedClusters.of(np.append(right, np.zeros(100)), np.ones(200))
        >>> drawn = SampledClusters(right, np.ones(100), FiniteSet(samples=200, clusters=200, largest=1))
        >>> drawn.mean, round(adjusted_mean(drawn, whole.first(100)), 2)
        (0.6, 0.39)
    """
    centred_C = predicted.sums_C - predicted.mean * drawn.sizes_C
    slope = float(_slopes(drawn, centred_C, predicted.variance)[-1])
    low, high = possible_means(drawn)
    return min(max(drawn.mean - slope * float(centred_C.sum()) / drawn.samples, low), high)


def possible_means(drawn: SampledClusters) -> tuple[float, float]:
    """Return the means of the set that what was drawn leaves possible: the others are all wrong, or all right."""
    total, whole = float(drawn.sums_C.sum()), drawn.drawn_from.samples
    return total / whole, min(1.0, (total + whole - drawn.samples) / whole)


def _slopes(drawn: SampledClusters, centred_C: Floats, variance: float) -> Floats:
    """Return after each cluster the slope of the values on the predictions, drawn towards 0 while few are known."""
    if variance <= 0:
        return np.zeros(len(centred_C))
    sums_C, sizes_C = drawn.sums_C, drawn.sizes_C
    products_C = np.cumsum(sums_C * centred_C)
    shares_C = np.cumsum(sums_C) / np.cumsum(sizes_C)
    squares_C, crossed_C = np.cumsum(np.square(centred_C)), np.cumsum(sizes_C * centred_C)
    slopes_C = (products_C - shares_C * crossed_C) / (squares_C + UNSURE_UNTIL * variance)
    limited_C: Floats = slopes_C.clip(-STEEPEST, STEEPEST)
    return limited_C
