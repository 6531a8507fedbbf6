"""Agreement of answers with targets: accuracy, F1, and Matthews', Pearson's and Spearman's correlation coefficients.

The values are those of scikit-learn and SciPy. An undefined metric has the value 0 and a note that says so; this is
scikit-learn's convention for F1 and Matthews' coefficient (SciPy's correlations return NaN instead). For intervals,
each metric is also implemented for many resamples at once; `evals.metrics.estimates.estimates` draws the resamples.

Letters in array names: N items, L labels, B resamples, D resamples drawn at once, V distinct values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.statistics.clusters import Floats

Array = NDArray[Any]
_CONSTANT = 1e-13
"""Values whose spread relative to their mean is at most this are constant, as in SciPy."""
_DIGITS = 14
"""Decimals that a correlation is rounded to, so that rounding errors do not look like variation."""


class Value(NamedTuple):
    """The value of a metric."""

    value: float
    note: str | None = None
    """Why the value is a convention and not a measurement; None if it is a measurement."""


# Metrics of labels


def accuracy(targets: Sequence[int], answers: Sequence[int]) -> Value:
    """Compute the share of correct answers, from 0 to 1.

    Args:
        targets: N correct labels, at least one.
        answers: N answered labels.

    Raises:
        ValueError: there are no items, or the lengths differ.

    Example:
        >>> accuracy([0, 1, 2, 2], [0, 1, 2, 0]).value
        0.75
    """
    targets_N, answers_N = _labels(targets, answers)
    return Value(float((targets_N == answers_N).mean()))  # as scikit-learn, whose import takes a second


def f1(targets: Sequence[int], answers: Sequence[int]) -> Value:
    """Compute F1 (the harmonic mean of precision and recall) for label 1 of the labels 0 and 1, from 0 to 1.

    Args:
        targets: N correct labels, at least one.
        answers: N answered labels.

    Returns:
        The value; 0 with a note if neither a target nor an answer is 1.

    Raises:
        ValueError: there are no items, the lengths differ, or a label is neither 0 nor 1.

    Example:
        >>> round(f1([1, 1, 0, 0], [1, 0, 0, 0]).value, 4), f1([0, 0], [0, 0])
        (0.6667, Value(value=0.0, note='no target and no answer is positive: F1 is undefined and counts as 0'))
    """
    from sklearn.metrics import f1_score

    targets_N, answers_N = _labels(targets, answers)
    if max(targets_N.max(), answers_N.max()) == 0:
        return Value(0.0, "no target and no answer is positive: F1 is undefined and counts as 0")
    return Value(float(f1_score(targets_N, answers_N, zero_division=0.0)))


def matthews(targets: Sequence[int], answers: Sequence[int]) -> Value:
    """Compute Matthews' correlation coefficient, from -1 to 1; 0 is chance level.

    Args:
        targets: N correct labels, at least one; more than two classes are allowed.
        answers: N answered labels.

    Returns:
        The value; 0 with a note if all targets or all answers are the same.

    Raises:
        ValueError: there are no items, or the lengths differ.

    Source: Matthews, Biochim. Biophys. Acta 405 (1975); Gorodkin, Comput. Biol. Chem. 28 (2004) for more classes.

    Example:
        >>> matthews([1, 1, 0, 0], [1, 0, 0, 0]).value.__round__(4), matthews([1, 0], [1, 1])
        (0.5774, Value(value=0.0, note='all answers are the same: the coefficient is undefined and counts as 0'))
    """
    from sklearn.metrics import matthews_corrcoef

    targets_N, answers_N = _labels(targets, answers)
    note = _constant(targets_N, answers_N)
    return Value(0.0, note) if note else _correlation(float(matthews_corrcoef(targets_N, answers_N)))


# Metrics of scores


def pearson(targets: Sequence[float], answers: Sequence[float]) -> Value:
    """Compute Pearson's correlation coefficient, from -1 to 1.

    Args:
        targets: N finite numbers, at least one.
        answers: N finite numbers.

    Returns:
        The value; 0 with a note if all targets or all answers are the same.

    Raises:
        ValueError: there are no items, the lengths differ, or a number is not finite.

    Example:
        >>> round(pearson([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).value, 4)
        0.982
    """
    from scipy.stats import pearsonr

    targets_N, answers_N = _scores(targets, answers)
    note = _constant(targets_N, answers_N)
    return Value(0.0, note) if note else _correlation(float(pearsonr(targets_N, answers_N).statistic))


def spearman(targets: Sequence[float], answers: Sequence[float]) -> Value:
    """Compute Spearman's rank correlation coefficient, from -1 to 1; equal numbers get the mean of their ranks.

    Arguments, return value and errors are as in `pearson`.

    Example:
        >>> spearman([1.0, 2.0, 3.0], [1.0, 20.0, 300.0]).value, spearman([1.0, 2.0], [3.0, 3.0])
        (1.0, Value(value=0.0, note='all answers are the same: the coefficient is undefined and counts as 0'))
    """
    from scipy.stats import spearmanr

    targets_N, answers_N = _scores(targets, answers)
    note = _constant(targets_N, answers_N)
    return Value(0.0, note) if note else _correlation(float(spearmanr(targets_N, answers_N).statistic))


def _labels(targets: Sequence[int], answers: Sequence[int]) -> tuple[Array, Array]:
    return _checked(np.asarray(targets, dtype=np.int64), np.asarray(answers, dtype=np.int64))


def _scores(targets: Sequence[float], answers: Sequence[float]) -> tuple[Array, Array]:
    return _checked(np.asarray(targets, dtype=np.float64), np.asarray(answers, dtype=np.float64))


def _checked(targets_N: Array, answers_N: Array) -> tuple[Array, Array]:
    if targets_N.ndim != 1 or targets_N.shape != answers_N.shape or not len(targets_N):
        raise ValueError(
            f"{targets_N.shape} targets and {answers_N.shape} answers: expected the same number, at least 1"
        )
    if not (np.isfinite(targets_N).all() and np.isfinite(answers_N).all()):
        raise ValueError("a target or an answer is not finite")
    return targets_N, answers_N


def _constant(targets_N: Array, answers_N: Array) -> str | None:
    """Return a note that says which side is constant; None if both vary."""
    for name, values_N in (("targets", targets_N), ("answers", answers_N)):
        if np.linalg.norm(values_N - values_N.mean()) <= _CONSTANT * abs(values_N.mean()):
            return f"all {name} are the same: the coefficient is undefined and counts as 0"
    return None


def _correlation(value: float) -> Value:
    return Value(round(value, _DIGITS))


# The same metrics for many resamples at once


def _accuracies(confusions_BLL: Floats) -> Floats:
    return _divided(np.trace(confusions_BLL, axis1=1, axis2=2), confusions_BLL.sum(axis=(1, 2)))


def _f1s(confusions_BLL: Floats) -> Floats:
    positive_B = confusions_BLL[:, 1, :].sum(axis=1) + confusions_BLL[:, :, 1].sum(axis=1)
    return _divided(2 * confusions_BLL[:, 1, 1], positive_B)


def _matthews(confusions_BLL: Floats) -> Floats:
    targets_BL, answers_BL = confusions_BLL.sum(axis=2), confusions_BLL.sum(axis=1)
    total_B = targets_BL.sum(axis=1)
    covariance_B = np.trace(confusions_BLL, axis1=1, axis2=2) * total_B - (targets_BL * answers_BL).sum(axis=1)
    targets_B, answers_B = (np.square(total_B) - np.square(counts).sum(axis=1) for counts in (targets_BL, answers_BL))
    return _divided(covariance_B, np.sqrt(targets_B * answers_B)).round(_DIGITS)


def _pearsons(weights_DN: Floats, targets_N: Floats, answers_N: Floats) -> Floats:
    return _correlations(weights_DN, targets_N - targets_N.mean(), answers_N - answers_N.mean())


def _spearmans(weights_DN: Floats, targets_N: Floats, answers_N: Floats) -> Floats:
    return _correlations(weights_DN, _ranks(weights_DN, targets_N), _ranks(weights_DN, answers_N))


def _ranks(weights_DN: Floats, values_N: Floats) -> Floats:
    """Rank the items within each resample; an item drawn twice counts as two items with the same mean rank."""
    values_V, codes_N = np.unique(values_N, return_inverse=True)
    order_N = np.argsort(codes_N, kind="stable")
    starts_V = np.searchsorted(codes_N[order_N], np.arange(len(values_V)))
    counts_DV = np.add.reduceat(weights_DN[:, order_N], starts_V, axis=1)
    ranks_DV = np.cumsum(counts_DV, axis=1) - (counts_DV - 1) / 2
    return ranks_DV[:, codes_N]


def _correlations(weights_DN: Floats, left: Floats, right: Floats) -> Floats:
    """Compute weighted correlations of values (N) or (D, N); 0 where a side is constant up to rounding."""
    total_D1 = weights_DN.sum(axis=1, keepdims=True)
    sides = []
    for values in (left, right):
        deviations_DN = values - (weights_DN * values).sum(axis=1, keepdims=True) / total_D1
        norms_D = np.sqrt((weights_DN * np.square(deviations_DN)).sum(axis=1))
        norms_D[norms_D <= _CONSTANT * np.abs(values).max(axis=-1) * np.sqrt(total_D1[:, 0])] = 0
        sides.append((deviations_DN, norms_D))
    (left_DN, left_D), (right_DN, right_D) = sides
    return _divided((weights_DN * left_DN * right_DN).sum(axis=1), left_D * right_D).round(_DIGITS)


def _divided(numerator_B: Floats, denominator_B: Floats) -> Floats:
    """Divide; the quotient is 0 where the denominator is 0."""
    return np.divide(numerator_B, denominator_B, out=np.zeros(len(numerator_B)), where=denominator_B > 0)


@dataclass(frozen=True, slots=True)
class Statistic:
    """A metric: as a function of targets and answers, and as a function of resamples."""

    value: Callable[[Any, Any], Value]
    """The metric of targets and answers."""
    unit: str
    """The unit, as in `evals.schema.Metric`."""
    of_counts: Callable[[Floats], Floats] | None = None
    """For metrics of labels: from confusion matrices of targets by answers, (B, L, L), to values (B,)."""
    of_weights: Callable[[Floats, Floats, Floats], Floats] | None = None
    """For metrics of scores: from how often each item is drawn, (D, N), targets and answers, to values (D,)."""

    @property
    def of_labels(self) -> bool:
        """Whether the metric compares labels; otherwise it compares scores."""
        return self.of_counts is not None


STATISTICS: Mapping[str, Statistic] = {
    "accuracy": Statistic(accuracy, "fraction", of_counts=_accuracies),
    "f1": Statistic(f1, "fraction", of_counts=_f1s),
    "matthews": Statistic(matthews, "coefficient", of_counts=_matthews),
    "pearson": Statistic(pearson, "coefficient", of_weights=_pearsons),
    "spearman": Statistic(spearman, "coefficient", of_weights=_spearmans),
}
"""The metrics by name."""
