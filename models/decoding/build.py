"""Prepare a loaded model for generation: which tokens end a text, which tags a thought has, and which decoder fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from evals.models.decoding.checkpoint_settings import end_ids, sampling_facts, thought_tags
from evals.models.decoding.engine import Decoder
from evals.models.decoding.hf_generate import LibraryDecoder
from evals.models.decoding.reading import TextReader
from evals.schema import Json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROW_BY_ROW: Mapping[str, str] = {
    "rwkv": "its state reads padding: the architecture has no attention mask",
    "recurrent_gemma": "its recurrent layers read padding",
}
"""Model types that read one row at a time, and why."""
SCALED_BY_LENGTH = frozenset({"longrope", "dynamic"})
"""Scalings of rotary embeddings that depend on the longest row of a batch."""


class Conversations(Protocol):
    """A chat template, as far as it states what ends a text and what encloses a thought."""

    @property
    def text(self) -> str:
        """The template, in Jinja."""

    def conversation(self, messages: Sequence[Mapping[str, Json]], begins_answer: bool) -> str | None:
        """Render messages, as `RenderChat` does."""


@dataclass(frozen=True)
class Generation:
    """What a family needs to generate with a loaded model."""

    decoder: Decoder | LibraryDecoder
    reader: TextReader
    """Turns generated tokens into an answer and a thought."""
    facts: Mapping[str, Json]
    """For the manifest: the ids that end a text, the tags of thoughts, the checkpoint's own sampling settings."""


def prepare_generation(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    share_prefixes: bool,
    template: Conversations | None = None,
) -> Generation:
    """Wrap a model in the decoder that fits its architecture.

    Args:
        folder: the checkpoint.
        model: a model with a language-model head.
        tokenizer: its tokenizer.
        share_prefixes: whether the model's cache can be cut and copied (`engine.supports_prefix_sharing`).
        template: the chat template, or None without one.

    Returns:
        A `Decoder`, which computes shared prefixes once, or else a `LibraryDecoder`, with what goes with it.
    """
    text, render = (None, None) if template is None else (template.text, template.conversation)
    ends = end_ids(folder, model, tokenizer, render)
    reader = TextReader(tokenizer, thought_tags(text, tokenizer, render))
    decoder = (
        Decoder(model, ends=ends, reader=reader)
        if share_prefixes
        else LibraryDecoder(model, ends=ends, reader=reader, row_by_row=reads_row_by_row(model))
    )
    facts = {
        "end_ids": ends,
        "thought_tags": [[pair.opening, pair.closing] for pair in reader.pairs],
        "generation_config": sampling_facts(folder),
    }
    return Generation(decoder, reader, facts)


def reads_row_by_row(model: PreTrainedModel) -> bool:
    """Return whether a model must read each row alone."""
    config = model.config.get_text_config()
    rotary: Any = getattr(config, "rope_parameters", None) or {}
    scalings = {rotary.get("rope_type"), *(part.get("rope_type") for part in rotary.values() if isinstance(part, dict))}
    return config.model_type in ROW_BY_ROW or bool(scalings & SCALED_BY_LENGTH)
