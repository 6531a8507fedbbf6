"""Outputs that were published with a paper, read in their own format."""

from __future__ import annotations

import json

import pytest

from evals.errors import InputError
from evals.models.families import replay
from evals.schema import Placement

ROWS = [
    {
        "question": f"What is {n} + 1?", "ground_truth": f"A: {n + 1}",
        "6b_finetuning": {"is_correct": False, "solution": f"Seven.\nA: {n}"},
        "175b_verification": {"is_correct": True, "solution": f"Count on.\nA: {n + 1}"},
    }
    for n in range(3)
]  # fmt: skip


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "example_model_solutions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def load(path):
    return replay.load(f"replay:{path}", str(path), Placement())


def test_one_systems_outputs_are_read_by_row(published):
    one = load(f"{published}#6b_finetuning")
    other = load(f"{published}#175b_verification")
    assert one.outputs == {str(n): f"Seven.\nA: {n}" for n in range(3)}
    assert other.outputs["2"] == "Count on.\nA: 3"
    assert one.facts["digest"] == other.facts["digest"]
    assert one.facts["system"] != other.facts["system"]  # so that the two runs have different signatures


def test_a_file_of_several_systems_asks_which(published):
    with pytest.raises(InputError, match=r"several systems; name one: replay:.*#6b_finetuning"):
        load(published)
    with pytest.raises(InputError, match=r"line 1: no outputs of '6b'; there are 6b_finetuning, 175b_verification"):
        load(f"{published}#6b")


def test_a_file_whose_name_has_a_hash_is_that_file(tmp_path):
    path = tmp_path / "outputs#2.jsonl"
    path.write_text('{"id": "0", "output": "A: 1"}\n')
    assert load(path).outputs == {"0": "A: 1"}
