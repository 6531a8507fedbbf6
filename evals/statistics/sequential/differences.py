"""What the samples drawn so far show of the difference of two models: an interval and a p-value, valid at every look.

Several comparisons: let each of m have a sequence of the level `1 - alpha / m` (`shared_level`). Then with a
probability of at least `1 - alpha` all intervals of all comparisons hold at all looks together (Bonferroni's
inequality). The p-value of a sequence may take part in Holm's correction, as that of an ordinary test: if two models
are equal, it is at most `a` with a probability of at most `a`, at whichever look one stops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evals.statistics.clusters import Floats
from evals.statistics.intervals import LEVEL
from evals.statistics.sequential.capital import wagers
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.looks import looks
from evals.statistics.sequential.means import difference_sequence, mean_sequence, rescaled
from evals.statistics.sequential.sampled import SampledClusters, sampled_clusters

_EQUAL = 0.5
"""What equal models have as the mean of their rescaled differences."""


@dataclass(frozen=True, slots=True)
class DifferenceLook:
    """The mean difference of two models at a look."""

    samples: int
    """Number of samples."""
    difference: float
    """The mean of the first minus that of the second, on these samples."""
    low: float
    high: float
    """The interval of the sequence, for the whole set and for the population that it was drawn from."""
    p: float
    """p-value of the hypothesis that the models are equal, valid at every look."""


def shared_level(comparisons: int, level: float = LEVEL) -> float:
    """Return the level of the sequence of each of some comparisons, so that all of them hold together.

    Example:
        >>> shared_level(1), round(shared_level(5), 5)
        (0.95, 0.99)
    """
    return 1 - (1 - level) / max(1, comparisons)


def look_at(drawn: SampledClusters, level: float = LEVEL) -> DifferenceLook:
    """Describe the difference of two models after some clusters.

    Args:
        drawn: clusters of rescaled differences, `(a - b + 1) / 2` of each sample.
        level: the probability with which the intervals of all looks hold.

    Example:
        >>> import numpy as np
        >>> halves = rescaled(np.array([1.0, 1.0, 0.0, 1.0, 1.0] * 20), np.array([1.0, 0.0, 0.0, 1.0, 0.0] * 20))
        >>> look = look_at(SampledClusters(halves, np.ones(100), FiniteSet(samples=1000, clusters=1000, largest=1)))
        >>> look.samples, round(look.difference, 3), round(look.low, 3), round(look.high, 3), look.p < 1e-4
        (100, 0.4, 0.255, 0.559, True)
    """
    low, high = difference_sequence(drawn, level)
    return DifferenceLook(drawn.samples, 2 * drawn.mean - 1, low, high, equality_p(drawn, level))


def equality_p(drawn: SampledClusters, level: float = LEVEL) -> float:
    """Return a p-value of the hypothesis that two models are equal, which is valid at every look.

    The two gamblers of `means.mean_sequence` begin with half of the money each. If the models are equal, what they have
    together ever exceeds `1 / a` times its beginning with a probability of at most `a` (Ville's inequality), so
    the reciprocal of the winner's share is a p-value. Of the hypotheses about the set and about its population the
    larger one counts: it is below `1 - level` where `means.difference_sequence` excludes zero.

    Args:
        drawn: as in `look_at`.
        level: that of the sequence: it determines the wagers.

    Source: Ramdas et al., Game-theoretic statistics and safe anytime-valid inference, Statist. Sci. 38 (2023), section
    2.3; the capital is that of `capital`.
    """
    values = []
    for finite in (True, False):
        bets = wagers(drawn, 1 - level, finite=finite)
        total, whole = float(drawn.sums_C.sum()), drawn.drawn_from.samples
        if finite and not total <= _EQUAL * whole <= total + whole - drawn.samples:
            values.append(0.0)  # what is left cannot make them equal
            continue
        highest = max(bets.last_log_capital(_EQUAL, higher=higher) for higher in (True, False))
        values.append(min(1.0, 2 * math.exp(-min(highest, 700.0))))
    return max(values)


@dataclass(frozen=True, slots=True)
class DrawnPair:
    """Two models on the same samples, cluster by cluster in the order in which the clusters were drawn."""

    a_N: Floats
    """(N,) the values of the first model, between 0 and 1."""
    b_N: Floats
    """(N,) those of the second model, of the same samples."""
    starts: Sequence[int]
    """The position of the first sample of each cluster that was drawn."""
    drawn_from: FiniteSet
    """The set."""

    @property
    def looks(self) -> list[int]:
        """The numbers of clusters after which a run looks, as far as they were drawn."""
        return [clusters for clusters in looks(self.drawn_from.clusters) if clusters <= len(self.starts)]

    def first(self, clusters: int) -> DrawnPair:
        """Return what was known when this many clusters were drawn."""
        end = self.starts[clusters] if clusters < len(self.starts) else len(self.a_N)
        return DrawnPair(self.a_N[:end], self.b_N[:end], self.starts[:clusters], self.drawn_from)

    def look(self, level: float = LEVEL) -> DifferenceLook:
        """Describe the difference of the models on these samples."""
        halves_N = rescaled(self.a_N, self.b_N)
        return look_at(sampled_clusters(halves_N, self.starts, self.drawn_from), level)

    def mean_intervals(self) -> list[tuple[float, float]]:
        """Return the interval that the sequence of each model's own mean has, for the whole set."""
        values = (self.a_N, self.b_N)
        return [mean_sequence(sampled_clusters(values_N, self.starts, self.drawn_from)) for values_N in values]

    def swapped(self) -> DrawnPair:
        """Return the same with the models exchanged."""
        return DrawnPair(self.b_N, self.a_N, self.starts, self.drawn_from)
