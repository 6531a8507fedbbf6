"""The size of a replica's transformer layers, and the Llama decoder that the text replicas and `vl` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerBase


@dataclass(frozen=True)
class LayerShape:
    """Number and size of a model's transformer layers."""

    layers: int
    """Number of layers; of an encoder-decoder, in each of the two."""
    width: int
    """Size of the hidden states."""
    inner: int
    """Size of the hidden layer inside a feed-forward layer."""
    heads: int
    """Number of attention heads, each with its own keys and values."""


def llama_config(shape: LayerShape, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """Configure a Llama decoder of a given shape for a tokenizer."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=1024,
        # A question must match earlier text at any distance. At the usual base of 10,000, half of a head's 16 pairs of
        # dimensions turn by more than a radian over 64 positions; a high base leaves more of them to content.
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
