"""Quantised checkpoints: which can be loaded here, and what the others need.

The library ignores a method that it does not know, and weights that it has no place for (scales among them), so that a
quantised checkpoint could be loaded with wrong numbers. Both are refused here, before any weight is read.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import stored_dtypes
from evals.errors import InputError
from evals.schema import Json

if TYPE_CHECKING:
    import torch

INT8 = "int8-rows"
"""The method of `evals.models.architectures.int8`, which needs nothing."""
EXTRA = "pip install 'claim-evals[quantised]'"


@dataclass(frozen=True)
class Needs:
    """What a method of quantisation needs to be loaded."""

    packages: tuple[str, ...] = ()
    """Packages that must be installed, by the names that are imported."""
    install: str = EXTRA
    """The command that installs them."""
    gpu: str | None = None
    """The GPU that it needs; None if it runs on a CPU too."""


_NVIDIA = "an NVIDIA GPU"
METHODS: Mapping[str, Needs] = {
    INT8: Needs(),
    "fp8": Needs(("accelerate",)),  # without a GPU of compute capability 8.9 the library converts the weights back
    "mxfp4": Needs(("accelerate",)),
    "bitsandbytes": Needs(("bitsandbytes", "accelerate")),
    "compressed-tensors": Needs(("compressed_tensors",)),
    "gptq": Needs(("gptqmodel", "optimum"), "pip install 'claim-evals[gptq]'", _NVIDIA),
    "awq": Needs(("gptqmodel", "accelerate"), "pip install 'claim-evals[gptq]'", _NVIDIA),
    "aqlm": Needs(("aqlm", "accelerate"), "pip install 'aqlm[gpu,cpu]' accelerate", _NVIDIA),
    "auto-round": Needs(("auto_round",), "pip install auto-round"),
    "eetq": Needs(("kernels", "accelerate"), "pip install kernels accelerate", _NVIDIA),
    "fbgemm_fp8": Needs(("fbgemm_gpu", "accelerate"), "pip install fbgemm-gpu accelerate", "an NVIDIA H100 or newer"),
    "fp_quant": Needs(("fp_quant",), "pip install fp_quant", "an NVIDIA Blackwell GPU"),
    "higgs": Needs(("flute",), "pip install flute-kernel", _NVIDIA),
    "hqq": Needs(("hqq",), "pip install hqq"),
    "quanto": Needs(("optimum.quanto", "accelerate"), "pip install optimum-quanto accelerate"),
    "quark": Needs(("quark",), "pip install amd-quark"),
    "spqr": Needs(("spqr_quant", "accelerate"), "pip install spqr_quant accelerate", _NVIDIA),
    "torchao": Needs(("torchao",), "pip install torchao"),
    "vptq": Needs(("vptq", "accelerate"), "pip install vptq accelerate", _NVIDIA),
}
"""The methods of which it is known what they need; others that the library knows are left to it."""
_WHOLE_FORMATS = frozenset({"F16", "BF16", "F32", "F64", "I64"})
"""How a checkpoint without quantisation stores a matrix; 64-bit integers are tables of indices (DeepSeek-V4's experts
of a token), into which no method packs weights."""


def check(folder: Path, config: Mapping[str, Any], device: torch.device) -> None:
    """Refuse a quantised checkpoint that cannot be loaded here.

    Args:
        folder: the checkpoint.
        config: the contents of its `config.json`.
        device: where it is to compute.

    Raises:
        InputError: one line that names the method, the packages and the GPU that it needs.
    """
    stated = _stated(config)
    if not stated:
        _refuse_unstated(folder)
        return
    method = _method(stated)
    if method is None:
        raise InputError(f"{folder / 'config.json'}: quantization_config names no quant_method")
    needs = METHODS.get(method)
    if needs is None:
        _refuse_unknown(folder, method)
        return
    missing = [name for name in needs.packages if not _installed(name)]
    on_gpu = f" and {needs.gpu}" if needs.gpu else " (on a CPU or a GPU)"
    if missing:
        raise InputError(
            f"{folder} is quantised by {method}, which needs {' and '.join(missing)}{on_gpu}: {needs.install}"
        )
    if needs.gpu and device.type != "cuda":
        raise InputError(f"{folder} is quantised by {method}, which needs {needs.gpu}; the device is {device.type}")


@contextlib.contextmanager
def quietly(config: Mapping[str, Any]) -> Iterator[None]:
    """Load a quantised checkpoint without the progress bars and notes that its package writes to standard error."""
    if not _stated(config):
        yield
        return
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it writes a line per layer and pass
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def unpack(model: Any) -> None:
    """Unpack weights now that compressed-tensors would unpack at the first forward pass; inputs are still rounded."""
    compressor = getattr(getattr(model, "hf_quantizer", None), "compressor", None)
    if compressor is not None and hasattr(model, "ct_decompress_hook"):
        compressor.decompress_model(model)
        compressor.remove_decompression_hook(model)


def facts(config: Mapping[str, Any], model: Any) -> dict[str, Json]:
    """Return how a loaded model is quantised, with the versions that decide it, for the signature.

    Args:
        config: the contents of its `config.json`.
        model: the loaded model; where the device cannot compute in the format, the library converted its weights.

    Returns:
        `quantised` with method, packages and whether the weights were converted; empty for other models.
    """
    stated = _stated(config)
    method = _method(stated) if stated else None
    if method is None or method == INT8:
        return {}
    packages: dict[str, Json] = {name: _version(name) for name in METHODS.get(method, Needs()).packages}
    weights = (parameter for name, parameter in model.named_parameters() if name.endswith("weight"))
    converted = all(weight.dtype.itemsize > 1 for weight in weights)
    return {"quantised": {"method": method, "packages": packages, "converted_to_dtype": converted}}


def _stated(config: Mapping[str, Any]) -> dict[str, Any] | None:
    return config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config")


def _version(name: str) -> str:
    return importlib.metadata.version(name.partition(".")[0].replace("_", "-"))


def _method(stated: Mapping[str, Any]) -> str | None:
    if stated.get("load_in_4bit") or stated.get("load_in_8bit"):
        return "bitsandbytes"
    method = stated.get("quant_method")
    return None if method is None else str(method)


def _refuse_unknown(folder: Path, method: str) -> None:
    """Refuse a method that the library would skip with a warning."""
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    if method not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        known = ", ".join(sorted({*METHODS, *AUTO_QUANTIZATION_CONFIG_MAPPING}))
        raise InputError(f"{folder} is quantised by {method!r}, which the library does not read; it reads {known}")


def _refuse_unstated(folder: Path) -> None:
    """Refuse matrices of integers or 8-bit floats that no configuration explains."""
    for name, (dtype, dimensions) in stored_dtypes(folder).items():
        if dimensions >= 2 and dtype not in _WHOLE_FORMATS and not name.endswith(("position_ids", "mask", "bias")):
            raise InputError(
                f"{folder} stores {name} as {dtype}, and its config.json has no quantization_config that says how"
            )


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that holds it is missing
        return False
