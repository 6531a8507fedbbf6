"""Sample-ratio mismatch: whether the variants have the planned shares of what was assigned to them.

If they do not, something assigns, loses or doubles rows unequally, and the variants' outcomes cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

THRESHOLD = 0.001
"""The p-value below which the shares are not those that were planned."""
CONCENTRATIONS = (100, 1_000, 10_000)
"""Of the alternatives' Dirichlet distributions, which count equally: deviations of some 5, 2 and half a point."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The counts of the variants against their planned shares."""

    counts: tuple[int, ...]
    planned: tuple[float, ...]
    """Planned shares; their sum is 1."""
    p: float
    """Of the chi-square test, for one look."""
    anytime_p: float
    """Of the sequential multinomial test, for any number of looks."""


def sample_ratio(counts: Sequence[int], planned: Sequence[float]) -> SampleRatio:
    """Test counts against planned shares.

    Args:
        counts: how many units (or rows) each variant has.
        planned: positive numbers in proportion to the planned shares.

    Raises:
        ValueError: there are fewer than two variants, no counts, or shares that are not positive.

    Source: Fabijan et al., Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019, for the
    chi-square test; Lindon and Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022, for the
    sequential one: the Bayes factor of a Dirichlet mixture against the planned shares is a martingale, and so is the
    mean of several.

    Example:
        >>> ratio = sample_ratio([5150, 4850], [50, 50])
        >>> round(ratio.p, 4), round(ratio.anytime_p, 2)
        (0.0027, 0.09)
    """
    if len(counts) != len(planned) or len(counts) < 2 or min(planned) <= 0 or sum(counts) <= 0:
        raise ValueError(f"counts {counts} of planned shares {planned}: expected two or more positive shares")
    from scipy.special import gammaln, logsumexp
    from scipy.stats import chi2

    total, shares = sum(counts), [share / sum(planned) for share in planned]
    statistic = sum((count - total * share) ** 2 / (total * share) for count, share in zip(counts, shares, strict=True))
    log_factors = []
    for concentration in CONCENTRATIONS:
        log_factor = float(gammaln(concentration) - gammaln(concentration + total))
        for count, share in zip(counts, shares, strict=True):
            weight = concentration * share
            log_factor += float(gammaln(weight + count) - gammaln(weight)) - count * math.log(share)
        log_factors.append(log_factor)
    log_mean = float(logsumexp(log_factors)) - math.log(len(CONCENTRATIONS))
    return SampleRatio(
        counts=tuple(counts),
        planned=tuple(shares),
        p=float(chi2.sf(statistic, len(counts) - 1)),
        anytime_p=min(1.0, math.exp(min(-log_mean, 0.0))),
    )


def independence_p(counts: Sequence[Sequence[float]]) -> float:
    """Return the p-value of the chi-square test that rows and columns of a table are independent; 1 if none varies.

    Example:
        >>> round(independence_p([[90, 10], [80, 20]]), 4)
        0.0477
    """
    import numpy as np
    from scipy.stats import chi2_contingency

    table = np.asarray(counts, float)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)
