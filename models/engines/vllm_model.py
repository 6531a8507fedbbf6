"""Start vLLM for a checkpoint, and say in the manifest with what it computes.

vLLM decides memory, the number of sequences at once and the attention kernels. On a GPU it runs in processes of its
own; what they print goes into a log, from which the reason of a failure is read. On a CPU, and in a worker of the
suite, it runs in this process.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import Adapter, read_adapter, read_config
from evals.errors import EvalsError, InputError, one_line
from evals.models.backend import adapters, checkpoint_files, pytorch
from evals.models.backend.checkpoint_files import readable_folder
from evals.models.backend.prompts.prompt_limits import PromptLimits
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.engines import vllm_environment
from evals.models.engines.choice import VLLM
from evals.models.engines.vllm_queue import EngineQueue, EngineRequest
from evals.schema import Json, Placement
from evals.schema.config import DTYPES

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from vllm import LLM

CPU_CACHE_BYTES = 2 << 30
"""Size of vLLM's key-value cache on a CPU, where it would else take nearly all memory of the machine."""
TOKEN_BUDGET = 1 << 18
"""Token positions in a batch. vLLM divides its memory itself; the budget limits what a kill can lose."""
GPU_BATCHES = 16
"""Number of batches that are in vLLM at once on a GPU, so that it is never short of requests at the end of one."""
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM reserves memory for (`MaxLoRARanks` in vllm/config/lora.py)."""


@dataclass(frozen=True)
class VllmEngine:
    """A running vLLM engine."""

    llm: LLM
    queue: EngineQueue
    facts: Mapping[str, Json]
    """For the signature: version, settings, attention backend, batch-invariant mode."""
    positions: int
    """Maximum number of tokens of a prompt and its output (`max_model_len`)."""
    log: Path
    on_gpu: bool

    def answer(self, requests: Sequence[EngineRequest]) -> list[Any]:
        """Answer requests, as `EngineQueue.answer`. Raises `EvalsError`, in one line, if the engine fails."""
        try:
            return self.queue.answer(requests)
        except EvalsError:
            raise
        except Exception as error:  # the engine's process can end for any reason
            reason = vllm_environment.cause(self.log) or one_line(error)
            raise EvalsError(f"vllm failed: {reason}; what was finished is kept, the same command continues") from error

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of all GPUs in bytes; None on a CPU."""
        return sum(self.llm.collective_rpc("evals_peak_memory")) if self.on_gpu else None


def resolve_placement(placement: Placement) -> ResolvedPlacement:
    """Choose device and number format without touching a GPU, which vLLM's processes use alone.

    Raises:
        InputError: the number format is not supported.
    """
    import torch

    name = placement.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not name.startswith(("cuda", "cpu")):
        raise InputError(f"--device {name}: --engine vllm computes on cuda or cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {name} cannot be used: torch finds no GPU")
    dtype = placement.dtype or ("bfloat16" if name.startswith("cuda") else "float32")
    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype} is not supported; allowed: {', '.join(DTYPES)}")
    return ResolvedPlacement(torch.device(name), getattr(torch, dtype))


def skeleton(auto_class: Any, folder: Path) -> PreTrainedModel:
    """Make the library's model of a checkpoint without weights, to read its configuration, limits and size from."""
    import torch
    from transformers import AutoConfig

    base = adapter.base if (adapter := read_adapter(folder)) is not None else folder
    with readable_folder(base) as source:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, local_files_only=True)
    with torch.device("meta"):
        model: PreTrainedModel = auto_class.from_config(config, trust_remote_code=False)
    return model


def start(folder: Path, placement: Placement, resolved: ResolvedPlacement, **more: Any) -> VllmEngine:
    """Start vLLM with a checkpoint.

    Args:
        folder: the checkpoint.
        placement: the user's choices.
        resolved: device and number format.
        more: further arguments of `vllm.LLM`.

    Raises:
        InputError: vLLM cannot load the checkpoint; one line says why.
    """
    gc.collect()  # an engine before this one ends, and frees its memory, when its object is deleted
    adapter = read_adapter(folder)
    log = vllm_environment.log_file()
    on_gpu = resolved.device.type == "cuda"
    if not on_gpu or multiprocessing.current_process().daemon:  # a worker of the suite may start no processes
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    arguments = {**_arguments(folder, adapter, placement, resolved), **more}
    vllm = vllm_environment.import_vllm(log)
    try:
        with vllm_environment.output_to(log):
            llm = vllm.LLM(**arguments)
            llm.collective_rpc("evals_watch", args=(os.getpid(),))
            (description, *_) = llm.collective_rpc("evals_description")
            lora = _loaded_adapter(llm, adapter)
            if not on_gpu and _quantisation(folder):  # a GPU computes once while vLLM starts
                _compute_one_token(llm)
    except Exception as error:  # vLLM can raise nearly any exception for a checkpoint that it does not load
        reason = vllm_environment.cause(log) or one_line(error)
        if _quantisation(folder) and resolved.dtype.itemsize > 2:
            reason += " (a quantised checkpoint may need --dtype bfloat16)"
        raise InputError(f"--engine vllm cannot load {folder}: {reason}") from error
    return VllmEngine(
        llm=llm,
        queue=EngineQueue(llm.llm_engine, lora),
        facts=_engine_facts(llm, description),
        positions=_positions(llm),
        log=log,
        on_gpu=on_gpu,
    )


def facts(model: PreTrainedModel, folder: Path, resolved: ResolvedPlacement, engine: VllmEngine) -> dict[str, Any]:
    """Return what determines the answers of a checkpoint in vLLM, for the signature."""
    method = _quantisation(folder)
    return {
        **pytorch.checkpoint_facts(model, folder, resolved),
        **checkpoint_files.adapter_facts(folder, applied="by vllm"),
        "remote_code": False,
        **({"quantised": {"method": method}} if method else {}),
        "batching": "continuous",
        "shares_prefixes": True,
        **engine.facts,
    }


def _quantisation(folder: Path) -> str | None:
    """Return the method by which a checkpoint is quantised, or None."""
    method = (read_config(folder).get("quantization_config") or {}).get("quant_method")
    return None if method is None else str(method)


def _compute_one_token(llm: LLM) -> None:
    """Compute one token: kernels for quantised weights refuse a number format only when they compute."""
    from vllm import SamplingParams, TokensPrompt

    params = SamplingParams(max_tokens=1, detokenize=False)
    llm.generate([TokensPrompt(prompt_token_ids=[0])], params, use_tqdm=False)


def _positions(llm: LLM) -> int:
    """Return the maximum number of tokens of a prompt and its output.

    vLLM 0.32 makes the table of a `dynamic` rotary embedding for the positions before the scaling only, counts those
    after it, and reads behind the table (vllm/model_executor/layers/rotary_embedding/dynamic_ntk_scaling_rope.py).
    """
    longest, config = int(llm.model_config.max_model_len), llm.model_config.hf_text_config
    rotary = getattr(config, "rope_parameters", None) or {}
    if rotary.get("rope_type") == "dynamic" and "alpha" not in rotary:
        return min(longest, int(config.max_position_embeddings))
    return longest


def scaled_positions(folder: Path, stated: PromptLimits) -> dict[str, Any]:
    """Return the arguments by which vLLM reads as many positions as YaRN scales a checkpoint to.

    vLLM takes `max_position_embeddings` for the number after the scaling; most configurations state the one before it.
    """
    config = read_config(adapter.base if (adapter := read_adapter(folder)) is not None else folder)
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    declared = config.get("max_position_embeddings")
    scales = rotary.get("rope_type", rotary.get("type")) == "yarn" and "original_max_position_embeddings" in rotary
    if not scales or not declared or stated.positions is None or stated.positions <= declared:
        return {}
    return {"hf_overrides": {"max_position_embeddings": stated.positions}}


def limits(stated: PromptLimits, engine: VllmEngine) -> PromptLimits:
    """Limit prompts to what both the checkpoint and vLLM's memory hold."""
    return replace(stated, positions=min(stated.positions or engine.positions, engine.positions))


def _arguments(
    folder: Path, adapter: Adapter | None, placement: Placement, resolved: ResolvedPlacement
) -> dict[str, Any]:
    """Make the arguments of `vllm.LLM`; what is not set here is the engine's own choice."""
    parallel = placement.tensor_parallel or 1
    arguments: dict[str, Any] = {
        "model": str(folder if adapter is None else adapter.base),
        "dtype": str(resolved.dtype).removeprefix("torch."),
        "load_format": "safetensors",
        "trust_remote_code": False,
        "generation_config": "vllm",  # the checkpoint's sampling settings are read here, and applied when asked for
        "max_model_len": -1,  # as many positions as the checkpoint has and the memory holds
        "seed": 0,
        "enable_prefix_caching": True,
        "tensor_parallel_size": parallel,
        "worker_extension_cls": "evals.models.engines.vllm_worker.WorkerExtension",
    }
    if resolved.device.type == "cpu":
        arguments |= {"enforce_eager": True}
        if not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
            arguments["kv_cache_memory_bytes"] = CPU_CACHE_BYTES
    elif resolved.device.index is not None:
        first = resolved.device.index
        arguments["device_ids"] = list(range(first, first + parallel))
    if adapter is not None:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": _reserved_rank(adapter)}
    return arguments


def _reserved_rank(adapter: Adapter) -> int:
    """Return the smallest rank that vLLM reserves memory for and that holds an adapter's matrices."""
    shapes = adapters.saved_shapes(adapter)
    rank = max((shape[0] for name, shape in shapes.items() if ".lora_A." in name), default=1)
    fitting = [reserved for reserved in _LORA_RANKS if reserved >= rank]
    if not fitting:
        raise InputError(
            f"{adapter.folder} holds an adapter of rank {rank}; vllm applies ranks up to {_LORA_RANKS[-1]}"
        )
    return fitting[0]


def _loaded_adapter(llm: LLM, adapter: Adapter | None) -> Any:
    """Load an adapter into the engine, so that one that does not fit is refused before the first request."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    request = LoRARequest("adapter", 1, str(adapter.folder))
    llm.llm_engine.add_lora(request)
    return request


def _engine_facts(llm: LLM, description: Mapping[str, Any]) -> dict[str, Json]:
    """Say with what vLLM computes."""
    import vllm
    from vllm import envs

    config = llm.llm_engine.vllm_config
    return {
        "engine": VLLM,
        "engine_version": vllm.__version__,
        "attention": ", ".join(description["attention"]),
        "engine_settings": {
            "batch_invariant": bool(envs.VLLM_BATCH_INVARIANT),
            "model_runner": description["model_runner"],
            "tensor_parallel": config.parallel_config.tensor_parallel_size,
            "max_num_seqs": config.scheduler_config.max_num_seqs,
            "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
            "max_model_len": config.model_config.max_model_len,
            "block_size": config.cache_config.block_size,
            "prefix_caching": bool(config.cache_config.enable_prefix_caching),
            "cache_dtype": str(config.cache_config.cache_dtype),
            "eager": bool(config.model_config.enforce_eager),
        },
    }
