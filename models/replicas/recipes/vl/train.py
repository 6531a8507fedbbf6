"""How the `vl` replica is trained: its four stages, their learning rates, and the evaluation during training."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from evals.models.replicas.recipes.vl.config import Recipe, build_model, build_processor, build_tokenizer
from evals.models.replicas.recipes.vl.data import SETTLING_OFFSET, step_questions, step_rehearsal
from evals.models.replicas.recipes.vl.evaluation import evaluate_checkpoint
from evals.models.replicas.recipes.vl.losses import answer_losses
from evals.models.replicas.training import loop
from evals.models.replicas.training.contrastive import step_contrastive_loss
from evals.models.replicas.training.evaluation import answers_right, patch_shares_right, retrieval_shares
from evals.models.replicas.training.image_examples import step_scenes
from evals.models.replicas.training.optimisation import backward
from evals.models.replicas.training.patches import scene_word_loss, word_ids
from evals.models.replicas.training.question_packing import Packer
from evals.tasks.mini.vqa import split

EVALUATE_EVERY = 50
"""Steps between two evaluations during training."""

RETRIEVAL_IMAGES = 100
"""Images, with 500 captions, among which retrieval is evaluated during training."""

RECIPE = Recipe()


class Course:
    """One process's part of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe, self._rank = recipe, rank
        self._tokenizer = build_tokenizer(recipe.vocabulary)
        self.model = build_model(recipe, self._tokenizer)
        self.steps = recipe.seeing + recipe.steps + recipe.matching + recipe.settling
        self.decay = recipe.decay
        self.stops = range(EVALUATE_EVERY, self.steps, EVALUATE_EVERY)
        self._packer, self._words = Packer(self._tokenizer), word_ids(self._tokenizer)

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates; Muon's is twice AdamW's."""
        rate = adamw_rate(self._recipe, step)
        return 2 * rate, rate

    def learn(self, step: int) -> dict[str, float]:
        """Learn to see, then to answer, then to match."""
        recipe, answering_step = self._recipe, step - self._recipe.seeing
        if answering_step < 0:
            scenes = step_scenes(recipe, step, self._rank)
            return backward({"words": 10 * scene_word_loss(self.model, self._words, scenes)})
        if answering_step < recipe.steps:
            return self.answer(answering_step)
        return self._match(answering_step - recipe.steps)

    def answer(self, step: int) -> dict[str, float]:
        """Learn from a step of stage 2; attention counts less and less."""
        recipe = self._recipe
        for part in (self.model.model.vision_model, self.model.model.aligner):
            part.requires_grad_(step >= recipe.frozen * recipe.horizon)
        attention_weight = max(0.1, 1 - 2 * step / recipe.horizon)
        batch = self._packer.pack(step_questions(recipe, step, self._rank))
        return backward(answer_losses(self.model, self._words, batch, attention_weight))

    def _match(self, step: int) -> dict[str, float]:
        """Learn from a step of stage 3 or 4: questions first, then captions, so that they do not share the memory."""
        self.model.requires_grad_(True)
        recipe = self._recipe
        if step >= recipe.matching:
            recipe = replace(recipe, matched=recipe.settling_matched, rehearsed=recipe.settling_rehearsed)
            step += SETTLING_OFFSET
        sheets, losses = step_rehearsal(recipe, step, self._rank), {}
        if sheets:  # with so few images, every pair may have been dropped because its scenes are too similar
            losses = backward(answer_losses(self.model, self._words, self._packer.pack(sheets), attention_weight=0.1))
        loss = step_contrastive_loss(self.model, self._tokenizer, recipe, step, self._rank)
        return losses | backward({"contrastive": loss})

    def watch(self, steps_done: int) -> str:
        """Return the share of patches named right; in later stages, of right answers, then also the recall."""
        if steps_done <= self._recipe.seeing:
            return str(patch_shares_right(self.model, self._packer, self._words))
        answers = str(answers_right(self.model, self._packer))
        if steps_done <= self._recipe.seeing + self._recipe.steps:
            return answers
        return f"{answers} retrieval {retrieval_shares(self.model, self._tokenizer, RETRIEVAL_IMAGES)}"

    def save(self, out: Path, steps_done: int) -> None:
        """Save the model and its processor."""
        loop.save_model(self.model, build_processor(self._tokenizer), out)


def report(out: Path) -> list[str]:
    """Evaluate a finished checkpoint on the bundled splits."""
    scores_by_split = {name: evaluate_checkpoint(out, split(name)) for name in ("validation", "test")}
    return [f"{name}: {scores.with_images}; blind: {scores.blind}" for name, scores in scores_by_split.items()]


def adamw_rate(recipe: Recipe, step: int) -> float:
    """Compute AdamW's learning rate at a step of the whole training."""
    if step < recipe.seeing:
        return recipe.seeing_rate * min(1, (step + 1) / recipe.warmup) * _cosine(step / recipe.seeing)
    stage_step, cooling_start = step - recipe.seeing, recipe.steps - recipe.cooling
    if stage_step >= recipe.steps:
        matched = stage_step - recipe.steps
        if matched >= recipe.matching:
            settled = matched - recipe.matching
            return recipe.settling_rate * min(1, (settled + 1) / 10) * _cosine(settled / recipe.settling)
        return recipe.matching_rate * min(1, (matched + 1) / recipe.warming) * _cosine(matched / recipe.matching)
    share = _cosine(min(stage_step, cooling_start) / recipe.horizon)
    if stage_step > cooling_start:
        share += (0.05 - share) * (stage_step - cooling_start) / recipe.cooling
    return recipe.rate * min(1, (stage_step + 1) / recipe.warmup) * share


def _cosine(part: float) -> float:
    """Fall from 1 to a twentieth as `part` goes from 0 to 1."""
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * part))
