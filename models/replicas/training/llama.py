"""The decoder that the text replicas and `vl` have in common: the library's Llama."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerBase


class Shape(Protocol):
    """The part of a recipe that says how large its decoder is."""

    @property
    def width(self) -> int:
        """Of the states between the layers."""

    @property
    def inner(self) -> int:
        """Width inside the feed-forward layers."""

    @property
    def heads(self) -> int:
        """Heads of attention, each with keys and values of its own."""

    @property
    def layers(self) -> int:
        """How many."""


def llama_config(shape: Shape, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """Configure a decoder of some shape for a tokenizer."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=1024,
        # What is asked must match what was told at any distance; at the usual base of 10,000 half of a head's 16 pairs
        # turn by more than a radian over 64 positions. A high base leaves more of them to content.
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
