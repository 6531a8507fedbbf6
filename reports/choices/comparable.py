"""Find the runs that can be compared with each other, and set the others apart, each with the reason.

Runs of one task are comparable if they have the same samples, scale, split and protocol. Timings are comparable if they
are of the same requests on the same machine and device; only those that were timed in turn have ratios. Of several sets
of comparable runs, the one with the most candidates counts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evals.comparison import PROTOCOL
from evals.errors import shorten
from evals.logs.matching import question_key
from evals.records.digests import EXTENDED, digest_of_ids
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.reports.runs import naming
from evals.schema import Json

_TASK_FIELDS = tuple(name.removeprefix("task.") for name in PROTOCOL if name.startswith("task."))
_OF_LOGS = frozenset({"samples", "ids", "part", "samples_in_split", "dataset_path", "dataset_name"})
"""What an imported log says of its data."""
_NO_EFFECT = frozenset({"batch_size", "limit", "max_samples", "status"})
"""Settings of a harness that change no answer, or that the data say."""
BLIND_CONTROL = "a blind control is no candidate"
_SHOWN = 3
"""Maximum number of differing fields that a reason names."""
IMAGE_TASKS = frozenset({"vqa", "retrieval"})
"""Families of tasks that show images; other tasks say so in their data's facts."""


class Identity(NamedTuple):
    """What a candidate is: a model as it was named, its weights, its number format, and how it generates texts."""

    name: str
    weights: str
    dtype: str
    settings: str = ""
    """The options for generated texts that are set (`thinking=on`); empty for timings."""

    @property
    def timed(self) -> Identity:
        """The identity of the timings of the model, which have no options for texts."""
        return self._replace(settings="")

    @classmethod
    def of(cls, record: Record) -> Identity:
        """Return the identity of the model of a run."""
        facts = record.manifest.model
        weights = next((facts[key] for key in ("digest", "revision", "checkpoint") if facts.get(key)), "")
        generation = record.manifest.task.generation
        options = {} if record.timed or not isinstance(generation, dict) else generation
        settings = ", ".join(f"{name}={value}" for name, value in sorted(options.items()) if name != EXTENDED)
        return cls(record.manifest.model_name, str(weights), str(facts.get("dtype") or ""), settings)


class SetApart(NamedTuple):
    """A run that is not compared with the others."""

    run: str
    """What it is called: `vl on vqa`."""
    folder: str
    why: str
    model: str
    task: str


Conditions = Mapping[str, Json]
"""What must be equal for runs to be comparable, by the name of the manifest's field."""


@dataclass(frozen=True)
class ComparableRuns:
    """Runs that can be compared, by task and candidate."""

    quality: Mapping[str, Mapping[Identity, Record]]
    """By task."""
    timings: Mapping[Identity, Record]
    """Timings of the same requests on one machine and device."""
    in_turn: frozenset[Identity]
    """The candidates that were timed in turn with each other."""
    kind: str
    """The kind of request whose times count: `short`, or `caption` for tasks that show images."""
    apart: tuple[SetApart, ...] = ()

    @property
    def identities(self) -> list[Identity]:
        """The candidates, in the order of their runs."""
        return list(dict.fromkeys(identity for runs in self.quality.values() for identity in runs))


@dataclass
class _Sorting:
    """Collects the runs that are set apart."""

    apart: list[SetApart] = field(default_factory=list)

    def leave_out(self, record: Record, why: str) -> None:
        manifest = record.manifest
        self.apart.append(
            SetApart(naming.title(record), str(record.folder), why, manifest.model_name, manifest.task.name)
        )

    def largest(self, records: Sequence[Record], conditions: Callable[[Record], Conditions]) -> list[Record]:
        """Keep the records of the conditions that most candidates have; of equal numbers, those with most samples."""
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            groups[_canonical(conditions(record))].append(record)
        if not groups:
            return []
        best = max(groups.values(), key=lambda group: (_candidates(group), group[0].finished().n))
        wanted = conditions(best[0])
        for group in groups.values():
            if group is not best:
                for record in group:
                    self.leave_out(record, _differing(conditions(record), wanted))
        return best

    def newest(self, records: Iterable[Record]) -> dict[Identity, Record]:
        """Keep one run of each candidate: the one that was started last."""
        kept: dict[Identity, Record] = {}
        for record in records:
            identity = Identity.of(record)
            earlier = kept.get(identity)
            if earlier is None or earlier.manifest.started <= record.manifest.started:
                kept[identity], older = record, earlier
            else:
                older = record
            if older is not None and older.manifest.signature != kept[identity].manifest.signature:
                why = f"another run of the same model was started later: {kept[identity].folder}"
                self.leave_out(older, why)
        return kept


def sort(records: Sequence[Record], tasks: Sequence[str]) -> ComparableRuns:
    """Find the comparable runs of some tasks, and the timings of their models.

    Args:
        records: finished runs, in any order; a run that is there twice counts once.
        tasks: the tasks that count; runs of other tasks are set apart, except timings.
    """
    sorting = _Sorting()
    relevant = list(_relevant(records, tasks, sorting))
    scored = [record for record in relevant if not record.timed]
    scored = sorting.largest(scored, lambda record: {"task.scale": record.manifest.task.scale})
    quality = {}
    for task in tasks:
        of_task = [record for record in scored if record.manifest.task.name == task]
        quality[task] = sorting.newest(sorting.largest(of_task, _protocol))
    identities = {identity for runs in quality.values() for identity in runs}
    kind = "caption" if any(shows_images(run) for runs in quality.values() for run in runs.values()) else "short"
    timed = [record for record in relevant if record.timed]
    timed_identities = {identity.timed for identity in identities}
    for record in timed:
        if Identity.of(record) not in timed_identities:
            sorting.leave_out(record, "no run of this model on the tasks is among the runs that are compared")
    timed = [record for record in timed if Identity.of(record) in timed_identities]
    scales = {record.manifest.task.scale for record in scored}
    same_machine = sorting.largest(timed, lambda record: _timing_conditions(record, kind, scales))
    together = _timed_in_turn(same_machine)
    first = [record for record in same_machine if id(record) in together]
    in_first = {Identity.of(record) for record in first}
    others = [record for record in same_machine if Identity.of(record) not in in_first]
    for record in same_machine:
        if id(record) not in together and Identity.of(record) in in_first:
            sorting.leave_out(record, "another timing of this model counts: with more models in turn, or a later one")
    timings = sorting.newest(first) | sorting.newest(others)
    in_turn = frozenset(Identity.of(record) for record in first) if len(first) > 1 else frozenset()
    return ComparableRuns(quality, timings, in_turn, kind, tuple(sorting.apart))


def shows_images(record: Record) -> bool:
    """Whether the samples of a run show images."""
    modalities = record.manifest.data.get("modalities") or []
    return "image" in modalities or record.manifest.task.name.partition("/")[0] in IMAGE_TASKS


def _relevant(records: Sequence[Record], tasks: Sequence[str], sorting: _Sorting) -> Iterator[Record]:
    """Yield each run once, without blind controls and runs of other tasks."""
    signatures: set[str] = set()
    for record in records:
        manifest = record.manifest
        if manifest.signature in signatures and not record.timed:
            continue
        signatures.add(manifest.signature)
        if naming.blind(record):
            sorting.leave_out(record, BLIND_CONTROL)
        elif not record.timed and manifest.task.name not in tasks:
            sorting.leave_out(record, f"{manifest.task.name} is none of the tasks")
        else:
            yield record


def _protocol(record: Record) -> Conditions:
    """Return what must be equal for two runs of a task to be comparable."""
    manifest = record.manifest
    data = dict(manifest.data)
    if data.get("files") or data.get("digests"):
        data.pop("source", None)  # the same files may lie in two places
    if isinstance(manifest.imported, ImportEntry):
        data = {name: value for name, value in data.items() if name in _OF_LOGS}  # the rest is of the log's files
        questions = sorted(question_key(row.prompt) for row in record.samples())
        data |= {"questions": digest_of_ids(questions), "harness": manifest.imported.harness}
        protocol = manifest.imported.protocol
        data |= {name: value for name, value in protocol.items() if name not in _NO_EFFECT and "seed" not in name}
    task = {f"task.{name}": getattr(manifest.task, name) for name in _TASK_FIELDS}
    task |= {"the headline metric": record.finished().headline}
    return task | {f"data.{name}": value for name, value in data.items()}


def _timing_conditions(record: Record, kind: str, scales: Iterable[str]) -> Conditions:
    """Return what must be equal for two timings to be comparable."""
    manifest = record.manifest
    kinds = manifest.data.get("kinds")
    request: Json = kinds.get(kind) if isinstance(kinds, dict) else None
    machine = {f"machine.{name}": value for name, value in manifest.machine.items() if name != "python"}
    return machine | {
        "task.scale": manifest.task.scale,
        "same scale as the answers": manifest.task.scale in scales,
        "model.device": manifest.model.get("device"),
        "model.threads": manifest.model.get("threads"),
        f"data.kinds.{kind}": request,
    }


def _timed_in_turn(records: Sequence[Record]) -> set[int]:
    """Return the `id` of the records of the largest set that was timed in one session; of equal sets, of the last.

    Two models that were each timed in turn with a third one were not timed in turn with each other.
    """
    by_session: dict[str, list[Record]] = {}
    for record in records:
        for session in {row.cluster for row in record.values()}:
            by_session.setdefault(session, []).append(record)
    if not by_session:
        return set()
    best = max(by_session.values(), key=lambda entry: (_candidates(entry), max(r.manifest.started for r in entry)))
    return {id(record) for record in best}


def _candidates(records: Iterable[Record]) -> int:
    return len({Identity.of(record) for record in records})


def _canonical(conditions: Conditions) -> str:
    return json.dumps(conditions, sort_keys=True, default=str)


def _differing(conditions: Conditions, wanted: Conditions) -> str:
    """Say in what a run differs from those that are compared: its protocol, else its data or its machine."""
    names = [name for name in {**wanted, **conditions} if conditions.get(name) != wanted.get(name)]
    names = [name for name in names if name.startswith("task.")] or names
    shown = [_difference(name, conditions.get(name), wanted.get(name)) for name in names[:_SHOWN]]
    more = f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"not comparable with the others: {'; '.join(shown)}{more}"


def _difference(name: str, value: Json, wanted: Json) -> str:
    if isinstance(value, dict | list) or isinstance(wanted, dict | list):
        return f"{name} differs"
    return f"{name} is {shorten(value, 60)}, not {shorten(wanted, 60)}"
