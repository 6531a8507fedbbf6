"""Which models compute a prefix that prompts share only once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.models.decoding.placeholders import has_image_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def supports_prefix_sharing(model: PreTrainedModel) -> bool:
    """Return whether a model's cache can be cut and copied.

    This holds when every layer attends to every earlier position and positions are plain rotary ones.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    config = model.config.get_text_config()
    rotary = getattr(config, "rope_parameters", None) or {}
    # With other schemes (ALiBi, learned positions, length-dependent scaling) a token's position is not all that counts.
    plain = rotary.get("rope_type") in {"default", "linear", "llama3", "yarn"}
    if "mrope_section" in rotary and not has_image_positions(model):
        return False
    if not plain or config.is_encoder_decoder or getattr(config, "alibi", False):
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)
