"""Memory of GPUs: how many positions a key-value cache holds, and models that are spread over several GPUs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import model_weights
from evals.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

LARGEST_CACHE = 1 << 18
"""Most positions of a cache; larger batches gain nothing."""
_MEMORY_SHARE = 0.5
"""Share of the GPU memory left after loading the weights; activations and fragmentation need the rest."""
_WEIGHTS_SHARE = 0.8
"""Share of a GPU's free memory that weights may take; a cache and activations need the rest."""


def cache_positions(model: PreTrainedModel, free: int) -> int:
    """Compute how many token positions a key-value cache may hold, if two of them are in memory.

    A prefix's keys and values are copied into the slots of its rows, so prefixes and slots have a cache each.

    Args:
        model: the loaded model.
        free: bytes of GPU memory that are free after loading it.

    Returns:
        A number with three binary digits before its zeros, so that runs compute with the same one although slightly
        different memory is free.
    """
    config = model.config.get_text_config()
    # A layer's activations take about 20 times the hidden size.
    values = 2 * cache_values(config) + 20 * config.hidden_size
    positions = max(1, int(_MEMORY_SHARE * free / (values * model.dtype.itemsize)))
    zeros = max(0, positions.bit_length() - 3)
    return min(LARGEST_CACHE, positions >> zeros << zeros)


def cache_values(config: PreTrainedConfig) -> int:
    """Count the numbers that a key-value cache holds for one position, in all layers.

    Example:
        >>> from transformers import LlamaConfig
        >>> cache_values(LlamaConfig(num_hidden_layers=2, hidden_size=64, num_attention_heads=4, num_key_value_heads=2))
        128
    """
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    widths = 2 * width
    if getattr(config, "qk_nope_head_dim", None):  # DeepSeek-V2 and -V3: the library caches the expanded heads
        widths = config.qk_nope_head_dim + config.qk_rope_head_dim + config.v_head_dim
    return int(config.num_hidden_layers * heads * widths)


def spreading(folder: Path, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """Return the options of the library's `from_pretrained` that spread a model over all GPUs, if it needs them.

    Args:
        folder: the checkpoint, without an adapter.
        dtype: number format of the loaded weights.
        device: where the model is to compute; a GPU that has a number is used alone.

    Returns:
        No options if the weights fit one GPU, or there is one only.

    Raises:
        InputError: the weights do not fit one GPU, and accelerate, which spreads them, is not installed.
    """
    import torch

    if device.type != "cuda" or device.index is not None or torch.cuda.device_count() < 2:
        return {}
    free = [torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())]
    return device_map(folder, weight_bytes(folder, dtype), free)


def device_map(folder: Path, weights: int, free: list[int]) -> dict[str, Any]:
    """Decide whether weights are spread over GPUs; see `spreading`.

    Args:
        folder: the checkpoint, for the message.
        weights: their size in bytes.
        free: free memory of each GPU in bytes.

    Example:
        >>> device_map(Path("small"), 10, [100, 100])
        {}
    """
    if weights <= _WEIGHTS_SHARE * free[0]:
        return {}
    if importlib.util.find_spec("accelerate") is None:
        raise InputError(
            f"{folder} has {weights / 1e9:.3g} GB of weights, and a GPU has {free[0] / 1e9:.3g} GB free; accelerate, "
            f"which spreads them over {len(free)} GPUs, is not installed: pip install 'claim-evals[quantised]'"
        )
    room = {number: int(_WEIGHTS_SHARE * bytes_free) for number, bytes_free in enumerate(free)}
    if weights > sum(room.values()):
        raise InputError(
            f"{folder} has {weights / 1e9:.3g} GB of weights, and {len(free)} GPUs have {sum(free) / 1e9:.3g} GB free, "
            f"of which weights may take {_WEIGHTS_SHARE:.0%}"
        )
    # "auto" gives every GPU about the same; only GPUs are named, so that nothing is moved to the CPU or the disk.
    return {"device_map": "auto", "max_memory": room}


def weight_bytes(folder: Path, dtype: torch.dtype) -> int:
    """Return the size of a checkpoint's weights in memory, where floats of 16 bits and more take the given format."""
    from safetensors import safe_open

    total = 0
    for path in model_weights(folder):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # not a mapping
                tensor = file.get_slice(name)
                count = 1
                for size in tensor.get_shape():
                    count *= size
                stored = _STORED_BYTES.get(tensor.get_dtype())
                total += count * (dtype.itemsize if stored is None else stored)
    return total


_STORED_BYTES = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
"""Bytes of the formats that loading keeps."""


def free_memory(model: PreTrainedModel, device: torch.device) -> int:
    """Return the free memory of a model's GPU in bytes; of several, as much as they have if all are as full as one."""
    import torch

    numbers = devices(model, device)
    return len(numbers) * min(int(torch.cuda.mem_get_info(number)[0]) for number in numbers)


def devices(model: PreTrainedModel, device: torch.device) -> list[torch.device]:
    """List the GPUs that hold a model's weights."""
    import torch

    places = getattr(model, "hf_device_map", None)
    return [torch.device("cuda", number) for number in sorted(set(places.values()))] if places else [device]
