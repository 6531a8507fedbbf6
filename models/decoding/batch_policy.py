"""Which architectures read one row at a time, because batch mates would change a row's scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROW_BY_ROW: Mapping[str, str] = {
    "rwkv": "its state reads padding: the architecture has no attention mask",
    "recurrent_gemma": "its recurrent layers read padding",
}
"""Model types that read one row at a time, and why."""
SCALED_BY_LENGTH = frozenset({"longrope", "dynamic"})
"""Scalings of rotary embeddings that depend on the longest row of a batch."""


def reads_row_by_row(model: PreTrainedModel) -> bool:
    """Return whether a model must read each row alone."""
    config = model.config.get_text_config()
    rotary: Any = getattr(config, "rope_parameters", None) or {}
    scalings = {rotary.get("rope_type"), *(part.get("rope_type") for part in rotary.values() if isinstance(part, dict))}
    return config.model_type in ROW_BY_ROW or bool(scalings & SCALED_BY_LENGTH)
