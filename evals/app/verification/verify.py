"""Verify a finished run: execute some of its samples again, compare, bound, and write `verified.json`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from evals.app import readiness
from evals.app.verification import protocol, recorded_prompts
from evals.app.verification.choice import choose, fresh_salt
from evals.app.verification.comparing import (
    LEVEL,
    ComparedSamples,
    ExecutedSample,
    compare_samples,
    default_tolerance,
)
from evals.app.verification.protocol import VerificationSettings
from evals.errors import InputError
from evals.execution import windows
from evals.execution.executor import InProcess
from evals.execution.resolve import Resolved
from evals.execution.run import evaluate, open_executor
from evals.execution.selection import chosen
from evals.logs.matching import is_imported
from evals.records import Record, RunFolder, load, result, signature
from evals.records.digests import differences, digest_of_ids, digest_of_result
from evals.records.prefixes import PrefixReader
from evals.records.sequential.random_order import random_order
from evals.records.signature import SignedModel
from evals.records.types import Manifest, PlanEntry, Result, SampleRecord
from evals.records.verifying.verified import ToleranceEntry, VerifiedEntry, digest_of_samples, write_verification
from evals.schema import RunConfig, Samples, Task

_OF_THE_CHOICE = frozenset({"task.limit", "task.first", "data.samples", "data.ids", "data.samples_in_split"})
"""Fields in which an execution of some samples differs from the run anyway."""


@dataclass(frozen=True, slots=True)
class RepeatedRun:
    """A run that can be executed again: its task, its samples, and its model."""

    task: Task
    config: RunConfig
    split: Samples
    """All samples of the split."""
    samples: Samples
    """All samples of the run."""
    replica: bool
    is_imported: bool = False


def verify(folder: Path, settings: VerificationSettings) -> tuple[Record, VerifiedEntry]:
    """Execute randomly chosen samples of a finished run again, and write `verified.json` into its folder.

    The run's manifest, samples and result are not changed.

    Args:
        folder: the run folder, of this suite or imported.
        settings: the user's choices.

    Returns:
        The run, and what was found.

    Raises:
        InputError: the run cannot be executed again, or its data, weights or code have changed.
        RecordError: the folder holds no finished run, or its result is not that of its samples.
    """
    record = load(folder)
    record.finished()
    rows = list(record.samples())
    before = digest_of_samples(record.folder)
    salt = fresh_salt() if settings.seed is None else settings.seed
    wanted = choose([row.id for row in rows], settings.sample, salt)
    repeated = recorded_prompts.repeated(record, rows, settings) if is_imported(record) else _repeated(record, settings)
    _check_result(record, rows, repeated)
    _check_order(record, rows, repeated.samples)
    again, manifest = _executed(record, repeated, wanted, settings)
    kept = set(wanted)
    tolerance = default_tolerance([record.manifest.model.get("dtype"), manifest.model.get("dtype")], settings.tolerance)
    compared = compare_samples(
        list(_with_inputs(record, [row for row in rows if row.id in kept], repeated)),
        again,
        failed_in_run=sum(row.failed for row in rows),
        samples_of_run=len(rows),
        tolerance=tolerance,
        embeds=repeated.task.needs == "embed" and record.manifest.task.method is None,
    )
    choice = _Choice(salt, settings.seed is None, wanted)
    entry = _entry(record, manifest, choice, compared, before, tolerance)
    entry.samples = len(rows)  # fewer than planned, if the run stopped when it was precise enough
    if before != digest_of_samples(record.folder):
        raise InputError(f"the samples of {record.folder} changed while they were verified: nothing was written")
    write_verification(record, entry)
    return record, entry


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which samples were executed again, and by which salt."""

    salt: str
    is_fresh: bool
    ids: list[str]


def _entry(
    record: Record,
    manifest: Manifest,
    choice: _Choice,
    compared: ComparedSamples,
    digest: str,
    tolerance: ToleranceEntry,
) -> VerifiedEntry:
    """Put together what `verified.json` holds."""
    fields = differences(record.manifest.to_dict(), manifest.to_dict())
    left_out = (
        ("data.", "model.", "machine.", "imported") if is_imported(record) else ("imported",)
    )  # a log says little
    return VerifiedEntry(
        signature=record.manifest.signature,
        samples_digest=digest,
        result_digest=digest_of_result(record.finished().to_dict()),
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        salt=choice.salt,
        salt_is_fresh=choice.is_fresh,
        sample_ids=choice.ids,
        samples=record.manifest.sample_count,
        comparable=compared.comparable,
        compared=compared.compared,
        failed=compared.failed,
        level=LEVEL,
        tolerance=tolerance,
        largest_difference=compared.largest_difference,
        differing=dict(compared.differing),
        differences=list(compared.differences),
        model=manifest.model,
        code=manifest.code.to_dict(),
        packages=manifest.packages,
        machine=manifest.machine,
        differs_from_run=[field for field in fields if field not in _OF_THE_CHOICE and not field.startswith(left_out)],
        command=manifest.command,
    )


def _repeated(record: Record, settings: VerificationSettings) -> RepeatedRun:
    """Find what a run of this suite executed. Raises `InputError` if it has changed, or cannot be executed."""
    config = protocol.configuration(record, settings)
    protocol.check_server(config, settings)
    config = replace(config, progress=settings.progress, command=settings.command)
    ready = readiness.ready(config)
    loader = signature.RemoteModel(ready.source.name, {}, loader=ready.source.family.load)
    protocol.check_code(record, ready.task.version, signature.code_digest(ready.task, loader), settings.other_code)
    protocol.check_samples(record, ready.samples.facts, digest_of_ids(ready.samples.ids))
    return RepeatedRun(ready.task, ready.config, ready.split, ready.samples, ready.source.replica)


def _check_result(record: Record, rows: Sequence[SampleRecord], repeated: RepeatedRun) -> None:
    """Refuse a result whose values are not those of its samples: what is verified would not be what is reported."""
    stated = record.finished()
    if repeated.is_imported or not repeated.task.per_sample:
        return
    computed = result.summarise(repeated.task, replace(record, result=None), peak_memory_bytes=None, rows=rows)
    wrong = [name for name in stated.metrics if not _same_value(stated, computed, name)]
    if wrong:
        raise InputError(
            f"{record.folder} does not agree with itself: {wrong[0]} of its result is not that of its samples; score "
            f"it again (python -m evals score {record.folder}), or restore what was changed"
        )


def _check_order(record: Record, rows: Sequence[SampleRecord], samples: Samples) -> None:
    """Refuse a run that stopped early with other samples than the first ones of its random order."""
    if record.finished().stopped is None:
        return
    order = random_order(samples.ids, [sample.cluster for sample in samples], record.manifest.task.seed)
    first = {samples.ids[position] for position in order.positions[: len(rows)]}
    if first != {row.id for row in rows}:
        raise InputError(
            f"{record.folder} says that it stopped early, but its samples are not the first {len(rows):,} of its "
            "random order: they were chosen otherwise, and its interval does not hold"
        )


def _same_value(a: Result, b: Result, name: str) -> bool:
    return name in b.metrics and abs(a.metrics[name].value - b.metrics[name].value) <= 1e-9


def _executed(
    record: Record, repeated: RepeatedRun, wanted: Sequence[str], settings: VerificationSettings
) -> tuple[dict[str, ExecutedSample], Manifest]:
    """Execute the chosen samples in a folder of their own; return them by id, and how they were executed."""
    task, config = repeated.task, repeated.config
    samples = chosen(repeated.samples, wanted)
    with tempfile.TemporaryDirectory(prefix="evals-verify-") as place:
        with open_executor(config, task, repeated.split, load_model=Resolved.load) as loaded:
            model = loaded.model
            manifest = _manifest(record, repeated, samples, model)
            if not repeated.is_imported:
                protocol.check_model(record, model.facts)
            executor = InProcess(model, samples)  # type: ignore[arg-type]
            with RunFolder(Path(place, "run"), manifest) as run_folder:
                evaluate(config, task, samples, executor, run_folder)
        executed = load(Path(place, "run"))
        return {row.row.id: row for row in _with_inputs(executed, list(executed.samples()), repeated)}, manifest


def _manifest(record: Record, repeated: RepeatedRun, samples: Samples, model: SignedModel) -> Manifest:
    """Describe the execution as a run of the chosen samples, with the date of the run, which templates may print."""
    config = repeated.config
    stated = record.manifest.plan
    plan = PlanEntry(budget=config.token_budget or stated.budget, share=config.placement.share, window=windows.WINDOW)
    manifest = signature.build_manifest(
        repeated.task, config.options, samples, model, replica=repeated.replica, plan=plan, command=config.command
    )
    manifest.started = record.manifest.started
    return manifest


def _with_inputs(record: Record, rows: Sequence[SampleRecord], repeated: RepeatedRun) -> Iterator[ExecutedSample]:
    """Yield samples with what the model read; of an imported run that is what it was asked again, and not compared."""
    if repeated.is_imported:
        yield from (ExecutedSample(recorded_prompts.comparable(row), None) for row in rows)
        return
    wanted = {read.prefix for row in rows for read in row.inputs or () if read is not None and read.prefix is not None}
    reader = PrefixReader(record.folder, wanted)
    for row in rows:
        inputs = None
        if row.inputs is not None:
            inputs = [None if read is None else reader.whole(read) for read in row.inputs]
        yield ExecutedSample(row, inputs)
