"""Mixtures of experts that read text, images and audio in one shared space: the `r1-moe` replica.

A checkpoint has the architecture of `evals.models.architectures.mixture`, which describes how images and audio are
placed among words. Prompts are rendered, shared and continued as in `evals.models.families.vision_language`, with audio
as a further kind of part. Continuations are scored after plain text, as for a language model. Audio that is longer than
the checkpoint's audio encoder reads is rejected, not cut.

The checkpoint determines the number of active experts per token. A row of `variants.yaml` can override it (`experts`),
as for any mixture of experts; `evals.models.backend.pytorch` applies it. Under a request rate the number can also
follow the length of the queue (`experts: {by: queue, 8: 0, 4: 2}`), as in the families `causal` and `vision_language`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.data.audio import decode, resample
from evals.errors import SampleError
from evals.models.backend import pytorch
from evals.models.backend.prompt_processor import PromptProcessor
from evals.models.backend.prompts.prompt_limits import prompt_limits
from evals.models.backend.prompts.special_tokens import SpecialTokens
from evals.models.backend.prompts.text_prompts import TextPrompts
from evals.models.decoding.batching import batch_rules
from evals.models.decoding.batching.batch_rules import BatchRule
from evals.models.decoding.build import prepare_generation
from evals.models.decoding.loglikelihood import ChoicePrompt, choose_batch
from evals.models.decoding.placeholders import Placeholders
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
class AudioPromptProcessor(PromptProcessor):
    """A processor that reads audio as well as images."""

    @property
    def placeholders(self) -> Placeholders:
        """The placeholders of images and of audio."""
        return {**super().placeholders, Audio: (self.library.audio_token, self.library.audio_token_id)}

    def tokenise(self, rendered: str, images: Sequence[Image]) -> list[int]:
        """Tokenise a rendered prompt, repeating each placeholder as often as its part has features."""
        token = self.library.audio_token
        return super().tokenise(rendered.replace(token, token * self.library.num_audio_tokens), images)

    def inputs(self, rendered: str, parts: Sequence[Part]) -> dict[str, Any]:
        """Make the tensors that the model reads for the images and the audio of a prompt. Raises `SampleError`."""
        waveforms = [self._waveform(part) for part in parts if isinstance(part, Audio)]
        return super().inputs(rendered, parts) | (dict(self.library.feature_extractor(waveforms)) if waveforms else {})

    def _waveform(self, audio: Audio) -> Any:
        """Decode audio and resample it to the rate of the feature extractor."""
        extractor = self.library.feature_extractor
        samples = resample(decode(audio), extractor.sampling_rate)
        if len(samples) > extractor.longest:
            name, seconds = audio.path or f"audio {audio.key}", len(samples) / extractor.sampling_rate
            raise SampleError(f"{name} is {seconds:.2f} seconds long; this model reads at most {extractor.seconds:g}")
        return samples


@dataclass(frozen=True, kw_only=True)
class Mixture(VisionLanguage):
    """A loaded checkpoint with its processor."""

    abilities: frozenset[str] = ABILITIES

    def prepare(self, request: Request) -> Prompt:
        """Render and tokenise a prompt; continuations are scored after plain text, without the chat template."""
        if not isinstance(request, Choose):
            return super().prepare(request)
        plain = SpecialTokens((), ())  # the checkpoints were trained on texts without special tokens
        return TextPrompts(self.processor.library.tokenizer, plain, self.processor.templates, self.limits).to_choose(
            request
        )

    def _answer(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        if not isinstance(prompts[batch.members[0]], ChoicePrompt):
            return super()._answer(prompts, batch, staged)
        return choose_batch(prompts, batch, self.decoder.loglikelihoods)


def load(name: str, checkpoint: str, placement: Placement) -> Mixture:
    """Load a checkpoint folder. Raises `InputError` if it lacks weights or a processor."""
    from transformers import AutoModelForImageTextToText

    from evals.models.architectures import mixture  # noqa: F401  # registers the architecture with the library

    folder = Path(checkpoint)
    resolved = pytorch.resolve_placement(placement)
    library = pytorch.load_processor(folder)
    processor = AudioPromptProcessor.of(library, folder)
    model = pytorch.load_weights(AutoModelForImageTextToText, folder, resolved)
    generation = prepare_generation(
        folder, model, library.tokenizer, rule=BatchRule(batch_rules.IN_BATCHES), share_prefixes=True,
        template=processor.templates.stating(placement.template),
        cache_positions=pytorch.cache_positions(model, resolved),
    )  # fmt: skip
    limits = prompt_limits(model, library.tokenizer, placement.long_prompts)
    return Mixture(
        name=name,
        facts={
            "family": "mixture",
            **pytorch.facts(model, folder, resolved),
            "chat_template": processor.templates.default is not None,
            "image_processor": type(library.image_processor).__name__,
            "feature_extractor": type(library.feature_extractor).__name__,
            **generation.facts,
            **limits.facts,
        },
        token_budget=pytorch.token_budget(model, resolved),
        model=model,
        processor=processor,
        placement=resolved,
        decoder=generation.decoder,
        reader=generation.reader,
        folder=folder,
        limits=limits,
    )


def accepts(config: Mapping[str, Json]) -> bool:
    """Return whether the configuration is one of this architecture."""
    return config.get("model_type") == MODEL_TYPE


FAMILIES.add(
    Family(
        name="mixture",
        summary="images, audio and text to text, by a mixture of experts in one shared space",
        abilities=ABILITIES,
        load=load,
        accepts=accepts,
        modalities=frozenset(MODALITIES.values()),
    )
)
