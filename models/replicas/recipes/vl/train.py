"""How the `vl` replica is trained: its stages, their rates, and what is watched."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evals.models.replicas.recipes.vl.config import PREFIX, Recipe, build_model, build_processor, build_tokenizer
from evals.models.replicas.recipes.vl.data import Packer
from evals.models.replicas.training import exam, loop, matching, teaching
from evals.tasks.mini.vqa import split

if TYPE_CHECKING:
    import torch

WATCH_EVERY = 50
"""Steps between two looks at what training is watched on."""

FOUND = 100
"""Pictures that finding is watched on, with 500 captions."""

RECIPE = Recipe()


class Course:
    """One process's side of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe, self._rank = recipe, rank
        self._tokenizer = build_tokenizer(recipe.vocabulary)
        self.model = build_model(recipe, self._tokenizer)
        self.steps = recipe.seeing + recipe.steps + recipe.matching + recipe.settling
        self.decay = recipe.decay
        self.stops = range(WATCH_EVERY, self.steps, WATCH_EVERY)
        self._packer, self._words = Packer(self._tokenizer, PREFIX), teaching.word_ids(self._tokenizer)

    def rates(self, step: int) -> tuple[float, float]:
        """Give Muon twice AdamW's rate."""
        rate = _rate(self._recipe, step)
        return 2 * rate, rate

    def learn(self, step: int) -> dict[str, float]:
        """See first, then answer, then match."""
        recipe, taught = self._recipe, step - self._recipe.seeing
        if taught < 0:
            return _backward(teaching.see(self.model, self._words, recipe, step, self._rank))
        if taught < recipe.steps:
            return _backward(teaching.answer(self.model, self._words, self._packer, recipe, taught, self._rank))
        return self._match(taught - recipe.steps)

    def _match(self, step: int) -> dict[str, float]:
        """Go on answering, and match; one after the other, as each takes its memory."""
        self.model.requires_grad_(True)
        recipe = self._recipe
        if step >= recipe.matching:
            recipe = replace(recipe, matched=recipe.settling_matched, rehearsed=recipe.settling_rehearsed)
            step += matching.APART
        sheets, losses = matching.rehearsed(recipe, step, self._rank), {}
        if sheets:  # of so few images all may have turned out to be alike
            batch = self._packer.pack(sheets)
            losses = _backward(teaching.answer_losses(self.model, self._words, batch, looks=0.1))
        loss = matching.match(self.model, self._tokenizer, recipe, step, self._rank)
        return losses | _backward({"match": loss})

    def watch(self, done: int) -> str:
        """Say which share of patches is named right, later of questions answered right, then also of what is found."""
        if done <= self._recipe.seeing:
            return str(exam.sight(self.model, self._packer, self._words))
        answered = str(exam.answers(self.model, self._packer, self._words))
        if done <= self._recipe.seeing + self._recipe.steps:
            return answered
        return f"{answered} found {matching.found(self.model, self._tokenizer, FOUND)}"

    def save(self, out: Path, done: int) -> None:
        """Save the model and its processor."""
        loop.save_model(self.model, build_processor(self._tokenizer), out)


def _backward(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    """Add the gradients of the sum of some losses."""
    import torch

    torch.stack(list(losses.values())).sum().backward()
    return {name: loss.item() for name, loss in losses.items()}


def report(out: Path) -> list[str]:
    """Say what a finished checkpoint reaches on the bundled splits."""
    results = {name: exam.sit(out, split(name)) for name in ("validation", "test")}
    return [f"{name}: {result.seeing}; flat images: {result.blind}" for name, result in results.items()]


def _rate(recipe: Recipe, step: int) -> float:
    """Give AdamW's learning rate at a step of the whole training; Muon's is twice as high."""
    if step < recipe.seeing:
        return recipe.seeing_rate * min(1, (step + 1) / recipe.warmup) * _cosine(step / recipe.seeing)
    done, leave = step - recipe.seeing, recipe.steps - recipe.cooling
    if done >= recipe.steps:
        matched = done - recipe.steps
        if matched >= recipe.matching:
            settled = matched - recipe.matching
            return recipe.settling_rate * min(1, (settled + 1) / 10) * _cosine(settled / recipe.settling)
        return recipe.matching_rate * min(1, (matched + 1) / recipe.warming) * _cosine(matched / recipe.matching)
    share = _cosine(min(done, leave) / recipe.horizon)
    if done > leave:
        share += (0.05 - share) * (done - leave) / recipe.cooling
    return recipe.rate * min(1, (done + 1) / recipe.warmup) * share


def _cosine(part: float) -> float:
    """Fall from 1 to a twentieth as a part goes from 0 to 1."""
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * part))
