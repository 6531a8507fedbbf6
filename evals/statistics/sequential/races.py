"""The decision between models that answer the same samples: which is better, or that they are the same.

    decided(interval, margin)    between two models, from the interval of their difference
    standing(...)                among any number: which are out, which is best, which are the same

Several models: a model is out as soon as another one is shown to be better. Every pair of the K models has a sequence
of the level `1 - alpha / (K (K - 1) / 2)`, so with a probability of at least `1 - alpha` all intervals of all pairs
hold at all looks together (Bonferroni's inequality). Then the best model is never out, and all that is printed holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from evals.statistics.clusters import Floats
from evals.statistics.intervals import LEVEL
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.means import difference_sequence, rescaled
from evals.statistics.sequential.sampled import sampled_clusters

RaceDecision = Literal["first_better", "second_better", "within_margin", "undecided"]


def decided(low: float, high: float, margin: float | None = None) -> RaceDecision:
    """Decide between two models from the interval of a sequence for their difference, the first minus the second.

    Args:
        low: the lower end.
        high: the upper end.
        margin: differences up to this one count as none; None decides only which model is better.

    Example:
        >>> decided(0.01, 0.05), decided(-0.05, -0.01), decided(-0.01, 0.015, margin=0.02), decided(-0.01, 0.05)
        ('first_better', 'second_better', 'within_margin', 'undecided')
    """
    if low > 0:
        return "first_better"
    if high < 0:
        return "second_better"
    return "within_margin" if margin is not None and -margin <= low and high <= margin else "undecided"


@dataclass(frozen=True, slots=True)
class PairInterval:
    """Two models on the samples that both have answered."""

    first: str
    second: str
    difference: float
    """The mean of the first minus that of the second, on these samples."""
    low: float
    high: float
    """The interval of the sequence."""
    samples: int
    """Number of samples."""

    def seen_from(self, model: str) -> PairInterval:
        """Return the pair with this model as the first."""
        if model == self.first:
            return self
        return PairInterval(self.second, self.first, -self.difference, -self.high, -self.low, self.samples)


@dataclass(frozen=True, slots=True)
class RaceStanding:
    """Where a race stands at a look."""

    remaining: tuple[str, ...]
    """The models that may be the best."""
    out: Mapping[str, PairInterval]
    """By model that is out at this look: the pair that shows it, with the better model as the first."""
    pairs: tuple[PairInterval, ...]
    """The pairs of the models that took part in this look."""
    tied: bool
    """Whether all remaining models are the same within the margin, of two or more."""

    @property
    def is_decided(self) -> bool:
        """Whether nothing more needs to be computed."""
        return self.tied or len(self.remaining) == 1


def pair_level(models: int, level: float = LEVEL) -> float:
    """Return the level of the sequence of each pair of some models, so that all of them hold together.

    Example:
        >>> pair_level(2), round(pair_level(4), 5)
        (0.95, 0.99167)
    """
    return 1 - (1 - level) / max(1, models * (models - 1) // 2)


def standing(
    values: Mapping[str, Floats],
    starts: Sequence[int],
    drawn_from: FiniteSet,
    *,
    level: float,
    margin: float | None = None,
) -> RaceStanding:
    """Compare all pairs of the models that are not out.

    Args:
        values: by model, the values (N,) between 0 and 1 of the same samples, cluster by cluster in the order in which
            the clusters were drawn.
        starts: the position of each cluster's first sample.
        drawn_from: the set that they were drawn from.
        level: of each pair's sequence (`pair_level` of all models that began).
        margin: as in `decided`.

    Example:
        >>> import numpy as np
        >>> values = {"a": np.ones(60), "b": np.zeros(60), "c": np.ones(60)}
        >>> now = standing(values, range(60), FiniteSet(900, 900, 1), level=pair_level(3), margin=0.2)
        >>> now.remaining, list(now.out), now.tied
        (('a', 'c'), ['b'], True)
    """
    pairs = []
    for first, second in combinations(values, 2):
        drawn = sampled_clusters(rescaled(values[first], values[second]), starts, drawn_from)
        low, high = difference_sequence(drawn, level)
        pairs.append(PairInterval(first, second, 2 * drawn.mean - 1, low, high, drawn.samples))
    out: dict[str, PairInterval] = {}
    for pair in pairs:
        match decided(pair.low, pair.high):
            case "first_better":
                better = pair
            case "second_better":
                better = pair.seen_from(pair.second)
            case _:
                continue
        if better.second not in out or better.low > out[better.second].low:  # the pair that shows it best
            out[better.second] = better
    remaining = tuple(name for name in values if name not in out)
    left = [pair for pair in pairs if pair.first not in out and pair.second not in out]
    tied = bool(left) and all(decided(pair.low, pair.high, margin) == "within_margin" for pair in left)
    return RaceStanding(remaining, out, tuple(pairs), tied)
