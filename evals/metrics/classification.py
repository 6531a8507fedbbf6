"""How well answers agree with references: accuracy, F1, Matthews' and two other correlations.

scikit-learn and scipy say what each is. Where one is undefined the value is 0, as scikit-learn has it for F1 and for
Matthews' coefficient (scipy's correlations are then not a number), and comes with a note that says so. For intervals
each metric is also given as a function of many resamples at once; `evals.metrics.estimates.estimates` draws them.

Letters in the names of arrays: N items, L labels, B resamples, D resamples drawn at once, V distinct values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.statistics.bootstrap import Floats

Array = NDArray[Any]
_CONSTANT = 1e-13
"""Values whose spread is a smaller part of their size are equal but for rounding, as scipy has it."""
_DIGITS = 14
"""Decimals of a correlation that mean anything: what follows is rounding, which must not look like variation."""


class Value(NamedTuple):
    """What a metric came out as."""

    value: float
    note: str | None = None
    """Why it is a convention and no measurement, where it is."""


# Of labels


def accuracy(targets: Sequence[int], answers: Sequence[int]) -> Value:
    """Give the share of answers that are right, from 0 to 1.

    Args:
        targets: N labels, at least one.
        answers: N labels.

    Raises:
        ValueError: no items, or not as many answers as targets.

    Example:
        >>> accuracy([0, 1, 2, 2], [0, 1, 2, 0]).value
        0.75
    """
    targets_N, answers_N = _labels(targets, answers)
    return Value(float((targets_N == answers_N).mean()))  # as scikit-learn has it, which takes a second to import


def f1(targets: Sequence[int], answers: Sequence[int]) -> Value:
    """Give the harmonic mean of precision and recall for label 1 of the labels 0 and 1, from 0 to 1.

    Args:
        targets: N labels, at least one.
        answers: N labels.

    Returns:
        The value; 0 with a note where neither a target nor an answer is 1.

    Raises:
        ValueError: no items, not as many answers as targets, or another label than 0 and 1.

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
    """Give Matthews' correlation coefficient, from -1 to 1; 0 is chance.

    Args:
        targets: N labels, at least one; there may be more than two kinds.
        answers: N labels.

    Returns:
        The value; 0 with a note where all targets or all answers are the same.

    Raises:
        ValueError: no items, or not as many answers as targets.

    Source: Matthews, Biochim. Biophys. Acta 405 (1975); Gorodkin, Comput. Biol. Chem. 28 (2004) for more labels.

    Example:
        >>> matthews([1, 1, 0, 0], [1, 0, 0, 0]).value.__round__(4), matthews([1, 0], [1, 1])
        (0.5774, Value(value=0.0, note='all answers are the same: the coefficient is undefined and counts as 0'))
    """
    from sklearn.metrics import matthews_corrcoef

    targets_N, answers_N = _labels(targets, answers)
    note = _constant(targets_N, answers_N)
    return Value(0.0, note) if note else _correlation(float(matthews_corrcoef(targets_N, answers_N)))


# Of scores


def pearson(targets: Sequence[float], answers: Sequence[float]) -> Value:
    """Give Pearson's correlation coefficient, from -1 to 1.

    Args:
        targets: N finite numbers, at least one.
        answers: N finite numbers.

    Returns:
        The value; 0 with a note where all targets or all answers are the same.

    Raises:
        ValueError: no items, not as many answers as targets, or a number that is not finite.

    Example:
        >>> round(pearson([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).value, 4)
        0.982
    """
    from scipy.stats import pearsonr

    targets_N, answers_N = _scores(targets, answers)
    note = _constant(targets_N, answers_N)
    return Value(0.0, note) if note else _correlation(float(pearsonr(targets_N, answers_N).statistic))


def spearman(targets: Sequence[float], answers: Sequence[float]) -> Value:
    """Give Spearman's rank correlation coefficient, from -1 to 1; equal numbers share the mean of their ranks.

    Args, returns and errors are those of `pearson`.

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
        raise ValueError(f"{targets_N.shape} targets and {answers_N.shape} answers: expected as many, at least one")
    if not (np.isfinite(targets_N).all() and np.isfinite(answers_N).all()):
        raise ValueError("a target or an answer is not finite")
    return targets_N, answers_N


def _constant(targets_N: Array, answers_N: Array) -> str | None:
    """Say which side never varies, or None when both do."""
    for name, values_N in (("targets", targets_N), ("answers", answers_N)):
        if np.linalg.norm(values_N - values_N.mean()) <= _CONSTANT * abs(values_N.mean()):
            return f"all {name} are the same: the coefficient is undefined and counts as 0"
    return None


def _correlation(value: float) -> Value:
    return Value(round(value, _DIGITS))


# The same of many resamples at once


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
    """Rank the items within each resample, exactly: an item that was drawn twice is two items with one rank."""
    values_V, codes_N = np.unique(values_N, return_inverse=True)
    order_N = np.argsort(codes_N, kind="stable")
    starts_V = np.searchsorted(codes_N[order_N], np.arange(len(values_V)))
    counts_DV = np.add.reduceat(weights_DN[:, order_N], starts_V, axis=1)
    ranks_DV = np.cumsum(counts_DV, axis=1) - (counts_DV - 1) / 2
    return ranks_DV[:, codes_N]


def _correlations(weights_DN: Floats, left: Floats, right: Floats) -> Floats:
    """Correlate values (N) or (D, N) under weights; 0 where a side is constant but for rounding."""
    total_D1 = weights_DN.sum(axis=1, keepdims=True)
    sides = []
    for values in (left, right):
        deviations_DN = values - (weights_DN * values).sum(axis=1, keepdims=True) / total_D1
        norms_D = np.sqrt((weights_DN * np.square(deviations_DN)).sum(axis=1))
        norms_D[norms_D <= _CONSTANT * np.abs(values).max(axis=-1) * np.sqrt(total_D1[:, 0])] = 0
        sides.append((deviations_DN, norms_D))
    (left_DN, left_D), (right_DN, right_D) = sides
    return _divided((weights_DN * left_DN * right_DN).sum(axis=1), left_D * right_D).round(_DIGITS)


def _divided(over_B: Floats, under_B: Floats) -> Floats:
    """Divide, with 0 for what is undefined."""
    return np.divide(over_B, under_B, out=np.zeros(len(over_B)), where=under_B > 0)


@dataclass(frozen=True, slots=True)
class Statistic:
    """A metric as a function, and as one of resampled items."""

    value: Callable[[Any, Any], Value]
    """Of targets and answers."""
    unit: str
    """As in `Metric`."""
    of_counts: Callable[[Floats], Floats] | None = None
    """Of labels: from tables of targets by answers, (B, L, L), to values (B)."""
    of_weights: Callable[[Floats, Floats, Floats], Floats] | None = None
    """Of scores: from how often each item was drawn, (D, N), targets and answers, to values (D)."""

    @property
    def of_labels(self) -> bool:
        """Whether it is about labels, not about scores."""
        return self.of_counts is not None


STATISTICS: Mapping[str, Statistic] = {
    "accuracy": Statistic(accuracy, "fraction", of_counts=_accuracies),
    "f1": Statistic(f1, "fraction", of_counts=_f1s),
    "matthews": Statistic(matthews, "coefficient", of_counts=_matthews),
    "pearson": Statistic(pearson, "coefficient", of_weights=_pearsons),
    "spearman": Statistic(spearman, "coefficient", of_weights=_spearmans),
}
"""The metrics by their names."""
