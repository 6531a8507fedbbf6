"""The `v2` replica: `r1` with half its layers, trained by the whole `r1`, and stored as 8-bit integers.

- Pruning: it starts as six of the twelve layers of `r1`, evenly spaced, with the embeddings of `r1`.
- Distillation (Hinton et al., arXiv 1503.02531): at every token of an answer its distribution over the vocabulary is
  drawn to the teacher's, beside learning the right token.
- Quantisation-aware training (Jacob et al., arXiv 1712.05877): the forward pass uses the weights as they will be
  rounded, and the gradient passes through the rounding unchanged (straight-through estimator).

The checkpoint holds the integers, as `evals.models.architectures.int8` describes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.models.replicas import CHECKPOINTS
from evals.models.replicas.training.optimisation import Schedule
from evals.models.replicas.training.text_examples import TextPortions

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

TEACHER = CHECKPOINTS / "r1"


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the checkpoint, together with the teacher's weights."""

    schedule: Schedule = Schedule(steps=400, warmup=20, cooling=200, rate=1e-3, muon_rate=2e-3, decay=0.02)
    texts: TextPortions = TextPortions(rows=8, problems=8, drill=24)
    processes: int = 1
    reading: float = 0.1
    """Weight of continuing the prompts; 0.1 is where the training of `r1` ends."""
    distillation: float = 1.0
    """Weight of the divergence from the teacher, beside the task's own loss."""
    layers: tuple[int, ...] = (0, 2, 4, 7, 9, 11)
    """Layers of the teacher that the student starts with."""
    first: int = 100_000
    """First step of the stream of `r1` that is used: the teacher has not seen these examples."""


def build_model(recipe: Recipe, teacher: LlamaForCausalLM) -> LlamaForCausalLM:
    """Copy some layers of the teacher, and make their weights be rounded whenever they are used."""
    from torch import nn

    from evals.models.architectures.int8 import RoundedLinear

    model = copy.deepcopy(teacher).requires_grad_(True).train()
    model.model.layers = nn.ModuleList([model.model.layers[number] for number in recipe.layers])
    model.config.num_hidden_layers = len(recipe.layers)
    for number, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = number
        for part in (layer.self_attn, layer.mlp):
            for name, linear in list(part.named_children()):
                if isinstance(linear, nn.Linear):
                    rounded = RoundedLinear(linear.in_features, linear.out_features, bias=False)
                    rounded.weight = linear.weight
                    setattr(part, name, rounded)
    return model


def quantised(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """Copy a model in training so that its layers hold integers, and its embeddings and norms float16."""
    import torch

    from evals.models.architectures.int8 import quantise

    student = copy.deepcopy(model)
    quantise(student)
    for parameter in student.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(torch.float16)
    return student
