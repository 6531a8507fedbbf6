"""Read what a checkpoint folder is: a model, or an adapter (LoRA, …) with the model that it changes.

An adapter's `adapter_config.json` names its base model: a folder (relative to the current folder or to the adapter's)
or a hub id. A folder that holds both a model's weights and an adapter is its own base model.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import msgspec

from evals.data.files import inside
from evals.data.hub import gguf_advice, local_copy
from evals.data.json_files import read_json
from evals.data.model_config import check_config, without_kernels
from evals.errors import InputError, one_line, shorten

_REPLICAS = "/models/replicas/checkpoints/"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
MOST_CONFIG_BYTES = 1 << 25
"""Size of a configuration; the largest public ones name some ten thousand labels in a megabyte."""
MOST_TENSORS = 400_000
"""In one file; the largest public models have about 100,000 in all."""


class _AdapterFile(msgspec.Struct):
    """The fields of `adapter_config.json` that decide what is loaded."""

    peft_type: str
    base_model_name_or_path: str | None = None
    revision: str | None = None
    task_type: str | None = None


class _ShardIndex(msgspec.Struct):
    """The part of `model.safetensors.index.json` that names files."""

    weight_map: dict[str, str]
    metadata: Any = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """Weights that change a model."""

    folder: Path
    """Where its files are."""
    kind: str
    """The method, as peft names it (`LORA`)."""
    task: str | None
    """What it was trained for, as peft names it (`CAUSAL_LM`, `SEQ_CLS`, …), or None if the file does not say."""
    base: Path
    """The folder of the model that it changes."""


def model_weights(folder: Path) -> list[Path]:
    """List the `.safetensors` files of a folder's model, without those of an adapter."""
    return sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("adapter_"))


def read_adapter(folder: Path) -> Adapter | None:
    """Read which adapter a folder holds, and find its base model. Returns None for a folder without an adapter.

    Args:
        folder: a checkpoint folder.

    Raises:
        InputError: the adapter's configuration is malformed, its weights are missing, or its base model is not found.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> read_adapter(folder) is None
        True
    """
    path = folder / ADAPTER_CONFIG
    weights = [path.name for path in folder.glob("adapter_model*")]
    if not path.is_file():
        if weights:
            raise InputError(f"{folder} holds {weights[0]} without {ADAPTER_CONFIG}, which says how to apply it")
        return None
    stated = read_json(path, _AdapterFile)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        came = f", only {', '.join(sorted(weights))}: other formats can run code and are not read" if weights else ""
        raise InputError(f"{folder} holds an adapter's configuration and no {ADAPTER_WEIGHTS}{came}")
    if (folder / "config.json").is_file() and model_weights(folder):
        return Adapter(folder, stated.peft_type, stated.task_type, folder)
    base = _find_base(path, stated)
    if not model_weights(base) and (base / ADAPTER_CONFIG).is_file():
        raise InputError(f"{path} names {base} as its base model, which is an adapter itself; merge that one first")
    return Adapter(folder, stated.peft_type, stated.task_type, base)


def _find_base(path: Path, stated: _AdapterFile) -> Path:
    """Return the folder of an adapter's base model."""
    name = stated.base_model_name_or_path
    if not name:
        raise InputError(f"{path} names no base model: set base_model_name_or_path to a folder or a hub id")
    try:
        for folder in (Path(name).expanduser(), path.parent / name):
            if folder.is_dir():
                return local_copy(str(folder))
    except (OSError, RuntimeError) as error:  # the name is too long, or begins with ~ and no user
        raise InputError(f"{path}: base_model_name_or_path is {shorten(name)}: {one_line(error)[:80]}") from error
    try:
        return local_copy(f"{name}@{stated.revision}" if stated.revision else name)
    except InputError as error:
        advice = f"set base_model_name_or_path in {path}, or copy the base model's files beside it"
        raise InputError(f"the adapter's base model is not found: {one_line(error)}; {advice}") from error


def model_folder(folder: Path) -> Path:
    """Return the folder whose `config.json` and weights a checkpoint has: its own, or those of its base model."""
    adapter = read_adapter(folder)
    return adapter.base if adapter is not None else folder


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a checkpoint's model (of its base model, if it is an adapter), and check it.

    Fields that name kernels to load are left out (`evals.data.model_config.without_kernels`).

    Raises:
        InputError: there is no `config.json`, it is malformed, or its values cannot be those of the stored weights.
    """
    path = model_folder(folder) / "config.json"
    if not path.is_file():
        raise InputError(f"{path.parent} is not a checkpoint: it has no config.json{_contents(path.parent)}")
    config: dict[str, Any] = json.loads(_checked_config(path, _stamps(path, *model_weights(path.parent))))
    return config


def is_replica(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is a bundled replica, or a copy of one that `quantise` has made and marked."""
    return config.get("replica") is True or _REPLICAS in f"{folder.resolve().as_posix()}/"


def _stamps(*paths: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Return what changes when one of these files does."""
    return tuple((str(path), *_stamp(path.stat())) for path in paths if path.exists())


def _stamp(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


@lru_cache(maxsize=8)
def _checked_config(path: Path, stamps: tuple[tuple[str, int, int, int], ...]) -> str:
    """Check a configuration against the stored weights, once for the files that have these stamps.

    A model can have 100,000 tensors, and is asked about for each task.
    """
    if (size := path.stat().st_size) > MOST_CONFIG_BYTES:
        raise InputError(f"{path} has {size:,} bytes, expected at most {MOST_CONFIG_BYTES:,}")
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))  # the library writes Infinity, which others refuse
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: malformed JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds {type(config).__name__}, expected an object")
    check_config(path, config, stored_shapes(path.parent))
    return json.dumps(without_kernels(config))


def _contents(folder: Path) -> str:
    """Say what a folder without a configuration holds, if that helps."""
    if gguf := sorted(path.name for path in folder.glob("*.gguf")):
        return f", only {gguf[0]}: {gguf_advice(folder / gguf[0])}"
    names = sorted(path.name for path in folder.iterdir() if (path / "config.json").is_file())
    return f"; the folders in it that have one: {', '.join(names)}" if names else ""


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes of a model's weights from the headers of its files.

    Raises:
        InputError: a file is damaged or cut off, or a shard of the index is missing.

    Example:
        >>> stored_shapes(Path("/nowhere"))
        {}
    """
    _check_shards(folder)
    return {name: tuple(entry.shape) for name, entry in _headers(folder).items()}


def stored_dtypes(folder: Path) -> dict[str, tuple[str, int]]:
    """Read the number format (`F32`, `F8_E4M3`) and the number of dimensions of each weight."""
    return {name: (entry.dtype, len(entry.shape)) for name, entry in _headers(folder).items()}


class _Tensor(msgspec.Struct):
    """What the header of a safetensors file says of a tensor."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def _headers(folder: Path) -> dict[str, _Tensor]:
    tensors: dict[str, _Tensor] = {}
    for path in model_weights(folder):
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = msgspec.json.decode(file.read(min(length, size)), type=dict[str, msgspec.Raw])
            header.pop("__metadata__", None)
            if len(header) > MOST_TENSORS:
                raise InputError(f"{path} holds {len(header):,} tensors, expected at most {MOST_TENSORS:,}")
            entries = {name: msgspec.json.decode(raw, type=_Tensor) for name, raw in header.items()}
        except (OSError, struct.error, ValueError, RecursionError) as error:
            raise InputError(f"{path} is no readable safetensors file: {one_line(error)}") from error
        for name, entry in entries.items():
            _check_tensor(path, name, entry)
        end = 8 + length + max((entry.data_offsets[1] for entry in entries.values()), default=0)
        if size < end:
            raise InputError(f"{path} is cut off: it has {size} bytes of {end}")
        tensors |= entries
    return tensors


_BITS = {"F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16,
         "U16": 16, "I8": 8, "U8": 8, "BOOL": 8}  # fmt: skip
"""Size of a number in the usual formats."""


def _check_tensor(path: Path, name: str, entry: _Tensor) -> None:
    """Refuse a shape that no tensor has, or that is not the size of the data."""
    begin, end = entry.data_offsets
    bits = _BITS.get(entry.dtype)
    if min(entry.shape, default=0) < 0 or not 0 <= begin <= end:
        raise InputError(f"{path}: {shorten(name)} has the shape {entry.shape} and the place {begin} to {end}")
    if bits is not None and prod(entry.shape) * bits != 8 * (end - begin):
        raise InputError(
            f"{path}: {shorten(name)} has the shape {entry.shape}, but {end - begin} bytes ({entry.dtype})"
        )


def _check_shards(folder: Path) -> None:
    """Refuse a folder whose weights are in several files, if one is missing or is no safetensors file beside the index.

    The library reads whichever file the index names: a pickle too, or one that no digest covers.
    """
    path, whole = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if (whole.exists() or whole.is_symlink()) and not whole.is_file():
        raise InputError(f"{whole} is not a regular file")
    if path.is_file():
        index = read_json(path, _ShardIndex)
        shards = sorted(set(index.weight_map.values()))
        if not shards:
            raise InputError(f"{path} names no weights: its weight_map is empty")
        for name in shards:
            if not name.endswith(".safetensors") or name.startswith("adapter_") or len(Path(name).parts) != 1:
                raise InputError(
                    f"{path} names the weight file {shorten(name)}; only .safetensors files beside it are read"
                )
        missing = [name for name in shards if not inside(folder, name).is_file()]
        if missing and not whole.is_file():
            raise InputError(f"{folder} lacks {len(missing)} of its weight files, the first being {missing[0]}")
        if not isinstance(index.metadata, dict) and not whole.is_file():
            raise InputError(f'{path} has no "metadata", which the library needs: add "metadata": {{}}')
    elif (others := model_weights(folder)) and not whole.is_file():
        raise InputError(f"{folder} holds {others[0].name} and neither {whole.name} nor {path.name}")
