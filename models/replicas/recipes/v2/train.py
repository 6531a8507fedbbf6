"""How the `v2` replica is trained: the task's losses and the divergence from the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evals.models.replicas.recipes.r1.data import EVALUATE_EVERY, evaluation_rows
from evals.models.replicas.recipes.v2.config import TEACHER, Recipe, build_model, quantised
from evals.models.replicas.recipes.v2.data import step_batches
from evals.models.replicas.training.evaluation import shares_text, text_shares
from evals.models.replicas.training.text_batches import IGNORED, LOSSES, TextBatch, count_targets

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

RECIPE = Recipe()


class Course:
    """One process's part of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._recipe, self._rank = recipe, rank
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(TEACHER)
        self._teacher = AutoModelForCausalLM.from_pretrained(TEACHER, dtype="float32").eval()
        self.model = build_model(recipe, self._teacher)
        self.steps, self.decay = recipe.schedule.steps, recipe.schedule.decay
        self.stops = range(0, self.steps, EVALUATE_EVERY)
        self._evaluation_rows = evaluation_rows(rank)

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates of Muon and AdamW."""
        return self._recipe.schedule.rates(step)

    def learn(self, step: int) -> dict[str, float]:
        """Learn from the step's examples and from the teacher."""
        batches = step_batches(self._recipe, self.tokenizer, step, self._rank)
        return learn(self.model, self._teacher, batches, self._recipe)

    def watch(self, steps_done: int) -> str:
        """Return the share of right answers by task."""
        return shares_text(text_shares(self.model, self.tokenizer, self._evaluation_rows))

    def save(self, out: Path, steps_done: int) -> None:
        """Save the quantised model and the tokenizer."""
        quantised(self.model).save_pretrained(out)
        self.tokenizer.save_pretrained(out)


def learn(
    model: LlamaForCausalLM, teacher: LlamaForCausalLM, batches: Sequence[TextBatch], recipe: Recipe
) -> dict[str, float]:
    """Accumulate the gradients of some batches.

    Returns:
        The mean losses by name, and under `teacher` the mean Kullback-Leibler divergence from the teacher in nats a
        token, with the weights of the losses.
    """
    import torch
    from torch.nn.functional import cross_entropy, kl_div

    totals = count_targets(batches)
    losses = dict.fromkeys((*LOSSES, "teacher"), 0.0)
    for batch in batches:
        with torch.no_grad():
            expected = teacher(batch.tokens, use_cache=False).logits.flatten(0, 1).log_softmax(-1)
        predicted = model(batch.tokens, use_cache=False).logits.flatten(0, 1).log_softmax(-1)
        divergences = kl_div(predicted, expected, reduction="none", log_target=True).sum(-1)
        total = torch.zeros(())
        for kind in LOSSES:
            weight = recipe.reading if kind == "reading" else 1.0
            labels = getattr(batch, kind).flatten()
            loss = cross_entropy(predicted, labels, ignore_index=IGNORED, reduction="sum") / max(1, totals[kind])
            divergence = divergences[labels != IGNORED].sum() / max(1, totals[kind])
            total = total + weight * (loss + recipe.distillation * divergence)
            losses[kind] += float(loss.detach())
            losses["teacher"] += weight * float(divergence.detach())
        total.backward()
    return losses


def report(out: Path) -> list[str]:
    """Evaluate the teacher and a finished checkpoint on five times as many evaluation examples."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from evals.models.architectures import int8  # noqa: F401  # registers the checkpoint's classes with transformers

    tokenizer, rows = AutoTokenizer.from_pretrained(out), evaluation_rows(times=5)
    lines = []
    for name, folder in (("teacher", TEACHER), ("student", out)):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        lines.append(f"{name} on the evaluation stream: {shares_text(text_shares(model, tokenizer, rows))}")
    return lines
