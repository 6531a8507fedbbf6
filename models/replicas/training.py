"""Runs the recipe of the `vl` replica: processes, steps, optimisers, and what a killed run goes on from."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.replicas import exam, teaching
from models.replicas.packing import Packer
from models.replicas.vl import PREFIX, Recipe, build_model, build_processor, build_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import DeepseekVLForConditionalGeneration

WATCH_EVERY = 50
"""Steps between two looks at what training is watched on; its state is saved at the same time."""


def train(recipe: Recipe, out: Path, *, resume: bool = False) -> None:
    """Train the replica and save it, in as many processes as the recipe says.

    Args:
        recipe: What to do.
        out: Folder for the checkpoint; holds `training.pt` until it is finished.
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
    packer, words = Packer(tokenizer, PREFIX), teaching.word_ids(tokenizer)
    optimisers = _optimisers(model, recipe)
    first, total = _load(out, model, optimisers) if resume else 0, recipe.seeing + recipe.steps
    bar = tqdm(range(first, total), initial=first, total=total, disable=rank > 0, mininterval=10, unit="step")
    for step in bar:
        if step < recipe.seeing:
            losses = teaching.see(model, words, recipe, step, rank)
        else:
            losses = teaching.answer(model, words, packer, recipe, step - recipe.seeing, rank)
        torch.stack(list(losses.values())).sum().backward()
        _average_gradients(model)
        _step(model, optimisers, recipe, step)
        if rank == 0 and (step + 1) % WATCH_EVERY == 0:
            _save(out, model, optimisers, step + 1)
            marks = (exam.sight if step < recipe.seeing else exam.answers)(model, packer, words)
            said = " ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items())
            bar.write(f"step {step + 1} loss {said} right {marks}", file=sys.stderr)
    if rank == 0:
        model.to(torch.float16).save_pretrained(out)
        build_processor(tokenizer).save_pretrained(out)
        (out / "training.pt").unlink(missing_ok=True)
    distributed.barrier()
    distributed.destroy_process_group()


def _optimisers(model: DeepseekVLForConditionalGeneration, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Give Muon for the matrices inside the layers, AdamW for embeddings, norms and biases."""
    from torch.optim import AdamW

    from models.replicas.muon import Muon

    inside = [parameter for name, parameter in model.named_parameters() if parameter.ndim == 2 and "embed" not in name]
    others = [parameter for name, parameter in model.named_parameters() if parameter.ndim != 2 or "embed" in name]
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
    """Take one step, at its rate."""
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


def _save(
    out: Path, model: DeepseekVLForConditionalGeneration, optimisers: Sequence[torch.optim.Optimizer], step: int
) -> None:
    """Keep all that the next step depends on; a kill while writing leaves the one before."""
    import torch

    kept = {"step": step, "model": model.state_dict(), "optimisers": [each.state_dict() for each in optimisers]}
    torch.save(kept, out / "training.part")
    (out / "training.part").replace(out / "training.pt")


def _load(out: Path, model: DeepseekVLForConditionalGeneration, optimisers: Sequence[torch.optim.Optimizer]) -> int:
    """Take up what `_save` kept, and give the step to go on with."""
    import torch

    if not (out / "training.pt").exists():
        return 0
    kept = torch.load(out / "training.pt", weights_only=True)
    model.load_state_dict(kept["model"])
    for optimiser, state in zip(optimisers, kept["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    return int(kept["step"])
