"""A mixture of experts that reads text, pictures and recordings: the library's classes, joined in one shared space.

    picture    -> ResNetModel                 -> each cell of its last feature map  -> Bridge -+
    recording  -> MelExtractor -> Ears (conv) -> each step of some 80 milliseconds  -> Bridge -+-> DeepseekV3Model
    text       -> tokens                      -> word embeddings                              -+

What the bridges give stands among the word embeddings of a prompt, in the place of placeholders. So the decoder's
self-attention runs across words, cells and steps alike: that is the cross-modal attention, and there is no other.

Nothing here is remote code: the classes are registered under the model type `modality_mixture` when this module is
imported, and checkpoints are read with `from_pretrained` as any others are.

Shapes: B pictures or recordings, P cells of a picture, T steps of a recording, F frames and M bands of a mel
spectrogram, S tokens of a prompt, D width of the decoder.
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
    """What such a model is made of."""

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
    """Pictures are brought to this width and height before the ResNet reads them."""
    image_cells: int = 64
    audio_steps: int = 13
    mel_bands: int = 40
    ears_width: int = 64
    loudness: float = 0.1
    """What the bridges' gains begin with: a cell or a step is about as long as a word's embedding, or the first layers
    would drown the one or the other."""
    tie_word_embeddings: bool = True


class Ears(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
    """Two convolutions over the frames of a mel spectrogram, each halving their number."""

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__()
        self.near = nn.Conv1d(config.mel_bands, config.ears_width, 3, stride=2, padding=1)
        self.far = nn.Conv1d(config.ears_width, config.ears_width, 3, stride=2, padding=1)

    def forward(self, mel_BMF: torch.Tensor) -> torch.Tensor:
        """Give (B, T, ears' width) of (B, M, F)."""
        heard = nn.functional.gelu(self.near(mel_BMF))
        return nn.functional.gelu(self.far(heard)).transpose(1, 2)


class Bridge(nn.Module):  # type: ignore[misc]
    """A projection into the space of the word embeddings, and a norm that makes all it gives about equally long."""

    def __init__(self, width: int, places: int, config: MixtureConfig) -> None:
        super().__init__()
        self.projection = nn.Linear(width, config.text_config.hidden_size)
        self.places = nn.Embedding(places, config.text_config.hidden_size)
        """Where each cell or step is: convolutions hardly know."""
        self.gain = nn.Parameter(torch.full((config.text_config.hidden_size,), config.loudness))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Give (B, places, D) of (B, places, width)."""
        there = self.projection(features) + self.places.weight[: features.shape[1]]
        return nn.functional.rms_norm(there, self.gain.shape, self.gain, 1e-6)


class MixturePreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """What the two classes below have in common."""

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
        if isinstance(module, Bridge):
            init.constant_(module.gain, self.config.loudness)


class MixtureModel(MixturePreTrainedModel):
    """The decoder, and what makes pictures and recordings into states of its space."""

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__(config)
        self.vision_model = AutoModel.from_config(config.vision_config)
        self.image_bridge = Bridge(config.vision_config.hidden_sizes[-1], config.image_cells, config)
        self.ears = Ears(config)
        self.audio_bridge = Bridge(config.ears_width, config.audio_steps, config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_image_features(self, pixel_values: torch.Tensor) -> BaseModelOutputWithPooling:
        """Give, as `pooler_output`, (B, P, D) of (B, 3, height, width): a state for each cell, row by row."""
        side = self.config.image_side
        enlarged = nn.functional.interpolate(pixel_values, (side, side), mode="bilinear")
        cells = self.vision_model(enlarged).last_hidden_state.flatten(2).transpose(1, 2)
        return BaseModelOutputWithPooling(last_hidden_state=cells, pooler_output=self.image_bridge(cells))

    def get_audio_features(self, input_features: torch.Tensor) -> BaseModelOutputWithPooling:
        """Give, as `pooler_output`, (B, T, D) of (B, M, F)."""
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
        """Read prompts (B, S) with their pictures and recordings in order; `others` go to the decoder."""
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        if pixel_values is not None:
            shown = self.get_image_features(pixel_values).pooler_output
            inputs_embeds = _placed(inputs_embeds, input_ids == self.config.image_token_id, shown)
        if input_features is not None:
            sounded = self.get_audio_features(input_features).pooler_output
            inputs_embeds = _placed(inputs_embeds, input_ids == self.config.audio_token_id, sounded)
        return self.language_model(inputs_embeds=inputs_embeds, **others)


def _placed(embedded: torch.Tensor, there: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Put features where their placeholders stand."""
    states = features.flatten(0, 1).to(embedded.dtype)
    if int(there.sum()) != len(states):
        raise ValueError(f"{int(there.sum())} placeholders for {len(states)} states")
    return embedded.masked_scatter(there[..., None], states)


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
        """Give the logits (B, S, vocabulary) at all positions or at those to keep; `others` go to `MixtureModel`."""
        said = self.model(input_ids=input_ids, **others)
        return MoeCausalLMOutputWithPast(
            logits=self.lm_head(slice_logits_to_keep(said.last_hidden_state, logits_to_keep)),
            past_key_values=said.past_key_values,
            hidden_states=said.hidden_states,
            attentions=said.attentions,
            router_logits=said.router_logits,
        )


class MelExtractor(SequenceFeatureExtractor):  # type: ignore[misc]
    """Recordings of one channel to log-mel spectrograms of one length."""

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
        """Make one.

        Args:
            feature_size: bands.
            sampling_rate: in hertz.
            padding_value: of samples: silence follows a recording that is shorter.
            seconds: the longest recording.
            hop_length: samples from a frame to the next.
            fft_length: samples of a frame.
            others: what the library keeps beside.
        """
        super().__init__(feature_size, sampling_rate, padding_value, **others)
        self.seconds, self.hop_length, self.fft_length = seconds, hop_length, fft_length

    @property
    def longest(self) -> int:
        """Samples of the longest recording."""
        samples: int = round(self.seconds * self.sampling_rate)
        return samples

    def __call__(self, raw_speech: Sequence[NDArray[np.float32]], **_: Any) -> BatchFeature:
        """Give `input_features`, (B, M, F) float32 in about -1.5 to 1.5.

        Args:
            raw_speech: B recordings at `sampling_rate`, (samples,) in -1 to 1, at most `longest` of them.
        """
        bank = mel_filter_bank(
            num_frequency_bins=1 + self.fft_length // 2, num_mel_filters=self.feature_size, min_frequency=0.0,
            max_frequency=self.sampling_rate / 2, sampling_rate=self.sampling_rate,
        )  # fmt: skip
        padded = [np.pad(one, (0, self.longest - len(one)), constant_values=self.padding_value) for one in raw_speech]
        found = spectrogram_batch(
            padded, window_function(self.fft_length, "hann"), self.fft_length, self.hop_length, power=2.0,
            mel_filters=bank, mel_floor=1e-6, log_mel="log10",
        )  # fmt: skip
        mel_BMF = np.stack(found)[:, :, : self.longest // self.hop_length]
        return BatchFeature({"input_features": torch.from_numpy(mel_BMF / 3 + 0.5).float()})


class MixtureProcessor(ProcessorMixin):  # type: ignore[misc]
    """What a checkpoint reads with: a tokenizer, an image processor and a mel front end."""

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
