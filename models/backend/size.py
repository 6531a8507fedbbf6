"""Count a model's parameters from its configuration, without reading or allocating weights.

The library builds the model on the `meta` device, where a tensor has a shape but no memory, so 671 billion parameters
are counted in seconds on any machine. `configs.yaml` holds the configurations of the public models that documents
mention; a checkpoint folder has its own. If the library has no class for a configuration, the headers of the
checkpoint's `.safetensors` files are counted instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evals import yaml_files
from evals.data.checkpoints import model_folder, stored_shapes
from evals.data.json_files import read_json
from evals.data.model_config import without_kernels
from evals.errors import InputError, UnknownName, one_line
from evals.paths import PACKAGE
from evals.registry import VARIANTS
from evals.schema import Json, Variant

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig

CONFIGS = PACKAGE / "models" / "configs.yaml"
BITS = (32, 16, 8, 4)
"""Numbers of bits per parameter for which the size of the weights is reported."""


class PublicModel(msgspec.Struct, frozen=True):
    """A row of `configs.yaml`."""

    hub: str
    """Its hub id."""
    source: str
    """Where the configuration comes from."""
    config: dict[str, Json]
    """The fields of its configuration that determine the parameter count."""
    assumed: str | None = None
    """Which fields no source states explicitly."""
    also: list[str] = []
    """Hub ids of checkpoints with the same configuration."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Parameter counts of a model."""

    parameters: int
    """Number of parameters; a matrix that is used twice (tied embeddings) counts once."""
    active: int | None
    """Number of parameters that one token uses: all except the inactive experts. None if unknown."""
    embedding: int | None
    """Number of parameters of the input embedding, which published active counts exclude. None if unknown."""
    layers: int | None
    """Layers of the language model; for an encoder-decoder, of both parts together. None if unknown."""
    experts: int = 0
    """Number of routed experts per layer; 0 if the model has none."""
    chosen: int = 0
    """Number of routed experts that a token uses."""
    shared: int = 0
    """Number of experts that every token uses."""

    def bytes(self, bits: int) -> int:
        """Compute the bytes of the weights at `bits` per parameter, without a quantiser's scales and zero points.

        Example:
            >>> ModelSize(6_500_000_000, None, None, None).bytes(8)
            6500000000
        """
        return -(-self.parameters * bits // 8)


@dataclass(frozen=True, slots=True)
class CountedModel:
    """The size of one configuration, with its source."""

    source: str
    """A folder, or a hub id with the source of its configuration."""
    size: ModelSize
    assumed: str | None = None
    """Which fields of the configuration no source states explicitly."""
    on_disk: int | None = None
    """Bytes of all files of the folder; None for a public configuration."""

    def as_dict(self) -> dict[str, Json]:
        """Return all fields as plain values, with the bytes of the weights for each of `BITS` under `weights`."""
        weights = {bits: self.size.bytes(bits) for bits in BITS}
        return {**asdict(self.size), "weights": weights, "assumed": self.assumed, "on disk": self.on_disk}


def count_models(name: str, local_copy: Callable[[str], Path]) -> list[CountedModel]:
    """Count the parameters of every model that a name refers to.

    Args:
        name: a registered model (its bundled checkpoint, its full checkpoint and the public model of that name), a name
            or hub id of `configs.yaml`, a checkpoint folder, or `hf:ORG/NAME`.
        local_copy: returns the local folder of a hub id.

    Returns:
        One entry per known configuration; for a registered model there may be none.

    Raises:
        InputError: the name is unknown, or a configuration cannot be counted.
    """
    hub_id = name.removeprefix("hf:").partition("@")[0]
    if name in VARIANTS:
        return _count_variant(VARIANTS.get(name))
    if hub_id.lower() in _models_by_key():
        return [_count_public(_models_by_key()[hub_id.lower()])]
    path = Path(name).expanduser()
    if path.is_dir() or name.startswith("hf:"):
        return [_count_folder(model_folder(local_copy(name.removeprefix("hf:"))))]
    raise UnknownName("model, configuration or folder", name, [*(v.name for v in VARIANTS), *public_models()])


def _count_variant(variant: Variant) -> list[CountedModel]:
    mini = variant.checkpoints.get("mini")
    hub_names = (variant.checkpoints.get("full"), variant.details.get("public"))
    ids = dict.fromkeys(name.lower() for name in hub_names if name)
    bundled = [_count_folder(PACKAGE / mini, _experts_of_nobody_waiting(variant))] if mini else []
    return bundled + [_count_public(_models_by_key()[id]) for id in ids if id in _models_by_key()]


def _experts_of_nobody_waiting(variant: Variant) -> int | None:
    """Return the active experts that a variant sets; those of an empty queue, if they follow it."""
    experts = variant.details.get("experts")
    if isinstance(experts, dict):
        return next((int(number) for number, waiting in experts.items() if waiting == 0), None)
    return experts


def _count_public(model: PublicModel) -> CountedModel:
    return CountedModel(f"{model.hub} ({model.source})", count_config(model.config), model.assumed)


def _count_folder(folder: Path, experts: int | None = None) -> CountedModel:
    displayed = folder.relative_to(PACKAGE) if folder.is_relative_to(PACKAGE) else folder
    return CountedModel(str(displayed), count_folder(folder, experts), on_disk=bytes_on_disk(folder))


@cache
def public_models() -> Mapping[str, PublicModel]:
    """Read `configs.yaml`; returns its rows by name. Raises `InputError` if the file is damaged."""
    try:
        return msgspec.convert(yaml_files.load(CONFIGS), dict[str, PublicModel])
    except msgspec.ValidationError as error:
        raise InputError(f"{CONFIGS}: {' '.join(str(error).split())}") from error


def _models_by_key() -> Mapping[str, PublicModel]:
    """Return the rows of `configs.yaml` by name and by hub id, in lower case."""
    return {key.lower(): model for name, model in public_models().items() for key in (name, model.hub, *model.also)}


def count_config(config: Mapping[str, Json]) -> ModelSize:
    """Count the parameters of a configuration on the meta device.

    Args:
        config: the contents of a `config.json`; missing fields have the library's defaults.

    Raises:
        InputError: the library has no class for it, or the class rejects it.

    Example:
        >>> count_config(public_models()["deepseek-v2-lite"].config).parameters  # doctest: +SKIP
        15706484224
    """
    built = _configuration(config)
    model = _on_meta(built)
    text = built.get_text_config()
    total = sum(parameter.numel() for parameter in model.parameters())
    routed = sum(parameter.numel() for name, parameter in model.named_parameters() if ".experts." in name)
    experts = _first_field(text, "n_routed_experts", "num_local_experts", "num_experts") if routed else 0
    chosen = _first_field(text, "num_experts_per_tok", "num_experts_per_token") if experts else 0
    idle = routed - routed * chosen // experts if experts else 0
    embedding = model.get_input_embeddings()
    return ModelSize(
        parameters=total,
        active=total - idle,
        embedding=sum(parameter.numel() for parameter in embedding.parameters()) if embedding is not None else None,
        layers=_layers(text),
        experts=experts,
        chosen=chosen,
        shared=_first_field(text, "n_shared_experts") if experts else 0,
    )


def count_folder(folder: Path, experts: int | None = None) -> ModelSize:
    """Count a checkpoint's parameters from its configuration, or from its weight files if no class is known.

    Args:
        folder: the checkpoint.
        experts: number of active experts per layer, if it differs from the configuration.

    Raises:
        InputError: the folder has no `config.json`, or neither it nor a `.safetensors` file can be counted.
    """
    config = read_json(folder / "config.json", dict[str, Any])
    if experts is not None:
        config.get("text_config", config)["num_experts_per_tok"] = experts
    try:
        return count_config(config)
    except InputError:
        shapes = stored_shapes(folder)
        if not shapes:
            raise
        return ModelSize(sum(map(prod, shapes.values())), active=None, embedding=None, layers=None)


def bytes_on_disk(folder: Path) -> int:
    """Return the total size of a folder's files in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _configuration(config: Mapping[str, Json]) -> PreTrainedConfig:
    from transformers import AutoConfig

    from evals.models.architectures import mixture  # noqa: F401  # registers the mixture with the library

    fields = {
        key: value for key, value in without_kernels(config).items() if key not in {"auto_map", "quantization_config"}
    }
    try:
        kind = fields.pop("model_type")
        return AutoConfig.for_model(kind, **fields)
    except KeyError as error:
        raise InputError("the configuration has no model_type") from error
    except Exception as error:  # the library can raise nearly any exception for invalid values
        raise InputError(
            f"no size can be counted for model_type {config['model_type']!r}: {one_line(error)}"
        ) from error


def _on_meta(config: PreTrainedConfig) -> nn.Module:
    """Build a model without memory, by the class that the configuration names, else by an auto class."""
    import torch
    import transformers

    class_name = (getattr(config, "architectures", None) or [None])[0]
    model_class = getattr(transformers, class_name, None) if class_name else None
    kinds = ("AutoModelForImageTextToText", "AutoModelForSeq2SeqLM", "AutoModelForCausalLM", "AutoModel")
    builders = (
        [model_class._from_config] if model_class else [getattr(transformers, kind).from_config for kind in kinds]
    )
    reason: Exception | None = None
    with torch.device("meta"):
        for build in builders:
            try:
                model: nn.Module = build(config)
                return model
            except Exception as error:  # there is no such class, or it rejects the configuration
                reason = error
    raise InputError(f"no size can be counted for model_type {config.model_type!r}: {one_line(reason)}")


def _layers(text: PreTrainedConfig) -> int | None:
    if text.is_encoder_decoder:
        encoder = _first_field(text, "encoder_layers", "num_layers")
        decoder = _first_field(text, "decoder_layers", "num_decoder_layers")
        return encoder + decoder or None
    return _first_field(text, "num_hidden_layers") or None


def _first_field(config: PreTrainedConfig, *names: str) -> int:
    """Return the value of the first of these fields that is set, or 0."""
    values: Iterable[Any] = (getattr(config, name, None) for name in names)
    return next((int(value) for value in values if value), 0)
