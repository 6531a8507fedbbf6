"""Make a run folder for each prompt, and the summary above them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evals import registry
from evals.app import api, several
from evals.app.prompting import templates
from evals.errors import InputError, RecordError
from evals.execution.resolve import Resolved
from evals.execution.run import resolved
from evals.records import Record, check_place, write_atomically
from evals.records.prompting.summary import PromptEntry, PromptsSummary, write_summary
from evals.schema import Model, Placement, RunConfig
from evals.start_folder import absolute
from evals.statistics.crossed import crossed_mean
from evals.statistics.intervals import mean_intervals

_NOT_PART = frozenset({"out", "progress", "command", "workers", "cluster", "mixed", "device", "token_budget"})
"""Options that do not change which runs they are."""


@dataclass(frozen=True, slots=True)
class PromptedRun:
    """A model on a task with several prompts."""

    folder: Path
    records: tuple[Record, ...]
    summary: PromptsSummary


def run(
    models: Sequence[str],
    tasks: Sequence[str],
    argument: str,
    *,
    data: Mapping[str, str | None],
    options: Mapping[str, Any],
) -> list[PromptedRun]:
    """Run every model on every task with several prompts; what is finished is read.

    Args:
        models: names, each in a form that `evals.run` accepts.
        tasks: names of tasks that have templates.
        argument: the value of `--prompts`: a number, or `@FILE`.
        data: where the data of each task are.
        options: as in `evals.run`; `out` is the folder of the summary, of several pairs the folder of theirs.

    Raises:
        InputError: a task has no such templates, or a run is refused.
    """
    if options.get("force"):
        raise InputError("--force runs a blind control beside a run: leave it out with --prompts")
    chosen = {name: templates.choose(registry.TASKS.get(name), argument) for name in tasks}
    check_place(options.get("out"))
    prompted = []
    for model in models:
        loader = _KeptModel()
        for task in tasks:
            is_only = len(models) * len(tasks) == 1
            folder = _folder(model, task, chosen[task], options, is_only)
            prompted.append(_run_one(model, task, chosen[task], folder, {**options, "data": data.get(task)}, loader))
    return prompted


def _folder(model: str, task: str, chosen: Sequence[str], options: Mapping[str, Any], is_only: bool) -> Path:
    """Return the folder of a summary; by default its name has a digest of what is run."""
    name = several.folder_name(model, task)
    if options.get("out") is not None:
        return absolute(Path(options["out"]).expanduser()) / ("" if is_only else name)
    stated = {key: str(value) for key, value in sorted(options.items()) if key not in _NOT_PART and value}
    digest = hashlib.sha256(json.dumps([model, task, list(chosen), stated]).encode()).hexdigest()[:12]
    return absolute(Path("runs")) / f"{name}-prompts-{digest}"


def _run_one(
    model: str, task: str, chosen: Sequence[str], folder: Path, options: Mapping[str, Any], loader: _KeptModel
) -> PromptedRun:
    adapter = registry.TASKS.get(task)
    assert adapter.prompts is not None
    own_template = adapter.prompts.shipped()[0]
    records = []
    for number, template in enumerate(chosen, start=1):
        more = {**options, "out": folder / f"prompt-{number}"}
        prompt = {} if template == own_template else {"prompt": template}
        config = RunConfig.of(model, task, **{**more, **prompt})
        if resolved(config).family.name == "replay":
            raise InputError(f"model {model!r} reads no prompt here: its outputs are recorded; --prompts has no effect")
        records.append(api.execute(config, load_model=loader))
    summary = summarise(records, chosen, str(options.get("command") or ""))
    write_summary(folder, summary)
    from evals.reports.runs.prompting import prompts

    write_atomically(folder / "prompts.md", prompts.markdown(summary).encode(errors="surrogatepass"))
    return PromptedRun(folder, tuple(records), summary)


def summarise(records: Sequence[Record], chosen: Sequence[str], command: str = "") -> PromptsSummary:
    """Summarise the finished runs of several prompts on the same samples.

    Raises:
        RecordError: the runs have other samples, or no value in common.
    """
    rows = [{row.id: row for row in record.values()} for record in records]
    ids = list(rows[0])
    if any(others.keys() != rows[0].keys() for others in rows):
        raise RecordError(f"the runs in {records[0].folder.parent} have different samples: run them again")
    headline = records[0].finished().headline
    shared = [name for name in rows[0][ids[0]].values if all(name in row.values for of in rows for row in of.values())]
    if not shared:
        raise RecordError(f"the samples of {records[0].folder.parent} have no value in common")
    metric = headline if headline in shared else shared[0]
    values_PN = np.array([[of_run[id].values[metric] for id in ids] for of_run in rows], float)
    clusters = [rows[0][id].cluster or f"\0{id}" for id in ids]
    mean = crossed_mean(values_PN, clusters)
    is_share = bool(((values_PN >= 0) & (values_PN <= 1)).all())
    entries = [
        _entry(record, template, float(values_N.mean()), mean_intervals([values_N], clusters)[0])
        for record, template, values_N in zip(records, chosen, values_PN, strict=True)
    ]
    low, high = _cut(mean.interval, is_share)
    sample_low, sample_high = _cut(mean.sample_interval, is_share)
    manifest = records[0].manifest
    return PromptsSummary(
        model=manifest.model_name,
        task=manifest.task.name,
        scale=manifest.task.scale,
        split=manifest.task.split,
        replica=manifest.replica,
        metric=metric,
        headline=headline,
        samples=len(ids),
        prompts=entries,
        value=mean.value,
        low=low,
        high=high,
        sample_low=sample_low,
        sample_high=sample_high,
        spread=mean.spread,
        prompt_error=mean.prompt_error,
        sample_error=mean.sample_error,
        command=command,
    )


def _entry(record: Record, template: str, value: float, interval: tuple[float, float] | None) -> PromptEntry:
    result = record.finished()
    return PromptEntry(
        folder=record.folder.name,
        signature=record.manifest.signature,
        template=template,
        value=value,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        headline=result.metrics[result.headline].value,
        failed=result.failed,
        unparsed=result.unparsed,
    )


def _cut(interval: tuple[float, float], is_share: bool) -> tuple[float, float]:
    return (max(0.0, interval[0]), min(1.0, interval[1])) if is_share else interval


@dataclass
class _KeptModel:
    """Loads a model at its first run, and returns it to the runs with the other prompts."""

    model: Model | None = None
    loaded_from: tuple[Resolved, Placement] | None = None

    def __call__(self, source: Resolved, placement: Placement) -> Model:
        if self.model is None or self.loaded_from != (source, placement):
            self.model, self.loaded_from = source.load(placement), (source, placement)
        return self.model
