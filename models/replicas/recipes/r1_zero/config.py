"""The `r1-zero` replica: the shape of `r1`, trained from random weights by reinforcement learning alone.

It is never shown an answer. It samples answers character by character, the environment in `data` rewards them, and
answers with a higher reward than the other answers to the same sum become likelier (GRPO: Shao et al., arXiv
2402.03300, without its reference model, because there is no pretrained model to stay close to). Each step samples once
and updates once, so GRPO's probability ratio is always one and there is nothing to clip.

TRL has a GRPO trainer. It has its own loop, processes and state instead of `training.loop`, and expects a data set of
prompts instead of an environment; the recipe needs only the equivalent of forty lines of it.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.models.replicas.training.llama import LayerShape, llama_config
from evals.models.replicas.training.optimisation import Schedule
from evals.models.replicas.training.tokenizers import END, PAD

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

UNKNOWN = "<|unknown|>"


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the checkpoints."""

    schedule: Schedule = Schedule(steps=1_000, warmup=20, cooling=100, rate=1e-3, muon_rate=1e-3, decay=0.0)
    shape: LayerShape = LayerShape(layers=12, width=128, inner=352, heads=4)
    problems: int = 20
    """Sums in a step, over all processes."""
    answers: int = 10
    """Answers that are sampled to each sum and compared with one another; each is an episode."""
    processes: int = 1
    entropy: float = 0.1
    """Entropy bonus, in standard deviations of the reward for each nat."""
    seed: int = 3

    @property
    def interactions(self) -> int:
        """Episodes in a step."""
        return self.problems * self.answers


def build_tokenizer() -> PreTrainedTokenizerBase:
    """Make a tokenizer whose tokens are the printable ASCII characters."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = [PAD, END, UNKNOWN, *sorted(string.printable)]
    level = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token=UNKNOWN))
    level.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    level.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=level, eos_token=END, pad_token=PAD, unk_token=UNKNOWN, model_max_length=1024
    )


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """Create the untrained model with seeded weights."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(llama_config(recipe.shape, tokenizer))
