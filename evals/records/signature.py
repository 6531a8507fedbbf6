"""All that determines a result: code, data, model, numerics, plan, environment.

The signature is kept in full in a run's `manifest.json`; its identity is a hash of it. Two runs with one identity
give the same result, so a folder is only ever continued by a run of its own identity.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from evals.paths import PACKAGE
from evals.schema import Json, Options, Samples, Task

_PACKAGES = (
    "torch", "transformers", "tokenizers", "safetensors", "pillow", "numpy", "scipy", "scikit-learn", "math-verify",
    "latex2sympy2_extended", "sympy",
)  # fmt: skip
_IDENTIFYING = ("task", "data", "model", "plan", "code", "packages")
_PLACES = frozenset({"folder", "checkpoint"})
"""Where things lie; what they are is told by their digests."""


class Known(Protocol):
    """As much of a model as a signature needs."""

    @property
    def name(self) -> str:
        """What the user called it."""

    @property
    def facts(self) -> Mapping[str, Json]:
        """All of it that determines its answers."""

    @property
    def token_budget(self) -> int:
        """How many token positions a batch may hold when the user names no budget."""


@dataclass(frozen=True)
class Elsewhere:
    """A model that was loaded in another process."""

    name: str
    facts: Mapping[str, Json]
    made_by: Callable[..., object]
    """What loaded it there: its source is part of the code that makes a result."""
    token_budget: int = 1


def sign(
    task: Task,
    options: Options,
    samples: Samples,
    model: Known,
    *,
    replica: bool,
    plan: Mapping[str, Json],
    command: str,
) -> dict[str, Json]:
    """Gather everything that determines a result, and its identity.

    Args:
        task: what is measured.
        options: what the user chose about it.
        samples: the split; its facts, its size and a digest of its ids are kept.
        model: its facts are kept.
        replica: whether it is a bundled replica, whose results say nothing of the public model.
        plan: how requests become batches: `budget` as the user gave it (None for automatic), `share`, `window`.
        command: what the user typed; kept for people, not part of the identity.

    Returns:
        The manifest, with the identity (12 hexadecimal digits) under `signature`.
    """
    split = samples.facts.get("split") or options.split or task.splits[0]
    chosen = {"samples" if k == "samples_per_problem" else k: v for k, v in asdict(options).items()}
    chosen = {k: v for k, v in chosen.items() if k not in {"data", "split"}}
    ids = hashlib.sha256("\n".join(samples.ids).encode()).hexdigest()
    manifest: dict[str, Json] = {
        "task": {"name": task.name, "version": task.version, "needs": task.needs, "split": split, **chosen},
        "data": {**samples.facts, "samples": len(samples), "ids": ids[:16]},
        "model": {"name": model.name, "replica": replica, **model.facts},
        "plan": dict(plan),
        "code": {"digest": code_digest(task, model)},
        "packages": _versions(),
    }
    determining = {
        field: {key: value for key, value in manifest[field].items() if key not in _PLACES} for field in _IDENTIFYING
    }
    identity = hashlib.sha256(orjson.dumps(determining, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
    manifest["code"]["commit"] = _commit()
    # What follows explains small differences but must not keep an interrupted run from going on.
    manifest["plan"]["token_budget"] = plan["budget"] or model.token_budget
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    return {"signature": identity, **manifest, "machine": machine, "command": command}


def code_digest(task: Task, model: Known) -> str:
    """Hash the sources that make a result: every module and table of the package, and a plug-in's own file.

    A file counts under its path below the package, so a checkout and a wheel of it have one digest.
    """
    files = {str(path.relative_to(PACKAGE)): path for path in _sources(PACKAGE)}
    made_by = model.made_by if isinstance(model, Elsewhere) else type(model)
    for own in (_source(task.score), _source(made_by)):
        if own is not None and not Path(own).is_relative_to(PACKAGE):
            files[f"{Path(own).parent.name}/{Path(own).name}"] = Path(own)
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources(folder: Path) -> Iterator[Path]:
    """Every module and table below a folder, through links too."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name not in {"__pycache__", "checkpoints", "splits", "baseline"}]
        yield from (Path(parent, name) for name in names if name.endswith((".py", ".json")))


def _source(thing: Any) -> str | None:
    """The file that a function or class was written in, also under `functools.partial`."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return inspect.getsourcefile(inspect.unwrap(thing))


def _versions() -> dict[str, str]:
    """The installed versions of the packages that numbers pass through, read without importing them."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str | None:
    """The checkout's commit, with a mark when files were changed since; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=PACKAGE, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
