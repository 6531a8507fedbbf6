"""The Muon optimiser (Jordan et al. 2024) in float32.

`torch.optim.Muon` orthogonalises in bfloat16, which suits a GPU. On two CPU cores it took five times as long as the
forward and backward pass together. Here, matrices of the same shape are orthogonalised together, in float32.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic polynomial that drives all singular values towards one; from the paper."""

ITERATIONS = 5


class Muon(torch.optim.Optimizer):  # type: ignore[misc]  # torch is not followed by mypy here
    """Momentum whose step is replaced by the nearest matrix with all singular values one, scaled like an AdamW step.

    Args:
        parameters: Matrices, or stacks of matrices, (matrices, rows, columns), each orthogonalised separately.
        lr: Learning rate, on the same scale as AdamW's.
        momentum: Share of the velocity that is kept at each step.
        weight_decay: Decoupled weight decay, as in AdamW.
    """

    def __init__(
        self, parameters: Iterable[torch.Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Update all parameters that have a gradient."""
        with torch.no_grad():
            for group in self.param_groups:
                by_shape: dict[Any, list[torch.Tensor]] = defaultdict(list)
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        by_shape[parameter.shape].append(parameter)
                for parameters in by_shape.values():
                    self._step_together(parameters, group)

    def _step_together(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        """Update parameters of the same shape."""
        steps = []
        for parameter in parameters:
            velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
            velocity.lerp_(parameter.grad, 1 - group["momentum"])
            steps.append(parameter.grad.lerp(velocity, group["momentum"]))
        shape = parameters[0].shape
        scale = 0.2 * max(shape[-2:]) ** 0.5
        orthogonal_steps = orthogonal(torch.stack(steps).view(-1, *shape[-2:])).view(-1, *shape)
        for parameter, step in zip(parameters, orthogonal_steps, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-group["lr"] * scale)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Bring the singular values of (N, rows, columns) matrices to about one by Newton-Schulz iterations."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
