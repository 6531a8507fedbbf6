"""Sums: the problems, their prompts and answers, and the environment that rewards answers.

pytest tests/tasks/test_sums.py
"""

from __future__ import annotations

from pathlib import Path

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import EvalsError
from evals.models.replicas.recipes.r1_zero.data import FORMAT_REWARD, Arithmetic
from evals.schema import Options, Prediction
from evals.tasks import sums as task
from evals.tasks.mini.sums import LONGEST, read, sums


def test_every_sum_of_one_digit_is_there_once_and_right():
    every = sums("all")
    assert len({one.prompt for one in every}) == len(every)
    for one in every:
        first, sign, second, _ = one.prompt.split()
        assert one.result == (int(first) + int(second) if sign == "+" else int(first) - int(second))
        assert 0 <= one.result <= 9
    assert sorted(every) == sorted(sums("environment") + sums("validation"))


def test_numbers_of_validation_never_meet_in_training():
    meet = {
        split: {frozenset(one.prompt.split()[:3:2]) for one in sums(split)} for split in ("environment", "validation")
    }
    assert not meet["environment"] & meet["validation"]
    assert len(sums("validation")) > 20


@given(st.integers(0, 10**6), st.sampled_from(["", " ", "\n "]), st.sampled_from(["", " ", "x7", ".", "<"]))
def test_the_number_that_an_output_begins_with_is_read(number, before, after):
    assert read(f"{before}{number}{after}") == number
    assert read(f"a{number}") is None


def test_the_environment_keeps_the_rules_of_gymnasium(recwarn):
    check_env(Arithmetic(), skip_render_check=True)
    assert isinstance(Arithmetic().action_space, gymnasium.spaces.Text)


def test_the_environment_judges():
    environment = Arithmetic()
    for seed in range(30):
        asked, _ = environment.reset(seed=seed)
        result = next(one.result for one in sums("environment") if one.prompt == asked)
        for answer, reward in (
            (f" {result}", 1.0),
            (f"{result}x", 1.0),
            (f"1{result}", FORMAT_REWARD),
            ("x", 0.0),
            ("", 0.0),
        ):
            assert environment.reset(seed=seed)[0] == asked
            _, given, terminated, truncated, told = environment.step(answer)
            assert (given, terminated, truncated, told["right"]) == (reward, True, False, reward == 1.0)


def test_outputs_are_scored():
    samples = list(task.samples(Options()))
    assert all(sample.requests[0].max_new_tokens == LONGEST for sample in samples)
    predictions = {sample.id: [Prediction(sample.id, output=f" {sample.target} .")] for sample in samples}
    predictions[samples[0].id] = [Prediction(samples[0].id, output="?")]
    predictions[samples[1].id] = [Prediction(samples[1].id, failure="no memory")]
    scores = task.score(samples, predictions)
    assert [score.failed for score in scores[:3]] == [False, True, False]
    metric = task.summarise(scores)["accuracy"]
    assert metric.value == pytest.approx((len(samples) - 2) / len(samples))
    assert metric.low < metric.value < metric.high


@pytest.mark.parametrize(
    "options", [Options(scale="full"), Options(data=Path()), Options(split="test")], ids=["full", "data", "split"]
)
def test_what_there_is_not_is_said(options):
    with pytest.raises(EvalsError, match="math/sums"):
        task.samples(options)
