"""Check that all workers compute the same: the same packages, sources, data and weights, on the same kind of GPU."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evals.errors import InputError
from evals.execution.workers.messages import Loaded, Origin, Started
from evals.execution.workers.transport import named
from evals.records.digests import LOCATIONS, differences, digest_of_ids
from evals.records.signature import RemoteModel, package_versions, sources_digest
from evals.schema import Json, Samples

_DEVICE = "device"
"""The fact of a model that names the kind of its GPU."""
_MIXED = "devices"
"""The fact that names all kinds, if they may differ."""


def machine_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that values depend on, and the digest of the sources."""
    return {"python": platform.python_version(), **package_versions(), "evals": sources_digest()}


def check_versions(name: str, here: Mapping[str, str], there: Mapping[str, str]) -> None:
    """Compare a worker's versions with the driver's. Raises `InputError` that names the worker and the package.

    Example:
        >>> check_versions("worker 1", {"numpy": "2.3"}, {"numpy": "1.26"})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        evals.errors.InputError: worker 1 has numpy 1.26, the command's machine has 2.3: install the same...
    """
    for package in sorted({*here, *there}):
        wanted, installed = here.get(package, "none"), there.get(package, "none")
        if wanted != installed:
            what = "other sources of the suite" if package == "evals" else f"{package} {installed}"
            raise InputError(
                f"{name} has {what}, the command's machine has {wanted}: install the same versions on all machines"
            )


def origin(samples: Samples, *, machine: str = "", concurrent: bool = False) -> Origin:
    """Describe what this process computes with.

    Args:
        samples: the run's samples, as this machine has read them.
        machine: the machine's name.
        concurrent: whether the model waits for a server.
    """
    data = {**samples.facts, "samples": len(samples), "ids": digest_of_ids(samples.ids)}
    return Origin(machine, machine_versions(), data, concurrent)


class DeviceKinds:
    """The kinds of GPU that the workers of one command have, whatever they load.

    They must not differ, or, with `--mixed`, must be known when the first run begins: its manifest lists them.

    Example:
        >>> kinds = DeviceKinds()
        >>> kinds.add("worker 0 on a", "NVIDIA H100")
        >>> kinds.add("worker 1 on b", "NVIDIA A100")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        evals.errors.InputError: worker 0 on a has NVIDIA H100, worker 1 on b has NVIDIA A100: results may differ in...
    """

    def __init__(self, *, mixed: bool = False) -> None:
        """Begin without a worker.

        Args:
            mixed: whether several kinds are allowed.
        """
        self.mixed = mixed
        self._first: dict[str, str] = {}
        """The first worker of each kind."""
        self._is_closed = False

    def add(self, name: str, kind: Json) -> None:
        """Note the kind of a worker's device. Raises `InputError` if it is not allowed."""
        if str(kind) in self._first:
            return
        if self.mixed and self._is_closed:
            raise InputError(
                f"{name} has {kind}, and the run began with {', '.join(self.closed())} only, as its manifest says"
            )
        if self._first and not self.mixed:
            other, first = next(iter(self._first.items()))
            raise InputError(
                f"{first} has {other}, {name} has {kind}: results may differ in the last digits; "
                f"--mixed allows it, and the manifest then lists both"
            )
        self._first[str(kind)] = name

    def closed(self) -> list[str]:
        """Return the kinds in order; no other one is accepted from now on."""
        self._is_closed = True
        return sorted(self._first)


@dataclass(frozen=True)
class _Member:
    """A worker that was accepted."""

    name: str
    loaded: Loaded


class WorkerAgreement:
    """What the workers of a run have loaded; the first of them, and the driver, are what others are compared with."""

    def __init__(self, driver: Origin, *, kinds: DeviceKinds | None = None) -> None:
        """Begin without a worker.

        Args:
            driver: what the driver has read; the manifest states its versions.
            kinds: what this run and others that share the workers compute on; by default one kind.
        """
        self._driver = driver
        self._kinds = DeviceKinds() if kinds is None else kinds
        self._members: dict[int, _Member] = {}

    def add(self, worker: int, machine: str, loaded: Started | Loaded) -> None:
        """Accept a worker. Raises `InputError` that names the machines and what differs between them."""
        name = named(worker, machine)
        if isinstance(loaded, Started):
            if loaded.versions:
                check_versions(name, self._driver.versions, loaded.versions)
            return
        self._check_driver(name, loaded.origin)
        self._check_members(name, loaded.model)
        if loaded.model.facts.get(_DEVICE) is not None:
            self._kinds.add(name, loaded.model.facts[_DEVICE])
        self._members[worker] = _Member(name, loaded)

    def model(self) -> RemoteModel:
        """Return what all workers have loaded, with the smallest of their token budgets."""
        models = [member.loaded.model for member in self._members.values()]
        facts = dict(models[0].facts)
        if self._kinds.mixed and _DEVICE in facts:
            facts[_MIXED] = self._kinds.closed()
            del facts[_DEVICE]
        return replace(models[0], facts=facts, token_budget=min(model.token_budget for model in models))

    def _check_driver(self, name: str, worker: Origin) -> None:
        check_versions(name, self._driver.versions, worker.versions)
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
        if _DEVICE in here and _DEVICE in there:  # their kinds are compared with those of all workers
            del here[_DEVICE], there[_DEVICE]
        unequal = differences(here, there)
        if unequal or other.loaded.model.code != model.code:
            raise InputError(
                f"{other.name} and {name} loaded different models "
                f"(what differs: {', '.join(unequal) or 'the code'}); give all machines the same files"
            )


def _comparable(facts: Mapping[str, Json]) -> dict[str, Json]:
    """Return facts without the places of files, which may differ between machines."""
    return {name: value for name, value in facts.items() if name not in LOCATIONS}
