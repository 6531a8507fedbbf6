"""Score the embeddings of images and captions: rank the captions of an image, and the image of each caption.

A sample is an image, its target is the captions, and its outputs are the embedding of the image followed by those of
the captions. The `answer` of a score holds the ranks from which the metrics are computed:

    {"image-to-text": [3, 17, 20, 44, 261],         the ranks of its captions among all captions, in rising order
     "text-to-image": [1, 8, 2, 90, 4],             for each caption, the rank of the image among all images
     "nearest caption": "42.jpg#1",                 the first caption for the image
     "nearest images": ["17.jpg", …],               the first image for each caption
     "shared-captions": {"image-to-text": …},       the ranks if any image with the same caption is right
     "truncated captions": 0}                       number of captions longer than the model's context

An item without an embedding is never found and finds nothing: its rank is null.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evals.errors import InputError
from evals.schema import Json, Prediction, Sample, Score

if TYPE_CHECKING:
    from evals.metrics.rounded_vectors import Matrix
    from evals.records.embeddings import Vector

CUTS = (1, 5, 10)
DEPTH = 10
"""Depth of the mean average precision."""
IMAGE_TO_TEXT, TEXT_TO_IMAGE, SHARED = "image-to-text", "text-to-image", "shared-captions"
DIRECTIONS = (IMAGE_TO_TEXT, TEXT_TO_IMAGE)

Ranks = list[int | None]


def text_ids(image_id: str, captions: Sequence[str]) -> list[str]:
    """Return the ids of an image's captions, in the form of Flickr8k and of recorded embeddings.

    Example:
        >>> text_ids("42.jpg", ["A dog.", "A brown dog."])
        ['42.jpg#0', '42.jpg#1']
    """
    return [f"{image_id}#{n}" for n in range(len(captions))]


def images_of_captions(captions: Sequence[Sequence[str]]) -> dict[str, set[int]]:
    """Return for each caption the indices of the images that have it, word for word.

    Args:
        captions: the captions of each image.

    Example:
        >>> images_of_captions([["A dog."], ["A cat.", "A dog."]])
        {'A dog.': {0, 1}, 'A cat.': {1}}
    """
    images_by_caption: dict[str, set[int]] = defaultdict(set)
    for image, texts in enumerate(captions):
        for text in texts:
            images_by_caption[text].add(image)
    return dict(images_by_caption)


# Ranks


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Rank the captions of each image among all captions, and each image among all images for its captions.

    Raises:
        InputError: an output is not an embedding, is not finite, or has another width than the rest; the message names
            the first.
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
    """Read the embeddings that did not fail, by image or caption id."""
    from evals.records.embeddings import unpack  # loads numpy

    vectors = {}
    for sample in samples:
        ids = (sample.id, *text_ids(sample.id, sample.target))
        for id, prediction in zip(ids, predictions[sample.id], strict=True):
            if prediction.failure is None:
                try:
                    vectors[id] = unpack(prediction.output)
                except InputError as error:
                    raise InputError(f"the embedding of {id}: {error}") from error
    return vectors


class _Items(NamedTuple):
    """All images, or all captions, of a gallery."""

    ids: Sequence[str]
    rows: Matrix
    """The embeddings, one row for each item that has one."""
    indices: Sequence[int]
    """For each row, the index of its item in `ids`."""


class _QueryResult(NamedTuple):
    """The result of one query."""

    ranks: Ranks
    """The ranks of its relevant items in rising order, then None for each item without an embedding."""
    nearest: str | None


def _answers(samples: Sequence[Sample], vectors: Mapping[str, Vector]) -> list[dict[str, Json]]:
    """Rank one gallery in both directions, and rank the images and captions that share captions a second time."""
    images, captions = _items(samples, vectors)
    texts_of_image: list[list[int]] = [[] for _ in samples]
    texts_with_words: dict[str, list[int]] = defaultdict(list)
    for text, (image, words) in enumerate((n, words) for n, sample in enumerate(samples) for words in sample.target):
        texts_of_image[image].append(text)
        texts_with_words[words].append(text)
    to_text = _search(images, captions, dict(enumerate(texts_of_image)))
    to_image = _search(captions, images, {text: [n] for n, texts in enumerate(texts_of_image) for text in texts})
    images_by_words = images_of_captions([sample.target for sample in samples])
    shared = {words: sorted(image_set) for words, image_set in images_by_words.items() if len(image_set) > 1}
    sharing_images = sorted({image for sharing in shared.values() for image in sharing})
    texts_in_common = (
        sorted({text for words in samples[image].target for text in texts_with_words[words]})
        for image in sharing_images
    )
    to_text_shared = _search(images, captions, dict(zip(sharing_images, texts_in_common, strict=True)))
    to_image_shared = _search(
        captions, images, {text: sharing for words, sharing in shared.items() for text in texts_with_words[words]}
    )
    answers: list[dict[str, Json]] = []
    for image, texts in enumerate(texts_of_image):
        answer = _answer(to_text[image], [to_image[text] for text in texts])
        answer["nearest caption"] = to_text[image].nearest
        answer["nearest images"] = [to_image[text].nearest for text in texts]
        if image in to_text_shared:
            of_texts = [to_image_shared.get(text, to_image[text]) for text in texts]
            answer[SHARED] = _answer(to_text_shared[image], of_texts)
        answers.append(answer)
    return answers


def _answer(to_text: _QueryResult, to_image: Sequence[_QueryResult]) -> dict[str, Json]:
    return {IMAGE_TO_TEXT: to_text.ranks, TEXT_TO_IMAGE: [result.ranks[0] for result in to_image]}


def _items(samples: Sequence[Sample], vectors: Mapping[str, Vector]) -> tuple[_Items, _Items]:
    """Normalise the embeddings of images and captions to length one; all must have the same width."""
    import numpy as np

    from evals.metrics.retrieval import unit_rows

    ids = [sample.id for sample in samples], [id for s in samples for id in text_ids(s.id, s.target)]
    indices = [[index for index, id in enumerate(side) if id in vectors] for side in ids]
    names = [side[index] for side, present in zip(ids, indices, strict=True) for index in present]
    rows = unit_rows([vectors[name] for name in names], names) if names else np.empty((0, 1))
    parts = rows[: len(indices[0])], rows[len(indices[0]) :]
    images, captions = (_Items(*side) for side in zip(ids, parts, indices, strict=True))
    return images, captions


def _search(queries: _Items, gallery: _Items, relevant: Mapping[int, Sequence[int]]) -> dict[int, _QueryResult]:
    """Search a gallery.

    Args:
        queries: the items to search with.
        gallery: the items to search in.
        relevant: by the index of a query, the indices of its relevant gallery items; other queries are skipped.

    Returns:
        The result by the index of the query.
    """
    import numpy as np

    from evals.metrics.retrieval import rank

    row_of = {index: row for row, index in enumerate(gallery.indices)}
    relevant_rows = {query: [row_of[item] for item in items if item in row_of] for query, items in relevant.items()}
    able = [(row, query) for row, query in enumerate(queries.indices) if relevant_rows.get(query)]
    query_rows = queries.rows[[row for row, _ in able]] if len(able) < len(queries.rows) else queries.rows
    ranked = rank(query_rows, gallery.rows, [np.array(relevant_rows[query]) for _, query in able]) if able else ()
    results = {query: _QueryResult([None] * len(items), None) for query, items in relevant.items()}
    for (_, query), (ranks, nearest) in zip(able, ranked, strict=True):
        unranked: Ranks = [None] * (len(relevant[query]) - len(ranks))
        results[query] = _QueryResult([*ranks.tolist(), *unranked], gallery.ids[gallery.indices[nearest]])
    return results


def _score(sample: Sample, answer: dict[str, Json], predictions: Sequence[Prediction]) -> Score:
    to_text, to_image = answer[IMAGE_TO_TEXT], answer[TEXT_TO_IMAGE]
    values = {f"{IMAGE_TO_TEXT}/recall@{k}": float(within(to_text[:1], k)) for k in CUTS}
    values |= {f"{TEXT_TO_IMAGE}/recall@{k}": within(to_image, k) / len(to_image) for k in CUTS}
    values[f"{IMAGE_TO_TEXT}/map@{DEPTH}"] = average_precision(to_text)
    values[f"{TEXT_TO_IMAGE}/map@{DEPTH}"] = math.fsum(average_precision([rank]) for rank in to_image) / len(to_image)
    answer["truncated captions"] = sum(prediction.truncated for prediction in predictions)
    failed = any(prediction.failure is not None for prediction in predictions)
    return Score.of(sample, answer=answer, values=values, failed=failed)


def within(ranks: Iterable[int | None], cut: int) -> int:
    """Count the ranks that are at most `cut`."""
    return sum(rank is not None and rank <= cut for rank in ranks)


def average_precision(ranks: Ranks) -> float:
    """Average the precision at each relevant item among the first ten, over as many as could be among them."""
    within = [rank for rank in ranks if rank is not None and rank <= DEPTH]
    return math.fsum(n / rank for n, rank in enumerate(within, start=1)) / min(len(ranks), DEPTH)
