"""Prepare a loaded model for generation: which tokens end a text, which tags a thought has, and which decoder fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evals.models.decoding.batching import batch_rules
from evals.models.decoding.batching.batch_rules import BatchRule
from evals.models.decoding.checkpoint_settings import end_ids, sampling_facts, thought_tags
from evals.models.decoding.engine import Decoder
from evals.models.decoding.hf_generate import LibraryDecoder
from evals.models.decoding.reading import TextReader
from evals.schema import Json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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
    """For the manifest: how rows are read, whether prefixes are shared, the IDs that end a text, the tags of thoughts,
    the checkpoint's own sampling settings."""


def prepare_generation(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    rule: BatchRule,
    share_prefixes: bool,
    template: Conversations | None = None,
    cache_positions: int | None = None,
) -> Generation:
    """Wrap a model in the decoder that fits its architecture.

    Args:
        folder: the checkpoint.
        model: a model with a language-model head.
        tokenizer: its tokenizer.
        rule: how the architecture reads the rows of a batch.
        share_prefixes: whether the model's cache can be cut and copied (`prefix_sharing.supports_prefix_sharing`).
        template: the chat template, or None without one.
        cache_positions: number of positions that the memory holds for prefixes, and once more for slots; or None.

    Returns:
        A `Decoder`, which computes shared prefixes once, or else a `LibraryDecoder`, with what goes with it.

    Raises:
        InputError: the architecture cannot be scored as a language model.
    """
    batch_rules.check(folder, rule)
    ends, reader = text_ends(folder, model, tokenizer, template)
    decoder = (
        Decoder(model, ends=ends, reader=reader, cache_positions=cache_positions)
        if share_prefixes and rule.in_batches
        else LibraryDecoder(model, ends=ends, reader=reader, row_by_row=not rule.in_batches)
    )
    facts = {
        "batching": str(rule),
        "shares_prefixes": isinstance(decoder, Decoder),
        **reading_facts(folder, ends, reader),
    }
    return Generation(decoder, reader, facts)


def text_ends(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    template: Conversations | None,
) -> tuple[list[int], TextReader]:
    """Find the tokens that end a text, and make the reader of generated tokens; the arguments are as above.

    Only the configuration of the model is read, not its weights.
    """
    text, render = (None, None) if template is None else (template.text, template.conversation)
    ends = end_ids(folder, model, tokenizer, render)
    return ends, TextReader(tokenizer, thought_tags(text, tokenizer, render))


def reading_facts(folder: Path, ends: Sequence[int], reader: TextReader) -> dict[str, Json]:
    """Return what determines how generated tokens are read, for the manifest."""
    return {
        "end_ids": list(ends),
        "thought_tags": [[pair.opening, pair.closing] for pair in reader.pairs],
        "generation_config": sampling_facts(folder),
    }
