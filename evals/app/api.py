"""The calls behind the commands: `run`, `load`, `score`.

With `evals.app.cli` and `evals.app.check` the only module that knows tasks, models and reports; it finds the first two
through the registry.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from evals import records, registry
from evals.errors import InputError, RecordError
from evals.execution import loop, validation
from evals.execution.run import Job, evaluate
from evals.records import result, signature
from evals.records.folder import Record, RunFolder, load
from evals.schema import Json, Model, Options, Placement, Samples, Task
from evals.timing import interleaving
from evals.timing.stopwatch import ModelSource

__all__ = ["interleave", "load", "run", "score"]


def run(
    model: str,
    task: str,
    *,
    scale: str = "mini",
    checkpoint: str | None = None,
    data: Path | str | None = None,
    split: str | None = None,
    limit: int | None = None,
    out: Path | str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    token_budget: int | None = None,
    shots: int | None = None,
    same_shots: bool = False,
    method: str | None = None,
    blind: bool = False,
    share: bool = True,
    workers: int = 1,
    seed: int = 0,
    temperature: float = 0.0,
    top_p: float = 1.0,
    samples: int = 1,
    processes: int | None = None,
    repetitions: int | None = None,
    force: bool = False,
    progress: bool = False,
    command: str = "",
) -> Record:
    """Run a model on a task, or go on with a run that was interrupted, or read one that is finished.

    Args:
        model: a registered name, `hf:ORG/NAME[@REV]`, a folder, `replay:FILE`, `endpoint:URL#NAME`.
        task: a registered name.
        scale: `mini` (bundled checkpoint and data) or `full` (public ones).
        checkpoint: a folder or hub id that is loaded instead of a registered model's own.
        data: a folder with the benchmark's official files, read instead of the scale's data.
        split: a split of the task; by default its first.
        limit: only the first so many samples.
        out: the run folder; by default `runs/<model>-<task>-<signature>`.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU where there is one.
        dtype: `float32`, `bfloat16`, `float16`; by default float32 on a CPU and bfloat16 on a GPU.
        token_budget: token positions a batch may hold; by default what suits the device.
        shots: examples in the prompt, for tasks that take them.
        same_shots: the same examples for all samples, computed once, where a task would draw them for each.
        method: how a language task is asked, for tasks that offer a choice.
        blind: replace every picture by a flat one, and every recording by silence.
        share: compute shared prefixes once; off only to measure what that is worth.
        workers: processes that share the run; the result does not depend on how many.
        seed: joined with a sample's id wherever something is drawn.
        temperature: 0 takes the likeliest token each time; more draws, the flatter the higher.
        top_p: draw from the smallest set of tokens with this much probability.
        samples: outputs a problem, for tasks that take several.
        processes: fresh starts of the model, for a task that times it.
        repetitions: times that each of them computes each request, for a task that times it.
        force: ask a model for what it is not known to read; a blind control must then show that it does.
        progress: show a progress bar on standard error.
        command: what the user typed, kept in the manifest.

    Returns:
        The finished run.

    Raises:
        InputError: for anything that the user can mend.

    Example:
        >>> record = run("vl", "vqa", limit=5)  # doctest: +SKIP
        >>> record.result["headline"]  # doctest: +SKIP
        'accuracy'
    """
    folder_of_data = Path(data).expanduser() if data is not None else None
    options = Options(
        scale, split, folder_of_data, limit, blind, shots, method, seed, temperature, top_p, samples, same_shots,
        processes, repetitions,
    )  # fmt: skip
    job = Job(model, task, checkpoint, options, Placement(device, dtype, share))
    validation.check_numbers(options, token_budget, workers)
    adapter, resolved = job.adapter(), job.resolved()
    validation.check_taken(adapter, options)
    if adapter.timed:
        refused = {"limit": limit, "workers": workers if workers > 1 else None, "token-budget": token_budget}
        validation.check_timed(adapter, {**refused, "blind": blind, "force": force})
        (record,) = _interleave([job], [out], progress, command)
        return record
    options = replace(options, method=validation.method(adapter, resolved, method))
    job = replace(job, options=options)
    everything = adapter.samples(options)
    chosen = job.chosen(everything)
    validation.check_modalities(adapter, resolved, everything, force)
    loaded = resolved.load(job.placement)
    validation.check_able(adapter, options, loaded)
    loaded.check(everything.output_ids(), chosen.output_ids())
    planned = {"budget": token_budget, "share": share, "window": loop.WINDOW}
    manifest = signature.sign(adapter, options, chosen, loaded, replica=resolved.replica, plan=planned, command=command)
    folder = Path(out).expanduser() if out is not None else _default_folder(manifest)
    with RunFolder(folder, manifest) as run_folder:
        if not (folder / records.RESULT).exists():
            evaluate(job, adapter, chosen, loaded, run_folder, workers, progress)
            _check_complete(folder, run_folder)
            if not adapter.per_sample:
                records.rewrite(load(folder), result.rescore(adapter, load(folder)))
            summary = result.summarise(adapter, load(folder), peak_memory_bytes=_peak_memory(loaded))
            _keep_pictures(load(folder), chosen, summary)
            run_folder.finish(summary)
        if not (folder / "report.html").exists():  # also where a crash came between the result and its report
            _report(load(folder))
    return load(folder)


def interleave(
    models: Sequence[str],
    task: str = "efficiency",
    *,
    scale: str = "mini",
    split: str | None = None,
    out: Path | str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    processes: int | None = None,
    repetitions: int | None = None,
    progress: bool = False,
    command: str = "",
) -> list[Record]:
    """Time several models in turn, so that the ratio of two is theirs and not the machine's.

    Args:
        models: as `run` takes one; all different.
        task: one whose requests are timed.
        scale: as in `run`.
        split: as in `run`.
        out: a folder for the run folders, each named after its model; by default as `run` names them.
        device: as in `run`.
        dtype: as in `run`.
        processes: fresh starts of each model.
        repetitions: times that each of them computes each request.
        progress: show a progress bar on standard error.
        command: what the user typed, kept in the manifests.

    Returns:
        A finished run a model, in their order.

    Raises:
        InputError: for anything that the user can mend.

    Example:
        >>> r1, v2 = interleave(["r1", "v2"])  # doctest: +SKIP
        >>> compare(r1.folder, v2.folder).metrics[0].ratio  # doctest: +SKIP
        0.58
    """
    adapter = registry.TASKS.get(task)
    if not adapter.timed:
        raise InputError(f"task {task!r} is not timed: its models need not take turns, run them one by one")
    for name in models:
        if models.count(name) > 1:
            raise InputError(f"model {name!r} is named twice: it cannot take turns with itself")
    options = Options(scale, split, processes=processes, repetitions=repetitions)
    validation.check_numbers(options, None, 1)
    jobs = [Job(name, task, None, options, Placement(device, dtype)) for name in models]
    folders = [None if out is None else Path(out) / _safe(name) for name in models]
    return _interleave(jobs, folders, progress, command)


def check_timed(model: str, task: str, *, scale: str = "mini", split: str | None = None) -> None:
    """Raise `InputError` where a model cannot be timed, before any weight is read."""
    _entrant(Job(model, task, None, Options(scale, split), Placement()), registry.TASKS.get(task))


def is_timed(task: str) -> bool:
    """Say whether a task times its models, so that several of them may take turns."""
    return registry.TASKS.get(task).timed


def _interleave(
    jobs: Sequence[Job], folders: Sequence[Path | str | None], progress: bool, command: str
) -> list[Record]:
    """Time the models of some jobs in turn, or go on where that was interrupted."""
    from tqdm import tqdm

    adapter = jobs[0].adapter()
    entrants = [_entrant(job, adapter) for job in jobs]
    total = sum(len(entrant.samples) for entrant in entrants)
    with ExitStack() as stack, tqdm(total=total, unit=" turns", disable=not progress, desc=adapter.name) as bar:
        with interleaving.Session(entrants) as session:
            manifests = [interleaving.manifest(adapter, each, entrants, session, command) for each in entrants]
            places = [place or _default_folder(signed) for place, signed in zip(folders, manifests, strict=True)]
            runs = [
                stack.enter_context(RunFolder(Path(place).expanduser(), signed))
                for place, signed in zip(places, manifests, strict=True)
            ]
            timing = interleaving.TimingRun(adapter, entrants, runs, bar.update)
            missing = timing.missing()
            for number in missing[:1]:
                timing.time(session, number)
        for number in missing[1:]:
            with interleaving.Session(entrants) as session:
                timing.time(session, number)
        for run in runs:
            if not (run.folder / records.RESULT).exists():
                _check_complete(run.folder, run)
                record = load(run.folder)
                peak = interleaving.peak_bytes(record.samples())
                run.finish(result.summarise(adapter, record, peak_memory_bytes=peak))
        for run in runs:
            if not (run.folder / "report.html").exists():
                _report(load(run.folder))
    return [load(run.folder) for run in runs]


def _entrant(job: Job, adapter: Task) -> interleaving.TimedModel:
    """A model that is timed, and the requests that it is shown: those that it can read."""
    resolved = job.resolved()
    validation.method(adapter, resolved, None)
    if resolved.family.name == "replay":
        raise InputError(f"model {job.model!r} is recorded outputs: nothing is computed that could be timed")
    samples = adapter.samples(job.options)
    readable = loop.readable(samples, resolved.modalities)
    if not len(readable):
        validation.check_modalities(adapter, resolved, samples, force=False)
    source = ModelSource(job.model, job.options.scale, job.checkpoint, job.placement)
    return interleaving.TimedModel(source, readable, resolved, job.options)


def score(folder: Path | str) -> Record:
    """Score a finished run's outputs again with the task as it is now; no model is needed.

    Raises:
        InputError: when the folder is no run or holds no finished samples.
    """
    record = load(folder)
    adapter = registry.TASKS.get(record.manifest["task"]["name"])
    with RunFolder(record.folder, record.manifest) as run_folder:
        _check_complete(record.folder, run_folder)
        records.rewrite(record, result.rescore(adapter, record))
        old = record.result or {"efficiency": {"peak_memory_bytes": None}}
        peak = old["efficiency"]["peak_memory_bytes"]
        summary = result.summarise(adapter, record, peak_memory_bytes=peak)
        run_folder.finish(summary)
        _report(load(folder))
    return load(folder)


def _check_complete(folder: Path, run: RunFolder) -> None:
    """Refuse to make a result of a part of the samples."""
    total = run.manifest["data"]["samples"]
    if len(run.done) != total:
        raise RecordError(f"{folder} holds {len(run.done)} of {total} samples: start its run again to finish it")


def _default_folder(manifest: dict[str, Json]) -> Path:
    """`runs/<model>-<task>-<signature>`, with names that a file system takes."""
    names = (manifest["model"]["name"], manifest["task"]["name"])
    return Path("runs") / "-".join([*map(_safe, names), manifest["signature"]])


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name).strip("-.")


def _keep_pictures(record: Record, samples: Samples, summary: dict[str, Json]) -> None:
    """Keep a small picture of each of the worst samples, so that a page can show them without the data."""
    from evals.data.images import thumbnail
    from evals.reports.runs.worst_samples import choose_worst

    for row in choose_worst(replace(record, result=summary)):
        picture = thumbnail(samples[row["index"]])
        if picture is not None:
            (record.folder / records.WORST).mkdir(exist_ok=True)
            records.write_atomically(record.folder / records.WORST / records.picture_name(row["id"]), picture)


def _report(record: Record) -> None:
    from evals import reports

    reports.write(record)


def _peak_memory(model: Model) -> int:
    """The most bytes held: on the model's device where it counts them, else by the processes of this run."""
    counted = model.peak_memory_bytes()
    if counted is not None:
        return counted
    unit = 1 if sys.platform == "darwin" else 1024
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return unit * max(own, children)
