"""The functions behind the commands `check` and `compare`.

`check` gives the claims of documents their verdicts and makes the runs that they need; `compare` compares two runs.
Like `evals.app.api`, this module may import tasks, models and reports.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evals.app import documents as documents_of_check
from evals.app import evidence as published_evidence
from evals.errors import EvalsError, InputError, UnknownName, counted
from evals.execution import validation

if TYPE_CHECKING:
    from evals.comparison import Comparison
    from evals.records.folder import Record
    from evals.reports.claims.archive import CheckArchive
    from evals.reports.claims.evidence.learning_curves import LearningCurve
    from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
    from evals.reports.claims.language.schema import Document
    from evals.reports.claims.verdicts import CheckResult

FORMATS = ("json", "md", "csv", "tex", "html", "xml", "jsonld")  # of a report; also the suffixes of its files


def check(
    files: Sequence[Path | str] = (),
    *,
    paper: bool = False,
    scale: str = "mini",
    systems: Mapping[str, str] | None = None,
    data: Path | str | None = None,
    out: Path | str | None = None,
    recorded: Path | str | None = None,
    evidence: Sequence[Path | str] = (),
    progress: bool = False,
    command: str = "",
) -> CheckResult:
    """Check the claims of documents; the runs that they need are made once, unless `paper` is set.

    Args:
        files: claims files, by default those of the two articles on DeepSeek, or articles (`evals.app.documents.read`).
        paper: run no model; check against arithmetic, other documents and the public record only.
        scale: `mini` (bundled replicas and data) or `full`.
        systems: the model to run for a subject, as `run` takes it; by default the registered model of its name.
        data: a folder with a benchmark's official files, read instead of the scale's data.
        out: a folder for `claims.json` and the other formats, and `records/`, the archive of the runs; None: no files.
        recorded: the folder of an earlier check, whose runs are read.
        evidence: published scores that become facts of the public record: see `evals.app.evidence.read`.
        progress: show progress bars on standard error.
        command: what the user typed, stored in the manifests of the runs.

    Raises:
        InputError: a file cannot be read, contains an unknown name, or an expression that cannot be computed.

    Example:
        >>> check(["no.yaml"], paper=True)
        Traceback (most recent call last):
            ...
        evals.errors.InputError: no.yaml: no such file
    """
    from evals.reports.claims import archive, assessment
    from evals.reports.claims.evidence.published.facts import with_scores
    from evals.reports.claims.language import files as claim_files
    from evals.reports.claims.language.values import ValueTable

    if paper and recorded is not None:
        raise InputError("--paper and --recorded: give only one, for no runs or for those of an earlier check")
    read = documents_of_check.read(files, out)
    documents, models = read.documents, _models(read.documents, systems or {})
    without_runs = "--paper" if paper else "--recorded" if recorded is not None else None
    validation.check_documents(without_runs, scale=scale, systems=systems or {}, data=data)
    vocabulary, scores = claim_files.load_vocabulary(), published_evidence.read(evidence)
    record = with_scores(claim_files.load_record(), scores, documents, vocabulary)
    checked = assessment.assess(documents, record, vocabulary)
    if not paper:
        runs = _Runs(scale, Path(data).expanduser() if data is not None else None, progress, command)
        groups = _required_runs(documents, models)
        archived = runs.make(groups) if recorded is None else archive.load(Path(recorded).expanduser())
        value_tables = [ValueTable(document, record, vocabulary) for document in documents]
        measured = assessment.add_measurements(checked, archived.outcomes, models, value_tables)
        checked = replace(measured, curves=archived.curves)
    checked = read.shown_by(_resting_on(checked, len(scores)))
    if out is not None:
        write(checked, Path(out).expanduser(), keep=not paper and recorded is None)
    return checked


def _resting_on(checked: CheckResult, scores: int) -> CheckResult:
    """Add to the line of what the verdicts rest on how many scores came from `--evidence`."""
    more = f" The public record has {counted(scores, 'score')} more, from --evidence." if scores else ""
    return replace(checked, about=f"{checked.about}{more}")


def _models(documents: Sequence[Document], chosen: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return, for each document, the model to run for each subject: the user's choice, else that of the document."""
    declared = {
        d.document.id: {name: s.system for name, s in d.document.subjects.items() if s.system} for d in documents
    }
    claims = [claim for document in documents for claim in document.claims]
    subjects = {name for claim in claims for name in (*claim.subject, claim.baseline) if name}
    subjects |= {claim.measure.baseline for claim in claims if claim.measure and claim.measure.baseline}
    for name in chosen:
        if name not in subjects:
            raise UnknownName("subject", name, subjects)
    return {id: {**models, **chosen} for id, models in declared.items()}


def _required_runs(documents: Sequence[Document], models: Mapping[str, Mapping[str, str]]) -> list[list[RequiredRun]]:
    """List the runs that each claim needs."""
    from evals.reports.claims.evidence.required_runs import required_runs

    return [required_runs(claim, models[d.document.id]) for d in documents for claim in d.claims]


def _is_timed(run: RequiredRun) -> bool:
    from evals import registry

    return run.rate is None and run.task in registry.TASKS and registry.TASKS.get(run.task).timed  # else alone


def _timings_of_rivals(runs: Iterable[RequiredRun]) -> list[RequiredRun]:
    """List timed runs of the models that share a task with a timed model, so that a report can compare their costs."""
    unique = list(dict.fromkeys(runs))
    timings = {run.model: run for run in unique if _is_timed(run)}
    added = []
    for task in dict.fromkeys(run.task for run in unique if not _is_timed(run)):
        models = dict.fromkeys(run.model for run in unique if run.task == task)
        template = next((timings[name] for name in models if name in timings), None)
        added += [replace(template, model=name) for name in models if template is not None and name not in timings]
    return added


def together(groups: Iterable[Sequence[RequiredRun]]) -> list[list[RequiredRun]]:
    """Merge groups that share a run, separately for each task and split.

    Two runs of one group, task and split are then in the same merged group, so they can be timed in turn.

    Example:
        >>> from evals.reports.claims.evidence.required_runs import RequiredRun
        >>> a, b, c, d = (RequiredRun(name, "efficiency") for name in "abcd")
        >>> [[run.model for run in runs] for runs in together([[a, b], [d], [c, b]])]
        [['d'], ['a', 'b', 'c']]
    """
    merged: list[list[RequiredRun]] = []
    for group in groups:
        for kind in dict.fromkeys((run.task, run.split) for run in group):
            same_kind = [run for run in group if (run.task, run.split) == kind]
            overlapping = [runs for runs in merged if {*runs} & {*same_kind}]
            union = dict.fromkeys(run for runs in [*overlapping, same_kind] for run in runs)
            merged = [runs for runs in merged if runs not in overlapping] + [list(union)]
    return merged


@dataclass(frozen=True)
class _Runs:
    """Makes each run that the claims need once."""

    scale: str
    data: Path | None
    progress: bool
    command: str

    def make(self, groups: Sequence[Sequence[RequiredRun]]) -> CheckArchive:
        """Make or read every run, and read the learning curves; if a run cannot be made, its outcome gives the reason.

        Args:
            groups: the runs of each claim. Timed runs of one group are made in turn.
        """
        from evals.reports.claims.archive import CheckArchive

        timed = [[run for run in runs if _is_timed(run)] for runs in groups]
        # Mini models are small enough to be timed all in turn, so any two can be compared.
        if self.scale == "mini":
            timed = [[run for runs in timed for run in runs]]
            timed[0] += _timings_of_rivals(run for runs in groups for run in runs)
        required = list(dict.fromkeys(run for runs in (*groups, *timed) for run in runs))
        timings = {run: outcome for runs in together(timed) for run, outcome in self._in_turn(runs).items()}
        outcomes = {run: timings[run] if run in timings else self._outcome(run) for run in required}
        return CheckArchive(outcomes, tuple(self._curves(required)))

    def _curves(self, runs: Sequence[RequiredRun]) -> Iterator[LearningCurve]:
        """Read the curves beside the bundled checkpoints; several checkpoints of one training share one curve."""
        from evals import registry
        from evals.execution.resolve import bundled
        from evals.reports.claims.evidence import learning_curves

        paths_read: set[Path] = set()
        for name in dict.fromkeys(run.model for run in runs if run.model in registry.VARIANTS):
            folder = bundled(registry.VARIANTS.get(name)) if self.scale == "mini" else None
            for path in (folder / learning_curves.FILE, folder.parent / learning_curves.FILE) if folder else ():
                if path.is_file() and path not in paths_read:
                    paths_read.add(path)
                    yield learning_curves.read(path, name.partition("@")[0])

    def _in_turn(self, runs: Sequence[RequiredRun]) -> dict[RequiredRun, RunOutcome]:
        """Time the models of several runs in turn; a model that cannot be timed gets an outcome with the reason."""
        from evals.app import api
        from evals.reports.claims.evidence.required_runs import RunOutcome

        outcomes = {run: RunOutcome(why=why) for run in runs if (why := self._not_there(run)) is not None}
        for run in runs:
            if run not in outcomes:
                try:
                    api.check_timed(run.model, run.task, scale=self.scale, split=run.split)
                except InputError as error:
                    outcomes[run] = RunOutcome(why=f"it cannot be timed: {error}")
        timed_runs = [run for run in runs if run not in outcomes]
        if not timed_runs:
            return outcomes
        names, first = [run.model for run in timed_runs], timed_runs[0]
        try:
            records = api.interleave(
                names, first.task, scale=self.scale, split=first.split, progress=self.progress, command=self.command
            )
        except EvalsError as error:
            return outcomes | {run: RunOutcome(why=f"the run failed: {error}", failed=True) for run in timed_runs}
        return outcomes | {
            run: RunOutcome(record, proxy=self._proxy(run)) for run, record in zip(timed_runs, records, strict=True)
        }

    def _not_there(self, run: RequiredRun) -> str | None:
        """Return why a run cannot be made; None if it can be tried."""
        from evals import registry

        if run.task not in registry.TASKS:
            return f"no task {run.task!r} is registered, so it was not run"
        is_external = ":" in run.model or "/" in run.model
        if not is_external and run.model not in registry.VARIANTS:
            return f"no model {run.model!r} is registered, so it was not run; --system names another"
        if not is_external and registry.VARIANTS.get(run.model).checkpoints.get(self.scale) is None:
            return f"{run.model} has no checkpoint at {self.scale} scale, so it was not run"
        return None

    def _proxy(self, run: RequiredRun) -> str:
        """Return why a bundled model is not the public model of its name; empty if it is."""
        from evals import registry

        is_registered = run.model in registry.VARIANTS
        return str((registry.VARIANTS.get(run.model).details.get("proxy") if is_registered else None) or "")

    def _outcome(self, run: RequiredRun) -> RunOutcome:
        from evals.reports.claims.evidence.required_runs import RunOutcome

        if (why := self._not_there(run)) is not None:
            return RunOutcome(why=why)
        try:
            record = self._run(run, blind=False)
            shows = record.manifest.data.get("modalities") or []
            reads_images = "image" in shows or run.task == "vqa"
            blind = self._run(run, blind=True) if reads_images and not run.model.startswith("replay:") else None
        except EvalsError as error:
            return RunOutcome(why=f"the run failed: {error}", failed=True)
        failed = record.finished().failed
        if failed and failed == record.finished().n:
            return RunOutcome(why=f"the run failed on all of its samples ({failed:,})", failed=True)
        return RunOutcome(record, blind, proxy=self._proxy(run))

    def _run(self, run: RequiredRun, *, blind: bool) -> Record:
        from evals.app import api

        return api.run(
            run.model, run.task, scale=self.scale, data=self.data, split=run.split, shots=run.shots, rate=run.rate,
            blind=blind, progress=self.progress, command=self.command,
        )  # fmt: skip


def compare(a: Path | str, b: Path | str) -> Comparison:
    """Compare two finished runs of one benchmark on their samples.

    Args:
        a: a run folder.
        b: a run folder with the same samples and protocol.

    Raises:
        InputError: a folder is not a finished run, or the samples or protocols differ; the message says how.

    Example:
        >>> compare("runs/vl-vqa-1", "runs/vl-vqa-2").metrics[0].p  # doctest: +SKIP
        0.031
    """
    from evals import comparison, records

    records.check_two_folders(a, b)
    return comparison.compare(records.load(a), records.load(b))


def write(checked: CheckResult, out: Path, *, keep: bool = False) -> None:
    """Write the report, each file atomically.

    Args:
        checked: the result.
        out: the folder; created if missing.
        keep: also archive the runs in it.

    Raises:
        InputError: the folder cannot be written.
    """
    from evals.reports.claims import archive
    from evals.reports.claims.output import claim_review, exports, page, tables
    from evals.reports.exports import every_eval_ever
    from evals.temporaries import write_atomically

    writers = {"html": page.render, "xml": exports.junit, "jsonld": claim_review.claim_reviews}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror or error}") from error
    for format in FORMATS:
        text = writers[format](checked) if format in writers else tables.render(checked, format)
        write_atomically(out / f"claims.{format}", text.encode())
    logs = {out / claim_review.log_path(record.manifest.signature): record for record in checked.runs}
    for path in claim_review.logs_of_earlier_checks(out):
        if path not in logs:
            path.unlink()
    for path, record in logs.items():
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, (json.dumps(every_eval_ever.log(record), indent=1, ensure_ascii=False) + "\n").encode())
    if keep:
        archive.store(checked, out)


def summarise_job(checked: CheckResult) -> str:
    """Append a summary to that of the GitHub job and return an empty text; outside a job, return the summary."""
    from evals.reports.claims.output import exports

    text = exports.job_summary(checked)
    if not (path := os.environ.get("GITHUB_STEP_SUMMARY")):
        return text
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise InputError(f"GITHUB_STEP_SUMMARY: cannot write to {path}: {error.strerror or error}") from error
    return ""


def summary(checked: CheckResult, out: Path) -> str:
    """Return the summary for the terminal, with the path of the report."""
    from evals.reports.claims.output import tables

    formats = ".json, .md, .csv, .tex, .xml (JUnit) and .jsonld (ClaimReview) are in the same folder"
    return f"{tables.render(checked, 'text')}\n{out}/claims.html shows every claim with its working; {formats}\n"
