"""Vision-language models: DeepSeek-VL, DeepSeek-VL-hybrid and every other image-text-to-text checkpoint.

A prompt is one user message of pictures and texts, rendered by the checkpoint's chat template; a checkpoint without
one reads the pictures' placeholders followed by the text. Questions about one picture share the computation of all
that comes before the question, the picture above all. That needs a decoder whose positions simply count the tokens;
other architectures go through the library's own `generate`, a batch at a time and without sharing.

A picture or a text is embedded as `evals.models.decoding.last_state` says, by a prompt that is rendered as any other
is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.images import decode
from evals.errors import InputError, SampleError
from evals.models.backend import pytorch, weights_needed
from evals.models.backend.pytorch import Place
from evals.models.decoding import last_state
from evals.models.decoding.engine import Decoder, shares
from evals.models.decoding.hf_generate import LibraryDecoder
from evals.models.decoding.last_state import shown
from evals.models.decoding.placeholders import Placeholders, marked, plain
from evals.models.decoding.sampling import Continuation, Row, drawing, end_tokens, until
from evals.registry import FAMILIES
from evals.schema import (
    MODALITIES,
    Audio,
    Batch,
    Embed,
    Family,
    Generate,
    Image,
    Json,
    Part,
    Placement,
    Prediction,
    Prompt,
    Request,
    ResourceRequirements,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

SHARING = frozenset({"deepseek_vl", "deepseek_vl_hybrid", "llava"})
"""Model types whose prefixes may be computed apart: plain positions, causal attention over pictures too."""


@dataclass(frozen=True)
class VisionLanguage:
    """A loaded checkpoint with its processor."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    _model: PreTrainedModel
    _processor: ProcessorMixin
    _where: Place
    _decoder: Decoder | LibraryDecoder
    _lock: threading.Lock
    """A tokenizer's padding is a setting of its own, changed by whoever calls it: one at a time."""
    _folder: Path
    abilities: frozenset[str] = frozenset({"generate", "embed"})

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Render and tokenise a prompt; placeholders of different pictures get different numbers, all negative."""
        if not isinstance(request, Generate | Embed):
            raise SampleError(f"request {request.id} asks to {type(request).__name__.lower()}, not to generate")
        if any(isinstance(part, Audio) for part in request.parts) and Audio not in self._placeholders:
            raise SampleError(f"request {request.id} has a recording; this model reads text and pictures")
        rendered = self._render(shown(request))
        for kind, (text, _) in self._placeholders.items():
            if self._shares and rendered.count(text) != sum(isinstance(part, kind) for part in request.parts):
                raise SampleError(f"request {request.id}: its text holds the {MODALITIES[kind]} placeholder {text}")
        tokens = self._tokens(rendered, [part for part in request.parts if isinstance(part, Image)])
        reserve = request.max_new_tokens if isinstance(request, Generate) else 0
        return Prompt(request, self._key(request), marked(tokens, request.parts, self._placeholders), reserve)

    @property
    def _placeholders(self) -> Placeholders:
        """What stands in a prompt for a picture, as text and as a token; and for a recording, where it is read."""
        return {Image: (self._processor.image_token, self._processor.image_token_id)}

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[dict[str, Any] | SampleError]:
        """Decode each group's pictures and make the tensors that the model reads of them."""
        staged: list[dict[str, Any] | SampleError] = []
        for group in batch.groups:
            request = prompts[group.members[0]].request
            try:
                staged.append(self._media(request.parts))
            except SampleError as error:
                staged.append(error)
        return staged

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Generate for every member, or embed it; those whose picture cannot be read fail, and the others go on."""
        readable = [
            (group, inputs) for group, inputs in zip(batch.groups, staged, strict=True) if isinstance(inputs, dict)
        ]
        answers: dict[int, Prediction] = {}
        if readable:
            part = Batch(tuple(group for group, _ in readable))
            predictions = pytorch.split_when_full(
                prompts, part, [inputs for _, inputs in readable], lambda b, s: self._answer(prompts, b, s)
            )
            answers = dict(zip(part.members, self._decoder.counted.settle(predictions), strict=True))
        for group, inputs in zip(batch.groups, staged, strict=True):
            if isinstance(inputs, SampleError):
                reason = str(inputs)
                answers |= {m: Prediction(prompts[m].request.id, failure=reason) for m in group.members}
        return [answers[member] for member in batch.members]

    def peak_memory_bytes(self) -> int | None:
        """The most bytes that the device held; None where only the process knows."""
        return pytorch.peak_memory_bytes(self._where)

    def resource_requirements(self) -> ResourceRequirements:
        """What its decoder's weights need of the device for each token; pictures come on top."""
        return weights_needed.resource_requirements(self._model, self._folder, self._where)

    def _answer(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        if isinstance(prompts[batch.members[0]].request, Embed):
            return self._embed(prompts, batch, staged)
        continue_all = self._continue_shared if self._shares else self._continue_plainly
        return [
            self._prediction(prompts[member], continuation)
            for member, continuation in zip(batch.members, continue_all(prompts, batch, staged), strict=True)
        ]

    def _prediction(self, prompt: Prompt, continuation: Continuation) -> Prediction:
        if continuation.failure is not None:
            return Prediction(prompt.request.id, failure=continuation.failure)
        text = self._processor.tokenizer.decode(continuation.tokens, skip_special_tokens=True)
        return Prediction(
            prompt.request.id,
            output=until(text, _asked(prompt).stop).strip(),
            truncated=continuation.truncated,
            prompt_tokens=len(prompt.tokens),
            new_tokens=len(continuation.tokens),
        )

    def _embed(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        """Take the last hidden state at the end of every prompt; prompts that share nothing are read one by one."""
        members = [prompts[member] for member in batch.members]
        if self._shares:
            rows = [plain(prompt.tokens, self._placeholders) for prompt in members]
            states = last_state.of_rows(self._model, rows, self._joined(staged))
        else:
            states = [self._state(p, inputs["pictures"]) for p, inputs in zip(members, staged, strict=True)]
        return [last_state.prediction(prompt, state) for prompt, state in zip(members, states, strict=True)]

    def _state(self, prompt: Prompt, pictures: Sequence[Any]) -> torch.Tensor:
        """Read one prompt with the library's own preparation."""
        text = self._render(shown(prompt.request))
        with self._lock:
            encoded = self._processor(
                text=[text], images=[pictures] if pictures else None,
                add_special_tokens=self._adds_special(text), return_tensors="pt",
            ).to(self._where.device, self._where.dtype)  # fmt: skip
        return last_state.of_one(self._model, encoded)

    def _joined(self, staged: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Join what groups of a batch show, on the device."""
        import torch

        names = dict.fromkeys(name for inputs in staged for name in inputs)
        joined = {
            name: torch.cat([inputs[name] for inputs in staged if name in inputs]).to(self._where.device)
            for name in names
        }
        return {name: v.to(self._where.dtype) if v.is_floating_point() else v for name, v in joined.items()}

    def _continue_shared(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Continuation]:
        """Generate with each group's shared part computed once."""
        prefixes, rows = [], []
        for owner, group in enumerate(batch.groups):
            prefixes.append(plain(prompts[group.members[0]].tokens[: group.shared], self._placeholders))
            for member in group.members:
                request = _asked(prompts[member])
                rest = prompts[member].tokens[group.shared :]
                draw, least = drawing(request), request.min_new_tokens
                rows.append(Row(owner, rest, request.max_new_tokens, request.stop, draw, least))
        return self._decoder.generate(prefixes, rows, self._joined(staged))

    def _continue_plainly(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Continuation]:
        """Generate with the library's own loop, for architectures whose positions are not plain counts."""
        assert isinstance(self._decoder, LibraryDecoder)
        requests = [_asked(prompts[member]) for member in batch.members]
        if any(request.temperature for request in requests):
            raise InputError("this architecture is decoded by the library's loop, greedily: give no --temperature")
        texts = [self._render(request.parts) for request in requests]
        pictures = [inputs["pictures"] for inputs in staged]
        with self._lock:
            encoded = self._processor(
                text=texts, images=pictures if any(pictures) else None, padding=True, padding_side="left",
                add_special_tokens=self._adds_special(texts[0]), return_tensors="pt",
            ).to(self._where.device, self._where.dtype)  # fmt: skip
        return self._decoder.continue_prompts(encoded, requests)

    @property
    def kind(self) -> str:
        """The library's name of its architecture (`deepseek_vl`)."""
        return str(self._model.config.model_type)

    @property
    def _shares(self) -> bool:
        return isinstance(self._decoder, Decoder)

    def _key(self, request: Generate | Embed) -> tuple[object, ...]:
        """What a prompt may share: its leading parts, as long as text comes last."""
        *leading, last = request.parts
        if isinstance(request, Embed) or not isinstance(last, str) or not leading or not self._shares:
            return (request.id,)
        return tuple(part if isinstance(part, str) else (part.key, part.blind) for part in leading)

    def _render(self, parts: Sequence[Part]) -> str:
        """The prompt as one text, with a placeholder where each picture or recording goes."""
        if self._processor.chat_template is None:
            return "".join(part if isinstance(part, str) else self._processor.image_token for part in parts)
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": MODALITIES[type(part)]}
            for part in parts
        ]
        rendered: str = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return rendered

    def _tokens(self, text: str, pictures: Sequence[Image]) -> list[int]:
        """Tokenise a rendered prompt, each placeholder as often as its picture has features."""
        each = getattr(self._processor, "num_image_tokens", None)
        special = self._adds_special(text)
        if each is None and pictures:
            decoded = [decode(picture) for picture in pictures]
            with self._lock, _refused(pictures):
                ids = self._processor(text=text, images=decoded, add_special_tokens=special)["input_ids"]
            return list(ids[0] if isinstance(ids[0], Sequence) else ids)
        expanded = text.replace(self._processor.image_token, self._processor.image_token * (each or 1))
        with self._lock:
            return list(self._processor.tokenizer(expanded, add_special_tokens=special)["input_ids"])

    def _adds_special(self, text: str) -> bool:
        """Whether the tokenizer is to add its special tokens: not where the template wrote the first itself."""
        bos = self._processor.tokenizer.bos_token
        return not (bos and text.startswith(bos))

    def _media(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Make the tensors that the model reads of what a prompt shows."""
        return self._pixels([part for part in parts if isinstance(part, Image)])

    def _pixels(self, pictures: Sequence[Image]) -> dict[str, Any]:
        import torch

        decoded = [decode(picture) for picture in pictures]
        if not self._shares:
            return {"pictures": decoded}
        if not decoded:
            return {}
        with _refused(pictures):
            read = self._processor.image_processor(images=decoded, return_tensors="pt")
        return {name: value for name, value in read.items() if isinstance(value, torch.Tensor)}


@contextmanager
def _refused(pictures: Sequence[Image]) -> Iterator[None]:
    """Turn whatever an image processor raises into a failure of the sample whose pictures it refuses."""
    try:
        yield
    except Exception as error:
        names = ", ".join(str(picture.path or f"image {picture.key}") for picture in pictures)
        raise SampleError(f"{names} is refused by the image processor: {error}".splitlines()[0]) from error


def _asked(prompt: Prompt) -> Generate:
    """The request of a prompt that is to be continued."""
    assert isinstance(prompt.request, Generate)
    return prompt.request


def load(name: str, checkpoint: str, placement: Placement) -> VisionLanguage:
    """Load a checkpoint folder. Raises `InputError` for one without weights, tokenizer or image processor."""
    from transformers import AutoModelForImageTextToText

    folder = Path(checkpoint)
    where = pytorch.place(placement)
    processor = pytorch.load_processor(folder)
    model = pytorch.load_weights(AutoModelForImageTextToText, folder, where)
    shared = model.config.model_type in SHARING and shares(model)
    decoder = (Decoder if shared else LibraryDecoder)(
        model,
        ends=end_tokens(model, processor.tokenizer),
        text=lambda tokens: processor.tokenizer.decode(tokens, skip_special_tokens=True),
    )
    facts = {
        "family": "vision_language",
        **pytorch.facts(model, folder, where),
        "shares_prefixes": shared,
        "chat_template": processor.chat_template is not None,
        "image_processor": type(processor.image_processor).__name__,
    }
    budget = pytorch.token_budget(model, where)
    return VisionLanguage(name, facts, budget, model, processor, where, decoder, threading.Lock(), folder)


def accepts(config: Mapping[str, Json]) -> bool:
    """Whether the library has an image-text-to-text class for this configuration."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    architectures = config.get("architectures") or [
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.get(config.get("model_type"))
    ]
    return architectures[0] in set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())


FAMILIES.add(
    Family(
        name="vision_language",
        summary="pictures and text to text: DeepSeek-VL, DeepSeek-VL-hybrid, LLaVA, …",
        abilities=frozenset({"generate", "embed"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text", "image"}),
    )
)
