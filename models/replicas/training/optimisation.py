"""The optimisers and the learning-rate schedule that the recipes share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Schedule:
    """Learning rates that rise linearly, stay constant and fall linearly to zero, with Muon's weight decay."""

    steps: int
    """Steps in all."""
    warmup: int
    """First steps, over which the rates rise."""
    cooling: int
    """Last steps, over which the rates fall to zero."""
    rate: float
    """Highest learning rate of AdamW, which trains embeddings, norms and biases."""
    muon_rate: float
    """Highest learning rate of Muon, which trains the matrices inside the layers."""
    decay: float
    """Decoupled weight decay of Muon."""

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates of Muon and AdamW at a step, which is counted from 0.

        >>> schedule = Schedule(steps=10, warmup=2, cooling=4, rate=1.0, muon_rate=2.0, decay=0.0)
        >>> [schedule.rates(step)[1] for step in (0, 1, 5, 8)]
        [0.5, 1.0, 1.0, 0.5]
        """
        share = min(1, (step + 1) / self.warmup, (self.steps - step) / self.cooling)
        return self.muon_rate * share, self.rate * share


def make_optimisers(model: nn.Module, decay: float) -> list[torch.optim.Optimizer]:
    """Make Muon for the matrices inside the layers and AdamW for all other parameters.

    Their learning rates are 0 until `take_step` sets them.

    Args:
        model: Its embeddings, norms, biases and one-dimensional convolutions go to AdamW.
        decay: Weight decay of Muon.
    """
    from torch import nn
    from torch.optim import AdamW

    from evals.models.replicas.training.muon import Muon

    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    parameters = list(model.parameters())
    # A three-dimensional parameter is a stack of matrices (a layer's experts), unless it is a convolution's kernel.
    convolutions = {id(module.weight) for module in model.modules() if isinstance(module, nn.Conv1d)}
    matrices = {id(parameter) for parameter in parameters if parameter.ndim in {2, 3}} - embeddings - convolutions
    inside = [parameter for parameter in parameters if id(parameter) in matrices]
    others = [parameter for parameter in parameters if id(parameter) not in matrices]
    return [Muon(inside, lr=0.0, weight_decay=decay), AdamW(others, betas=(0.9, 0.95), weight_decay=0.0)]


def take_step(model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], learning_rates: Sequence[float]) -> None:
    """Clip the gradients to a norm of 1, update the weights, and clear the gradients.

    Args:
        model: Holds the gradients.
        optimisers: From `make_optimisers`.
        learning_rates: One for each optimiser.
    """
    import torch

    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser, rate in zip(optimisers, learning_rates, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        optimiser.zero_grad()


def backward(losses: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Accumulate the gradients of the sum of the losses, and return the losses as numbers."""
    import torch

    torch.stack(list(losses.values())).sum().backward()
    return {name: loss.item() for name, loss in losses.items()}
