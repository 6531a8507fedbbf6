"""How the `r1-moe` replica is trained: its stages and their learning rates, and the evaluation during training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.models.replicas.recipes.r1_moe.config import Recipe, build_model, build_processor, build_tokenizer
from evals.models.replicas.recipes.r1_moe.data import (
    FIRST_EVALUATION_CLIP,
    FIRST_NAMED_CLIP,
    FIRST_QUESTIONED_CLIP,
    attribute_ids,
    audio_clips,
    digit_ids,
    step_digits,
    step_questions,
    step_text_batches,
)
from evals.models.replicas.recipes.r1_moe.losses import audio_answers, audio_loss, image_losses, text_losses
from evals.models.replicas.training import evaluation, loop
from evals.models.replicas.training.contrastive import step_contrastive_loss
from evals.models.replicas.training.image_examples import step_scenes
from evals.models.replicas.training.optimisation import backward
from evals.models.replicas.training.patches import scene_word_loss, word_ids, word_loss
from evals.models.replicas.training.question_packing import Packer
from evals.models.replicas.training.text_batches import count_targets
from evals.models.replicas.training.text_examples import GLUE_TASKS, evaluation_examples
from evals.models.replicas.training.word_senses import word_senses

if TYPE_CHECKING:
    import torch

RECIPE = Recipe()

EVALUATE_EVERY = 100
"""Steps between two evaluations during training."""
EVALUATION_ROWS = 20
"""Rows of each GLUE task in an evaluation during training."""
RETRIEVAL_IMAGES, CLIPS = 60, 60
"""Images, with five captions each, and audio clips in an evaluation during training."""


class Course:
    """The training, in one process."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe, self._rank = recipe, rank
        self._tokenizer = build_tokenizer(recipe.vocabulary)
        self.model = build_model(recipe, self._tokenizer)
        self.steps, self.decay = recipe.sensing + recipe.steps, recipe.decay
        self.stops = range(EVALUATE_EVERY, self.steps, EVALUATE_EVERY)
        self._packer, self._words = Packer(self._tokenizer), word_ids(self._tokenizer)
        self._digits, self._senses = digit_ids(self._tokenizer), word_senses(self._tokenizer)
        self._attributes = attribute_ids(self._tokenizer)
        self._gates = [layer.mlp.gate for layer in self.model.model.language_model.layers[1:]]
        self._expert_counts: list[torch.Tensor] = []
        for number, gate in enumerate(self._gates):
            gate.register_forward_hook(lambda _, __, routing, number=number: self._count_experts(number, routing[2]))

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates of Muon and AdamW.

        In stage 1 they rise and fall as a cosine; in stage 2 they rise, stay and fall to zero. While the encoders are
        repaired they rise over ten steps and fall linearly.
        """
        recipe, stage_step = self._recipe, step - self._recipe.sensing
        if stage_step < 0:
            share = min(1, (step + 1) / recipe.warmup) * (
                0.05 + 0.475 * (1 + math.cos(math.pi * step / recipe.sensing))
            )
            return recipe.muon_rate * share, recipe.sensing_rate * share
        share = min(1, (stage_step + 1) / recipe.warmup, (recipe.steps - stage_step) / recipe.cooling)
        if 0 <= (repairing := stage_step - recipe.repair_start) < recipe.repair_steps:
            share = min(1, (repairing + 1) / 10, (recipe.repair_steps - repairing) / recipe.repair_steps)
        return recipe.muon_rate * share, recipe.rate * share

    def learn(self, step: int) -> dict[str, float]:
        """Learn to see and hear first, then to answer, then also to match."""
        recipe, stage_step = self._recipe, step - self._recipe.sensing
        repairing = stage_step - recipe.repair_start
        self.model.requires_grad_(stage_step < 0 or repairing >= recipe.repair_steps or repairing < 0)
        for encoder in self._encoders:
            encoder.requires_grad_(
                stage_step < 0 or recipe.matching <= stage_step < recipe.repair_start + recipe.repair_steps
            )
        if repairing == recipe.repair_steps:
            self._lengthen()
        is_sensing = stage_step < 0 or 0 <= repairing < recipe.repair_steps
        return self._learn_to_sense(step) if is_sensing else self._learn_to_answer(stage_step)

    def _lengthen(self) -> None:
        """Scale up the vectors that enter the decoder, and scale down its last norm so that the logits do not change.

        Otherwise they are small beside what the first layer adds to them.
        """
        import torch

        inner, factor = self.model.model, self._recipe.lengthening
        with torch.no_grad():
            embeddings = inner.language_model.embed_tokens.weight
            for parameter in (embeddings, inner.image_bridge.gain, inner.audio_bridge.gain):
                parameter.mul_(factor)
            inner.language_model.norm.weight.div_(factor)

    @property
    def _encoders(self) -> tuple[torch.nn.Module, ...]:
        inner = self.model.model
        return inner.vision_model, inner.image_bridge, inner.ears, inner.audio_bridge

    def _learn_to_sense(self, step: int) -> dict[str, float]:
        """Learn to name what patches show, and which digit sounds in each step of a clip."""
        recipe, self._expert_counts = self._recipe, []
        self.model.train()
        patch_loss = 10 * scene_word_loss(self.model, self._words, step_scenes(recipe, step, self._rank))
        features, clips = audio_clips(FIRST_NAMED_CLIP + step * recipe.clips, recipe.clips)
        steps = self.model.model.get_audio_features(features).pooler_output
        digit_loss = word_loss(steps, self.model.get_input_embeddings().weight[self._digits], step_digits(clips))
        return backward({"words": patch_loss, "digits": 10 * digit_loss})

    def _learn_to_answer(self, step: int) -> dict[str, float]:
        """Learn from images, audio, texts and captions, one after the other, to save memory."""
        import torch

        recipe, model = self._recipe, self.model
        model.eval()  # no dropout; the ResNet's batch norms keep their statistics
        after_repair = step - recipe.repair_start - recipe.repair_steps
        share = max(0.1, 1 - 0.9 * step / recipe.early) if after_repair < 0 else max(0.1, 1 - after_repair / 300)
        images = recipe.images if after_repair < 0 else recipe.images_later
        self._expert_counts = [torch.zeros(recipe.experts, dtype=torch.int64) for _ in self._gates]
        losses: dict[str, float] = {}
        sheets = step_questions(recipe, step, images)
        if sheets:  # with so few images, every pair may have been dropped because its scenes are too similar
            parts = image_losses(model, self._packer.pack(sheets), self._words, self._attributes)
            attention = recipe.attention * share
            names = attention if step >= recipe.naming else 0.0
            weights = {"answers": 1.0, "words": 5.0, "attention": attention, "names": names}
            losses |= backward({name: weights[name] * loss for name, loss in parts.items()})
        first_clip = FIRST_QUESTIONED_CLIP + step * recipe.heard
        losses |= backward({"audio": 0.3 * audio_loss(model, self._tokenizer, first_clip, recipe.heard)})
        losses |= self._learn_from_texts(step, share)
        if step >= recipe.matching:
            loss = step_contrastive_loss(model, self._tokenizer, recipe, step, self._rank)
            losses |= backward({"contrastive": loss})
        self._balance()
        return losses

    def _learn_from_texts(self, step: int, share: float) -> dict[str, float]:
        """Learn from rows of GLUE; `share` scales the weights of reading and attention."""
        recipe = self._recipe
        batches = step_text_batches(recipe, self._tokenizer, step, self._rank)
        totals = count_targets(batches)
        weights = {
            "reading": recipe.reading * share / totals["reading"],
            "labels": 1 / totals["answers"],
            "comparison": recipe.attention * share / len(batches),
            "repeats": recipe.attention * share / len(batches),
        }
        losses = dict.fromkeys(weights, 0.0)
        for batch in batches:
            parts = text_losses(self.model, batch, self._senses)
            weighted = backward({name: weights[name] * loss for name, loss in parts.items()})
            losses = {name: losses[name] + weighted[name] for name in losses}
        return losses

    def _count_experts(self, layer: int, chosen: torch.Tensor) -> None:
        """Count how often a layer chose each expert, while the model learns to answer."""
        if self._expert_counts:
            self._expert_counts[layer] += chosen.flatten().bincount(minlength=self._recipe.experts)

    def _balance(self) -> None:
        """Raise the bias of experts that were chosen too rarely, and lower the others' (DeepSeek-V3, section 2.1.2)."""
        for gate, counts in zip(self._gates, self._expert_counts, strict=True):
            gate.e_score_correction_bias += self._recipe.balance * (counts.float().mean() - counts).sign()
        self._expert_counts = []

    def watch(self, steps_done: int) -> str:
        """Return the shares of patches and digits named right; later of right answers, labels and retrieval."""
        import torch

        self.model.eval()
        self._expert_counts = []
        with torch.no_grad():
            scores: dict[str, Any] = {"patches": evaluation.patch_shares_right(self.model, self._packer, self._words)}
            if steps_done <= self._recipe.sensing:
                features, clips = audio_clips(FIRST_EVALUATION_CLIP, CLIPS)
                steps = self.model.model.get_audio_features(features).pooler_output
                embeddings = self.model.get_input_embeddings().weight[self._digits]
                return str(scores | {"digits": digits_right(steps, embeddings, step_digits(clips))})
            scores["answers"] = evaluation.answers_right(self.model, self._packer)
            logits, labels = audio_answers(self.model, self._tokenizer, FIRST_EVALUATION_CLIP, CLIPS)
            scores["audio"] = round((logits.argmax(-1) == labels).all(-1).float().mean().item(), 3)
            scores["glue"] = evaluation.text_shares(
                self.model, self._tokenizer, evaluation_examples(EVALUATION_ROWS, GLUE_TASKS)
            )
            if steps_done > self._recipe.sensing + self._recipe.matching:
                scores["retrieval"] = evaluation.retrieval_shares(self.model, self._tokenizer, RETRIEVAL_IMAGES)
        return str(scores)

    def save(self, out: Path, steps_done: int) -> None:
        """Save the model and its processor."""
        loop.save_model(self.model, build_processor(self._tokenizer), out)


def digits_right(steps: torch.Tensor, embeddings: torch.Tensor, digits: torch.Tensor) -> float:
    """Compute the share of steps with a digit whose nearest embedding is that of the digit.

    Args:
        steps: (B, T, D) of clips.
        embeddings: (digits + 1, D).
        digits: (B, T, digits + 1), as `step_digits` returns them.
    """
    from torch.nn.functional import normalize

    nearest = (normalize(steps, dim=-1) @ normalize(embeddings, dim=-1).T).argmax(-1)
    has_digit = digits[..., -1] == 0
    return float(round((nearest == digits.argmax(-1))[has_digit].float().mean().item(), 3))


def report(out: Path) -> list[str]:
    """Evaluate a finished checkpoint on five times as many rows of GLUE."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from evals.models.architectures import mixture  # noqa: F401  # registers the checkpoint's classes with transformers

    model = AutoModelForImageTextToText.from_pretrained(out, dtype=torch.float32)
    tokenizer = AutoProcessor.from_pretrained(out).tokenizer
    shares = evaluation.text_shares(model, tokenizer, evaluation_examples(5 * EVALUATION_ROWS, GLUE_TASKS))
    return [f"evaluation stream: {evaluation.shares_text(shares)}"]
