"""Ranks that are computed in blocks against brute force; ties never help.

python -m pytest tests/metrics/test_retrieval_ranks.py
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import InputError
from evals.metrics import retrieval
from evals.metrics.retrieval import rank, unit_rows

SIGNS = st.sampled_from(
    [signs for signs in itertools.product((-1.0, 0.0, 1.0), repeat=6) if sum(map(abs, signs)) in {1, 4}]
)
"""Of length 1 or 2: their cosines are quarters, exact in float32, and many are equal."""


def units(vectors):
    return unit_rows([np.array(vector, dtype=np.float32) for vector in vectors], [str(n) for n in range(len(vectors))])


def brute_force(queries, gallery, right):
    """Sort all items by cosine in float64, of equals the wrong ones first, and look where the right ones are."""
    found = []
    for query, places in zip(queries, right, strict=True):
        cosines = [
            round(float(np.dot(query, item) / (np.linalg.norm(query) * np.linalg.norm(item))), 9) for item in gallery
        ]
        order = sorted(range(len(gallery)), key=lambda item: (-cosines[item], item in set(places)))
        found.append(sorted(1 + order.index(place) for place in places))
    return found


@st.composite
def problems(draw):
    gallery = draw(st.lists(SIGNS, min_size=1, max_size=12))
    queries = draw(st.lists(SIGNS, min_size=1, max_size=6))
    places = st.lists(st.integers(0, len(gallery) - 1), min_size=1, max_size=4, unique=True)
    return queries, gallery, [draw(places) for _ in queries]


@given(problems(), st.sampled_from([1, 7, 1 << 22]))
@settings(deadline=None)
def test_ranks_are_those_of_brute_force_with_many_ties(problem, block):
    queries, gallery, right = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "BLOCK", block)
        found = list(rank(units(queries), units(gallery), [np.array(places) for places in right], device="cpu"))
    assert [one.ranks.tolist() for one in found] == brute_force(queries, gallery, right)
    assert all(place.nearest in range(len(gallery)) for place in found)


@given(problems())
@settings(max_examples=30, deadline=None)
def test_blocks_of_torch_rank_as_those_of_numpy(problem):
    queries, gallery, right = problem
    places = [np.array(each) for each in right]
    arguments = units(queries), units(gallery), places
    first = retrieval._first_appearances(arguments[1])
    ours = list(rank(*arguments, device="cpu"))
    theirs = list(retrieval._rank_with_torch(*arguments, first, "cpu"))
    assert [one.ranks.tolist() for one in theirs] == [one.ranks.tolist() for one in ours]


@pytest.mark.gpu
def test_blocks_on_a_gpu_rank_as_those_on_a_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    generator = np.random.default_rng(1)
    queries, gallery = (unit_rows(generator.normal(size=(n, 64)), ["x"] * n) for n in (300, 700))
    places = [np.array([n, n + 300]) for n in range(300)]
    ours, theirs = (list(rank(queries, gallery, places, device=device)) for device in ("cpu", "cuda"))
    same = [np.array_equal(one.ranks, other.ranks) for one, other in zip(ours, theirs, strict=True)]
    assert np.mean(same) > 0.99  # a last bit may put two items in another order


# Cosines that are equal mathematically, and not in float32


KINDS = {
    "binary": lambda rng, shape: rng.integers(0, 2, shape),
    "dense binary": lambda rng, shape: (rng.random(shape) < 0.99).astype(int),
    "signs": lambda rng, shape: rng.choice([-1, 1], shape),
    "small integers": lambda rng, shape: rng.integers(-2, 3, shape),
    "int8": lambda rng, shape: rng.integers(-128, 128, shape),
    "uint8": lambda rng, shape: rng.integers(0, 256, shape),
}
"""Whole numbers, whose cosines can be compared exactly."""


def exact_order(query, items):
    """Numbers in the order of the cosines of a query and integer vectors, equal where the cosines are: signed squares.

    The square of a cosine, but for the query's length, is a fraction of whole numbers.
    """
    products = [int(query @ item) for item in items]
    return [
        Fraction(product * abs(product), int(item @ item) or 1) for product, item in zip(products, items, strict=True)
    ]


def rearranged(rng, kind, width, count):
    """Vectors of a kind, their scaled copies, and copies whose numbers were exchanged where a query cannot tell."""
    kinds = KINDS[kind](rng, (count, width)).astype(np.int64)
    scaled = kinds * rng.integers(1, 8, (count, 1))
    half = width // 2
    exchanged = np.concatenate([kinds[:, :half][:, rng.permutation(half)], kinds[:, half:]], axis=1)
    return np.concatenate([kinds, scaled, exchanged])


@pytest.mark.parametrize("width", [2, 7, 64, 384, 768])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_rounding_noise_never_helps(kind, width, device):
    """No rank is better than the exact one with all ties lost; nor worse than items within the tolerance allow."""
    rng = np.random.default_rng([width, len(kind)])
    gallery, queries = rearranged(rng, kind, width, 20), KINDS[kind](rng, (30, width)).astype(np.int64)
    queries[:, : width // 2] = queries[:, :1]  # constant where the gallery's numbers were exchanged
    right = [np.array([rng.integers(0, len(gallery))]) for _ in queries]
    arguments = units(queries), units(gallery), right
    first = retrieval._first_appearances(arguments[1])
    ranked = rank(*arguments, device="cpu")
    if device == "torch":
        ranked = retrieval._rank_with_torch(*arguments, first, "cpu")
    lengths = np.maximum(np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(gallery, axis=1), 1)
    cosines = (queries @ gallery.T) / lengths
    tied = 0
    for query, ((place,), result) in enumerate(zip(right, ranked, strict=True)):
        order = exact_order(queries[query], gallery)
        worst = sum(value >= order[place] for value in order)
        near = sum(cosines[query] >= cosines[query, place] - 2 * retrieval.tie_tolerance(width))
        assert worst <= result.ranks[0] <= near
        tied += worst > 1 + sum(value > order[place] for value in order)
    assert tied > 10  # the test of the test


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 50, 384]), st.sampled_from([0.1, 1 / 3, 7.0, 1e-20, 1e20]))
@settings(max_examples=30, deadline=None)
def test_scaled_copies_of_real_vectors_tie(seed, width, factor):
    rng = np.random.default_rng(seed)
    item, other = rng.normal(size=(2, width)).astype(np.float32)
    gallery = units([item, item * np.float32(factor), -other])
    results = rank(units([item, item]), gallery, [np.array([0]), np.array([1])], device="cpu")
    assert [result.ranks.tolist() for result in results] == [[2], [2]]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_copies_tie_exactly_whatever_their_numbers(seed):
    generator = np.random.default_rng(seed)
    kinds = generator.normal(size=(5, 33))
    which = generator.integers(0, 5, size=40)
    gallery = units(kinds[which])
    queries = units(generator.normal(size=(9, 33)))
    right = [np.array([n]) for n in range(9)]
    for query, one in zip(queries, rank(queries, gallery, right, device="cpu"), strict=True):
        place = right.pop(0)[0]
        better = {kind for kind in range(5) if kinds[kind] @ query / np.linalg.norm(kinds[kind])
                  > kinds[which[place]] @ query / np.linalg.norm(kinds[which[place]])}  # fmt: skip
        assert one.ranks.tolist() == [np.isin(which, [*better, which[place]]).sum()]


def test_a_constant_embedding_finds_nothing():
    gallery = units(np.full((50, 7), 0.3))
    found = list(rank(gallery[:10], gallery, [np.arange(5 * n, 5 * n + 5) for n in range(10)]))
    assert [one.ranks.tolist() for one in found] == [[46, 47, 48, 49, 50]] * 10


def test_extreme_numbers_keep_their_direction():
    rows = units([[3e38, 3e38], [1e-40, 0.0], [0.0, 0.0]])
    assert np.allclose(rows, [[0.5**0.5, 0.5**0.5], [1, 0], [0, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_names_the_first_of_its_kind(bad):
    vectors = [np.float32([1, 2]), np.float32([1, bad]), np.float32([bad, bad])]
    with pytest.raises(InputError, match=r"the embedding of b.jpg#3 holds a number that is not finite"):
        unit_rows(vectors, ["a.jpg", "b.jpg#3", "c"])


def test_another_width_is_named():
    with pytest.raises(InputError, match="the embedding of b has 3 numbers, that of a has 2"):
        unit_rows([np.float32([1, 2]), np.float32([1, 2, 3])], ["a", "b"])
