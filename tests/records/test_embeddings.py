"""Embeddings as text: no loss of precision, and errors for anything that is not an embedding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import InputError
from evals.records.embeddings import pack, unpack

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_what_was_packed_comes_back_bit_by_bit(values):
    vector = np.array(values, dtype=np.float32)
    assert unpack(pack(vector)).tobytes() == vector.tobytes()
    assert unpack(values).tobytes() == vector.tobytes()
    assert len(pack(vector)) <= 4 * len(values) * 4 / 3 + 3


@pytest.mark.parametrize("vector", [[], [math.nan], [1.0, math.inf], [[1.0], [2.0]], 3.0])
def test_what_is_no_vector_is_not_packed(vector):
    with pytest.raises(ValueError, match="expected one axis of finite numbers"):
        pack(vector)


@pytest.mark.parametrize(
    "output", [[], None, "", "AAA", "entailment", "not base64!", ["a"], [1.0, None], [[1.0], [2.0]], {"a": 1}, [1e300]]
)  # fmt: skip
def test_what_is_no_embedding_is_named(output):
    with pytest.raises(InputError, match="is not an embedding"):
        unpack(output)
