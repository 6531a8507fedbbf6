"""How the `r1` replica is trained: what a step learns from, and what is watched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.replicas import loop
from models.replicas.r1 import IGNORED, Page, Recipe, build_model, build_tokenizer, lessons, marks, pages, watched

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
        self.stops = {*range(WATCH_EVERY, recipe.steps, WATCH_EVERY), recipe.steps}
        self._exam = watched(EXAM) if rank == 0 else []

    def rates(self, step: int) -> tuple[float, float]:
        """Rise, stay, and fall to nothing."""
        recipe = self._recipe
        share = min(1, (step + 1) / recipe.warmup, (recipe.steps - step) / recipe.cooling)
        return recipe.muon_rate * share, recipe.rate * share

    def learn(self, step: int) -> dict[str, float]:
        """Learn from the step's lessons; reading counts less and less."""
        reading = self._recipe.reading * max(0.1, 1 - 0.9 * step / self._recipe.early)
        losses = learn(self.model, pages(self.tokenizer, lessons(self._recipe, step, self._rank)), reading)
        return dict(zip(("reading", "answers", "solutions"), losses, strict=True))

    def watch(self, done: int) -> str:
        """Mark the watched stream."""
        return str(marks(self.model, self.tokenizer, self._exam))

    def save(self, out: Path, done: int) -> None:
        """Save the model and its tokenizer."""
        loop.save_model(self.model, out)
        self.tokenizer.save_pretrained(out)


def begin(recipe: Recipe, rank: int) -> Course:
    """Make the course of one process."""
    return Course(recipe, rank)


def report(out: Path) -> list[str]:
    """Say what a finished checkpoint reaches on more of the watched stream."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(out, dtype="float32")
    return [f"watched stream: {marks(model, AutoTokenizer.from_pretrained(out), watched(5 * EXAM))}"]


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
