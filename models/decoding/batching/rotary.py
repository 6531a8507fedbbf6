"""Forget the longest text that a dynamically scaled rotary embedding has read.

The library's `dynamic` scaling keeps the frequencies of the longest text so far and applies them to the next, shorter
one, unless that has fewer positions than the model was made for. So a score would depend on the texts before it.

Source: `dynamic_frequency_update` of transformers 5.23.0, modeling_rope_utils.py, line 83.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ORIGINAL = "original_inv_freq"


def reset_rotary(model: PreTrainedModel) -> None:
    """Set every rotary embedding of a model to its state before the first text.

    Args:
        model: a loaded model; one without dynamic scaling is left as it is.
    """
    for module in model.modules():
        length = getattr(module, "original_max_seq_len", None)
        if length is None:
            continue
        for name in [name for name in (*vars(module), *module._buffers) if name.endswith(_ORIGINAL)]:
            prefix = name.removesuffix(_ORIGINAL)
            # A copy: the library writes the frequencies of `longrope` in place.
            frequencies = getattr(module, name).to(model.device, copy=True)
            module.register_buffer(f"{prefix}inv_freq", frequencies, persistent=False)
            setattr(module, f"{prefix}max_seq_len_cached", length)
