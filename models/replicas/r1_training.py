"""Runs the recipe of the `r1` replica: processes, steps, optimisers, and a checkpoint every now and then."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.replicas.r1 import (
    IGNORED,
    Page,
    Recipe,
    build_model,
    build_tokenizer,
    lessons,
    marks,
    pages,
    watched,
)
from tasks.mini.lessons import Lesson

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

WATCH_EVERY = 100
"""Steps between two looks at the watched stream; a checkpoint is saved at the same time."""
EXAM = 40
"""Lessons of each task that are watched."""


def train(recipe: Recipe, out: Path, *, resume: bool = False) -> None:
    """Train a replica and save it, in as many processes as the recipe says.

    Args:
        recipe: What to do.
        out: Folder for the checkpoint; every `WATCH_EVERY` steps what there is so far is saved, beside `training.pt`.
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
    optimisers = _optimisers(model, recipe)
    first = _load(out, model, optimisers) if resume else 0
    exam: list[Lesson] = watched(EXAM) if rank == 0 else []
    bar = tqdm(
        range(first, recipe.steps), initial=first, total=recipe.steps, disable=rank > 0, mininterval=10, unit="step"
    )
    for step in bar:
        reading = recipe.reading * max(0.1, 1 - 0.9 * step / recipe.early)
        losses = learn(model, pages(tokenizer, lessons(recipe, step, rank)), reading)
        _average_gradients(model)
        _step(model, optimisers, recipe, step)
        if rank == 0 and ((step + 1) % WATCH_EVERY == 0 or step + 1 == recipe.steps):
            said = " ".join(f"{loss:.3f}" for loss in losses)
            bar.write(f"step {step + 1} reading, answers, solutions {said}; {marks(model, tokenizer, exam)}")
            _save(out, model, tokenizer, optimisers, step + 1)
        bar.update()
    if rank == 0:
        (out / "training.pt").unlink(missing_ok=True)
    distributed.barrier()
    distributed.destroy_process_group()


def learn(model: LlamaForCausalLM, laid: Sequence[Page], reading: float) -> tuple[float, float, float]:
    """Add the gradients of some pages, and give the mean losses of reading, answers and solutions.

    A label is one token and a worked solution fifty: each kind counts as a whole, or labels would hardly count.
    """
    from torch.nn.functional import cross_entropy

    totals = [sum(int((page[kind] != IGNORED).sum()) for page in laid) for kind in (1, 2, 3)]
    losses = [0.0, 0.0, 0.0]
    for page in laid:
        logits = model(page.tokens, use_cache=False).logits.flatten(0, 1)
        parts = [
            cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="sum") / max(1, total)
            for targets, total in zip(page[1:], totals, strict=True)
        ]
        (reading * parts[0] + parts[1] + parts[2]).backward()
        losses = [loss + float(part.detach()) for loss, part in zip(losses, parts, strict=True)]
    return losses[0], losses[1], losses[2]


def _optimisers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    from torch.optim import AdamW

    from models.replicas.muon import Muon

    named = list(model.named_parameters())
    inside = [parameter for name, parameter in named if parameter.ndim == 2 and "embed" not in name]
    others = [parameter for name, parameter in named if parameter.ndim != 2 or "embed" in name]
    return [
        Muon(inside, lr=recipe.muon_rate, weight_decay=recipe.decay),
        AdamW(others, lr=recipe.rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _average_gradients(model: LlamaForCausalLM) -> None:
    """Give every process the mean of all gradients, sent as one vector."""
    import torch
    from torch import distributed

    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(together)
    together /= distributed.get_world_size()
    for gradient, mean in zip(gradients, together.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _step(model: LlamaForCausalLM, optimisers: Sequence[torch.optim.Optimizer], recipe: Recipe, step: int) -> None:
    """Take one step at the rates of the schedule."""
    import torch

    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    share = min(1, (step + 1) / recipe.warmup, (recipe.steps - step) / recipe.cooling)
    for optimiser, rate in zip(optimisers, (recipe.muon_rate, recipe.rate), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate * share
        optimiser.step()
        optimiser.zero_grad()


def _save(
    out: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    optimisers: Sequence[torch.optim.Optimizer],
    step: int,
) -> None:
    """Save the checkpoint at half precision, which is what it is worth, and what a killed run goes on from."""
    import torch

    copy.deepcopy(model).to(torch.float16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    state = {"step": step, "model": model.state_dict(), "optimisers": [one.state_dict() for one in optimisers]}
    torch.save(state, out / "training.part")
    (out / "training.part").replace(out / "training.pt")


def _load(out: Path, model: LlamaForCausalLM, optimisers: Sequence[torch.optim.Optimizer]) -> int:
    """Load what `_save` saved, and give the next step."""
    import torch

    if not (out / "training.pt").exists():
        return 0
    state = torch.load(out / "training.pt", weights_only=True)
    model.load_state_dict(state["model"])
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return int(state["step"])
