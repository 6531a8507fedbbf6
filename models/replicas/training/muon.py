"""The Muon optimiser (Jordan et al. 2024) in float32.

`torch.optim.Muon` orthogonalises in bfloat16, which is right on a GPU. On two CPU cores that took five times as long as
the forward and backward pass together. Here matrices of one shape go through the iteration together, in float32.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that drives all singular values towards one; from the paper."""

ITERATIONS = 5


class Muon(torch.optim.Optimizer):  # type: ignore[misc]  # torch is not followed by mypy here
    """Momentum whose step becomes the nearest matrix with all singular values one, sized as AdamW's step would be.

    Args:
        parameters: Matrices, or stacks of them, (matrices, rows, columns), each of which is orthogonalised alone.
        lr: Learning rate, on the scale of AdamW's.
        momentum: Share of the velocity that is kept.
        weight_decay: Decoupled, as AdamW's.
    """

    def __init__(
        self, parameters: Iterable[torch.Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Take one step; parameters without a gradient stay as they are."""
        with torch.no_grad():
            for group in self.param_groups:
                alike: dict[Any, list[torch.Tensor]] = defaultdict(list)
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        alike[parameter.shape].append(parameter)
                for parameters in alike.values():
                    self._step_alike(parameters, group)

    def _step_alike(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        """Step the parameters of one shape together."""
        steps = []
        for parameter in parameters:
            velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
            velocity.lerp_(parameter.grad, 1 - group["momentum"])
            steps.append(parameter.grad.lerp(velocity, group["momentum"]))
        shape = parameters[0].shape
        size = 0.2 * max(shape[-2:]) ** 0.5
        found = orthogonal(torch.stack(steps).view(-1, *shape[-2:])).view(-1, *shape)
        for parameter, step in zip(parameters, found, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-group["lr"] * size)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Drive the singular values of each of (N, rows, columns) matrices to about one by Newton-Schulz iterations."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
