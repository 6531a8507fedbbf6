"""Two-stream models: BLIP, in the classes that answer questions about images and that embed images and texts.

A vision tower encodes an image. A text encoder encodes a text, with cross-attention to the image if there is one, and a
text decoder generates the answer from its output (`BlipForQuestionAnswering`). Projections of both streams, each
computed alone, lie in one space (`BlipForImageTextRetrieval`). A checkpoint can hold the weights of one class, as the
public ones do, or of both; its weights determine its abilities.

With an image, only the last text is read: BLIP answers plain questions and was not trained on instructions. Without an
image, the whole text is read by the text stream alone, and the decoder scores continuations. The questions about one
image are grouped, so that the image is encoded once. A text that is longer than the model reads is cut at its end, and
the prediction is marked as truncated.

Letters in the names of tensors: G images, R rows, P positions of an image, S tokens of a text, D width.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError, SampleError
from evals.models.architectures import blip_classes, blip_decoder
from evals.models.architectures.blip_classes import ANSWERING, MATCHING, REQUIRED_CLASS, WEIGHT_PREFIXES
from evals.models.architectures.blip_decoder import EncodedTexts
from evals.models.backend import pytorch, tokenisation
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.backend.resource_requirements import two_stream_requirements
from evals.models.backend.tokenisation import length_limit
from evals.models.backend.visible_text import encoded_text, model_input
from evals.models.decoding import last_state
from evals.models.decoding.checkpoint_settings import sampling_settings
from evals.models.decoding.loglikelihood import ChoicePrompt, choose
from evals.models.decoding.padding import on_device
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import generation_row, read_completion
from evals.registry import FAMILIES
from evals.schema import (
    Audio,
    Batch,
    Choose,
    Embed,
    Family,
    Generate,
    Image,
    Json,
    ModelInput,
    Placement,
    Prediction,
    Prompt,
    Request,
    ResourceRequirements,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin


@dataclass(frozen=True, kw_only=True)
class TwoStreams:
    """A loaded checkpoint with its processor."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    abilities: frozenset[str]
    models: Mapping[str, PreTrainedModel]
    """The loaded models by class name; they share the two streams."""
    processor: ProcessorMixin
    placement: ResolvedPlacement
    text_limit: int
    """Maximum number of tokens of a text."""
    image_positions: int
    """Number of positions of an encoded image."""
    folder: Path
    long_prompts: str = tokenisation.PROTOCOL
    """What happens to longer texts."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Truncation is state of the tokenizer, so one thread uses it at a time."""

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a request; an image counts as many tokens as the tower has positions, all with the same number.

        Raises:
            InputError: the checkpoint lacks the weights for this kind of request.
            SampleError: the family cannot read the parts of the request.
        """
        if REQUIRED_CLASS.get(type(request)) not in self.models:
            can = ", ".join(sorted(self.abilities))
            request_kind = type(request).__name__.lower()
            raise InputError(f"{self.facts['checkpoint']} has no weights to {request_kind}; it can: {can}")
        images, text = _image_and_text(request)
        tokens: tuple[int, ...] = ()
        if images:
            tokens += (-1 - zlib.crc32(images[0].key.encode()),) * self.image_positions
        removed = 0
        if text:
            with self.lock:
                text_tokens = tuple(self.processor.tokenizer(text, truncation=False, verbose=False)["input_ids"])
            tokens += text_tokens
            if tokenisation.exceeds(request.id, len(text_tokens), self.text_limit, self.long_prompts):
                removed = len(text_tokens) - self.text_limit
        key = (images[0].key, images[0].blind) if images and text else request.id
        if isinstance(request, Generate):
            blip_decoder.check_new_tokens(self.models[ANSWERING], request)
        if isinstance(request, Choose):
            choices = self.processor.tokenizer(list(request.choices), add_special_tokens=False)["input_ids"]
            if not all(choices):
                raise SampleError(f"request {request.id}: a choice has no token")
            continuations = tuple(map(tuple, choices))
            return ChoicePrompt(request, key, tokens, max(map(len, choices)), continuations, removed=removed)
        reserve = request.max_new_tokens if isinstance(request, Generate) else 0
        return Prompt(request, key, tokens, reserve, removed=removed)

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads besides the image: the text with special tokens, without what was cut off."""
        _, text = _image_and_text(prompt.request)
        if not text:
            return ModelInput("", ())
        tokenizer = self.processor.tokenizer
        with self.lock:
            encoded = tokenisation.cut(tokenizer, [text], self.text_limit, self.long_prompts)
        tokens = tuple(encoded["input_ids"])
        return replace(model_input(tokenizer, prompt, tokens), text=encoded_text(tokenizer, [text], encoded))

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[Any]:
        """Decode the image of each group and make its tensor; a text needs nothing."""
        return [self._pixels(prompts[group.members[0]].request) for group in batch.groups]

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Answer or embed every member; members whose image cannot be read fail without affecting the others."""
        readable = [(g, s) for g, s in zip(batch.groups, staged, strict=True) if not isinstance(s, SampleError)]
        answers: dict[int, Prediction] = {}
        for with_image in (True, False):
            selected = [(group, pixels) for group, pixels in readable if (pixels is not None) == with_image]
            if selected:
                part = Batch(tuple(group for group, _ in selected))
                predictions = pytorch.split_when_full(
                    prompts, part, [pixels for _, pixels in selected], lambda b, s: self._answer(prompts, b, s)
                )
                answers |= zip(part.members, predictions, strict=True)
        for group, error in zip(batch.groups, staged, strict=True):
            if isinstance(error, SampleError):
                answers |= {m: Prediction(prompts[m].request.id, failure=str(error)) for m in group.members}
        return [answers[member] for member in batch.members]

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of the device in bytes; None on a CPU."""
        return pytorch.peak_memory_bytes(self.placement)

    def resource_requirements(self) -> ResourceRequirements:
        """Count what the weights of the streams and the decoder require per token; images are not included."""
        model = self.models[ANSWERING]
        return two_stream_requirements(
            model.vision_model.encoder, model.text_encoder, model.text_decoder,
            folder=self.folder, placement=self.placement,
        )  # fmt: skip

    def _pixels(self, request: Request) -> torch.Tensor | SampleError | None:
        image = next((part for part in request.parts if isinstance(part, Image)), None)
        return None if image is None else pytorch.pixels(self.processor, image)

    def _answer(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        """Answer a batch in which either all prompts have an image, or none has."""
        import torch

        members = [prompts[member] for member in batch.members]
        with torch.inference_mode():
            images_GPD = self._encode_images(staged) if staged[0] is not None else None
            if isinstance(members[0].request, Embed):
                return self._embed(members, images_GPD)
            group_indices = [index for index, group in enumerate(batch.groups) for _ in group.members]
            encoded = self._encode_texts(members, None if images_GPD is None else images_GPD[group_indices])
            return (self._choose if isinstance(members[0], ChoicePrompt) else self._generate)(members, encoded)

    def _encode_images(self, staged: Sequence[torch.Tensor]) -> torch.Tensor:
        """Encode images; returns (G, P, D)."""
        import torch

        pixels = on_device(torch.cat(list(staged)), self.placement.device, self.placement.dtype)
        states: torch.Tensor = self._any_model.vision_model(pixel_values=pixels).last_hidden_state
        return states

    def _encode_texts(self, members: Sequence[Prompt], images_RPD: torch.Tensor | None) -> EncodedTexts:
        """Encode texts, with cross-attention to their images if there are any."""
        with self.lock:
            texts = [_image_and_text(prompt.request)[1] for prompt in members]
            inputs = tokenisation.cut(
                self.processor.tokenizer, [texts], self.text_limit, self.long_prompts,
                padding=True, padding_side="right", return_tensors="pt",
            ).to(self.placement.device)  # fmt: skip
        mask_RS = inputs["attention_mask"]
        states: torch.Tensor = self._any_model.text_encoder(
            input_ids=inputs["input_ids"], attention_mask=mask_RS, encoder_hidden_states=images_RPD
        ).last_hidden_state
        return EncodedTexts(states, mask_RS)

    def _embed(self, members: Sequence[Prompt], images_GPD: torch.Tensor | None) -> list[Prediction]:
        model = self.models[MATCHING]
        if images_GPD is not None:
            rows = model.vision_proj(images_GPD[:, 0])
        else:
            rows = model.text_proj(self._encode_texts(members, None).states_RSD[:, 0])
        return [
            self._mark_truncated(last_state.embedding_prediction(prompt, row), prompt)
            for prompt, row in zip(members, rows, strict=True)
        ]

    def _generate(self, members: Sequence[Prompt], encoded: EncodedTexts) -> list[Prediction]:
        requests = [prompt.request for prompt in members if isinstance(prompt.request, Generate)]
        reader = TextReader(self.processor.tokenizer)
        rows = [
            generation_row(request, 0, (), 0, settings=sampling_settings(request, self.folder)) for request in requests
        ]
        completions = blip_decoder.generate(self.models[ANSWERING], encoded, rows, reader)
        return [
            self._mark_truncated(read_completion(request, row, completion, reader, len(prompt.tokens)), prompt)
            for prompt, request, row, completion in zip(members, requests, rows, completions, strict=True)
        ]

    def _choose(self, members: Sequence[Prompt], encoded: EncodedTexts) -> list[Prediction]:
        continuations = [prompt.continuations for prompt in members if isinstance(prompt, ChoicePrompt)]
        log_likelihoods = blip_decoder.loglikelihoods(self.models[ANSWERING], encoded, continuations)
        return [
            self._mark_truncated(choose(prompt, scores), prompt)
            for prompt, scores in zip(members, log_likelihoods, strict=True)
        ]

    def _mark_truncated(self, prediction: Prediction, prompt: Prompt) -> Prediction:
        """Mark a prediction as truncated if its text was longer than the model reads."""
        text_tokens = sum(token >= 0 for token in prompt.tokens)
        if prediction.failure is not None or text_tokens <= self.text_limit:
            return prediction
        return replace(prediction, truncated=True, prompt_tokens=len(prompt.tokens) - text_tokens + self.text_limit)

    @property
    def _any_model(self) -> PreTrainedModel:
        """One of the loaded models; all have the same streams."""
        return next(iter(self.models.values()))


def _image_and_text(request: Request) -> tuple[list[Image], str]:
    """Return what is read of a request: its image, if any, and its text, if any.

    Raises:
        SampleError: there are two images, or audio, or nothing, or an image and a text to embed.
    """
    images = [part for part in request.parts if isinstance(part, Image)]
    texts = [part for part in request.parts if isinstance(part, str)]
    if any(isinstance(part, Audio) for part in request.parts):
        raise SampleError(f"request {request.id} has audio; this family reads text and images")
    if len(images) > 1:
        raise SampleError(f"request {request.id} has {len(images)} images; this family reads one")
    if isinstance(request, Embed) and len(request.parts) != 1:
        raise SampleError(f"request {request.id} is not a single image or text to embed")
    text = texts[-1] if images and texts else "".join(texts)
    if not text and not (images and isinstance(request, Embed)):
        raise SampleError(f"request {request.id} has no text")
    return images, text


def load(name: str, checkpoint: str, placement: Placement) -> TwoStreams:
    """Load a checkpoint folder: the classes whose weights it holds.

    Raises:
        InputError: the folder lacks weights of a class of which it has some, or has weights of neither class, or lacks
            a tokenizer or an image processor.
    """
    folder = Path(checkpoint)
    resolved = pytorch.resolve_placement(placement)
    processor = pytorch.load_processor(folder)
    models = _load_models(folder, resolved)
    first = next(iter(models.values()))
    parameters = {id(weight): weight.numel() for model in models.values() for weight in model.parameters()}
    text_limit = length_limit(first, processor.tokenizer)
    assert text_limit is not None, "the text encoder has a fixed number of positions"
    return TwoStreams(
        name=name,
        facts={
            "family": "two_streams",
            **pytorch.facts(first, folder, resolved),
            "architecture": " and ".join(models),
            "parameters": sum(parameters.values()),
            "text_limit": text_limit,
            "long_prompts": placement.long_prompts or tokenisation.PROTOCOL,
            "image_processor": type(processor.image_processor).__name__,
        },
        token_budget=pytorch.token_budget(first, resolved),
        abilities=blip_classes.abilities_with(models),
        models=models,
        processor=processor,
        placement=resolved,
        text_limit=text_limit,
        image_positions=first.vision_model.embeddings.num_positions,
        folder=folder,
        long_prompts=placement.long_prompts or tokenisation.PROTOCOL,
    )


def _load_models(folder: Path, placement: ResolvedPlacement) -> dict[str, PreTrainedModel]:
    """Load the classes whose weights a folder holds, with one copy of the streams that they share."""
    import transformers

    available = blip_classes.available_classes(folder)
    if not available:
        expected = " and no ".join(f"{prefix}* of {kind}" for kind, prefix in WEIGHT_PREFIXES.items())
        raise InputError(f"{folder} holds no {expected}")
    models = {kind: pytorch.load_weights(getattr(transformers, kind), folder, placement) for kind in available}
    for model in models.values():
        blip_decoder.apply_cross_attention_masks(model)
    first, *others = models.values()
    for other in others:
        other.vision_model, other.text_encoder = first.vision_model, first.text_encoder
    return models


def accepts(config: Mapping[str, Json]) -> bool:
    """Return whether it is a configuration of one of the two classes."""
    return bool(set(config.get("architectures") or ()) & set(WEIGHT_PREFIXES))


FAMILIES.add(
    Family(
        name="two_streams",
        summary="an image and a question to text, images and texts to vectors, texts to labels: BLIP",
        abilities=frozenset({"generate", "choose", "embed"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text", "image"}),
        abilities_of=lambda folder: blip_classes.abilities_with(blip_classes.available_classes(folder)),
    )
)
