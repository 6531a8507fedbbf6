"""Pilots: one or two runs of a task on a few samples, finished ones or short ones that are made for the plan."""

from __future__ import annotations

import math
import os.path
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.app.planning.sets import WHOLE, TaskSet
from evals.app.planning.settings import PlanSettings
from evals.errors import InputError
from evals.records import Record, load_finished
from evals.records.types import SampleRecord
from evals.reports.plans.contents import SampleCost
from evals.statistics.planning import PilotPairs, mean_cluster_size, pilot_pairs

_FEWEST = 10
"""Samples of a part from which a pilot says something about it."""
_COST = "cost_"


@dataclass(frozen=True, slots=True)
class PartPilot:
    """What a pilot says about a part of a set."""

    n: int
    share: float
    """The mean value of the first run."""
    pairs: PilotPairs | None
    """How the two models differ; None of one model."""
    cost: SampleCost
    value: str
    cluster_size: float


@dataclass(frozen=True, slots=True)
class TaskPilot:
    """The pilots of one task: one run, or two on the same samples."""

    records: tuple[Record, ...]

    def parts(self, label: str | None, names: Sequence[str], settings: PlanSettings) -> dict[str, PartPilot]:
        """Return what the pilot says about some parts; those with fewer than ten samples are left out."""
        rows = [{row.id: row for row in record.samples()} for record in self.records]
        ids = [id for id in rows[0] if all(id in others for others in rows)]
        pilots = {}
        for name in names:
            of_part = [id for id in ids if name == WHOLE or rows[0][id].labels.get(label or "") == name]
            if len(of_part) >= _FEWEST:
                pilots[name] = _part([[of_run[id] for id in of_part] for of_run in rows], self.records, settings)
        return pilots


def read_pilots(
    settings: PlanSettings, sets: Mapping[str, TaskSet], complain: Callable[[str], object]
) -> dict[str, TaskPilot]:
    """Read the pilots, or make them; by task.

    Raises:
        InputError: a run is of another task, or two cannot be compared; more than two models are named.
    """
    if settings.runs:
        records, skipped = load_finished(settings.runs)
        for reason in skipped:
            complain(f"left out: {reason}")
    elif settings.models:
        records = _made(settings, sets)
    else:
        return {}
    by_task: dict[str, list[Record]] = {}
    for record in _once(records, complain):
        name = record.manifest.task.name
        if name not in settings.tasks:
            raise InputError(
                f"{record.folder} is a run of {name!r}, which is none of --task {','.join(settings.tasks)}"
            )
        by_task.setdefault(name, []).append(record)
    return {name: _checked(runs) for name, runs in by_task.items()}


def _once(records: Sequence[Record], complain: Callable[[str], object]) -> list[Record]:
    """Leave out a run that was given twice, also by two paths."""
    by_folder: dict[Path, Record] = {}
    for record in records:
        first = by_folder.setdefault(record.folder.resolve(), record)
        if first is not record:
            complain(f"left out: {record.folder} was given before, as {first.folder}: a run counts once")
    return [*by_folder.values()]


def _checked(records: Sequence[Record]) -> TaskPilot:
    """Refuse more than two runs of a task, and two that `compare` refuses."""
    from evals import comparison

    if len(records) > 2:
        raise InputError(
            f"{len(records)} runs are of {records[0].manifest.task.name!r}: a plan is for two models; give one or two"
        )
    if len(records) == 2:
        a, b = records
        if a.manifest.signature == b.manifest.signature:
            raise InputError(
                f"{a.folder} and {b.folder} are runs of one signature ({a.manifest.signature}): how two models differ "
                f"is not seen from one; give the run of another model, or one run alone"
            )
        comparison.compare(a, b)
    return TaskPilot(tuple(records))


def _made(settings: PlanSettings, sets: Mapping[str, TaskSet]) -> list[Record]:
    """Run the pilots; those that are finished are read."""
    from evals.app import several

    if len(settings.models) > 2:
        raise InputError(f"--model names {len(settings.models)} models: a plan is for two; give one or two")
    records: list[Record] = []
    for name in settings.tasks:
        limit = settings.pilot * max(1, len(sets[name].parts) - (WHOLE in sets[name].parts))
        outcome = several.run(
            settings.models, [name], data=settings.data.get(name), scale=settings.scale, split=settings.split,
            limit=limit, progress=settings.progress, command=settings.command,
        )  # fmt: skip
        for (model, task), why in {**outcome.refused, **outcome.broken}.items():
            raise InputError(f"the pilot of {model} on {task} was not run: {why}")
        records += outcome.records
    return records


def _part(runs: Sequence[Sequence[SampleRecord]], records: Sequence[Record], settings: PlanSettings) -> PartPilot:
    name = _value_name(runs, records[0].finished().headline)
    values = [np.array([row.values.get(name, next(iter(row.values.values()))) for row in rows], float) for rows in runs]
    if not all(((column >= 0) & (column <= 1)).all() for column in values):
        raise InputError(f"{name} of {records[0].folder} is not between 0 and 1: its differences are no points")
    clusters = [row.cluster or f"\0{row.id}" for row in runs[0]]
    return PartPilot(
        n=len(clusters),
        share=float(values[0].mean()),
        pairs=pilot_pairs(values[0], values[1], clusters) if len(values) == 2 else None,
        cost=_cost(runs, settings),
        value=name,
        cluster_size=mean_cluster_size(clusters),
    )


def _value_name(runs: Sequence[Sequence[SampleRecord]], headline: str) -> str:
    """Return the name of the value that all samples have: the headline if it is one, else the first."""
    shared = [name for name in runs[0][0].values if all(name in row.values for rows in runs for row in rows)]
    if shared:
        return headline if headline in shared else shared[0]
    if all(len(row.values) == 1 for rows in runs for row in rows):  # MNLI's two sets name it differently
        return os.path.commonpath([name for row in runs[0] for name in row.values]) or "value"
    raise InputError("the samples of the pilot have no value in common: their metric is no mean of samples")


def _cost(runs: Sequence[Sequence[SampleRecord]], settings: PlanSettings) -> SampleCost:
    """Return what one sample costs both models; a single model counts twice."""
    factor = 2 / len(runs) / len(runs[0])

    def total(*names: str) -> float:
        return factor * math.fsum(row.cost.get(name, 0) for rows in runs for row in rows for name in names)

    seconds = total("seconds")
    charged = dict.fromkeys(name for rows in runs for row in rows for name in row.cost if name.startswith(_COST))
    money = {name.removeprefix(_COST).upper(): total(name) for name in charged}
    if settings.hourly is not None:
        currency = settings.hourly.currency
        money[currency] = money.get(currency, 0.0) + seconds / 3600 * settings.hourly.amount
    return SampleCost(seconds, total("prompt_tokens", "new_tokens"), tuple(money.items()))
