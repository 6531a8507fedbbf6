"""A composed model: several models behind one name, each of which answers some of the requests (`compose:` of a row).

A route leads from a modality or a task to the name of a part. A route of the run's task comes first, the longest name
before shorter ones (`math/gsm8k`, then `math`); it leads all requests of the run to one part. Otherwise a request goes
where its richest modality leads: audio or images before text. Embeddings of two models cannot be compared, so all
requests of a run that embed go where the richest modality of the run's samples leads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals.errors import InputError, UnknownName
from evals.registry import TASKS, VARIANTS
from evals.schema import (
    MODALITIES,
    Batch,
    Concurrent,
    Embed,
    Inspectable,
    Json,
    Model,
    ModelInput,
    Prediction,
    Prompt,
    Request,
    Samples,
    Variant,
)

FAMILY = "composed"
"""Name of the family of composed models."""
_RICHEST_FIRST = ("audio", "image", "text")
_LOCATIONS = ("checkpoint", "folder")
_OF_PLACES = ("/", ":", "~", "\\")
"""Characters of paths and addresses, which no name of a model has."""


def part_of_task(routes: Mapping[str, str], task: str) -> str | None:
    """Return the part to which a task leads by its own name or the beginning of it, or None.

    Example:
        >>> part_of_task({"text": "a", "math": "b", "math/gsm8k": "c"}, "math/gsm8k")
        'c'
        >>> part_of_task({"text": "a", "math": "b"}, "math/math500"), part_of_task({"text": "a"}, "vqa")
        ('b', None)
    """
    names = ["/".join(task.split("/")[:count]) for count in range(task.count("/") + 1, 0, -1)]
    return next((routes[name] for name in names if name in routes), None)


def part_of_modalities(routes: Mapping[str, str], modalities: Sequence[str], name: str) -> str:
    """Return the part that answers what has some modalities.

    Args:
        routes: parts by modality and task.
        modalities: values of `MODALITIES`; none counts as text.
        name: the composed model's name.

    Raises:
        InputError: no route leads from there, or images and audio lead to two parts.

    Example:
        >>> part_of_modalities({"text": "a", "image": "b"}, ["text", "image"], "a+b")
        'b'
    """
    rich = [kind for kind in _RICHEST_FIRST if kind in modalities and kind != "text"] or ["text"]
    lacking = [kind for kind in rich if kind not in routes]
    if lacking:
        raise InputError(f"model {name!r} has no part for {lacking[0]}; its routes: {', '.join(routes)}")
    parts = {routes[kind] for kind in rich}
    if len(parts) > 1:
        raise InputError(
            f"model {name!r} has two parts for what has {' and '.join(rich)}: {' and '.join(sorted(parts))}"
        )
    return parts.pop()


def checked_routes(variant: Variant, settings: Sequence[str]) -> dict[str, str]:
    """Return the routes of a composed model, in the order of their names.

    Args:
        variant: its row, with `compose`.
        settings: columns that set options of a run, which all parts of a run share.

    Raises:
        InputError: a route leads from something else than a modality or a task, or to something else than a registered
            model with checkpoints of its own; or a part sets options that its row leaves open.
    """
    where, routes = f"model {variant.name!r}: compose", variant.details["compose"]
    known = {*MODALITIES.values(), *(task.name for task in TASKS)}
    for kind, part in sorted(routes.items()):
        if kind not in known:
            raise InputError(f"{where}: {UnknownName('modality or task', kind, known)}")
        if part in VARIANTS and "compose" in VARIANTS.get(part).details:
            raise InputError(
                f"{where}: its part {part!r} for {kind} is composed itself; name a model with a checkpoint"
            )
        if part not in VARIANTS and (any(mark in part for mark in _OF_PLACES) or Path(part).is_dir()):
            raise InputError(
                f"{where}: its part {part!r} for {kind} is a folder or an address, expected the name of a registered "
                f"model: give the place to a row of its own (family and checkpoints), and name that row"
            )
        if part not in VARIANTS:
            raise InputError(f"{where}: {UnknownName('model', part, (entry.name for entry in VARIANTS))}")
        details = VARIANTS.get(part).details
        if columns := [name for name in settings if name in details and name not in variant.details]:
            raise InputError(
                f"{where}: its part {part!r} sets {', '.join(columns)} for its own runs, and a run has one setting for "
                f"all parts: give {columns[0]} in the row of {variant.name!r} too"
            )
    return dict(sorted(routes.items()))


def modalities_of(samples: Samples) -> list[str]:
    """Return the modalities of a run's samples, as the task states them or as the first sample has them."""
    stated = samples.facts.get("modalities")
    first = samples[0].requests if len(samples) else ()
    return stated or sorted({MODALITIES[type(part)] for request in first for part in request.parts})


def answering(routes: Mapping[str, str], task_part: str | None, modalities: Sequence[str], name: str) -> list[str]:
    """Return the parts that may answer a request of a run, the one that embeds first.

    Args:
        routes: parts by modality and task.
        task_part: the part of the run's task, if it has a route.
        modalities: those of the run's samples; some of them may have text only.
        name: the composed model's name.

    Raises:
        InputError: no route leads from there.

    Example:
        >>> answering({"text": "a", "image": "b"}, None, ["image", "text"], "a+b")
        ['b', 'a']
    """
    if task_part is not None:
        return [task_part]
    embeds = part_of_modalities(routes, modalities, name)
    return list(dict.fromkeys([embeds, routes.get("text", embeds)]))


def abilities_of(embeds: frozenset[str], others: Sequence[frozenset[str]]) -> frozenset[str]:
    """Return what a composed model can do in a run: what all its parts can that answer, but one of them embeds.

    Args:
        embeds: abilities of the part that embeds.
        others: abilities of all parts that may answer.
    """
    return frozenset.intersection(*others) - {"embed"} | embeds & {"embed"}


class _PartPrompts(Sequence[Prompt]):
    """The prompts of a window as the part made them that is asked."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = prompts

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, index: Any) -> Any:
        prompt = self._prompts[index]
        return replace(prompt, key=_key(prompt)[1])


def _key(prompt: Prompt) -> tuple[str, Any]:
    """Return the part that made a prompt, and the key that it gave it."""
    made_by: Any = prompt.key
    return str(made_by[0]), made_by[1]


@dataclass(frozen=True)
class ComposedModel:
    """Models that share the requests of a run; `for_run` says how, before requests are answered."""

    name: str
    routes: Mapping[str, str]
    """Names of parts by modality and task."""
    parts: Mapping[str, Model]
    """The loaded parts by name, also those that answer nothing in a run."""
    task_part: str | None = None
    """The part that answers all requests of the run, if its task has a route."""
    run_parts: tuple[str, ...] = ()
    """The parts that may answer a request of the run; the first answers all that embed. Empty before `for_run`."""

    def for_run(self, task: str, samples: Samples) -> ComposedModel:
        """Return the model as it answers a run. Raises `InputError` if a route is lacking."""
        task_part = part_of_task(self.routes, task)
        names = tuple(answering(self.routes, task_part, modalities_of(samples), self.name))
        served = all(isinstance(self.parts[name], Concurrent) for name in names)
        kind = ServedComposedModel if served else ComposedModel
        return kind(self.name, self.routes, self.parts, task_part, names)

    @property
    def _answering(self) -> list[Model]:
        return [self.parts[name] for name in self.run_parts or self.parts]

    @property
    def abilities(self) -> frozenset[str]:
        """What the model can do in its run."""
        return abilities_of(self._answering[0].abilities, [part.abilities for part in self._answering])

    @property
    def facts(self) -> Mapping[str, Json]:
        """The facts of all parts, and the routes, in the order of their names; a digest of their digests."""
        facts = {name: dict(self.parts[name].facts) for name in sorted(self.parts)}
        digests = "\n".join(f"{name} {stated.get('digest')}" for name, stated in facts.items())
        joint: dict[str, Json] = {
            "family": FAMILY,
            "checkpoint": ", ".join(f"{name}: {stated.get('checkpoint')}" for name, stated in facts.items()),
            "digest": hashlib.sha256(digests.encode()).hexdigest()[:16],
            "routes": dict(sorted(self.routes.items())),
            "parts": {
                name: {key: value for key, value in stated.items() if key not in _LOCATIONS}
                for name, stated in facts.items()
            },
        }
        for key in ("device", "dtype"):
            values = sorted({str(stated[key]) for stated in facts.values() if key in stated})
            joint |= {key: ", ".join(values)} if values else {}
        counts = [count for stated in facts.values() if isinstance(count := stated.get("parameters"), int)]
        return joint | ({"parameters": sum(counts)} if len(counts) == len(facts) else {})

    @property
    def token_budget(self) -> int:
        """The smallest budget of all parts, since a batch may be of any of them."""
        return min(part.token_budget for part in self.parts.values())

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """See `Model.check`."""
        for part in self._answering:
            part.check(split_ids, run_ids)

    def route(self, request: Request) -> str:
        """Return the name of the part that answers a request. Raises `InputError` if there is none."""
        if self.task_part is not None:
            return self.task_part
        if isinstance(request, Embed) and self.run_parts:
            return self.run_parts[0]
        return part_of_modalities(self.routes, [MODALITIES[type(part)] for part in request.parts], self.name)

    def prepare(self, request: Request) -> Prompt:
        """Let the part tokenise the request that answers it; prompts of two parts share no prefix."""
        name = self.route(request)
        prompt = self.parts[name].prepare(request)
        return replace(prompt, key=(name, prompt.key))

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[tuple[str, Batch, Any]]:
        """Divide a batch among the parts, and let each prepare its own."""
        part_prompts = _PartPrompts(prompts)
        batches = [(name, part) for name in self.parts if (part := _batch_of(name, prompts, batch)).groups]
        return [(name, part, self.parts[name].stage(part_prompts, part)) for name, part in batches]

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: list[tuple[str, Batch, Any]]) -> list[Prediction]:
        """Let each part answer its own requests; every prediction says who made it."""
        part_prompts = _PartPrompts(prompts)
        by_member: dict[int, Prediction] = {}
        for name, part, prepared in staged:
            predictions = self.parts[name].run(part_prompts, part, prepared)
            by_member |= {
                member: replace(prediction, answered_by=name)
                for member, prediction in zip(part.members, predictions, strict=True)
            }
        return [by_member[member] for member in batch.members]

    def model_input(self, prompt: Prompt) -> ModelInput | None:
        """Return what the part reads that answers the prompt; None if it does not say."""
        name, key = _key(prompt)
        part = self.parts[name]
        return part.model_input(replace(prompt, key=key)) if isinstance(part, Inspectable) else None

    def peak_memory_bytes(self) -> int | None:
        """Peak memory of the device, which the parts share: the highest that one of them reports."""
        peaks = [peak for part in self.parts.values() if (peak := part.peak_memory_bytes()) is not None]
        return max(peaks) if peaks else None


def _batch_of(name: str, prompts: Sequence[Prompt], batch: Batch) -> Batch:
    """Return the groups of a batch whose prompts a part made; a group has one key, so it is of one part."""
    return Batch(tuple(group for group in batch.groups if _key(prompts[group.members[0]])[0] == name))


class ServedComposedModel(ComposedModel):
    """A composed model in a run that only servers answer, several requests at once."""

    @property
    def concurrency(self) -> int:
        """Number of threads: what the server with the smallest limit takes."""
        return min(part.concurrency for part in self._answering if isinstance(part, Concurrent))


def for_run(model: Model, task: str, samples: Samples) -> Model:
    """Return a model as it answers the samples of a run; only composed models depend on them."""
    return model.for_run(task, samples) if isinstance(model, ComposedModel) else model
