"""Write a safetensors file tensor by tensor, so that only one tensor is in memory.

The layout is that of safetensors: the length of the header in eight bytes, the header in JSON, the tensors' bytes one
after the other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}
"""Size of a number in each format that is written."""


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor that will be written."""

    name: str
    dtype: str
    """As safetensors names it (`F16`)."""
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of bytes."""
        return prod(self.shape) * BITS[self.dtype] // 8


def write_tensors(
    path: Path, planned: Iterable[PlannedTensor], tensor_of: Callable[[str], torch.Tensor], metadata: dict[str, str]
) -> None:
    """Write a file.

    Args:
        path: the file.
        planned: its tensors; they are asked for in this order.
        tensor_of: returns a tensor by its name, with the planned format and shape.
        metadata: texts for the header.
    """
    import torch

    tensors, at = list(planned), 0
    header: dict[str, object] = {"__metadata__": metadata}
    for tensor in tensors:
        places = [at, at + tensor.size]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": places}
        at += tensor.size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)  # so that the tensors begin at a multiple of eight
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for tensor in tensors:
            value = tensor_of(tensor.name).contiguous()
            assert tuple(value.shape) == tensor.shape
            written = file.write(memoryview(value.reshape(-1).view(torch.uint8).numpy())) if value.numel() else 0
            assert written == tensor.size
