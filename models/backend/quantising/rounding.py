"""Round a matrix to 8-bit integers with one scale per row, and pack four integers into 32 bits.

The packing is that of compressed-tensors' format `pack-quantized`: integers are stored with an offset of 128, the first
of four in the lowest byte (`compressed_tensors/compressors/pack_quantized/helpers.py`, `pack_to_int32`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LARGEST = 127
_OFFSET = 128
_ROWS = 1 << 22
"""Elements that are rounded at once, so that the memory stays near that of the result."""


def is_finite(tensor: torch.Tensor) -> bool:
    """Return whether all numbers of a floating tensor are finite, with little memory: their extremes are looked at.

    Example:
        >>> import torch
        >>> is_finite(torch.ones(3)), is_finite(torch.tensor([0.0, -torch.inf])), is_finite(torch.tensor([torch.nan]))
        (True, False, False)
    """
    import torch

    return not tensor.numel() or bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all())


def round_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a matrix to integers, with one scale per row.

    Args:
        weight: (rows, columns), floating, finite.

    Returns:
        Integers from -127 to 127, (rows, columns) int8, and scales, (rows, 1) in the weight's number format (float32
        for float64). Integer times scale differs from the weight by at most half a scale.

    Raises:
        ValueError: a weight is not finite.

    Example:
        >>> import torch
        >>> integers, scales = round_rows(torch.tensor([[0.5, -1.27, 0.0], [0.0, 0.0, 0.0]]))
        >>> integers.tolist(), [round(float(scale), 4) for scale in scales]
        ([[50, -127, 0], [0, 0, 0]], [0.01, 1.0])
    """
    import torch

    kept = torch.float32 if weight.dtype == torch.float64 else weight.dtype
    step = max(1, _ROWS // max(weight.shape[1], 1))
    integers = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty((len(weight), 1), dtype=kept)
    for start in range(0, len(weight), step):
        part = weight[start : start + step].to(torch.float32)
        largest = part.abs().amax(1, keepdim=True)
        if not bool(torch.isfinite(largest).all()):
            raise ValueError("a weight is not finite")
        wanted = torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))
        rounded = wanted.to(kept)
        too_small = rounded.to(torch.float32) < wanted  # then the largest weight would not fit
        rounded = torch.where(too_small, torch.nextafter(rounded, torch.full_like(rounded, torch.inf)), rounded)
        scales[start : start + step] = rounded
        quotient = (part / rounded.to(torch.float32)).round_().clamp_(-LARGEST, LARGEST)
        integers[start : start + step] = quotient.to(torch.int8)
    return integers, scales


def pack(integers: torch.Tensor) -> torch.Tensor:
    """Pack int8 integers (rows, columns) into int32 (rows, columns / 4, rounded up); the missing ones are -128.

    Example:
        >>> import torch
        >>> packed = pack(torch.tensor([[1, 0, -1, 127, 5]], dtype=torch.int8))
        >>> [f"{int(number) & 0xFFFFFFFF:08x}" for number in packed[0]]
        ['ff7f8081', '00000085']
    """
    import torch

    rows, columns = integers.shape
    missing = -columns % 4
    shifted = (integers.to(torch.int16) + _OFFSET).to(torch.uint8)
    if missing:
        shifted = torch.nn.functional.pad(shifted, (0, missing))
    return shifted.contiguous().view(torch.int32).reshape(rows, (columns + missing) // 4)
