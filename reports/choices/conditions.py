"""What must be equal for two runs, or two timings, to be comparable, and in what two of them differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from evals.errors import shorten
from evals.logs.matching import SampleKeys, is_imported, sample_keys
from evals.records.digests import PROTOCOL, protocol_value
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.schema import Json

_TASK_FIELDS = tuple(name for name in PROTOCOL if name.startswith("task."))
_OF_LOGS = frozenset({"samples", "part", "samples_in_split", "dataset_path", "dataset_name"})
"""What an imported log says of its data."""
_NO_EFFECT = frozenset({"batch_size", "limit", "max_samples", "status"})
"""Settings of a harness that change no answer, or that the data say."""
_QUESTIONS = "questions"
NOT_COMPARABLE = "not comparable with the others: "
"""How a reason begins that says in what runs differ."""
_SHOWN = 3
"""Maximum number of differing fields that a reason names."""
Conditions = Mapping[str, Json]
"""What must be equal for runs to be comparable, by the name of the manifest's field."""


class QuestionSets:
    """Which imported runs of a task have the same questions and right answers: `compare` then pairs all samples."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Read the questions of the imported runs among some records, in whose order the sets are numbered."""
        self._numbers: dict[int, int] = {}
        sets: list[list[SampleKeys]] = []
        for record in filter(is_imported, records):
            keys = sample_keys(record)
            number = next((n for n, members in enumerate(sets) if all(map(keys.are_those_of, members))), None)
            if number is None:
                number = len(sets)
                sets.append([])
            if keys not in sets[number]:
                sets[number].append(keys)
            self._numbers[id(record)] = number

    def number(self, record: Record) -> int | None:
        """Return the number of the set that a run is of; None if it was not imported."""
        return self._numbers.get(id(record))


def protocol(record: Record, questions: QuestionSets) -> Conditions:
    """Return what must be equal for two runs of a task to be comparable."""
    manifest = record.manifest
    data = dict(manifest.data)
    if data.get("files") or data.get("digests"):
        data.pop("source", None)  # the same files may lie in two places
    if isinstance(manifest.imported, ImportEntry):
        data = {name: value for name, value in data.items() if name in _OF_LOGS}  # the rest is of the log's files
        data[_QUESTIONS] = questions.number(record)
    task = {name: protocol_value(manifest, name) for name in _TASK_FIELDS}
    headline = record.finished().headline
    task |= {"the headline metric": headline, "its unit": record.finished().metrics[headline].unit}
    return {**task, **{f"data.{name}": value for name, value in data.items()}, **_of_harness(record)}


def _of_harness(record: Record) -> Conditions:
    """Return the harness that an imported run is of, and its settings that may change an answer."""
    imported = record.manifest.imported
    if not isinstance(imported, ImportEntry):
        return {}
    settings = {
        name: value for name, value in imported.protocol.items() if name not in _NO_EFFECT and "seed" not in name
    }
    return {"the harness": imported.harness} | {f"the harness's {name}": value for name, value in settings.items()}


def timing_conditions(record: Record, kind: str) -> Conditions:
    """Return what must be equal for two timings to be comparable."""
    manifest = record.manifest
    kinds = manifest.data.get("kinds")
    request: Json = kinds.get(kind) if isinstance(kinds, dict) else None
    machine = {f"machine.{name}": value for name, value in manifest.machine.items() if name != "python"}
    return machine | {
        "model.device": manifest.model.get("device"),
        "model.threads": manifest.model.get("threads"),
        f"data.kinds.{kind}": request,
    }


def canonical(conditions: Conditions) -> str:
    """Return one text for equal conditions."""
    return json.dumps(conditions, sort_keys=True, default=str)


def differing(conditions: Conditions, wanted: Conditions) -> str:
    """Say in what a run differs from those that are compared: its protocol, else its data or its machine."""
    names = [name for name in {**wanted, **conditions} if conditions.get(name) != wanted.get(name)]
    names = [name for name in names if name.startswith("task.")] or names
    shown = [_difference(name, conditions.get(name), wanted.get(name)) for name in names[:_SHOWN]]
    more = f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{NOT_COMPARABLE}{'; '.join(shown)}{more}"


def _difference(name: str, value: Json, wanted: Json) -> str:
    if name == f"data.{_QUESTIONS}":
        return "its questions and right answers cannot all be paired with theirs"
    if isinstance(value, dict | list) or isinstance(wanted, dict | list):
        return f"{name} differs"
    return f"{name} is {shorten(value, 60)}, not {shorten(wanted, 60)}"
