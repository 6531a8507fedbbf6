"""A mixture of experts that reads text, images and audio: classes of the library, joined in one shared space.

    image -> ResNetModel           -> cells of the last feature map -> ModalityProjector -+
    audio -> MelExtractor, encoder -> steps of about 80 ms          -> ModalityProjector -+-> DeepseekV3Model
    text  -> tokens                -> word embeddings ------------------------------------+

The projected states replace the embeddings of placeholder tokens in a prompt. So the decoder's self-attention runs
across words, cells and steps alike; there is no separate cross-modal attention.

Nothing here is remote code: importing this module registers the classes under the model type `modality_mixture`, and
checkpoints are loaded with `from_pretrained` like any others.

Letters in the names of tensors: B images or audio clips, P cells of an image, T steps of an audio clip, F frames and M
bands of a mel spectrogram, S tokens of a prompt, D width of the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from huggingface_hub.dataclasses import strict
from numpy.typing import NDArray
from torch import nn
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    BatchFeature,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
    SequenceFeatureExtractor,
)
from transformers import initialization as init
from transformers.audio_utils import mel_filter_bank, spectrogram_batch, window_function
from transformers.configuration_utils import SubConfigSpec
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MoeCausalLMOutputWithPast,
    MoeModelOutputWithPast,
)
from transformers.modeling_utils import slice_logits_to_keep

MODEL_TYPE = "modality_mixture"


@strict
class MixtureConfig(PreTrainedConfig):  # type: ignore[misc]  # the library is untyped here
    """Configuration of the model."""

    model_type = MODEL_TYPE
    sub_configs_defaults = {  # noqa: RUF012  # as the library has it
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="resnet"),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="deepseek_v3"),
    }

    text_config: Any = None
    vision_config: Any = None
    image_token_id: int = 2
    audio_token_id: int = 3
    image_side: int = 128
    """Width and height to which images are resized before the ResNet reads them."""
    image_cells: int = 64
    audio_steps: int = 13
    mel_bands: int = 40
    ears_width: int = 64
    loudness: float = 0.1
    """Initial gain of the projectors, chosen so that projected states and word embeddings have similar norms; otherwise
    the larger ones would dominate the first layers."""
    tie_word_embeddings: bool = True


class AudioEncoder(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
    """Two convolutions over the frames of a mel spectrogram; each halves the number of frames."""

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__()
        self.near = nn.Conv1d(config.mel_bands, config.ears_width, 3, stride=2, padding=1)
        self.far = nn.Conv1d(config.ears_width, config.ears_width, 3, stride=2, padding=1)

    def forward(self, mel_BMF: torch.Tensor) -> torch.Tensor:
        """Encode mel spectrograms (B, M, F); returns (B, T, `ears_width`)."""
        features = nn.functional.gelu(self.near(mel_BMF))
        return nn.functional.gelu(self.far(features)).transpose(1, 2)


class ModalityProjector(nn.Module):  # type: ignore[misc]
    """A projection into the space of the word embeddings, with position embeddings and normalisation."""

    def __init__(self, width: int, positions: int, config: MixtureConfig) -> None:
        super().__init__()
        self.projection = nn.Linear(width, config.text_config.hidden_size)
        self.places = nn.Embedding(positions, config.text_config.hidden_size)
        """Position embeddings of cells or steps, because convolutions encode positions only weakly."""
        self.gain = nn.Parameter(torch.full((config.text_config.hidden_size,), config.loudness))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Project features (B, positions, width); returns (B, positions, D)."""
        projected = self.projection(features) + self.places.weight[: features.shape[1]]
        return nn.functional.rms_norm(projected, self.gain.shape, self.gain, 1e-6)


class MixturePreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """Base class of the two models below, as the library requires."""

    config: MixtureConfig
    config_class = MixtureConfig
    base_model_prefix = "model"
    input_modalities = ("image", "audio", "text")
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ModalityProjector):
            init.constant_(module.gain, self.config.loudness)


class MixtureModel(MixturePreTrainedModel):
    """The decoder, with the encoders and projectors of images and audio."""

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__(config)
        self.vision_model = AutoModel.from_config(config.vision_config)
        self.image_bridge = ModalityProjector(config.vision_config.hidden_sizes[-1], config.image_cells, config)
        self.ears = AudioEncoder(config)
        self.audio_bridge = ModalityProjector(config.ears_width, config.audio_steps, config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_image_features(self, pixel_values: torch.Tensor) -> BaseModelOutputWithPooling:
        """Encode images (B, 3, height, width); `pooler_output` has one state per cell, row by row: (B, P, D)."""
        side = self.config.image_side
        enlarged = nn.functional.interpolate(pixel_values, (side, side), mode="bilinear")
        cells = self.vision_model(enlarged).last_hidden_state.flatten(2).transpose(1, 2)
        return BaseModelOutputWithPooling(last_hidden_state=cells, pooler_output=self.image_bridge(cells))

    def get_audio_features(self, input_features: torch.Tensor) -> BaseModelOutputWithPooling:
        """Encode mel spectrograms (B, M, F); `pooler_output` has one state per step: (B, T, D)."""
        steps = self.ears(input_features)
        return BaseModelOutputWithPooling(last_hidden_state=steps, pooler_output=self.audio_bridge(steps))

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        input_features: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **others: Any,
    ) -> MoeModelOutputWithPast:
        """Run prompts (B, S) with their images and audio, in order; `others` are passed to the decoder."""
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        if pixel_values is not None:
            images = self.get_image_features(pixel_values).pooler_output
            inputs_embeds = _insert(inputs_embeds, input_ids == self.config.image_token_id, images)
        if input_features is not None:
            audio = self.get_audio_features(input_features).pooler_output
            inputs_embeds = _insert(inputs_embeds, input_ids == self.config.audio_token_id, audio)
        return self.language_model(inputs_embeds=inputs_embeds, **others)


def _insert(embedded: torch.Tensor, placeholders: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Replace the embeddings of placeholders by features."""
    states = features.flatten(0, 1).to(embedded.dtype)
    if int(placeholders.sum()) != len(states):
        raise ValueError(f"{int(placeholders.sum())} placeholders for {len(states)} states")
    return embedded.masked_scatter(placeholders[..., None], states)


class MixtureForConditionalGeneration(MixturePreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The model with a head over the vocabulary, tied to the word embeddings."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012
    output_modalities = ("text",)

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__(config)
        self.model = MixtureModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **others: Any,
    ) -> MoeCausalLMOutputWithPast:
        """Compute the logits (B, S, vocabulary) at all positions or those to keep; `others` go to `MixtureModel`."""
        outputs = self.model(input_ids=input_ids, **others)
        return MoeCausalLMOutputWithPast(
            logits=self.lm_head(slice_logits_to_keep(outputs.last_hidden_state, logits_to_keep)),
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            router_logits=outputs.router_logits,
        )


class MelExtractor(SequenceFeatureExtractor):  # type: ignore[misc]
    """Turns mono audio into log-mel spectrograms of one length."""

    model_input_names = ["input_features"]  # noqa: RUF012

    def __init__(
        self,
        feature_size: int = 40,
        sampling_rate: int = 8000,
        padding_value: float = 0.0,
        seconds: float = 1.0,
        hop_length: int = 160,
        fft_length: int = 256,
        **others: Any,
    ) -> None:
        """Configure the extractor.

        Args:
            feature_size: number of mel bands.
            sampling_rate: sampling rate in hertz.
            padding_value: sample value that pads shorter audio (silence).
            seconds: maximum length of the audio.
            hop_length: number of samples between frames.
            fft_length: number of samples per frame.
            others: further settings that the library stores.
        """
        super().__init__(feature_size, sampling_rate, padding_value, **others)
        self.seconds, self.hop_length, self.fft_length = seconds, hop_length, fft_length

    @property
    def longest(self) -> int:
        """Maximum length of the audio in samples."""
        samples: int = round(self.seconds * self.sampling_rate)
        return samples

    def __call__(self, raw_speech: Sequence[NDArray[np.float32]], **_: Any) -> BatchFeature:
        """Compute `input_features`, (B, M, F) float32 in about -1.5 to 1.5.

        Args:
            raw_speech: B waveforms at `sampling_rate`, each (samples,) in -1 to 1 with at most `longest` samples.
        """
        bank = mel_filter_bank(
            num_frequency_bins=1 + self.fft_length // 2, num_mel_filters=self.feature_size, min_frequency=0.0,
            max_frequency=self.sampling_rate / 2, sampling_rate=self.sampling_rate,
        )  # fmt: skip
        padded = [
            np.pad(waveform, (0, self.longest - len(waveform)), constant_values=self.padding_value)
            for waveform in raw_speech
        ]
        spectrograms = spectrogram_batch(
            padded, window_function(self.fft_length, "hann"), self.fft_length, self.hop_length, power=2.0,
            mel_filters=bank, mel_floor=1e-6, log_mel="log10",
        )  # fmt: skip
        mel_BMF = np.stack(spectrograms)[:, :, : self.longest // self.hop_length]
        return BatchFeature({"input_features": torch.from_numpy(mel_BMF / 3 + 0.5).float()})


class MixtureProcessor(ProcessorMixin):  # type: ignore[misc]
    """A tokenizer, an image processor and a mel feature extractor."""

    def __init__(
        self,
        image_processor: Any,
        feature_extractor: Any,
        tokenizer: Any,
        chat_template: str | None = None,
        num_image_tokens: int = 64,
        num_audio_tokens: int = 13,
    ) -> None:
        self.image_token, self.audio_token = tokenizer.image_token, tokenizer.audio_token
        self.image_token_id, self.audio_token_id = tokenizer.convert_tokens_to_ids([self.image_token, self.audio_token])
        self.num_image_tokens, self.num_audio_tokens = num_image_tokens, num_audio_tokens
        super().__init__(image_processor, feature_extractor, tokenizer, chat_template=chat_template)


AutoConfig.register(MODEL_TYPE, MixtureConfig)
AutoModelForImageTextToText.register(MixtureConfig, MixtureForConditionalGeneration)
AutoFeatureExtractor.register(MixtureConfig, MelExtractor)
AutoProcessor.register(MixtureConfig, MixtureProcessor)
