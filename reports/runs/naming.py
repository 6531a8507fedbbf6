"""What runs are called in print: model, title, and the first line of every report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from evals.records.folder import Record
from evals.reports.rendering.formatting import one_line
from evals.reports.runs.blind_control import demonstrated

_CONTROLS = "Blind runs are controls: each picture was replaced by a flat one."
_LONG = 40
_MANY = 3
"""So many runs a report names one by one."""


def blind(record: Record) -> bool:
    """Whether the run is a blind control: every picture was replaced by a flat one."""
    return bool(record.manifest["task"].get("blind"))


def model(record: Record) -> str:
    """Name a run's model, a long path by its end.

    Example:
        >>> from pathlib import Path
        >>> model(Record(Path(), {"model": {"name": "replay:/home/somebody/downloads/outputs/vqa.json"}}, None))
        'replay:…/vqa.json'
    """
    name: str = record.manifest["model"]["name"]
    if len(name) <= _LONG or "/" not in name:
        return name
    kind, colon, _ = name.partition(":")
    return f"{kind}:…/{name.rpartition('/')[2]}" if colon else f"…/{name.rpartition('/')[2]}"


def title(record: Record) -> str:
    """Name a run for people: `vl on vqa`."""
    control = ", blind control" if blind(record) else ""
    return one_line(f"{model(record)} on {record.manifest['task']['name']}{control}")


def short_names(records: Sequence[Record]) -> list[str]:
    """Name runs as columns: by model, and by signature too where that is not enough."""
    names = [model(record) + (" (blind)" if blind(record) else "") for record in records]
    return [
        one_line(name if names.count(name) == 1 else f"{name} {record.manifest['signature'][:6]}", limit=40)
        for name, record in zip(names, records, strict=True)
    ]


def about(records: Sequence[Record]) -> str:
    """Say which scale, checkpoint and data a report is about: the first line of every report.

    A result of a replica says so, and that it is no evidence about the public model.
    """
    scales = list(dict.fromkeys(_scale(record) for record in records))
    runs = list(dict.fromkeys(_subject(record) for record in records))
    said = "; ".join(runs) if len(runs) <= _MANY else _together(records)
    sentences = [f"{' and '.join(scales).capitalize()}: {said}."]
    if any(blind(record) for record in records):
        sentences.append("Blind control: every picture was replaced by a flat one." if len(records) == 1 else _CONTROLS)
    if any(record.manifest["model"].get("replica") for record in records):
        sentences.append("Mini results are of replicas: no evidence about the public models.")
    if len(records) > 1:
        sentences += demonstrated(records)
    return one_line(" ".join(sentences))


def _scale(record: Record) -> str:
    """Say which scale a run is of; one with neither a bundled model nor bundled data is of the user's own files."""
    manifest = record.manifest
    bundled = manifest["model"].get("replica") or manifest["data"].get("source") == "bundled"
    return f"{manifest['task']['scale']} scale" if bundled or manifest["task"]["scale"] == "full" else "own files"


def _subject(record: Record) -> str:
    """Say which checkpoint met which data."""
    checkpoint = record.manifest["model"].get("checkpoint")
    weights = f" (checkpoint {checkpoint})" if checkpoint else ""
    return f"{model(record)}{' blind' if blind(record) else ''}{weights} on {_asked(record)}"


def _asked(*records: Record) -> str:
    """Say what was asked, of which data; what shares its details has them once."""
    tasks: dict[str, list[str]] = {}
    for record in records:
        task, data = record.manifest["task"], record.manifest["data"]
        details = [f"data {data['source']}"] if data.get("source") else []
        if data.get("protocol"):
            details.append(f"{data['protocol']} protocol: {data['images']:,} images, {data['captions']:,} captions")
        details += [f"first {task['limit']:,} samples only"] if task.get("limit") else []
        tasks.setdefault(", ".join(details), []).append(f"{task['name']} {task['split']}")
    return "; ".join(
        ", ".join(dict.fromkeys(names)) + (f" ({details})" if details else "") for details, names in tasks.items()
    )


def _together(records: Sequence[Record]) -> str:
    """Say of many runs which checkpoints met which data, each once."""
    places = {model(record): record.manifest["model"].get("checkpoint") for record in records}
    folders = [PurePosixPath(place).parents for place in places.values() if place]
    shared = [folder for folder in folders[0] if all(folder in own for own in folders)] if folders else []
    if len(folders) == len(places) and shared and len(shared[0].parts) > 1:
        who = f"{', '.join(places)} (checkpoints under {shared[0]})"
    else:
        who = ", ".join(name + (f" (checkpoint {place})" if place else "") for name, place in places.items())
    return f"{who} on {_asked(*records)}"
