"""Confidence sequences of a mean, and of the difference of two models on the same samples.

    mean_sequence(drawn)          the mean of the whole set, of which some clusters were drawn at random
    difference_sequence(drawn)    the mean difference of two models, of the whole set and of what it was drawn from

An interval of a sequence holds the true value at all looks together with a probability of at least its level, so one
may stop at any of them for any reason. It depends on what was drawn until then, and not on how often one has looked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from evals.statistics.clusters import Floats
from evals.statistics.intervals import LEVEL
from evals.statistics.sequential.capital import wagers
from evals.statistics.sequential.control import adjusted_mean, possible_means
from evals.statistics.sequential.sampled import PredictedClusters, SampledClusters

_EXACT = 1e-6
"""By how much an end may lie too far outside."""


def mean_sequence(
    drawn: SampledClusters, level: float = LEVEL, *, finite: bool = True, predicted: PredictedClusters | None = None
) -> tuple[float, float]:
    """Compute the interval that a confidence sequence has for a mean after some clusters.

    Args:
        drawn: the clusters, drawn at random one after the other, without replacement.
        level: the probability with which all intervals of the sequence hold the true mean.
        finite: whether it is the mean of the finite set; if not, that of the population that the set was drawn from.
        predicted: predictions of the clusters, for the mean of the finite set. Whatever they are worth, the interval is
            valid; good ones make it narrower.

    Returns:
        The lower and the upper end; the interval includes the mean of what was drawn, or the estimate with
        the predictions (`adjusted_mean`). With `finite` it lies within what
        is possible, and after the last cluster it is that mean alone.

    Source: Waudby-Smith and Ramdas (2024), Theorem 3 and section 5; see `capital`.

    Example:
        >>> import numpy as np
        >>> from evals.statistics.sequential.finite_set import FiniteSet
        >>> right = np.array([1.0, 1.0, 0.0, 1.0] * 25)
        >>> drawn = SampledClusters(right, np.ones(100), FiniteSet(samples=1000, clusters=1000, largest=1))
        >>> [round(end, 3) for end in mean_sequence(drawn)]
        [0.613, 0.853]
        >>> [round(end, 3) for end in mean_sequence(drawn, finite=False)]
        [0.606, 0.859]
    """
    value = drawn.mean if predicted is None else adjusted_mean(drawn, predicted)
    possible = possible_means(drawn) if finite else (0.0, 1.0)
    if possible[0] >= possible[1]:
        return value, value
    bets = wagers(drawn, 1 - level, finite=finite, predicted=predicted)
    limit = math.log(2 / (1 - level))

    def excess(higher: bool) -> Callable[[float], float]:
        return lambda mean: bets.last_log_capital(mean, higher=higher) - limit

    low, high = _end(excess(higher=True), *possible), _end(excess(higher=False), *reversed(possible))
    if low > high:  # both gamblers have won: nothing is left but what is sure
        low, high = possible
    return min(low, value), max(high, value)


@dataclass(frozen=True, slots=True)
class SequenceEstimate:
    """What a confidence sequence says of a mean after some clusters."""

    value: float
    """The mean of what was drawn; with predictions the estimate that rests on them."""
    low: float
    high: float

    @property
    def reach(self) -> float:
        """How far the farther end is from the value."""
        return max(self.high - self.value, self.value - self.low)


def sequence_estimate(drawn: SampledClusters, predicted: PredictedClusters | None = None) -> SequenceEstimate:
    """Return the estimate of a set's mean with its interval.

    Args:
        drawn: as in `mean_sequence`.
        predicted: as in `mean_sequence`.
    """
    value = drawn.mean if predicted is None else adjusted_mean(drawn, predicted)
    return SequenceEstimate(value, *mean_sequence(drawn, predicted=predicted))


def difference_sequence(drawn: SampledClusters, level: float = LEVEL) -> tuple[float, float]:
    """Compute the interval that a confidence sequence has for the mean difference of two models.

    It holds for two means: that of the whole set, of which the clusters were drawn without replacement, and that of the
    population of which the set is a sample. It is the range of both intervals. So a difference that is shown is one
    that the whole set will show, and not an accident of the set, as `compare` tests it.

    Args:
        drawn: clusters of rescaled differences, `(a - b + 1) / 2` of each sample.
        level: as in `mean_sequence`.

    Returns:
        The lower and the upper end of the mean of `a - b`.

    Example:
        >>> import numpy as np
        >>> from evals.statistics.sequential.finite_set import FiniteSet
        >>> halves = rescaled(np.array([1.0, 1.0, 0.0, 1.0, 1.0] * 20), np.array([1.0, 0.0, 0.0, 1.0, 0.0] * 20))
        >>> drawn = SampledClusters(halves, np.ones(100), FiniteSet(samples=1000, clusters=1000, largest=1))
        >>> [round(end, 3) for end in difference_sequence(drawn)]
        [0.255, 0.559]
    """
    intervals = [mean_sequence(drawn, level, finite=finite) for finite in (True, False)]
    return 2 * min(low for low, _ in intervals) - 1, 2 * max(high for _, high in intervals) - 1


def rescaled(a_N: Floats, b_N: Floats) -> Floats:
    """Return the differences of values between 0 and 1 as values between 0 and 1.

    Example:
        >>> import numpy as np
        >>> rescaled(np.array([1.0, 0.0, 1.0]), np.array([1.0, 1.0, 0.0])).tolist()
        [0.5, 0.0, 1.0]
    """
    halves_N: Floats = (a_N - b_N + 1) / 2
    return halves_N


def _end(excess: Callable[[float], float], outer: float, inner: float) -> float:
    """Return the outermost value for which a monotone function is negative, or a value a little farther out.

    Args:
        excess: by how much the logarithm of a capital exceeds its limit: the larger, the farther out the value is.
        outer: the outermost value that is possible.
        inner: the last value on the other side.
    """
    if excess(outer) < 0:
        return outer
    if excess(inner) >= 0:
        return inner
    from scipy.optimize import brentq

    root = float(brentq(excess, outer, inner, xtol=_EXACT / 4, rtol=_EXACT / 4))
    return max(outer, root - _EXACT) if outer < inner else min(outer, root + _EXACT)
