"""Check that all workers compute the same: the same packages, sources, data and weights, on the same kind of GPU."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evals.errors import InputError
from evals.execution.workers.messages import Loaded, Origin
from evals.execution.workers.transport import named
from evals.records.digests import LOCATIONS, digest_of_ids
from evals.records.folder import differences
from evals.records.signature import RemoteModel, package_versions, sources_digest
from evals.schema import Json, Samples

_DEVICE = "device"
"""The fact of a model that names the kind of its GPU."""
_MIXED = "devices"
"""The fact that names all kinds, if they may differ."""


def origin(samples: Samples, *, machine: str = "", concurrent: bool = False) -> Origin:
    """Describe what this process computes with.

    Args:
        samples: the run's samples, as this machine has read them.
        machine: the machine's name.
        concurrent: whether the model waits for a server.
    """
    versions = {"python": platform.python_version(), **package_versions(), "evals": sources_digest()}
    data = {**samples.facts, "samples": len(samples), "ids": digest_of_ids(samples.ids)}
    return Origin(machine, versions, data, concurrent)


@dataclass(frozen=True)
class _Member:
    """A worker that was accepted."""

    name: str
    loaded: Loaded


class WorkerAgreement:
    """What the workers of a run have loaded; the first of them, and the driver, are what others are compared with."""

    def __init__(self, driver: Origin, *, mixed: bool = False) -> None:
        """Begin without a worker.

        Args:
            driver: what the driver has read; the manifest states its versions.
            mixed: whether the GPUs may be of different kinds; the manifest then lists the kinds.
        """
        self._driver = driver
        self._mixed = mixed
        self._members: dict[int, _Member] = {}

    def add(self, worker: int, machine: str, loaded: Loaded) -> None:
        """Accept a worker. Raises `InputError` that names the machines and what differs between them."""
        name = named(worker, machine)
        self._check_driver(name, loaded.origin)
        self._check_members(name, loaded.model)
        self._members[worker] = _Member(name, loaded)

    def model(self) -> RemoteModel:
        """Return what all workers have loaded, with the smallest of their token budgets."""
        models = [member.loaded.model for member in self._members.values()]
        facts = dict(models[0].facts)
        if self._mixed:
            facts[_MIXED] = sorted({str(model.facts.get(_DEVICE)) for model in models})
            facts.pop(_DEVICE, None)
        return replace(models[0], facts=facts, token_budget=min(model.token_budget for model in models))

    def _check_driver(self, name: str, worker: Origin) -> None:
        for package in sorted({*self._driver.versions, *worker.versions}):
            here, there = (origin.versions.get(package, "none") for origin in (self._driver, worker))
            if here != there:
                what = "other sources of the suite" if package == "evals" else f"{package} {there}"
                raise InputError(
                    f"{name} has {what}, the command's machine has {here}: install the same versions on all machines"
                )
        unequal = differences(_comparable(self._driver.data), _comparable(worker.data))
        if unequal:
            raise InputError(
                f"{name} reads other data than the command's machine (what differs: {', '.join(unequal)}); "
                f"put the same files on all machines"
            )

    def _check_members(self, name: str, model: RemoteModel) -> None:
        """Compare with the first worker: those before this one equal it, and of mixed GPUs any kind is accepted."""
        if not self._members:
            return
        other = next(iter(self._members.values()))
        here, there = _comparable(other.loaded.model.facts), _comparable(model.facts)
        devices = here.pop(_DEVICE, None), there.pop(_DEVICE, None)
        unequal = differences(here, there)
        if unequal or other.loaded.model.code != model.code:
            raise InputError(
                f"{other.name} and {name} loaded different models "
                f"(what differs: {', '.join(unequal) or 'the code'}); give all machines the same files"
            )
        if devices[0] != devices[1] and not self._mixed:
            raise InputError(
                f"{other.name} has {devices[0]}, {name} has {devices[1]}: results may differ in the last digits; "
                f"--mixed allows it, and the manifest then lists both"
            )


def _comparable(facts: Mapping[str, Json]) -> dict[str, Json]:
    """Return facts without the places of files, which may differ between machines."""
    return {name: value for name, value in facts.items() if name not in LOCATIONS}
