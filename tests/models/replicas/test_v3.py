"""The `v3` replica: what its recipe reads and teaches, that it helps, and what is saved.

python -m pytest tests/models/replicas/test_v3.py
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transformers
from safetensors.torch import load_file

from evals.models.families import two_streams
from evals.models.replicas.recipes.v3 import config, data, train
from evals.models.replicas.recipes.v3.data import question_batch, row_batches
from evals.models.replicas.recipes.v3.evaluation import evaluation_set
from evals.models.replicas.recipes.v3.losses import answer_logits, row_losses
from evals.models.replicas.training import loop
from evals.models.replicas.training.image_examples import evaluation_sheets
from evals.models.replicas.training.llama import LayerShape
from evals.models.replicas.training.patches import PATCHES, pixels
from evals.models.replicas.training.text_batches import IGNORED
from evals.models.replicas.training.text_examples import GLUE_TASKS, TextPortions
from evals.models.replicas.training.word_senses import word_senses
from evals.tasks.mini.vqa import HELD_OUT

TINY = config.Recipe(
    shape=LayerShape(layers=5, width=20, inner=40, heads=2), vision_layers=1, shared=8, vocabulary=500, scenes=4,
    images=4, questions=3, groups=1, texts=TextPortions(rows=1, easy=2), seeing=2, learning=3, cooling=1, warmup=1,
    detached=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "TOKENIZER_SAMPLES", (40, 10, 20))
        return config.build_tokenizer(TINY.vocabulary)


@pytest.fixture
def model(tokenizer):
    return config.build_model(TINY, tokenizer)


def test_the_tower_begins_as_that_of_vl():
    whole = config.Recipe()
    words = transformers.AutoTokenizer.from_pretrained(config.TOWER)
    words.add_special_tokens({"cls_token": "<|s|>", "sep_token": "<|e|>", "bos_token": "<|b|>"})
    tower = config.build_model(whole, words, config.TOWER)["answering"].vision_model
    vl = transformers.AutoModelForImageTextToText.from_pretrained(config.TOWER, dtype=torch.float32).model.vision_model
    shown = pixels([sheet.scene for sheet in evaluation_sheets(1)])
    with torch.no_grad():
        states, others = tower.embeddings(shown)[:, 1:], vl.embeddings(shown)
        torch.testing.assert_close(states, others)
        for own, other in zip(tower.encoder.layers, vl.encoder.layers, strict=True):
            states, others = own(states), other(others, None)
        torch.testing.assert_close(tower.post_layernorm(states), vl.post_layernorm(others), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_packed_questions_are_read_as_if_alone(tokenizer, model):
    sheets = [replace_questions(sheet, 3) for sheet in evaluation_sheets(2)]
    batch = question_batch(tokenizer, sheets)
    answering = model["answering"]
    with torch.no_grad():
        states = answering.vision_model(pixels([sheet.scene for sheet in sheets])).last_hidden_state
        read = answering.text_encoder(
            batch.tokens, position_ids=batch.positions, attention_mask=batch.mask, encoder_hidden_states=states
        ).last_hidden_state
        packed = answer_logits(model, read.flatten(0, 1)[batch.token_indices], batch.is_token, batch.answers)
        row = 0
        for image, sheet in enumerate(sheets):
            for question in sheet.questions:
                ids = torch.tensor([tokenizer(question.text)["input_ids"]])
                alone = answering.text_encoder(ids, encoder_hidden_states=states[image : image + 1])
                said = answering.text_decoder(
                    batch.answers.tokens[row : row + 1], encoder_hidden_states=alone.last_hidden_state
                ).logits
                torch.testing.assert_close(packed[row : row + 1], said, rtol=1e-3, atol=1e-4)
                label = [token for token in batch.answers.labels[row].tolist() if token != IGNORED]
                assert tokenizer.decode(label, skip_special_tokens=True) == f" {question.answer}"
                row += 1
    assert row == len(packed)


def replace_questions(sheet, number):
    return sheet._replace(questions=sheet.questions[:number])


def test_where_to_look_is_said_of_words(tokenizer):
    sheets = evaluation_sheets(3)
    batch = question_batch(tokenizer, sheets)
    for image, place in batch.names.tokens.tolist():
        names = {str(name).split()[-1] for question in sheets[image].questions for name in question.names}
        plural = {name.plural.split()[-1] for question in sheets[image].questions for name in question.names}
        said = tokenizer.decode(batch.tokens[image, : place + 1]).split()[-1].rstrip("?")
        assert any(said in word or word in said for word in names | plural)
    for image, place in batch.questions.tokens.tolist():
        assert batch.tokens[image, place] == tokenizer.cls_token_id
    assert batch.questions.patches.shape[1] == PATCHES**2


@pytest.mark.slow
def test_a_step_reads_training_streams_only():
    sheets, told = data.step_scenes(TINY, 5)
    shown = {
        (thing.color, thing.shape)
        for scene in [*(s.scene for s in sheets), *(s for s, _ in told)]
        for thing in scene.things
    }
    assert not shown & HELD_OUT
    assert data.step_scenes(TINY, 5) == (sheets, told)
    assert {one.task for one in data.step_rows(TINY, 5)} == set(GLUE_TASKS)
    assert data.step_rows(TINY, 0) != data.step_rows(TINY, 1)


@pytest.mark.slow
def test_labels_are_learnt_with_where_words_look(tokenizer, model):
    page = row_batches(tokenizer, data.step_rows(replace(TINY, texts=TextPortions(rows=2)), 0), parts=1)[0]
    sense = word_senses(tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    told = []
    for _ in range(12):
        losses = row_losses(model, page, sense, 1.0)
        told.append({name: float(loss.detach()) for name, loss in losses.items()})
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    for name in ("labels", "comparison", "repeats"):
        assert told[-1][name] < told[0][name]


@pytest.mark.slow
def test_a_run_is_saved_as_both_classes(tokenizer, tmp_path, monkeypatch):
    watched = evaluation_set(pairs=1, groups=2, rows=1)
    monkeypatch.setattr(train, "evaluation_set", lambda **_: watched)
    monkeypatch.setattr(train, "build_tokenizer", lambda _: tokenizer)
    monkeypatch.setattr(train, "EVALUATE_EVERY", 2)
    loop.work(0, train.Course, TINY, tmp_path, False, f"file://{tmp_path}/point")
    weights = load_file(tmp_path / "model.safetensors")
    loaded = two_streams.load("tiny", str(tmp_path), two_streams.Placement("cpu"))
    assert loaded.abilities == {"generate", "choose", "embed"}
    for kind in (two_streams.ANSWERING, two_streams.MATCHING):
        own = getattr(transformers, kind).from_pretrained(tmp_path, dtype=torch.float32)
        for name in ("text_encoder.embeddings.word_embeddings.weight", "vision_model.post_layernorm.weight"):
            torch.testing.assert_close(own.state_dict()[name], weights[name].float())
    assert all(weight.dtype == torch.float16 for weight in weights.values())
    monkeypatch.setattr(train, "RECIPE", TINY)
    assert train.report(tmp_path)[0].startswith("evaluation stream: {'vqa'")
