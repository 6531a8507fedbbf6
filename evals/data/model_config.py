"""Check a model's configuration against common sense and against the shapes of its weights, without any library.

A configuration may say anything: a trillion layers, a negative size, another width than the weights have. A library
then allocates memory without end, or fails with a message that names no field. These checks read a few kilobytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.data.weight_shapes import first_mismatch
from evals.errors import InputError

_LAYERS = {"num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers",
           "num_decoder_layers", "num_encoder_layers"}  # fmt: skip
_HEADS = {"num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads", "encoder_attention_heads",
          "decoder_attention_heads"}  # fmt: skip
_WIDTHS = {"hidden_size", "d_model", "n_embd"}
_SIZES = {*_WIDTHS, "vocab_size", "intermediate_size", "d_ff", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim",
          "max_position_embeddings", "n_positions", "image_size", "patch_size", "head_dim", "n_inner",
          "num_experts", "num_local_experts", "n_routed_experts", "num_experts_per_tok"}  # fmt: skip
_NEVER_ZERO = {*_WIDTHS, "vocab_size", "num_attention_heads", "num_key_value_heads", "n_head", "patch_size",
               "image_size"}  # fmt: skip
_STACK = "num_layers_per_stack"
"""A field of models that run the same layers several times (HRM): their number of layers counts every run."""
_UNLIMITED = {"max_position_embeddings", "n_positions"}
"""Fields for which -1 means that there is no limit."""
MOST_LAYERS = 10_000
LARGEST_SIZE = 1 << 31
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d{1,9})\.")
_EMBEDDING = re.compile(r"(embed_tokens|word_embeddings|wte|tok_embeddings|shared|embed_in)\.weight$")
_DTYPE = re.compile(r"(torch\.)?(auto|half|float|bfloat16|float(16|32|64)|float[48]_\w+|u?int\d+)")
_POSITIONS = re.compile(r"(position_embeddings|wpe|embed_positions)\.weight$")
_KERNELS = {
    "attn_implementation": {"eager", "sdpa"},
    "experts_implementation": {"eager", "grouped_mm", "batched_mm"},
    "fusion_config": set(),
    "kernel_config": set(),
    "use_kernels": set(),
}
"""Fields that choose the code that computes, and the values that name code of the library itself."""


def without_kernels(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the fields of a configuration, and of those in it, that name code to compute with.

    `attn_implementation: someone/kernel` would make the library load and run that repository's code;
    `flash_attention_2` would fail on a machine without it. What computes is chosen here, not by a checkpoint.

    Example:
        >>> without_kernels({"model_type": "llama", "_attn_implementation": "someone/kernel"})
        {'model_type': 'llama'}
        >>> without_kernels({"text_config": {"attn_implementation": "eager", "use_kernels": True}})
        {'text_config': {'attn_implementation': 'eager'}}
    """
    kept: dict[str, Any] = {}
    for name, value in config.items():
        allowed = _KERNELS.get(name.strip("_").removesuffix("_internal"))
        if allowed is None or (isinstance(value, str) and value in allowed):
            nested = isinstance(value, dict) and name.endswith("config")
            kept[name] = without_kernels(value) if nested else value
    return kept


def check_config(path: Path, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuse a configuration that no model can have, or that does not describe the stored weights.

    Args:
        path: the file, for messages.
        config: its contents.
        shapes: the shape of each stored weight; empty if they are not known.

    Raises:
        InputError: one line that names the field, its value, and what is possible.

    Example:
        >>> check_config(Path("config.json"), {"model_type": "llama", "num_hidden_layers": 10**12}, {})
        Traceback (most recent call last):
            ...
        evals.errors.InputError: config.json: num_hidden_layers is 1000000000000, expected at most 10000
        >>> check_config(Path("config.json"), {"model_type": "llama", "hidden_size": 64}, {"norm.weight": (48,)})
        Traceback (most recent call last):
            ...
        evals.errors.InputError: config.json: hidden_size is 64, but no stored weight has a dimension of 64
    """
    kind, architectures = config.get("model_type"), config.get("architectures")
    if kind is not None and not isinstance(kind, str):
        raise InputError(f"{path}: model_type is {_shown(kind)}, expected a text")
    listed = isinstance(architectures, list) and all(isinstance(name, str) for name in architectures)
    if architectures is not None and not listed:
        raise InputError(f"{path}: architectures is {_shown(architectures)}, expected a list of class names")
    for name, value in _fields(config):
        _check_field(path, name, value)
    if not isinstance(config.get("quantization_config", {}), dict | type(None)):
        raise InputError(f"{path}: quantization_config is {_shown(config['quantization_config'])}, expected an object")
    if shapes:
        _check_shapes(path, config, shapes)
        _check_weights(path, config, shapes)


def _fields(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every field of a configuration and of those inside it, with dotted names."""
    for name, value in config.items():
        yield f"{prefix}{name}", value
        if isinstance(value, dict) and name.endswith("config") and "quant" not in name:
            yield from _fields(value, f"{prefix}{name}.")


def _check_field(path: Path, name: str, value: Any) -> None:
    field = name.rpartition(".")[2]
    if field in {"dtype", "torch_dtype"} and isinstance(value, str) and not _DTYPE.fullmatch(value):
        raise InputError(f"{path}: {name} is {_shown(value)}, expected a number format such as float32 or bfloat16")
    if field not in _LAYERS | _HEADS | _SIZES or value is None:
        return
    for number in value if isinstance(value, list) and value else [value]:
        if isinstance(number, list | dict):
            continue  # image sizes and others can be nested
        if isinstance(number, bool) or not isinstance(number, int | float) or number != number or number % 1:
            raise InputError(f"{path}: {name} is {_shown(value)}, expected a whole number")
        if number == -1 and field in _UNLIMITED:
            continue
        if number < (1 if field in _NEVER_ZERO else 0):
            raise InputError(f"{path}: {name} is {_shown(value)}, expected {1 if field in _NEVER_ZERO else 0} or more")
        most = MOST_LAYERS if field in _LAYERS else LARGEST_SIZE
        if number > most:
            raise InputError(f"{path}: {name} is {_shown(value)}, expected at most {most}")


def _check_shapes(path: Path, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
    """Compare the fields of the language model with the shapes of the weights."""
    nested = config.get("text_config")
    prefix, text = ("text_config.", nested) if isinstance(nested, dict) else ("", config)
    dimensions = {size for shape in shapes.values() for size in shape}
    stored_layers = max((int(match[1]) for name in shapes for match in _LAYER.finditer(name)), default=-1) + 1
    embeddings = [name for name in shapes if _EMBEDDING.search(name)]
    positions = [shapes[name][0] for name in shapes if _POSITIONS.search(name) and len(shapes[name]) == 2]
    for field, value in text.items():
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        if "encoder" in field and not any("encoder" in name for name in shapes):
            continue  # a decoder that was saved alone
        where = f"{path}: {prefix}{field} is {value}, but"
        if field in _LAYERS and stored_layers and value > stored_layers and _STACK not in text:
            raise InputError(f"{where} the weights hold {stored_layers} layers")
        if (field in _WIDTHS or (field == "vocab_size" and embeddings)) and value not in dimensions:
            raise InputError(f"{where} no stored weight has a dimension of {value}{_stated(embeddings, shapes)}")
        if field in {"max_position_embeddings", "n_positions"} and positions and value > max(positions):
            raise InputError(f"{where} the weights hold {max(positions)} positions")
        if field in _SIZES - _UNLIMITED and value > 64 * max(dimensions, default=value):
            raise InputError(f"{where} the largest dimension of a stored weight is {max(dimensions)}")

    _check_layers(path, config, shapes)


def _check_layers(path: Path, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuse a plain decoder or encoder whose weights hold more layers than its configuration: some would be left out.

    Layers that predict further tokens (`num_nextn_predict_layers`) are stored after the others and may be left out.
    """
    layers = config.get("num_hidden_layers")
    composite = config.get("is_encoder_decoder") or any(
        isinstance(value, dict)
        for name, value in config.items()
        if name.endswith("_config") and name != "quantization_config"
    )
    if composite or not isinstance(layers, int):
        return
    stored = max((int(match[1]) for match in map(_LAYER.search, shapes) if match), default=-1) + 1
    if stored > layers + (config.get("num_nextn_predict_layers") or 0):
        raise InputError(f"{path}: num_hidden_layers is {layers}, but the weights hold {stored} layers")


def _check_weights(path: Path, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuse a configuration by which a weight of a known name has another shape than the stored one."""
    mismatch = first_mismatch(config, shapes)
    if mismatch is not None:
        fields = " or ".join(f"{field} ({config.get(field)})" for field in mismatch.fields)
        stored, configured = (" x ".join(map(str, sizes)) for sizes in (mismatch.stored, mismatch.configured))
        raise InputError(
            f"{path}: {fields} does not fit the stored weights: {mismatch.name} is {stored}, and would be {configured}"
        )


def _stated(embeddings: Sequence[str], shapes: Mapping[str, Sequence[int]]) -> str:
    """Name the stored embedding with its shape, if there is one."""
    return f"; {embeddings[0]} is {' x '.join(map(str, shapes[embeddings[0]]))}" if embeddings else ""


def fields_of_shape(config: Mapping[str, Any], stored: Sequence[int], configured: Sequence[int]) -> list[str]:
    """Name the fields of a configuration that explain why a weight has another shape than the stored one.

    Args:
        config: the contents of `config.json`.
        stored: the shape in the weight file.
        configured: the shape by the configuration.

    Example:
        >>> fields_of_shape({"hidden_size": 64, "intermediate_size": 96}, (96, 48), (96, 64))
        ['hidden_size']
    """
    wrong = set(configured) - set(stored) or set(configured)
    width, heads = (next((config[name] for name in names if config.get(name)), 0) for names in (_WIDTHS, _HEADS))
    head = config.get("head_dim") or (width // heads if heads else 0)
    return [
        name
        for name, value in _fields(config)
        if isinstance(value, int) and value > 1 and (value in wrong or (name in _HEADS and value * head in wrong))
    ]


def field_of_value(config: Mapping[str, Any], value: object) -> str | None:
    """Name the field of a configuration, however deep, that has a value; None if no field or several have it.

    Example:
        >>> field_of_value({"hidden_act": "boo", "rope": {"type": "magic"}}, "magic")
        'rope.type'
    """
    names = []
    for name, inner in config.items():
        if isinstance(inner, dict):
            deeper = field_of_value(inner, value)
            names += [f"{name}.{deeper}"] if deeper else []
        elif inner == value and type(inner) is type(value):
            names.append(name)
    return names[0] if len(names) == 1 else None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
