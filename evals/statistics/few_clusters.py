"""The interval of a mean share over few clusters, from the beta-binomial model of clustered answers.

With few clusters, all that were seen may be alike by chance, and their variance is then no measure of the variance of
others. The model says how probable that is: each cluster has a rate of its own from a beta distribution, with the mean
that is asked for and a correlation within clusters (ICC) that may be anything from 0 to 1. The ends of the interval are
quantiles of the posterior distribution of the mean.

The priors were chosen by simulation, for intervals that cover the true mean in at least 93 % of simulated runs. That of
the mean is Beta(1/12, 7/12) for the lower end and Beta(7/12, 1/12) for the upper end. It lies between the neutral prior
Beta(1/3, 1/3), which covers extremes too rarely, and the priors of Clopper and Pearson's interval, Beta(0, 1) and
Beta(1, 0), which cover too often. That of the correlation is Beta(1, 1/2), which expects more of large correlations
than the uniform prior.

Letters in array names: C clusters, P nodes of the mean, R nodes of the correlation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evals.statistics.clusters import Floats

_GRID = 1 / 3
"""The mean is searched on quantiles of Beta(1/3, 1/3), which are finer near 0 and 1."""
_NEAR, _FAR = 1 / 12, 7 / 12
"""Parameters of the mean's prior: on the side of the end that is computed, and on the other side."""
_MEANS = 64
"""Nodes of the mean, in each of the ranges that are searched one within the other."""
_CORRELATIONS = 24
"""Nodes of the correlation in each range."""
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
    Journal of Statistics 5 (2011), for the neutral prior of the mean.

    Example:
        >>> low, high = beta_binomial_interval(np.array([97.0, 100, 82]), np.array([100.0, 100, 100]), 0.95)
        >>> round(low, 2), round(high, 2)
        (0.38, 0.99)
    """
    sums, sizes = (np.unique(values_C, return_counts=True) for values_C in (sums_C, sizes_C))
    wrongs = np.unique(sizes_C - sums_C, return_counts=True)
    means, roots = (0.0, 1.0), (0.0, 1.0)
    for _ in range(_RANGES):
        edges_P, edges_R = np.linspace(*means, _MEANS + 1), np.linspace(*roots, _CORRELATIONS + 1)
        shares_PR = _posterior(sums, wrongs, sizes, _middles(edges_P), _middles(edges_R))
        lower_P, upper_P = _below(edges_P, shares_PR.sum(axis=1))
        means = _range(edges_P, lower_P)[0], _range(edges_P, upper_P)[1]
        roots = _range(edges_R, _cumulate(shares_PR.sum(axis=0)))
    values_P = _means(edges_P)
    low, high = np.interp((1 - level) / 2, lower_P, values_P), np.interp((1 + level) / 2, upper_P, values_P)
    return float(low), float(high)


Counted = tuple[Floats, NDArray[np.intp]]
"""Distinct numbers, and how many clusters have each."""


def _posterior(sums: Counted, wrongs: Counted, sizes: Counted, quantiles_P: Floats, roots_R: Floats) -> Floats:
    """Return the posterior weight (P, R) of each cell, with the grid's own distribution as the prior of the mean."""
    from scipy.special import gammaln

    cubes_R = roots_R**3  # finer near 0, where large clusters need it
    correlations_R = cubes_R * (2 - cubes_R)  # quantiles of Beta(1, 1/2)
    scale_R = (1 - cubes_R) ** 2 / correlations_R
    right_PR, wrong_PR = _means(quantiles_P)[:, None] * scale_R, _means(1 - quantiles_P)[:, None] * scale_R
    clusters = int(sizes[1].sum())
    log_PR = 2 * np.log(roots_R) + clusters * (gammaln(scale_R) - gammaln(right_PR) - gammaln(wrong_PR))
    for (values, counts), parameters_PR, sign in ((sums, right_PR, 1), (wrongs, wrong_PR, 1), (sizes, scale_R, -1)):
        for value, count in zip(values, counts, strict=True):
            log_PR += sign * count * gammaln(value + parameters_PR)
    weights_PR: Floats = np.exp(log_PR - log_PR.max())
    return weights_PR


def _below(edges_P: Floats, weights_P: Floats) -> tuple[Floats, Floats]:
    """Return the posterior share below each edge, with the prior of the lower end and with that of the upper end."""
    quantiles_P = _middles(edges_P)
    log_right_P, log_wrong_P = np.log(_means(quantiles_P)), np.log(_means(1 - quantiles_P))
    near, far = _NEAR - _GRID, _FAR - _GRID
    lower_P = np.exp(near * log_right_P + far * log_wrong_P)
    upper_P = np.exp(far * log_right_P + near * log_wrong_P)
    return _cumulate(weights_P * lower_P), _cumulate(weights_P * upper_P)


def _cumulate(weights: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])


def _range(edges: Floats, cumulated: Floats) -> tuple[float, float]:
    """Return the edges between which all but a negligible share lies."""
    first, last = np.searchsorted(cumulated, [_NEGLIGIBLE, 1 - _NEGLIGIBLE])
    return float(edges[max(first - 1, 0)]), float(edges[min(last, len(edges) - 1)])


def _middles(edges: Floats) -> Floats:
    return (edges[1:] + edges[:-1]) / 2


def _means(quantiles: Floats) -> Floats:
    """Return the means at quantiles of the grid's distribution."""
    from scipy.special import betaincinv

    means: Floats = betaincinv(_GRID, _GRID, quantiles)
    return means
