"""The random order in which a run that may stop early computes its samples.

A cluster's place is a hash of the seed and its name, and that of a sample without a cluster is a hash of the seed and
its ID, as `--limit` chooses samples. So the order is the same on every machine and after any interruption, and can be
found again from the records of a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from evals.statistics.sequential.finite_set import FiniteSet


def order_key(seed: int, name: str) -> bytes:
    """Return what puts a sample or a cluster into its random place.

    Args:
        seed: the seed of the run.
        name: the sample's ID, or the cluster's name.
    """
    return hashlib.sha256(f"{seed}\0{name}".encode(errors="surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class RandomOrder:
    """Samples in random order, cluster by cluster; the samples of a cluster stay in the order of the benchmark."""

    positions: Sequence[int]
    """The samples' positions in the benchmark's order."""
    starts: Sequence[int]
    """Where in `positions` each cluster begins."""
    whole: FiniteSet
    """How many samples and clusters there are."""

    def end(self, clusters: int) -> int:
        """Return the number of samples of the first clusters."""
        return self.starts[clusters] if clusters < len(self.starts) else len(self.positions)


def random_order(ids: Sequence[str], clusters: Sequence[str], seed: int) -> RandomOrder:
    """Put samples into their random order.

    Args:
        ids: N sample IDs, at least one.
        clusters: N cluster names; "" is the sample alone.
        seed: the seed of the run.

    Example:
        >>> order = random_order(["1", "2", "3", "4"], ["", "x", "", "x"], 0)
        >>> order.positions, order.starts, order.whole
        ([1, 3, 0, 2], [0, 2, 3], FiniteSet(samples=4, clusters=3, largest=2))
    """
    members: dict[tuple[bool, str], list[int]] = {}
    for position, (id, cluster) in enumerate(zip(ids, clusters, strict=True)):
        members.setdefault((bool(cluster), cluster or id), []).append(position)
    ordered = sorted(members.items(), key=lambda item: (order_key(seed, item[0][1]), item[1][0]))
    positions: list[int] = []
    starts = []
    for _, of_cluster in ordered:
        starts.append(len(positions))
        positions += of_cluster
    return RandomOrder(positions, starts, FiniteSet.of_sizes([len(of_cluster) for _, of_cluster in ordered]))
