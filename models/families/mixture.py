"""Mixtures of experts that read text, pictures and recordings in one shared space: the `r1-moe` replica.

A checkpoint is one of `evals.models.architectures.mixture`, which says how pictures and recordings come to stand among
words. Prompts are
rendered, shared and continued as those of any vision-language model are (`evals.models.families.vision_language`),
with recordings
beside pictures; endings are weighed after a plain text, as a language model weighs them. A recording that is longer
than the checkpoint's front end hears is refused, not cut.

How many experts of a layer work on a token follows from the checkpoint, and can be chosen when it is loaded (`experts`
in a row of `variants.yaml`), as for any mixture of experts: `evals.models.backend.pytorch` does it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.data.audio import decode, resample
from evals.errors import SampleError
from evals.models.backend import pytorch
from evals.models.decoding.engine import Decoder
from evals.models.decoding.loglikelihood import Weighing, divided, weighed
from evals.models.decoding.placeholders import Placeholders
from evals.models.decoding.sampling import end_tokens
from evals.models.families.vision_language import VisionLanguage
from evals.registry import FAMILIES
from evals.schema import (
    MODALITIES,
    Audio,
    Batch,
    Choose,
    Family,
    Image,
    Json,
    Part,
    Placement,
    Prediction,
    Prompt,
    Request,
)

ABILITIES = frozenset({"generate", "choose", "embed"})
MODEL_TYPE = "modality_mixture"


@dataclass(frozen=True)
class Mixture(VisionLanguage):
    """A loaded checkpoint with its processor."""

    abilities: frozenset[str] = ABILITIES

    def prepare(self, request: Request) -> Prompt:
        """Render and tokenise a prompt; endings are weighed after plain text, without the chat's marks."""
        if not isinstance(request, Choose):
            return super().prepare(request)
        texts = [part for part in request.parts if isinstance(part, str)]
        if len(texts) < len(request.parts):
            shown = sorted({MODALITIES[type(part)] for part in request.parts if not isinstance(part, str)})
            raise SampleError(f"request {request.id} has {' and '.join(shown)}; endings are weighed after text only")
        context, endings = divided(self._cut, "".join(texts), request.choices)
        if not context or not all(endings):
            raise SampleError(f"request {request.id}: an ending adds no token to its prompt")
        key = request.parts[:-1] or (request.id,)
        return Weighing(request, key, context, sum(len(ending) - 1 for ending in endings), endings)

    def _cut(self, text: str) -> tuple[int, ...]:
        with self._lock:
            return tuple(self._processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _answer(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        if not isinstance(prompts[batch.members[0]], Weighing):
            return super()._answer(prompts, batch, staged)
        return weighed(prompts, batch, self._decoder.loglikelihoods)

    @property
    def _placeholders(self) -> Placeholders:
        return {**super()._placeholders, Audio: (self._processor.audio_token, self._processor.audio_token_id)}

    def _tokens(self, text: str, pictures: Sequence[Image]) -> list[int]:
        sound = self._processor.audio_token
        return super()._tokens(text.replace(sound, sound * self._processor.num_audio_tokens), pictures)

    def _media(self, parts: Sequence[Part]) -> dict[str, Any]:
        sounds = [self._heard(part) for part in parts if isinstance(part, Audio)]
        return super()._media(parts) | (dict(self._processor.feature_extractor(sounds)) if sounds else {})

    def _heard(self, audio: Audio) -> Any:
        """Decode a recording at the rate of the front end."""
        extractor = self._processor.feature_extractor
        samples = resample(decode(audio), extractor.sampling_rate)
        if len(samples) > extractor.longest:
            name, seconds = audio.path or f"recording {audio.key}", len(samples) / extractor.sampling_rate
            raise SampleError(f"{name} is {seconds:.2f} seconds long; this model hears {extractor.seconds:g} at most")
        return samples


def load(name: str, checkpoint: str, placement: Placement) -> Mixture:
    """Load a checkpoint folder. Raises `InputError` for one without weights or processor."""
    from transformers import AutoModelForImageTextToText

    from evals.models.architectures import mixture  # noqa: F401  # so that the library knows what such a checkpoint is

    folder = Path(checkpoint)
    where = pytorch.place(placement)
    processor = pytorch.load_processor(folder)
    model = pytorch.load_weights(AutoModelForImageTextToText, folder, where)
    decoder = Decoder(
        model,
        ends=end_tokens(model, processor.tokenizer),
        text=lambda tokens: processor.tokenizer.decode(tokens, skip_special_tokens=True),
    )
    facts: dict[str, Json] = {
        "family": "mixture",
        **pytorch.facts(model, folder, where),
        "shares_prefixes": True,
        "chat_template": processor.chat_template is not None,
        "image_processor": type(processor.image_processor).__name__,
        "feature_extractor": type(processor.feature_extractor).__name__,
    }
    budget = pytorch.token_budget(model, where)
    return Mixture(name, facts, budget, model, processor, where, decoder, threading.Lock(), folder)


def accepts(config: Mapping[str, Json]) -> bool:
    """Whether the configuration is of such a mixture."""
    return config.get("model_type") == MODEL_TYPE


FAMILIES.add(
    Family(
        name="mixture",
        summary="pictures, recordings and text to text, by a mixture of experts in one shared space",
        abilities=ABILITIES,
        load=load,
        accepts=accepts,
        modalities=frozenset(MODALITIES.values()),
    )
)
