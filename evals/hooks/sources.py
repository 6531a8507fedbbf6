"""List the hooks of a run: those of installed packages, the trackers of `--track`, the stream of `--progress json`."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from evals.errors import InputError, UnknownName
from evals.hooks import json_lines
from evals.hooks.delivery import HookSource

HOOK_GROUP = "evals.hooks"
"""The group of entry points under which packages offer hooks."""


@dataclass(frozen=True)
class Tracker:
    """A shipped tracker."""

    module: str
    """The module whose `tracker(project)` makes the hook."""
    package: str
    """The package that it needs, by the name that is imported."""


TRACKERS: Mapping[str, Tracker] = {
    "mlflow": Tracker("evals.hooks.trackers.mlflow_tracker", "mlflow"),
    "trackio": Tracker("evals.hooks.trackers.trackio_tracker", "trackio"),
    "wandb": Tracker("evals.hooks.trackers.wandb_tracker", "wandb"),
}
"""Shipped trackers by the names that `--track` takes; each is also the name of the extra that installs its package."""


def check(track: Sequence[str], stream: str | None) -> None:
    """Refuse a tracker that is unknown or not installed, and a stream that cannot be written, before a run begins.

    Args:
        track: values of `--track`: `NAME` or `NAME:PROJECT`.
        stream: the value of `--progress`, if it is one of a stream, or None.

    Raises:
        InputError: the message says what to install or to write.

    Example:
        >>> check(["wandbb"], None)
        Traceback (most recent call last):
            ...
        evals.errors.UnknownName: no tracker is named 'wandbb'; did you mean 'wandb'? known: mlflow, trackio, wandb
    """
    names = [value.partition(":")[0] for value in track]
    for value, name in zip(track, names, strict=True):
        if name not in TRACKERS:
            raise UnknownName("tracker", name, TRACKERS)
        if names.count(name) > 1:
            raise InputError(f"--track {name} is given twice; give it once")
        if value != name and not value.partition(":")[2].strip():
            raise InputError(f"--track {value!r} names no project: write {name} or {name}:PROJECT")
        if importlib.util.find_spec(TRACKERS[name].package) is None:
            raise InputError(
                f"--track {name} needs the package {TRACKERS[name].package}: pip install 'claim-evals[{name}]'"
            )
    if stream is not None:
        json_lines.check(stream)


def sources(track: Sequence[str], stream: str | None) -> list[HookSource]:
    """List the hooks of a run, as `check` has accepted them."""
    hooks = [
        HookSource(entry.name, partial(_of_package, entry))
        for entry in importlib.metadata.entry_points(group=HOOK_GROUP)
    ]
    for value in track:
        name, _, project = value.partition(":")
        hooks.append(HookSource(name, partial(_of_tracker, name, project or None), waiting=1))
    if stream is not None:
        make = partial(json_lines.stream, json_lines.absolute_place(stream))
        is_stream = stream == json_lines.STANDARD_ERROR
        name = f"--progress {stream}"
        hooks.append(HookSource(name, make, ends_at_error=True, is_stream=is_stream, is_counted=False))
    return hooks


def _of_package(entry: importlib.metadata.EntryPoint) -> object | None:
    make: Callable[[], object | None] = entry.load()
    return make()


def _of_tracker(name: str, project: str | None) -> object:
    hook: object = importlib.import_module(TRACKERS[name].module).tracker(project)
    return hook
