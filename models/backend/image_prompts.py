"""Prompts of texts and images as tensors: encoded once by the library's processor, and joined to batches.

A prompt is encoded alone, outside the device's loop. Prompts go through the model together only where their tensors
have the same names and the same shape per image; then a batch is the concatenation of its prompts, padded on the left.
So a processor that pads images of different sizes never decides what a prompt's batch mates see.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

EncodedPrompt = Mapping[str, "torch.Tensor"]
"""The model's inputs for one prompt: `input_ids` (1, S), other tensors along its tokens, and tensors of its images."""
TOKEN_TENSORS = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})
"""Inputs with one value per token."""
CACHED_BYTES = 1 << 30
"""Maximum size of the encoded prompts that are kept between tokenising and computing."""


class EncodedPrompts:
    """Keeps encoded prompts until they are computed, up to a size in bytes; the oldest are dropped first.

    A prompt is encoded to count its tokens, before batches are planned. Its tensors are kept for the batch; a prompt
    that was dropped meanwhile is encoded again.
    """

    def __init__(self, limit: int = CACHED_BYTES) -> None:
        """Keep at most `limit` bytes."""
        self._limit = limit
        self._size = 0
        self._encoded: OrderedDict[Hashable, EncodedPrompt] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, key: Hashable, encoded: EncodedPrompt) -> None:
        """Keep a prompt, and drop the oldest ones beyond the limit."""
        with self._lock:
            self._size += _bytes(encoded) - _bytes(self._encoded.pop(key, {}))
            self._encoded[key] = encoded
            while self._size > self._limit:
                _, dropped = self._encoded.popitem(last=False)
                self._size -= _bytes(dropped)

    def take(self, key: Hashable, encode: Callable[[], EncodedPrompt]) -> EncodedPrompt:
        """Return a prompt and forget it; a prompt that is not kept is encoded again."""
        with self._lock:
            encoded = self._encoded.pop(key, None)
            if encoded is not None:
                self._size -= _bytes(encoded)
        return encode() if encoded is None else encoded


def _bytes(encoded: EncodedPrompt) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in encoded.values())


def image_shapes(tensors: Mapping[str, torch.Tensor]) -> Hashable:
    """Return the names of tensors with their shapes per image; prompts are computed together if these are equal.

    Example:
        >>> import torch
        >>> image_shapes({"input_ids": torch.zeros(1, 7), "pixel_values": torch.zeros(2, 3, 8, 8)})
        (('input_ids', ()), ('pixel_values', (3, 8, 8)))
    """
    shapes = ((name, () if name in TOKEN_TENSORS else tuple(tensor.shape[1:])) for name, tensor in tensors.items())
    return tuple(sorted(shapes))


def alike(tensors: Sequence[Mapping[str, torch.Tensor]], *, together: bool) -> list[list[int]]:
    """Divide prompts, given by their tensors, into lists of indices that are computed together.

    Args:
        tensors: the inputs of each prompt.
        together: False computes every prompt alone.
    """
    indices_by_shape: dict[Hashable, list[int]] = {}
    for index, inputs in enumerate(tensors):
        indices_by_shape.setdefault(image_shapes(inputs) if together else index, []).append(index)
    return list(indices_by_shape.values())


def join(prompts: Sequence[EncodedPrompt], pad_token: int) -> dict[str, torch.Tensor]:
    """Join encoded prompts to a batch; tensors along the tokens are padded on the left.

    Example:
        >>> import torch
        >>> join([{"input_ids": torch.tensor([[5, 6]])}, {"input_ids": torch.tensor([[7]])}], pad_token=2)["input_ids"]
        tensor([[5, 6],
                [2, 7]])
    """
    import torch

    longest = max(prompt["input_ids"].shape[1] for prompt in prompts)

    def padded(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name not in TOKEN_TENSORS:
            return tensor
        value = pad_token if name == "input_ids" else 0
        return torch.nn.functional.pad(tensor, (longest - tensor.shape[1], 0), value=value)

    return {name: torch.cat([padded(name, prompt[name]) for prompt in prompts]) for name in prompts[0]}
