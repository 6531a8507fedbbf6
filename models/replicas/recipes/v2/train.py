"""The `v2` replica: the `r1` replica cut to half its layers, taught by the whole one, and kept as 8-bit integers.

- It begins as six of the twelve layers of `r1`, evenly taken, with its embeddings (pruning).
- It learns to say what is right, and to be as sure of it as `r1` is: at every token that is to be said, its
  distribution over the vocabulary is drawn to the teacher's (distillation, Hinton et al., arXiv 1503.02531).
- While it learns, it computes with its weights as they will be rounded, and learns past the rounding as if there were
  none (quantisation-aware training with a straight-through estimator, Jacob et al., arXiv 1712.05877).

Saved are the integers: `evals.models.architectures.int8` says how.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evals.models.replicas import CHECKPOINTS
from evals.models.replicas.recipes.r1 import config
from evals.models.replicas.recipes.r1.config import IGNORED, Page
from evals.models.replicas.recipes.r1.train import EXAM, WATCH_EVERY
from evals.models.replicas.training import loop

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

TEACHER = CHECKPOINTS / "r1"


@dataclass(frozen=True)
class Recipe:
    """All that settles the checkpoint, with the teacher's weights."""

    steps: int = 400
    cooling: int = 200
    rows: int = 8
    easy: int = 0
    problems: int = 8
    drill: int = 24
    """As of `r1`, but for its easy beginning."""
    processes: int = 1
    rate: float = 1e-3
    muon_rate: float = 2e-3
    warmup: int = 20
    decay: float = 0.02
    reading: float = 0.1
    """Weight of continuing the questions; 0.1 is where `r1`'s training ends."""
    taught: float = 1.0
    """Weight of being as sure as the teacher is, beside the task's own loss."""
    kept: tuple[int, ...] = (0, 2, 4, 7, 9, 11)
    """Layers of the teacher that the student begins with."""
    first: int = 100_000
    """The step of `r1`'s stream of lessons that it begins at: the teacher has not seen these."""


def build_model(recipe: Recipe, teacher: LlamaForCausalLM) -> LlamaForCausalLM:
    """Take some layers of the teacher, and let their weights be rounded whenever they are used."""
    from torch import nn

    from evals.models.architectures.int8 import RoundedLinear

    model = copy.deepcopy(teacher).requires_grad_(True).train()
    model.model.layers = nn.ModuleList([model.model.layers[number] for number in recipe.kept])
    model.config.num_hidden_layers = len(recipe.kept)
    for number, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = number
        for part in (layer.self_attn, layer.mlp):
            for name, linear in list(part.named_children()):
                if isinstance(linear, nn.Linear):
                    new = RoundedLinear(linear.in_features, linear.out_features, bias=False)
                    new.weight = linear.weight
                    setattr(part, name, new)
    return model


def integers(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Give a copy of a model in training whose layers hold integers; embeddings and norms at half precision."""
    import torch

    from evals.models.architectures.int8 import quantise

    copied = copy.deepcopy(model)
    quantise(copied)
    for parameter in copied.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(torch.float16)
    return copied


def learn(model: LlamaForCausalLM, teacher: LlamaForCausalLM, laid: Sequence[Page], recipe: Recipe) -> dict[str, float]:
    """Add the gradients of some pages; give the mean losses of `r1`'s kinds, and how far the teacher is off.

    How far: the Kullback-Leibler divergence in nats a token, weighed as the losses are.
    """
    import torch
    from torch.nn.functional import cross_entropy, kl_div

    kinds = {"reading": recipe.reading, "answers": 1.0, "solutions": 1.0, "results": 1.0}
    totals = {kind: sum(int((getattr(page, kind) != IGNORED).sum()) for page in laid) for kind in kinds}
    losses = dict.fromkeys((*kinds, "teacher"), 0.0)
    for page in laid:
        with torch.no_grad():
            surely = teacher(page.tokens, use_cache=False).logits.flatten(0, 1).log_softmax(-1)
        likely = model(page.tokens, use_cache=False).logits.flatten(0, 1).log_softmax(-1)
        far = kl_div(likely, surely, reduction="none", log_target=True).sum(-1)
        loss = torch.zeros(())
        for kind, weight in kinds.items():
            flat = getattr(page, kind).flatten()
            task = cross_entropy(likely, flat, ignore_index=IGNORED, reduction="sum") / max(1, totals[kind])
            apart = far[flat != IGNORED].sum() / max(1, totals[kind])
            loss = loss + weight * (task + recipe.taught * apart)
            losses[kind] += float(task.detach())
            losses["teacher"] += weight * float(apart.detach())
        loss.backward()
    return losses


class Course:
    """One process's side of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._recipe, self._rank = recipe, rank
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(TEACHER)
        self._teacher = AutoModelForCausalLM.from_pretrained(TEACHER, dtype="float32").eval()
        self.model = build_model(recipe, self._teacher)
        self.steps, self.decay = recipe.steps, recipe.decay
        self.stops = range(0, recipe.steps, WATCH_EVERY)
        self._exam = config.watched(EXAM) if rank == 0 else []

    def rates(self, step: int) -> tuple[float, float]:
        """Rise, stay, and fall to nothing."""
        return loop.rates(self._recipe, step)

    def learn(self, step: int) -> dict[str, float]:
        """Learn from lessons that the teacher has not seen."""
        found = config.lessons(self._recipe, self._recipe.first + step, self._rank)
        return learn(self.model, self._teacher, config.pages(self.tokenizer, found), self._recipe)

    def watch(self, done: int) -> str:
        """Mark the watched stream."""
        return str(config.marks(self.model, self.tokenizer, self._exam))

    def save(self, out: Path, done: int) -> None:
        """Save the integers and the tokenizer."""
        integers(self.model).save_pretrained(out)
        self.tokenizer.save_pretrained(out)


RECIPE = Recipe()


def report(out: Path) -> list[str]:
    """Say what the teacher and a finished checkpoint reach on more of the watched stream."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from evals.models.architectures import int8  # noqa: F401  # so that the library knows what such a checkpoint is

    tokenizer, exam = AutoTokenizer.from_pretrained(out), config.watched(5 * EXAM)
    lines = []
    for name, folder in (("teacher", TEACHER), ("student", out)):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        lines.append(f"{name} on the watched stream: {config.marks(model, tokenizer, exam)}")
    return lines
