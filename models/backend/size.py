"""How big a model is, counted from its configuration: no weight is read, and none is allocated.

The library builds the model on the `meta` device, where a tensor has a shape and no memory, so 671 billion parameters
are counted in seconds on any machine. `configs.yaml` holds the configurations of the public models that documents speak
of; a checkpoint folder brings its own. Where the library has no class for a configuration, the headers of its
`.safetensors` files are counted instead.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import yaml

from evals.data.files import read_json
from evals.errors import InputError, UnknownName, one_line
from evals.paths import PACKAGE
from evals.registry import VARIANTS
from evals.schema import Json, Variant

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig

CONFIGS = PACKAGE / "models" / "configs.yaml"
BITS = (32, 16, 8, 4)
"""Bits a parameter for which the weights' bytes are told."""


class Public(msgspec.Struct, frozen=True):
    """A public model as `configs.yaml` has it."""

    hub: str
    """Its hub id."""
    source: str
    """Where the figures come from."""
    config: dict[str, Json]
    """What of its configuration decides the count."""
    assumed: str | None = None
    """What no source states outright."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a configuration says of a model's size."""

    parameters: int
    """All of them; a matrix that is used twice (tied embeddings) counts once."""
    active: int | None
    """Those that one token passes through: all but the routed experts that are not chosen. None where unknown."""
    embedding: int | None
    """Those of the input embedding, which published counts of active parameters leave out. None where unknown."""
    layers: int | None
    """Of the language model; of an encoder-decoder both sides together. None where unknown."""
    experts: int = 0
    """Routed experts of a layer; 0 where there is no routing."""
    chosen: int = 0
    """Routed experts that a token passes through."""
    shared: int = 0
    """Experts that every token passes through."""

    def bytes(self, bits: int) -> int:
        """Bytes of the weights at so many bits each; scales and zero points of a quantiser come on top.

        Example:
            >>> Size(6_500_000_000, None, None, None).bytes(8)
            6500000000
        """
        return -(-self.parameters * bits // 8)


@dataclass(frozen=True, slots=True)
class Counted:
    """A size with what it is of."""

    source: str
    """A folder, or a hub id with where its configuration is known from."""
    size: Size
    assumed: str | None = None
    """What of the configuration no source states outright."""
    on_disk: int | None = None
    """Bytes of all files of a folder."""

    def figures(self) -> dict[str, Json]:
        """All of it as plain values, the weights' bytes for each of `BITS` included."""
        weights = {bits: self.size.bytes(bits) for bits in BITS}
        return {**asdict(self.size), "weights": weights, "assumed": self.assumed, "on disk": self.on_disk}


def of(name: str, local_copy: Callable[[str], Path]) -> list[Counted]:
    """Count all that a name stands for.

    Args:
        name: a registered model (its bundled checkpoint, its full one, the public model of its name), a name or hub id
            of `configs.yaml`, a checkpoint folder, or `hf:ORG/NAME`.
        local_copy: gives the folder of a hub id.

    Returns:
        One entry a configuration that is known; for a registered model there may be none.

    Raises:
        InputError: for a name that stands for nothing, or a configuration that cannot be counted.
    """
    hub_id = name.removeprefix("hf:").partition("@")[0]
    if name in VARIANTS:
        return _of_variant(VARIANTS.get(name))
    if hub_id.lower() in _known():
        return [_of_public(_known()[hub_id.lower()])]
    path = Path(name).expanduser()
    if path.is_dir():
        return [_of_folder(path)]
    if name.startswith("hf:"):
        return [_of_folder(local_copy(name.removeprefix("hf:")))]
    raise UnknownName("model, configuration or folder", name, [*(v.name for v in VARIANTS), *public()])


def _of_variant(variant: Variant) -> list[Counted]:
    mini = variant.checkpoints.get("mini")
    named = (variant.checkpoints.get("full"), variant.details.get("public"))
    ids = dict.fromkeys(name.lower() for name in named if name)
    bundled = [_of_folder(PACKAGE / mini, variant.details.get("experts"))] if mini else []
    return bundled + [_of_public(_known()[id]) for id in ids if id in _known()]


def _of_public(model: Public) -> Counted:
    return Counted(f"{model.hub} ({model.source})", count(model.config), model.assumed)


def _of_folder(folder: Path, experts: int | None = None) -> Counted:
    shown = folder.relative_to(PACKAGE) if folder.is_relative_to(PACKAGE) else folder
    return Counted(str(shown), of_folder(folder, experts), on_disk=on_disk(folder))


@cache
def public() -> Mapping[str, Public]:
    """Read the bundled configurations, by name. Raises `InputError` when the file is damaged."""
    try:
        return msgspec.convert(yaml.safe_load(CONFIGS.read_text(encoding="utf-8")), dict[str, Public])
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise InputError(f"{CONFIGS}: {' '.join(str(error).split())}") from error


def _known() -> Mapping[str, Public]:
    """The bundled configurations by name and by hub id, in lower case."""
    return {key: model for name, model in public().items() for key in (name, model.hub.lower())}


def count(config: Mapping[str, Json]) -> Size:
    """Count the parameters of a configuration on the meta device.

    Args:
        config: what a `config.json` holds; what it leaves out is the library's default.

    Raises:
        InputError: the library has no class for it, or it does not fit its class.

    Example:
        >>> count(public()["deepseek-v2-lite"].config).parameters  # doctest: +SKIP
        15706484224
    """
    built = _configuration(config)
    model = _on_meta(built)
    text = built.get_text_config()
    total = sum(parameter.numel() for parameter in model.parameters())
    routed = sum(parameter.numel() for name, parameter in model.named_parameters() if ".experts." in name)
    experts = _first(text, "n_routed_experts", "num_local_experts", "num_experts") if routed else 0
    chosen = _first(text, "num_experts_per_tok", "num_experts_per_token") if experts else 0
    idle = routed - routed * chosen // experts if experts else 0
    embedding = model.get_input_embeddings()
    return Size(
        parameters=total,
        active=total - idle,
        embedding=sum(parameter.numel() for parameter in embedding.parameters()) if embedding is not None else None,
        layers=_layers(text),
        experts=experts,
        chosen=chosen,
        shared=_first(text, "n_shared_experts") if experts else 0,
    )


def of_folder(folder: Path, experts: int | None = None) -> Size:
    """Count a checkpoint's parameters: from its configuration, or from its weights' headers where no class is known.

    Args:
        folder: the checkpoint.
        experts: how many of a layer work on a token, where it is loaded with others than it says.

    Raises:
        InputError: the folder has no `config.json` and no `.safetensors` file, or they are damaged.
    """
    config = read_json(folder / "config.json", dict[str, Any])
    if experts is not None:
        config.get("text_config", config)["num_experts_per_tok"] = experts
    try:
        return count(config)
    except InputError:
        weights = sorted(folder.glob("*.safetensors"))
        if not weights:
            raise
        return Size(_stored(weights), active=None, embedding=None, layers=None)


def on_disk(folder: Path) -> int:
    """Bytes of all files of a checkpoint."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _configuration(config: Mapping[str, Json]) -> PreTrainedConfig:
    from transformers import AutoConfig

    from evals.models.architectures import mixture  # noqa: F401  # so that the library knows what such a configuration is

    given = {key: value for key, value in config.items() if key not in {"auto_map", "quantization_config"}}
    try:
        kind = given.pop("model_type")
        return AutoConfig.for_model(kind, **given)
    except KeyError as error:
        raise InputError("the configuration has no model_type") from error
    except Exception as error:  # the library raises nearly anything for values that do not fit
        raise InputError(
            f"no size can be counted for model_type {config['model_type']!r}: {one_line(error)}"
        ) from error


def _on_meta(config: PreTrainedConfig) -> nn.Module:
    """Build a model without memory, by its own class where the configuration names one, else by its kind's."""
    import torch
    import transformers

    named = (getattr(config, "architectures", None) or [None])[0]
    own = getattr(transformers, named, None) if named else None
    kinds = ("AutoModelForImageTextToText", "AutoModelForSeq2SeqLM", "AutoModelForCausalLM", "AutoModel")
    reason: Exception | None = None
    with torch.device("meta"):
        for build in [own._from_config] if own else [getattr(transformers, kind).from_config for kind in kinds]:
            try:
                model: nn.Module = build(config)
                return model
            except Exception as error:  # no such class, or a configuration that does not fit it
                reason = error
    raise InputError(f"no size can be counted for model_type {config.model_type!r}: {one_line(reason)}")


def _layers(text: PreTrainedConfig) -> int | None:
    if text.is_encoder_decoder:
        encoder = _first(text, "encoder_layers", "num_layers")
        decoder = _first(text, "decoder_layers", "num_decoder_layers")
        return encoder + decoder or None
    return _first(text, "num_hidden_layers") or None


def _first(config: PreTrainedConfig, *names: str) -> int:
    """The first of some fields that a configuration has, 0 when it has none."""
    found: Iterable[Any] = (getattr(config, name, None) for name in names)
    return next((int(value) for value in found if value), 0)


def _stored(weights: Iterable[Path]) -> int:
    """Count the numbers in the files' tensors by their headers."""
    total = 0
    for path in weights:
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = orjson.loads(file.read(min(length, path.stat().st_size)))
            total += sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
        except (struct.error, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not a readable safetensors file: {one_line(error)}") from error
    return total
