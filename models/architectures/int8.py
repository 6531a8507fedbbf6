"""Weights as 8-bit integers, in memory and on disk, through the library's own interface for quantisers.

A checkpoint whose `config.json` says `"quantization_config": {"quant_method": "int8-rows"}` holds, for every linear
layer but the output's, its weights rounded to integers of -127 to 127 and a scale for each row. `from_pretrained` loads
it on a CPU or a GPU as it loads any checkpoint, once this module is imported (`torch_backend` does).

The library's quantisers of this kind come from packages that it imports at every start where they are installed:
torchao's costs two seconds and prints six lines on a machine without a GPU. What is needed of one is sixty lines.
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


def rounded(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round (rows, columns) weights to integers, each row by a scale of its own.

    Returns:
        (rows, columns) float with whole numbers from -127 to 127, and (rows) float scales; their product is within half
        a scale of the weights.
    """
    scales = weights.abs().amax(1).clamp(min=1e-8) / LARGEST
    return (weights / scales[:, None]).round().clamp(-LARGEST, LARGEST), scales


class RoundedLinear(nn.Linear):  # type: ignore[misc]  # torch is not followed by mypy here
    """A layer in training that computes with its weights as they will be rounded.

    Gradients pass as if nothing were rounded (a straight-through estimator). It is saved as an ordinary layer is.
    """

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Multiply (…, columns) states, giving (…, rows)."""
        whole, scales = rounded(self.weight.detach())
        weights = self.weight + (whole * scales[:, None] - self.weight).detach()
        return nn.functional.linear(states, weights)


class Int8Linear(nn.Module):  # type: ignore[misc]
    """A linear layer whose weights are integers; they become floats row by row of work, never as a whole model.

    Args:
        columns: Of what goes in.
        rows: Of what comes out.
    """

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, columns, dtype=torch.int8), requires_grad=False)
        self.register_buffer("scale", torch.ones(rows))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Multiply (…, columns) states, giving (…, rows)."""
        return nn.functional.linear(states, self.weight.to(states.dtype)) * self.scale.to(states.dtype)


def replaced(model: PreTrainedModel, *, fill: bool) -> None:
    """Put an `Int8Linear` in the place of every linear layer inside a model; the output's, tied, stays.

    Args:
        model: Changed in place.
        fill: Round the weights that are there; else the layers wait for a checkpoint's.
    """
    output = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear) and layer is not output:
                assert layer.bias is None, "no replica has biases"
                new = Int8Linear(layer.in_features, layer.out_features)
                if fill:
                    whole, scales = rounded(layer.weight.detach().float())
                    new.weight.copy_(whole.to(torch.int8))
                    new.scale.copy_(scales)
                setattr(parent, name, new)


def quantise(model: PreTrainedModel) -> None:
    """Round a model's layers in place, and say so in its configuration, so that it is saved and loaded as integers."""
    with torch.no_grad():
        replaced(model, fill=True)
    model.config.quantization_config = {"quant_method": METHOD}


@register_quantization_config(METHOD)
@dataclass
class Int8Config(QuantizationConfigMixin):  # type: ignore[misc]
    """What a configuration says of the rounding: only that it was done."""

    def __init__(self, **_: Any) -> None:
        self.quant_method = METHOD


@register_quantizer(METHOD)
class Int8Quantizer(HfQuantizer):  # type: ignore[misc]
    """Makes room for integers before a checkpoint's weights are read."""

    requires_calibration = True

    def _process_model_before_weight_loading(self, model: PreTrainedModel, **_: Any) -> None:
        replaced(model, fill=False)

    def is_serializable(self) -> bool:
        """Say that such a model can be saved again."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Integers have no gradients."""
        return False
