"""How the `r1` replica is trained: the losses of a step, and the evaluation during training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.r1.attention import attention_losses
from evals.models.replicas.recipes.r1.config import Recipe, build_model, build_tokenizer
from evals.models.replicas.recipes.r1.data import EVALUATE_EVERY, evaluation_rows, step_batches
from evals.models.replicas.training import loop
from evals.models.replicas.training.evaluation import shares_text, text_shares
from evals.models.replicas.training.text_batches import IGNORED, LOSSES, TextBatch, count_targets
from evals.models.replicas.training.word_senses import WordSenses, word_senses

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

RECIPE = Recipe()


class Course:
    """One process's part of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe, self._rank = recipe, rank
        self.tokenizer = build_tokenizer(recipe.vocabulary)
        self.model = build_model(recipe, self.tokenizer)
        self.steps, self.decay = recipe.schedule.steps, recipe.schedule.decay
        self.stops = range(EVALUATE_EVERY, self.steps, EVALUATE_EVERY)
        self._evaluation_rows = evaluation_rows(rank)
        self._senses = word_senses(self.tokenizer) if recipe.attention else None

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates of Muon and AdamW."""
        return self._recipe.schedule.rates(step)

    def learn(self, step: int) -> dict[str, float]:
        """Learn from the step's examples; reading and attention count less and less."""
        recipe = self._recipe
        share = max(0.1, 1 - 0.9 * step / recipe.early)
        weights = LossWeights(recipe.reading * share, recipe.attention * share, self._senses)
        return learn(self.model, step_batches(recipe, self.tokenizer, step, self._rank), weights)

    def watch(self, steps_done: int) -> str:
        """Return the share of right answers by task."""
        return shares_text(text_shares(self.model, self.tokenizer, self._evaluation_rows))

    def save(self, out: Path, steps_done: int) -> None:
        """Save the model and its tokenizer."""
        loop.save_model(self.model, self.tokenizer, out)


class LossWeights(NamedTuple):
    """Weights of the losses other than those of the answers."""

    reading: float
    attention: float
    senses: WordSenses | None = None
    """Senses of the tokenizer's words; None turns attention supervision off."""


def learn(model: LlamaForCausalLM, batches: Sequence[TextBatch], weights: LossWeights) -> dict[str, float]:
    """Accumulate the gradients of some batches, and return the mean losses by name.

    Each kind of target counts as a whole: a label is one token and a worked solution fifty, so labels would hardly
    count if all tokens counted alike.
    """
    from torch.nn.functional import cross_entropy

    totals = count_targets(batches)
    losses = dict.fromkeys((*LOSSES, "attention", "repeats"), 0.0)
    for batch in batches:
        output = model(batch.tokens, use_cache=False, output_hidden_states=weights.senses is not None)
        logits = output.logits.flatten(0, 1)
        parts = {
            kind: cross_entropy(logits, getattr(batch, kind).flatten(), ignore_index=IGNORED, reduction="sum")
            / max(1, totals[kind])
            for kind in LOSSES
        }
        total = weights.reading * parts["reading"] + parts["answers"] + parts["solutions"] + parts["results"]
        if weights.senses is not None:
            attention, repeats = attention_losses(model, batch, output.hidden_states, weights.senses)
            parts |= {"attention": attention / len(batches), "repeats": repeats / len(batches)}
            total = total + weights.attention * (parts["attention"] + parts["repeats"])
        total.backward()
        losses = {name: losses[name] + float(parts[name].detach()) if name in parts else 0.0 for name in losses}
    return losses


def report(out: Path) -> list[str]:
    """Evaluate a finished checkpoint on five times as many evaluation examples."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(out, dtype="float32")
    shares = text_shares(model, AutoTokenizer.from_pretrained(out), evaluation_rows(times=5))
    return [f"evaluation stream: {shares_text(shares)}"]
