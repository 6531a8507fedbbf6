"""Plan a comparison: what is known of the sets and of the pilots becomes designs, and designs become numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from evals import registry
from evals.app.planning.pilots import PartPilot, TaskPilot, read_pilots
from evals.app.planning.sets import WHOLE, SetPart, TaskSet, dividing_label, is_suite, read_set
from evals.app.planning.settings import PlanSettings
from evals.data.row_tables import written_columns
from evals.errors import InputError
from evals.records import load_finished
from evals.reports.plans.contents import ComparisonPlan, PlannedCase, PlannedPart
from evals.statistics.planning import PairedDesign, independent_discordance, mean_cluster_size

_DISCORDANCES = (0.05, 0.10, 0.20, 0.40)
"""What is assumed without a pilot."""

_NO_MEANS = frozenset({"matthews", "f1", "pearson", "spearman", "average", "rsum"})
"""Metrics that are no means of samples, which `compare` does not test."""


def plan(settings: PlanSettings, complain: Callable[[str], object] = lambda text: None) -> ComparisonPlan:
    """Plan a comparison of two models.

    Args:
        settings: the user's choices.
        complain: receives why a run folder is left out.

    Raises:
        InputError: a set cannot be read, or a pilot does not fit it.
    """
    if not 0 < settings.detect < 1:
        raise InputError(f"--detect {100 * settings.detect:g}: give a difference in points, between 0 and 100")
    for name in settings.tasks:
        if settings.tasks.count(name) > 1:
            raise InputError(f"task {name!r} is named twice")
    if settings.runs and settings.models:
        raise InputError("--model and RUN: give only one, models to be run or the folders of finished runs")
    if settings.pilot < 10:
        raise InputError(f"--pilot {settings.pilot}: a pilot of fewer than 10 samples says nothing; give 10 or more")
    sets = dict(_sets(settings))
    pilots = read_pilots(settings, sets, complain)
    if pilots and (lacking := [name for name in settings.tasks if name not in pilots]):
        raise InputError(f"no run is a pilot of {', '.join(lacking)}: give one for each task, or for none")
    parts = [part for name in settings.tasks for part in _parts(name, sets[name], pilots.get(name), settings)]
    return ComparisonPlan(settings.detect, tuple(parts), tuple(_notes(settings, sets, pilots, parts)))


def _sets(settings: PlanSettings) -> Iterator[tuple[str, TaskSet]]:
    """Yield the set of each task; of pilots whose data cannot be read here, what they say about it."""
    stated = {record.manifest.task.name: record for record in load_finished(settings.runs)[0]} if settings.runs else {}
    for name in settings.tasks:
        record = stated.get(name)
        scale = settings.scale if record is None else record.manifest.task.scale
        split = settings.split or (None if record is None else record.manifest.task.split)
        try:
            columns = None if record is None or settings.data.get(name) is None else record.manifest.data.get("columns")
            written = written_columns(columns) if isinstance(columns, Mapping) else None
            yield name, read_set(name, scale=scale, split=split, data=settings.data.get(name), columns=written)
        except InputError:
            if record is None or name not in registry.TASKS or settings.data.get(name) is not None:
                raise
            rows = list(record.samples())
            total = record.manifest.samples_in_split or record.manifest.sample_count
            clusters = mean_cluster_size([row.cluster or f"\0{row.id}" for row in rows])
            label = dividing_label({key: [row.labels.get(key, "") for row in rows] for key in rows[0].labels})
            task = registry.TASKS.get(name)
            parts = {} if is_suite(task, label) else {WHOLE: SetPart(total, clusters, is_estimated=True)}
            for value in dict.fromkeys(row.labels.get(label, "") for row in rows) if label is not None else ():
                share = sum(row.labels.get(label or "") == value for row in rows) / len(rows)
                parts[value] = SetPart(max(1, round(total * share)), clusters, is_estimated=True)
            yield name, TaskSet(task, label, parts)


def _parts(name: str, task_set: TaskSet, pilot: TaskPilot | None, settings: PlanSettings) -> Iterator[PlannedPart]:
    by_part: Mapping[str, PartPilot] = {}
    if pilot is not None:
        by_part = pilot.parts(task_set.label, list(task_set.parts), settings)
    several = len(task_set.parts) > 1
    for value, part in task_set.parts.items():
        of_part = by_part.get(value)
        is_subset = several and value != WHOLE and WHOLE in task_set.parts
        title = name if value == WHOLE else f"{name} [{value}]" if is_subset else f"{name}/{value}"
        yield PlannedPart(
            name=title,
            value=of_part.value if of_part is not None else "",
            size=part.size,
            cluster_size=part.cluster_size,
            cases=tuple(_cases(part, of_part, settings.detect, pilot)),
            task=name if is_subset else title,
            is_subset=is_subset,
            only_whole=not task_set.task.per_sample,
            cost=of_part.cost if of_part is not None else None,
            is_estimated=part.is_estimated,
        )


def _cases(part: SetPart, of_part: PartPilot | None, gap: float, pilot: TaskPilot | None) -> Iterator[PlannedCase]:
    """Yield the assumptions about a part; all parts of a plan have the same number of them."""

    def case(name: str, low: float, high: float, correlation: float | None, exact: bool = True) -> PlannedCase:
        likely = PairedDesign(part.size, low, part.cluster_size, correlation or 0.0, exact)
        cautious = PairedDesign(part.size, high, part.cluster_size, 1.0 if correlation is None else correlation, exact)
        return PlannedCase(name, likely, cautious)

    if pilot is None:
        for discordance in _DISCORDANCES:
            yield case(f"differ on {100 * discordance:.0f} %", discordance, discordance, None)
    elif of_part is None:
        yield case("by the pilot", min(_DISCORDANCES), 1.0, None)
    elif of_part.pairs is None:
        most = independent_discordance(of_part.share, gap)
        yield case("by the pilot", min(gap, most), most, None)
    else:
        pairs = of_part.pairs
        yield case("by the pilot", pairs.discordance, pairs.high, pairs.correlation, pairs.exact)


def _notes(
    settings: PlanSettings, sets: Mapping[str, TaskSet], pilots: Mapping[str, TaskPilot], parts: list[PlannedPart]
) -> Iterator[str]:
    for name, pilot in pilots.items():
        models = " and ".join(record.manifest.model_name for record in pilot.records)
        count, scale = min(record.finished().n for record in pilot.records), pilot.records[0].manifest.task.scale
        rules = {entry.rule for record in pilot.records if (entry := record.finished().stopped) is not None}
        yield f"Pilot of {name}: {models}, {count:,} samples{' (stopped early)' if rules else ''} at {scale} scale."
        if rules - {"precision"}:
            yield (
                f"The pilot of {name} stopped when it had decided, which happens sooner where models happen to differ "
                "more: one of a size that is chosen before (--pilot N) has no such bias."
            )
        if len(pilot.records) == 1:
            yield (
                f"Only one model was run on {name}: the range is from models that err on the same samples to models "
                "whose errors are independent, and a second model is taken to cost as much."
            )
        if any(record.manifest.replica for record in pilot.records):
            yield "Bundled replicas were run: how they differ and what they cost says nothing about the public models."
    few = [part.name for part in parts if pilots and part.cost is None]
    if few:
        yield f"The pilot has fewer than 10 samples of {', '.join(few)}: their discordance is taken as unknown."
    if not pilots:
        yield (
            "Without a pilot it is not known on how many samples the models differ (one is right, the other wrong); "
            "the columns are assumptions. Name one or two models with --model, or finished runs, to measure it."
        )
    for name, task_set in sets.items():
        if not task_set.task.per_sample:
            yield f"The samples of {name} are scored together, so a plan for fewer than all says nothing of the set."
        of_task = [part for part in parts if part.value and f"{part.task}/".startswith(f"{name}/")]
        values = {part.value for part in of_task}
        headline = task_set.task.headline
        if headline.rpartition("/")[2] not in _NO_MEANS:
            continue
        compared = ", ".join(sorted({value.rpartition("/")[2] for value in values})) or "right or wrong"
        yield f"{headline} of {name} is no mean of samples and has no test; planned is {compared} of its samples."
