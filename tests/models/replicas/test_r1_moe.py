"""The bundled `r1-moe` checkpoint: what it is, runs and scores, with 8 and with other numbers of experts at work.

pytest tests/models/replicas/test_r1_moe.py
"""

from __future__ import annotations

import json
import re

import pytest

import evals
from evals import registry
from evals.models.replicas.train import CHECKPOINTS
from evals.registry import VARIANTS

FOLDER = CHECKPOINTS / "r1-moe"
CARDS = [
    ("tones", "accuracy", "tones", 200),
    ("vqa", "accuracy", "vqa", 200),
    ("retrieval", "image-to-text/recall@5", "retrieval, a caption of the image among the first 5", None),
    ("glue/qqp", "accuracy", "QQP, accuracy", 100),
    ("glue/mrpc", "accuracy", "MRPC, accuracy", 100),
]
"""What is run again here: task, metric, the row of the card that says what it gives, how many samples."""
OTHERS = (2, 4, 16, 64)

registry.discover()


@pytest.fixture(scope="module")
def card():
    return (FOLDER / "README.md").read_text()


@pytest.fixture(scope="module")
def loaded():
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from evals.models.architectures import mixture  # noqa: F401  # so that the library knows what such a checkpoint is

    model = AutoModelForImageTextToText.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
    return model, AutoProcessor.from_pretrained(FOLDER).tokenizer


def test_the_checkpoint_is_what_its_card_says(card):
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["text_config"]["model_type"] == "deepseek_v3"
    assert config["vision_config"]["model_type"] == "resnet"
    assert (config["text_config"]["n_routed_experts"], config["text_config"]["num_experts_per_tok"]) == (64, 8)
    assert {path.suffix for path in FOLDER.iterdir()} <= {".json", ".safetensors", ".md", ".jinja"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12e6
    for what in ("parameters", "Seed", "steps", "What it cannot do", "minutes"):
        assert what in card


@pytest.mark.slow
def test_it_runs_every_task_that_it_says(tmp_path):
    assert {"glue", "vqa", "retrieval", "tones"} <= set(VARIANTS.get("r1-moe").tasks)
    for task in VARIANTS.get("r1-moe").tasks:
        record = evals.run("r1-moe", task, limit=2, device="cpu", out=tmp_path / task)
        assert record.result["n"] >= 2
        assert record.result["failed"] == 0


def said(card, row, column=0):
    """The figure in a column of the card's row, as a fraction."""
    line = re.search(rf"^\| {re.escape(row)} \|(.*)$", card, re.MULTILINE)
    return float(re.match(r"\s*(-?[0-9.]+)", line[1].split("|")[column])[1]) / 100


@pytest.mark.slow
@pytest.mark.parametrize(("task", "metric", "row", "limit"), CARDS, ids=[task for task, *_ in CARDS])
def test_the_card_says_what_a_run_gives(card, task, metric, row, limit, tmp_path):
    found = evals.run("r1-moe", task, limit=limit, device="cpu", out=tmp_path / "run").result["metrics"][metric]
    assert found["low"] <= said(card, row) <= found["high"]


@pytest.mark.slow
@pytest.mark.parametrize("experts", OTHERS)
def test_the_card_says_what_other_numbers_of_experts_give(card, experts, tmp_path):
    record = evals.run(f"r1-moe@{experts}", "tones", limit=60, device="cpu", out=tmp_path / "run")
    assert record.manifest["model"]["experts_per_token"] == experts
    found = record.result["metrics"]["accuracy"]
    assert found["low"] <= said(card, f"{experts} experts") <= found["high"]


@pytest.mark.slow
def test_the_number_of_experts_is_part_of_the_signature(tmp_path):
    signatures = [
        evals.run(name, "tones", limit=2, device="cpu", out=tmp_path / name).manifest["signature"]
        for name in ("r1-moe", "r1-moe@4")
    ]
    assert len(set(signatures)) == 2


@pytest.mark.slow
def test_all_experts_are_used(loaded):
    """Over a few hundred tokens of two kinds every token has eight experts, and hardly one of 64 is idle."""
    import torch

    from evals.models.replicas.recipes.r1_moe.config import DIGITS
    from evals.models.replicas.recipes.r1_moe.losses import audio_answers
    from evals.models.replicas.training.text_batches import text_batches
    from evals.models.replicas.training.text_examples import GLUE_TASKS, evaluation_examples

    model, tokenizer = loaded
    gates = [layer.mlp.gate for layer in model.model.language_model.layers[1:]]
    chosen = {gate: [] for gate in gates}
    watches = [gate.register_forward_hook(lambda gate, _, routed: chosen[gate].append(routed[2])) for gate in gates]
    with torch.no_grad():
        audio_answers(model, tokenizer, 7_000_000, len(DIGITS))
        for page in text_batches(tokenizer, evaluation_examples(4, GLUE_TASKS)):
            model(page.tokens, use_cache=False)
    for watch in watches:
        watch.remove()
    for gate in gates:
        experts = torch.cat(chosen[gate])
        assert all(len(set(row)) == 8 for row in experts.tolist())
        assert int((experts.flatten().bincount(minlength=64) == 0).sum()) <= 6


@pytest.mark.slow
def test_a_step_learns_from_what_was_learnt(loaded):
    """The losses that trained it are far below what they are without knowledge, and give gradients to every expert."""
    import torch

    from evals.models.replicas.recipes.r1_moe.data import attribute_ids
    from evals.models.replicas.recipes.r1_moe.losses import audio_loss, image_losses
    from evals.models.replicas.training.image_examples import evaluation_sheets
    from evals.models.replicas.training.patches import word_ids
    from evals.models.replicas.training.question_packing import Packer

    model, tokenizer = loaded
    batch = Packer(tokenizer).pack(evaluation_sheets(2))
    losses = image_losses(model, batch, word_ids(tokenizer), attribute_ids(tokenizer))
    heard = audio_loss(model, tokenizer, 8_000_000, 4)
    assert heard < 0.7
    assert losses["words"] < 0.2
    (losses["answers"] + heard).backward()
    experts = model.model.language_model.layers[2].mlp.experts.down_proj.grad
    assert int((experts.abs().amax((1, 2)) > 0).sum()) > 48
    assert torch.isfinite(losses["attention"])


def test_steps_of_a_clip_know_their_digit():
    from evals.models.replicas.recipes.r1_moe.config import DIGITS, STEPS
    from evals.models.replicas.recipes.r1_moe.data import STEP_SAMPLES, audio_clips, step_digits

    features, clips = audio_clips(9_000_000, 5)
    truth = step_digits(clips)
    assert tuple(features.shape) == (5, 40, 50)
    assert tuple(truth.shape) == (5, STEPS, len(DIGITS) + 1)
    for one, steps in zip(clips, truth, strict=True):
        said = [step for step in range(STEPS) if not steps[step, -1]]
        assert all(steps[step, DIGITS.index(one.digit)] for step in said)
        assert said == list(range(said[0], said[-1] + 1))
        assert (
            abs(len(said) * STEP_SAMPLES - (one.end - one.start)) <= 1.5 * STEP_SAMPLES
        )  # a quarter of a step at either end counts


def test_a_stack_of_matrices_is_orthogonalised_matrix_by_matrix():
    import torch

    from evals.models.replicas.training.muon import Muon

    torch.manual_seed(0)
    together = torch.nn.Parameter(torch.zeros(3, 4, 6))
    apart = [torch.nn.Parameter(torch.zeros(4, 6)) for _ in range(3)]
    gradients = torch.randn(3, 4, 6)
    together.grad = gradients.clone()
    for one, gradient in zip(apart, gradients, strict=True):
        one.grad = gradient.clone()
    Muon([together], lr=0.1).step()
    Muon(apart, lr=0.1).step()
    assert torch.allclose(together, torch.stack(list(apart)), atol=1e-6)
