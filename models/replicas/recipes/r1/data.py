"""What `r1` is trained on and what it is evaluated on during training: examples of mini GLUE and mini math."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.models.replicas.recipes.r1.config import Recipe
from evals.models.replicas.training.text_batches import TextBatch, text_batches
from evals.models.replicas.training.text_examples import TextExample, evaluation_examples, step_examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EVALUATE_EVERY = 100
"""Steps between two evaluations during training."""
EVALUATION_ROWS = 40
"""Examples of each task in an evaluation during training."""


def step_batches(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, step: int, rank: int) -> list[TextBatch]:
    """Make the batches that one process learns from in one step."""
    return text_batches(tokenizer, step_examples(recipe.texts, recipe.processes, step, rank))


def evaluation_rows(rank: int = 0, times: int = 1) -> list[TextExample]:
    """Make the examples for evaluation during training.

    Args:
        rank: Process 0 evaluates; the others get no examples.
        times: Multiplies the number of examples.
    """
    return evaluation_examples(times * EVALUATION_ROWS) if rank == 0 else []
