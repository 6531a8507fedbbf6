"""What is known of a set of samples before the first of its clusters is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FiniteSet:
    """What is known of a set before the first of its clusters is drawn."""

    samples: int
    """Number of samples of the set, at least 1."""
    clusters: int
    """Number of clusters, from 1 to `samples`."""
    largest: int
    """Number of samples of the largest cluster."""

    def __post_init__(self) -> None:
        """Check that there is such a set."""
        if not 1 <= self.largest <= self.samples <= self.clusters * self.largest or not self.clusters >= 1:
            raise ValueError(f"there is no set of {self}")

    @classmethod
    def of_sizes(cls, sizes: Sequence[int]) -> FiniteSet:
        """Return the set of clusters of these sizes.

        Example:
            >>> FiniteSet.of_sizes([1, 3, 2])
            FiniteSet(samples=6, clusters=3, largest=3)
        """
        return cls(sum(sizes), len(sizes), max(sizes))
