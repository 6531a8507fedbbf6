"""Dual encoders: CLIP, SigLIP and every other checkpoint whose class embeds images and texts separately.

The library's `get_image_features` and `get_text_features` compute the embeddings; the scale and bias of a checkpoint's
logits do not change any ranking and are left out. A text that is longer than the tokenizer's limit is cut there, as in
training, and the prediction is marked as truncated; `--long-prompts` chooses another rule. SigLIP was trained on texts
padded to the limit, with the padding read like any other token, and gets its texts in this form.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError, SampleError
from evals.models.backend import pytorch, tokenisation
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.backend.tokenisation import length_limit
from evals.models.backend.visible_text import encoded_text
from evals.models.decoding.padding import on_device
from evals.models.decoding.sampling import NOT_FINITE
from evals.registry import FAMILIES
from evals.schema import Batch, Embed, Family, Image, Json, ModelInput, Part, Placement, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

MODEL_TYPES = frozenset({"clip", "siglip", "altclip", "chinese_clip", "metaclip_2"})
"""Model types whose classes have both feature functions and take their processor's output unchanged."""
PADDED = frozenset({"siglip"})
"""Model types that were trained on texts padded to the limit, without a mask."""


@dataclass(frozen=True, kw_only=True)
class DualEncoder:
    """A loaded checkpoint with its processor."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    model: PreTrainedModel
    processor: ProcessorMixin
    placement: ResolvedPlacement
    text_limit: int
    """Maximum number of tokens of a text."""
    image_positions: int
    """Number of positions of an encoded image."""
    long_prompts: str = tokenisation.PROTOCOL
    """What happens to longer texts."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Truncation is state of the tokenizer, so one thread uses it at a time."""
    abilities: frozenset[str] = frozenset({"embed"})

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a text; an image counts as many tokens as it has patches. Nothing is shared."""
        if not isinstance(request, Embed) or len(request.parts) != 1:
            raise SampleError(f"request {request.id} is not a single image or text to embed")
        (part,) = request.parts
        if isinstance(part, Image):
            return Prompt(request, request.id, (0,) * self.image_positions, 0)
        if not isinstance(part, str):
            raise SampleError(f"request {request.id} has audio; this family embeds texts and images")
        with self.lock:
            tokens = self.processor.tokenizer(part, truncation=False, verbose=False)["input_ids"]
        exceeded = tokenisation.exceeds(request.id, len(tokens), self.text_limit, self.long_prompts)
        return Prompt(request, request.id, tuple(tokens), 0, removed=len(tokens) - self.text_limit if exceeded else 0)

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads: a text with special tokens and padding, or nothing but the image."""
        (part,) = prompt.request.parts
        if not isinstance(part, str):
            return ModelInput("", ())
        encoded = self._encode([part])
        return ModelInput(encoded_text(self.processor.tokenizer, [part], encoded), tuple(encoded["input_ids"][0]))

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[Any]:
        """Decode images and make their tensors; a text needs nothing."""
        return [self._pixels(prompts[group.members[0]].request) for group in batch.groups]

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Embed every member; an image that cannot be read fails without affecting the others."""
        return pytorch.split_when_full(prompts, batch, staged, lambda b, s: self._answer(prompts, b, s))

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of the device in bytes; None on a CPU."""
        return pytorch.peak_memory_bytes(self.placement)

    def _pixels(self, request: Request) -> torch.Tensor | SampleError | None:
        (part,) = request.parts
        return pytorch.pixels(self.processor, part) if isinstance(part, Image) else None

    def _answer(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        import torch

        pixels = {m: s for m, s in zip(batch.members, staged, strict=True) if isinstance(s, torch.Tensor)}
        texts = [m for m, s in zip(batch.members, staged, strict=True) if s is None]
        failed = {m: str(s) for m, s in zip(batch.members, staged, strict=True) if isinstance(s, SampleError)}
        rows: dict[int, Any] = {}
        with torch.inference_mode():
            if pixels:
                images = on_device(torch.cat(list(pixels.values())), self.placement.device, self.placement.dtype)
                rows |= zip(pixels, _features(self.model.get_image_features(pixel_values=images)), strict=True)
            if texts:
                features = self.model.get_text_features(**self._encoded(prompts, texts))
                rows |= zip(texts, _features(features), strict=True)
        return [
            Prediction(prompts[member].request.id, failure=failed[member])
            if member in failed
            else self._prediction(prompts[member], rows[member])
            for member in batch.members
        ]

    def _encoded(self, prompts: Sequence[Prompt], members: Sequence[int]) -> Any:
        """Tokenise texts as `_encode` does, for the model's device."""
        encoded = self._encode([prompts[member].request.parts[0] for member in members], return_tensors="pt")
        if self.model.config.model_type in PADDED:
            encoded.pop("attention_mask", None)
        return encoded.to(self.placement.device)

    def _encode(self, texts: Sequence[Part], **more: Any) -> Any:
        """Tokenise texts in the form that the checkpoint was trained on."""
        padded = self.model.config.model_type in PADDED
        with self.lock:
            return tokenisation.cut(
                self.processor.tokenizer, [list(texts)], self.text_limit, self.long_prompts,
                padding="max_length" if padded else True, **more,
            )  # fmt: skip

    def _prediction(self, prompt: Prompt, row: Any) -> Prediction:
        import numpy as np

        from evals.records.embeddings import pack

        if not np.isfinite(row).all():
            return Prediction(prompt.request.id, failure=NOT_FINITE)
        is_text = isinstance(prompt.request.parts[0], str)
        truncated = is_text and len(prompt.tokens) > self.text_limit
        prompt_tokens = self.text_limit if truncated else len(prompt.tokens)
        return Prediction(prompt.request.id, output=pack(row), truncated=truncated, prompt_tokens=prompt_tokens)


def _features(output: Any) -> Any:
    """Return embeddings (N, D) as a float32 array; since version 5 the library wraps them in an output object."""
    return getattr(output, "pooler_output", output).float().cpu().numpy()


def load(name: str, checkpoint: str, placement: Placement) -> DualEncoder:
    """Load a checkpoint folder. Raises `InputError` if it lacks weights, a tokenizer or an image processor."""
    from transformers import AutoModel

    folder = Path(checkpoint)
    resolved = pytorch.resolve_placement(placement)
    processor = pytorch.load_processor(folder)
    model = pytorch.load_weights(AutoModel, folder, resolved)
    if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
        raise InputError(f"{folder} holds a {type(model).__name__}, which does not embed images and texts separately")
    text_limit = length_limit(model, processor.tokenizer)
    assert text_limit is not None, "each of the model types has a fixed number of positions"
    long_prompts = placement.long_prompts or tokenisation.PROTOCOL
    return DualEncoder(
        name=name,
        facts={
            "family": "dual_encoder",
            **pytorch.facts(model, folder, resolved),
            "text_limit": text_limit,
            "long_prompts": long_prompts,
            "image_processor": type(processor.image_processor).__name__,
        },
        token_budget=pytorch.token_budget(model, resolved),
        model=model,
        processor=processor,
        placement=resolved,
        text_limit=text_limit,
        image_positions=_image_positions(model),
        long_prompts=long_prompts,
    )


def _image_positions(model: PreTrainedModel) -> int:
    vision = model.config.vision_config
    side = getattr(vision, "image_size", 224) // getattr(vision, "patch_size", 16)
    return 1 + side * side


def accepts(config: Mapping[str, Json]) -> bool:
    """Return whether it is a configuration of a dual encoder."""
    return config.get("model_type") in MODEL_TYPES


FAMILIES.add(
    Family(
        name="dual_encoder",
        summary="images and texts to vectors: CLIP, SigLIP, …",
        abilities=frozenset({"embed"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text", "image"}),
    )
)
