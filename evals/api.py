"""The calls behind the commands: `run`, `load`, `score`.

With `evals.cli` and `evals.checking` the only module that knows tasks, models and reports; it finds the first two
through the registry.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from evals import collector, interleaving, records, registry, result, runner, signature
from evals.errors import InputError, RecordError, UnknownName
from evals.records import Record, RunFolder, load
from evals.resolve import Resolved, resolve
from evals.schema import MODALITIES, SCALES, Json, Model, Options, Placement, Reader, Samples, Task
from evals.stopwatch import Source
from evals.workers import Pool

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
    registry.discover()
    folder_of_data = Path(data).expanduser() if data is not None else None
    options = Options(
        scale, split, folder_of_data, limit, blind, shots, method, seed, temperature, top_p, samples, same_shots,
        processes, repetitions,
    )  # fmt: skip
    job = _Job(model, task, checkpoint, options, Placement(device, dtype, share))
    _check_numbers(options, token_budget, workers)
    adapter, resolved = job.adapter(), job.resolved()
    _check_taken(adapter, options)
    if adapter.timed:
        refused = {"limit": limit, "workers": workers if workers > 1 else None, "token-budget": token_budget}
        _check_timed(adapter, {**refused, "blind": blind, "force": force})
        (record,) = _interleave([job], [out], progress, command)
        return record
    options = replace(options, method=_method(adapter, resolved, method))
    job = replace(job, options=options)
    everything = adapter.samples(options)
    chosen = job.chosen(everything)
    _check_modalities(adapter, resolved, everything, force)
    loaded = resolved.load(job.placement)
    _check_able(adapter, options, loaded)
    loaded.check(everything.answer_ids(), chosen.answer_ids())
    planned = {"budget": token_budget, "share": share, "window": runner.WINDOW}
    manifest = signature.sign(adapter, options, chosen, loaded, replica=resolved.replica, plan=planned, command=command)
    folder = Path(out).expanduser() if out is not None else _default_folder(manifest)
    with RunFolder(folder, manifest) as run_folder:
        if not (folder / records.RESULT).exists():
            _evaluate(job, adapter, chosen, loaded, run_folder, workers, progress)
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
    registry.discover()
    adapter = registry.TASKS.get(task)
    if not adapter.timed:
        raise InputError(f"task {task!r} is not timed: its models need not take turns, run them one by one")
    for name in models:
        if models.count(name) > 1:
            raise InputError(f"model {name!r} is named twice: it cannot take turns with itself")
    options = Options(scale, split, processes=processes, repetitions=repetitions)
    _check_numbers(options, None, 1)
    jobs = [_Job(name, task, None, options, Placement(device, dtype)) for name in models]
    folders = [None if out is None else Path(out) / _safe(name) for name in models]
    return _interleave(jobs, folders, progress, command)


def check_timed(model: str, task: str, *, scale: str = "mini", split: str | None = None) -> None:
    """Raise `InputError` where a model cannot be timed, before any weight is read."""
    registry.discover()
    _entrant(_Job(model, task, None, Options(scale, split), Placement()), registry.TASKS.get(task))


def is_timed(task: str) -> bool:
    """Say whether a task times its models, so that several of them may take turns."""
    registry.discover()
    return registry.TASKS.get(task).timed


def _interleave(
    jobs: Sequence[_Job], folders: Sequence[Path | str | None], progress: bool, command: str
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
            timing = interleaving.Timing(adapter, entrants, runs, bar.update)
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


def _entrant(job: _Job, adapter: Task) -> interleaving.Entrant:
    """A model that is timed, and the requests that it is shown: those that it can read."""
    resolved = job.resolved()
    _method(adapter, resolved, None)
    if resolved.family.name == "replay":
        raise InputError(f"model {job.model!r} is recorded outputs: nothing is computed that could be timed")
    samples = adapter.samples(job.options)
    readable = runner.readable(samples, resolved.modalities)
    if not len(readable):
        _check_modalities(adapter, resolved, samples, force=False)
    source = Source(job.model, job.options.scale, job.checkpoint, job.placement)
    return interleaving.Entrant(source, readable, resolved, job.options)


def _check_timed(task: Task, given: Mapping[str, object]) -> None:
    """Refuse options that mean nothing to a task that is timed."""
    for flag, value in given.items():
        if value:
            raise InputError(f"--{flag} means nothing to task {task.name!r}, whose requests are timed; leave it out")


def score(folder: Path | str) -> Record:
    """Score a finished run's outputs again with the task as it is now; no model is needed.

    Raises:
        InputError: when the folder is no run or holds no finished samples.
    """
    registry.discover()
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


@dataclass(frozen=True)
class _Job:
    """What a run is of, by names alone, so that it can be sent to a worker."""

    model: str
    task: str
    checkpoint: str | None
    options: Options
    placement: Placement

    def adapter(self) -> Task:
        return registry.TASKS.get(self.task)

    def resolved(self) -> Resolved:
        return resolve(self.model, scale=self.options.scale, checkpoint=self.checkpoint)

    def chosen(self, samples: Samples) -> Samples:
        """The samples that this run is of, out of all the split's."""
        samples = runner.limited(samples, self.options.limit)
        return runner.blinded(samples) if self.options.blind else samples


@dataclass
class _Walk:
    """One worker's way over the plan; loads the model when it first walks."""

    job: _Job
    budget: int
    count: int
    loaded: tuple[Samples, Model] | None = None

    def __call__(self, number: int, done: set[str], claim: runner.Claim, emit: runner.Emit) -> None:
        if self.loaded is None:
            registry.discover()
            samples = self.job.chosen(self.job.adapter().samples(self.job.options))
            self.loaded = samples, self.job.resolved().load(self._placement(number))
        samples, model = self.loaded

        def shared(tickets: Sequence[runner.Ticket], answers: list[runner.Answer]) -> None:
            # The workers' seconds pass at the same time: a sample costs its part of them.
            emit(
                tickets,
                [
                    a._replace(seconds=a.seconds / self.count, model_seconds=a.model_seconds / self.count)
                    for a in answers
                ],
            )

        runner.work(
            samples, model, budget=self.budget, share=self.job.placement.share, done=done, claim=claim, emit=shared
        )

    def _placement(self, number: int) -> Placement:
        """A GPU for each worker where there are enough, else its part of the cores."""
        wanted = self.job.placement
        on_torch = self.job.resolved().family.prefix is None
        if on_torch and wanted.device in {None, "cuda"} and _gpus() > number:
            return replace(wanted, device=f"cuda:{number}")
        return replace(wanted, threads=max(1, (os.cpu_count() or 1) // self.count))


def _evaluate(
    job: _Job, task: Task, samples: Samples, model: Model, folder: RunFolder, count: int, progress: bool
) -> None:
    """Compute what is not on disk yet."""
    from tqdm import tqdm

    budget = folder.manifest["plan"]["token_budget"]
    read = _learned(task, samples, model, budget, job, progress) if len(folder.done) < len(samples) else None
    with tqdm(
        total=len(samples), initial=len(folder.done), unit=" samples", disable=not progress, desc=task.name
    ) as bar:
        collected = collector.Collector(task, samples, read)
        totals = [0.0, 0]

        def emit(tickets: Sequence[runner.Ticket], answers: list[runner.Answer]) -> None:
            # A batch that was cut off by a kill is computed whole again; what it had finished is on disk already.
            rows = [row for row in collected.add(answers) if row["id"] not in folder.done]
            folder.append(rows)
            scored = [row["values"][task.headline] for row in rows if task.headline in row["values"]]
            if scored:
                totals[0] += sum(scored)
                totals[1] += len(scored)
                bar.set_postfix_str(f"{task.headline} {100 * totals[0] / totals[1]:.1f} %", refresh=False)
            bar.update(len(rows))

        def claim(ticket: runner.Ticket, ids: set[str]) -> bool:
            return not ids <= folder.done

        if count > 1:
            Pool(_Walk(job, budget, count), count, len(samples), folder.done, emit).run()
        else:
            share = job.placement.share
            runner.work(samples, model, budget=budget, share=share, done=folder.done, claim=claim, emit=emit)


def _learned(task: Task, samples: Samples, model: Model, budget: int, job: _Job, progress: bool) -> Reader | None:
    """Have a task learn from its train samples how to read embeddings, where the chosen method asks for that."""
    from tqdm import tqdm

    if task.learn is None or task.methods.get(job.options.method or "") != "embed":
        return None
    if samples.train is None:
        return task.learn([], {})
    model.check(samples.train.answer_ids(), samples.train.answer_ids())
    total = len(samples.train)
    with tqdm(total=total, unit=" samples", disable=not progress, desc=f"{task.name}, train") as bar:
        answers = collector.answers_of(
            samples.train, model, budget=budget, share=job.placement.share, advance=bar.update
        )
    return task.learn(list(samples.train), answers)


def _check_numbers(options: Options, token_budget: int | None, workers: int) -> None:
    """Refuse what cannot work before anything is read."""
    if options.scale not in SCALES:
        raise UnknownName("scale", options.scale, SCALES)
    counts = {"limit": options.limit, "token-budget": token_budget, "workers": workers, "samples": options.samples}
    counts |= {"processes": options.processes, "repetitions": options.repetitions}
    for flag, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"--{flag} {value} leaves nothing to do: give 1 or more")
    if options.shots is not None and options.shots < 0:
        raise InputError(f"--shots {options.shots}: give 0 or more")
    if options.same_shots and not options.shots:
        raise InputError("--same-shots says which examples --shots K takes; give that too")
    if not 0 <= options.temperature <= 10 or not 0 < options.top_p <= 1:
        given = f"--temperature {options.temperature} --top-p {options.top_p}"
        raise InputError(f"{given}: a temperature lies in 0 to 10, top-p in 0 to 1")
    if options.samples > 1 and not options.temperature:
        raise InputError(f"--samples {options.samples} would be all alike: give --temperature too")
    if options.top_p != 1 and not options.temperature:
        raise InputError(f"--top-p {options.top_p} says what is drawn from, and nothing is: give --temperature too")


def _check_taken(task: Task, options: Options) -> None:
    """Refuse options that the task would not heed: the manifest must not say what was not done."""
    defaults = Options()
    for name in ("shots", "same_shots", "temperature", "samples", "processes", "repetitions"):
        if getattr(options, name) != getattr(defaults, name) and name not in task.takes:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} means nothing to task {task.name!r}; leave it out")


def _check_modalities(task: Task, model: Resolved, samples: Samples, force: bool) -> None:
    """Refuse a model that does not read what the samples hold: a server may take pictures and never look at them."""
    shown = samples.facts.get("modalities") or sorted(
        {MODALITIES[type(part)] for request in samples[0].requests for part in request.parts} if len(samples) else ()
    )
    lacking = [kind for kind in shown if model.modalities is not None and kind not in model.modalities]
    if lacking and not force:
        reads = ", ".join(sorted(model.modalities or ()))
        hint = " (--force asks all the same, and then runs the blind control)" if "image" in lacking else ""
        raise InputError(f"task {task.name!r} shows {' and '.join(lacking)}; {model.name!r} reads {reads} only{hint}")
    if force and "image" not in lacking:
        why = f"{model.name!r} may read them" if "image" in shown else f"{task.name!r} has none"
        raise InputError(f"--force is for pictures, shown to a model not known to read them; {why}")


def _check_able(task: Task, options: Options, model: Model) -> None:
    """Refuse a checkpoint whose weights do less than its family can."""
    ability = task.needs if options.method is None else task.methods[options.method]
    if ability not in model.abilities:
        can = ", ".join(sorted(model.abilities)) or "nothing"
        raise InputError(f"task {task.name!r} needs a model that can {ability}; {model.name!r} has weights to: {can}")


def _method(task: Task, model: Resolved, wanted: str | None) -> str | None:
    """Choose how a task is asked: as the user wants, else the first way that the model can; None where there is one.

    Refuses a model that cannot do what is asked of it.
    """
    if wanted is not None and wanted not in task.methods:
        raise UnknownName(f"method of {task.name}", wanted, task.methods)
    methods: list[str | None] = [wanted] if wanted is not None else [*task.methods] or [None]
    abilities = [task.needs if method is None else task.methods[method] for method in methods]
    for method, ability in zip(methods, abilities, strict=True):
        if ability in model.family.abilities:
            return method
    can = ", ".join(sorted(model.family.abilities)) or "nothing"
    raise InputError(f"task {task.name!r} needs a model that can {' or '.join(abilities)}; {model.name!r} can: {can}")


def _default_folder(manifest: dict[str, Json]) -> Path:
    """`runs/<model>-<task>-<signature>`, with names that a file system takes."""
    names = (manifest["model"]["name"], manifest["task"]["name"])
    return Path("runs") / "-".join([*map(_safe, names), manifest["signature"]])


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name).strip("-.")


def _keep_pictures(record: Record, samples: Samples, summary: dict[str, Json]) -> None:
    """Keep a small picture of each of the worst samples, so that a page can show them without the data."""
    from evals.pictures import thumbnail
    from reports.worst import worst

    for row in worst(replace(record, result=summary)):
        picture = thumbnail(samples[row["index"]])
        if picture is not None:
            (record.folder / records.WORST).mkdir(exist_ok=True)
            records.write_atomically(record.folder / records.WORST / records.picture_name(row["id"]), picture)


def _report(record: Record) -> None:
    import reports

    reports.write(record)


def _peak_memory(model: Model) -> int:
    """The most bytes held: on the model's device where it counts them, else by the processes of this run."""
    counted = model.peak_memory_bytes()
    if counted is not None:
        return counted
    unit = 1 if sys.platform == "darwin" else 1024
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return unit * max(own, children)


def _gpus() -> int:
    """How many CUDA devices there are; asked by workers of several, which load the library anyway."""
    import torch

    return int(torch.cuda.device_count())
