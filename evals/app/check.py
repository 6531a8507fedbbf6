"""The functions behind the commands `check` and `compare`.

`check` gives the claims of documents their verdicts and makes the runs that they need; `compare` compares two runs.
Like `evals.app.api`, this module may import tasks, models and reports.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from evals.app import documents as documents_of_check
from evals.app import evidence as published_evidence
from evals.app.checking.claim_runs import ClaimRuns
from evals.app.checking.fast import FastRuns
from evals.errors import InputError, UnknownName
from evals.execution import validation
from evals.start_folder import absolute

if TYPE_CHECKING:
    from evals.comparison import Comparison
    from evals.reports.claims.archive import CheckArchive
    from evals.reports.claims.evidence.required_runs import RequiredRun
    from evals.reports.claims.language.schema import Document
    from evals.reports.claims.language.values import ValueTable
    from evals.reports.claims.verdicts import CheckResult

FORMATS = ("json", "md", "csv", "tex", "html", "xml", "jsonld")  # of a report; also the suffixes of its files


def check(
    files: Sequence[Path | str] = (),
    *,
    paper: bool = False,
    scale: str = "mini",
    systems: Mapping[str, str] | None = None,
    data: Path | str | None = None,
    fast: bool = False,
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
        fast: stop runs of two compared systems as soon as they decide what the claims say (`checking.fast`).
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
    from evals.reports.claims.evidence.published.facts import count_compared, with_scores
    from evals.reports.claims.language import files as claim_files
    from evals.reports.claims.language.values import ValueTable

    without_runs = _without_runs(paper=paper, recorded=recorded is not None, fast=fast)
    read = documents_of_check.read(files, out)
    documents, models = read.documents, _models(read.documents, systems or {})
    validation.check_documents(without_runs, scale=scale, systems=systems or {}, data=data)
    vocabulary, scores = claim_files.load_vocabulary(), published_evidence.read_each(evidence)
    record = with_scores(claim_files.load_record(), [*chain(*scores.values())], documents, vocabulary)
    checked = assessment.assess(documents, record, vocabulary)
    if not paper:
        tables = [ValueTable(document, record, vocabulary) for document in documents]
        runs = ClaimRuns(scale, Path(data).expanduser() if data is not None else None, progress, command)
        made = None if recorded is None else archive.load(Path(recorded).expanduser())
        made = made or _made(runs, documents, models, tables if fast else None)
        checked = replace(assessment.add_measurements(checked, made.outcomes, models, tables), curves=made.curves)
    evidence_line = published_evidence.describe(scores, count_compared(record, documents))
    checked = read.shown_by(_resting_on(checked, evidence_line, fast=fast))
    if out is not None:
        write(checked, absolute(Path(out).expanduser()), keep=not paper and recorded is None)
    return checked


def _without_runs(*, paper: bool, recorded: bool, fast: bool) -> str | None:
    """Return the option by which no run is made, or None. Raises `InputError` for options that do not fit together."""
    if paper and recorded:
        raise InputError("--paper and --recorded: give only one, for no runs or for those of an earlier check")
    option = "--paper" if paper else "--recorded" if recorded else None
    if fast and option is not None:
        raise InputError(f"--fast stops runs early, and {option} makes none: give only one")
    return option


def _resting_on(checked: CheckResult, evidence: str, *, fast: bool) -> CheckResult:
    """Add to the line of what the verdicts rest on what came from `--evidence`, and what `--fast` saved."""
    more = f" {evidence}" if evidence else ""
    if fast:
        results = {run.manifest.signature: run.finished() for run in checked.runs if not run.timed}.values()
        of = sum(result.n if result.stopped is None else result.stopped.of for result in results)
        more += f" --fast: {sum(result.n for result in results):,} of {of:,} samples were computed; times are whole."
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


def _made(
    runs: ClaimRuns,
    documents: Sequence[Document],
    models: Mapping[str, Mapping[str, str]],
    fast: Sequence[ValueTable] | None,
) -> CheckArchive:
    """Make the runs that the claims need; `fast`, the values of the documents, lets them stop early."""
    settled = {} if fast is None else FastRuns(runs, documents, models, fast).make()
    return runs.make(_required_runs(documents, models), settled)


def _required_runs(documents: Sequence[Document], models: Mapping[str, Mapping[str, str]]) -> list[list[RequiredRun]]:
    """List the runs that each claim needs."""
    from evals.reports.claims.evidence.required_runs import required_runs

    return [required_runs(claim, models[d.document.id]) for d in documents for claim in d.claims]


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
    for path in set(claim_review.logs_of_earlier_checks(out)).difference(logs):
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
