"""Clusters in the random order in which they were drawn, with the finite set that they were drawn from.

Letters in array names: N samples, C clusters in the order in which they were drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.statistics.clusters import Floats
from evals.statistics.sequential.finite_set import FiniteSet


@dataclass(frozen=True, slots=True)
class SampledClusters:
    """The clusters that were drawn so far: each with the sum of its values, which lie between 0 and 1, and its size."""

    sums_C: Floats
    """(C,) the sum of each cluster's values, from 0 to its size, in the order in which the clusters were drawn."""
    sizes_C: Floats
    """(C,) the number of samples of each cluster."""
    drawn_from: FiniteSet
    """The set."""

    def __post_init__(self) -> None:
        """Check that the clusters can be some of the set's, and their values between 0 and 1."""
        sums_C, sizes_C, whole = self.sums_C, self.sizes_C, self.drawn_from
        if len(sums_C) != len(sizes_C) or not 1 <= len(sums_C) <= whole.clusters:
            raise ValueError(f"{len(sums_C)} sums, {len(sizes_C)} sizes of {whole.clusters} clusters")
        if sizes_C.min() < 1 or sizes_C.max() > whole.largest or sizes_C.sum() > whole.samples:
            raise ValueError(f"sizes from {sizes_C.min():g} to {sizes_C.max():g} are not those of {whole}")
        if not ((sums_C >= 0) & (sums_C <= sizes_C)).all():  # also refuses what is no number
            raise ValueError("a cluster has a sum that is no sum of values between 0 and 1")

    @property
    def samples(self) -> int:
        """Number of samples that were drawn."""
        return int(self.sizes_C.sum())

    @property
    def mean(self) -> float:
        """The mean of the values of the samples that were drawn."""
        return float(self.sums_C.sum() / self.sizes_C.sum())

    @property
    def is_whole(self) -> bool:
        """Whether all clusters of the set were drawn."""
        return len(self.sums_C) == self.drawn_from.clusters

    def first(self, clusters: int) -> SampledClusters:
        """Return what was known when this many clusters were drawn."""
        return SampledClusters(self.sums_C[:clusters], self.sizes_C[:clusters], self.drawn_from)


@dataclass(frozen=True, slots=True)
class PredictedClusters:
    """Predictions of the clusters that were drawn, by a predictor that has a value of every sample of the set.

    They must be fixed before the first cluster is drawn. They need not be good.
    """

    sums_C: Floats
    """(C,) the sum of each drawn cluster's predictions, from 0 to its size, in the order in which they were drawn."""
    mean: float
    """The mean of the predictions of all samples of the set, between 0 and 1."""
    variance: float
    """Over all clusters of the set, the mean square of a cluster's sum less `mean` for each of its samples."""

    @classmethod
    def of(cls, all_sums: Floats, all_sizes: Floats) -> PredictedClusters:
        """Return the predictions of all clusters of a set, in the order in which they are drawn.

        Args:
            all_sums: the sum of each cluster's predictions.
            all_sizes: the number of its samples.

        Raises:
            ValueError: a prediction is not between 0 and 1.

        Example:
            >>> PredictedClusters.of(np.array([1.0, 0.0, 1.0]), np.ones(3)).first(2).sums_C.tolist()
            [1.0, 0.0]
        """
        if len(all_sums) != len(all_sizes) or not ((all_sums >= 0) & (all_sums <= all_sizes)).all():
            raise ValueError("a cluster has a sum that is no sum of predictions between 0 and 1")
        mean = float(all_sums.sum() / all_sizes.sum())
        return cls(all_sums, mean, float(np.square(all_sums - mean * all_sizes).mean()))

    def first(self, clusters: int) -> PredictedClusters:
        """Return the predictions of the clusters that were drawn first."""
        return PredictedClusters(self.sums_C[:clusters], self.mean, self.variance)


def sampled_clusters(values_N: Floats, starts: Sequence[int], drawn_from: FiniteSet) -> SampledClusters:
    """Sum values by cluster.

    Args:
        values_N: (N,) the values, between 0 and 1, cluster by cluster in the order in which these were drawn.
        starts: the position of each cluster's first value.
        drawn_from: the set.

    Raises:
        ValueError: the clusters cannot be those of the set, or a value is not between 0 and 1.

    Example:
        >>> drawn = sampled_clusters(np.array([1.0, 0.0, 1.0]), [0, 2], FiniteSet(samples=9, clusters=4, largest=4))
        >>> drawn.sums_C.tolist(), drawn.sizes_C.tolist(), round(drawn.mean, 3)
        ([1.0, 1.0], [2.0, 1.0], 0.667)
    """
    if not ((values_N >= 0) & (values_N <= 1)).all():
        raise ValueError("a value is not between 0 and 1")
    sizes_C = np.diff([*starts, len(values_N)]).astype(np.float64)
    sums_C = np.add.reduceat(values_N, np.asarray(starts, dtype=np.intp)).clip(0, sizes_C)
    return SampledClusters(sums_C, sizes_C, drawn_from)
