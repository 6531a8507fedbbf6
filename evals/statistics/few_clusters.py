"""The interval of a mean share over few clusters, from the beta-binomial model of clustered answers.

With few clusters, all that were seen may be alike by chance, and their variance is then no measure of the variance of
others. The model says how probable that is: each cluster has a rate of its own from a beta distribution, with the mean
that is asked for and a correlation within clusters (ICC) that may be anything from 0 to 1. The interval holds 95 % of
the posterior distribution of the mean.

Letters in array names: C clusters, P nodes of the mean, R nodes of the correlation.
"""

from __future__ import annotations

import numpy as np

from evals.statistics.clusters import Floats

NEUTRAL = 1 / 3
"""Both parameters of the beta distribution that the mean has before there are data."""
_MEANS = 100
"""Nodes of the mean, in each of the ranges that are searched one within the other."""
_CORRELATIONS = 32
_NEGLIGIBLE = 1e-5
"""Share of the distribution that may lie outside the next range, at each end."""
_RANGES = 3


def beta_binomial_interval(sums_C: Floats, sizes_C: Floats, level: float) -> tuple[float, float]:
    """Compute the central posterior interval of the mean rate of clusters.

    Args:
        sums_C: the sum of each cluster's scores between 0 and 1: the number of right answers. For scores between 0 and
            1 the interval is conservative, since zeros and ones vary most.
        sizes_C: the number of items of each cluster, at least 1.
        level: the share of the distribution that the interval holds.

    Returns:
        The lower and the upper end, within [0, 1].

    Source: Kerman, Neutral noninformative and informative conjugate beta and gamma prior distributions, Electronic
    Journal of Statistics 5 (2011), for the prior of the mean; that of the correlation is uniform.

    Example:
        >>> low, high = beta_binomial_interval(np.array([97.0, 100, 82]), np.array([100.0, 100, 100]), 0.95)
        >>> round(low, 2), round(high, 2)
        (0.5, 0.98)
    """
    kinds, counts_C = np.unique(np.stack([sums_C, sizes_C]), axis=1, return_counts=True)
    low, high = 0.0, 1.0
    for _ in range(_RANGES):
        edges_P, cumulated_P = _posterior(kinds[0], kinds[1], counts_C.astype(np.float64), low, high)
        inside = np.searchsorted(cumulated_P, [_NEGLIGIBLE, 1 - _NEGLIGIBLE])
        low, high = edges_P[max(inside[0] - 1, 0)], edges_P[inside[1]]
    ends = np.interp([(1 - level) / 2, (1 + level) / 2], cumulated_P, _means(edges_P))
    return float(ends[0]), float(ends[1])


def _posterior(sums_C: Floats, sizes_C: Floats, counts_C: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Return the edges of cells between two quantiles of the mean's prior, and the posterior share below each edge."""
    from scipy.special import betaln

    edges_P = np.linspace(low, high, _MEANS + 1)
    middles_P1 = ((edges_P[1:] + edges_P[:-1]) / 2)[:, None]
    roots_R = (np.arange(_CORRELATIONS) + 0.5) / _CORRELATIONS
    correlations_R = roots_R**3  # finer near 0, where large clusters need it
    scale_R = (1 - correlations_R) / correlations_R
    right_PR, wrong_PR = _means(middles_P1) * scale_R, _means(1 - middles_P1) * scale_R
    start_PR = betaln(right_PR, wrong_PR)
    likelihood_PR = np.zeros_like(start_PR)
    for right, size, count in zip(sums_C, sizes_C, counts_C, strict=True):
        likelihood_PR += count * (betaln(right + right_PR, size - right + wrong_PR) - start_PR)
    shares_P = (np.exp(likelihood_PR - likelihood_PR.max()) * roots_R**2).sum(axis=1)
    return edges_P, np.concatenate([[0.0], np.cumsum(shares_P) / shares_P.sum()])


def _means(quantiles: Floats) -> Floats:
    """Return the means at quantiles of their prior."""
    from scipy.special import betaincinv

    means: Floats = betaincinv(NEUTRAL, NEUTRAL, quantiles)
    return means
