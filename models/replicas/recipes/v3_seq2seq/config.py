"""The `v3-seq2seq` replica: a T5 of twelve encoder and twelve decoder layers that learns what `r1` learns.

It reads the same examples with the same tokenizer. What it learns of English beyond the labels it learns as T5 does:
some rows are read with words replaced by sentinel tokens, and the decoder writes the missing words. One sentence of a
pair often shows what is missing in the other, so this teaches the model to compare sentences. Some attention heads are
taught where to attend (`attention`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.models.replicas.recipes.r1 import config as r1
from evals.models.replicas.training.llama import LayerShape
from evals.models.replicas.training.optimisation import Schedule
from evals.models.replicas.training.text_examples import TextPortions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

SENTINELS = tuple(f"<|hole_{number}|>" for number in range(12))
"""Tokens that replace missing words."""


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the checkpoint."""

    schedule: Schedule = Schedule(steps=800, warmup=60, cooling=250, rate=3e-3, muon_rate=2.5e-3, decay=0.02)
    shape: LayerShape = LayerShape(layers=12, width=96, inner=256, heads=4)
    texts: TextPortions = TextPortions(rows=10, easy=250, problems=12, drill=40)
    corrupted: int = 2
    """Rows of each GLUE task in a step that are read with words missing, over all processes."""
    missing: float = 0.2
    """Share of the words that are missing in those rows."""
    processes: int = 2
    reading: float = 0.5
    """Weight of writing the missing words."""
    attention: float = 1.0
    """Weight of the attention losses."""
    early: int = 600
    """Number of steps over which both weights fall linearly to a tenth."""
    seed: int = 5
    vocabulary: int = 1792


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Build the tokenizer of `r1` with the sentinel tokens added."""
    tokenizer = r1.build_tokenizer(vocabulary)
    tokenizer.add_tokens(list(SENTINELS), special_tokens=True)
    return tokenizer


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> T5ForConditionalGeneration:
    """Create the untrained model with seeded weights."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(recipe.seed)
    shape = recipe.shape
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=shape.width,
        d_kv=shape.width // shape.heads,
        d_ff=shape.inner,
        num_layers=shape.layers,
        num_decoder_layers=shape.layers,
        num_heads=shape.heads,
        feed_forward_proj="gated-silu",
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    config._attn_implementation = "eager"  # attention supervision needs the attention weights
    return T5ForConditionalGeneration(config)
