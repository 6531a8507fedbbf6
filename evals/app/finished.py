"""Recognise a finished run of a command without loading its model, so that a command with many runs soon continues.

A run folder is that of a configuration if the signature is the same. What a model states about itself is known only
when it is loaded. Here it is taken from the folder, if the same command wrote it, with options that concern workers and
places aside, and the files of the checkpoint are the same by their digest. In doubt the model is loaded.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from evals import registry
from evals.app.readiness import ReadyRun, ready
from evals.errors import RecordError
from evals.execution import windows
from evals.records import MANIFEST, RESULT, SAMPLES, Record, files, load, signature
from evals.records.digests import base_signature
from evals.records.signature import RemoteModel
from evals.records.types import PlanEntry
from evals.schema import RunConfig

_FREE = frozenset({"--model", "--models-file", "--task", "--out", "--workers", "--cluster", "--track", "--progress"})
"""Options with a value that do not change a run of a given model and task, beyond what its manifest says of both."""


def finished_run(config: RunConfig, digest: Callable[[Path], str]) -> Record | None:
    """Return the finished run that a command would find in its folder, or None if that is not certain.

    Args:
        config: with a folder (`out`) and the command; without them nothing is certain.
        digest: returns the digest of a checkpoint's files; it may remember those of other runs of the command.

    Raises:
        InputError: the configuration cannot be run.
    """
    folder = config.out
    if folder is None or config.extend is not None or not config.command:
        return None
    if not all((folder / name).is_file() for name in (MANIFEST, SAMPLES, RESULT, "report.html")):
        return None
    try:
        record = load(folder)
        if _relevant(record.manifest.command) != _relevant(config.command):
            return None
        run = ready(config)
        ids = {id for _, id, _ in files.keys(folder / SAMPLES, base_signature(record.manifest.to_dict()))}
    except RecordError:  # the run itself says what is wrong with the folder
        return None
    if ids != set(run.samples.ids) or not _has_same_weights(run, record, digest):
        return None
    return record if _signature(run, record) == record.manifest.signature else None


def _relevant(command: str) -> list[str]:
    """Return the words of a command line that may change a run of a given model and task.

    Example:
        >>> _relevant("python -m evals run --model a,b --workers=2 --limit 5 --out 'my runs' --blind")
        ['--limit', '5', '--blind']
    """
    words, kept = iter(shlex.split(command)[4:]), []
    for word in words:
        if word in _FREE:
            next(words, None)
        elif word.partition("=")[0] not in _FREE:
            kept.append(word)
    return kept


def _has_same_weights(run: ReadyRun, record: Record, digest: Callable[[Path], str]) -> bool:
    """Return whether the files of the checkpoint are those that the folder's model was loaded from."""
    folder, stated = Path(run.source.checkpoint).expanduser(), record.manifest.model
    if run.source.family.prefix is not None or not folder.is_dir() or "adapter" in stated:
        return False
    return digest(folder) == stated.get("digest")


def _signature(run: ReadyRun, record: Record) -> str:
    """Sign the run as if its model stated what the folder's model stated."""
    config, task = run.config, registry.TASKS.get(run.config.task)
    stated = {name: value for name, value in record.manifest.model.items() if name not in {"name", "replica"}}
    model = RemoteModel(run.source.name, stated, loader=run.source.family.load)
    plan = PlanEntry(budget=config.token_budget, share=config.placement.share, window=windows.WINDOW)
    manifest = signature.build_manifest(
        task, config.options, run.samples, model, replica=run.source.replica, plan=plan, command=config.command
    )
    return manifest.signature
