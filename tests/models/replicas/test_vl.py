"""The `vl` replica: its files, its tokens, its recipe, and that it sees.

python -m pytest tests/models/replicas/test_vl.py
"""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path

import pytest
import torch
import transformers

from evals.models.families import vision_language
from evals.models.replicas.recipes.vl import train
from evals.models.replicas.recipes.vl.config import Recipe, build_model, build_processor, build_tokenizer
from evals.models.replicas.recipes.vl.evaluation import conversation, evaluate_checkpoint
from evals.models.replicas.recipes.vl.losses import answer_losses, read_questions
from evals.models.replicas.train import CHECKPOINTS
from evals.models.replicas.training import contrastive, loop
from evals.models.replicas.training.image_examples import evaluation_sheets
from evals.models.replicas.training.llama import LayerShape
from evals.models.replicas.training.muon import Muon, orthogonal
from evals.models.replicas.training.optimisation import make_optimisers, take_step
from evals.models.replicas.training.patches import (
    PATCH,
    PATCHES,
    WORDS,
    patch_shares,
    patch_words,
    pixels,
    word_ids,
)
from evals.models.replicas.training.question_packing import INSTRUCTION, Packer
from evals.records.embeddings import unpack
from evals.schema import Batch, Embed, Group, Image, Placement
from evals.tasks.mini.images.drawing import draw
from evals.tasks.mini.images.scenes import Scene, Thing
from evals.tasks.mini.retrieval import group
from evals.tasks.mini.vqa import PAIRS, SceneQuestion, split

CHECKPOINT = CHECKPOINTS / "vl"
SMALL = Recipe(
    shape=LayerShape(layers=5, width=20, inner=40, heads=2), vision_layers=1, images=4, scenes=4, questions=4,
    processes=1,
)  # fmt: skip

TEXTS = [
    "What color is the large striped heart?",
    "Is the man's   hat red, or 12.5% blue?",
    "naïve 你好 <b>\tx\n\n y",
    " bottom right",
]


@pytest.fixture(scope="module")
def processor():
    return transformers.AutoProcessor.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def packer(processor):
    return Packer(processor.tokenizer)


@pytest.fixture
def small(processor):
    return build_model(SMALL, processor.tokenizer)


@pytest.fixture(scope="module")
def sheets():
    return evaluation_sheets(2)


def test_checkpoint_is_small_and_safe():
    sizes = {path.name: path.stat().st_size for path in CHECKPOINT.iterdir()}
    assert {name.partition(".")[2] for name in sizes} <= {"safetensors", "json", "jinja", "md"}
    assert sum(sizes.values()) < 12_000_000


def test_checkpoint_loads_as_what_it_is(processor):
    model = transformers.AutoModelForImageTextToText.from_pretrained(CHECKPOINT, dtype=torch.float32)
    assert type(model).__name__ == "DeepseekVLForConditionalGeneration"
    assert type(processor).__name__ == "DeepseekVLProcessor"
    assert 2_000_000 <= sum(parameter.numel() for parameter in model.parameters()) <= 6_000_000
    assert processor.num_image_tokens == PATCHES**2


def test_tokens_come_back_as_text(processor):
    for text in TEXTS:
        assert processor.tokenizer.decode(processor.tokenizer(text)["input_ids"]) == text


@pytest.mark.slow
def test_recipe_makes_the_bundled_tokenizer(processor):
    tokenizer = build_tokenizer(Recipe().vocabulary)
    assert tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == processor.tokenizer(text)["input_ids"]


def test_every_word_of_a_patch_is_one_token(processor):
    ids = word_ids(processor.tokenizer)
    assert processor.tokenizer.convert_ids_to_tokens(ids) == [f"Ġ{word}" for word in WORDS]


@pytest.mark.parametrize("question", ["Is there a star?", "\nWhy?", " two", "ß"])
def test_prefix_is_a_prefix_of_every_prompt(processor, packer, sheets, question):
    rendered = processor.apply_chat_template(conversation(question), add_generation_prompt=True)
    assert INSTRUCTION + question in rendered
    given = processor(text=rendered, images=draw(sheets[0].scene), return_tensors="pt")
    assert given["input_ids"][0, : len(packer.prefix)].tolist() == packer.prefix
    assert given["input_ids"].shape[1] > len(packer.prefix)


def test_recipe_and_processor_see_the_same_pixels(processor, sheets):
    scenes = [sheet.scene for sheet in sheets]
    given = processor.image_processor([draw(scene) for scene in scenes], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(given, pixels(scenes), rtol=0, atol=1e-6)


def test_packed_questions_read_as_if_each_stood_alone(small, packer, sheets):
    together = read_questions(small, packer.pack(sheets)).logits
    alone = [
        read_questions(small, packer.pack([sheet._replace(questions=(question,))])).logits
        for sheet in sheets
        for question in sheet.questions
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_packed_questions_read_as_the_model_itself_reads(small, processor, packer, sheets):
    sheet = sheets[0]._replace(questions=sheets[0].questions[:1])
    batch = packer.pack([sheet])
    rendered = processor.apply_chat_template(conversation(sheet.questions[0].text), add_generation_prompt=True)
    given = processor(text=rendered, images=draw(sheet.scene), return_tensors="pt")
    expected = small(**given).logits[0, -1]
    torch.testing.assert_close(read_questions(small, batch).logits[0], expected, rtol=1e-4, atol=1e-5)


def test_names_look_at_what_they_fit(packer, sheets):
    batch = packer.pack(sheets)
    for looks in (batch.names, batch.questions):
        torch.testing.assert_close(looks.patches.sum(-1), torch.ones(len(looks.patches)))
        assert (batch.tokens[looks.tokens[:, 0], looks.tokens[:, 1]] > 0).all()
    asked = packer.tokenizer.convert_ids_to_tokens(
        batch.tokens[batch.questions.tokens[:, 0], batch.questions.tokens[:, 1]]
    )
    assert set(asked) == {"<|Assistant|>"}


def test_patches_are_told_by_what_covers_them():
    scene = Scene("white", (Thing("square", "red", "large", "solid", 18, 18, 14),), seed=1)
    words = patch_words(scene, patch_shares(scene))
    there, elsewhere = words[1 * PATCHES + 1], words[-1]
    assert {word for word, said in zip(WORDS, there, strict=True) if said} == {
        "square",
        "red",
        "large",
        "solid",
        "left",
        "top",
    }
    assert {word for word, said in zip(WORDS, elsewhere, strict=True) if said} == {"background", "white"}
    assert PATCH * PATCHES == 96


def test_muon_makes_steps_with_even_singular_values():
    generator = torch.Generator().manual_seed(1)
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 20, 12, generator=generator)))
    assert 0.5 < values.min() <= values.max() < 1.5


def test_muon_leaves_what_has_no_gradient():
    still, moved = torch.nn.Parameter(torch.ones(3, 3)), torch.nn.Parameter(torch.ones(3, 3))
    moved.grad = torch.eye(3)
    Muon([still, moved], lr=0.1).step()
    assert (still == 1).all()
    assert (moved != 1).any()


@pytest.mark.slow
def test_vision_stays_as_it_is_at_first(small, packer, monkeypatch):
    monkeypatch.setattr(train, "build_tokenizer", lambda vocabulary: packer.tokenizer)
    course = train.Course(SMALL, 0)
    course.model = small
    for step, learns in ((0, False), (int(SMALL.frozen * SMALL.horizon), True)):
        small.zero_grad()
        course.answer(step)
        assert (small.model.aligner.linear1.weight.grad is not None) is learns
        assert small.model.language_model.layers[0].self_attn.q_proj.weight.grad is not None


@pytest.mark.slow
def test_training_goes_on_where_it_stopped(processor, monkeypatch, tmp_path):
    monkeypatch.setattr(train, "build_tokenizer", lambda vocabulary: processor.tokenizer)

    def steps(course, optimisers, first, last):
        for step in range(first, last):
            assert course.learn(step).keys() == {"words"}
            take_step(course.model, optimisers, course.rates(step))

    course = train.Course(SMALL, 0)
    optimisers = make_optimisers(course.model, course.decay)
    steps(course, optimisers, 0, 2)
    loop.save_state(tmp_path, course, optimisers, 2)
    steps(course, optimisers, 2, 4)
    again = train.Course(SMALL, 0)
    others = make_optimisers(again.model, again.decay)
    steps(again, others, loop.load_state(tmp_path, again, others), 4)
    for one, other in zip(course.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_rate_rises_falls_and_cools():
    recipe = Recipe()
    rates = [train.adamw_rate(recipe, recipe.seeing + step) for step in range(recipe.steps)]
    assert max(rates) <= recipe.rate
    assert rates[0] < rates[recipe.warmup // 2] < rates[recipe.warmup]
    assert rates[recipe.warmup :] == sorted(rates[recipe.warmup :], reverse=True)
    assert rates[-1] == pytest.approx(recipe.rate / 20, rel=0.05)
    last = [train.adamw_rate(recipe, recipe.seeing + recipe.steps + step) for step in range(recipe.matching)]
    assert last[0] < last[recipe.warming]
    assert max(last) <= recipe.matching_rate
    assert last[recipe.warming :] == sorted(last[recipe.warming :], reverse=True)


def test_padding_and_company_change_no_embedding(small, packer):
    texts = ["A red star.", "A large dotted red star is above a small blue heart on a gray background.", "Two stars."]
    together = contrastive.embed_texts(small, packer.tokenizer, texts * 2)
    alone = torch.cat([contrastive.embed_texts(small, packer.tokenizer, [text]) for text in texts])
    torch.testing.assert_close(together, alone.repeat(2, 1), rtol=1e-4, atol=1e-5)


def test_recipe_embeds_as_the_family_does(small, processor, packer, tmp_path):
    small.save_pretrained(tmp_path)
    build_processor(processor.tokenizer).save_pretrained(tmp_path)
    model = vision_language.load("small", str(tmp_path), Placement("cpu"))
    told = group(7_000_000, allowed=PAIRS)[0]
    drawing = io.BytesIO()
    draw(told.scene).save(drawing, "PNG")
    asked = [Embed("0", (Image("0", data=drawing.getvalue()),)), Embed("0#0", (told.captions[0],))]
    prompts = [model.prepare(request) for request in asked]
    batch = Batch((Group(0, (0,)), Group(0, (1,))))
    seen, read = (torch.tensor(unpack(one.output)) for one in model.run(prompts, batch, model.stage(prompts, batch)))
    with torch.no_grad():
        expected = contrastive.embed_images(small, packer.tokenizer, [told.scene])
        torch.testing.assert_close(seen, expected[0], rtol=1e-4, atol=1e-5)
        expected = contrastive.embed_texts(small, packer.tokenizer, told.captions[:1])
        torch.testing.assert_close(read, expected[0], rtol=1e-4, atol=1e-5)


def test_questions_that_name_nothing_teach_no_looks(small, packer, sheets):
    question = SceneQuestion(1, 1, "Why?", "other", "red", 1, None, ())
    batch = packer.pack([sheets[0]._replace(questions=(question,))])
    losses = answer_losses(small, word_ids(packer.tokenizer), batch, attention_weight=0.1)
    assert losses["attention"] == 0
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_matching_wants_own_captions_nearest_and_forgives_several():
    images, right = torch.eye(3), torch.eye(3).repeat_interleave(2, dim=0)
    assert contrastive.contrastive_loss(images, right) < 0.01
    assert contrastive.contrastive_loss(images, right.roll(2, dims=0)) > 10
    alike = contrastive.contrastive_loss(torch.ones(3, 3), torch.ones(6, 3))
    assert alike.item() == pytest.approx((math.log(3) + math.log(5)) / 2)


@pytest.mark.slow
def test_third_stage_learns_with_every_part(processor, monkeypatch):
    monkeypatch.setattr(train, "build_tokenizer", lambda vocabulary: processor.tokenizer)
    recipe = dataclasses.replace(SMALL, matched=4, rehearsed=2)
    course = train.Course(recipe, 0)
    losses = course.learn(recipe.seeing + recipe.steps)
    assert losses.keys() == {"answers", "words", "attention", "contrastive"}
    assert all(parameter.grad is not None for parameter in course.model.parameters())


@pytest.mark.slow
def test_a_stage_starts_from_saved_weights(small, processor, monkeypatch, tmp_path):
    monkeypatch.setattr(train, "build_tokenizer", lambda vocabulary: processor.tokenizer)
    small.save_pretrained(tmp_path / "saved")
    loop.start_at(train.Course, dataclasses.replace(SMALL, seed=9), {tmp_path / "saved": 1}, 2050, tmp_path)
    course = train.Course(dataclasses.replace(SMALL, seed=9), 0)
    assert loop.load_state(tmp_path, course, make_optimisers(course.model, course.decay)) == 2050
    for one, other in zip(course.model.parameters(), small.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_a_replica_is_saved_as_it_is_loaded(small, processor, packer, tmp_path: Path):
    small.save_pretrained(tmp_path)
    build_processor(processor.tokenizer).save_pretrained(tmp_path)
    result = evaluate_checkpoint(tmp_path, split("validation")[:2])
    assert set(result.with_images) == set(result.blind)


@pytest.mark.slow
def test_replica_sees():
    result = evaluate_checkpoint(CHECKPOINT, split("validation")[:60])
    assert result.with_images["all"] >= 0.6
    assert result.with_images["all"] - result.blind["all"] >= 0.25
