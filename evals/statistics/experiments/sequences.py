"""Confidence sequences: intervals that all hold together, however often a growing log is looked at.

The boundary is that of Robbins' normal mixture (Howard, Ramdas, McAuliffe and Sekhon, Time-uniform, nonparametric,
nonasymptotic confidence sequences, Annals of Statistics 49 (2021), equation 14). For outcomes that are not normal and
an estimated variance it holds asymptotically: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central
limit theory and asymptotic confidence sequences, Annals of Statistics 52 (2024), Theorem 2.2. For a difference of two
randomised variants, the difference of means is their doubly robust estimate with the variants' means as its models
(their section 3). `tests/benchmarks/ab.py` measures how often the sequences cover; docs/ab.md has its table.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from evals.statistics.clusters import Floats

TIGHTEST_UNITS = 10_000
"""The number of units at which the boundary is tightest. It must not depend on the log: a boundary that is chosen anew
at each look covers too rarely. At 1,000 or 1,000,000 units the boundary is 1.2 to 1.3 times as wide as it could be."""
LEAST_EVENTS, LEAST_NUMBER_EVENTS = 20, 5
"""The sequence begins when each variant has this many successes and failures; of other outcomes, and of units, when its
variance is known as well as that of this many rare events. Their distribution can be so wide that 20 would come very
late."""

Numbers = TypeVar("Numbers", float, Floats)


def mixture_variance(alpha: float) -> float:
    """Return the variance of the mixture for which the boundary is tightest at `TIGHTEST_UNITS` units.

    Source: Waudby-Smith et al. (2024), appendix B.2.
    """
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / TIGHTEST_UNITS


def boundary(units: Numbers, alpha: float) -> Numbers:
    """Return by how many standard errors the estimate may ever be off, at a number of units.

    Args:
        units: how many units the estimate comes from, positive.
        alpha: the probability that the estimate is ever off by more.

    Example:
        >>> [round(float(boundary(units, 0.05)), 2) for units in (1e3, 1e4, 1e6)]
        [3.86, 3.04, 3.56]
    """
    scaled = units * mixture_variance(alpha)
    bound: Numbers = np.sqrt((1 + 1 / scaled) * np.log((1 + scaled) / alpha**2))
    return bound


def anytime_p(z: Numbers, units: Numbers, alpha: float) -> Numbers:
    """Return the p-value that may be looked at any time: at most `alpha` exactly if the boundary is crossed.

    Args:
        z: the estimate over its standard error.
        units: how many units it comes from.
        alpha: the level for which the mixture is chosen.

    Example:
        >>> round(float(anytime_p(boundary(500.0, 0.05), 500.0, 0.05)), 6), float(anytime_p(0.0, 500.0, 0.05))
        (0.05, 1.0)
    """
    scaled = units * mixture_variance(alpha)
    p: Numbers = np.minimum(1.0, np.sqrt(1 + scaled) * np.exp(-(z**2) * scaled / (2 * (1 + scaled))))
    return p
