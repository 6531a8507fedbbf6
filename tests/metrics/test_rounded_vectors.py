"""Rounding that hides ties is undone, and vectors that are truly different never tie.

python -m pytest tests/metrics/test_rounded_vectors.py
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.metrics import retrieval
from evals.metrics.retrieval import rank, unit_rows
from evals.metrics.rounded_vectors import unrounded_unit_rows

WIDTHS = [7, 16, 64, 384]


def stored(vectors):
    return unit_rows([np.asarray(vector, dtype=np.float32) for vector in vectors], [""] * len(vectors))


def lengths(vectors):
    return np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)


def half_precision(rng, shape):
    """Normal numbers of float16, times 2^24: whole numbers."""
    return (rng.normal(size=shape).astype(np.float16).astype(np.float64) * 2**24).astype(np.int64)


KINDS = {
    "binary": lambda rng, shape: rng.integers(0, 2, shape),
    "dense binary": lambda rng, shape: (rng.random(shape) < 0.99).astype(int),
    "signs": lambda rng, shape: rng.choice([-1, 1], shape),
    "ternary": lambda rng, shape: rng.integers(-1, 2, shape),
    "int8": lambda rng, shape: rng.integers(-128, 128, shape),
    "int8 of normal numbers": lambda rng, shape: np.clip(np.rint(rng.normal(size=shape) * 40), -127, 127),
    "uint8": lambda rng, shape: rng.integers(0, 256, shape),
    "float16": half_precision,
}
"""Whole numbers, whose cosines can be compared exactly."""

FORMS = {
    "as they are": lambda rng, vectors: vectors.astype(np.float32),
    "normalised in float32": lambda rng, vectors: vectors.astype(np.float32) / lengths(vectors).astype(np.float32),
    "times the inverse length": lambda rng, vectors: vectors.astype(np.float32) * (1 / lengths(vectors)).astype("f4"),
    "normalised in float64": lambda rng, vectors: vectors / lengths(vectors),
    "scaled": lambda rng, vectors: vectors * rng.lognormal(size=(len(vectors), 1)),
    "scaled twice": lambda rng, vectors: (
        (vectors * rng.lognormal(size=(len(vectors), 1))).astype("f4") * np.float32(0.3)
    ),
}
"""How a file can hold them."""


def exact_order(query, items):
    """Numbers in the order of the cosines of a query and integer vectors: their squares with the cosines' signs."""
    dots = [sum(a * b for a, b in zip(query.tolist(), item.tolist(), strict=True)) for item in items]
    squares = [sum(a * a for a in item.tolist()) or 1 for item in items]
    return [Fraction(dot * abs(dot), square) for dot, square in zip(dots, squares, strict=True)]


def planted(rng, kind, width):
    """Queries, and a gallery in which each vector ties with one of its numbers exchanged, and with a copy."""
    vectors = KINDS[kind](rng, (8, width)).astype(np.int64)
    half = width // 2
    exchanged = np.concatenate([vectors[:, :half][:, rng.permutation(half)], vectors[:, half:]], axis=1)
    queries = KINDS[kind](rng, (8, width)).astype(np.int64)
    queries[:, :half] = queries[:, :1]  # constant where the gallery's numbers were exchanged
    return queries, np.concatenate([vectors, exchanged, vectors])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_ties_of_short_numbers_stay_whatever_the_form_of_the_file(kind, form):
    tied = 0
    for width in WIDTHS:
        rng = np.random.default_rng([width, len(kind), len(form)])
        queries, gallery = planted(rng, kind, width)
        places = rng.integers(0, len(gallery), len(queries))
        ranked = rank(
            stored(FORMS[form](rng, queries)), stored(FORMS[form](rng, gallery)), places[:, None], device="cpu"
        )
        for query, place, result in zip(queries, places, ranked, strict=True):
            order = exact_order(query, gallery)
            assert result.ranks.tolist() == [sum(value >= order[place] for value in order)]
            tied += sum(value == order[place] for value in order) > 1
    assert tied == 8 * len(WIDTHS)  # the test of the test


@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 32, 200]), st.sampled_from([0.0, 0.9, 0.999, 0.9999]))
@settings(max_examples=25, deadline=None)
def test_ranks_of_different_vectors_are_those_of_float64(seed, width, common):
    """Real embeddings, also with a large common component: no pair ties, and none changes its order."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=width) * common**0.5
    queries, gallery = (
        (centre + rng.normal(size=(count, width)) * (1 - common) ** 0.5).astype(np.float32) for count in (20, 300)
    )
    right = [rng.choice(300, size=rng.integers(1, 5), replace=False) for _ in queries]
    exact_queries, exact_gallery = queries.astype(np.float64), gallery.astype(np.float64)
    cosines = (exact_queries @ exact_gallery.T) / np.linalg.norm(exact_gallery, axis=1)
    ranked = rank(stored(queries), stored(gallery), right, device="cpu")
    for row, places, result in zip(cosines, right, ranked, strict=True):
        assert result.ranks.tolist() == sorted(1 + np.count_nonzero(row > row[place]) for place in places)
        assert result.nearest == row.argmax()


@pytest.mark.parametrize("share", [0, 1])
def test_selected_items_and_whole_blocks_give_the_same_ranks(monkeypatch, share):
    rng = np.random.default_rng(3)
    queries, gallery = (rng.normal(size=(count, 48)) + 20 for count in (50, 400))
    gallery[200:] = gallery[rng.permutation(200)]
    right = [rng.choice(400, size=3, replace=False) for _ in queries]
    expected = list(retrieval._rank_with_torch(stored(queries), stored(gallery), right, np.arange(400), "cpu"))
    monkeypatch.setattr(retrieval, "MAX_SHARE", share)
    ranked = list(rank(stored(queries), stored(gallery), right, device="cpu"))
    assert [result.ranks.tolist() for result in ranked] == [result.ranks.tolist() for result in expected]
    assert [result.nearest for result in ranked] == [result.nearest for result in expected]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([3, 50, 384]),
    st.lists(st.floats(1e-30, 1e30), min_size=2, max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_scaled_copies_become_equal(seed, width, factors):
    vector, other = np.random.default_rng(seed).normal(size=(2, width)).astype(np.float32)
    rows = unrounded_unit_rows(np.float32([*(vector * factor for factor in factors), other]))
    assert (rows[:-1] == rows[0]).all()
    assert (rows[-1] != rows[0]).any()


def test_copies_below_the_normal_range_become_equal():
    vector = np.random.default_rng(0).normal(size=40)
    rows = unrounded_unit_rows(np.float32([vector, vector * 1e-40, vector * 3e-41, vector[::-1]]))
    assert (rows[1:3] == rows[0]).all()
    assert (rows[3] != rows[0]).any()


@given(st.integers(0, 2**32 - 1), st.integers(0, 49), st.sampled_from([1e-6, -1e-5, 1e-3]))
@settings(max_examples=40, deadline=None)
def test_a_change_of_one_number_beyond_rounding_makes_no_copy(seed, place, change):
    vector = np.random.default_rng(seed).normal(size=50).astype(np.float32)
    changed = vector.copy()
    changed[place] *= np.float32(1 + change)
    rows = unrounded_unit_rows(np.stack([vector, changed, vector * np.float32(1.1)]))
    assert (rows[0] == rows[2]).all()
    assert (rows[0] != rows[1]).any()


@pytest.mark.parametrize("width", [2, 3, 4, 8, 300])
def test_arbitrary_vectors_are_only_normalised(width):
    vectors = np.random.default_rng(width).normal(size=(200, width)).astype(np.float32)
    exact = vectors.astype(np.float64)
    expected = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    assert np.abs(unrounded_unit_rows(vectors) - expected).max() < 1e-15


def test_short_numbers_are_restored_among_other_rows():
    rng = np.random.default_rng(5)
    short = rng.integers(-128, 128, (50, 64))
    others = rng.normal(size=(50, 64))
    rows = unrounded_unit_rows(np.float32([*(short / lengths(short)), *others, np.zeros(64), np.eye(64)[3]]))
    assert np.abs(rows[:50] - short / lengths(short)).max() < 1e-15
    assert np.abs(np.float32(short / lengths(short)) - short / lengths(short)).max() > 1e-9  # the test of the test
    assert np.abs(rows[50:100] - unrounded_unit_rows(np.float32(others))).max() < 1e-15
    assert not rows[100].any()
    assert (rows[101] == np.eye(64)[3]).all()


@pytest.mark.parametrize("nonzero", [3, 4, 8])
def test_few_small_integers_are_evidence(nonzero):
    """Two rows of three such numbers, or one of more, are no chance."""
    place = np.arange(20)
    short = np.tile(np.where(place < nonzero, 1 + 2 * (place % 2), 0), (2 if nonzero == 3 else 1, 1))
    unit = short / lengths(short)
    assert np.abs(np.float32(unit) - unit).max() > 1e-9  # the test of the test
    assert np.abs(unrounded_unit_rows(np.float32(unit)) - unit).max() < 1e-15


def test_chance_is_no_evidence():
    """One row of two short numbers proves nothing; forty such rows do."""
    short = np.random.default_rng(2).integers(1, 128, (40, 2))
    unit = short / lengths(short)
    rounded = np.float32(unit)
    alone = unrounded_unit_rows(rounded[:1])
    assert np.abs(alone - unit[:1]).max() > 1e-10
    assert np.abs(unrounded_unit_rows(rounded) - unit).max() < 1e-15
