"""Choose what computes a model: vLLM or the suite's own decoding on the library's model. Imports neither at the top.

The user's `--engine` decides. Without it, a GPU uses vLLM where it is installed and has the architecture; a CPU uses
transformers. The manifest says why a GPU does not use vLLM.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evals.data.checkpoints import Adapter, read_adapter, read_config
from evals.errors import InputError
from evals.schema import Embed, Generate, Json, Placement, Request

TRANSFORMERS, VLLM = "transformers", "vllm"
ENGINES = (TRANSFORMERS, VLLM)
_FOUR_BITS = frozenset({"gptq", "awq", "pack-quantized"})
"""Methods and formats of packed weights. For the first two, vLLM 0.32 ended by SIGILL on a CPU, without a message."""
_ON_A_CPU = "on a CPU"
M = TypeVar("M")
LARGEST_TEMPERATURE = 2.0
"""vLLM refuses higher temperatures (vllm/sampling_params.py, `_verify_args`)."""
SMALLEST_TEMPERATURE = 0.01
"""vLLM raises lower temperatures to this one (vllm/sampling_params.py, `_MAX_TEMP`)."""


@dataclass(frozen=True)
class EngineChoice:
    """Which engine computes a model."""

    name: str
    """A name of `ENGINES`."""
    reason: str | None = None
    """Why a GPU does not use vLLM, if the user did not choose."""

    @property
    def facts(self) -> dict[str, Json]:
        """What the manifest says about the choice."""
        return {"engine": self.name, **({"engine_reason": self.reason} if self.reason else {})}


def attempt(placement: Placement, folder: Path, start: Callable[[], M]) -> M | EngineChoice:
    """Start vLLM if it is chosen.

    Args:
        placement: the user's choices.
        folder: the checkpoint.
        start: starts vLLM; raises `InputError` if it does not load the checkpoint.

    Returns:
        What `start` returns; or the choice of transformers, with the reason if vLLM failed and the user did not choose.

    Raises:
        InputError: the user chose vLLM, and it does not compute this checkpoint.
    """
    engine = choose(placement, folder)
    if engine.name == TRANSFORMERS:
        return engine
    try:
        return start()
    except InputError as error:
        if placement.engine == VLLM:
            raise
        return EngineChoice(TRANSFORMERS, str(error))


def choose(placement: Placement, folder: Path) -> EngineChoice:
    """Choose the engine of a checkpoint.

    Args:
        placement: the user's choices.
        folder: the checkpoint.

    Raises:
        InputError: the user chose vLLM, and it does not compute this checkpoint.

    Example:
        >>> choose(Placement(engine="transformers"), Path("anywhere")).facts
        {'engine': 'transformers'}
    """
    if placement.engine == TRANSFORMERS:
        return EngineChoice(TRANSFORMERS)
    if placement.engine is None and not _on_gpu(placement):
        return EngineChoice(TRANSFORMERS)
    config = read_config(folder)
    obstacle = unsupported(config, read_adapter(folder), placement) or lacking(config)
    if obstacle is None:
        return EngineChoice(VLLM)
    if placement.engine == VLLM:
        raise _refusal(folder, obstacle)
    return EngineChoice(TRANSFORMERS, f"vllm: {obstacle}")


def _refusal(folder: Path, obstacle: str) -> InputError:
    """Make the error for a checkpoint that the user chose vLLM for."""
    other = "" if obstacle.endswith(_ON_A_CPU) else "; --engine transformers can"
    return InputError(f"--engine vllm cannot compute {folder}: {obstacle}{other}")


def unsupported(config: Mapping[str, Any], adapter: Adapter | None, placement: Placement) -> str | None:
    """Say what of a checkpoint the vLLM engine does not do, as far as its files show it; None if nothing.

    Example:
        >>> unsupported({"is_encoder_decoder": True}, None, Placement())
        'it is an encoder-decoder'
    """
    if config.get("is_encoder_decoder"):
        return "it is an encoder-decoder"
    if adapter is not None and adapter.kind != "LORA":
        return f"its adapter is of the kind {adapter.kind}, and vllm applies LORA only"
    quantised = config.get("quantization_config") or {}
    packed = {str(quantised.get(name)) for name in ("quant_method", "format")} & _FOUR_BITS
    if packed and not _on_gpu(placement):
        return f"its weights are packed ({min(packed)}), and vllm's kernels for them end the process {_ON_A_CPU}"
    if placement.experts is not None:
        return f"{placement.experts} active experts per token were chosen, which vllm takes from the checkpoint"
    return None


def lacking(config: Mapping[str, Any]) -> str | None:
    """Say that vLLM is not installed or lacks a checkpoint's architecture; None if it has it. Imports vLLM."""
    if importlib.util.find_spec("vllm") is None:
        return "it is not installed (pip install 'claim-evals[vllm]')"
    from evals.models.engines import vllm_environment

    vllm = vllm_environment.import_vllm(vllm_environment.log_file())
    named = (config.get("architectures") or ["none"])[0]
    return None if named in vllm.ModelRegistry.get_supported_archs() else f"it has no architecture {named}"


def check_request(folder: Path, placement: Placement, request: Request) -> None:
    """Raise `InputError` if the user chose vLLM, which cannot answer a request; reads no weight, imports no engine."""
    if placement.engine != VLLM:
        return
    obstacle = unsupported(read_config(folder), read_adapter(folder), placement)
    if obstacle is not None:
        raise _refusal(folder, obstacle)
    if isinstance(request, Embed):
        raise InputError("--engine vllm generates and chooses; embeddings need --engine transformers")
    if not isinstance(request, Generate):
        return
    temperature = request.temperature
    if temperature > LARGEST_TEMPERATURE or 0 < temperature < SMALLEST_TEMPERATURE:
        raise InputError(
            f"--temperature {temperature}: with --engine vllm it is 0 or lies in {SMALLEST_TEMPERATURE} to "
            f"{LARGEST_TEMPERATURE:g}"
        )
    if request.min_p and request.top_p < 1:
        raise InputError("--min-p and --top-p: vllm applies min-p first, so --engine vllm takes only one of them")


def _on_gpu(placement: Placement) -> bool:
    if placement.device is not None:
        return placement.device.startswith("cuda")
    import torch

    return bool(torch.cuda.is_available())
