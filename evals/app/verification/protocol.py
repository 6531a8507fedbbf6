"""Make the configuration of a finished run from its manifest, and refuse what has changed since.

What determines the samples and the answers must be the same: the task and its version, the data by their digests, the
weights by theirs, the code of the suite. What computes the answers (engine, number format, device, libraries) may be
other: that is what a verification tests.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evals import registry
from evals.data.row_tables import written_columns
from evals.errors import InputError, shorten
from evals.execution.generation_options import SWITCH
from evals.records.digests import EXTENDED, LOCATIONS
from evals.records.folder import Record
from evals.records.types import Manifest
from evals.schema import Json, RunConfig
from evals.schema.config import ENGINES

_PLACES = frozenset({"name", "replica", "server"}) | LOCATIONS
"""Facts of a model that say where it is or how it is called."""
_COMPUTED_BY = frozenset({
    "engine", "engine_reason", "device", "dtype", "checkpoint_dtype", "attention", "batching", "shares_prefixes",
    "gpus", "engine_version", "engine_settings", "positions",
})  # fmt: skip
"""Facts of a model that say what computes it."""
_OF_THE_CHOICE = frozenset({"samples", "ids", "samples_in_split"})
_OPTIONS = (
    "limit", "first", "blind", "shots", "method", "seed", "temperature", "top_p", "same_shots", "samples",
)  # fmt: skip
"""Fields of the manifest's task that are options of the same name."""
_OF_COMMAND = ("data", "columns", "labels", "long_prompts", "force", "checkpoint")
"""Options that the manifest does not state in their own form; they are read from the recorded command."""


@dataclass(frozen=True, slots=True)
class VerificationSettings:
    """What the user of `verify` chose."""

    sample: int = 30
    """Number of samples that are executed again."""
    seed: str | None = None
    """Salt of an earlier verification; None draws a fresh one."""
    tolerance: float | None = None
    """In nats; None for the default of the number formats."""
    model: str | None = None
    """Where the model is, in a form that `run` accepts; None as the run named it."""
    checkpoint: str | None = None
    task: str | None = None
    """The task's file, for a task that is none of the suite."""
    data: str | None = None
    engine: str | None = None
    dtype: str | None = None
    device: str | None = None
    max_new_tokens: int | None = None
    """For logs of other harnesses that do not state it."""
    other_code: bool = False
    """Verify also with other code of the suite than the run's."""
    progress: bool = False
    command: str = ""


def configuration(record: Record, settings: VerificationSettings) -> RunConfig:
    """Make the configuration of a run from its manifest.

    Raises:
        InputError: the run cannot be executed again; the message says which fields hinder.
    """
    manifest = record.manifest
    _check_kind(record)
    typed = _command_options(manifest)
    entry = manifest.task
    options: dict[str, Any] = {name: getattr(entry, name) for name in _OPTIONS}
    options["split"] = typed.get("split") if typed else entry.split
    options |= {name: typed[name] for name in _OF_COMMAND if typed.get(name)}
    if "data" in options:
        options["data"] = _data_of(options["data"], entry.name)
    if isinstance(columns := manifest.data.get("columns"), Mapping):
        options["columns"] = written_columns(columns)
    options |= _generation(manifest)
    if isinstance(entry.prompt, str):
        options["prompt"] = entry.prompt
    if settings.model is not None:
        options.pop("checkpoint", None)
    chosen = {"data": settings.data, "checkpoint": settings.checkpoint}
    options |= {name: value for name, value in chosen.items() if value is not None}
    long_prompts = manifest.model.get("long_prompts")
    if long_prompts in {"fail", "truncate-left"} and typed.get("long_prompts"):
        options["long_prompts"] = long_prompts
    return RunConfig.of(
        settings.model or manifest.model_name,
        _task_name(record, settings, typed),
        scale=entry.scale,
        **options,
        **_placement(manifest, settings),
    )


def _check_kind(record: Record) -> None:
    """Refuse runs that cannot be executed sample by sample, or that would ask a server that a stranger names."""
    manifest, where = record.manifest, record.folder
    if manifest.timed:
        raise InputError(f"{where} is a timed run: its values are times, which no second execution repeats")
    if manifest.model.get("family") == "replay":
        raise InputError(
            f"{where} scores recorded outputs ({manifest.model_name}): they would be read again, not executed; "
            f"verify a run of the model itself"
        )


def check_server(config: RunConfig, settings: VerificationSettings) -> None:
    """Refuse to ask a server, with the user's key, because somebody's run folder names it. Raises `InputError`."""
    named = (config.model, config.checkpoint or "")
    chosen = (settings.model or "", settings.checkpoint or "")
    for name in named:
        if name.startswith("endpoint:") and name not in chosen:
            raise InputError(
                f"the run names a server, {shorten(name)}; a verification sends it requests and your key only if you "
                f"name it too: give --model {shorten(name)}"
            )


def _task_name(record: Record, settings: VerificationSettings, typed: Mapping[str, Any]) -> str:
    name = record.manifest.task.name
    if settings.task is not None:
        return settings.task
    if name in registry.TASKS:
        return name
    with contextlib.suppress(InputError):
        for candidate in str(typed.get("task") or "").split(","):
            if candidate.endswith((".yaml", ".yml")) and registry.TASKS.get(candidate).name == name:
                return candidate
    raise InputError(
        f"{record.folder} is of task {name!r}, which is none of this suite or its plug-ins: give the task's file with "
        f"--task FILE.yaml"
    )


def _command_options(manifest: Manifest) -> dict[str, Any]:
    """Return the options of the command that made a run, as far as it can be read; nothing of it is executed."""
    from evals.app import parser

    try:
        words = shlex.split(manifest.command)
    except ValueError:
        return {}
    if words[:4] != ["python", "-m", "evals", "run"]:
        return {}
    with contextlib.suppress(InputError, SystemExit):
        return vars(parser.build().parse_args(words[3:]))
    return {}


def _data_of(values: list[str], task: str) -> str | None:
    """Return the data of a task among the recorded values of --data."""
    from evals.app import several

    with contextlib.suppress(InputError):
        by_task = several.data_by_task(values)
        return by_task.get(task) if isinstance(by_task, Mapping) else by_task
    return None


def _generation(manifest: Manifest) -> dict[str, Any]:
    """Return the options for generated texts. An extended run is that of its last limit."""
    generation = manifest.task.generation
    options = dict(generation) if isinstance(generation, Mapping) else {}
    if EXTENDED in options:
        options["max_new_tokens"] = options.pop(EXTENDED)
    system, template = options.get("system_prompt"), options.get("chat_template")
    if isinstance(system, str) and system.startswith("@"):
        raise InputError(f"task.generation.system_prompt of the run is {shorten(system)}, which would name a file here")
    if isinstance(template, str) and template not in SWITCH and "{{" not in template and "{%" not in template:
        raise InputError(f"task.generation.chat_template of the run is {shorten(template)}: no template")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def _placement(manifest: Manifest, settings: VerificationSettings) -> dict[str, Any]:
    """Return where the verification computes: as the user says, else as the run did where this machine can."""
    stated = manifest.model
    engine = settings.engine or (stated.get("engine") if stated.get("engine") in ENGINES else None)
    device = settings.device or ("cpu" if stated.get("device") == "cpu" else None)
    dtype = settings.dtype or stated.get("dtype")
    choices = {"engine": engine if settings.engine or engine == "vllm" else None, "device": device, "dtype": dtype}
    return {name: value for name, value in choices.items() if value is not None}


def check_samples(record: Record, facts: Mapping[str, Json], ids_digest: str) -> None:
    """Refuse data that have changed since the run.

    Args:
        record: the run.
        facts: those of the samples as they are now.
        ids_digest: the digest of the ids of all samples of the run, now.

    Raises:
        InputError: names the fields that differ.
    """
    stated = {name: value for name, value in record.manifest.data.items() if name not in _OF_THE_CHOICE}
    changed = list(_differing(stated, facts, LOCATIONS | _OF_THE_CHOICE))
    if not changed and ids_digest != record.manifest.data["ids"]:
        changed = ["the ids of the samples"]
    if changed:
        raise InputError(
            f"the data of {record.folder} have changed: {_listed(changed)} {_differ(changed)}; name the files of the "
            f"run with --data"
        )


def check_model(record: Record, facts: Mapping[str, Json]) -> None:
    """Refuse other weights, or other settings of the model, than the run's; what computes them may be other.

    Args:
        record: the run.
        facts: what the loaded model states about itself.

    Raises:
        InputError: names the fields that differ.
    """
    stated = record.manifest.model
    ignored = _PLACES | _COMPUTED_BY
    changed = list(_differing(stated, facts, ignored))
    if stated.get("engine") != facts.get("engine"):  # each engine states facts of its own
        changed = [name for name in changed if name.split(".")[0] in stated.keys() & facts.keys()]
    if not changed:
        return
    if "digest" in changed:
        raise InputError(
            f"the weights of {record.manifest.model_name} have changed: the run's have the digest "
            f"{stated.get('digest')}, these {facts.get('digest')}; name the run's with --model or --checkpoint"
        )
    raise InputError(
        f"the model of {record.folder} would be executed with other settings: {_listed(changed)} {_differ(changed)}"
    )


def check_code(record: Record, version: int, digest: str, other_code: bool) -> None:
    """Refuse another version of the task, or, unless the user allows it, other code of the suite.

    Raises:
        InputError: says which.
    """
    manifest = record.manifest
    if manifest.task.version != version:
        raise InputError(
            f"task {manifest.task.name!r} has changed: the run has version {manifest.task.version}, this suite "
            f"{version}; its scores are not comparable"
        )
    if manifest.code.digest != digest and not other_code:
        commit = f" (commit {manifest.code.commit})" if manifest.code.commit else ""
        raise InputError(
            f"the code has changed: the run was made by code {manifest.code.digest}{commit}, this is {digest}; take "
            f"that version of the suite, or give --other-code, which is recorded"
        )


def _differing(a: Mapping[str, Json], b: Mapping[str, Json], ignored: frozenset[str]) -> Iterator[str]:
    for key in sorted({*a, *b} - ignored):
        left, right = a.get(key), b.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            yield from (f"{key}.{inner}" for inner in _differing(left, right, frozenset()))
        elif _plain(left) != _plain(right):
            yield key


def _plain(value: Json) -> Json:
    return list(value) if isinstance(value, tuple) else value


def _listed(fields: list[str]) -> str:
    more = f" and {len(fields) - 4} more" if len(fields) > 4 else ""
    return ", ".join(fields[:4]) + more


def _differ(fields: list[str]) -> str:
    return "differs" if len(fields) == 1 else "differ"


def settings_of(options: argparse.Namespace) -> VerificationSettings:
    """Return the settings of a command line."""
    names = VerificationSettings.__dataclass_fields__.keys() & vars(options).keys()
    return replace(VerificationSettings(), **{name: getattr(options, name) for name in names})
