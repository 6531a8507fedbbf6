"""Make a checkpoint with 8-bit integer weights from another one, tensor by tensor.

The result is in a format of compressed-tensors, with weights only (W8A16). Where the library can load it, that is
`pack-quantized`, a format of vLLM too; other classes (SigLIP, T5) have `int-quantized`. Both are loaded like any other
checkpoint if compressed-tensors is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import is_replica, model_weights, read_adapter, read_config, stored_dtypes, stored_shapes
from evals.data.json_files import read_json
from evals.errors import InputError, shorten
from evals.models.backend.quantising.layers import LinearLayers, find_linear_layers
from evals.models.backend.quantising.rounding import is_finite, pack, round_rows
from evals.models.backend.quantising.tensor_file import BITS, PlannedTensor, write_tensors
from evals.temporaries import scratch_folder, signals_end_contexts

if TYPE_CHECKING:
    import torch

PACKED, PLAIN = "pack-quantized", "int-quantized"
"""Formats of compressed-tensors: four integers in 32 bits, which vLLM reads too, and plain integers."""
INDEX = "model.safetensors.index.json"
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_NOT_COPIED = frozenset(
    (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".h5", ".msgpack", ".ot", ".tflite", ".py")
)
"""Files of weights in other formats, which would no longer be those of the model, and code."""


@dataclass(frozen=True, slots=True)
class WeightSize:
    """How many parameters some weights have, and the bytes that they take before and after."""

    parameters: int
    before: int
    after: int

    @property
    def ratio(self) -> float:
        """How many times smaller they are."""
        return self.before / self.after

    @property
    def bits(self) -> tuple[float, float]:
        """Bits per parameter, before and after."""
        return 8 * self.before / self.parameters, 8 * self.after / self.parameters


@dataclass(frozen=True)
class QuantisedCheckpoint:
    """What was made."""

    folder: Path
    source: Path
    linear: WeightSize
    """The weights that are integers now."""
    others: WeightSize | None
    """The weights that were kept; None if there are none."""
    files: WeightSize
    """All weights, by the sizes of their files."""
    kept_layers: tuple[str, ...]
    """The linear layers that were kept; a star stands for the numbers of layers."""
    kept_groups: tuple[tuple[str, int], ...]
    """All weights that were kept, likewise, with their numbers of parameters, the largest first."""
    format: str
    """How compressed-tensors calls the way in which the integers are stored."""


def quantise_checkpoint(folder: Path, out: Path) -> QuantisedCheckpoint:
    """Write a checkpoint whose linear layers have integer weights.

    Args:
        folder: a checkpoint with `config.json` and `.safetensors` files in 16, 32 or 64 bits.
        out: the new folder; it must not exist, or be empty.

    Raises:
        InputError: the checkpoint is an adapter, is quantised already, has no weights, or its class is not supported;
            `out` is not empty or cannot be written, or the disk is too full.
    """
    config = _checked(folder, out)
    out, named = out.resolve(), out  # the folder itself, where a link to an empty one was given
    shapes, dtypes = stored_shapes(folder), {name: dtype for name, (dtype, _) in stored_dtypes(folder).items()}
    strange = next((name for name in shapes if dtypes[name] not in BITS), None)
    if strange is not None:
        raise InputError(f"{folder} stores {shorten(strange)} as {dtypes[strange]}: it is quantised already")
    layers = find_linear_layers(folder, config, shapes)
    if rounded := next((name for name in sorted(layers.weights) if dtypes[name] not in _FLOATS), None):
        raise InputError(f"{folder} stores {rounded} as {dtypes[rounded]}: it is quantised already")
    _check_space(folder, out, shapes, dtypes, layers)
    out.parent.mkdir(parents=True, exist_ok=True)
    with signals_end_contexts(), scratch_folder(out.name, out.parent) as made:
        _write_weights(folder, made, dtypes, layers)
        _copy_others(folder, made)
        mark = {"replica": True} if is_replica(folder, config) else {}
        written = {**config, **mark, "quantization_config": _quantisation(layers)}
        (made / "config.json").write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        before, after = _bytes(_weight_files(folder)), _bytes(model_weights(made))
        made.chmod(0o777 & ~_umask())
        if out.exists():
            out.rmdir()
        made.rename(out)
    return _described(folder, named, shapes, dtypes, layers, files=(before, after))


def _checked(folder: Path, out: Path) -> dict[str, Any]:
    """Return the configuration of a checkpoint that can be quantised into a folder."""
    if out.is_symlink() and not out.exists():
        raise InputError(f"--out {out} is a symbolic link to {out.readlink()}, which does not exist")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} exists and is not an empty folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"--out {out} lies in the checkpoint {folder}; name a folder outside it")
    if (adapter := read_adapter(folder)) is not None:
        raise InputError(
            f"{folder} holds an adapter ({adapter.kind}): merge it into its base model {adapter.base} first"
        )
    config = read_config(folder)
    stated = config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config")
    if stated:
        method = stated.get("quant_method") if isinstance(stated, dict) else stated
        raise InputError(f"{folder} is quantised already, by {method}")
    if not model_weights(folder):
        raise InputError(f"{folder} has no .safetensors file: other weight formats can run code and are not read")
    return config


def _weight_files(folder: Path) -> list[Path]:
    """List the files that a loader reads: the whole one, or those that the index names."""
    whole = folder / "model.safetensors"
    if whole.is_file():
        return [whole]
    names = read_json(folder / INDEX, dict[str, Any])["weight_map"]
    return [folder / name for name in sorted(set(names.values()))]


def _planned(name: str, shape: tuple[int, ...], dtype: str, layers: LinearLayers) -> list[PlannedTensor]:
    """Return what is written in the place of a stored tensor."""
    if name not in layers.weights:
        return [PlannedTensor(name, dtype, shape)]
    rows, columns = shape
    scale = PlannedTensor(f"{name}_scale", "F32" if dtype == "F64" else dtype, (rows, 1))
    if not layers.packable:
        return [PlannedTensor(name, "I8", shape), scale]
    packed = PlannedTensor(f"{name}_packed", "I32", (rows, -(-columns // 4)))
    return [packed, scale, PlannedTensor(f"{name}_shape", "I64", (2,))]


def _write_weights(folder: Path, made: Path, dtypes: Mapping[str, str], layers: LinearLayers) -> None:
    """Write each file of weights anew under its name, and the index of several."""
    from safetensors import safe_open

    places: dict[str, str] = {}
    total = 0
    for path in _weight_files(folder):
        with safe_open(path, framework="pt") as stored:
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
            planned = [part for name, shape in shapes.items() for part in _planned(name, shape, dtypes[name], layers)]
            tensors = _tensors(folder, stored, shapes, layers)
            write_tensors(made / path.name, planned, partial(_next, tensors), {"format": "pt"})
        places |= {part.name: path.name for part in planned}
        total += sum(part.size for part in planned)
    if (folder / INDEX).is_file() and not (folder / "model.safetensors").is_file():
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        (made / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _tensors(folder: Path, stored: Any, shapes: Mapping[str, Any], layers: LinearLayers) -> Iterator[tuple[str, Any]]:
    """Yield the tensors to write, each when it is asked for."""
    import torch

    for name in shapes:
        tensor = stored.get_tensor(name)
        if tensor.is_floating_point() and not is_finite(tensor):
            raise InputError(f"{folder}: {name} holds a number that is not finite")
        if name not in layers.weights:
            yield name, tensor
            continue
        try:
            integers, scales = round_rows(tensor)
        except ValueError:  # too large for 32 bits
            raise InputError(f"{folder}: {name} holds a number that 32 bits cannot hold") from None
        yield (f"{name}_packed", pack(integers)) if layers.packable else (name, integers)
        yield f"{name}_scale", scales
        if layers.packable:
            yield f"{name}_shape", torch.tensor(shapes[name], dtype=torch.int64)


def _next(tensors: Iterator[tuple[str, torch.Tensor]], name: str) -> torch.Tensor:
    produced, tensor = next(tensors)
    assert produced == name
    return tensor


def _copy_others(folder: Path, made: Path) -> None:
    """Copy the tokenizer and whatever else is no weight, from folders inside the checkpoint too."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in place.parts)
        if path.is_file() and not hidden and path.suffix not in _NOT_COPIED and not path.name.endswith(".index.json"):
            (made / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, made / place)


def _quantisation(layers: LinearLayers) -> dict[str, Any]:
    """Return the `quantization_config` that says how the weights are stored, as compressed-tensors writes it."""
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False}
    form = PACKED if layers.packable else PLAIN
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "format": form}},
        "ignore": list(layers.kept),
    }


def _sizes(
    shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, str], layers: LinearLayers
) -> tuple[WeightSize, WeightSize | None]:
    """Return the sizes of the weights that are rounded, and of the others."""
    sums = {True: [0, 0, 0], False: [0, 0, 0]}
    for name, shape in shapes.items():
        after = sum(part.size for part in _planned(name, shape, dtypes[name], layers))
        before = PlannedTensor(name, dtypes[name], shape).size
        row = sums[name in layers.weights]
        row[:] = [row[0] + prod(shape), row[1] + before, row[2] + after]
    return WeightSize(*sums[True]), WeightSize(*sums[False]) if sums[False][0] else None


def _check_space(
    folder: Path, out: Path, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, str], layers: LinearLayers
) -> None:
    linear, others = _sizes(shapes, dtypes, layers)
    needed = linear.after + (others.after if others is not None else 0)
    existing = next(parent for parent in (out, *out.resolve().parents) if parent.exists())
    if (free := shutil.disk_usage(existing).free) < needed:
        raise InputError(
            f"--out {out}: the disk has {free:,} bytes free, and the new weights of {folder} need {needed:,}"
        )


def _described(
    folder: Path, out: Path, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, str], layers: LinearLayers,
    *, files: tuple[int, int],
) -> QuantisedCheckpoint:  # fmt: skip
    linear, others = _sizes(shapes, dtypes, layers)
    groups: Counter[str] = Counter()
    for name, shape in shapes.items():
        if name not in layers.weights:
            groups[_starred(name)] += prod(shape)
    parameters = linear.parameters + (others.parameters if others is not None else 0)
    return QuantisedCheckpoint(
        folder=out,
        source=folder,
        linear=linear,
        others=others,
        files=WeightSize(parameters, *files),
        format=PACKED if layers.packable else PLAIN,
        kept_layers=tuple(dict.fromkeys(map(_starred, layers.kept))),
        kept_groups=tuple(sorted(groups.items(), key=lambda group: (-group[1], group[0]))),
    )


def _starred(name: str) -> str:
    """Replace the numbers of layers in a name.

    Example:
        >>> _starred("model.layers.12.norm.weight")
        'model.layers.*.norm.weight'
    """
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _bytes(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
