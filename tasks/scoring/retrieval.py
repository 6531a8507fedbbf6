"""What embeddings of pictures and captions are worth: ranks, and the metrics that are made of ranks.

A sample is a picture, its target the captions, its outputs the embedding of the picture and then those of the captions.
A score's `answer` holds what the metrics are made of:

    {"image-to-text": [3, 17, 20, 44, 261],         the ranks of its captions among all captions, rising
     "text-to-image": [1, 8, 2, 90, 4],             the rank of the picture among all pictures, for each caption
     "nearest caption": "42.jpg#1",                 what came first for the picture …
     "nearest images": ["17.jpg", …],               … and for each caption
     "shared-captions": {"image-to-text": …},       the ranks again where any picture with the same words is right
     "truncated captions": 0}                       how many were longer than the model reads

What has no embedding is found by nobody and finds nothing: its rank is null.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evals.errors import InputError
from evals.schema import Json, Metric, Prediction, Sample, Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evals.metrics.retrieval import Matrix
    from evals.records.embeddings import Vector
    from evals.statistics.bootstrap import Floats, Interval

CUTS = (1, 5, 10)
DEPTH = 10
"""Of the mean average precision."""
IMAGE_TO_TEXT, TEXT_TO_IMAGE, SHARED = "image-to-text", "text-to-image", "shared-captions"
DIRECTIONS = (IMAGE_TO_TEXT, TEXT_TO_IMAGE)
_MEDIANS = 2000
"""Resamples for the intervals of medians, which look at every rank each time."""

Ranks = list[int | None]


def text_ids(image_id: str, captions: Sequence[str]) -> list[str]:
    """Name captions as Flickr8k does and as recorded embeddings do.

    Example:
        >>> text_ids("42.jpg", ["A dog.", "A brown dog."])
        ['42.jpg#0', '42.jpg#1']
    """
    return [f"{image_id}#{n}" for n in range(len(captions))]


def carriers(captions: Sequence[Sequence[str]]) -> dict[str, set[int]]:
    """For each caption the places of the pictures that carry it, word for word.

    Example:
        >>> carriers([["A dog."], ["A cat.", "A dog."]])
        {'A dog.': {0, 1}, 'A cat.': {1}}
    """
    found: dict[str, set[int]] = defaultdict(set)
    for place, texts in enumerate(captions):
        for text in texts:
            found[text].add(place)
    return dict(found)


# Ranks


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Rank the captions of each picture among all captions, and each picture among all for its captions.

    Raises:
        InputError: an embedding is none, is not finite, or is of another width than the rest; names the first.
    """
    galleries: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        galleries[sample.labels.get("fold", "")].append(sample)
    answers = {
        sample.id: answer
        for gallery in galleries.values()
        for sample, answer in zip(gallery, _answers(gallery, _vectors(gallery, predictions)), strict=True)
    }
    return [_score(sample, answers[sample.id], predictions[sample.id]) for sample in samples]


def _vectors(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> dict[str, Vector]:
    """Read the embeddings that there are, by the ids of pictures and captions."""
    from evals.records.embeddings import unpack  # loads numpy

    found = {}
    for sample in samples:
        ids = (sample.id, *text_ids(sample.id, sample.target))
        for id, prediction in zip(ids, predictions[sample.id], strict=True):
            if prediction.failure is None:
                try:
                    found[id] = unpack(prediction.output)
                except InputError as error:
                    raise InputError(f"the embedding of {id}: {error}") from error
    return found


class _Side(NamedTuple):
    """Pictures or captions."""

    ids: Sequence[str]
    rows: Matrix
    """Of those that have an embedding."""
    places: Sequence[int]
    """Which those are."""


class _QueryResult(NamedTuple):
    """What a query found."""

    ranks: Ranks
    """Of its right items, rising; those without an embedding at the end."""
    nearest: str | None


def _answers(samples: Sequence[Sample], vectors: Mapping[str, Vector]) -> list[dict[str, Json]]:
    """Rank everything in one gallery in both directions, and again what words in common concern."""
    images, captions = _sides(samples, vectors)
    own: list[list[int]] = [[] for _ in samples]
    same: dict[str, list[int]] = defaultdict(list)
    for text, (owner, words) in enumerate((n, words) for n, sample in enumerate(samples) for words in sample.target):
        own[owner].append(text)
        same[words].append(text)
    forth = _outcomes(images, captions, dict(enumerate(own)))
    back = _outcomes(captions, images, {text: [owner] for owner, texts in enumerate(own) for text in texts})
    common = {words: places for words, places in carriers([s.target for s in samples]).items() if len(places) > 1}
    concerned = sorted({image for places in common.values() for image in places})
    wider = {image: sorted({text for words in samples[image].target for text in same[words]}) for image in concerned}
    forth_shared = _outcomes(images, captions, wider)
    back_shared = _outcomes(captions, images, {t: sorted(places) for w, places in common.items() for t in same[w]})
    answers: list[dict[str, Json]] = []
    for image, texts in enumerate(own):
        answer = _answer(forth[image], [back[text] for text in texts])
        answer["nearest caption"] = forth[image].nearest
        answer["nearest images"] = [back[text].nearest for text in texts]
        if image in forth_shared:
            answer[SHARED] = _answer(forth_shared[image], [back_shared.get(text, back[text]) for text in texts])
        answers.append(answer)
    return answers


def _answer(forth: _QueryResult, back: Sequence[_QueryResult]) -> dict[str, Json]:
    return {IMAGE_TO_TEXT: forth.ranks, TEXT_TO_IMAGE: [outcome.ranks[0] for outcome in back]}


def _sides(samples: Sequence[Sample], vectors: Mapping[str, Vector]) -> tuple[_Side, _Side]:
    """Bring what has an embedding to length one, pictures and captions together: they must have one width."""
    import numpy as np

    from evals.metrics.retrieval import unit_rows

    ids = [sample.id for sample in samples], [id for s in samples for id in text_ids(s.id, s.target)]
    places = [[place for place, id in enumerate(side) if id in vectors] for side in ids]
    names = [side[place] for side, own in zip(ids, places, strict=True) for place in own]
    rows = unit_rows([vectors[name] for name in names], names) if names else np.empty((0, 1), dtype=np.float32)
    parts = rows[: len(places[0])], rows[len(places[0]) :]
    images, captions = (_Side(*side) for side in zip(ids, parts, places, strict=True))
    return images, captions


def _outcomes(queries: _Side, gallery: _Side, right: Mapping[int, Sequence[int]]) -> dict[int, _QueryResult]:
    """Let queries, by their places, find their right items."""
    import numpy as np

    from evals.metrics.retrieval import rank

    row_of = {place: row for row, place in enumerate(gallery.places)}
    rights = {query: [row_of[item] for item in items if item in row_of] for query, items in right.items()}
    able = [(row, query) for row, query in enumerate(queries.places) if rights.get(query)]
    asking = queries.rows[[row for row, _ in able]] if len(able) < len(queries.rows) else queries.rows
    found = rank(asking, gallery.rows, [np.array(rights[query]) for _, query in able]) if able else ()
    outcomes = {query: _QueryResult([None] * len(items), None) for query, items in right.items()}
    for (_, query), (ranks, nearest) in zip(able, found, strict=True):
        lost: Ranks = [None] * (len(right[query]) - len(ranks))
        outcomes[query] = _QueryResult([*ranks.tolist(), *lost], gallery.ids[gallery.places[nearest]])
    return outcomes


def _score(sample: Sample, answer: dict[str, Json], predictions: Sequence[Prediction]) -> Score:
    forth, back = answer[IMAGE_TO_TEXT], answer[TEXT_TO_IMAGE]
    values = {f"{IMAGE_TO_TEXT}/recall@{k}": float(_within(forth[:1], k)) for k in CUTS}
    values |= {f"{TEXT_TO_IMAGE}/recall@{k}": _within(back, k) / len(back) for k in CUTS}
    values[f"{IMAGE_TO_TEXT}/map@{DEPTH}"] = _average_precision(forth)
    values[f"{TEXT_TO_IMAGE}/map@{DEPTH}"] = math.fsum(_average_precision([rank]) for rank in back) / len(back)
    answer["truncated captions"] = sum(prediction.truncated for prediction in predictions)
    failed = any(prediction.failure is not None for prediction in predictions)
    return Score(sample.id, answer, sample.target, values, failed, sample.cluster, sample.labels)


def _within(ranks: Iterable[int | None], cut: int) -> int:
    return sum(rank is not None and rank <= cut for rank in ranks)


def _average_precision(ranks: Ranks) -> float:
    """Average the precision at each right item among the first ten, over as many as could be there."""
    within = [rank for rank in ranks if rank is not None and rank <= DEPTH]
    return math.fsum(n / rank for n, rank in enumerate(within, start=1)) / min(len(ranks), DEPTH)


# Metrics


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Make recalls, their sum, mean average precisions and median ranks, with intervals by bootstrap over pictures.

    The figures for words in common, and by how much they raise the sum of recalls, are there when some captions stand
    under several pictures; the count of truncated captions when some were truncated.
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
        metrics["truncated-captions"] = Metric(truncated, None, None, captions, "count")
    return metrics


def _counts(answers: Sequence[Mapping[str, Json]]) -> NDArray[np.int64]:
    """Count by picture, (N, 8): whether it finds a caption at each cut, 1, its captions' hits, their number."""
    import numpy as np

    forth = [[_within(a[IMAGE_TO_TEXT][:1], k) for k in CUTS] + [1] for a in answers]
    back = [[_within(a[TEXT_TO_IMAGE], k) for k in CUTS] + [len(a[TEXT_TO_IMAGE])] for a in answers]
    return np.hstack([np.array(forth), np.array(back)])


def _shares(totals_BM: Floats) -> Floats:
    """Turn sums of `_counts` into the six recalls, (B, 6), image to text first."""
    import numpy as np

    return np.hstack([totals_BM[:, :3] / totals_BM[:, 3:4], totals_BM[:, 4:7] / totals_BM[:, 7:8]])


def _recalls(answers: Sequence[Mapping[str, Json]]) -> dict[str, Metric]:
    from evals.statistics.bootstrap import percentile_interval, resampled_counts, wilson

    counts_NM = _counts(answers)
    clusters = [str(n) for n in range(len(answers))]
    values = _shares(counts_NM.sum(axis=0, keepdims=True))[0]
    drawn_BR = _shares(resampled_counts(counts_NM, clusters, "retrieval"))
    metrics = {}
    for column, (direction, k) in enumerate((direction, k) for direction in DIRECTIONS for k in CUTS):
        value = float(values[column])
        low, high = percentile_interval(drawn_BR[:, column]) or wilson(value * len(answers), len(answers))
        n = int(counts_NM[:, 3 if direction == IMAGE_TO_TEXT else 7].sum())
        metrics[f"{direction}/recall@{k}"] = Metric(value, low, high, n)
    return metrics | {"rsum": _between(float(values.sum()), percentile_interval(drawn_BR.sum(axis=1)), len(answers))}


def _shared(answers: Sequence[Mapping[str, Json]]) -> dict[str, Metric]:
    """The recalls when every picture that carries the words is right, and what that adds to their sum."""
    import numpy as np

    from evals.statistics.bootstrap import percentile_interval, resampled_counts

    wider = [answer.get(SHARED, answer) for answer in answers]
    metrics = {f"{name}/{SHARED}": metric for name, metric in _recalls(wider).items()}
    both_NM = np.hstack([_counts(answers), _counts(wider)])
    drawn_BM = resampled_counts(both_NM, [str(n) for n in range(len(answers))], "retrieval")
    gains_B = _shares(drawn_BM[:, 8:]).sum(axis=1) - _shares(drawn_BM[:, :8]).sum(axis=1)
    totals = both_NM.sum(axis=0, keepdims=True)
    gain = float(_shares(totals[:, 8:]).sum() - _shares(totals[:, :8]).sum())
    return metrics | {f"rsum/{SHARED}-gain": _between(gain, percentile_interval(gains_B), len(answers))}


def _between(value: float, ends: Interval, n: int, unit: str = "fraction") -> Metric:
    low, high = ends or (None, None)
    return Metric(value, low, high, n, unit)


def _map(scores: Sequence[Score], direction: str) -> Metric:
    import numpy as np

    from evals.statistics.bootstrap import cluster_bootstrap

    one = [(n, score.answer[direction]) for n, score in enumerate(scores)]
    items = one if direction == IMAGE_TO_TEXT else [(n, [rank]) for n, ranks in one for rank in ranks]
    column = np.array([_average_precision(ranks) for _, ranks in items])
    (interval,) = cluster_bootstrap([column], [str(n) for n, _ in items])
    return _between(math.fsum(column.tolist()) / len(column), interval, len(column))


def _median(scores: Sequence[Score], direction: str) -> Metric:
    """Give the median rank; of several galleries the mean of their medians. What finds nothing comes last of all."""
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
    return _between(math.fsum(values) / len(values), percentile_interval(np.mean(drawn, axis=0)), total, "rank")


def _weighted_medians(rising_N: Floats, weights_DN: Floats) -> Floats:
    """Take the median of rising values, each as often as a row of weights says."""
    cumulated_DN = weights_DN.cumsum(axis=1)
    half_D = cumulated_DN[:, -1:] / 2
    lower, upper = (cumulated_DN < half_D).sum(axis=1), (cumulated_DN <= half_D).sum(axis=1)
    medians: Floats = (rising_N[lower] + rising_N[upper.clip(max=len(rising_N) - 1)]) / 2
    return medians
