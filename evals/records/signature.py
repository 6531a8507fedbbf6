"""Build the manifest of a run, and its signature.

The manifest states everything that determines a result: code, data, model, numerics, plan, packages. The signature is a
hash of it. Two runs with the same signature give the same result, so a folder is only continued by a run with the same
signature.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from evals.paths import PACKAGE
from evals.records.digests import digest_of_ids, signature_of
from evals.records.types import CodeEntry, Manifest, PlanEntry, TaskEntry
from evals.schema import Json, Options, Samples, Task

_PACKAGES = (
    "torch", "transformers", "tokenizers", "safetensors", "pillow", "numpy", "scipy", "scikit-learn", "math-verify",
    "latex2sympy2_extended", "sympy",
    # Optional packages of the library: where they are installed, they decide pixels (torchvision) and tokens.
    "torchvision", "num2words", "timm", "sentencepiece", "tiktoken",
)  # fmt: skip


class SignedModel(Protocol):
    """The part of a model that a manifest needs."""

    @property
    def name(self) -> str:
        """The name that the user gave."""

    @property
    def facts(self) -> Mapping[str, Json]:
        """Everything about the model that determines its answers."""

    @property
    def token_budget(self) -> int:
        """Maximum number of token positions in a batch, if the user does not set one."""


@dataclass(frozen=True)
class RemoteModel:
    """A model that was loaded in another process."""

    name: str
    facts: Mapping[str, Json]
    loader: Callable[..., object] | None = None
    """The function that loaded it there: its source is part of the code that determines the result."""
    token_budget: int = 1
    code: str | None = None
    """Digest of the code that determines the result, if that process has computed it (`code_digest`)."""


def build_manifest(
    task: Task,
    options: Options,
    samples: Samples,
    model: SignedModel,
    *,
    replica: bool,
    plan: PlanEntry,
    command: str,
) -> Manifest:
    """Collect everything that determines a result, and sign it.

    Args:
        task: the task that is measured.
        options: the user's options of the task.
        samples: the run's samples; their facts, number and a digest of their ids are kept.
        model: its facts are kept.
        replica: whether the model is a bundled replica, whose results say nothing about the public model.
        plan: how requests become batches, as far as the user chose it.
        command: the command line; stored for readers, not part of the signature.
    """
    manifest = Manifest(
        signature="",
        task=_task_entry(task, options, samples),
        data={**samples.facts, "samples": len(samples), "ids": digest_of_ids(samples.ids)},
        model={"name": model.name, "replica": replica, **model.facts},
        plan=plan,
        code=CodeEntry(digest=code_digest(task, model)),
        packages=package_versions(),
        machine={"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()},
        command=command,
        started=datetime.now().isoformat(timespec="seconds"),
    )
    manifest.signature = signature_of(manifest.to_dict())
    # These explain small differences, but an interrupted run may be continued with other values of them.
    manifest.code.commit = _commit()
    manifest.plan.token_budget = plan.budget or model.token_budget
    return manifest


def _task_entry(task: Task, options: Options, samples: Samples) -> TaskEntry:
    some = "samples_in_split" in samples.facts  # a limit that leaves no sample out makes the same run as none
    return TaskEntry(
        name=task.name,
        version=task.version,
        needs=task.needs,
        split=samples.facts.get("split") or options.split or task.splits[0],
        scale=options.scale,
        limit=options.limit if some else None,
        first=options.first if some else None,
        blind=options.blind,
        shots=options.shots,
        method=options.method,
        seed=options.seed,
        temperature=options.temperature,
        top_p=options.top_p,
        samples=options.samples_per_problem,
        same_shots=options.same_shots,
        processes=options.processes,
        repetitions=options.repetitions,
        prompt=msgspec.UNSET if options.prompt is None else options.prompt,
        generation=_generation(options) or msgspec.UNSET,
    )


def _generation(options: Options) -> dict[str, Json]:
    """Return the options for generated texts that are set, except for those with a field of their own."""
    defaults = Options()
    names = ("top_k", "min_p", "generation", "max_new_tokens", "stop", "system_prompt", "chat_template", "thinking")
    changed = {name: getattr(options, name) for name in names if getattr(options, name) != getattr(defaults, name)}
    return changed | ({"stop": list(options.stop)} if options.stop else {})


def code_digest(task: Task, model: SignedModel) -> str:
    """Hash the sources that determine a result: every module and table of the package, and a plug-in's own file.

    Files are identified by their path below the package, so a checkout and its wheel have one digest.
    """
    if isinstance(model, RemoteModel) and model.code is not None:
        return model.code
    files = {str(path.relative_to(PACKAGE)): path for path in _sources(PACKAGE)}
    loader = model.loader if isinstance(model, RemoteModel) else type(model)
    for definition in (task.score, loader):
        files |= _plugin_files(definition)
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def sources_digest() -> str:
    """Hash every module and table of the package, without plug-ins: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(_sources(PACKAGE)):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources(folder: Path) -> Iterator[Path]:
    """Yield every module and table below a folder, following links."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name not in {"__pycache__", "checkpoints", "splits", "baseline"}]
        yield from (Path(parent, name) for name in names if name.endswith((".py", ".json")))


def _plugin_files(definition: Any) -> dict[str, Path]:
    """Return the sources of the plug-in that defines a function or class, by name; empty for the suite's own.

    A plug-in that is a package counts with all its modules and tables, since any of them may determine an answer.
    """
    definition = _unwrapped(definition)
    source = inspect.getsourcefile(definition)
    if source is None or Path(source).is_relative_to(PACKAGE):
        return {}
    top = sys.modules.get(getattr(definition, "__module__", "").partition(".")[0])
    folder = Path(top.__file__).parent if top is not None and top.__file__ and hasattr(top, "__path__") else None
    if folder is None or not Path(source).is_relative_to(folder):
        return {f"{Path(source).parent.name}/{Path(source).name}": Path(source)}
    return {f"{folder.name}/{path.relative_to(folder)}": path for path in _sources(folder)}


def _unwrapped(definition: Any) -> Any:
    """Return the function or class inside `functools.partial` and decorators."""
    while isinstance(definition, functools.partial):
        definition = definition.func
    return inspect.unwrap(definition)


def package_versions() -> dict[str, str]:
    """Read the versions of the packages that the values depend on, without importing them."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str | None:
    """Return the checkout's commit, with a mark if files were changed since, or None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=PACKAGE, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
