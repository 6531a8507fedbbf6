"""The places of rows are those that were added, in memory and on the disk, in any order and for several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.data.row_tables import row_places
from evals.data.row_tables.row_places import RowPlaces


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 5), st.randoms())
def test_places_are_those_that_were_added(count, in_memory, read, random):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_places, "_IN_MEMORY", in_memory)
        patch.setattr(row_places, "_READ", read)
        places, expected = RowPlaces(), [(7 * n, 7 * n + n % 3, n + 1) for n in range(count)]
        for n, (start, end, number) in enumerate(expected):
            places.append(start, end, number)
            assert (*places.bounds(n), places.number(n)) == expected[n]
        order = random.sample(range(count), count)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(places.bounds, order)) == [expected[n][:2] for n in order]
        assert ([places.number(n) for n in range(count)], len(places)) == ([n + 1 for n in range(count)], count)
        for beyond in (count, -1):
            with pytest.raises(IndexError):
                places.bounds(beyond)
