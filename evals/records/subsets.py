"""Correct the intervals of runs that have only some samples of their split (`--limit`, `--first`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evals.records.types import Manifest
from evals.schema import Metric, Score
from evals.statistics.finite import finite_correction, hypergeometric_interval

_PART_LEVEL = 0.99
"""Level of the interval of a part's share of the split, which bounds its number of samples."""
_FEW_UNKNOWN = 10
"""Number of samples left out below which the interval of a statistic that is no mean is not narrowed."""


def of_subset(
    metrics: Mapping[str, Metric], scores: Sequence[Score], manifest: Manifest, *, per_sample: bool
) -> dict[str, Metric]:
    """Correct the intervals of metrics if the run has only some samples of its split.

    The interval of a random subset is for the value of the whole split, which is a finite set. A mean of samples that
    are right or wrong, each on its own, has the exact interval of the hypergeometric distribution; other means have the
    finite population correction (`evals.statistics.finite`). Other statistics have the correction without its bounds,
    and none where fewer than ten samples are left out, since one sample can change them by more. Where the samples are
    no random subset, or where the value depends on their number, there is no interval, and a note says why.

    Args:
        metrics: by name, with the intervals of samples of an infinite population.
        scores: the scored samples of the run.
        manifest: that of the run.
        per_sample: whether the samples are scored one by one, as in `evals.schema.Task`.
    """
    n, total = manifest.sample_count, manifest.samples_in_split
    if manifest.subset is None:
        return dict(metrics)
    if manifest.subset == "first" or total is None:
        which = "samples that are left in the log" if "incomplete" in manifest.data else "first samples of a split"
        why = f"no interval: the {which} are not chosen at random"
        return {name: _without_interval(metric, why) for name, metric in metrics.items()}
    if not per_sample:
        why = f"no interval: {n:,} of {total:,} samples, scored together, do not estimate the value of all"
        return {name: _without_interval(metric, why) for name, metric in metrics.items()}
    alone = len({score.cluster or f"\0{score.id}" for score in scores}) == len(scores)
    return {
        name: _corrected(metric, _right(name, scores) if alone and metric.n == n else None, n, total)
        for name, metric in metrics.items()
    }


def _right(name: str, scores: Sequence[Score]) -> int | None:
    """Return the number of samples that are right; None if they can be anything but right or wrong."""
    values = [score.values.get(name) for score in scores]
    return values.count(1) if all(value in (0, 1) for value in values) else None


def _corrected(metric: Metric, right: int | None, n: int, total: int) -> Metric:
    if metric.low is None or metric.high is None:
        return metric
    if metric.statistic == "mean" and metric.unit == "fraction":
        if right is not None and math.isclose(right / n, metric.value, abs_tol=1e-12):
            low, high = hypergeometric_interval(right, n, total)
            return replace(metric, low=min(low, metric.value), high=max(high, metric.value))
        in_split = _largest_part(metric.n, n, total)
        low, high = finite_correction((metric.low, metric.high), metric.value, metric.n, in_split)
        return replace(metric, low=low, high=high)
    if total - n < _FEW_UNKNOWN:
        return metric
    shrink = math.sqrt(1 - n / total)
    return replace(
        metric,
        low=metric.value - shrink * (metric.value - metric.low),
        high=metric.value + shrink * (metric.high - metric.value),
    )


def _largest_part(of_part: int, n: int, total: int) -> int:
    """Return how many samples of the split may belong to a part (one type of answer), of which the subset has some.

    The split's samples of the part are not counted. The number is an upper bound, so that the interval of the part is
    not narrowed too much: the upper end of the interval of the part's share.
    """
    if of_part >= n:  # all samples, or several items for each of them
        return round(of_part * total / n)
    return round(hypergeometric_interval(of_part, n, total, _PART_LEVEL)[1] * total)


def _without_interval(metric: Metric, why: str) -> Metric:
    return replace(metric, low=None, high=None, note="; ".join(note for note in (metric.note, why) if note))
