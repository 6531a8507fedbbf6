"""A mean over prompts and samples that are crossed: every sample is asked with every prompt.

The value of sample i under prompt p is a mean, plus an effect of the prompt, an effect of the sample, and a rest. The
prompts are few of the many that ask the same, so they are a random factor, as the samples are. The mean of P prompts
and N samples then has the variance

    V(prompts) / P + V(samples) / N + V(rest) / (P N)

with the variance components V of the two-way design without replication (Searle, Casella and McCulloch, Variance
Components, 1992, section 4.5; Brennan, Generalizability Theory, 2001, section 2.3, the design p x i). The means of the
prompts vary by V(prompts) + V(rest) / N, those of the samples by V(samples) + V(rest) / P; the sum of both estimates
counts the rest twice, so it errs on the safe side. The interval adds the squares of two half-widths, each with
Student's t for its own degrees of freedom (Howe, Approximate confidence limits on the mean of X + Y, JASA 69, 1974):

    half-width^2 = t(P - 1)^2 S(prompts)^2 / P + (half-width of the interval over samples alone)^2

With five prompts t is 2.78. The interval over samples is that of every mean of the suite
(`evals.statistics.intervals`).
`tests/statistics/test_crossed.py` simulates the coverage.

Samples of one cluster are summed before they are squared, as in every interval of the suite.

Letters in array names: P prompts, N samples, C clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.statistics.clusters import Floats, cluster_totals, variance_of_sum
from evals.statistics.intervals import LEVEL, mean_intervals, t_quantile


@dataclass(frozen=True, slots=True)
class CrossedMean:
    """A mean over crossed prompts and samples, and where its uncertainty comes from."""

    value: float
    """The mean of all values."""
    prompts: int
    samples: int
    means: tuple[float, ...]
    """The mean of each prompt."""
    spread: float
    """Standard deviation between prompts, without what the samples contribute to it by chance; 0 or more."""
    prompt_error: float
    """Standard error of the mean, from the differences between the prompts' means."""
    sample_error: float
    """Standard error of the mean, from the differences between the samples' means."""
    sample_interval: tuple[float, float]
    """The 95 % interval for these prompts and samples like these, as every mean of the suite has it."""

    @property
    def range(self) -> float:
        """The difference between the best and the worst prompt on these samples."""
        return max(self.means) - min(self.means)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean over prompts like these and samples like these."""
        by_prompts = t_quantile(LEVEL, self.prompts - 1) * self.prompt_error
        low, high = self.sample_interval
        return self.value - math.hypot(by_prompts, self.value - low), self.value + math.hypot(
            by_prompts, high - self.value
        )


def crossed_mean(values_PN: Floats, clusters: Sequence[str]) -> CrossedMean:
    """Estimate the mean over prompts and samples.

    Args:
        values_PN: (P, N) the value of each sample under each prompt; at least two of both.
        clusters: N cluster names.

    Raises:
        ValueError: there are fewer than two prompts or clusters.

    Example:
        >>> values_PN = np.array([[1.0, 0, 1, 1, 0, 1], [1, 0, 1, 0, 0, 1], [1, 1, 1, 1, 0, 1]])
        >>> mean = crossed_mean(values_PN, list("abcdef"))
        >>> round(mean.value, 3), [round(value, 2) for value in mean.means], round(mean.sample_error, 3)
        (0.667, [0.67, 0.5, 0.83], 0.172)
    """
    prompts, samples = values_PN.shape
    if prompts < 2 or len(set(clusters)) < 2:
        raise ValueError(f"{prompts} prompts and {len(set(clusters))} clusters: expected two or more of both")
    value = float(values_PN.mean())
    means_P, means_N = values_PN.mean(axis=1), values_PN.mean(axis=0)
    rest_PN = values_PN - means_P[:, None] - means_N[None, :] + value
    sums_CK, _, steps_K = cluster_totals([means_N - value, *rest_PN], clusters)
    sums_CK = sums_CK * steps_K
    by_prompts = float(np.square(means_P - value).sum()) / (prompts - 1) / prompts
    by_rest = sum(map(variance_of_sum, sums_CK[:, 1:].T)) / (prompts - 1) / prompts / samples**2
    return CrossedMean(
        value=value,
        prompts=prompts,
        samples=samples,
        means=tuple(map(float, means_P)),
        spread=math.sqrt(max(0.0, (by_prompts - by_rest) * prompts)),
        prompt_error=math.sqrt(by_prompts),
        sample_error=math.sqrt(variance_of_sum(sums_CK[:, 0])) / samples,
        sample_interval=mean_intervals([means_N], clusters)[0] or (value, value),
    )
