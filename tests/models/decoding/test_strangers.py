"""Checkpoints with the habits of public ones: several ends, thoughts of many kinds, leaked generation settings."""

from __future__ import annotations

import pytest

from evals import run
from evals.models.decoding.thoughts import TAG_PAIRS, TagPair, find_spans, split_text


@pytest.fixture
def cases(shared_data):
    folder = shared_data.parent / "cases" / "checkpoints"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


def rows_of(cases, name, model, tmp_path):
    folder = cases / name
    record = run(
        str(folder / model), "math/gsm8k", data=folder / "test.jsonl", shots=0, device="cpu", out=tmp_path / "run"
    )
    return record, list(record.samples())


def test_a_text_ends_at_the_tokenizers_end_too(cases, tmp_path):
    record, rows = rows_of(cases, "01-eos-union", "m1-eos", tmp_path)
    assert [(row.output, row.answer, row.truncated) for row in rows] == [("#### 18", "18", False)] * 2
    assert {8, 14} <= set(record.manifest.model["end_ids"])


@pytest.mark.slow
def test_a_thought_that_the_prompt_opened_and_the_limit_cut_is_no_answer(cases, tmp_path):
    record, rows = rows_of(cases, "02-open-think-truncated", "m6-open-think", tmp_path)
    assert [(row.output, row.answer, row.truncated_thinking) for row in rows] == [("", None, True)] * 2
    assert all(row.thought.startswith("#### 7") for row in rows)
    assert (record.result.truncated_thinking, record.result.failed) == (2, 0)
    assert record.result.metrics["accuracy"].value == 0


def test_stop_strings_have_no_effect_inside_a_thought(cases, tmp_path):
    _, rows = rows_of(cases, "04-stop-in-thought", "m7-stop-in-think", tmp_path)
    assert [(row.output, row.answer) for row in rows] == [("#### 18", "18")] * 2
    assert rows[0].thought == "hm\n\nQuestion: eggs"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bad", "stopstr"])
def test_generation_settings_of_the_checkpoint_change_nothing(cases, model, tmp_path):
    folder = cases / "06-generation-config"
    outputs = [
        [row.output for row in run(
            str(folder / name), "custom", data=folder / "custom2.jsonl", device="cpu", out=tmp_path / name
        ).samples()]
        for name in ("plain", model)
    ]  # fmt: skip
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("pair", TAG_PAIRS, ids=lambda pair: pair.opening)
def test_every_pair_of_the_table_separates_a_thought(pair):
    text = f"{pair.opening}16 - 7 is 9{pair.closing}\n\n#### 9"
    assert split_text(text) == ("#### 9", "16 - 7 is 9", False)
    assert split_text(f"{pair.opening}16 - 7") == ("", "16 - 7", True)
    assert split_text(f"16 - 7{pair.closing}9", opened=pair) == ("9", "16 - 7", False)


def test_a_pair_of_the_table_counts_at_the_beginning_only_and_a_stated_one_everywhere():
    pair = TagPair("<muse>", "</muse>")
    assert split_text("Use <thought>x</thought> tags.") == ("Use <thought>x</thought> tags.", None, False)
    spans = find_spans("A<muse>b</muse>C<muse>d", opened=None, stated=(pair,))
    assert (len(spans.thoughts), spans.open) == (2, True)
