"""What the PyTorch families share: device and dtype, loading weights, a token budget, out-of-memory splitting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals import garbage
from evals.data.checkpoints import Adapter, model_weights, read_adapter, read_config
from evals.data.images import decode
from evals.data.model_config import fields_of_shape
from evals.errors import InputError, SampleError
from evals.models.architectures import experts
from evals.models.backend import adapters, checkpoint_files, gpus, quantised, requirements
from evals.models.decoding.checkpoint_settings import needed_config
from evals.paths import PACKAGE
from evals.schema import Batch, Group, Image, Placement, Prediction, Prompt
from evals.schema.config import DTYPES, ExpertSchedule

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

CPU_BUDGET_PER_CORE = 4096
"""Token budget per CPU core; two cores decode small models fastest with about 64 to 128 rows of 100 positions."""


@dataclass(frozen=True)
class ResolvedPlacement:
    """The device and number format that a model computes with."""

    device: torch.device
    dtype: torch.dtype
    experts: int | None = None
    """Number of active experts per layer, if the user chose it."""
    schedule: ExpertSchedule | None = None
    """Numbers of active experts by the length of the queue, if they follow it."""


def resolve_placement(placement: Placement) -> ResolvedPlacement:
    """Choose the device and the number format.

    Raises:
        InputError: the device is not available, or the number format is not supported.
    """
    import torch

    if placement.threads:
        torch.set_num_threads(placement.threads)
    name = placement.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name} cannot be used: {requirements.explain(error)}") from error
    dtype = placement.dtype or ("bfloat16" if device.type == "cuda" else "float32")
    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype} is not supported; allowed: {', '.join(DTYPES)}")
    return ResolvedPlacement(device, getattr(torch, dtype), placement.experts, placement.schedule)


def load_weights(
    auto_class: Any, folder: Path, placement: ResolvedPlacement, *, unused: tuple[str, ...] = ()
) -> PreTrainedModel:
    """Load the weights of a checkpoint: only from safetensors, and without running code from the folder.

    Args:
        auto_class: class of the library that loads them.
        folder: the checkpoint.
        placement: device and number format.
        unused: weight-name prefixes that are allowed to be missing, because the family does not use them.

    Raises:
        InputError: the folder is not a checkpoint of this kind, or some weights are missing.
    """
    adapter = read_adapter(folder)
    if adapter is not None:
        adapters.require_peft(adapter)
    base = adapter.base if adapter is not None else folder
    if not model_weights(base):
        raise InputError(f"{base} has no .safetensors file: other weight formats can run code and are not read")
    config = read_config(base)
    quantised.check(base, config, placement.device)
    from transformers.utils import logging

    from evals.models.architectures import int8  # noqa: F401  # registers the quantiser with the library

    garbage.keep_modules()
    logging.disable_progress_bar()  # a run shows its own progress bar
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # hides the table of missing and unexpected weights; missing ones are an error below
    try:
        with checkpoint_files.readable_folder(base) as source, quantised.quietly(config):
            model, loading_info = auto_class.from_pretrained(
                source, dtype=placement.dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True,
                output_loading_info=True, ignore_mismatched_sizes=True, generation_config=needed_config(base),
                **adapters.head_options(adapter), **gpus.spreading(base, placement.dtype, placement.device),
            )  # fmt: skip
            quantised.unpack(model)
            _keep_caps(model)
    except InputError:
        raise
    except Exception as error:  # a damaged or foreign checkpoint can raise nearly any exception
        raise InputError(f"{folder} cannot be loaded: {requirements.explain_loading(error, base)}") from error
    finally:
        logging.set_verbosity(verbosity)
    _check_complete(model, loading_info, base, unused, adapter)
    if adapter is not None:
        model = adapters.apply(model, adapter)
    if getattr(model, "hf_device_map", None) is None:  # otherwise it is spread over GPUs already
        model = model.to(placement.device)
    loaded: PreTrainedModel = model.eval()
    if placement.experts is not None:
        for number in placement.schedule.numbers if placement.schedule else (placement.experts,):
            experts.check_active(loaded, number, folder)
        experts.set_active(loaded, placement.experts)
    return loaded


def _keep_caps(model: PreTrainedModel) -> None:
    """Let a model that caps attention logits (Gemma 2) compute them eagerly: the library's SDPA ignores the cap."""
    configs = [model.config, *(getattr(model.config, name, None) for name in model.config.sub_configs)]
    if any(getattr(config, "attn_logit_softcapping", None) for config in configs):
        model.set_attn_implementation("eager")


def _check_complete(
    model: PreTrainedModel,
    loading_info: Mapping[str, Any],
    folder: Path,
    unused: tuple[str, ...],
    adapter: Adapter | None,
) -> None:
    """Refuse a checkpoint that lacks weights, or whose weights have other shapes than its configuration says."""
    brought = adapters.brought_weights(adapter)
    wrong = [entry for entry in loading_info["mismatched_keys"] if not entry[0].startswith(unused)]
    for name, stored, configured in sorted(wrong):
        if name not in brought:
            raise InputError(
                f"{folder / 'config.json'} makes {name} {_shape(configured)} "
                f"({', '.join(fields_of_shape(model.config.to_dict(), stored, configured)) or 'by its defaults'}); "
                f"the stored weight is {_shape(stored)}"
            )
    missing = sorted(name for name in loading_info["missing_keys"] if not name.startswith(unused))
    missing = [name for name in missing if name not in brought]
    if missing:
        raise InputError(f"{folder} lacks {len(missing)} weights, the first being {missing[0]}")


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes)) or "a single number"


def load_processor(folder: Path) -> ProcessorMixin:
    """Load a checkpoint's processor. Raises `InputError` if it lacks a tokenizer or an image processor."""
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # a folder that is not a checkpoint can raise nearly any exception
        raise InputError(f"{folder} has no usable processor: {requirements.explain(error)}") from error
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise InputError(f"{folder} needs a tokenizer and an image processor; found only a {type(processor).__name__}")
    return processor


def pixels(processor: ProcessorMixin, image: Image) -> torch.Tensor | SampleError:
    """Decode an image and preprocess it for a model.

    Returns:
        Pixel values (1, channels, height, width), or the error if the image cannot be read.
    """
    try:
        return process_images(processor, [image])["pixel_values"]
    except SampleError as error:
        return error


def process_images(processor: ProcessorMixin, images: Sequence[Image]) -> dict[str, torch.Tensor]:
    """Decode images and run the image processor on them. Raises `SampleError` if an image cannot be read."""
    import torch

    decoded = [decode(image) for image in images]
    try:
        outputs = processor.image_processor(images=decoded, return_tensors="pt")
    except Exception as error:  # an image processor can raise nearly any exception for an image that it rejects
        raise image_error(images, error) from error
    return {name: value for name, value in outputs.items() if isinstance(value, torch.Tensor)}


def image_error(images: Sequence[Image], error: Exception) -> SampleError:
    """Make the error for images that an image processor rejects."""
    names = ", ".join(str(image.path or f"image {image.key}") for image in images)
    return SampleError(f"{names} is rejected by the image processor: {requirements.explain(error)}")


def facts(model: PreTrainedModel, folder: Path, placement: ResolvedPlacement) -> dict[str, Any]:
    """Return what determines a loaded model's answers, for the signature."""
    routers = experts.routers(model)
    return {
        **checkpoint_facts(model, folder, placement),
        **checkpoint_files.adapter_facts(folder),
        "attention": model.config._attn_implementation,
        **({"gpus": len(gpus.devices(model, placement.device))} if hasattr(model, "hf_device_map") else {}),
        "remote_code": False,
        **quantised.facts(read_config(folder), model),
        **({"experts_per_token": routers[0].top_k} if routers else {}),
        **({"experts_by_queue": placement.schedule.facts} if placement.schedule else {}),
    }


def checkpoint_facts(model: PreTrainedModel, folder: Path, placement: ResolvedPlacement) -> dict[str, Any]:
    """Return what determines a model's answers whatever computes it: the checkpoint, the device, the number format.

    The model's weights may be on torch's `meta` device: only their number is read.
    """
    import torch

    on_gpu = placement.device.type == "cuda"
    return {
        "checkpoint": str(folder.relative_to(PACKAGE) if folder.is_relative_to(PACKAGE) else folder),
        "digest": checkpoint_files.digest(folder),
        "architecture": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": torch.cuda.get_device_name(placement.device) if on_gpu else placement.device.type,
        "dtype": str(placement.dtype).removeprefix("torch."),
        **_checkpoint_dtype(folder, placement),
    }


def _checkpoint_dtype(folder: Path, placement: ResolvedPlacement) -> dict[str, str]:
    """Return the number format that a checkpoint asks for, if the run computes in another one."""
    config = read_config(folder)
    asked = str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")
    used = str(placement.dtype).removeprefix("torch.")
    return {"checkpoint_dtype": asked} if asked in DTYPES and asked != used else {}


def token_budget(model: PreTrainedModel, placement: ResolvedPlacement) -> int:
    """Compute how many token positions a batch may hold.

    Args:
        model: the loaded model.
        placement: its device and number format.

    Returns:
        On a GPU, what its memory holds (`gpus.cache_positions`); on a CPU, a number for each thread.
    """
    import torch

    positions = cache_positions(model, placement)
    return CPU_BUDGET_PER_CORE * int(torch.get_num_threads()) if positions is None else positions


def cache_positions(model: PreTrainedModel, placement: ResolvedPlacement) -> int | None:
    """Compute how many positions a key-value cache may hold on a GPU; None on a CPU, where the batches limit it."""
    if placement.device.type != "cuda":
        return None
    return gpus.cache_positions(model, gpus.free_memory(model, placement.device))


def peak_memory_bytes(placement: ResolvedPlacement) -> int | None:
    """Return the peak memory of torch on a GPU since the start; None on a CPU, where the process is measured.

    For a GPU without a number, it is that of all GPUs that this process has used.
    """
    import torch

    if placement.device.type != "cuda":
        return None
    if placement.device.index is not None:
        return int(torch.cuda.max_memory_allocated(placement.device))
    return sum(int(torch.cuda.max_memory_allocated(number)) for number in range(torch.cuda.device_count()))


# Memory


def split_when_full(
    prompts: Sequence[Prompt],
    batch: Batch,
    staged: Sequence[Any],
    answer: Callable[[Batch, Sequence[Any]], list[Prediction]],
) -> list[Prediction]:
    """Run a batch; if it does not fit into memory, run its halves, recursively.

    A single prompt that does not fit becomes a failed prediction.

    Args:
        prompts: all prompts of the plan.
        batch: the batch to run.
        staged: prepared inputs, one per group of the batch.
        answer: runs a batch.

    Returns:
        One prediction per member, in the order of `batch.members`.
    """
    try:
        return answer(batch, staged)
    except RuntimeError as error:  # torch.OutOfMemoryError is one; on a CPU the allocator raises a plain RuntimeError
        if not _is_out_of_memory(error):
            raise
    _release_cached_memory()
    halves = _halves(batch, staged)
    if not halves:
        return [Prediction(prompts[batch.members[0]].request.id, failure="out of memory, alone in its batch")]
    return [
        prediction for half, half_staged in halves for prediction in split_when_full(prompts, half, half_staged, answer)
    ]


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    phrases = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(phrase in str(error) for phrase in phrases)


def _release_cached_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _halves(batch: Batch, staged: Sequence[Any]) -> list[tuple[Batch, Sequence[Any]]]:
    """Split a batch by groups, or a single group by members; returns an empty list for a single prompt."""
    groups = batch.groups
    if len(groups) > 1:
        middle = len(groups) // 2
        return [(Batch(groups[:middle]), staged[:middle]), (Batch(groups[middle:]), staged[middle:])]
    group: Group = groups[0]
    middle = len(group.members) // 2
    parts = (group.members[:middle], group.members[middle:]) if middle else ()
    return [(Batch((replace(group, members=members),)), staged) for members in parts]
