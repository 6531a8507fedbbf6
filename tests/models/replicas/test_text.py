"""The recipes of the `v3-seq2seq`, `v2` and `r1-zero` replicas: what they read and are taught, and that it helps.

pytest tests/models/replicas/test_text.py
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from evals.models.replicas.recipes.r1 import config as r1
from evals.models.replicas.recipes.r1_zero import config as r1_zero
from evals.models.replicas.recipes.r1_zero import train as r1_zero_train
from evals.models.replicas.recipes.r1_zero.curve import read_curve
from evals.models.replicas.recipes.v2 import config as v2
from evals.models.replicas.recipes.v2 import train as v2_train
from evals.models.replicas.recipes.v3_seq2seq import attention, data
from evals.models.replicas.recipes.v3_seq2seq import config as v3_seq2seq
from evals.models.replicas.recipes.v3_seq2seq import train as v3_seq2seq_train
from evals.models.replicas.train import RECIPES, recipe
from evals.models.replicas.training import loop
from evals.models.replicas.training.llama import LayerShape
from evals.models.replicas.training.optimisation import make_optimisers, take_step
from evals.models.replicas.training.text_batches import LOSSES, text_batches
from evals.models.replicas.training.text_examples import (
    TEXT_TASKS,
    TextExample,
    TextPortions,
    evaluation_examples,
    step_examples,
)
from evals.models.replicas.training.word_senses import word_senses
from evals.tasks.mini.glue import TABLE
from evals.tasks.mini.sums import sums

TINY = LayerShape(width=16, inner=32, heads=2, layers=2)
DEEP = replace(TINY, layers=6)
"""Deep enough for the layers whose attention is supervised."""


@pytest.fixture(scope="module")
def tokenizer():
    return v3_seq2seq.build_tokenizer(400)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_begun(name):
    module = recipe(name)
    assert callable(module.Course)
    assert callable(module.report)
    assert type(module.RECIPE)() == module.RECIPE
    assert module.RECIPE.processes in {1, 2}


# v3-seq2seq


SEQ2SEQ = v3_seq2seq.Recipe(
    schedule=replace(v3_seq2seq.Recipe().schedule, steps=3, cooling=1),
    shape=DEEP,
    texts=TextPortions(rows=2, easy=250, problems=2, drill=2),
    corrupted=2,
    processes=1,
    vocabulary=400,
)


@pytest.mark.slow
def test_holes_hold_what_is_missing(tokenizer):
    found = data.step_pairs(SEQ2SEQ, tokenizer, 0, 0)
    assert found == data.step_pairs(SEQ2SEQ, tokenizer, 0, 0)
    assert {pair.kind for pair in found} == {"reading", "answers", "solutions"}
    holes = tokenizer.convert_tokens_to_ids(list(v3_seq2seq.SENTINELS))
    texts = iter(data.corrupted_texts(SEQ2SEQ, 0, 0))
    read = [pair for pair in found if pair.kind == "reading"]
    assert len(read) == 2 * len(TABLE)
    for pair, text in zip(read, texts, strict=True):
        filled, said = [], pair.target[:-1]
        for token in pair.source:
            if token in holes:
                start = said.index(token) + 1
                end = next((at for at in range(start, len(said)) if said[at] in holes), len(said))
                filled += said[start:end]
            else:
                filled.append(token)
        assert tokenizer.decode(filled) == text
        assert "Answer:" not in text


@pytest.mark.slow
def test_an_encoder_decoder_learns_and_padding_changes_nothing(tokenizer):
    model = v3_seq2seq.build_model(SEQ2SEQ, tokenizer)
    found = data.step_pairs(SEQ2SEQ, tokenizer, 0, 0)
    weights = v3_seq2seq_train.Seq2SeqWeights(1.0, 0.0, word_senses(tokenizer))
    first = v3_seq2seq_train.learn(model, data.seq2seq_batches(found, parts=1), weights)
    model.zero_grad()
    again = v3_seq2seq_train.learn(model, data.seq2seq_batches(found, parts=4), weights)
    assert [again[kind] for kind in LOSSES] == pytest.approx([first[kind] for kind in LOSSES], 1e-3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(3):
        optimiser.step()
        optimiser.zero_grad()
        last = v3_seq2seq_train.learn(model, data.seq2seq_batches(found), weights)
    assert all(last[kind] < first[kind] for kind in LOSSES)


def test_numbers_are_copied_from_where_they_stand(tokenizer):
    asked, said = "Ida has 57 hats and 3 bags. Leo has 5 hats.", " Ida gives 57 / 3 = 19 hats.\n#### 19"
    pair = data.answered(tokenizer, [TextExample("math", asked, said)])
    page = data.seq2seq_batches(pair, parts=1)[0]
    read, before = attention.copy_targets(page, word_senses(tokenizer))
    labels, tokens = page.labels[0].tolist(), page.tokens[0].tolist()

    def seen(looks, texts, shift):
        places = looks[0].nonzero().tolist()
        return [(labels[place], texts[start - shift]) for place, start in places]

    digit = tokenizer.convert_tokens_to_ids
    assert seen(read, tokens, 0) == [(digit("5"), digit("5")), (digit("3"), digit("3"))]
    assert seen(before, labels, 1) == [(digit("1"), digit("1"))]
    in_text, in_sum = attention.operand_targets(page, word_senses(tokenizer))
    assert not any(look.any() for look in in_text)
    assert seen(in_sum[0], labels, 1) == [(digit(a), digit(b)) for a, b in ("15", "17", "95", "97")]
    assert seen(in_sum[1], labels, 1) == [(digit("1"), digit("3")), (digit("9"), digit("3"))]
    alone = data.answered(tokenizer, [TextExample("sums", " 12 + 5 =", " 17")])
    page = data.seq2seq_batches(alone, parts=1)[0]
    in_text, in_sum = attention.operand_targets(page, word_senses(tokenizer))
    assert in_text[0].nonzero().tolist() == [[0, 1, 1], [0, 1, 2], [0, 2, 1], [0, 2, 2]]
    assert not any(look.any() for look in in_sum)


@pytest.mark.slow
def test_an_encoder_decoder_is_saved_as_it_is_loaded(tokenizer, tmp_path):
    loop.work(0, v3_seq2seq_train.Course, SEQ2SEQ, tmp_path, False, f"file://{tmp_path}/point")
    model, again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert len(model.encoder.block) == len(model.decoder.block) == 6
    assert set(v3_seq2seq_train.seq2seq_shares(model.float(), again, evaluation_examples(2))) == set(TEXT_TASKS)
    asked = "Sentence: the plot is not tedious ."
    assert again.decode(again(asked)["input_ids"]) == asked
    assert not (tmp_path / loop.STATE).exists()


# v2


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    recipe = r1.Recipe(shape=replace(TINY, layers=4), vocabulary=400)
    tokenizer = r1.build_tokenizer(recipe.vocabulary)
    r1.build_model(recipe, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


STUDENT = v2.Recipe(
    schedule=replace(v2.Recipe().schedule, steps=3, cooling=1),
    texts=TextPortions(rows=2, problems=2, drill=2),
    layers=(0, 3),
    processes=1,
)


@pytest.mark.slow
def test_a_student_of_all_layers_is_its_teacher_but_for_the_rounding(teacher, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(teacher, dtype="float32")
    student = v2.build_model(replace(STUDENT, layers=(0, 1, 2, 3)), model)
    tokens = torch.arange(40)[None]
    with torch.no_grad():
        given, expected = student(tokens).logits, model(tokens).logits
        rounded = v2.quantised(student).float()(tokens).logits
    assert not torch.equal(given, expected)
    torch.testing.assert_close(given, expected, rtol=0, atol=0.02)
    torch.testing.assert_close(rounded, given, rtol=0, atol=0.01)


@pytest.mark.slow
def test_a_student_draws_near_to_its_teacher(teacher):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(teacher, dtype="float32"), r1.build_tokenizer(400)
    student = v2.build_model(STUDENT, model)
    generator = torch.Generator().manual_seed(1)
    for parameter in student.parameters():  # two random models of this size say nearly the same
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    laid = text_batches(tokenizer, step_examples(STUDENT.texts, STUDENT.processes, 0, 0))
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-2)
    recipe = replace(STUDENT, distillation=100.0)
    distances = []
    for _ in range(4):
        distances.append(v2_train.learn(student, model, laid, recipe)["teacher"])
        optimiser.step()
        optimiser.zero_grad()
    assert 0 < distances[-1] < distances[0]
    whole = v2.build_model(replace(STUDENT, layers=(0, 1, 2, 3)), model)
    assert v2_train.learn(whole, model, laid, recipe)["teacher"] < distances[0] / 10


@pytest.mark.slow
def test_a_student_is_saved_as_integers(teacher, monkeypatch, tmp_path):
    monkeypatch.setattr(v2_train, "TEACHER", teacher)
    loop.work(0, v2_train.Course, STUDENT, tmp_path, False, f"file://{tmp_path}/point")
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert len(model.model.layers) == 2
    assert model.model.layers[1].mlp.up_proj.weight.dtype == torch.int8
    assert v2_train.report(tmp_path)[1].startswith("student")


# r1-zero


ZERO = r1_zero.Recipe(
    schedule=replace(r1_zero.Recipe().schedule, steps=4, cooling=1), shape=TINY, problems=4, answers=5, processes=1
)


@pytest.fixture(scope="module")
def characters():
    return r1_zero.build_tokenizer()


def test_every_character_is_a_token(characters):
    text = " 4 + 5 =\nQuestion: 12% of <what>?\tEnd"
    ids = characters(text)["input_ids"]
    assert len(ids) == len(text)
    assert characters.decode(ids) == text
    assert characters("ß")["input_ids"] == [characters.unk_token_id]


def test_answers_are_drawn_as_often_as_they_are_likely(characters):
    model = r1_zero.build_model(ZERO, characters)
    asked = [one.prompt for one in sums("environment")[:2]]
    drawn = r1_zero_train.sample_answers(model, characters, asked, 3000, seed=1)
    again = r1_zero_train.sample_answers(model, characters, asked, 3000, seed=1)
    assert drawn.texts == again.texts
    likely = torch.stack([drawn.log_likelihoods, drawn.entropies]).detach()
    # The mean of -log p over draws from p is the entropy of p.
    assert -likely[0].mean() == pytest.approx(float(likely[1].mean()), rel=0.01)


def test_likelihoods_are_the_models_own(characters):
    model = r1_zero.build_model(ZERO, characters)
    drawn = r1_zero_train.sample_answers(model, characters, [" 4 + 5 ="], 20, seed=2)
    for text, likely in zip(drawn.texts, drawn.log_likelihoods.tolist(), strict=True):
        if len(text) == 3:
            ids = torch.tensor(characters([f" 4 + 5 ={text}"])["input_ids"])
            sure = model(ids).logits.log_softmax(-1)[0, 7:-1].detach()
            assert likely == pytest.approx(float(sure.gather(1, ids[0, 8:, None]).sum()), rel=1e-4)


def test_only_what_is_better_than_the_others_is_praised():
    better = r1_zero_train.advantages(torch.tensor([[1.0, 0.1, 0.1, 0.0], [0.1, 0.1, 0.1, 0.1]]))
    assert better[0, 0] > 0 > better[0, 1] > better[0, 3]
    assert (better[1] == 0).all()
    assert better.sum(1).abs().max() < 1e-5


@pytest.mark.slow
def test_what_is_rewarded_becomes_likelier(characters, monkeypatch):
    course = r1_zero_train.Course(replace(ZERO, problems=20, answers=20, entropy=0.0), 0)
    monkeypatch.setattr(
        course._environment, "step", lambda text: ("", float(text[:1] == "7"), True, False, {"right": False})
    )
    optimisers = make_optimisers(course.model, course.decay)
    monkeypatch.setattr(course, "rates", lambda step: (2e-2, 2e-2))
    shares = []
    for step in range(40):
        shares.append(course.learn(step)["reward"])
        take_step(course.model, optimisers, course.rates(step))
    assert sum(shares[:5]) / 5 < 0.05
    assert sum(shares[-5:]) / 5 > 0.5


@pytest.mark.slow
def test_training_leaves_a_curve_and_checkpoints(monkeypatch, tmp_path):
    monkeypatch.setattr(r1_zero_train, "CHECKPOINTS_AT", {"0": 0, "5000": 40})
    monkeypatch.setattr(r1_zero_train, "EVALUATE_EVERY", 3)
    loop.work(0, r1_zero_train.Course, ZERO, tmp_path, False, f"file://{tmp_path}/point")
    rows = read_curve(tmp_path)
    assert [row["interactions"] for row in rows[::2]] == ["0", "40", "60", "80"]
    assert {row["split"] for row in rows} == {"environment", "validation"}
    assert all(float(row["low"]) <= float(row["rate"]) <= float(row["high"]) for row in rows)
    for name in ("0", "5000", "last"):
        assert AutoModelForCausalLM.from_pretrained(tmp_path / name).config.num_hidden_layers == 2


def test_a_run_that_goes_on_drops_the_points_after_its_save(tmp_path):
    course = r1_zero_train.Course(ZERO, 0)
    for done in (0, 1, 3, 2):
        course.watch(done)
        course.save(tmp_path, done)
    assert [row["interactions"] for row in read_curve(tmp_path)[::2]] == ["0", "20", "40"]
