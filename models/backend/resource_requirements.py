"""Count what a loaded model must read and compute per token: for lower bounds on its latency, and for its memory.

Only what every implementation needs is counted. Of the routed experts, as many are counted as one token uses. The
cross-attention keys and values of an encoder-decoder are computed once, not for each token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.schema import ResourceRequirements

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from evals.models.backend.pytorch import ResolvedPlacement

_EXPERTS = ".experts."
_READ_ONCE = (
    "EncDecAttention.k.", "EncDecAttention.v.", "encoder_attn.k_proj.", "encoder_attn.v_proj.",
    "crossattention.self.key.", "crossattention.self.value.",
)  # fmt: skip
"""Name parts of the decoder weights that are applied to the encoder's output: those of T5, BART and BERT."""
_TRIAL_TOKENS = 4
"""Number of tokens for which the size of the cache is measured."""


def decoder_requirements(model: PreTrainedModel, folder: Path, placement: ResolvedPlacement) -> ResourceRequirements:
    """Count the requirements of a model with a language-model head.

    Args:
        model: a decoder, which may be part of a vision-language model, or an encoder-decoder.
        folder: its checkpoint, for the size of the files.
        placement: its device and number format.
    """
    config = model.config.get_text_config()
    share = _share_of_experts(config)
    embeddings = {id(parameter) for parameter in model.get_input_embeddings().parameters()}
    decoder = _WeightGroup(_weights_per_token(model.get_decoder(), embeddings), share)
    head = _WeightGroup(list(model.get_output_embeddings().named_parameters()), share)
    encodes = bool(model.config.is_encoder_decoder)
    encoder = _WeightGroup(_weights_per_token(model.get_encoder(), embeddings) if encodes else [], share)
    prompt_cache, new_cache = _cache_bytes(model)
    return ResourceRequirements(
        device=str(placement.device),
        dtype=str(placement.dtype).removeprefix("torch."),
        weights_bytes=sum(_bytes(weight) for weight in {*model.parameters(), *model.buffers()}),
        disk_bytes=sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        first_bytes=encoder.bytes + decoder.bytes + head.bytes,
        step_bytes=decoder.bytes + head.bytes,
        prompt_parameters=encoder.parameters if encodes else decoder.parameters,
        first_parameters=head.parameters + (decoder.parameters if encodes else 0),
        step_parameters=decoder.parameters + head.parameters,
        prompt_cache_bytes=prompt_cache,
        new_cache_bytes=new_cache,
    )


def two_stream_requirements(
    tower: torch.nn.Module,
    encoder: PreTrainedModel,
    decoder: PreTrainedModel,
    *,
    folder: Path,
    placement: ResolvedPlacement,
) -> ResourceRequirements:
    """Count the requirements of a vision tower, a text encoder with cross-attention, and a text decoder.

    Each prompt token, of the image or of the text, uses at least the weights of the smaller of the two streams, without
    cross-attention. Of the cache, only the decoder's self-attention keys and values are counted.

    Args:
        tower: encodes images.
        encoder: encodes texts, with cross-attention to an image.
        decoder: generates text, with a language-model head.
        folder: the checkpoint, for the size of the files.
        placement: device and number format.
    """
    output = decoder.get_output_embeddings()
    excluded = {id(weight) for module in (decoder.get_input_embeddings(), output) for weight in module.parameters()}
    text_weights = [pair for pair in _weights_per_token(encoder, excluded) if "crossattention." not in pair[0]]
    text_group = _WeightGroup(text_weights, 1)
    decoder_group = _WeightGroup(_weights_per_token(decoder, excluded), 1)
    head = _WeightGroup(output.named_parameters(), 1)
    image_group = _WeightGroup(_weights_per_token(tower, set()), 1)
    config = decoder.config
    all_weights = {weight for part in (tower, encoder, decoder) for weight in (*part.parameters(), *part.buffers())}
    return ResourceRequirements(
        device=str(placement.device),
        dtype=str(placement.dtype).removeprefix("torch."),
        weights_bytes=sum(map(_bytes, all_weights)),
        disk_bytes=sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        first_bytes=text_group.bytes + decoder_group.bytes + head.bytes,
        step_bytes=decoder_group.bytes + head.bytes,
        prompt_parameters=min(text_group.parameters, image_group.parameters),
        first_parameters=decoder_group.parameters + head.parameters,
        step_parameters=decoder_group.parameters + head.parameters,
        prompt_cache_bytes=0,
        new_cache_bytes=2 * config.num_hidden_layers * config.hidden_size * placement.dtype.itemsize,
    )


class _WeightGroup:
    """Size of some weights, with experts weighted by the share that one token uses."""

    def __init__(self, named_weights: Iterable[tuple[str, torch.Tensor]], share: float) -> None:
        shares = [(weight, share if _EXPERTS in f".{name}" else 1.0) for name, weight in named_weights]
        self.bytes = sum(_bytes(weight) * used for weight, used in shares)
        # The vectors of norms and biases take part in no matrix product.
        self.parameters = sum(weight.numel() * used for weight, used in shares if weight.dim() > 1)


def _weights_per_token(module: torch.nn.Module, excluded: set[int]) -> list[tuple[str, torch.Tensor]]:
    """Return the named weights that every token uses: all except embeddings, of which a token needs one row."""
    from torch import nn

    tables = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)} | excluded
    return [
        (name, weight)
        for name, weight in module.named_parameters()
        if id(weight) not in tables and not any(part in name for part in _READ_ONCE)
    ]


def _share_of_experts(config: Any) -> float:
    """Return the share of the routed experts that one token uses; 0 if the configuration does not say."""
    experts = next(
        (
            count
            for name in ("n_routed_experts", "num_local_experts", "num_experts")
            if (count := getattr(config, name, None))
        ),
        None,
    )
    used = getattr(config, "num_experts_per_tok", None)
    return used / experts if used and experts else 0.0


def _bytes(weight: torch.Tensor) -> int:
    return int(weight.numel() * weight.element_size())


def _cache_bytes(model: PreTrainedModel) -> tuple[float, float]:
    """Measure the bytes of keys and values per prompt token and per new token, with a few tokens."""
    import torch

    ids = torch.zeros(1, _TRIAL_TOKENS, dtype=torch.long, device=model.device)
    with torch.inference_mode():
        if model.config.is_encoder_decoder:
            caches = model(input_ids=ids, decoder_input_ids=ids, use_cache=True).past_key_values
            totals = (_size_of_cache(caches.cross_attention_cache), _size_of_cache(caches.self_attention_cache))
            return totals[0] / _TRIAL_TOKENS, totals[1] / _TRIAL_TOKENS
        per_token = _size_of_cache(model(input_ids=ids, use_cache=True).past_key_values) / _TRIAL_TOKENS
        return per_token, per_token


def _size_of_cache(cache: Any) -> int:
    return sum(_bytes(tensor) for tensor in _tensors(cache))


def _tensors(cache: Any) -> Iterator[torch.Tensor]:
    import torch

    for layer in cache.layers:
        for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None)):
            if isinstance(tensor, torch.Tensor):
                yield tensor
