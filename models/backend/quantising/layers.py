"""Find the weights of a model's linear layers, from its class and without its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.errors import InputError, one_line, shorten

_EXPERT = re.compile(r"\.experts\.\d+\.|\.experts\.[a-z_]+$")


@dataclass(frozen=True)
class LinearLayers:
    """The linear layers of a model."""

    weights: frozenset[str]
    """Names of the stored weights that become integers."""
    kept: tuple[str, ...]
    """Names of the linear layers that keep their weights: the output layer, heads, and what the class wants exact."""
    packable: bool
    """Whether the class can be loaded while its linear layers have no attribute `weight`, as packed ones do."""


def find_linear_layers(folder: Path, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> LinearLayers:
    """Find the linear layers of a checkpoint's model.

    Args:
        folder: the checkpoint, for messages.
        config: the contents of its `config.json`.
        shapes: the names and shapes of its stored weights.

    Raises:
        InputError: the library has no class for the model, it has no linear layers, or its weights are stored under
            other names than the class has, so that a loader would rename them.
    """
    from torch import nn

    if expert := next((name for name in shapes if _EXPERT.search(name)), None):
        raise InputError(
            f"{folder} is a mixture of experts ({shorten(expert)}), which is not supported: transformers joins the "
            "experts' weights while it loads them, and reads no integers there. Dense models are supported"
        )
    model = _on_meta(folder, config)
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    prefix = f"{model.base_model_prefix}." if model.base_model_prefix else ""
    exact = tuple(getattr(model, "_keep_in_fp32_modules", None) or ())
    output = model.get_output_embeddings()
    weights, kept, missing = set(), [], []
    tied = {id(parameter) for parameter in _tied(model)}
    for name, module in linear.items():
        is_head = bool(prefix) and hasattr(model, prefix[:-1]) and not name.startswith(prefix)
        is_exact = any(part in exact for part in name.split("."))
        if module is output or is_head or is_exact or id(module.weight) in tied:
            kept.append(name)
            continue
        stored = next((other for other in _stored_names(name, prefix) if other in shapes), None)
        if stored is None:
            missing.append(name)
        elif tuple(shapes[stored]) == tuple(module.weight.shape):
            weights.add(stored)
        else:
            raise InputError(
                f"{folder} stores {stored} as {list(shapes[stored])}, its class has {list(module.weight.shape)}"
            )
    if missing:
        raise InputError(
            f"{folder}: its class {type(model).__name__} has a linear layer {missing[0]}, and no stored weight of that "
            "name: the loader renames or joins weights, which int8 weights do not allow"
        )
    if not weights:
        raise InputError(f"{folder}: its class {type(model).__name__} has no linear layers that could be quantised")
    kept += _foreign(model, prefix, shapes)
    packable = _is_packable(model, [module for name, module in linear.items() if name not in kept])
    return LinearLayers(frozenset(weights), tuple(_ignored(kept, prefix)), packable)


def _on_meta(folder: Path, config: Mapping[str, Any]) -> Any:
    """Build the model without memory, by the class that its configuration names."""
    import torch
    import transformers

    name = (config.get("architectures") or [None])[0]
    model_class = getattr(transformers, str(name), None)
    if model_class is None or not hasattr(model_class, "_from_config"):
        raise InputError(f"{folder}: the library has no class {name!r}, so its layers are not known")
    fields = {key: value for key, value in config.items() if key not in {"auto_map", "model_type"}}
    try:
        with torch.device("meta"):
            return model_class._from_config(transformers.AutoConfig.for_model(config["model_type"], **fields))
    except Exception as error:  # the library can raise nearly any exception for invalid values
        raise InputError(f"{folder}: {name} cannot be built from its configuration: {one_line(error)}") from error


def _is_packable(model: Any, quantised: Sequence[Any]) -> bool:
    """Whether the class initialises its modules without reading the weights of these layers (SigLIP and T5 read them).

    The model is of no further use.
    """
    for layer in quantised:
        del layer.weight
    try:
        _initialise(model, model)
    except Exception:  # whatever an initialisation raises, it would raise in a loader too
        return False
    return True


def _initialise(module: Any, owner: Any) -> None:
    """Initialise a module and those in it as the library does: each by the innermost model that holds it."""
    owner = module if hasattr(module, "_init_weights") else owner
    owner._init_weights(module)
    for inner in module.children():
        _initialise(inner, owner)


def _tied(model: Any) -> list[Any]:
    """Return the weights that a linear layer may share: those of the embeddings, of the text decoder too (BLIP)."""
    from torch import nn

    return [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]


def _stored_names(module: str, prefix: str) -> list[str]:
    """Return the names under which a layer's weight may be stored: with the base model's prefix, or without it."""
    names = [f"{module}.weight", f"{prefix}{module}.weight"]
    return [*names, f"{module.removeprefix(prefix)}.weight"] if prefix else names


def _foreign(model: Any, prefix: str, shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the modules of stored matrices that another class has (BLIP's folder for two classes): they are kept."""
    names = {name for name, _ in model.named_modules()}
    known = names | {f"{prefix}{name}" for name in names} | {name.removeprefix(prefix) for name in names}
    stems = [name.removesuffix(".weight") for name, shape in shapes.items() if len(shape) == 2]
    return sorted(stem for stem in stems if f"{stem}.weight" in shapes and stem not in known)


def _ignored(kept: Sequence[str], prefix: str) -> list[str]:
    """Return the names of layers that loaders must not replace, also as the base model alone names them."""
    names = [name for full in kept for name in (full, full.removeprefix(prefix) if prefix else full)]
    return list(dict.fromkeys(names))
