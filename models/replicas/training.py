"""Runs the recipe of the `vl` replica: processes, steps, optimisers, what a killed run goes on from."""

from __future__ import annotations

import math
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.replicas.packing import IGNORED, WORDS, Batch, Packer, patch_shares, patch_words, pixels
from models.replicas.vl import (
    PREFIX,
    Recipe,
    build_model,
    build_processor,
    build_tokenizer,
    lesson,
    look_loss,
    read,
    sight,
    watched,
    word_loss,
)
from tasks.mini.scenes import COLORS, SHAPES, SIZES, TEXTURES
from tasks.mini.vqa import Sheet

if TYPE_CHECKING:
    import torch
    from transformers import DeepseekVLForConditionalGeneration

WATCH_EVERY = 50
"""Steps between two looks at the watched stream; the training state is saved at the same time."""


def train(recipe: Recipe, out: Path, *, resume: bool = False) -> None:
    """Train a replica and save it, in as many processes as the recipe says.

    Args:
        recipe: What to do.
        out: Folder for the checkpoint; holds `training.pt` meanwhile.
        resume: Go on from `training.pt` if it is there.
    """
    from torch import multiprocessing

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as meeting:
        multiprocessing.spawn(_work, (recipe, out, resume, f"file://{meeting}/point"), nprocs=recipe.processes)


def _work(rank: int, recipe: Recipe, out: Path, resume: bool, meeting: str) -> None:
    """Be one of the processes: all hold the same weights and average their gradients at every step."""
    import torch
    from torch import distributed
    from tqdm import tqdm

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=recipe.processes)
    tokenizer = build_tokenizer(recipe.vocabulary)
    model = build_model(recipe, tokenizer)
    packer = Packer(tokenizer, PREFIX)
    word_ids = torch.tensor([tokenizer.convert_tokens_to_ids(tokenizer.tokenize(f" {word}"))[0] for word in WORDS])
    optimisers = _optimisers(model, recipe)
    first = _load(out, model, optimisers) if resume else 0
    sheets = watched(60)
    exam = packer.pack(sheets)
    total = recipe.seeing + recipe.steps
    bar = tqdm(range(first, total), initial=first, total=total, disable=rank > 0, mininterval=10, unit="step")
    for step in bar:
        if step < recipe.seeing:
            losses = _see(model, word_ids, recipe, step, rank)
        else:
            for seeing in (model.model.vision_model, model.model.aligner):
                seeing.requires_grad_(step - recipe.seeing >= recipe.still * recipe.horizon)
            losses = _answer(model, word_ids, packer, recipe, step - recipe.seeing, rank)
        sum(losses.values()).backward()
        _average_gradients(model)
        _step(model, optimisers, recipe, step)
        if rank == 0 and (step + 1) % WATCH_EVERY == 0:
            _save(out, model, optimisers, step + 1)
            marks = _aspects(model, word_ids, exam) if step < recipe.seeing else _marks(model, exam, sheets)
            told = {name: round(loss.item(), 3) for name, loss in losses.items()}
            bar.write(f"step {step + 1} loss {told} right {marks}", file=sys.stdout)
            sys.stdout.flush()
    if rank == 0:
        bar.write(f"flat images {_marks(model, exam._replace(pixels=torch.zeros_like(exam.pixels)), sheets)}")
        model.to(torch.float16).save_pretrained(out)
        build_processor(tokenizer).save_pretrained(out)
    distributed.barrier()
    distributed.destroy_process_group()


def _see(
    model: DeepseekVLForConditionalGeneration, word_ids: torch.Tensor, recipe: Recipe, step: int, rank: int
) -> dict[str, torch.Tensor]:
    """Give the losses of a step of the first stage."""
    import torch

    scenes = sight(recipe, step, rank)
    patches = model.model.get_image_features(pixels(scenes)).pooler_output
    words = torch.stack([patch_words(scene, patch_shares(scene)) for scene in scenes])
    return {"words": 10 * word_loss(patches, model.get_input_embeddings().weight[word_ids], words)}


def _answer(
    model: DeepseekVLForConditionalGeneration,
    word_ids: torch.Tensor,
    packer: Packer,
    recipe: Recipe,
    step: int,
    rank: int,
) -> dict[str, torch.Tensor]:
    """Give the losses of a step of the second stage; what only helps counts less and less, to a tenth halfway on."""
    import torch

    batch = packer.pack(lesson(recipe, step, rank))
    reading = read(model, batch)
    answers = torch.nn.functional.cross_entropy(reading.logits, batch.labels[batch.labels != IGNORED])
    words = word_loss(reading.patches, model.get_input_embeddings().weight[word_ids], batch.words)
    looks = look_loss(model, batch, reading)
    helping = max(0.1, 1 - 2 * step / recipe.horizon)
    return {"answers": answers, "words": 5 * words, "looks": helping * looks}


def _aspects(model: DeepseekVLForConditionalGeneration, word_ids: torch.Tensor, exam: Batch) -> dict[str, float]:
    """Give the share of patches with a thing whose colour, shape, ... comes first among the words for it."""
    import torch

    with torch.no_grad():
        patches = model.model.get_image_features(exam.pixels).pooler_output
        near = (
            torch.nn.functional.normalize(patches, dim=-1)
            @ torch.nn.functional.normalize(model.get_input_embeddings().weight[word_ids], dim=-1).T
        )
    thing = exam.words[..., WORDS.index("background")] == 0
    right = {}
    for name, words in {"color": tuple(COLORS), "shape": SHAPES, "size": SIZES, "texture": TEXTURES}.items():
        columns = [WORDS.index(word) for word in words]
        same = near[..., columns].argmax(-1) == exam.words[..., columns].argmax(-1)
        right[name] = round(same[thing].float().mean().item(), 3)
    return right


def _optimisers(model: DeepseekVLForConditionalGeneration, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings, norms and biases."""
    from torch.optim import AdamW

    from models.replicas.muon import Muon

    inside = [parameter for name, parameter in model.named_parameters() if parameter.ndim == 2 and "embed" not in name]
    others = [parameter for name, parameter in model.named_parameters() if parameter.ndim != 2 or "embed" in name]
    if not recipe.muon:
        return [AdamW(inside + others, lr=recipe.rate, betas=(0.9, 0.95), weight_decay=recipe.decay)]
    return [
        Muon(inside, lr=recipe.rate, weight_decay=recipe.decay),
        AdamW(others, lr=recipe.rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _average_gradients(model: DeepseekVLForConditionalGeneration) -> None:
    """Give every process the mean of all gradients, sent as one vector."""
    import torch
    from torch import distributed

    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(together)
    together /= distributed.get_world_size()
    for gradient, mean in zip(gradients, together.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _step(
    model: DeepseekVLForConditionalGeneration, optimisers: Sequence[torch.optim.Optimizer], recipe: Recipe, step: int
) -> None:
    import torch

    from models.replicas.muon import Muon

    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    rate = _rate(recipe, step)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate * (2 if isinstance(optimiser, Muon) else 1)
        optimiser.step()
        optimiser.zero_grad()


def _rate(recipe: Recipe, step: int) -> float:
    """Give AdamW's learning rate at a step of the whole training; Muon's is twice as high."""
    if step < recipe.seeing:
        return recipe.seeing_rate * min(1, (step + 1) / recipe.warmup) * _cosine(step / recipe.seeing)
    done, leave = step - recipe.seeing, recipe.steps - recipe.cooling
    share = _cosine(min(done, leave) / recipe.horizon)
    if done > leave:
        share += (0.05 - share) * (done - leave) / recipe.cooling
    return recipe.rate * min(1, (done + 1) / recipe.warmup) * share


def _cosine(part: float) -> float:
    """Fall from 1 to a twentieth as a part goes from 0 to 1."""
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * part))


def _marks(model: DeepseekVLForConditionalGeneration, exam: Batch, sheets: Sequence[Sheet]) -> dict[str, float]:
    """Give the share of answers that greedy generation would get exactly right, in all and by answer type."""
    import torch

    with torch.no_grad():
        logits = read(model, exam).logits
    labels = exam.labels[exam.labels != IGNORED]
    right = (logits.argmax(-1) == labels).tolist()
    ends = [index for index, label in enumerate(labels.tolist()) if label == model.config.text_config.eos_token_id]
    starts = [0, *(end + 1 for end in ends)]
    whole = [all(right[start : end + 1]) for start, end in zip(starts, ends, strict=False)]
    kinds = [question.answer_type for sheet in sheets for question in sheet.questions]
    totals, hits = Counter(kinds), Counter(kind for kind, hit in zip(kinds, whole, strict=True) if hit)
    return {
        "all": round(sum(whole) / len(whole), 3),
        **{kind: round(hits[kind] / totals[kind], 3) for kind in sorted(totals)},
    }


def _save(out: Path, model: Any, optimisers: Sequence[torch.optim.Optimizer], step: int) -> None:
    import torch

    state = {
        "step": step,
        "model": model.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
    }
    torch.save(state, out / "training.part")
    (out / "training.part").replace(out / "training.pt")


def _load(out: Path, model: Any, optimisers: Sequence[torch.optim.Optimizer]) -> int:
    import torch

    if not (out / "training.pt").exists():
        return 0
    state = torch.load(out / "training.pt", weights_only=True)
    model.load_state_dict(state["model"])
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return int(state["step"])
