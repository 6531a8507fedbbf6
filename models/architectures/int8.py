"""8-bit integer weights, in memory and on disk, through the library's interface for quantisers.

If a checkpoint's `config.json` contains `"quantization_config": {"quant_method": "int8-rows"}`, each of its linear
layers except the output layer is stored as integers from -127 to 127 with one scale per row. Once this module is
imported (by `evals.models.backend.pytorch`), `from_pretrained` loads such a checkpoint like any other.

Other quantisers of this kind come from packages that the library imports at every start if they are installed: torchao
takes two seconds and prints six lines on a machine without a GPU. This module needs sixty lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

METHOD = "int8-rows"
LARGEST = 127


def round_rows(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round (rows, columns) weights to integers, with one scale per row.

    Returns:
        Whole numbers from -127 to 127, (rows, columns) float, and scales, (rows,) float; their product differs from
        the weights by at most half a scale.
    """
    scales = weights.abs().amax(1).clamp(min=1e-8) / LARGEST
    return (weights / scales[:, None]).round().clamp(-LARGEST, LARGEST), scales


class RoundedLinear(nn.Linear):  # type: ignore[misc]  # torch is not followed by mypy here
    """A linear layer for quantisation-aware training: it computes with rounded weights.

    Gradients ignore the rounding (a straight-through estimator). The layer is saved like an ordinary linear layer.
    """

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Multiply states (…, columns); returns (…, rows)."""
        integers, scales = round_rows(self.weight.detach())
        weights = self.weight + (integers * scales[:, None] - self.weight).detach()
        return nn.functional.linear(states, weights)


class Int8Linear(nn.Module):  # type: ignore[misc]
    """A linear layer with integer weights, which are converted to floats in the forward pass, layer by layer.

    Args:
        columns: number of input features.
        rows: number of output features.
    """

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, columns, dtype=torch.int8), requires_grad=False)
        self.register_buffer("scale", torch.ones(rows))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Multiply states (…, columns); returns (…, rows)."""
        return nn.functional.linear(states, self.weight.to(states.dtype)) * self.scale.to(states.dtype)


def replace_linear_layers(model: PreTrainedModel, *, fill: bool) -> None:
    """Replace every linear layer of a model by an `Int8Linear`, except the output layer, whose weights are tied.

    Args:
        model: the model; changed in place.
        fill: whether to fill the new layers with the rounded weights; otherwise a checkpoint fills them later.
    """
    output = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear) and layer is not output:
                assert layer.bias is None, "no replica has biases"
                new = Int8Linear(layer.in_features, layer.out_features)
                if fill:
                    integers, scales = round_rows(layer.weight.detach().float())
                    new.weight.copy_(integers.to(torch.int8))
                    new.scale.copy_(scales)
                setattr(parent, name, new)


def quantise(model: PreTrainedModel) -> None:
    """Round a model's weights in place, and record it in the configuration, so that integers are saved and loaded."""
    with torch.no_grad():
        replace_linear_layers(model, fill=True)
    model.config.quantization_config = {"quant_method": METHOD}


@register_quantization_config(METHOD)
@dataclass
class Int8Config(QuantizationConfigMixin):  # type: ignore[misc]
    """Quantisation configuration without options."""

    def __init__(self, **_: Any) -> None:
        self.quant_method = METHOD


@register_quantizer(METHOD)
class Int8Quantizer(HfQuantizer):  # type: ignore[misc]
    """Replaces the linear layers before a checkpoint's weights are loaded."""

    requires_calibration = True

    def _process_model_before_weight_loading(self, model: PreTrainedModel, **_: Any) -> None:
        replace_linear_layers(model, fill=False)

    def is_serializable(self) -> bool:
        """Return True: a quantised model can be saved."""
        return True

    @property
    def is_trainable(self) -> bool:
        """False: integer weights have no gradients."""
        return False
