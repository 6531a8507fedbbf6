"""The `r1` replica: a narrow text decoder of twelve layers, trained on the prompts of mini GLUE and mini math.

It is a Llama with its own tokenizer, in which every word of the benchmarks and every digit is one token. It is trained
in three quarters of an hour on two cores, which five measures make possible:

- Attention heads are taught which words to compare, which numbers to copy and which to calculate with
  (`attention`). Without this, no label was learned in 600 steps; with it, the labels of seven of the nine tasks were.
- Training starts with short rows.
- The model also learns, with a lower weight, to continue the prompts themselves.
- The results of sums have a separate loss, and the sums of many further problems are learned alone, ten tokens
  each: a problem of a hundred tokens has only two or three sums.
- The matrices are trained by `Muon`, as those of the `vl` replica are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.models.replicas.training.llama import LayerShape, llama_config
from evals.models.replicas.training.optimisation import Schedule
from evals.models.replicas.training.text_examples import TEXT_TASKS, TextPortions, tokenizer_texts
from evals.models.replicas.training.tokenizers import END, PAD, train_bpe

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the checkpoint."""

    schedule: Schedule = Schedule(steps=1250, warmup=100, cooling=350, rate=1.5e-3, muon_rate=2.5e-3, decay=0.02)
    shape: LayerShape = LayerShape(layers=12, width=128, inner=352, heads=4)
    texts: TextPortions = TextPortions(rows=10, easy=400, problems=12, drill=60)
    processes: int = 2
    reading: float = 0.5
    """Weight of continuing the prompts; falls linearly to a tenth over the first `early` steps."""
    attention: float = 1.0
    """Weight of the attention losses; falls as that of reading does."""
    early: int = 1000
    seed: int = 1
    vocabulary: int = 1792


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE on examples: it keeps their words whole and their digits apart, and encodes any text."""
    from transformers import PreTrainedTokenizerFast

    bpe = train_bpe(tokenizer_texts(TEXT_TASKS, 800), vocabulary, [PAD, END], split_digits=True)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=PAD, model_max_length=1024)


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """Create the untrained model with seeded weights."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(llama_config(recipe.shape, tokenizer))
