"""What a model reads, in the form in which it is recorded: inputs that begin alike store their beginning once.

Inputs share a prefix if everything before their last text is equal: the instruction, the few-shot examples, and for
images the placeholders. What is shared depends only on the prompts of a window, never on workers or interruptions, so a
sample's record is the same however it was computed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from evals import regular_files
from evals.data import audio, images
from evals.records.inputs import Continuation, Media, RecordedInput, SharedPrefix, pack_tokens
from evals.schema import MODALITIES, Audio, Image, Inspectable, Model, ModelInput, Prompt

_SMALLEST = 64
"""A prefix is shared from this number of characters in the file on; a reference takes about 30."""


class SplitInput(NamedTuple):
    """A recorded input with the shared prefix that it refers to."""

    recorded: RecordedInput
    prefix: SharedPrefix | None


def record_inputs(model: Model, prompts: Sequence[Prompt]) -> list[SplitInput | None]:
    """Describe what a model reads for the prompts of a window; None for a model that does not say.

    Args:
        model: the model that prepared the prompts.
        prompts: all prompts of the window.

    Returns:
        One entry per prompt.
    """
    if not isinstance(model, Inspectable):
        return [None] * len(prompts)
    described = ((index, model.model_input(prompt)) for index, prompt in enumerate(prompts))
    inputs = {index: model_input for index, model_input in described if model_input is not None}
    digests: dict[object, str | None] = {}
    media = {index: _media(prompts[index], digests) for index in inputs}
    members: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, model_input in inputs.items():
        members[_leading(prompts[index], model_input), model_input.tokens is None].append(index)
    split: list[SplitInput | None] = [None] * len(prompts)
    for (leading, _), indices in members.items():
        prefix = _shared([inputs[index] for index in indices], str(leading))
        for index in indices:
            split[index] = _split(inputs[index], media[index], prefix)
    return split


def prefixes_of(inputs: Sequence[SplitInput | None]) -> list[SharedPrefix]:
    """Return the shared prefixes that some inputs refer to, each once."""
    prefixes = (entry.prefix for entry in inputs if entry is not None and entry.prefix is not None)
    return list({prefix.digest: prefix for prefix in prefixes}.values())


def of_sample(inputs: Sequence[SplitInput | None]) -> list[RecordedInput | None] | None:
    """Return the inputs of a sample's requests for its record: one entry if all are equal, None if there are none.

    Requests whose prompt could not be made have no input.
    """
    recorded = [None if entry is None else entry.recorded for entry in inputs]
    if not any(recorded):
        return None
    return recorded[:1] if all(entry == recorded[0] for entry in recorded) else recorded


def _leading(prompt: Prompt, model_input: ModelInput) -> str:
    """Return the text before the last text of the request: it is what other requests may have in common."""
    last = next((part for part in reversed(prompt.request.parts) if isinstance(part, str)), "")
    return model_input.text[: max(0, model_input.text.rfind(last))] if last else ""


def _shared(inputs: Sequence[ModelInput], leading: str) -> SharedPrefix | None:
    """Return the prefix that some inputs share, or None if it is not worth it."""
    if len(inputs) < 2:
        return None
    tokens: list[int] | None = None
    if inputs[0].tokens is not None:
        sequences = [model_input.tokens for model_input in inputs if model_input.tokens is not None]
        first, last = min(sequences, key=tuple), max(sequences, key=tuple)  # what these two share, all share
        tokens = [a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
    prefix = SharedPrefix.of(leading, tokens)
    size = len(leading) + (len(str(prefix.tokens)) if prefix.tokens else 0)
    return prefix if size >= _SMALLEST else None


def _split(model_input: ModelInput, media: list[Media], prefix: SharedPrefix | None) -> SplitInput:
    """Divide an input into the shared prefix and the rest."""
    text, tokens = model_input.text, model_input.tokens
    if prefix is not None:
        text = text[len(prefix.text) :]
        if tokens is not None and prefix.tokens is not None:
            tokens = tokens[sum(1 if isinstance(entry, int) else entry[1] for entry in prefix.tokens) :]
    continuations = [
        Continuation(text, None if ids is None else pack_tokens(ids)) for text, ids in model_input.continuations
    ]
    recorded = RecordedInput(
        text=text,
        tokens=None if tokens is None else pack_tokens(tokens),
        prefix=None if prefix is None else prefix.digest,
        continuations=continuations or None,
        media=media or None,
        messages=None if model_input.messages is None else [dict(message) for message in model_input.messages],
    )
    return SplitInput(recorded, prefix)


def _media(prompt: Prompt, digests: dict[object, str | None]) -> list[Media]:
    """Describe the images and audio of a prompt; `digests` remembers those of the window."""
    media = []
    for part in prompt.request.parts:
        if isinstance(part, Image | Audio):
            key = type(part), part.key
            if key not in digests:
                digests[key] = _digest(part)
            media.append(Media(MODALITIES[type(part)], digests[key], part.blind))
    return media


def _digest(part: Image | Audio) -> str | None:
    """Return the digest of a part's file; None if it cannot be read, which the model reports."""
    limit = images.MAX_BYTES if isinstance(part, Image) else audio.MAX_BYTES
    try:
        file = None if part.path is None else part.path
        data = part.data if part.data is not None else None if file is None else regular_files.read(file, limit=limit)
    except OSError:
        return None
    return None if data is None else hashlib.sha256(data).hexdigest()[:16]
