"""Thoughts in recorded outputs are divided, counted and left ungraded as those of live models are."""

from __future__ import annotations

import json

import msgspec
import pytest

import evals
from evals.records import rewrite

IMAGES = [
    ("red", None, False, "red"),
    ("<think>The ball is blue.</think>\n\nred", "The ball is blue.", False, "red"),
    ("The ball is blue.</think>red", "The ball is blue.", False, "red"),
    ("<think>The ball is red, so the answer is", "The ball is red, so the answer is", True, ""),
    ("<|channel|>analysis<|message|>blue?<|channel|>final<|message|>red", "blue?", False, "red"),
]
"""Output, thought, whether it ends inside the thought, and the answer."""


@pytest.fixture
def outputs(tmp_path):
    """A file of outputs for five questions of one picture, and where it is."""
    rows = [{"text": f"{n}. What color is it?", "target": "red", "id": str(n)} for n in range(len(IMAGES))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [{"id": str(n), "output": output} for n, (output, *_) in enumerate(IMAGES)]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    return tmp_path


def check(record):
    for row, (_, thought, is_open, answer) in zip(record.samples(), IMAGES, strict=True):
        assert (row.output, row.thought, row.truncated_thinking) == (answer, thought, is_open)
        assert row.values["accuracy"] == float(not is_open)
    assert record.result.truncated_thinking == 1
    assert record.result.metrics["accuracy"].value == 0.8


def test_thoughts_of_recorded_outputs_are_divided_from_the_answers(outputs):
    check(evals.run(f"replay:{outputs / 'said.jsonl'}", "custom", data=outputs / "rows.jsonl", out=outputs / "run"))


def test_a_record_with_thoughts_in_its_outputs_is_scored_like_a_new_one(outputs):
    """As version 0.1 wrote it."""
    run = evals.run(f"replay:{outputs / 'said.jsonl'}", "custom", data=outputs / "rows.jsonl", out=outputs / "run")
    old = [
        msgspec.structs.replace(row, output=output, thought=None, truncated_thinking=False)
        for row, (output, *_) in zip(run.samples(), IMAGES, strict=True)
    ]
    rewrite(run, old)
    again = evals.score(run.folder)
    check(again)
    check(evals.score(run.folder))  # once more: nothing is divided twice


def test_several_outputs_per_problem_are_divided_one_by_one(tmp_path):
    (tmp_path / "test.jsonl").write_text('{"question": "9 + 9?", "answer": "#### 18"}\n')
    said = ["<think>16</think>#### 18", "<think>18", "#### 17"]
    (tmp_path / "said.jsonl").write_text(json.dumps({"id": "0", "output": said}) + "\n")
    run = evals.run(
        f"replay:{tmp_path / 'said.jsonl'}", "math/gsm8k", data=tmp_path, samples=3, temperature=0.5,
        out=tmp_path / "run",
    )  # fmt: skip
    (row,) = run.samples()
    assert row.output == ["#### 18", "", "#### 17"]
    assert row.thought == ["16", "18", None]
    assert row.truncated_thoughts == [False, True, False]
    assert row.values["accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("output", ["yes", "<think>It is no.</think> yes"])
def test_a_written_choice_may_have_a_thought_before_it(tmp_path, output):
    samples = evals.registry.TASKS.get("glue/rte").samples(evals.Options())
    rows = [{"id": id, "output": output} for id in samples.ids]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = evals.run(f"replay:{tmp_path / 'said.jsonl'}", "glue/rte", out=tmp_path / "run")
    assert {row.output.strip() for row in run.samples()} == {"yes"}
    assert run.result.unparsed == 0


def test_embeddings_and_other_values_stay_as_they_are(tmp_path):
    samples = evals.registry.TASKS.get("glue/stsb").samples(evals.Options())
    rows = [{"id": id, "output": 2.5 + n % 2} for n, id in enumerate(samples.ids)]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = evals.run(f"replay:{tmp_path / 'said.jsonl'}", "glue/stsb", out=tmp_path / "run")
    assert {row.output for row in run.samples()} == {2.5, 3.5}
