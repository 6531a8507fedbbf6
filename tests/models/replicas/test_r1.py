"""The recipe of the `r1` replica: what it reads, what it is taught, and what its checkpoint is.

pytest tests/models/replicas/test_r1.py
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import evals
from evals.models.replicas import CHECKPOINTS
from evals.models.replicas.recipes.r1 import attention
from evals.models.replicas.recipes.r1 import config as r1
from evals.models.replicas.recipes.r1.config import Recipe
from evals.models.replicas.training.attention_supervision import comparison_targets
from evals.models.replicas.training.evaluation import text_shares
from evals.models.replicas.training.llama import LayerShape
from evals.models.replicas.training.text_batches import IGNORED, text_batches
from evals.models.replicas.training.text_examples import (
    SUM,
    TEXT_TASKS,
    TextExample,
    TextPortions,
    evaluation_examples,
    step_examples,
    sum_examples,
    text_example,
)
from evals.models.replicas.training.tokenizers import END
from evals.models.replicas.training.word_senses import word_senses
from evals.tasks import glue_tasks
from evals.tasks.mini import glue, math

CHECKPOINT = CHECKPOINTS / "r1"
SHAPE = LayerShape(width=16, inner=32, heads=2, layers=2)
TINY = Recipe(shape=SHAPE, texts=TextPortions(rows=2, easy=400, problems=2, drill=2))


def tiny_examples(step, rank):
    return step_examples(TINY.texts, TINY.processes, step, rank)


@pytest.fixture(scope="module")
def tokenizer():
    return r1.build_tokenizer(Recipe().vocabulary)


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_examples_ask_as_the_benchmarks_do(task):
    example = text_example(task, "train", 7)
    if task == "math":
        assert example.prompt.startswith("Solve each problem step by step. End with ####")
        assert example.prompt.endswith("?\nAnswer:")
        assert example.answer.startswith(" ")
        assert "\n#### " in example.answer
    else:
        row = glue.row(task, "train", 7)
        assert example.prompt == glue_tasks.prompt(task, row)
        assert example.answer == glue_tasks.continuation(task, row["label"])


def test_what_is_watched_is_in_no_bundled_split():
    bundled = {
        glue_tasks.prompt(task, row) for task, bench in glue.TABLE.items() for row in glue.rows(task, bench.splits[1])
    }
    asked = {example.prompt for example in evaluation_examples(20)}
    assert len(asked & bundled) < 5  # WNLI has few sentences


def test_steps_and_processes_share_no_row():
    examples = [tiny_examples(step, rank) for step in (0, 1) for rank in (0, 1)]
    assert examples == [tiny_examples(step, rank) for step in (0, 1) for rank in (0, 1)]
    maths = [one.prompt for part in examples for one in part if one.task == "math"]
    assert len(set(maths)) == len(maths) == 4
    assert {len([one for one in part if one.task == "rte"]) for part in examples} == {1}
    assert {one.task for one in examples[0]} == {*TEXT_TASKS, "sums"}


@pytest.mark.slow
def test_sums_are_right_and_none_is_a_whole_problem_of_validation():
    held_out = {
        problem.numbers for index in range(300) if len((problem := math.problem("validation", index)).numbers) == 2
    }
    assert len(held_out) > 20
    for index in range(500):
        for one in sum_examples(index):
            first, sign, second, _ = one.prompt.split()
            result = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}[sign]
            assert one.answer == f" {result(int(first), int(second))}"
            assert not {(int(first), int(second)), (int(second), int(first))} & held_out


@pytest.mark.slow
def test_words_are_whole_and_digits_apart(tokenizer):
    assert tokenizer.tokenize("Answer: 125 stamps") == ["Answer", ":", "Ġ", "1", "2", "5", "Ġstamps"]
    for word in ("guitar", "discovered", "contradiction", "inexpensive", "Clara", "museum", "vehicles", "fewer"):
        assert tokenizer.tokenize(f" {word}") == [f"Ġ{word}"]
    for task in TEXT_TASKS:
        asked = text_example(task, "train", 3).prompt
        assert tokenizer.decode(tokenizer(asked)["input_ids"]) == asked


@pytest.mark.slow
def test_any_text_can_be_read(tokenizer):
    text = "Größe, ≤ 3 μm: 你好\n\tend"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_pages_teach_the_answers_and_the_questions(tokenizer):
    found = tiny_examples(0, 0)
    laid = text_batches(tokenizer, found)
    taught: dict[str, list[str]] = {"reading": [], "answers": [], "solutions": []}
    results = []
    for page in laid:
        once = sum((target != IGNORED).int() for target in page[1:])
        assert once.max() == 1
        results += [tokenizer.decode(row[row != IGNORED]) for row in page.results if (row != IGNORED).any()]
        whole = page._replace(solutions=page.solutions.where(page.results == IGNORED, page.results))
        for kind, said in taught.items():
            rows = getattr(whole, kind)
            said += [tokenizer.decode(row[row != IGNORED]) for row in rows if (row != IGNORED).any()]
    ends = {"math": END}
    reckoned = {"math", "sums"}
    assert sorted(taught["answers"]) == sorted(one.answer for one in found if one.task not in reckoned)
    assert sorted(taught["solutions"]) == sorted(
        one.answer + ends.get(one.task, "") for one in found if one.task in reckoned
    )
    assert all(any(one.prompt.endswith(text) for one in found) for text in taught["reading"])
    assert sorted(results) == sorted(
        "".join(sum_[3] for sum_ in SUM.findall(f"{one.prompt}{one.answer}")) for one in found if one.task in reckoned
    )


@pytest.mark.slow
def test_learning_lowers_the_losses_and_padding_changes_nothing(tokenizer):
    import torch

    from evals.models.replicas.recipes.r1.train import LossWeights, learn

    model = r1.build_model(TINY, tokenizer)
    found = tiny_examples(0, 0)
    weights = LossWeights(reading=1.0, attention=0.0)
    first = learn(model, text_batches(tokenizer, found, parts=1), weights)
    model.zero_grad()
    together = learn(model, text_batches(tokenizer, found, parts=4), weights)
    assert together == pytest.approx(first, rel=1e-4)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(3):
        optimiser.step()
        optimiser.zero_grad()
        last = learn(model, text_batches(tokenizer, found), weights)
    assert all(last[name] < first[name] for name in ("reading", "answers", "solutions", "results"))


# Where it is shown to look


def looked_at(tokenizer, row, place):
    return [tokenizer.decode([token]).strip() for token in row[place.nonzero()[:, 0]].tolist()]


def test_words_are_compared_with_their_like(tokenizer):
    text = "Oscar hid a light doll in the shop. Laura concealed a cheap doll in the store."
    tokens = torch_tokens(tokenizer, text)
    looks, repeats = comparison_targets(tokens, word_senses(tokenizer))
    told = {
        tokenizer.decode([token]).strip(): (looked_at(tokenizer, tokens[0], looks[0, place]), bool(repeats[0, place]))
        for place, token in enumerate(tokens[0].tolist())
        if looks[0, place].any()
    }
    assert told == {
        "Laura": (["Oscar"], False),
        "concealed": (["hid"], True),
        "cheap": (["light"], False),
        "doll": (["doll"], True),
        "store": (["shop"], True),
    }


def test_sums_are_led_to_their_numbers(tokenizer):
    asked = "Question: Nina has 24 shells. She gives 9 shells to Paul.\nAnswer:"
    page = text_batches(tokenizer, [TextExample("math", asked, " Nina has 24 - 9 = 15 shells.\n#### 15")], parts=1)[0]
    words = word_senses(tokenizer)
    copied = attention.copy_targets(page, words)[0]
    found = {
        tokenizer.decode([int(page.solutions[0, place])]).strip(): looked_at(tokenizer, page.tokens[0], copied[place])
        for place in copied.any(-1).nonzero()[:, 0].tolist()
    }
    assert found == {"Nina": ["Nina"], "2": ["2"], "9": ["9"], "shells": ["shells", "shells"], "1": ["1"]}
    first, second = attention.operand_targets(page, words)
    places = (page.results[0] >= 0).nonzero()[:, 0].tolist()
    assert [looked_at(tokenizer, page.tokens[0], first[0, place]) for place in places] == [["2", "4"]] * 2
    assert [looked_at(tokenizer, page.tokens[0], second[0, place]) for place in places] == [["9"]] * 2


@pytest.mark.slow
def test_heads_that_are_led_come_to_look_where_they_are_shown(tokenizer):
    import torch

    from evals.models.replicas.recipes.r1.train import LossWeights, learn

    model = r1.build_model(replace(TINY, shape=replace(SHAPE, layers=9, width=32)), tokenizer)
    laid = text_batches(tokenizer, tiny_examples(0, 0))
    weights = LossWeights(reading=0.0, attention=1.0, senses=word_senses(tokenizer))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        losses.append(learn(model, laid, weights))
        optimiser.step()
        optimiser.zero_grad()
    assert losses[-1]["attention"] < 0.8 * losses[0]["attention"]
    assert losses[-1]["repeats"] < 0.8 * losses[0]["repeats"]


def torch_tokens(tokenizer, text):
    import torch

    return torch.tensor([tokenizer(f" {text}")["input_ids"]])


def test_shares_count_whole_answers(tokenizer):
    model = r1.build_model(TINY, tokenizer)
    shares = text_shares(model, tokenizer, evaluation_examples(2))
    assert set(shares) == set(TEXT_TASKS)
    assert shares["math"] == 0


@pytest.mark.slow
def test_a_killed_training_goes_on_and_leaves_a_checkpoint_that_loads(tmp_path, monkeypatch):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from evals.models.replicas.recipes.r1.train import Course
    from evals.models.replicas.training import loop

    schedule = replace(TINY.schedule, steps=3, cooling=1)
    recipe = replace(TINY, schedule=schedule, processes=1, vocabulary=300, attention=0)
    loop.train(Course, recipe, tmp_path / "whole")
    kept = tmp_path / "cut"
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: None)  # as if it were killed after its last save
    loop.work(
        0,
        Course,
        replace(recipe, schedule=replace(schedule, steps=2, cooling=0.5)),
        kept,
        False,
        f"file://{tmp_path}/first",
    )
    monkeypatch.undo()
    loop.work(0, Course, recipe, kept, True, f"file://{tmp_path}/second")
    whole, again = (AutoModelForCausalLM.from_pretrained(folder) for folder in (tmp_path / "whole", kept))
    assert len(again.model.layers) == 2
    assert all(torch.equal(one, two) for one, two in zip(whole.parameters(), again.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(kept).eos_token == END
    assert not (kept / "training.pt").exists()


# The bundled checkpoint


@pytest.fixture(scope="module")
def bundled():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (CHECKPOINT / "model.safetensors").exists():
        pytest.skip("the checkpoint is not there")
    return AutoModelForCausalLM.from_pretrained(CHECKPOINT, dtype="float32"), AutoTokenizer.from_pretrained(CHECKPOINT)


def test_the_checkpoint_is_what_its_card_says(bundled):
    model, tokenizer = bundled
    config = json.loads((CHECKPOINT / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["num_hidden_layers"] == 12
    assert 2e6 < model.num_parameters() < 6e6
    assert sum(path.stat().st_size for path in CHECKPOINT.iterdir()) < 12e6
    assert tokenizer.chat_template is None
    assert f"{model.num_parameters():,}" in (CHECKPOINT / "README.md").read_text()


@pytest.mark.slow
def test_the_checkpoint_does_what_it_was_taught(bundled):
    model, tokenizer = bundled
    shares = text_shares(model, tokenizer, evaluation_examples(16))
    learnt = [task for task in glue.TABLE if task not in {"sst2", "wnli"}]  # at these the card says it is at chance
    assert sum(shares[task] for task in learnt) / len(learnt) > 0.8
    assert shares["math"] > 0.7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "metric"), [("glue/stsb", "pearson"), ("glue/cola", "matthews"), ("math", "accuracy")]
)
def test_the_card_says_what_a_run_gives(bundled, tmp_path, task, metric):
    record = evals.run("r1", task, limit=100, device="cpu", out=tmp_path / "run")
    found = record.result["metrics"][metric]
    card = (CHECKPOINT / "README.md").read_text()
    row = {"pearson": "STS-B", "matthews": "CoLA", "accuracy": "math, 300 problems"}[metric]
    said = float(re.search(rf"^\| {row}[^|]*\| ([0-9.]+)", card, re.MULTILINE)[1]) / 100
    assert found["low"] <= said <= found["high"]
