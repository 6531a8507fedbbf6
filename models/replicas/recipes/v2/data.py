"""What `v2` is trained on: examples from the stream of `r1` that its teacher has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.models.replicas.recipes.v2.config import Recipe
from evals.models.replicas.training.text_batches import TextBatch, text_batches
from evals.models.replicas.training.text_examples import step_examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def step_batches(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, step: int, rank: int) -> list[TextBatch]:
    """Make the batches that one process learns from in one step."""
    return text_batches(tokenizer, step_examples(recipe.texts, recipe.processes, recipe.first + step, rank))
