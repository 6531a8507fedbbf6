"""Write the run folder of a run that was read from a log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from evals import records
from evals.app.imports import foreign
from evals.app.imports.benchmarks import Recognised, output_of, recognise
from evals.errors import EvalsError, InputError
from evals.execution.collector import question
from evals.logs import HarnessRun, HarnessSample, ReportedMetric
from evals.logs.harness_run import model_of
from evals.models.decoding.thoughts import split_text
from evals.records import Record, RunFolder, load, result, signature
from evals.records.digests import signature_of
from evals.records.imported import ImportEntry, ReportedEntry
from evals.records.inputs import Continuation, RecordedInput
from evals.records.types import Manifest, MetricEntry, PlanEntry, Result, SampleRecord
from evals.reports.rendering import table_formats
from evals.reports.runs import reported
from evals.schema import Generate, Json, Options, Prediction, Sample, Samples, Task
from evals.schema.contracts import checked_scores

_FIRST = frozenset({"lm-eval", "lmms-eval"})
"""Harnesses whose positions are those of the split: a limit takes the first samples."""
_LONGEST = 120
"""Characters of the name of a model or task in a folder's name."""
DIFFERENCES = "differences.csv"
"""The samples on which this suite and the harness disagree."""


@dataclass(frozen=True, slots=True)
class ScoredLog:
    """A run that is ready to be written."""

    task: Task
    manifest: Manifest
    rows: Sequence[SampleRecord]
    run: HarnessRun

    @property
    def files(self) -> str:
        """The names of the log's files."""
        return ", ".join(str(path) for path in self.run.files)


@dataclass(frozen=True, slots=True)
class _LoggedModel:
    """A model that is known from a log."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int = 1


def scored(run: HarnessRun) -> ScoredLog:
    """Score a run by the task of ours that it is about, or keep its scores.

    Raises:
        InputError: its samples have no scores, and it is no task of this suite.
    """
    recognised = recognise(run)
    run = replace(run, note="; ".join(filter(None, [run.note, run.lacks])))
    note = "; ".join(filter(None, [run.note, recognised if isinstance(recognised, str) else ""]))
    if isinstance(recognised, Recognised):
        try:
            log = _scored_by(run, recognised.task, recognised.samples, recognised, run.note)
            _check_read(log)
            return log
        except EvalsError as error:
            why = f"its outputs were not scored again as {recognised.task.name}: {error}"
            note = "; ".join(filter(None, [run.note, why]))
    if run.samples and not run.metrics and not any(sample.values for sample in run.samples):
        raise InputError(
            f"{run.files[0]}: {run.task} is no task of this suite, and its samples have no scores: evaluate them first"
            f"{f' ({note})' if note else ''}"
        )
    samples = [_foreign_sample(run, logged) for logged in run.samples]
    return _scored_by(run, foreign.task_of(run), samples, None, note)


def _check_read(log: ScoredLog) -> None:
    """Raise if no answer of generated labels could be read, where the harness read some: it asked in other words."""
    is_generated = log.task.needs == "choose" and not any(scores for row in log.rows for scores in row.scores)
    if is_generated and all(row.answer is None for row in log.rows):
        raise InputError("its outputs are other words than the task's labels")


def _foreign_sample(run: HarnessRun, logged: HarnessSample) -> Sample:
    """Make a sample of a task that this suite does not have."""
    request = Generate(logged.id, (logged.question or logged.prompt,), max_new_tokens=1)
    return Sample(logged.id, (request,), target=logged.target, labels=dict(logged.labels))


def _scored_by(run: HarnessRun, task: Task, samples: Sequence[Sample], ours: Recognised | None, note: str) -> ScoredLog:
    predictions = {
        sample.id: _predictions(sample, logged, ours) for sample, logged in zip(samples, run.samples, strict=True)
    }
    gradable = {id: [answer.gradable() for answer in answers] for id, answers in predictions.items()}
    scores = checked_scores(task, samples, task.score(samples, gradable)) if samples else {}
    manifest = _manifest(run, task, samples, ours, note)
    rows = [
        _row(index, sample, logged, predictions[sample.id], ours is not None)
        for index, (sample, logged) in enumerate(zip(samples, run.samples, strict=True))
    ]
    for row in rows:
        row.answer, row.values = scores[row.id].answer, dict(scores[row.id].values)
    return ScoredLog(task, manifest, rows, run)


def _predictions(sample: Sample, logged: HarnessSample, ours: Recognised | None) -> list[Prediction]:
    """Return the recorded outputs as predictions; thoughts in a text are divided from the answer, as for any model."""
    output, scores = output_of(sample, logged) if ours is not None else (_plain_output(logged), logged.log_likelihoods)
    outputs = output if isinstance(output, list) else [output]
    predictions = []
    for text in outputs:
        if not isinstance(text, str):
            failure = logged.failure or "the log has no output"
            predictions.append(Prediction(sample.id, None, failure))
            continue
        answer, thought, is_open = (text, None, False) if scores else split_text(text)
        predictions.append(
            Prediction(
                sample.id, answer, None, logged.truncated, scores, thought=logged.thought or thought or None,
                truncated_thinking=is_open,
            )
        )  # fmt: skip
    return predictions


def _plain_output(logged: HarnessSample) -> Json:
    if logged.choice is not None:
        return logged.choice
    return list(logged.outputs) if len(logged.outputs) > 1 else logged.outputs[0] if logged.outputs else None


def _row(
    index: int, sample: Sample, logged: HarnessSample, predictions: Sequence[Prediction], is_ours: bool
) -> SampleRecord:
    outputs = [prediction.output for prediction in predictions]
    thoughts = [prediction.thought for prediction in predictions]
    open_thoughts = [prediction.truncated_thinking for prediction in predictions]
    failures = [prediction.failure for prediction in predictions if prediction.failure is not None]
    several = len(predictions) > 1
    continuations = [Continuation(text) for text in logged.choices]
    read = RecordedInput(logged.prompt, continuations=continuations or None) if logged.prompt else None
    return SampleRecord(
        id=sample.id,
        index=index,
        prompt=question(sample),
        output=outputs if several else outputs[0],
        answer=None,
        target=sample.target,
        values={},
        failed=bool(failures),
        failure=failures[0] if failures else None,
        truncated=logged.truncated,
        scores=[prediction.scores for prediction in predictions],
        cluster=sample.cluster,
        labels=dict(sample.labels),
        thought=(thoughts if several else thoughts[0]) if any(thoughts) else None,
        truncated_thinking=any(open_thoughts),
        truncated_thoughts=open_thoughts if several and any(open_thoughts) else None,
        inputs=None if read is None else [read],
        reported=dict(logged.values) if is_ours and logged.values else None,
        cost=dict(logged.cost),
    )


def _manifest(run: HarnessRun, task: Task, samples: Sequence[Sample], ours: Recognised | None, note: str) -> Manifest:
    count, whole = len(samples), run.data.get("samples_in_split")
    is_smaller = isinstance(whole, int) and whole > count
    is_part = is_smaller or "selected_by" in run.data
    is_first = run.harness in _FIRST and [sample.position for sample in run.samples] == list(range(count))
    split = run.split or (ours.facts.get("split") if ours is not None else None) or "unknown"
    facts = {
        "source": f"the log of {run.harness}{f' {run.version}' if run.version else ''}",
        "split": split,
        **{key: value for key, value in run.data.items() if key != "samples_in_split"},
        **({"samples_in_split": whole} if is_smaller else {}),
        **({"selected_by": run.harness} if is_part and not is_first and not run.lacks else {}),
        **({"incomplete": True} if run.lacks else {}),
        **({"part": ours.facts["part"]} if ours is not None and "part" in ours.facts else {}),
        "files": run.digests(),
    }
    model = {"family": "imported", **run.machine, "log": {"harness": run.harness, "task": run.task}}
    manifest = signature.build_manifest(
        task,
        Options(
            scale="full",
            shots=run.shots,
            first=count if is_part else None,
            samples_per_problem=max((len(sample.outputs) for sample in run.samples), default=1) or 1,
        ),
        Samples([sample.id for sample in samples], lambda index: samples[index], facts),
        _LoggedModel(model_of(run.model, run.digests()), model),
        replica=False,
        plan=PlanEntry(budget=None, share=False, window=1),
        command="",
    )
    if run.lacks:  # also where the log does not say how many there are in all
        manifest.task.first = count
    manifest.packages = dict(run.packages)
    manifest.machine, manifest.started = dict(run.machine), ""
    same_as = ours.same_as if ours is not None else {}
    manifest.imported = ImportEntry(
        harness=run.harness,
        version=run.version,
        task=run.task,
        date=run.date,
        files=run.digests(),
        metrics={
            name: ReportedEntry(
                value=metric.value, stderr=metric.stderr, higher_is_better=foreign.higher(run, name),
                same_as=same_as.get(name),
            )
            for name, metric in _metrics(run).items()
        },
        protocol=dict(run.protocol),
        scored_again=ours is not None,
        note=note,
    )  # fmt: skip
    manifest.signature = signature_of(manifest.to_dict())
    return manifest


def _metrics(run: HarnessRun) -> Mapping[str, ReportedMetric]:
    """Return the metrics of a log, and the means of the samples' scores that it does not report."""
    means = {}
    for name in foreign.value_names(run):
        values = [sample.values[name] for sample in run.samples if name in sample.values]
        means[name] = ReportedMetric(math.fsum(values) / len(values), n=len(values))
    return {**run.metrics, **{name: mean for name, mean in means.items() if name not in run.metrics}}


def name_of(log: ScoredLog) -> str:
    """Return the name of a run's folder: model and task, as `run` names those of several runs."""
    names = (log.manifest.model_name, log.manifest.task.name)
    plain = ("".join(c if c.isalnum() or c in "-._@" else "-" for c in name).strip("-.") for name in names)
    return "-".join(name[:_LONGEST] for name in plain)


def write(log: ScoredLog, folder: Path) -> Record:
    """Write a run folder; one that holds the same run is written anew.

    Raises:
        InputError: the folder holds other files.
        RecordError: it holds another run.
    """
    records.check_run_folder(folder)
    with RunFolder(folder, log.manifest) as run_folder:
        run_folder.append([row for row in log.rows if row.id not in run_folder.finished_ids])
        record = replace(load(folder), result=None)
        summary = result.summarise(log.task, record, peak_memory_bytes=None) if log.rows else _only_metrics(log)
        run_folder.finish(summary)
        _write_differences(record)
    from evals import reports

    reports.write(load(folder))
    return load(folder)


def _only_metrics(log: ScoredLog) -> Result:
    """Make the result of a log that holds no samples: what it reports."""
    metrics = log.task.summarise([])
    if not metrics:
        raise InputError(f"{log.files} holds neither samples nor metrics")
    manifest = log.manifest
    return Result(
        task=manifest.task.name,
        model=manifest.model_name,
        scale=manifest.task.scale,
        split=manifest.task.split,
        n=0,
        failed=0,
        unparsed=0,
        truncated=0,
        signature=manifest.signature,
        metrics={name: MetricEntry.of(metric) for name, metric in metrics.items()},
        headline=log.task.headline,
    )


def _write_differences(record: Record) -> None:
    """List the samples that this suite and the harness score otherwise, in a table beside the records."""
    differences = list(reported.differing(record))
    if not differences:
        return
    columns = ["id", "metric there", "value there", "metric here", "value here", "answer", "target"]
    text = table_formats.csv(columns, [msgspec.structs.astuple(difference) for difference in differences])
    records.write_atomically(record.folder / DIFFERENCES, text.encode(errors="surrogatepass"))
