"""Records of samples: the short way for one request makes what the general way makes, and messages keep everything."""

from __future__ import annotations

import dataclasses

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from evals.execution import collector
from evals.execution.inputs import SplitInput
from evals.execution.loop import AnsweredRequest
from evals.execution.workers.messages import Computed, decode, encode
from evals.records.inputs import RecordedInput
from evals.schema import Generate, Prediction, Sample, Score

NUMBERS = st.floats(0, 1e6)
PREDICTIONS = st.builds(
    Prediction,
    id=st.just("7"),
    output=st.one_of(st.none(), st.text(max_size=5)),
    failure=st.one_of(st.none(), st.just(""), st.text(max_size=5)),
    truncated=st.booleans(),
    scores=st.lists(NUMBERS, max_size=2).map(tuple),
    prompt_tokens=st.integers(0, 9),
    new_tokens=st.integers(0, 9),
    computed_tokens=NUMBERS,
    useful_tokens=NUMBERS,
    thought=st.one_of(st.none(), st.text(max_size=5)),
    truncated_thinking=st.booleans(),
    tokens=st.lists(st.integers(0, 9), max_size=2).map(tuple),
    long_prompt=st.booleans(),
    charges=st.dictionaries(st.sampled_from(["cost_usd", "retries"]), NUMBERS),
)
INPUTS = st.one_of(st.none(), st.builds(SplitInput, st.builds(RecordedInput, text=st.text(max_size=3)), st.none()))
ANSWERS = st.builds(AnsweredRequest, st.just(3), PREDICTIONS, NUMBERS, NUMBERS, INPUTS)


@given(
    answer=ANSWERS,
    scored=st.one_of(st.none(), PREDICTIONS),
    score=st.one_of(st.none(), st.just(Score("7", "yes", "no", {"accuracy": 0.0}))),
)
def test_the_short_way_makes_the_same_record(answer, scored, score):
    sample = Sample("7", (Generate("7", ("be ", "brief"), 3),), target="no", cluster="c", labels={"kind": "x"})
    arguments = (3, sample, [answer], [scored or answer.prediction], score)
    short = collector.sample_record(*arguments)
    assert short == collector._record_of_several(*arguments)
    assert msgspec.json.encode(short) == msgspec.json.encode(collector._record_of_several(*arguments))


@given(st.lists(ANSWERS, max_size=3))
def test_answers_survive_a_message(answers):
    computed = Computed([], answers, None, 0)
    received = decode(encode(computed))
    assert received == computed
    for before, after in zip(answers, received.answers, strict=True):
        assert dataclasses.astuple(before.prediction) == dataclasses.astuple(after.prediction)
