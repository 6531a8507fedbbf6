"""How the `r1` replica is trained: what a step learns from, and what is watched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.r1.config import (
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
from evals.models.replicas.training import alignment, loop

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

WATCH_EVERY = 100
"""Steps between two looks at the watched stream."""
EXAM = 40
"""Lessons of each task that are watched."""

RECIPE = Recipe()


class Course:
    """One process's side of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe, self._rank = recipe, rank
        self.tokenizer = build_tokenizer(recipe.vocabulary)
        self.model = build_model(recipe, self.tokenizer)
        self.steps, self.decay = recipe.steps, recipe.decay
        self.stops = range(WATCH_EVERY, recipe.steps, WATCH_EVERY)
        self._exam = watched(EXAM) if rank == 0 else []
        self._words = alignment.sense(self.tokenizer) if recipe.looks else None

    def rates(self, step: int) -> tuple[float, float]:
        """Rise, stay, and fall to nothing."""
        return loop.rates(self._recipe, step)

    def learn(self, step: int) -> dict[str, float]:
        """Learn from the step's lessons; reading, and where to look, count less and less."""
        recipe = self._recipe
        share = max(0.1, 1 - 0.9 * step / recipe.early)
        weights = Weights(recipe.reading * share, recipe.looks * share, self._words)
        return learn(self.model, pages(self.tokenizer, lessons(recipe, step, self._rank)), weights)

    def watch(self, done: int) -> str:
        """Mark the watched stream."""
        return str(marks(self.model, self.tokenizer, self._exam))

    def save(self, out: Path, done: int) -> None:
        """Save the model and its tokenizer."""
        loop.save_model(self.model, self.tokenizer, out)


def report(out: Path) -> list[str]:
    """Say what a finished checkpoint reaches on more of the watched stream."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(out, dtype="float32")
    return [f"watched stream: {marks(model, AutoTokenizer.from_pretrained(out), watched(5 * EXAM))}"]


class Weights(NamedTuple):
    """How much it counts what is learnt beside the answers."""

    reading: float
    looks: float
    words: alignment.Sense | None = None
    """What is compared; None leads nothing."""


def learn(model: LlamaForCausalLM, laid: Sequence[Page], weights: Weights) -> dict[str, float]:
    """Add the gradients of some pages, and give the mean losses by name.

    A label is one token and a worked solution fifty: each kind counts as a whole, or labels would hardly count.
    """
    from torch.nn.functional import cross_entropy

    kinds = ("reading", "answers", "solutions", "results")
    totals = [sum(int((getattr(page, kind) != IGNORED).sum()) for page in laid) for kind in kinds]
    losses = dict.fromkeys((*kinds, "looks", "likes"), 0.0)
    for page in laid:
        said = model(page.tokens, use_cache=False, output_hidden_states=weights.words is not None)
        logits = said.logits.flatten(0, 1)
        parts = {
            kind: cross_entropy(logits, getattr(page, kind).flatten(), ignore_index=IGNORED, reduction="sum")
            / max(1, total)
            for kind, total in zip(kinds, totals, strict=True)
        }
        whole = weights.reading * parts["reading"] + parts["answers"] + parts["solutions"] + parts["results"]
        if weights.words is not None:
            looks, likes = alignment.lead(model, page, said.hidden_states, weights.words)
            parts |= {"looks": looks / len(laid), "likes": likes / len(laid)}
            whole = whole + weights.looks * (parts["looks"] + parts["likes"])
        whole.backward()
        losses = {name: loss + float(parts[name].detach()) if name in parts else loss for name, loss in losses.items()}
    return losses
