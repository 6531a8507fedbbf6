"""Outputs are recorded as models write them: no score depends on the white space around an output.

Until version 0.2 some families stripped their outputs; a record scores the same with and without.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evals
from evals import Options, Prediction
from evals.registry import TASKS, discover

discover()
SPACE = st.text(" \t\n\r\x0b\x0c\xa0\u2003\u3000", max_size=4)
"""What `str.strip` removes."""
TEXTS = {
    "vqa": ["no", "2", "red", "a red ball", "the left one.", "yes, it is", "none"],
    "tones": ["7", "seven", "7.", "Seven.", "seven eight", "x"],
    "math": ["#### 18", "The answer is 18.", "\\boxed{18}", "It is 18\nQuestion: more", "<think>18</think>18"],
    "math/sums": ["12", "12 apples", "about 12", "0"],
    "glue/rte": ["yes", "no", "entailment", "not_entailment", "1", "maybe"],
    "glue/cola": ["acceptable", "unacceptable", "0", "yes", "no"],
    "glue/stsb": ["3.8", "5", "nan", "high"],
}


def score(task, sample, text):
    (scored,) = task.score([sample], {sample.id: [Prediction(sample.id, text)]})
    return scored.answer, dict(scored.values), scored.failed


@pytest.mark.parametrize("name", TEXTS)
def test_white_space_around_an_output_changes_no_score(name):
    task = TASKS.get(name)
    samples = [task.samples(Options())[index] for index in range(3)]

    @settings(max_examples=60)
    @given(st.sampled_from(samples), st.sampled_from([*TEXTS[name], ""]), SPACE, SPACE)
    def check(sample, text, before, after):
        assert score(task, sample, before + text + after) == score(task, sample, text)

    check()


def test_custom_rows_too(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "Is it red?", "target": "yes"}\n')
    task = TASKS.get("custom")
    (sample,) = task.samples(Options(data=tmp_path / "rows.jsonl"))
    for text in ("yes", "Yes.", "no", ""):
        assert score(task, sample, f" \n{text}\t ") == score(task, sample, text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "task"),
    [("vl", "vqa"), ("v3", "vqa"), ("r1-moe", "vqa"), ("r1-moe", "tones"), ("r1", "math")],
)
def test_a_stripped_record_has_the_same_result(tmp_path, model, task):
    """The record of a run, and the same as an earlier version wrote it: every value and metric is equal."""
    record = evals.run(model, task, limit=40, out=tmp_path / "run")
    rows = {row.id: (row.answer, row.values) for row in record.samples()}
    assert any(row.output != row.output.strip() for row in record.samples()), "there is no white space"
    stripped = [msgspec.structs.replace(row, output=row.output.strip()) for row in record.samples()]
    evals.records.rewrite(record, stripped)
    again = evals.score(record.folder)
    assert {row.id: (row.answer, row.values) for row in again.samples()} == rows
    assert again.result.metrics == record.result.metrics
