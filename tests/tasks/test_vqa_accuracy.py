"""VQA accuracy: golden cases, a case by hand, and random cases against a transcription of the official scorer."""

from __future__ import annotations

import copy
import json
import re

import pytest
import vqa_official
from golden import FOLDER as GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.tasks.scoring import vqa

CASES = json.loads((GOLDEN / "vqa_cases.json").read_text())["cases"]
RULES = list(vqa_official.SCORERS)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_golden_cases(case):
    worth = {name: rule(case["answer"], case["given"]) for name, rule in vqa.RULES.items()}
    assert worth == pytest.approx({name: case[name] for name in RULES}, abs=1e-11)


def test_by_hand():
    ten = ["red"] * 3 + ["blue"] * 2 + ["Green."] + ["yellow"] * 4
    assert vqa.accuracy("yellow", ten) == 1.0  # each annotator sees three others or four
    assert vqa.accuracy("The red", ten) == pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
    assert vqa.accuracy("blue!", ten) == pytest.approx((2 * 1 / 3 + 8 * 2 / 3) / 10)
    assert vqa.accuracy("green", ten) == pytest.approx((1 * 0 + 9 * 1 / 3) / 10)
    assert vqa.accuracy("black", ten) == 0.0


PIECES = [
    *vqa_official.TABLES["punctuation"],
    *list(vqa_official.TABLES["contractions"])[::9],
    *vqa_official.TABLES["number_words"],
    *("a", "an", "the", " ", "  ", "\n", "\t", "\u00a0", ".", "..", "." * 30, ":", "'", "’"),
    *("1,000", "3.5", "3.", ".5", "yes", "no", "Yes", "white", "İ", "ẞ", "٣", "²"),
]
texts = st.lists(st.sampled_from(PIECES), max_size=5).map("".join) | st.text(max_size=8)


@st.composite
def answers_and_annotators(draw):
    """An answer, and annotators who tend to agree with it and with each other, as people do."""
    pool = draw(st.lists(texts, min_size=1, max_size=3))
    pool += [
        change(pool[0]) for change in (str.upper, str.title, lambda text: f" {text}.", lambda text: f"the {text}\n")
    ]
    given = draw(st.lists(st.sampled_from(pool[: draw(st.integers(1, len(pool)))]), min_size=1, max_size=12))
    return draw(st.sampled_from(pool) | texts), given


@given(answers_and_annotators())
@settings(max_examples=1000, deadline=None)
@pytest.mark.slow
def test_every_rule_is_the_official_one(case):
    worth = {name: rule(*case) for name, rule in vqa.RULES.items()}
    assert worth == pytest.approx(vqa_official.score(*case), abs=1e-12)


@given(answers_and_annotators())
def test_normalising_everything_never_costs(case):
    assert vqa.accuracy(*case) <= vqa.accuracy_always_normalised(*case) <= 1


@given(texts)
def test_passes_are_the_official_ones(text):
    assert vqa.strip_punctuation(text) == vqa_official.process_punctuation(text)
    assert vqa.normalise(text) == vqa_official.process_digit_article(vqa_official.process_punctuation(text))


def test_the_fuzz_would_notice_a_repaired_period(monkeypatch):
    monkeypatch.setattr(vqa, "PERIOD", re.compile(r"(?<!\d)\.(?!\d)"))
    vqa.strip_punctuation.cache_clear()
    assert vqa.strip_punctuation("3.") != vqa_official.process_punctuation("3.")
    monkeypatch.undo()
    vqa.strip_punctuation.cache_clear()


def test_the_reference_gives_the_official_results(shared_data):
    folder = shared_data / "vqa2"
    annotations = json.loads((folder / "v2_mscoco_valsmall_annotations.json").read_text())["annotations"]
    for results in ("majority", "perturbed_majority"):
        rows = json.loads((folder / "official_eval" / f"{results}_results.json").read_text())
        printed = json.loads((folder / "official_eval" / f"{results}_expected.json").read_text())
        predictions = {row["question_id"]: row["answer"] for row in rows}
        assert vqa_official.evaluate(predictions, copy.deepcopy(annotations)) == printed
