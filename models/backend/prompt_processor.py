"""Render, tokenise and preprocess prompts of texts and images with a checkpoint's processor."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from evals.data.images import decode
from evals.errors import SampleError
from evals.models.backend import pytorch, requirements
from evals.models.backend.image_prompts import TOKEN_TENSORS, EncodedPrompt, EncodedPrompts
from evals.models.backend.prompts.chat_templates import ChatTemplates, chat_templates
from evals.models.backend.prompts.prompt_limits import PromptLimits, shortest_that_fits
from evals.models.backend.prompts.special_tokens import SpecialTokens, find_special_tokens
from evals.models.decoding.last_state import prompt_parts
from evals.models.decoding.placeholders import Placeholders
from evals.schema import MODALITIES, ChatSettings, Embed, Generate, Image, Part

if TYPE_CHECKING:
    import torch
    from transformers import ProcessorMixin

_AS_STATED = ChatSettings()
FIXED_COUNTS = frozenset({"DeepseekVLProcessor", "DeepseekVLHybridProcessor", "MixtureProcessor"})
"""Processors that repeat each placeholder `num_image_tokens` times, whatever the image is."""


@dataclass(frozen=True)
class PromptProcessor:
    """The library's processor of a checkpoint, made safe for several threads."""

    library: ProcessorMixin
    """Tokenizer, image processor and chat template."""
    special: SpecialTokens
    """The tokens that the tokenizer puts around a text."""
    templates: ChatTemplates
    """The chat template of the checkpoint, and those that requests choose."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Padding and truncation are state of the tokenizer, so one thread uses it at a time."""
    encoded_prompts: EncodedPrompts = field(default_factory=EncodedPrompts, repr=False)
    """Prompts whose images were processed to count their tokens, until a batch needs them."""

    @classmethod
    def of(cls, library: ProcessorMixin, folder: Path) -> Self:
        """Wrap the processor of a checkpoint's folder. Raises `InputError` if it has templates, but no default one."""
        return cls(library, find_special_tokens(library.tokenizer), chat_templates(library, folder))

    @property
    def placeholders(self) -> Placeholders:
        """The placeholder of each kind of part that the model reads besides text."""
        return {Image: (self.library.image_token, self.library.image_token_id)}

    @property
    def pad_token(self) -> int:
        """The token that fills a batch's shorter prompts; it is masked, so any token does."""
        pad = self.library.tokenizer.pad_token_id
        return 0 if pad is None else int(pad)

    @property
    def fixed_count(self) -> int | None:
        """Number of tokens of every image, where it depends on no image; else None."""
        # LLaVA-OneVision has an attribute of this name that is the count of one tile.
        fixed = type(self.library).__name__ in FIXED_COUNTS
        return int(self.library.num_image_tokens) if fixed else None

    def render(self, parts: Sequence[Part], chat: ChatSettings = _AS_STATED) -> str:
        """Render a prompt as one user message, with a placeholder for each image.

        Without a chat template, the placeholders and texts are joined. Raises `InputError` if `chat` needs one.
        """
        template = self.templates.choose(chat)
        if template is None:
            return "".join(part if isinstance(part, str) else self.library.image_token for part in parts)
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": MODALITIES[type(part)]}
            for part in parts
        ]
        return template.render(content)

    def fitted(self, request: Generate | Embed, limits: PromptLimits) -> tuple[Generate | Embed, list[int], int]:
        """Render and tokenise a request; shorten it if it is too long for the model and the user allows it.

        Returns:
            The request that the model reads, its tokens, and the number of tokens that were removed.

        Raises:
            SampleError: the chat template refuses the prompt, or an image is rejected.
            LongPromptError: the prompt is too long for the model.
        """
        tokens, new = self._tokens(request), request.max_new_tokens if isinstance(request, Generate) else 0
        length = len(tokens)
        if limits.check(request.id, length, new):
            request = shortest_that_fits(request, lambda shorter: not limits.excess(len(self._tokens(shorter)), new))
            tokens = self._tokens(request)
            while excess := limits.excess(len(tokens), new):
                parts = self._without_left(request.parts, excess)
                if parts is None:
                    raise limits.error(request.id, length, new)
                request = replace(request, parts=parts)
                tokens = self._tokens(request)
        return request, tokens, length - len(tokens)

    def _tokens(self, request: Generate | Embed) -> list[int]:
        images = [part for part in request.parts if isinstance(part, Image)]
        rendered = self.render(prompt_parts(request), request.chat)
        if (shown := rendered.count(self.library.image_token)) != len(images):
            raise SampleError(f"request {request.id}: the chat template shows {shown} of {len(images)} images")
        return self.tokenise(rendered, images)

    def _without_left(self, parts: Sequence[Part], excess: int) -> tuple[Part, ...] | None:
        """Remove tokens from the left of the texts; None if no token of the last text would be left."""
        shorter: list[Part] = []
        for part in parts:
            if not isinstance(part, str) or not excess:
                shorter.append(part)
                continue
            tokens = self.tokenise_text(part)
            kept = tokens[excess:]
            excess -= len(tokens) - len(kept)
            if kept:
                shorter.append(self.text(kept, special=True).lstrip("\N{REPLACEMENT CHARACTER}"))
        texts = [part for part in shorter if isinstance(part, str) and part]
        return tuple(shorter) if texts and not excess else None

    def tokenise(self, rendered: str, images: Sequence[Image]) -> list[int]:
        """Tokenise a rendered prompt, repeating each placeholder as often as its image has features.

        A prompt whose images must be processed to be counted is kept for `encode`. Raises `SampleError`.
        """
        if images and self.fixed_count is None:
            encoded = self._encoded(rendered, images)
            self.encoded_prompts.add(_key(rendered, images), encoded)
            return list(encoded["input_ids"][0].tolist())
        special = self._adds_special_tokens(rendered)
        closing = len(self.special.closing) if special else 0
        expanded = rendered.replace(self.library.image_token, self.library.image_token * (self.fixed_count or 1))
        with self.lock:
            ids = list(self.library.tokenizer(expanded, add_special_tokens=special)["input_ids"])
        return ids[: len(ids) - closing]

    def unexpanded(self, request: Generate | Embed) -> list[int]:
        """Render and tokenise a request with one placeholder per image, for an engine that repeats it itself."""
        rendered = self.render(prompt_parts(request), request.chat)
        special = self._adds_special_tokens(rendered)
        closing = len(self.special.closing) if special else 0
        with self.lock:
            ids = list(self.library.tokenizer(rendered, add_special_tokens=special)["input_ids"])
        return ids[: len(ids) - closing]

    def tokenise_text(self, text: str) -> tuple[int, ...]:
        """Tokenise a plain text without special tokens."""
        with self.lock:
            return tuple(self.library.tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode(self, rendered: str, images: Sequence[Image]) -> EncodedPrompt:
        """Make the model's inputs for one rendered prompt, on the CPU. Raises `SampleError`."""
        return self.encoded_prompts.take(_key(rendered, images), lambda: self._encoded(rendered, images))

    def inputs(self, rendered: str, parts: Sequence[Part]) -> dict[str, torch.Tensor]:
        """Make the tensors that the model reads for the images of a prompt. Raises `SampleError`."""
        images = [part for part in parts if isinstance(part, Image)]
        if not images:
            return {}
        if self.fixed_count is not None:
            return pytorch.process_images(self.library, images)
        encoded = self.encode(rendered, images)
        return {name: tensor for name, tensor in encoded.items() if name not in TOKEN_TENSORS}

    def text(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """Turn tokens into text, without special tokens unless `special` is set."""
        text: str = self.library.tokenizer.decode(tokens, skip_special_tokens=not special)
        return text

    def _encoded(self, rendered: str, images: Sequence[Image]) -> EncodedPrompt:
        import torch

        decoded = [decode(image) for image in images]
        special = self._adds_special_tokens(rendered)
        with self.lock:
            try:
                outputs = self.library(
                    text=[rendered], images=[decoded] if decoded else None, return_tensors="pt",
                    add_special_tokens=special,
                )  # fmt: skip
            except Exception as error:  # a processor can raise nearly any exception for a prompt that it rejects
                raise self._rejection(images, error) from error
        encoded = {name: value for name, value in outputs.items() if isinstance(value, torch.Tensor)}
        encoded.pop("labels", None)  # for training
        closing = len(self.special.closing) if special else 0
        return {name: v[:, : v.shape[1] - closing] if name in TOKEN_TENSORS else v for name, v in encoded.items()}

    def _rejection(self, images: Sequence[Image], error: Exception) -> SampleError:
        if images:
            return pytorch.image_error(images, error)
        return SampleError(f"a prompt without images is rejected by the processor: {requirements.explain(error)}")

    def _adds_special_tokens(self, rendered: str) -> bool:
        """Return whether the tokenizer must add special tokens: not if the template already wrote the first one."""
        bos = self.library.tokenizer.bos_token
        return not (bos and rendered.startswith(bos))


def _key(rendered: str, images: Sequence[Image]) -> Hashable:
    return rendered, tuple((image.key, image.blind) for image in images)
