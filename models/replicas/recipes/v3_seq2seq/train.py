"""How the `v3-seq2seq` replica is trained: the losses of a step, and the evaluation during training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.r1.data import EVALUATE_EVERY, evaluation_rows
from evals.models.replicas.recipes.v3_seq2seq.attention import attention_losses
from evals.models.replicas.recipes.v3_seq2seq.config import Recipe, build_model, build_tokenizer
from evals.models.replicas.recipes.v3_seq2seq.data import Seq2SeqBatch, answered, seq2seq_batches, step_pairs
from evals.models.replicas.training import loop
from evals.models.replicas.training.evaluation import Shares, by_task, is_right, shares_text
from evals.models.replicas.training.text_batches import IGNORED, LOSSES
from evals.models.replicas.training.text_examples import TextExample
from evals.models.replicas.training.word_senses import WordSenses, word_senses

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

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
        self._senses = word_senses(self.tokenizer)

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates of Muon and AdamW."""
        return self._recipe.schedule.rates(step)

    def learn(self, step: int) -> dict[str, float]:
        """Learn from the step's pairs; reading and attention count less and less."""
        recipe = self._recipe
        share = max(0.1, 1 - 0.9 * step / recipe.early)
        weights = Seq2SeqWeights(recipe.reading * share, recipe.attention * share, self._senses)
        pairs = step_pairs(recipe, self.tokenizer, step, self._rank)
        return learn(self.model, seq2seq_batches(pairs), weights)

    def watch(self, steps_done: int) -> str:
        """Return the share of right answers by task."""
        return shares_text(seq2seq_shares(self.model, self.tokenizer, self._evaluation_rows))

    def save(self, out: Path, steps_done: int) -> None:
        """Save the model and its tokenizer."""
        loop.save_model(self.model, self.tokenizer, out)


class Seq2SeqWeights(NamedTuple):
    """Weights of the losses other than those of the answers."""

    reading: float
    attention: float
    senses: WordSenses


def learn(
    model: T5ForConditionalGeneration, batches: Sequence[Seq2SeqBatch], weights: Seq2SeqWeights
) -> dict[str, float]:
    """Accumulate the gradients of some batches, and return the mean losses by name.

    Each kind of target counts as a whole: a label is one token and a worked solution fifty, so labels would hardly
    count if all tokens counted alike.
    """
    from torch.nn.functional import cross_entropy

    targets_of_batches = [batch.targets_by_loss() for batch in batches]
    totals = {kind: sum(int(targets[kind].sum()) for targets in targets_of_batches) for kind in LOSSES}
    losses = dict.fromkeys((*LOSSES, "attention", "repeats"), 0.0)
    for batch, targets in zip(batches, targets_of_batches, strict=True):
        output = model(
            input_ids=batch.tokens, attention_mask=batch.mask, labels=batch.labels, use_cache=False,
            output_attentions=True, output_hidden_states=True,
        )  # fmt: skip
        token_losses = cross_entropy(
            output.logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="none"
        )
        parts = {kind: token_losses[targets[kind].flatten()].sum() / max(1, totals[kind]) for kind in LOSSES}
        attention, repeats = attention_losses(model, batch, output, weights.senses)
        parts |= {"attention": attention / len(batches), "repeats": repeats / len(batches)}
        others = weights.reading * parts["reading"] + weights.attention * (parts["attention"] + parts["repeats"])
        (parts["answers"] + parts["solutions"] + parts["results"] + others).backward()
        losses = {name: losses[name] + float(part.detach()) for name, part in parts.items()}
    return losses


def seq2seq_shares(
    model: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, examples: Sequence[TextExample]
) -> Shares:
    """Compute the share of examples that the model would answer completely right, by task."""
    import torch

    shares = {}
    for task, of_task in by_task(examples).items():
        right: list[bool] = []
        for batch in seq2seq_batches(answered(tokenizer, of_task), parts=2):
            with torch.no_grad():
                output = model(input_ids=batch.tokens, attention_mask=batch.mask, labels=batch.labels, use_cache=False)
            right += is_right(output.logits, batch.labels)
        shares[task] = sum(right) / len(right)
    return shares


def report(out: Path) -> list[str]:
    """Evaluate a finished checkpoint on five times as many evaluation examples."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(out, dtype="float32")
    shares = seq2seq_shares(model, AutoTokenizer.from_pretrained(out), evaluation_rows(times=5))
    return [f"evaluation stream: {shares_text(shares)}"]
