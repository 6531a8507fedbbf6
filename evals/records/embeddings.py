"""Embeddings in a record: a vector of float32 as text, with little more than five characters per number.

A list of decimal numbers would take two to four times as much space, and a benchmark may have 30,000 embeddings.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.errors import InputError, shorten
from evals.schema import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


def pack(vector: Sequence[float] | NDArray[np.floating]) -> str:
    """Write a vector as text: its numbers as little-endian float32, in base64.

    Raises:
        ValueError: it has no numbers, more than one axis, or a number that is not finite in float32.

    Example:
        >>> pack([1.0, -0.5]), unpack(pack([1.0, -0.5]))
        ('AACAPwAAAL8=', array([ 1. , -0.5], dtype=float32))
    """
    import numpy as np

    values = np.asarray(vector, dtype="<f4")
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"expected one axis of finite numbers, got shape {values.shape}")
    return base64.b64encode(values.tobytes()).decode()


def unpack(output: Json) -> Vector:
    """Read a vector: text that `pack` wrote, or a list of numbers as in recorded outputs of other programs.

    Raises:
        InputError: the output is neither of these, or a number is not finite.
    """
    import numpy as np

    try:
        if isinstance(output, str):
            values = np.frombuffer(base64.b64decode(output, validate=True), dtype="<f4").astype(np.float32)
        else:
            with np.errstate(over="ignore"):  # numbers that float32 cannot represent are refused below
                values = np.asarray(output, dtype=np.float32)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InputError(f"{shorten(output, 40)} is not an embedding: {error}") from error
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InputError(f"{shorten(output, 40)} is not an embedding: expected a list of finite numbers")
    return values
