"""Dual encoders: CLIP, SigLIP and every other checkpoint whose class embeds pictures and texts apart.

The library's `get_image_features` and `get_text_features` do the work; the scale and bias of a checkpoint's logits do
not change any order and are left out. A text that is longer than the tokenizer's own limit is cut there, as the model
was trained, and the prediction says so. SigLIP was trained on texts padded to the limit, the padding read like any
other token, and is given them so.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError, SampleError
from evals.models.backend import pytorch
from evals.models.backend.pytorch import Place
from evals.models.backend.tokenisation import longest
from evals.models.decoding.sampling import NOT_FINITE
from evals.registry import FAMILIES
from evals.schema import Batch, Embed, Family, Image, Json, Placement, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

MODEL_TYPES = frozenset({"clip", "siglip", "altclip", "chinese_clip", "metaclip_2"})
"""Whose classes have both of the library's feature functions and take their processor's arguments as they are."""
PADDED = frozenset({"siglip"})
"""Trained on texts padded to the limit, without a mask."""


@dataclass(frozen=True)
class DualEncoder:
    """A loaded checkpoint with its processor."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    _model: PreTrainedModel
    _processor: ProcessorMixin
    _where: Place
    _limit: int
    _patches: int
    _lock: threading.Lock
    """A tokenizer's truncation is a setting of its own, changed by whoever calls it: one at a time."""
    abilities: frozenset[str] = frozenset({"embed"})

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a text; a picture counts as many tokens as it has patches. Nothing is shared."""
        if not isinstance(request, Embed) or len(request.parts) != 1:
            raise SampleError(f"request {request.id} is no single picture or text to embed")
        (part,) = request.parts
        if isinstance(part, Image):
            return Prompt(request, request.id, (0,) * self._patches, 0)
        if not isinstance(part, str):
            raise SampleError(f"request {request.id} has a recording; this family embeds texts and pictures")
        with self._lock:
            tokens = self._processor.tokenizer(part, truncation=False, verbose=False)["input_ids"]
        return Prompt(request, request.id, tuple(tokens), 0)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[Any]:
        """Decode pictures and make their tensors; a text needs nothing."""
        return [self._pixels(prompts[group.members[0]].request) for group in batch.groups]

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Embed every member; a picture that cannot be read fails alone."""
        return pytorch.split_when_full(prompts, batch, staged, lambda b, s: self._answer(prompts, b, s))

    def peak_memory_bytes(self) -> int | None:
        """The most bytes that the device held; None where only the process knows."""
        return pytorch.peak_memory_bytes(self._where)

    def _pixels(self, request: Request) -> torch.Tensor | SampleError | None:
        (part,) = request.parts
        return pytorch.pixels(self._processor, part) if isinstance(part, Image) else None

    def _answer(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        import torch

        pixels = {m: s for m, s in zip(batch.members, staged, strict=True) if isinstance(s, torch.Tensor)}
        texts = [m for m, s in zip(batch.members, staged, strict=True) if s is None]
        failed = {m: str(s) for m, s in zip(batch.members, staged, strict=True) if isinstance(s, SampleError)}
        rows: dict[int, Any] = {}
        with torch.inference_mode():
            if pixels:
                shown = torch.cat(list(pixels.values())).to(self._where.device, self._where.dtype)
                rows |= zip(pixels, _features(self._model.get_image_features(pixel_values=shown)), strict=True)
            if texts:
                rows |= zip(
                    texts, _features(self._model.get_text_features(**self._encoded(prompts, texts))), strict=True
                )
        return [
            Prediction(prompts[member].request.id, failure=failed[member])
            if member in failed
            else self._prediction(prompts[member], rows[member])
            for member in batch.members
        ]

    def _encoded(self, prompts: Sequence[Prompt], members: Sequence[int]) -> Any:
        """Tokenise some texts as the checkpoint was trained on them."""
        parts = [prompts[member].request.parts[0] for member in members]
        padded = self._model.config.model_type in PADDED
        with self._lock:
            encoded = self._processor.tokenizer(
                parts, truncation=True, max_length=self._limit, padding="max_length" if padded else True,
                return_tensors="pt",
            )  # fmt: skip
        if padded:
            encoded.pop("attention_mask", None)
        return encoded.to(self._where.device)

    def _prediction(self, prompt: Prompt, row: Any) -> Prediction:
        import numpy as np

        from evals.records.embeddings import pack

        if not np.isfinite(row).all():
            return Prediction(prompt.request.id, failure=NOT_FINITE)
        is_text = isinstance(prompt.request.parts[0], str)
        cut = is_text and len(prompt.tokens) > self._limit
        read = self._limit if cut else len(prompt.tokens)
        return Prediction(prompt.request.id, output=pack(row), truncated=cut, prompt_tokens=read)


def _features(output: Any) -> Any:
    """The embeddings (N, D) as float32 arrays: the library gives them in an output object since version 5."""
    return getattr(output, "pooler_output", output).float().cpu().numpy()


def load(name: str, checkpoint: str, placement: Placement) -> DualEncoder:
    """Load a checkpoint folder. Raises `InputError` for one without weights, tokenizer or image processor."""
    from transformers import AutoModel

    folder = Path(checkpoint)
    where = pytorch.place(placement)
    processor = pytorch.load_processor(folder)
    model = pytorch.load_weights(AutoModel, folder, where)
    if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
        raise InputError(f"{folder} holds a {type(model).__name__}, which does not embed pictures and texts apart")
    limit = longest(model, processor.tokenizer)
    assert limit is not None, "each of the model types has so many positions"
    facts = {
        "family": "dual_encoder",
        **pytorch.facts(model, folder, where),
        "text_limit": limit,
        "image_processor": type(processor.image_processor).__name__,
    }
    budget, patches = pytorch.token_budget(model, where), _patches(model)
    return DualEncoder(name, facts, budget, model, processor, where, limit, patches, threading.Lock())


def _patches(model: PreTrainedModel) -> int:
    vision = model.config.vision_config
    side = getattr(vision, "image_size", 224) // getattr(vision, "patch_size", 16)
    return 1 + side * side


def accepts(config: Mapping[str, Json]) -> bool:
    """Whether it is a configuration of a dual encoder."""
    return config.get("model_type") in MODEL_TYPES


FAMILIES.add(
    Family(
        name="dual_encoder",
        summary="pictures and texts to vectors: CLIP, SigLIP, …",
        abilities=frozenset({"embed"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text", "image"}),
    )
)
