"""What the families on torch share: placing and loading weights, a token budget, splitting a batch that is too big."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.images import decode
from evals.errors import InputError, SampleError
from evals.paths import PACKAGE
from evals.schema import Batch, Group, Image, Placement, Prediction, Prompt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

DTYPES = ("float32", "bfloat16", "float16")
CPU_BUDGET_PER_CORE = 4096
"""Token positions a core; two cores decode small models fastest with some 64 to 128 rows of 100 positions."""
_LARGEST_BUDGET = 1 << 18
_MEMORY_SHARE = 0.5
"""Of the memory that is free once the weights are on a GPU; activations and fragments need the rest."""


@dataclass(frozen=True)
class Place:
    """Where a model computes, and in which number format."""

    device: torch.device
    dtype: torch.dtype
    experts: int | None = None
    """How many experts of a layer work on a token, where that was chosen."""


def place(placement: Placement) -> Place:
    """Choose device and number format.

    Raises:
        InputError: for a device that is not there or a number format that is not offered.
    """
    import torch

    if placement.threads:
        torch.set_num_threads(placement.threads)
    wanted = placement.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {wanted} cannot be used: {str(error).splitlines()[0]}") from error
    name = placement.dtype or ("bfloat16" if device.type == "cuda" else "float32")
    if name not in DTYPES:
        raise InputError(f"--dtype {name} is not offered; allowed: {', '.join(DTYPES)}")
    return Place(device, getattr(torch, name), placement.experts)


def load_weights(auto_class: Any, folder: Path, where: Place, *, unused: tuple[str, ...] = ()) -> PreTrainedModel:
    """Load a checkpoint's weights: safetensors only, and never code that lies beside them.

    Args:
        auto_class: the library's class that loads them.
        folder: the checkpoint.
        where: device and number format.
        unused: what the names of weights begin with that may be lacking, because the family does not use them.

    Raises:
        InputError: when the folder is no such checkpoint, or lacks some of the weights.
    """
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder} has no .safetensors file: other weight formats can run code and are not read")
    from transformers.utils import logging

    from evals.models.architectures import int8  # noqa: F401  # so that the library knows what such a checkpoint is

    logging.disable_progress_bar()  # a run shows a bar of its own
    told = logging.get_verbosity()
    logging.set_verbosity_error()  # the table of weights that are lacking or left over: the first are an error below
    try:
        model, found = auto_class.from_pretrained(
            folder, dtype=where.dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True,
            output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # a damaged or foreign checkpoint makes the library raise nearly anything
        raise InputError(f"{folder} cannot be loaded: {first_line(error)}") from error
    finally:
        logging.set_verbosity(told)
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(unused))
    if missing:
        raise InputError(f"{folder} lacks {len(missing)} weights, the first being {missing[0]}")
    loaded: PreTrainedModel = model.to(where.device).eval()
    if where.experts is not None:
        _activate(loaded, where.experts, folder)
    return loaded


def _activate(model: PreTrainedModel, experts: int, folder: Path) -> None:
    """Let so many experts of each layer work on a token. Raises `InputError` where there are not so many."""
    routers = _routers(model)
    most = min((router.num_experts for router in routers), default=0)
    if not 0 < experts <= most:
        has = f"has layers of {most} experts" if routers else "is no mixture of experts"
        raise InputError(f"{folder} {has}: it cannot let {experts} of them work on a token")
    for router in routers:
        router.top_k = experts
    model.config.get_text_config().num_experts_per_tok = experts


def _routers(model: PreTrainedModel) -> list[Any]:
    """What chooses the experts of a token, a module a layer."""
    return [module for module in model.modules() if hasattr(module, "top_k") and hasattr(module, "num_experts")]


def load_processor(folder: Path) -> ProcessorMixin:
    """Load what a checkpoint reads pictures and texts with. Raises `InputError` when it lacks one of the two."""
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # whatever the library makes of a folder that is no checkpoint
        raise InputError(f"{folder} has no usable processor: {first_line(error)}") from error
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise InputError(f"{folder} needs a tokenizer and an image processor; found a {type(processor).__name__} only")
    return processor


def pixels(processor: ProcessorMixin, image: Image) -> torch.Tensor | SampleError:
    """Decode a picture and make what a model reads of it, (1, channels, height, width), or say why that cannot be."""
    try:
        read: torch.Tensor = processor.image_processor(images=[decode(image)], return_tensors="pt")["pixel_values"]
    except SampleError as error:
        return error
    except Exception as error:  # whatever an image processor raises of a picture that it refuses
        name = image.path or f"image {image.key}"
        return SampleError(f"{name} is refused by the image processor: {first_line(error)}")
    return read


def first_line(error: Exception) -> str:
    """Say what an error says, on one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def facts(model: PreTrainedModel, folder: Path, where: Place) -> dict[str, Any]:
    """What determines a loaded model's answers, for the signature."""
    import torch

    on_gpu = where.device.type == "cuda"
    routers = _routers(model)
    return {
        "checkpoint": str(folder.relative_to(PACKAGE) if folder.is_relative_to(PACKAGE) else folder),
        "digest": digest(folder),
        "architecture": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": torch.cuda.get_device_name(where.device) if on_gpu else where.device.type,
        "dtype": str(where.dtype).removeprefix("torch."),
        "attention": model.config._attn_implementation,
        "remote_code": False,
        **({"experts_per_token": routers[0].top_k} if routers else {}),
    }


def digest(folder: Path) -> str:
    """Hash all files of a checkpoint that it is loaded from."""
    patterns = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            total.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def token_budget(model: PreTrainedModel, where: Place, per_core: int = CPU_BUDGET_PER_CORE) -> int:
    """How many token positions a batch may hold: from the free memory of a GPU, or so many a core of a CPU."""
    import torch

    if where.device.type != "cuda":
        return per_core * int(torch.get_num_threads())
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * heads * width
    # A prefix's cache is copied into its rows' slots; a layer's activations are some twenty times the hidden size.
    bytes_each = where.dtype.itemsize * (2 * cache + 20 * config.hidden_size)
    free, _ = torch.cuda.mem_get_info(where.device)
    fits = max(1, int(_MEMORY_SHARE * free / bytes_each))
    return min(_LARGEST_BUDGET, 1 << (fits.bit_length() - 1))  # a power of two, so that runs agree


def peak_memory_bytes(where: Place) -> int | None:
    """The most bytes that torch held on a GPU since the start; None on a CPU, where the process is asked."""
    import torch

    return int(torch.cuda.max_memory_allocated(where.device)) if where.device.type == "cuda" else None


# Memory


def split_when_full(
    prompts: Sequence[Prompt],
    batch: Batch,
    staged: Sequence[Any],
    act: Callable[[Batch, Sequence[Any]], list[Prediction]],
) -> list[Prediction]:
    """Run a batch; when the memory does not hold it, run its halves, down to single prompts, which may fail alone.

    Args:
        prompts: what was planned.
        batch: what to run.
        staged: one thing a group of the batch.
        act: runs a batch.

    Returns:
        One prediction a member, in the order of `batch.members`.
    """
    try:
        return act(batch, staged)
    except RuntimeError as error:  # torch.OutOfMemoryError is one; a CPU allocator raises nothing more special
        if not _is_memory(error):
            raise
    _release()
    halves = _halves(batch, staged)
    if not halves:
        return [Prediction(prompts[batch.members[0]].request.id, failure="out of memory, alone in its batch")]
    return [prediction for half, own in halves for prediction in split_when_full(prompts, half, own, act)]


def _is_memory(error: RuntimeError) -> bool:
    import torch

    told = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in told)


def _release() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _halves(batch: Batch, staged: Sequence[Any]) -> list[tuple[Batch, Sequence[Any]]]:
    """Divide a batch between its groups, or a group between its members; nothing when it is a single prompt."""
    groups = batch.groups
    if len(groups) > 1:
        middle = len(groups) // 2
        return [(Batch(groups[:middle]), staged[:middle]), (Batch(groups[middle:]), staged[middle:])]
    group: Group = groups[0]
    if len(group.members) == 1:
        return []
    middle = len(group.members) // 2
    parts = (group.members[:middle], group.members[middle:])
    return [(Batch((replace(group, members=members),)), staged) for members in parts]
