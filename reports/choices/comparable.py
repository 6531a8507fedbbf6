"""Find the runs that can be compared with each other, and set the others apart, each with the reason.

Runs of one task are comparable if they have the same samples, scale, split and protocol. Timings are comparable if they
are of the same requests on the same machine and device; only those that were timed in turn have ratios.

Of several sets of comparable runs, one counts: one with a full-scale run of a public model, else the one with the most
models that have runs of every task, the most models, the most candidates, the fewest replicas, the most samples, or the
run that was started last, in this order. If all of that is equal, the set counts whose names or, if they are the same,
settings sort first. The order in which runs are given decides nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evals.records.digests import EXTENDED
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.reports.choices.conditions import Conditions, QuestionSets, canonical, differing, protocol, timing_conditions
from evals.reports.runs import naming

BLIND_CONTROL = "a blind control is no candidate"
STOPPED_EARLY = "it stopped early; the same command without the option that stopped it computes all samples"
DEFAULT_SETTINGS = "default settings"
_ADVANTAGES = (
    "they have full-scale runs of a public model", "more of their models have runs of every task",
    "they are of more models", "they are of more candidates",
    "fewer of them are of replicas", "they have more samples", "they were started later",
    "their names sort first, and nothing else tells",
)  # fmt: skip
"""What a set of runs may have before another, in the order of `_rank`."""
FULL = "full"
"""The scale of public models on whole benchmarks."""
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


@dataclass(frozen=True)
class ComparableRuns:
    """Runs that can be compared, by task and candidate."""

    quality: Mapping[str, Mapping[Identity, Record]]
    """By task."""
    timings: Mapping[Identity, Record]
    """Timings of the same requests on one machine and device."""
    peaks: Mapping[Identity, Record]
    """Of all timings under these conditions, also earlier ones, that with the largest peak of memory."""
    in_turn: frozenset[Identity]
    """The candidates that were timed in turn with each other."""
    kind: str
    """The kind of request whose times count: `short`, or `caption` for tasks that show images."""
    apart: tuple[SetApart, ...] = ()
    reasons: Mapping[tuple[Identity, str], str] = field(default_factory=dict)
    """By model, without its settings for texts, and task: why a run was set apart; blind controls last."""

    @property
    def identities(self) -> list[Identity]:
        """The candidates, by name."""
        return sorted({identity for runs in self.quality.values() for identity in runs})


@dataclass
class _Sorting:
    """Collects the runs that are set apart."""

    complete: frozenset[str] = frozenset()
    """Of several tasks, the models that have runs of every one."""
    apart: list[SetApart] = field(default_factory=list)
    reasons: dict[tuple[Identity, str], str] = field(default_factory=dict)

    def leave_out(self, record: Record, why: str) -> None:
        manifest = record.manifest
        key = Identity.of(record).timed, manifest.task.name
        if self.reasons.get(key, BLIND_CONTROL) == BLIND_CONTROL:
            self.reasons[key] = why
        self.apart.append(
            SetApart(naming.title(record), str(record.folder), why, manifest.model_name, manifest.task.name)
        )

    def largest(self, records: Sequence[Record], conditions: Callable[[Record], Conditions]) -> list[Record]:
        """Keep the records of one set of conditions: that of the highest rank, as the module's docstring says."""
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            groups[canonical(conditions(record))].append(record)
        if not groups:
            return []
        best = min(groups, key=lambda key: (_rank(groups[key], self.complete), key))
        for key, group in groups.items():
            if key != best:
                advantage = _advantage(*(_rank(records, self.complete) for records in (groups[best], group)))
                for record in group:
                    difference = differing(conditions(record), conditions(groups[best][0]))
                    self.leave_out(record, f"{difference}; the others count, because {advantage}")
        return groups[best]

    def newest(self, records: Iterable[Record]) -> dict[Identity, Record]:
        """Keep one run of each candidate: the one that was started last."""
        kept: dict[Identity, Record] = {}
        for record in records:
            identity = Identity.of(record)
            earlier = kept.get(identity)
            if earlier is None or _when(earlier) <= _when(record):
                kept[identity], older = record, earlier
            else:
                older = record
            if older is not None and older.manifest.signature != kept[identity].manifest.signature:
                later = "was started later" if _when(older) != _when(kept[identity]) else "counts, with no later date"
                self.leave_out(older, f"another run of the same model {later}: {kept[identity].folder}")
        return kept


def ordered(records: Iterable[Record]) -> list[Record]:
    """Return runs by model, task and date, so that the order in which they were given decides nothing."""
    return sorted(
        records,
        key=lambda record: (
            record.manifest.model_name, record.manifest.task.name, _when(record), record.manifest.signature,
            str(record.folder),
        ),
    )  # fmt: skip


def sort(records: Sequence[Record], tasks: Sequence[str], stopped: Collection[str] = ()) -> ComparableRuns:
    """Find the comparable runs of some tasks, and the timings of their models.

    Args:
        records: finished runs, in any order; of a run that is there twice, the folder with more samples counts.
        tasks: the tasks that count; runs of other tasks are set apart, except timings.
        stopped: models whose runs count though they stopped early.
    """
    models = [{record.manifest.model_name for record in records if record.manifest.task.name == task} for task in tasks]
    sorting = _Sorting(frozenset.intersection(*map(frozenset, models)) if len(tasks) > 1 else frozenset())
    relevant = list(_relevant(ordered(records), tasks, stopped, sorting))
    scored = [record for record in relevant if not record.timed]
    scored = sorting.largest(scored, lambda record: {"task.scale": record.manifest.task.scale})
    quality = {}
    for task in tasks:
        of_task = [record for record in scored if record.manifest.task.name == task]
        questions = QuestionSets(of_task)
        quality[task] = sorting.newest(sorting.largest(of_task, lambda record: protocol(record, questions)))  # noqa: B023
    quality = _joined(quality)
    kind = "caption" if any(shows_images(run) for runs in quality.values() for run in runs.values()) else "short"
    timed = list(_relevant_timings(relevant, quality, scored, sorting))
    same_machine = sorting.largest(timed, lambda record: timing_conditions(record, kind))
    together = _timed_in_turn(same_machine)
    first = [record for record in same_machine if id(record) in together]
    in_first = {Identity.of(record) for record in first}
    others = [record for record in same_machine if Identity.of(record) not in in_first]
    for record in same_machine:
        if id(record) not in together and Identity.of(record) in in_first:
            sorting.leave_out(record, "another timing of this model counts: with more models in turn, or a later one")
    timings = sorting.newest(first) | sorting.newest(others)
    in_turn = frozenset(Identity.of(record) for record in first) if len(first) > 1 else frozenset()
    return ComparableRuns(
        quality=quality,
        timings=timings,
        peaks=_peaks(same_machine),
        in_turn=in_turn,
        kind=kind,
        apart=tuple(sorting.apart),
        reasons=sorting.reasons,
    )


def _joined(quality: Mapping[str, Mapping[Identity, Record]]) -> dict[str, dict[Identity, Record]]:
    """Make one candidate of a model that has one run per task, though its settings for texts differ by task."""
    by_model: dict[Identity, dict[str, list[Identity]]] = defaultdict(lambda: defaultdict(list))
    for task, runs in quality.items():
        for identity in runs:
            by_model[identity.timed][task].append(identity)
    renamed: dict[Identity, str] = {}
    for model, by_task in by_model.items():
        settings = {task: identities[0].settings for task, identities in by_task.items()}
        if all(len(identities) == 1 for identities in by_task.values()) and len(set(settings.values())) > 1:
            renamed[model] = "; ".join(f"{task}: {text or DEFAULT_SETTINGS}" for task, text in settings.items())
    return {
        task: {
            identity._replace(settings=renamed.get(identity.timed, identity.settings)): run
            for identity, run in runs.items()
        }
        for task, runs in quality.items()
    }


def _peaks(timings: Iterable[Record]) -> dict[Identity, Record]:
    """Return, for each model, the timing with the largest peak of memory; of equal ones the last."""
    peaks: dict[Identity, Record] = {}
    for record in timings:
        earlier = peaks.get(Identity.of(record))
        if earlier is None or _peak(record) >= _peak(earlier):
            peaks[Identity.of(record)] = record
    return peaks


def _peak(record: Record) -> float:
    entry = record.finished().metrics.get("peak-memory")
    return -math.inf if entry is None else entry.value


def shows_images(record: Record) -> bool:
    """Whether the samples of a run show images."""
    modalities = record.manifest.data.get("modalities") or []
    return "image" in modalities or names_images(record.manifest.task.name)


def names_images(task: str) -> bool:
    """Whether a task shows images by its name."""
    return task.partition("/")[0] in IMAGE_TASKS


def _relevant(
    records: Sequence[Record], tasks: Sequence[str], stopped: Collection[str], sorting: _Sorting
) -> Iterator[Record]:
    """Yield each run once, without blind controls and runs of other tasks; of those of one signature the fullest."""
    fullest: dict[str, Record] = {}
    for record in records:
        kept = fullest.setdefault(record.manifest.signature, record)
        if kept.finished().n < record.finished().n:  # one that stopped early has the signature of the complete one
            fullest[record.manifest.signature] = record
    for record in records:
        manifest = record.manifest
        if record is not fullest[manifest.signature] and not record.timed:
            continue
        if naming.blind(record):
            sorting.leave_out(record, BLIND_CONTROL)
        elif not record.timed and manifest.task.name not in tasks:
            sorting.leave_out(record, f"{manifest.task.name} is none of the tasks")
        elif record.finished().stopped is not None and manifest.model_name not in stopped:
            sorting.leave_out(record, STOPPED_EARLY)
        else:
            yield record


def _relevant_timings(
    relevant: Iterable[Record],
    quality: Mapping[str, Mapping[Identity, Record]],
    scored: Sequence[Record],
    sorting: _Sorting,
) -> Iterator[Record]:
    """Yield the timings of the candidates, at the scale of their answers."""
    candidates = {identity.timed for runs in quality.values() for identity in runs}
    names = {identity.name for identity in candidates}
    scales = {record.manifest.task.scale for record in scored}
    for record in relevant:
        if not record.timed:
            continue
        identity, scale = Identity.of(record), record.manifest.task.scale
        if identity.name not in names:
            sorting.leave_out(record, "no run of this model on the tasks is among the runs that are compared")
        elif identity not in candidates:
            sorting.leave_out(
                record, "it is a timing of other weights, or another number format, than the runs compared"
            )
        elif scale not in scales:
            sorting.leave_out(record, f"it is a timing at scale {scale!r}, and the answers are of {', '.join(scales)}")
        else:
            yield record


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


def _rank(group: Sequence[Record], complete: frozenset[str]) -> tuple[object, ...]:
    """Return a key that sorts the set of runs first that counts before others."""
    public = any(record.manifest.task.scale == FULL and not record.manifest.replica for record in group)
    models = {record.manifest.model_name for record in group}
    replicas = {record.manifest.model_name for record in group if record.manifest.replica}
    samples = max(record.finished().n for record in group)
    later_first = (*(-ord(character) for character in max(map(_when, group))), 1)
    return (
        not public, -len(models & complete), -len(models), -_candidates(group), len(replicas), -samples, later_first,
        sorted(models),
    )  # fmt: skip


def _advantage(rank: Iterable[object], other: Iterable[object]) -> str:
    """Say why a set of runs counts before another."""
    pairs = zip(rank, other, _ADVANTAGES, strict=True)
    return next(
        (advantage for first, second, advantage in pairs if first != second),
        "they sort first, with nothing else to tell",
    )


def _when(record: Record) -> str:
    """Return when a run was started, or the date of the log that it was imported from; empty if neither is known."""
    imported = record.manifest.imported
    return record.manifest.started or ((imported.date or "") if isinstance(imported, ImportEntry) else "")
