"""Choose the decoder for a loaded model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.models.decoding.engine import Decoder
from evals.models.decoding.hf_generate import LibraryDecoder
from evals.models.decoding.sampling import end_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def build_decoder(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, share_prefixes: bool
) -> Decoder | LibraryDecoder:
    """Wrap a model in the decoder that fits its architecture.

    Args:
        model: a model with a language-model head.
        tokenizer: its tokenizer, which provides the end token and turns tokens into text.
        share_prefixes: whether the model's cache can be cut and copied (`engine.supports_prefix_sharing`).

    Returns:
        A `Decoder`, which computes shared prefixes once, or else a `LibraryDecoder`.
    """
    return (Decoder if share_prefixes else LibraryDecoder)(
        model,
        ends=end_tokens(model, tokenizer),
        text=lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True),
    )
