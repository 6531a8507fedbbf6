"""Prompts of text, images and audio, as the families of such models and the engines prepare them alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from evals.errors import SampleError
from evals.models.backend.prompt_processor import PromptProcessor
from evals.models.backend.prompts.prompt_limits import PromptLimits
from evals.models.backend.visible_text import decoded, model_input
from evals.models.decoding.placeholders import number_placeholders, restore_placeholders, single_placeholders
from evals.schema import MODALITIES, Audio, Embed, Generate, ModelInput, Part, Prompt, Request


def prepare_request(
    processor: PromptProcessor, limits: PromptLimits, request: Request, key: Callable[[Generate | Embed], Hashable]
) -> Prompt:
    """Render and tokenise a request; placeholders of different images get different negative numbers.

    Args:
        processor: renders and tokenises.
        limits: the positions of the model.
        request: the request; it is shortened if it is too long and the user allows it.
        key: returns what the request, as it is read, can share with others.

    Raises:
        SampleError: the model cannot read the request.
        LongPromptError: the prompt is too long for the model.
    """
    if not isinstance(request, Generate | Embed):
        raise SampleError(f"request {request.id} asks to {type(request).__name__.lower()}, not to generate")
    placeholders = processor.placeholders
    if any(isinstance(part, Audio) for part in request.parts) and Audio not in placeholders:
        raise SampleError(f"request {request.id} has audio; this model reads text and images")
    for kind, (text, _) in placeholders.items():
        if any(isinstance(part, str) and text in part for part in request.parts):
            raise SampleError(f"request {request.id}: its text holds the {MODALITIES[kind]} placeholder {text}")
    request, tokens, removed = processor.fitted(request, limits)
    reserve = request.max_new_tokens if isinstance(request, Generate) else 0
    numbered = number_placeholders(tokens, request.parts, placeholders)
    return Prompt(request, key(request), numbered, reserve, removed=removed)


def media_input(processor: PromptProcessor, prompt: Prompt) -> ModelInput:
    """Return what a model reads: the rendered text with one placeholder per image, and the tokens with all."""
    tokenizer, placeholders = processor.library.tokenizer, processor.placeholders
    text = decoded(tokenizer, restore_placeholders(single_placeholders(prompt.tokens), placeholders))
    return replace(model_input(tokenizer, prompt, restore_placeholders(prompt.tokens, placeholders)), text=text)


def shared_key(leading: Sequence[Part]) -> tuple[object, ...]:
    """Return what prompts with equal leading parts have in common."""
    return tuple(part if isinstance(part, str) else (part.key, part.blind) for part in leading)
