"""Compute the metrics of image-text retrieval from the ranks that `evals.tasks.scoring.retrieval` computes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evals.schema import Json, Metric, Score
from evals.tasks.scoring.retrieval import (
    CUTS,
    DEPTH,
    DIRECTIONS,
    IMAGE_TO_TEXT,
    SHARED,
    TEXT_TO_IMAGE,
    average_precision,
    within,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evals.statistics.clusters import Floats
    from evals.statistics.intervals import Interval

_MEDIANS = 2000
"""Number of resamples for the intervals of medians; fewer than elsewhere, because each resample reads every rank."""


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute recalls, their sum, mean average precisions and median ranks, with intervals over images.

    The metrics `…/shared-captions`, and by how much they raise the sum of recalls, exist if some captions belong to
    several images; `truncated-captions`, the number of truncated captions, exists if it is not 0.
    """
    answers = [score.answer for score in scores]
    metrics = _recalls(answers)
    for direction in DIRECTIONS:
        metrics[f"{direction}/map@{DEPTH}"] = _map(scores, direction)
        metrics[f"{direction}/median-rank"] = _median(scores, direction)
    if any(SHARED in answer for answer in answers):
        metrics |= _shared(answers)
    truncated = sum(answer["truncated captions"] for answer in answers)
    if truncated:
        captions = sum(len(answer[TEXT_TO_IMAGE]) for answer in answers)
        metrics["truncated-captions"] = Metric(
            truncated, None, None, captions, "count", higher_is_better=False, statistic="total"
        )
    return metrics


def _counts(answers: Sequence[Mapping[str, Json]]) -> NDArray[np.int64]:
    """Count hits by image, (N, 8): 3 image-to-text hits (one a cut), 1, 3 text-to-image hits, number of captions."""
    import numpy as np

    to_text = [[within(a[IMAGE_TO_TEXT][:1], k) for k in CUTS] + [1] for a in answers]
    to_image = [[within(a[TEXT_TO_IMAGE], k) for k in CUTS] + [len(a[TEXT_TO_IMAGE])] for a in answers]
    return np.hstack([np.array(to_text), np.array(to_image)])


def _shares(totals_BM: Floats) -> Floats:
    """Convert sums of `_counts`, (B, 8), into the six recalls, (B, 6), image to text first."""
    import numpy as np

    return np.hstack([totals_BM[:, :3] / totals_BM[:, 3:4], totals_BM[:, 4:7] / totals_BM[:, 7:8]])


def _recalls(answers: Sequence[Mapping[str, Json]]) -> dict[str, Metric]:
    from evals.statistics.bootstrap import percentile_interval, resampled_counts

    counts_NM = _counts(answers)
    clusters = [str(n) for n in range(len(answers))]
    values = _shares(counts_NM.sum(axis=0, keepdims=True))[0]
    drawn_BR = _shares(resampled_counts(counts_NM, clusters, "retrieval"))
    metrics, intervals = {}, _recall_intervals(answers)
    for column, (direction, k) in enumerate((direction, k) for direction in DIRECTIONS for k in CUTS):
        value = float(values[column])
        low, high = intervals[column] or (None, None)
        n = int(counts_NM[:, 3 if direction == IMAGE_TO_TEXT else 7].sum())
        metrics[f"{direction}/recall@{k}"] = Metric(value, low, high, n)
    bottom, top = percentile_interval(drawn_BR.sum(axis=1)) or (None, None)
    return metrics | {"rsum": Metric(float(values.sum()), bottom, top, len(answers), statistic="total")}


def _recall_intervals(answers: Sequence[Mapping[str, Json]]) -> list[Interval]:
    """Compute the intervals of the six recalls, as those of means over images and over the captions of images."""
    import numpy as np

    from evals.statistics.intervals import mean_intervals

    intervals = []
    for direction in DIRECTIONS:
        ranks = [answer[direction][:1] if direction == IMAGE_TO_TEXT else answer[direction] for answer in answers]
        clusters = [str(image) for image, of_image in enumerate(ranks) for _ in of_image]
        hits_by_cut = [np.array([within([rank], k) for of_image in ranks for rank in of_image], float) for k in CUTS]
        intervals += mean_intervals(hits_by_cut, clusters)
    return intervals


def _shared(answers: Sequence[Mapping[str, Json]]) -> dict[str, Metric]:
    """Compute the recalls when every image with the same caption is right, and by how much that raises their sum."""
    import numpy as np

    from evals.statistics.bootstrap import percentile_interval, resampled_counts

    wider = [answer.get(SHARED, answer) for answer in answers]
    metrics = {f"{name}/{SHARED}": metric for name, metric in _recalls(wider).items()}
    both_NM = np.hstack([_counts(answers), _counts(wider)])
    drawn_BM = resampled_counts(both_NM, [str(n) for n in range(len(answers))], "retrieval")
    gains_B = _shares(drawn_BM[:, 8:]).sum(axis=1) - _shares(drawn_BM[:, :8]).sum(axis=1)
    totals = both_NM.sum(axis=0, keepdims=True)
    gain = float(_shares(totals[:, 8:]).sum() - _shares(totals[:, :8]).sum())
    low, high = percentile_interval(gains_B) or (None, None)
    return metrics | {f"rsum/{SHARED}-gain": Metric(gain, low, high, len(answers), statistic="difference")}


def _map(scores: Sequence[Score], direction: str) -> Metric:
    import numpy as np

    from evals.statistics.bootstrap import cluster_bootstrap

    by_image = [(n, score.answer[direction]) for n, score in enumerate(scores)]
    items = by_image if direction == IMAGE_TO_TEXT else [(n, [rank]) for n, ranks in by_image for rank in ranks]
    column = np.array([average_precision(ranks) for _, ranks in items])
    (interval,) = cluster_bootstrap([column], [str(n) for n, _ in items])
    low, high = interval or (None, None)
    return Metric(math.fsum(column.tolist()) / len(column), low, high, len(column))


def _median(scores: Sequence[Score], direction: str) -> Metric:
    """Compute the median rank; with several galleries, the mean of their medians.

    A query that finds nothing counts as the last rank of its gallery.
    """
    import numpy as np

    from evals.statistics.bootstrap import percentile_interval, resampled_weights

    galleries: dict[str, list[tuple[int, float]]] = defaultdict(list)
    captions: dict[str, int] = defaultdict(int)
    for n, score in enumerate(scores):
        ranks = score.answer[direction]
        captions[score.labels.get("fold", "")] += len(score.answer[TEXT_TO_IMAGE])
        for rank in ranks[:1] if direction == IMAGE_TO_TEXT else ranks:
            galleries[score.labels.get("fold", "")].append((n, math.inf if rank is None else rank))
    values, drawn, total = [], [], 0
    for fold, items in sorted(galleries.items()):
        ranks_N = np.array([rank for _, rank in items])
        last = {IMAGE_TO_TEXT: captions[fold], TEXT_TO_IMAGE: len({n for n, _ in items})}
        ranks_N[np.isinf(ranks_N)] = last[direction]
        order = np.argsort(ranks_N, kind="stable")
        values.append(float(np.median(ranks_N)))
        clusters = [str(items[n][0]) for n in order]
        chunks = resampled_weights(clusters, f"{direction} median {fold}", resamples=_MEDIANS)
        drawn.append(np.concatenate([_weighted_medians(ranks_N[order], weights) for weights in chunks]))
        total += len(items)
    low, high = percentile_interval(np.mean(drawn, axis=0)) or (None, None)
    value = math.fsum(values) / len(values)
    return Metric(value, low, high, total, "rank", higher_is_better=False, statistic="median")


def _weighted_medians(rising_N: Floats, weights_DN: Floats) -> Floats:
    """Compute the weighted median of rising values, (N,), for each row of weights, (D, N)."""
    cumulated_DN = weights_DN.cumsum(axis=1)
    half_D = cumulated_DN[:, -1:] / 2
    lower, upper = (cumulated_DN < half_D).sum(axis=1), (cumulated_DN <= half_D).sum(axis=1)
    medians: Floats = (rising_N[lower] + rising_N[upper.clip(max=len(rising_N) - 1)]) / 2
    return medians
