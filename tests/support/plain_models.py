"""Checkpoints as the library alone runs them: one prompt at a time, from token ids, without a cache.

A reference for runs: what is recorded that a model read is put through these models, and must give what was recorded
that it wrote. None of them uses the suite, except for architectures that only the suite has.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as pillow

Media = Sequence[Any]
"""The images (Pillow) and waveforms (NumPy) of a prompt, in order."""


def images_of(media: Media) -> list[Any]:
    return [entry for entry in media if isinstance(entry, pillow.Image)]


def decoded(kind: str, data: bytes) -> Any:
    """Decode a file of the bundled data: an image, or a WAV of 8-bit samples."""
    if kind == "image":
        return pillow.open(io.BytesIO(data)).convert("RGB")
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getsampwidth(), file.getnchannels()) == (1, 1)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.uint8)
    return (samples.astype(np.float32) - 128) / 128


def greedy(
    next_logits: Callable[[list[int]], Any], text: Callable[[list[int]], str], request: Any, ends: set[int]
) -> str:
    """Take the most likely token until the text ends, has a stop string, or is long enough."""
    tokens: list[int] = []
    while len(tokens) < request.max_new_tokens and not any(stop in text(tokens) for stop in request.stop):
        token = int(next_logits(tokens).argmax())
        if token in ends:
            break
        tokens.append(token)
    written = text(tokens)
    return written[: min((written.find(stop) for stop in request.stop if stop in written), default=len(written))]


class PlainModel:
    """What all kinds share: the folder's tokenizer or processor, and texts from tokens."""

    auto: Any
    processor_class = "AutoProcessor"

    def __init__(self, folder: Path) -> None:
        import transformers

        import evals.models.architectures.int8
        import evals.models.architectures.mixture  # noqa: F401  # both are registered with the library

        self.processor = getattr(transformers, self.processor_class).from_pretrained(folder)
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        self.model = getattr(transformers, self.auto).from_pretrained(folder, dtype="float32").eval()

    def text(self, tokens: Sequence[int]) -> str:
        written: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return written

    def inputs(self, media: Media) -> dict[str, Any]:
        """The tensors of images and audio."""
        images, waveforms = images_of(media), [entry for entry in media if isinstance(entry, np.ndarray)]
        tensors = dict(self.processor.image_processor(images=images, return_tensors="pt")) if images else {}
        return tensors | (dict(self.processor.feature_extractor(waveforms)) if waveforms else {})


class Decoder(PlainModel):
    """A causal model, with images and audio if it reads them."""

    auto, processor_class = "AutoModelForCausalLM", "AutoTokenizer"

    def generate(self, tokens: Sequence[int], media: Media, request: Any) -> str:
        inputs = self.inputs(media)

        @torch.inference_mode()
        def logits(new: list[int]) -> Any:
            return self.model(input_ids=torch.tensor([[*tokens, *new]]), **inputs).logits[0, -1]

        return greedy(logits, self.text, request, {self.tokenizer.eos_token_id})

    @torch.inference_mode()
    def log_likelihood(self, tokens: Sequence[int], media: Media, continuation: Sequence[int]) -> float:
        ids = torch.tensor([[*tokens, *continuation]])
        logits = self.model(input_ids=ids, **self.inputs(media)).logits[0].log_softmax(-1)
        return sum(float(logits[len(tokens) - 1 + n, token]) for n, token in enumerate(continuation))

    @torch.inference_mode()
    def embed(self, tokens: Sequence[int], media: Media) -> Any:
        states = self.model.base_model(input_ids=torch.tensor([list(tokens)]), **self.inputs(media)).last_hidden_state
        return states[0, -1]


class WithImages(Decoder):
    """A causal model that reads images."""

    auto, processor_class = "AutoModelForImageTextToText", "AutoProcessor"


class EncoderDecoder(PlainModel):
    """A model whose encoder reads the prompt."""

    auto, processor_class = "AutoModelForSeq2SeqLM", "AutoTokenizer"

    @torch.inference_mode()
    def _logits(self, tokens: Sequence[int], written: Sequence[int]) -> Any:
        start = self.model.config.decoder_start_token_id
        ids = torch.tensor([[start, *written]])
        return self.model(input_ids=torch.tensor([list(tokens)]), decoder_input_ids=ids).logits[0]

    def generate(self, tokens: Sequence[int], media: Media, request: Any) -> str:
        return greedy(
            lambda new: self._logits(tokens, new)[-1], self.text, request, {self.model.generation_config.eos_token_id}
        )

    def log_likelihood(self, tokens: Sequence[int], media: Media, continuation: Sequence[int]) -> float:
        logits = self._logits(tokens, continuation[:-1]).log_softmax(-1)
        return sum(float(logits[n, token]) for n, token in enumerate(continuation))


class Blip(PlainModel):
    """BLIP: an image and a text to text, or either to a vector."""

    auto = "BlipForQuestionAnswering"

    def __init__(self, folder: Path) -> None:
        import transformers

        super().__init__(folder)
        self.matching = transformers.BlipForImageTextRetrieval.from_pretrained(folder, dtype="float32").eval()

    @torch.inference_mode()
    def _logits(self, tokens: Sequence[int], media: Media, written: Sequence[int]) -> Any:
        pixels = self.inputs(media)
        image = self.model.vision_model(**pixels).last_hidden_state if pixels else None
        states = self.model.text_encoder(
            input_ids=torch.tensor([list(tokens)]), encoder_hidden_states=image
        ).last_hidden_state
        start = self.model.config.text_config.bos_token_id
        ids = torch.tensor([[start, *written]])
        return self.model.text_decoder(input_ids=ids, encoder_hidden_states=states).logits[0]

    def generate(self, tokens: Sequence[int], media: Media, request: Any) -> str:
        ends = {self.model.config.text_config.sep_token_id}
        return greedy(lambda new: self._logits(tokens, media, new)[-1], self.text, request, ends)

    def log_likelihood(self, tokens: Sequence[int], media: Media, continuation: Sequence[int]) -> float:
        logits = self._logits(tokens, media, continuation[:-1]).log_softmax(-1)
        return sum(float(logits[n, token]) for n, token in enumerate(continuation))

    @torch.inference_mode()
    def embed(self, tokens: Sequence[int], media: Media) -> Any:
        if media:
            return self.matching.vision_proj(
                self.matching.vision_model(**self.inputs(media)).last_hidden_state[:, 0]
            )[0]  # fmt: skip
        states = self.matching.text_encoder(input_ids=torch.tensor([list(tokens)])).last_hidden_state
        return self.matching.text_proj(states[:, 0])[0]


class Dual(PlainModel):
    """CLIP and SigLIP."""

    auto = "AutoModel"

    @torch.inference_mode()
    def embed(self, tokens: Sequence[int], media: Media) -> Any:
        if media:
            return self.model.get_image_features(**self.inputs(media)).pooler_output[0]
        return self.model.get_text_features(input_ids=torch.tensor([list(tokens)])).pooler_output[0]


class Classes(PlainModel):
    """A sequence classifier; a pair's second text begins after the first closing token, if it has token types."""

    auto, processor_class = "AutoModelForSequenceClassification", "AutoTokenizer"

    @torch.inference_mode()
    def log_probabilities(self, tokens: Sequence[int]) -> Any:
        inputs = {"input_ids": torch.tensor([list(tokens)])}
        if "token_type_ids" in self.tokenizer.model_input_names:
            first = list(tokens).index(self.tokenizer.eos_token_id) + 1
            inputs["token_type_ids"] = torch.tensor([[int(n >= first) for n in range(len(tokens))]])
        return self.model(**inputs).logits[0].log_softmax(-1)


class MeanOfTokens(PlainModel):
    """A text encoder without a head: the mean over all tokens."""

    auto, processor_class = "AutoModel", "AutoTokenizer"

    @torch.inference_mode()
    def embed(self, tokens: Sequence[int], media: Media) -> Any:
        return self.model(input_ids=torch.tensor([list(tokens)])).last_hidden_state[0].mean(0)
