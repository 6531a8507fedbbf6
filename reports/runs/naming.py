"""Name runs in print: model, title, and the first line of every report. Reads manifests and no files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from evals.logs.matching import is_imported
from evals.records.folder import Record
from evals.records.types import ProbeEntry, SampleRecord
from evals.reports.rendering.formatting import one_line, shorten_path
from evals.reports.runs.early.parts import part

_ITEMS = {
    "vqa": "questions", "math": "problems", "retrieval": "images", "tones": "recordings", "efficiency": "repetitions",
    "glue/cola": "sentences", "glue/sst2": "sentences", "glue": "samples",
}  # fmt: skip
"""What a task, or the family before the slash, calls its samples; the other tasks of GLUE have pairs of sentences."""
_SILENT, _FLAT = "audio clip was replaced by silence", "image was replaced by a flat one"
_BLIND_INPUTS = {
    "vqa": (f"every {_FLAT}", "images"), "retrieval": (f"every {_FLAT}", "images"),
    "tones": (f"every {_SILENT}", "audio"),
}  # fmt: skip
"""By task: what the blind control changes, and which inputs it tests."""
_BLIND_ANY = f"every {_FLAT} and every {_SILENT}", "images or audio"
"""The same for tasks that may have both."""
_FEW_CUT = 0.02
"""Share of outputs cut at the token limit up to which the first line of a report does not mention them."""
_LONG_PROMPTS = {
    "fail": "they failed and count as wrong",
    "truncate-left": "shortened from the left",
    "truncate-right": "cut at the end",
}
"""What was done with prompts that are longer than a model reads, by its fact `long_prompts`."""
_MANY = 3
"""Maximum number of runs that a report's first line names one by one."""


def blind(record: Record) -> bool:
    """Whether the run is a blind control: its images are flat and its audio is silent."""
    return bool(record.manifest.task.blind)


def blind_inputs(record: Record) -> str:
    """Name the inputs that the blind control of a run tests: `images`, `audio` or `images or audio`."""
    return _BLIND_INPUTS.get(record.manifest.task.name, _BLIND_ANY)[1]


def count(n: int, task: str) -> str:
    """Count the samples of a task by what the task calls them.

    Example:
        >>> count(1319, "math/gsm8k"), count(1, "vqa"), count(277, "glue/rte"), count(20, "somebody's task")
        ('1,319 problems', '1 question', '277 pairs', '20 samples')
    """
    family = task.partition("/")[0]
    items = _ITEMS.get(task) or ("pairs" if family == "glue" else _ITEMS.get(family, "samples"))
    return f"{n:,} {items if n != 1 else items.removesuffix('s')}"


def model(record: Record) -> str:
    """Name a run's model, a long path by its end."""
    return shorten_path(record.manifest.model_name)


def title(record: Record) -> str:
    """Name a run for readers: `vl on vqa`."""
    control = ", blind control" if blind(record) else ""
    return one_line(f"{model(record)} on {record.manifest.task.name}{control}")


def short_names(records: Sequence[Record]) -> list[str]:
    """Name runs as columns: by model; where that is not enough, also by signature, number of samples, and place."""
    names = [model(record) + (" (blind)" if blind(record) else "") for record in records]
    marks = (
        [f" {record.manifest.signature[:6]}" for record in records],
        ["" if record.result is None else f" n={record.result.n:,}" for record in records],
        [f" #{place}" for place in range(1, len(records) + 1)],
    )
    for of_runs in marks:
        names = [name + mark if names.count(name) > 1 else name for name, mark in zip(names, of_runs, strict=True)]
    return [one_line(name, limit=40) for name in names]


def about(records: Sequence[Record], controls: Sequence[str] = ()) -> str:
    """Say which scale, checkpoints and data a report is about: the first line of every report.

    The line says when results come from replicas, which are no evidence about the public models.

    Args:
        records: the runs of the report.
        controls: what the blind controls among them show, as `blind_control.BlindControls` says it.
    """
    scales = list(dict.fromkeys(_scale(record) for record in records))
    runs = list(dict.fromkeys(_subject(record) for record in records))
    subjects = "; ".join(runs) if len(runs) <= _MANY else _together(records)
    sentences = [f"{' and '.join(scales).capitalize()}: {subjects}."]
    if any(blind(record) for record in records):
        sentences.append(_control(records))
    if replicas := {record.manifest.task.scale for record in records if record.manifest.replica}:
        what = "Mini results are of replicas:" if replicas == {"mini"} else "Results of replicas are"
        sentences.append(f"{what} no evidence about the public models.")
    sentences += [
        *_long_prompts(records),
        *_training_texts(records),
        *_cut_outputs(records),
        *_changed_outputs(records),
    ]
    return one_line(" ".join([*sentences, *controls]))


def _cut_outputs(records: Sequence[Record]) -> list[str]:
    """Say which runs had more outputs cut at the token limit than is negligible, and what their headline could be."""
    sentences = []
    for record in records:
        result = record.result
        if result is None or record.manifest.task.needs != "generate" or result.truncated <= _FEW_CUT * result.n:
            continue
        subject = f" of {title(record)}" if len(records) > 1 else ""
        count = f"{result.truncated:,} of {result.n:,} outputs{subject} were cut at the token limit"
        low, high = result.bounds.get(result.headline, (None, None))
        span = "" if low is None else f": {result.headline} {100 * low:.1f} % if all of them are wrong"
        sentences.append(f"{count}{span}{'' if high is None else f', {100 * high:.1f} % if all are right'}.")
    return sentences


def _changed_outputs(records: Sequence[Record]) -> list[str]:
    """Say how many outputs a server wrote otherwise when it was to continue them (`--extend`)."""
    sentences = []
    for record in records:
        costs = record.result.efficiency if record.result is not None else {}
        if changed := costs.get("outputs_changed"):
            subject = f" of {title(record)}" if len(records) > 1 else ""
            repeated = costs.get("outputs_repeated") or changed
            sentences.append(
                f"{changed:,} of {repeated:,} cut outputs{subject} that the server wrote again begin otherwise."
            )
    return sentences


def _long_prompts(records: Sequence[Record]) -> list[str]:
    """Say how many prompts were longer than their model reads, and what was done with them."""
    sentences = []
    for record in records:
        result = record.result
        if result is not None and result.long_prompts:
            outcome = _LONG_PROMPTS.get(str(record.manifest.model.get("long_prompts")), "refused or shortened")
            subject = f" of {title(record)}" if len(records) > 1 else ""
            count = f"{result.long_prompts:,} of {result.n:,} samples{subject}"
            sentences.append(f"{count} had a prompt longer than the model reads: {outcome}.")
    return sentences


def _training_texts(records: Sequence[Record]) -> list[str]:
    """Say how many training samples of a probe were longer than their model reads, and what was done with them."""
    sentences = []
    for record in records:
        probe = record.manifest.probe
        if not isinstance(probe, ProbeEntry):
            continue
        subject = f" of {title(record)}" if len(records) > 1 else ""
        of_all = (
            f"of {probe.samples + probe.left_out:,} training samples{subject} had a text longer than the model reads"
        )
        if probe.left_out:
            sentences.append(f"{probe.left_out:,} {of_all}: not used.")
        if probe.shortened:
            sentences.append(f"{probe.shortened:,} {of_all}: cut.")
    return sentences


def _control(records: Sequence[Record]) -> str:
    """Say what was replaced in the blind runs among the records."""
    changes = dict.fromkeys(
        _BLIND_INPUTS.get(record.manifest.task.name, _BLIND_ANY)[0] for record in records if blind(record)
    )
    change = next(iter(changes)) if len(changes) == 1 else _BLIND_ANY[0]
    if len(records) == 1:
        return f"Blind control: {change}."
    return f"Blind runs are controls: {change.replace('every', 'each')}."


def _scale(record: Record) -> str:
    """Name the scale of a run; one with neither a bundled model nor bundled data uses the user's own files."""
    manifest = record.manifest
    if is_imported(record):
        return "imported"
    bundled = manifest.replica or manifest.data.get("source") == "bundled"
    return f"{manifest.task.scale} scale" if bundled or manifest.task.scale == "full" else "own files"


def _subject(record: Record) -> str:
    """Name the checkpoint and the data of a run."""
    checkpoint = record.manifest.model.get("checkpoint")
    weights = f" (checkpoint {checkpoint})" if checkpoint else ""
    return f"{model(record)}{' blind' if blind(record) else ''}{weights} on {_tasks(record)}"


def _tasks(*records: Record) -> str:
    """Name tasks and splits with their data; tasks that share these details name them once."""
    tasks: dict[str, list[str]] = {}
    for record in records:
        task, data = record.manifest.task, record.manifest.data
        details = [f"data {data['source']}"] if data.get("source") else []
        if data.get("protocol") and all(isinstance(data.get(kind), int) for kind in ("images", "captions")):
            details.append(f"{data['protocol']} protocol: {data['images']:,} images, {data['captions']:,} captions")
        if data.get("without"):
            details.append(f"without {', '.join(data['without'])}, whose files are missing")
        details += [f"part {data['part']}"] if data.get("part") else []
        details += [shown] if (shown := part(record)) else []
        tasks.setdefault(", ".join(details), []).append(f"{task.name} {task.split}")
    return "; ".join(
        ", ".join(dict.fromkeys(names)) + (f" ({details})" if details else "") for details, names in tasks.items()
    )


def _together(records: Sequence[Record]) -> str:
    """Name the checkpoints and the data of many runs, each once."""
    checkpoints = {model(record): record.manifest.model.get("checkpoint") for record in records}
    parents = [PurePosixPath(checkpoint).parents for checkpoint in checkpoints.values() if checkpoint]
    shared = [folder for folder in parents[0] if all(folder in others for others in parents)] if parents else []
    if len(parents) == len(checkpoints) and shared and len(shared[0].parts) > 1:
        models = f"{', '.join(checkpoints)} (checkpoints under {shared[0]})"
    else:
        models = ", ".join(
            name + (f" (checkpoint {checkpoint})" if checkpoint else "") for name, checkpoint in checkpoints.items()
        )
    return f"{models} on {_tasks(*records)}"


def labels_of(row: SampleRecord) -> dict[str, str]:
    """Return the labels of a sample; for a composed model also who answered it, as the label `answered by`."""
    parts = row.answered_by if isinstance(row.answered_by, list) else [row.answered_by]
    names = [name for name in dict.fromkeys(parts) if name is not None]
    return {**row.labels, "answered by": ", ".join(names)} if names else row.labels
