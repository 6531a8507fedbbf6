"""Find the family and the checkpoint of a model from the name that the user typed.

vl                       a registered variant, at the scale's checkpoint or at `--checkpoint`
./folder, folder         a local checkpoint; its `config.json` determines the family; a registered name comes first
hf:ORG/NAME[@REV]        a checkpoint of the hub, at a commit that is recorded at its first use
replay:FILE, …           a model of the family with this prefix; `--checkpoint` accepts these too
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from evals import garbage
from evals.data.checkpoints import Adapter, is_replica, read_adapter, read_config
from evals.data.hub import local_copy
from evals.data.json_files import read_json
from evals.errors import InputError
from evals.execution import composition
from evals.paths import PACKAGE
from evals.registry import FAMILIES, VARIANTS
from evals.schema import (
    MODALITIES,
    ExpertSchedule,
    Family,
    Json,
    LoadAware,
    Model,
    Placement,
    Request,
    Samples,
    Variant,
)

GENERATION_COLUMNS = (
    "temperature", "top_p", "top_k", "min_p", "generation", "max_new_tokens", "stop", "system_prompt", "chat_template",
    "thinking", "seed",
)  # fmt: skip
"""Columns of a variant's row that set options of its runs."""
_PARTS = sorted(name for name in {*vars(Model), *Model.__annotations__} if not name.startswith("_"))
"""What the protocol asks of a model, by name."""


@dataclass(frozen=True)
class Resolved:
    """A model that is known by name, before any weight is read."""

    name: str
    """Its name in the run."""
    family: Family
    """The family that loads it."""
    checkpoint: str
    """The checkpoint to load: a folder, a hub id, or what follows the family's prefix."""
    replica: bool = False
    """Whether it is a bundled replica and not the public model of that name."""
    modalities: frozenset[str] | None = None
    """Modalities that it reads (values of `MODALITIES`), or None if they are not known."""
    experts: int | ExpertSchedule | None = None
    """Number of active experts per token in each layer, also by the length of the queue; None: the checkpoint's own."""
    generation: Mapping[str, Json] = field(default_factory=dict)
    """The variant's own settings for generation, by the names of the options (`max_new_tokens`, `thinking`, …)."""
    labels: str | None = None
    """What the outputs of a classifier mean, or None for the checkpoint's own names."""
    parts: Mapping[str, Resolved] = field(default_factory=dict)
    """The parts of a composed model by name; empty for other models."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """Names of the parts by modality and task."""
    task_part: str | None = None
    """The part of a composed model that answers the whole task, if the task has a route."""
    samples_have: tuple[str, ...] | None = None
    """Modalities of the run's samples, on which the abilities of a composed model depend; None if not known."""

    def for_samples(self, samples: Samples) -> Resolved:
        """Return the model with the abilities that it has for some samples; only composed models depend on them."""
        return replace(self, samples_have=tuple(composition.modalities_of(samples))) if self.parts else self

    @property
    def abilities(self) -> frozenset[str]:
        """Abilities of the checkpoint as far as its files say, or else those of its family; no weight is read."""
        if self.parts:
            if self.samples_have is None:
                return frozenset().union(*(part.abilities for part in self.parts.values()))
            able = [part.abilities for part in self.answering]
            return composition.abilities_of(able[0], able)
        folder = self._folder
        return self.family.abilities if folder is None else self.family.abilities_of(folder) or self.family.abilities

    @property
    def answering(self) -> list[Resolved]:
        """The model, or the parts of a composed one that may answer its samples, the one that embeds first."""
        if not self.parts:
            return [self]
        if self.samples_have is None:
            return list(self.parts.values())
        names = composition.answering(self.routes, self.task_part, self.samples_have, self.name)
        return [self.parts[name] for name in names]

    @property
    def computes_elsewhere(self) -> bool:
        """Whether no weights are loaded here: the model is behind a server, or its outputs are recorded."""
        if self.parts:
            return all(part.computes_elsewhere for part in self.parts.values())
        return self.family.prefix is not None

    @property
    def _folder(self) -> Path | None:
        """The checkpoint's folder, or None if it is none or is not on this machine yet."""
        folder = Path(self.checkpoint).expanduser()
        return folder if self.family.prefix is None and folder.is_dir() else None

    def check_request(self, request: Request, placement: Placement) -> None:
        """Raise `InputError` if the checkpoint's files say that it cannot answer a request; no weight is read."""
        if self.parts:
            kinds = [MODALITIES[type(part)] for part in request.parts]
            name = self.task_part or composition.part_of_modalities(self.routes, kinds, self.name)
            self.parts[name].check_request(request, placement)
        folder = self._folder
        if folder is not None:
            self.family.check_request(folder, self._placed(placement), request)

    def _placed(self, placement: Placement) -> Placement:
        """Add the variant's own settings to a placement."""
        if isinstance(self.experts, ExpertSchedule):
            placement = replace(placement, experts=self.experts.experts(0), schedule=self.experts)
        elif self.experts is not None:
            placement = replace(placement, experts=self.experts)
        if self.labels is not None and placement.labels is None:
            placement = replace(placement, labels=self.labels)
        if placement.labels is not None and "classify" not in self.family.abilities:
            raise InputError(f"--labels {placement.labels} is for classifiers; {self.name!r} is a {self.family.name}")
        return placement

    def load(self, placement: Placement) -> Model:
        """Download the checkpoint if it is on the hub, and load it. Raises `InputError`."""
        if self.parts:
            here = replace(placement, device=None, dtype=None) if not self.computes_elsewhere else placement
            placed = ((part, here if part.computes_elsewhere else placement) for part in self.parts.values())
            parts = {part.name: part.load(chosen) for part, chosen in placed}
            return composition.ComposedModel(self.name, self.routes, parts)
        placement = self._placed(placement)
        local = self.checkpoint if self.family.prefix else str(local_copy(self.checkpoint))
        # The first load imports two thousand modules, which all stay. A later one may have to free a model before it.
        with contextlib.nullcontext() if "torch" in sys.modules else garbage.paused():
            model = self.family.load(self.name, local, placement)
        if placement.schedule is not None and not isinstance(model, LoadAware):
            raise InputError(
                f"family {self.family.name!r} cannot change the active experts of {self.name!r} by a queue"
            )
        lacking = [name for name in _PARTS if not hasattr(model, name)]
        if lacking:
            kind = type(model).__name__
            raise InputError(
                f"family {self.family.name!r} loaded {kind}, which is no model: it lacks {', '.join(lacking)}"
            )
        return model


def resolve(name: str, *, scale: str, checkpoint: str | None = None, task: str | None = None) -> Resolved:
    """Find the family and the checkpoint of a model.

    Args:
        name: in one of the forms that the module's docstring lists.
        scale: which of a variant's checkpoints is meant, `mini` or `full`.
        checkpoint: loaded instead of a variant's own: a folder, a hub id, or `endpoint:URL#NAME`, …
        task: what the model will be asked, for a composed model with routes of tasks.

    Raises:
        InputError: for a folder that is not a checkpoint, or a checkpoint that no family loads.
        UnknownName: for a name that no variant has.
    """
    prefix, colon, location = name.partition(":")
    if not name.strip() or (prefix in {"hf", "replay"} and colon and not location.strip()):
        raise InputError(f"model {name!r} names no file or folder: an empty path would be the current folder")
    is_path = name.startswith((".", "/", "~")) or (Path(name).is_dir() and ("/" in name or name not in VARIANTS))
    is_path = is_path or name.endswith(".gguf")  # refused, with what to do
    if checkpoint is not None and (colon or is_path):
        raise InputError(f"--checkpoint {checkpoint} is for registered models; {name!r} names its own")
    family = _family_of_prefix(prefix) if colon else None
    if family is not None:
        return Resolved(name, family, location, modalities=family.modalities)
    if is_path or (colon and prefix == "hf"):
        folder = local_copy(location if colon else name)
        family = _family_of(folder)
        replica = is_replica(folder, read_config(folder))
        return Resolved(name, family, str(folder), replica=replica, modalities=family.modalities)
    variant = VARIANTS.get(name)
    if "compose" in variant.details:
        return _resolve_composed(variant, scale, checkpoint, task)
    return _resolve_variant(variant, scale, checkpoint)


def _resolve_composed(variant: Variant, scale: str, checkpoint: str | None, task: str | None) -> Resolved:
    """Find the parts of a composed model, and check its routes."""
    if checkpoint is not None:
        raise InputError(f"--checkpoint {checkpoint} is for one model; {variant.name!r} is composed of several")
    routes = composition.checked_routes(variant, GENERATION_COLUMNS)
    parts = {part: _resolve_part(variant, part, scale) for part in sorted({*routes.values()})}
    for kind, part in routes.items():
        reads = parts[part].modalities
        if kind in MODALITIES.values() and reads is not None and kind not in reads:
            raise InputError(
                f"model {variant.name!r}: compose: its part {part!r} for {kind} reads {', '.join(sorted(reads))} only"
            )
    chosen = composition.part_of_task(routes, task or "")
    names = [chosen] if chosen else [part for kind, part in routes.items() if kind in MODALITIES.values()]
    if not names:
        raise InputError(f"model {variant.name!r} has no part for {task}; its routes: {', '.join(routes)}")
    kinds = [parts[name].modalities for name in names]
    return Resolved(
        variant.name,
        FAMILIES.get(composition.FAMILY),
        ", ".join(f"{name}: {part.checkpoint}" for name, part in parts.items()),
        replica=any(part.replica for part in parts.values()),
        modalities=None if None in kinds else frozenset().union(*(kind for kind in kinds if kind is not None)),
        parts=parts,
        routes=routes,
        task_part=chosen,
        generation={name: variant.details[name] for name in GENERATION_COLUMNS if name in variant.details},
    )


def _resolve_part(variant: Variant, name: str, scale: str) -> Resolved:
    """Find a part of a composed model."""
    try:
        return _resolve_variant(VARIANTS.get(name), scale, None)
    except InputError as error:
        raise InputError(f"model {variant.name!r}: compose: {error}") from error


def _resolve_variant(variant: Variant, scale: str, checkpoint: str | None) -> Resolved:
    """Find the family and the checkpoint of a registered model."""
    family = FAMILIES.get(variant.family)
    replica = False
    if checkpoint is not None:
        family, location = _family_and_location(family, checkpoint)
    else:
        registered = variant.checkpoints.get(scale)
        if registered is None:
            advice = _advice(variant, scale)
            raise InputError(f"model {variant.name!r} has no checkpoint at scale {scale!r}: {advice}")
        replica = scale == "mini" and family.prefix is None
        location = str(PACKAGE / registered) if replica else registered
    modalities = (variant.details.get("modalities") or {}).get(scale)
    return Resolved(
        variant.name,
        family,
        location,
        replica=replica,
        modalities=frozenset(modalities) if modalities else family.modalities,
        experts=_experts(variant),
        labels=_labels(variant),
        generation={name: variant.details[name] for name in GENERATION_COLUMNS if name in variant.details},
    )


def _family_and_location(registered: Family, checkpoint: str) -> tuple[Family, str]:
    """Find what loads a checkpoint that was given instead of a variant's own, and where the checkpoint is."""
    prefix, colon, location = checkpoint.partition(":")
    family = _family_of_prefix(prefix) if colon else None
    if family is not None:
        return family, location
    if registered.prefix:  # a variant of a family without folders needs no prefix
        return registered, checkpoint
    return _family_of(local_copy(checkpoint)), checkpoint


def _family_of_prefix(prefix: str) -> Family | None:
    """Return the family whose model names begin with a prefix (`replay`, `endpoint`), or None."""
    return next((family for family in FAMILIES if family.prefix == prefix), None)


def _experts(variant: Variant) -> int | ExpertSchedule | None:
    """Return the active experts per token that a variant sets: a number, or by the queue (`{by: queue, 8: 0}`)."""
    experts = variant.details.get("experts")
    if isinstance(experts, dict):
        return _schedule(variant.name, experts)
    if experts is not None and (not isinstance(experts, int) or isinstance(experts, bool)):
        raise InputError(f"model {variant.name!r}: experts is {experts!r}, expected a whole number")
    return experts


def _schedule(name: str, row: Mapping[str, Json]) -> ExpertSchedule:
    """Read a schedule; the names of its columns are texts, whatever the file writes."""
    levels = [(str(number), least) for number, least in row.items() if number != "by"]
    valid = all(
        number.isdecimal() and int(number) > 0 and type(least) is int and least >= 0 for number, least in levels
    )
    if row.get("by") != "queue" or not levels or not valid:
        raise InputError(f"model {name!r}: experts is {row!r}, expected by: queue and EXPERTS: WAITING, whole numbers")
    pairs = sorted((least, int(number)) for number, least in levels)
    if pairs[0][0] != 0 or len({least for least, _ in pairs}) < len(pairs):
        raise InputError(f"model {name!r}: experts is {row!r}; one number must be for 0 waiting, none for one twice")
    if any(fewer >= more for (_, more), (_, fewer) in pairwise(pairs)):
        raise InputError(f"model {name!r}: experts is {row!r}; the more requests wait, the fewer experts are active")
    return ExpertSchedule(tuple(pairs))


def _labels(variant: Variant) -> str | None:
    """Return what a variant's row says that a classifier's outputs mean, in the form of `--labels`, or None."""
    labels = variant.details.get("labels")
    if isinstance(labels, dict):
        return ",".join(f"{output}={label}" for output, label in labels.items())
    if labels is not None and not isinstance(labels, str):
        raise InputError(f"model {variant.name!r}: labels is {labels!r}, expected 0=negative,1=positive")
    return labels


def bundled(variant: Variant) -> Path | None:
    """Return the folder of a variant's bundled checkpoint, or None if it has none."""
    folder = variant.checkpoints.get("mini")
    return PACKAGE / folder if folder is not None else None


def _advice(variant: Variant, scale: str) -> str:
    """Return advice for a variant that has no checkpoint at a scale."""
    served_model = variant.details.get("endpoint")
    if scale == "full" and served_model:
        return f"it is too big to be loaded here; name a server of {served_model} with --checkpoint endpoint:URL#NAME"
    return "name one with --checkpoint"


def _family_of(folder: Path) -> Family:
    """Find the family of a checkpoint from its configuration, or from what an adapter in it was trained for."""
    config, adapter = read_config(folder), read_adapter(folder)
    stated = _stated_family(folder, adapter)
    for family in FAMILIES:
        if family.name == stated or (stated is None and family.accepts(config)):
            return family
    path = (adapter.base if adapter is not None else folder) / "config.json"
    hint = " (it needs code from its folder, which is never run)" if "auto_map" in config else ""
    named = config.get("architectures") or ["none"]
    raise InputError(
        f"{path}: no family loads model_type {config.get('model_type')!r} with the architecture {named[0]}{hint}"
    )


def _stated_family(folder: Path, adapter: Adapter | None) -> str | None:
    """Return the family that other files of a checkpoint decide, whatever its architecture is, or None.

    An adapter can make a classifier of any base model, and a sentence-transformers folder an encoder of any decoder.
    """
    if adapter is not None and adapter.task == "SEQ_CLS":
        return "classifier"
    path = folder / "modules.json"
    steps = read_json(path, list[dict[str, Json]]) if path.is_file() else []
    return "encoder" if any(str(step.get("type")).rpartition(".")[2] == "Pooling" for step in steps) else None
