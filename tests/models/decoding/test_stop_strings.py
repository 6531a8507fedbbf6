"""Stop strings are found at the same token, whether or not every token's text is decoded."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from evals.models.decoding.reading import MarkFilter, TextReader
from evals.models.decoding.sampling import GenerationRow, RowProgress
from evals.models.decoding.thoughts import TAG_PAIRS, TagPair

PIECES = [
    "</s>", "<", "think", ">", "</think", "</", "<think>", "</think>", "thought", "<|channel>", "<channel|>", "|",
    "[THINK", "]", "[/THINK]", "◁think▷", "◁/think", "▷", "a", "th", "t", "ought", "Question", ":", "\n", "\n\n", " ",
    "<|channel|>", "analysis", "final", "<|message|>", "<|start|>", "Here are my reasoning steps", "[BEGIN FINAL ",
    "RESPONSE]", "18", "<unused94>", "<unused95>", "\N{REPLACEMENT CHARACTER}",
]  # fmt: skip
READER = TextReader(SimpleNamespace(decode=lambda tokens, **_: "".join(PIECES[token] for token in tokens)))
STATED = TextReader(READER._tokenizer, (TagPair("<ponder", "ponder"), TagPair("begin", "18")))
TOKENS = st.lists(st.integers(1, len(PIECES) - 1), max_size=24)
STOPS = st.lists(st.sampled_from(["\n\n", "Question:", "18", ": ", "t", "]"]), min_size=1, max_size=2)


@given(tokens=TOKENS, stops=STOPS, opened=st.sampled_from([None, *TAG_PAIRS[:3]]), stated=st.booleans())
@settings(max_examples=300)
def test_the_filter_of_marks_changes_no_end(tokens, stops, opened, stated):
    row = GenerationRow(0, [1], 100, stop=tuple(stops), opened=opened)
    reader = STATED if stated else READER
    quick = RowProgress(row, {0}, reader)
    quick.read(tokens)
    with mock.patch.object(MarkFilter, "may_complete", return_value=True):
        slow = RowProgress(row, {0}, reader)
        slow.read(tokens)
    assert (quick.finished, quick.completion()) == (slow.finished, slow.completion())


def test_most_tokens_of_a_text_need_no_decoding():
    marks = MarkFilter(READER, ("Question:",))
    text = [PIECES.index(piece) for piece in ("a", "th", "18", " ", "t", "\n", "ought")] * 9
    assert not any(marks.may_complete(token) for token in text)
    assert marks.may_complete(PIECES.index(":"))
