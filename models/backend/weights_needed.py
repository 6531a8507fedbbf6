"""What a loaded model needs of its device, counted from its weights: for the floors of its times, and its memory.

Counted is what no implementation can do without. Of routed experts that is as many as one token uses, whichever they
are; of an encoder-decoder's attention to what was read, the keys and values are made once and not for each token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.schema import ResourceRequirements

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_EXPERTS = ".experts."
_READ_ONCE = (
    "EncDecAttention.k.", "EncDecAttention.v.", "encoder_attn.k_proj.", "encoder_attn.v_proj.",
    "crossattention.self.key.", "crossattention.self.value.",
)  # fmt: skip
"""Weights of a decoder that meet what the encoder has read: T5's names, BART's, and BERT's."""
_TRIED = 4
"""Tokens of which the cache's size is seen."""


def resource_requirements(model: PreTrainedModel, folder: Path, where: Any) -> ResourceRequirements:
    """Count what a model with a language-model head needs.

    Args:
        model: a decoder, also one within a vision-language model, or an encoder-decoder.
        folder: its checkpoint, for the size of the files.
        where: a `torch_backend.Place`.
    """
    config = model.config.get_text_config()
    share = _share_of_experts(config)
    taken = {id(parameter) for parameter in model.get_input_embeddings().parameters()}
    decoder = _Part(_named(model.get_decoder(), taken), share)
    head = _Part(list(model.get_output_embeddings().named_parameters()), share)
    encodes = bool(model.config.is_encoder_decoder)
    encoder = _Part(_named(model.get_encoder(), taken), share) if encodes else _Part([], share)
    prompt_cache, new_cache = _cache_bytes(model)
    return ResourceRequirements(
        device=str(where.device),
        dtype=str(where.dtype).removeprefix("torch."),
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


def of_streams(
    tower: torch.nn.Module, encoder: PreTrainedModel, decoder: PreTrainedModel, folder: Path, where: Any
) -> ResourceRequirements:
    """Count what a text stream that may look at a picture, and a decoder that reads it, need.

    A token of the prompt, of the picture or of the text, meets no less than the smaller of the two streams, without
    what looks from one to the other. Of the cache only the decoder's own keys and values are counted.

    Args:
        tower: reads pictures.
        encoder: reads texts, beside a picture where there is one.
        decoder: writes, with a language-model head.
        folder: the checkpoint, for the size of the files.
        where: a `torch_backend.Place`.
    """
    output = decoder.get_output_embeddings()
    taken = {id(weight) for module in (decoder.get_input_embeddings(), output) for weight in module.parameters()}
    read = [(name, weight) for name, weight in _named(encoder, taken) if "crossattention." not in name]
    reads, writes, head = _Part(read, 1), _Part(_named(decoder, taken), 1), _Part(output.named_parameters(), 1)
    sees = _Part(_named(tower, set()), 1)
    config = decoder.config
    every = {weight for part in (tower, encoder, decoder) for weight in (*part.parameters(), *part.buffers())}
    return ResourceRequirements(
        device=str(where.device),
        dtype=str(where.dtype).removeprefix("torch."),
        weights_bytes=sum(map(_bytes, every)),
        disk_bytes=sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        first_bytes=reads.bytes + writes.bytes + head.bytes,
        step_bytes=writes.bytes + head.bytes,
        prompt_parameters=min(reads.parameters, sees.parameters),
        first_parameters=writes.parameters + head.parameters,
        step_parameters=writes.parameters + head.parameters,
        prompt_cache_bytes=0,
        new_cache_bytes=2 * config.num_hidden_layers * config.hidden_size * where.dtype.itemsize,
    )


class _Part:
    """Weights of a part of a model, experts counted as far as one token uses them."""

    def __init__(self, named: Iterable[tuple[str, torch.Tensor]], share: float) -> None:
        weighed = [(weight, share if _EXPERTS in f".{name}" else 1.0) for name, weight in named]
        self.bytes = sum(_bytes(weight) * part for weight, part in weighed)
        # A norm's weights multiply and add nothing.
        self.parameters = sum(weight.numel() * part for weight, part in weighed if weight.dim() > 1)


def _named(module: torch.nn.Module, taken: set[int]) -> list[tuple[str, torch.Tensor]]:
    """The weights that every token meets: no embedding, of which it needs a row."""
    from torch import nn

    tables = {id(own.weight) for own in module.modules() if isinstance(own, nn.Embedding)} | taken
    return [
        (name, weight)
        for name, weight in module.named_parameters()
        if id(weight) not in tables and not any(part in name for part in _READ_ONCE)
    ]


def _share_of_experts(config: Any) -> float:
    """The part of the routed experts that one token uses; none where the configuration does not say."""
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
    """Bytes of keys and values for a token of the prompt, and for a new one, seen in a few tokens."""
    import torch

    ids = torch.zeros(1, _TRIED, dtype=torch.long, device=model.device)
    with torch.inference_mode():
        if model.config.is_encoder_decoder:
            kept = model(input_ids=ids, decoder_input_ids=ids, use_cache=True).past_key_values
            return _kept(kept.cross_attention_cache) / _TRIED, _kept(kept.self_attention_cache) / _TRIED
        each = _kept(model(input_ids=ids, use_cache=True).past_key_values) / _TRIED
        return each, each


def _kept(cache: Any) -> int:
    return sum(_bytes(tensor) for tensor in _tensors(cache))


def _tensors(cache: Any) -> Iterator[torch.Tensor]:
    import torch

    for layer in cache.layers:
        for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None)):
            if isinstance(tensor, torch.Tensor):
                yield tensor
