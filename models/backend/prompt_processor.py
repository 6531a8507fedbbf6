"""Render, tokenise and preprocess prompts of texts and images with a checkpoint's processor."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evals.data.images import decode
from evals.models.backend import pytorch
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.backend.tokenisation import render_chat
from evals.models.decoding.placeholders import Placeholders
from evals.schema import MODALITIES, ChatSettings, Image, Part

if TYPE_CHECKING:
    import torch
    from transformers import ProcessorMixin

_AS_STATED = ChatSettings()


@dataclass(frozen=True)
class PromptProcessor:
    """The library's processor of a checkpoint, made safe for several threads."""

    library: ProcessorMixin
    """Tokenizer, image processor and chat template."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Padding and truncation are state of the tokenizer, so one thread uses it at a time."""

    @property
    def placeholders(self) -> Placeholders:
        """The placeholder of each kind of part that the model reads besides text."""
        return {Image: (self.library.image_token, self.library.image_token_id)}

    def render(self, parts: Sequence[Part], chat: ChatSettings = _AS_STATED) -> str:
        """Render a prompt as one user message, with a placeholder for each image.

        Without a chat template, the placeholders and texts are joined. Raises `InputError` if `chat` needs one.
        """
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": MODALITIES[type(part)]}
            for part in parts
        ]
        rendered = render_chat(self.library, content, chat)
        if rendered is not None:
            return rendered
        return "".join(part if isinstance(part, str) else self.library.image_token for part in parts)

    def tokenise(self, rendered: str, images: Sequence[Image]) -> list[int]:
        """Tokenise a rendered prompt, repeating each placeholder as often as its image has features."""
        count = getattr(self.library, "num_image_tokens", None)
        special = self._adds_special_tokens(rendered)
        if count is None and images:
            decoded = [decode(image) for image in images]
            with self.lock:
                try:
                    ids = self.library(text=rendered, images=decoded, add_special_tokens=special)["input_ids"]
                except Exception as error:  # an image processor can raise nearly any exception
                    raise pytorch.image_error(images, error) from error
            return list(ids[0] if isinstance(ids[0], Sequence) else ids)
        expanded = rendered.replace(self.library.image_token, self.library.image_token * (count or 1))
        with self.lock:
            return list(self.library.tokenizer(expanded, add_special_tokens=special)["input_ids"])

    def tokenise_text(self, text: str) -> tuple[int, ...]:
        """Tokenise a plain text without special tokens."""
        with self.lock:
            return tuple(self.library.tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode(self, texts: Sequence[str], images: Sequence[Sequence[Any]], placement: ResolvedPlacement) -> Any:
        """Prepare rendered prompts with their decoded images for the library's `generate`, padded on the left."""
        with self.lock:
            return self.library(
                text=list(texts), images=images if any(images) else None, padding=True, padding_side="left",
                add_special_tokens=self._adds_special_tokens(texts[0]), return_tensors="pt",
            ).to(placement.device, placement.dtype)  # fmt: skip

    def inputs(self, parts: Sequence[Part]) -> dict[str, torch.Tensor]:
        """Make the tensors that the model reads for the images of a prompt. Raises `SampleError`."""
        images = [part for part in parts if isinstance(part, Image)]
        return pytorch.process_images(self.library, images) if images else {}

    def text(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """Turn tokens into text, without special tokens unless `special` is set."""
        text: str = self.library.tokenizer.decode(tokens, skip_special_tokens=not special)
        return text

    def _adds_special_tokens(self, rendered: str) -> bool:
        """Return whether the tokenizer must add special tokens: not if the template already wrote the first one."""
        bos = self.library.tokenizer.bos_token
        return not (bos and rendered.startswith(bos))
