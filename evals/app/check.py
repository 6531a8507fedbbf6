"""The calls behind `check` and `compare`: documents' claims to verdicts, and two runs held against each other.

Like `evals.app.api` it knows tasks, models and reports.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import EvalsError, InputError, UnknownName
from evals.schema import SCALES

if TYPE_CHECKING:
    from evals.comparison import Comparison
    from evals.records.folder import Record
    from evals.reports.claims.archive import CheckArchive
    from evals.reports.claims.evidence.learning_curves import LearningCurve
    from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
    from evals.reports.claims.language.schema import Document
    from evals.reports.claims.verdicts import CheckResult

FORMATS = ("json", "md", "csv", "tex", "html", "xml")


def check(
    files: Sequence[Path | str] = (),
    *,
    paper: bool = False,
    scale: str = "mini",
    systems: Mapping[str, str] | None = None,
    data: Path | str | None = None,
    out: Path | str | None = None,
    recorded: Path | str | None = None,
    progress: bool = False,
    command: str = "",
) -> CheckResult:
    """Give every claim of some documents its verdict; without `paper` the runs that it needs are made, once.

    Args:
        files: claims in the format of `reports/claims/README.md`; by default the two articles on DeepSeek.
        paper: run no model: arithmetic, other documents and the public record only.
        scale: `mini` (bundled replicas and data) or `full`.
        systems: the model that stands for a subject, where it is not of the subject's name (`replay:FILE`, a folder).
        data: a folder with a benchmark's official files, read instead of the scale's data.
        out: a folder for `claims.json`, `.md`, `.csv`, `.tex`, `.html` and `.xml` (JUnit), and for `records/`, what of
            the runs they rest on; by default nothing is written.
        recorded: such a folder of an earlier check, whose records are read; no model is run.
        progress: show progress bars on standard error.
        command: what the user typed, kept in the runs' manifests.

    Raises:
        InputError: a file cannot be read, names something unknown, or computes what cannot be computed.

    Example:
        >>> check(["no.yaml"], paper=True)
        Traceback (most recent call last):
            ...
        evals.errors.InputError: no.yaml: no such file
    """
    from evals import registry
    from evals.reports.claims import archive, assessment
    from evals.reports.claims.language import files as claim_files
    from evals.reports.claims.language.values import ValueTable

    if scale not in SCALES:
        raise UnknownName("scale", scale, SCALES)
    if paper and recorded is not None:
        raise InputError("--paper and --recorded: either no run is looked at, or those of an earlier check are")
    names, tasks = [variant.name for variant in registry.VARIANTS], [task.name for task in registry.TASKS]
    paths = [Path(file).expanduser() for file in files] or claim_files.default()
    documents = [claim_files.load(path, subjects=names, tasks=tasks) for path in paths]
    _check_distinct([document.document.id for document in documents], paths)
    stand = _systems(documents, systems or {})
    record, vocabulary = claim_files.load_record(), claim_files.load_vocabulary()
    checked = assessment.assess(documents, record, vocabulary)
    if not paper:
        if recorded is not None:
            held = archive.load(Path(recorded).expanduser())
        else:
            runs = _Runs(scale, Path(data).expanduser() if data is not None else None, progress, command)
            held = runs.make([jobs for document in documents for jobs in _jobs(document, stand)])
        value_tables = [ValueTable(document, record, vocabulary) for document in documents]
        checked = assessment.add_measurements(checked, held.outcomes, stand, value_tables)
        checked = replace(checked, curves=held.curves)
    if out is not None:
        write(checked, Path(out).expanduser(), keep=not paper and recorded is None)
    return checked


def _systems(documents: Sequence[Document], given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The model that stands for each subject, by document: what the user gives, else what the document declares."""
    own = {d.document.id: {name: s.system for name, s in d.document.subjects.items() if s.system} for d in documents}
    claims = [claim for document in documents for claim in document.claims]
    named = [name for claim in claims for name in (*claim.subject, claim.baseline)]
    known = {name for name in [*named, *(claim.measure.baseline for claim in claims if claim.measure)] if name}
    for name in given:
        if name not in known:
            raise UnknownName("subject", name, known)
    return {id: {**systems, **given} for id, systems in own.items()}


def _jobs(document: Document, systems: Mapping[str, Mapping[str, str]]) -> list[list[RequiredRun]]:
    """The runs that each claim needs."""
    from evals.reports.claims.evidence.required_runs import required_runs

    return [required_runs(claim, systems[document.document.id]) for claim in document.claims]


def _is_timed(job: RequiredRun) -> bool:
    from evals import registry

    return job.task in registry.TASKS and registry.TASKS.get(job.task).timed


def _rivals(jobs: Iterable[RequiredRun]) -> list[RequiredRun]:
    """Time also who does a task beside a system that is timed: what they take stands beside each other."""
    wanted = list(dict.fromkeys(jobs))
    timings = {job.model: job for job in wanted if _is_timed(job)}
    found = []
    for task in dict.fromkeys(job.task for job in wanted if not _is_timed(job)):
        own = dict.fromkeys(job.model for job in wanted if job.task == task)
        like = next((timings[name] for name in own if name in timings), None)
        found += [replace(like, model=name) for name in own if like is not None and name not in timings]
    return found


def together(groups: Iterable[Sequence[RequiredRun]]) -> list[list[RequiredRun]]:
    """Join groups that share a run, so that every two of one group are in one; of one task and split only.

    Example:
        >>> from evals.reports.claims.evidence.required_runs import RequiredRun
        >>> a, b, c, d = (RequiredRun(name, "efficiency") for name in "abcd")
        >>> [[job.model for job in jobs] for jobs in together([[a, b], [d], [c, b]])]
        [['d'], ['a', 'b', 'c']]
    """
    found: list[list[RequiredRun]] = []
    for group in groups:
        for kind in dict.fromkeys((job.task, job.split) for job in group):
            own = [job for job in group if (job.task, job.split) == kind]
            touched = [jobs for jobs in found if {*jobs} & {*own}]
            joined = dict.fromkeys(job for jobs in [*touched, own] for job in jobs)
            found = [jobs for jobs in found if jobs not in touched] + [list(joined)]
    return found


@dataclass(frozen=True)
class _Runs:
    """Makes the runs that claims need, each once."""

    scale: str
    data: Path | None
    progress: bool
    command: str

    def make(self, groups: Sequence[Sequence[RequiredRun]]) -> CheckArchive:
        """Make or read every run, and the curves of the systems; what cannot be made says why.

        Args:
            groups: the runs of each claim. Where these are timed, they are so in turn.
        """
        from evals.reports.claims.archive import CheckArchive

        timed = [[job for job in jobs if _is_timed(job)] for jobs in groups]
        # What is small is timed all together, so that any two can be compared; else what a claim compares.
        if self.scale == "mini":
            timed = [[job for jobs in timed for job in jobs]]
            timed[0] += _rivals(job for jobs in groups for job in jobs)
        at_once = together(timed)
        wanted = list(dict.fromkeys(job for jobs in (*groups, *timed) for job in jobs))
        found = {job: outcome for jobs in at_once for job, outcome in self._in_turn(jobs).items()}
        outcomes = {job: found[job] if job in found else self._outcome(job) for job in wanted}
        return CheckArchive(outcomes, tuple(self._curves(wanted)))

    def _curves(self, jobs: Sequence[RequiredRun]) -> Iterator[LearningCurve]:
        """Read the curves beside the bundled checkpoints: of one system at several moments there is one."""
        from evals import registry
        from evals.execution.resolve import bundled
        from evals.reports.claims.evidence import learning_curves

        seen: set[Path] = set()
        for name in dict.fromkeys(job.model for job in jobs if job.model in registry.VARIANTS):
            folder = bundled(registry.VARIANTS.get(name)) if self.scale == "mini" else None
            for path in (folder / learning_curves.FILE, folder.parent / learning_curves.FILE) if folder else ():
                if path.is_file() and path not in seen:
                    seen.add(path)
                    yield learning_curves.read(path, name.partition("@")[0])

    def _in_turn(self, jobs: Sequence[RequiredRun]) -> dict[RequiredRun, RunOutcome]:
        """Time the models of some runs together; those that cannot be timed are left out."""
        from evals.app import api
        from evals.reports.claims.evidence.required_runs import RunOutcome

        found = {job: RunOutcome(why=why) for job in jobs if (why := self._not_there(job)) is not None}
        for job in jobs:
            if job not in found:
                try:
                    api.check_timed(job.model, job.task, scale=self.scale, split=job.split)
                except InputError as error:
                    found[job] = RunOutcome(why=f"it cannot be timed: {error}")
        rest = [job for job in jobs if job not in found]
        if not rest:
            return found
        names, first = [job.model for job in rest], rest[0]
        try:
            records = api.interleave(
                names, first.task, scale=self.scale, split=first.split, progress=self.progress, command=self.command
            )
        except EvalsError as error:
            return found | {job: RunOutcome(why=f"the run failed: {error}", failed=True) for job in rest}
        return found | {
            job: RunOutcome(record, proxy=self._proxy(job)) for job, record in zip(rest, records, strict=True)
        }

    def _not_there(self, job: RequiredRun) -> str | None:
        """Say why a run cannot be made, before it is tried."""
        from evals import registry

        if job.task not in registry.TASKS:
            return f"no task {job.task!r} is registered, so it was not run"
        named = ":" in job.model or "/" in job.model
        if not named and job.model not in registry.VARIANTS:
            return f"no model {job.model!r} is registered, so it was not run; --system names another"
        if not named and registry.VARIANTS.get(job.model).checkpoints.get(self.scale) is None:
            return f"{job.model} has no checkpoint at {self.scale} scale, so it was not run"
        return None

    def _proxy(self, job: RequiredRun) -> str:
        """Why the model is not the one of that name."""
        from evals import registry

        known = job.model in registry.VARIANTS
        return str((registry.VARIANTS.get(job.model).details.get("proxy") if known else None) or "")

    def _outcome(self, job: RequiredRun) -> RunOutcome:
        from evals.reports.claims.evidence.required_runs import RunOutcome

        if (why := self._not_there(job)) is not None:
            return RunOutcome(why=why)
        try:
            record = self._run(job, blind=False)
            shows = record.manifest["data"].get("modalities") or []
            asked_about_pictures = "image" in shows or job.task == "vqa"
            blind = self._run(job, blind=True) if asked_about_pictures and not job.model.startswith("replay:") else None
        except EvalsError as error:
            return RunOutcome(why=f"the run failed: {error}", failed=True)
        failed = (record.result or {}).get("failed", 0)
        if failed and failed == (record.result or {}).get("n"):
            return RunOutcome(why=f"the run failed on all of its {failed:,} samples", failed=True)
        return RunOutcome(record, blind, proxy=self._proxy(job))

    def _run(self, job: RequiredRun, *, blind: bool) -> Record:
        from evals.app import api

        return api.run(
            job.model, job.task, scale=self.scale, data=self.data, split=job.split, shots=job.shots, blind=blind,
            progress=self.progress, command=self.command,
        )  # fmt: skip


def compare(a: Path | str, b: Path | str) -> Comparison:
    """Compare two finished runs of one benchmark on their samples.

    Args:
        a: a run folder.
        b: another, of the same samples and protocol.

    Raises:
        InputError: a folder is no finished run, or the samples or protocols differ; the message names in what.

    Example:
        >>> compare("runs/vl-vqa-1", "runs/vl-vqa-2").metrics[0].p  # doctest: +SKIP
        0.031
    """
    from evals import comparison, records

    return comparison.compare(records.load(a), records.load(b))


def _check_distinct(ids: Sequence[str], paths: Sequence[Path]) -> None:
    for number, id in enumerate(ids):
        if id in ids[:number]:
            raise InputError(f"{paths[number]}: document {id!r} was given already, as {paths[ids.index(id)]}")


def write(checked: CheckResult, out: Path, *, keep: bool = False) -> None:
    """Write the report, each file whole or not at all, and where wanted the records that it rests on."""
    from evals.records.folder import write_atomically
    from evals.reports.claims import archive
    from evals.reports.claims.output import exports, page, tables

    writers = {"html": page.render, "xml": exports.junit}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror or error}") from error
    for format in FORMATS:
        text = writers[format](checked) if format in writers else tables.render(checked, format)
        write_atomically(out / f"claims.{format}", text.encode())
    if keep:
        archive.store(checked, out)


def summarise_job(checked: CheckResult) -> str:
    """Add the findings to the summary of the GitHub job, where one runs; return them where none does."""
    from evals.reports.claims.output import exports

    text = exports.job_summary(checked)
    if not (place := os.environ.get("GITHUB_STEP_SUMMARY")):
        return text
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise InputError(f"GITHUB_STEP_SUMMARY: cannot write to {place}: {error.strerror or error}") from error
    return ""


def summary(checked: CheckResult, out: Path) -> str:
    """Say in a screenful what was found, and where it lies."""
    from evals.reports.claims.output import tables

    where = (
        f"{out}/claims.html shows every claim with its working; .json, .md, .csv, .tex and .xml (JUnit) lie beside it"
    )
    return f"{tables.render(checked, 'text')}\n{where}\n"
