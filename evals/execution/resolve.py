"""What a user calls a model, to the family that loads it and the checkpoint that it loads.

vl                       a registered variant, at the scale's checkpoint or at `--checkpoint`
./folder, /folder        a local checkpoint; its `config.json` tells the family
hf:ORG/NAME[@REV]        a checkpoint of the hub, at a commit that is recorded at first use
replay:FILE, …           what a family with a prefix of its own makes of it; `--checkpoint` takes these too
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from evals.data.hub import local_copy
from evals.errors import InputError
from evals.paths import PACKAGE
from evals.registry import FAMILIES, VARIANTS
from evals.schema import Family, Model, Placement, Variant


@dataclass(frozen=True)
class Resolved:
    """A model that is known by name, before any weight is read."""

    name: str
    """What the run calls it."""
    family: Family
    """What loads it."""
    checkpoint: str
    """What is loaded: a folder, a hub id, or what stood behind the family's prefix."""
    replica: bool = False
    """It is a bundled replica, not the public model of that name."""
    modalities: frozenset[str] | None = None
    """What it reads, values of `MODALITIES`; None where that is not known."""
    experts: int | None = None
    """How many experts of a layer its row lets work on a token; None for as many as the checkpoint says."""

    def load(self, placement: Placement) -> Model:
        """Fetch it, if it lies on the hub, and load it. Raises `InputError`."""
        if self.experts is not None:
            placement = replace(placement, experts=self.experts)
        local = self.checkpoint if self.family.prefix else str(local_copy(self.checkpoint))
        return self.family.load(self.name, local, placement)


def resolve(name: str, *, scale: str, checkpoint: str | None = None) -> Resolved:
    """Find the family and the checkpoint of a model.

    Args:
        name: in one of the forms that the module's docstring lists.
        scale: which of a variant's checkpoints is meant, `mini` or `full`.
        checkpoint: what is loaded instead of a variant's own: a folder, a hub id, or `endpoint:URL#NAME`, …

    Raises:
        InputError: for a checkpoint that is not one, or that no family loads.
        UnknownName: for a name that no variant has.
    """
    prefix, colon, rest = name.partition(":")
    named = bool(colon) or name.startswith((".", "/", "~")) or ("/" in name and Path(name).is_dir())
    if checkpoint is not None and named:
        raise InputError(f"--checkpoint {checkpoint} is for registered models; {name!r} names its own")
    special = {family.prefix: family for family in FAMILIES if family.prefix}
    if colon and prefix in special:
        return Resolved(name, special[prefix], rest, modalities=special[prefix].modalities)
    if named and (not colon or prefix == "hf"):
        folder = local_copy(rest if colon else name)
        family = _family_of(folder)
        return Resolved(name, family, str(folder), modalities=family.modalities)
    variant = VARIANTS.get(name)
    chosen = checkpoint or variant.checkpoints.get(scale)
    if chosen is None:
        raise InputError(f"model {name!r} has no checkpoint at scale {scale!r}: {_instead(variant, scale)}")
    if checkpoint is not None:
        prefix, colon, rest = checkpoint.partition(":")
        served = special.get(prefix) if colon else None
        own = FAMILIES.get(variant.family)
        if served is None and own.prefix:
            served, rest = own, checkpoint  # a row of a family without folders says where, and needs no prefix for it
        family = served or _family_of(local_copy(checkpoint))
        place = rest if served else checkpoint
        return Resolved(name, family, place, modalities=_reads(variant, scale, family), experts=_experts(variant))
    family = FAMILIES.get(variant.family)
    bundled = scale == "mini" and family.prefix is None
    place = str(PACKAGE / chosen) if bundled else chosen
    reads = _reads(variant, scale, family)
    return Resolved(name, family, place, replica=bundled, modalities=reads, experts=_experts(variant))


def _experts(variant: Variant) -> int | None:
    """How many experts of a layer a row lets work on a token."""
    chosen = variant.details.get("experts")
    if chosen is not None and (not isinstance(chosen, int) or isinstance(chosen, bool)):
        raise InputError(f"model {variant.name!r}: experts is {chosen!r}, expected a whole number")
    return chosen


def bundled(variant: Variant) -> Path | None:
    """The folder of a variant's bundled checkpoint; None where it has none."""
    folder = variant.checkpoints.get("mini")
    return PACKAGE / folder if folder is not None else None


def _instead(variant: Variant, scale: str) -> str:
    """Say what to do about a checkpoint that a variant does not have."""
    asked = variant.details.get("endpoint")
    if scale == "full" and asked:
        return f"it is too big to be loaded here; name a server of {asked} with --checkpoint endpoint:URL#NAME"
    return "name one with --checkpoint"


def _reads(variant: Variant, scale: str, family: Family) -> frozenset[str] | None:
    """What a variant reads at a scale: what its row says, else what its family reads."""
    told = (variant.details.get("modalities") or {}).get(scale)
    return frozenset(told) if told else family.modalities


def _family_of(folder: Path) -> Family:
    """Tell the family of a checkpoint from its configuration."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is not a checkpoint: it has no config.json")
    try:
        config = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds {type(config).__name__}, expected an object")
    for family in FAMILIES:
        if family.accepts(config):
            return family
    wants = " (it wants code of its own, which is never run)" if "auto_map" in config else ""
    raise InputError(f"{path}: no family loads model_type {config.get('model_type')!r}{wants}")
