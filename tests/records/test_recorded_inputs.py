"""What a model read: packed tokens, and the file of shared prefixes under kills, repetitions and changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import RecordError
from evals.records.inputs import RecordedInput, SharedPrefix, pack_tokens, unpack_tokens
from evals.records.prefixes import PREFIXES, PrefixReader, PrefixWriter


@given(st.lists(st.integers(0, 3) | st.integers(0, 200_000), max_size=60))
def test_packed_tokens_are_the_tokens(tokens):
    assert unpack_tokens(pack_tokens(tokens)) == tokens


def test_a_run_of_placeholders_takes_one_entry():
    assert pack_tokens([1, *[7] * 576, 2]) == [1, (7, 576), 2]


def test_a_prefix_is_written_once_also_by_a_run_that_goes_on(tmp_path):
    prefixes = [SharedPrefix.of("Solve: ", [1, 2]), SharedPrefix.of("Answer: ", None)]
    PrefixWriter(tmp_path).add(prefixes)
    writer = PrefixWriter(tmp_path)
    writer.add(prefixes)
    writer.add([SharedPrefix.of("New: ", [3])])
    assert len((tmp_path / PREFIXES).read_bytes().splitlines()) == 3


@given(cut=st.integers(1, 60))
def test_a_torn_prefix_is_removed_and_written_again(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("run")
    prefixes = [SharedPrefix.of("Solve: ", [1, 2]), SharedPrefix.of("Answer: ", [4])]
    PrefixWriter(folder).add(prefixes)
    whole = (folder / PREFIXES).read_bytes()
    (folder / PREFIXES).write_bytes(whole[:-cut])
    PrefixWriter(folder).add(prefixes)
    assert (folder / PREFIXES).read_bytes() == whole


def test_an_input_is_its_prefix_and_the_rest(tmp_path):
    prefix = SharedPrefix.of("Solve: ", [1, 5, 5, 5, 5])
    PrefixWriter(tmp_path).add([prefix])
    whole = PrefixReader(tmp_path).whole(RecordedInput("2 + 2", [5, 9], prefix.digest))
    assert (whole.text, whole.tokens) == ("Solve: 2 + 2", [1, 5, 5, 5, 5, 5, 9])


def test_a_missing_or_changed_prefix_is_an_error(tmp_path):
    prefix = SharedPrefix.of("Solve: ", [1])
    with pytest.raises(RecordError, match=f"lacks the prefix {prefix.digest}"):
        PrefixReader(tmp_path).whole(RecordedInput("2", [2], prefix.digest))
    PrefixWriter(tmp_path).add([prefix])
    changed = (tmp_path / PREFIXES).read_bytes().replace(b"Solve", b"Solves")
    (tmp_path / PREFIXES).write_bytes(changed)
    with pytest.raises(RecordError, match=r"prefixes.jsonl, line 1, was changed"):
        PrefixReader(tmp_path)
