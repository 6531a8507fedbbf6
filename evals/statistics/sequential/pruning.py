"""Which candidates of a selection can stop early: those that the whole set would exclude, too.

A candidate stops when a sequence shows that its mean on the whole set is below a minimum, or that it is worse than a
rival: on the whole set and on other samples like these (`difference_sequence`). A selection makes several such claims,
so the level of each sequence is `claim_level`: all of them hold together at all looks with a probability of at least
95 % (Bonferroni). Of several tasks, a candidate is dominated only if each of them shows it, so a pair of candidates is
one claim, whatever the number of tasks: the claim is false only if one of its parts is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from evals.statistics.clusters import Floats
from evals.statistics.intervals import LEVEL
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.means import difference_sequence, mean_sequence, rescaled
from evals.statistics.sequential.races import PairInterval
from evals.statistics.sequential.sampled import sampled_clusters


@dataclass(frozen=True, slots=True)
class PruningRules:
    """What may stop a candidate early."""

    level: float
    """Of each sequence (`claim_level`)."""
    minimum: float | None = None
    """The least value of the mean, a fraction."""
    rivals: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By candidate, those that exclude it if they are shown to be better."""

    def may_stop(self, candidates: Collection[str], remaining: Collection[str]) -> bool:
        """Return whether any of some candidates may still be excluded.

        Args:
            candidates: those for which something would be saved.
            remaining: all that remain, which may be rivals.
        """
        by_minimum = self.minimum is not None
        return any(by_minimum or not set(remaining).isdisjoint(self.rivals.get(name, ())) for name in candidates)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a candidate has stopped."""

    samples: int
    """Number of samples of its last look."""
    value: float
    low: float
    high: float
    """Its mean on them, with the interval of the sequence for the whole set; or how much better the rival is."""
    rival: str = ""
    """The better candidate; empty if the mean is shown to be below the minimum."""


def claim_level(claims: int, level: float = LEVEL) -> float:
    """Return the level of the sequence of each of some claims, so that all of them hold together.

    Example:
        >>> claim_level(1), round(claim_level(5), 3), claim_level(0)
        (0.95, 0.99, 0.95)
    """
    return 1 - (1 - level) / max(1, claims)


def exclusions(
    values: Mapping[str, Floats], starts: Sequence[int], drawn_from: FiniteSet, rules: PruningRules
) -> tuple[dict[str, Exclusion], list[PairInterval]]:
    """Find the candidates that can stop at a look.

    Args:
        values: by candidate that remains, the values (N,) between 0 and 1 of the same samples, cluster by cluster in
            the order in which the clusters were drawn.
        starts: the position of each cluster's first sample.
        drawn_from: the set that they were drawn from, which is not finished.
        rules: what may stop a candidate.

    Returns:
        The candidates that are shown to be excluded, and the pairs that were compared.

    Example:
        >>> import numpy as np
        >>> values = {"a": np.ones(60), "b": np.zeros(60), "c": np.tile([0.0, 1.0], 30)}
        >>> rules = PruningRules(claim_level(5), minimum=0.2, rivals={"c": ["a"], "a": ["b"]})
        >>> out, pairs = exclusions(values, range(60), FiniteSet(900, 900, 1), rules)
        >>> {name: why.rival for name, why in out.items()}, [(pair.first, pair.second) for pair in pairs]
        ({'b': '', 'c': 'a'}, [('a', 'b'), ('a', 'c')])
    """
    out: dict[str, Exclusion] = {}
    pairs: list[PairInterval] = []
    for name, values_N in values.items():
        if rules.minimum is not None:
            drawn = sampled_clusters(values_N, starts, drawn_from)
            low, high = mean_sequence(drawn, rules.level)
            if high < rules.minimum:
                out[name] = Exclusion(drawn.samples, drawn.mean, low, high)
    for first, second in combinations(values, 2):
        contested = [
            (rival, name) for rival, name in ((first, second), (second, first)) if rival in rules.rivals.get(name, ())
        ]
        if not contested:
            continue
        drawn = sampled_clusters(rescaled(values[first], values[second]), starts, drawn_from)
        low, high = difference_sequence(drawn, rules.level)
        pair = PairInterval(first, second, 2 * drawn.mean - 1, low, high, drawn.samples)
        pairs.append(pair)
        for rival, name in contested:
            seen = pair.seen_from(rival)
            if seen.low > 0 and name not in out:
                out[name] = Exclusion(seen.samples, seen.difference, seen.low, seen.high, rival)
    return out, pairs
