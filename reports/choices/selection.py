"""Select a model: which candidates keep the requirements, which of them is best, and what ties with it.

    select(records, criteria) -> Selection

The best candidate is the one with the highest quality among those that are shown to keep every requirement: the
headline of the task, or the plain mean of the headlines of several tasks. Of equal quality, the one with the lowest
price, latency and memory, in this order, is chosen, as far as these can be compared; if all are equal, none is. A
candidate that is not shown to differ from it is named as a tie, and one that is worse but cheaper as an alternative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from evals.comparison import check_means
from evals.errors import InputError
from evals.records.folder import Record
from evals.reports.choices import comparable, front
from evals.reports.choices.comparable import SetApart
from evals.reports.choices.differences import CostRatio, QualityDifference, in_costs, in_quality
from evals.reports.choices.early.pruning import StoppedCandidates, reason, stops
from evals.reports.choices.measurements import ModelCandidate, candidates
from evals.reports.choices.requirements import (
    COSTS,
    PRICE,
    Criteria,
    Requirement,
    Standing,
    measured,
    requirements,
)
from evals.schema import Metric

_MEANS = {"fraction", "coefficient"}
"""Units of headlines whose mean over tasks is formed."""
_DIGITS = 12
"""Decimal places from which qualities are equal: means of the same values in another order are."""


@dataclass(frozen=True)
class JudgedCandidate:
    """A candidate, and what was found about it."""

    candidate: ModelCandidate
    standings: tuple[Standing, ...]
    """Whether it keeps each requirement, in their order."""
    excluded: tuple[str, ...]
    """Why it cannot be chosen; empty if it can."""
    mean: float | None
    """The mean of its headlines; None if it has not all of them."""
    dominated_by: tuple[str, ...] | None
    """The candidates of the front that dominate it: none if it is on the front; None if it takes no part."""
    differences: tuple[QualityDifference, ...] = ()
    """How much better it is than the chosen one, by task."""
    ratios: tuple[CostRatio, ...] = ()
    """How many times as much it costs as the chosen one."""

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    @property
    def on_front(self) -> bool:
        """Whether it is on the Pareto front."""
        return self.dominated_by == ()

    @property
    def ties(self) -> bool:
        """Whether no difference to the chosen one was shown in any task."""
        return bool(self.differences) and all(difference.shown == "neither" for difference in self.differences)


@dataclass(frozen=True)
class Selection:
    """The answer to a selection."""

    criteria: Criteria
    requirements: tuple[Requirement, ...]
    candidates: tuple[JudgedCandidate, ...]
    """All candidates: the best, the others that could be chosen by their quality, then the excluded ones."""
    best: tuple[JudgedCandidate, ...]
    """The chosen one, or several that are equal in quality and in every cost that can be compared; in the order of
    `candidates`. Empty if none can be chosen."""
    decided_by: str | None
    """The cost that decided between candidates of equal quality; None if the quality did, or nothing."""
    undecided: Mapping[str, str]
    """Costs that cannot be compared for the best, with the reason."""
    nearest: JudgedCandidate | None
    """Where none can be chosen, the candidate that comes nearest to the requirements."""
    objectives: tuple[str, ...]
    """What the Pareto front is about: tasks, and costs."""
    left_out: Mapping[str, str]
    """Costs that the front leaves out, with the reason."""
    headlines: Mapping[str, str]
    """By task, the name of its headline metric."""
    apart: tuple[SetApart, ...]
    kind: str
    """The kind of request whose times count: `short`, or `caption` for tasks that show images."""
    fast: StoppedCandidates = field(default_factory=StoppedCandidates)
    """Which candidates stopped early, and which tasks were run in full nevertheless."""

    @property
    def chosen(self) -> JudgedCandidate | None:
        """The one that is better than the others; None if there is none, or several are equal."""
        return self.best[0] if len(self.best) == 1 else None

    @property
    def records(self) -> list[Record]:
        """Every run that counts."""
        runs = [run for judged in self.candidates for run in judged.candidate.runs.values()]
        return runs + [judged.candidate.timing for judged in self.candidates if judged.candidate.timing is not None]


def select(
    records: Sequence[Record],
    criteria: Criteria,
    absent: Mapping[tuple[str, str], str] | None = None,
    fast: StoppedCandidates = StoppedCandidates(),
) -> Selection:
    """Choose among the models of some runs.

    Args:
        records: finished runs of the tasks, and timings of their models.
        criteria: what is asked for.
        absent: by model and task, why a run could not be made.
        fast: the models whose runs stopped early, because that has excluded them; other such runs are set apart.

    Raises:
        InputError: no run is of the tasks, a minimum is outside the range of its metric, or the headlines of the tasks
            have no mean.
        RecordError: a run is not finished, or does not agree with itself.
    """
    runs = comparable.sort(records, criteria.tasks, fast.stopped)
    for run in (run for by_model in runs.quality.values() for run in by_model.values()):
        check_means(run)
    for task in criteria.tasks:
        if not runs.quality[task]:
            others = "; ".join(f"{apart.run}: {apart.why}" for apart in runs.apart[:3])
            reasons = "; ".join(f"{model}: {why}" for (model, name), why in (absent or {}).items() if name == task)
            because = reasons or others
            raise InputError(f"no run of task {task!r} can be compared" + (f" ({because})" if because else ""))
    everyone = candidates(runs, criteria.hourly, absent or {})
    headlines = {task: _headline(everyone, task) for task in criteria.tasks}
    limits = tuple(requirements(criteria, {task: pair for task, pair in headlines.items() if pair is not None}))
    names = {task: pair[0] if pair else "" for task, pair in headlines.items()}
    _check_means(everyone, criteria.tasks)
    judged = [_judge(candidate, limits, criteria, names) for candidate in everyone]
    eligible = [entry for entry in judged if not entry.excluded]
    objectives, left_out = front.objectives([entry.candidate for entry in eligible], criteria)
    eligible.sort(key=lambda entry: (*_preference(entry, objectives), entry.name))
    best, decided_by, undecided = _best(eligible, objectives, criteria)
    eligible = [*best, *(entry for entry in eligible if entry not in best)]
    entries = [*_compared(eligible, objectives, criteria.tasks), *(entry for entry in judged if entry.excluded)]
    return Selection(
        criteria=criteria,
        requirements=limits,
        candidates=tuple(entries),
        best=tuple(entries[: len(best)]),
        decided_by=decided_by,
        undecided=undecided,
        nearest=None if eligible else _nearest(entries, limits),
        objectives=tuple(objectives),
        left_out=left_out,
        headlines=names,
        apart=runs.apart,
        kind=runs.kind,
        fast=fast,
    )


def _compared(
    eligible: Sequence[JudgedCandidate], objectives: Sequence[str], tasks: Sequence[str]
) -> list[JudgedCandidate]:
    """Add to the candidates that can be chosen their place on the front, and how they differ from the first."""
    if not eligible:
        return []
    chosen, *others = (entry.candidate for entry in eligible)
    differences = {chosen.name: [], **in_quality(chosen, others, tasks)}
    dominated = _dominated(eligible, objectives)
    return [
        replace(
            entry,
            dominated_by=dominated[entry.name],
            differences=tuple(differences[entry.name]),
            ratios=tuple(in_costs(chosen, entry.candidate)) if entry.candidate is not chosen else (),
        )
        for entry in eligible
    ]


def _headline(everyone: Sequence[ModelCandidate], task: str) -> tuple[str, Metric] | None:
    """Return the name and a value of the headline of a task; None if no candidate has one."""
    for candidate in everyone:
        if task in candidate.quality:
            return candidate.runs[task].finished().headline, candidate.quality[task]
    return None


def _check_means(everyone: Sequence[ModelCandidate], tasks: Sequence[str]) -> None:
    """Raise `InputError` if the quality of several tasks has no mean."""
    for candidate in everyone:
        for task, value in candidate.quality.items():
            if len(tasks) > 1 and (value.unit not in _MEANS or value.higher_is_better is False):
                name = candidate.runs[task].finished().headline
                raise InputError(
                    f"{task} {name} is no share where higher is better, so it has no mean with other tasks: select by "
                    "it alone"
                )


def _judge(
    candidate: ModelCandidate, limits: Sequence[Requirement], criteria: Criteria, headlines: Mapping[str, str]
) -> JudgedCandidate:
    """Hold a candidate against the limits, and say why it cannot be chosen."""
    standings: list[Standing] = []
    if stopped := stops(candidate):
        below = {task for task, entry in stopped.items() if entry.decision == "below_minimum"}
        for limit in limits:
            unknown = limit.name in criteria.tasks and limit.name not in below
            standings.append("not measured" if unknown else limit.standing(candidate.measured(limit.name)))
        return JudgedCandidate(candidate, tuple(standings), (reason(candidate, headlines),), None, None)
    excluded = [
        " ".join(f"{task} {headlines[task]} is not measured: {candidate.missing[task]}".split())
        for task in criteria.tasks
        if task not in candidate.quality
    ]
    for limit in limits:
        value = candidate.measured(limit.name)
        if value is not None and limit.name == PRICE and value.unit != limit.unit:
            standings.append("not measured")
            excluded.append(f"its price is in {value.unit}, the limit in {limit.unit}: currencies are not converted")
            continue
        standings.append(limit.standing(value))
        if value is None and limit.name in COSTS:
            excluded.append(f"{limit.metric} is not measured: {candidate.missing[limit.name]}")
        elif standings[-1] in {"violated", "not shown"}:
            excluded.append(_unkept(limit, standings[-1], value))
    means = [value.value for value in candidate.quality.values()]
    complete = len(means) == len(criteria.tasks)
    mean = math.fsum(means) / len(means) if complete else None
    return JudgedCandidate(candidate, tuple(standings), tuple(excluded), mean, None)


def _unkept(limit: Requirement, standing: Standing, value: Metric | None) -> str:
    words = "is violated" if standing == "violated" else "is not shown to be kept"
    return f"{limit.text} {words}: {measured(value)}"


def _preference(judged: JudgedCandidate, objectives: Sequence[str]) -> tuple[float, ...]:
    """Return a key that sorts the better candidate first; of equal quality costs decide that can be compared."""
    quality = next(iter(judged.candidate.quality.values()))
    sign = 1.0 if quality.higher_is_better is False else -1.0
    costs = [judged.candidate.measured(name) for name in COSTS if name in objectives]
    mean = round(judged.mean or 0.0, _DIGITS)
    return (sign * mean, *(math.inf if cost is None else cost.value for cost in costs))


def _best(
    eligible: Sequence[JudgedCandidate], objectives: Sequence[str], criteria: Criteria
) -> tuple[list[JudgedCandidate], str | None, dict[str, str]]:
    """Return the candidates that nothing puts behind another, and what decided between equal qualities.

    Args:
        eligible: the candidates that can be chosen, the preferred first.
        objectives: what can be compared for all of them; it decides before what can be compared for the equal ones.
        criteria: what is asked for.

    Returns:
        The best, the cost that decided, and for each cost that cannot be compared for the best the reason.
    """
    best = [entry for entry in eligible if _preference(entry, ()) == _preference(eligible[0], ())]
    of_best, left_out = front.objectives([entry.candidate for entry in best], criteria)
    for name in dict.fromkeys(name for names in (objectives, of_best) for name in names if name in COSTS):
        values = [cost.value for entry in best if (cost := entry.candidate.measured(name)) is not None]
        lowest = [entry for entry, value in zip(best, values, strict=True) if value == min(values)]
        if len(lowest) == 1 < len(best):
            return lowest, name, {}
        best = lowest
    return best, None, left_out


def _dominated(eligible: Sequence[JudgedCandidate], objectives: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each candidate, those of the front that dominate it."""
    points = [front.point(entry.candidate, objectives) for entry in eligible]
    by_index = front.dominators(points)
    return {
        entry.name: tuple(eligible[index].name for index in indices)
        for entry, indices in zip(eligible, by_index, strict=True)
    }


def _nearest(judged: Sequence[JudgedCandidate], limits: Sequence[Requirement]) -> JudgedCandidate | None:
    """Return the candidate that misses the fewest requirements, by the smallest factor; of those with complete runs."""

    def miss(entry: JudgedCandidate) -> tuple[float, ...]:
        factors = [
            limit.distance(value)
            for limit, standing in zip(limits, entry.standings, strict=True)
            if standing != "not measured" and (value := entry.candidate.measured(limit.name)) is not None
        ]
        unmeasured = entry.standings.count("not measured") + len(entry.candidate.runs.keys() ^ entry.candidate.quality)
        missing_tasks = entry.mean is None
        return missing_tasks, unmeasured, entry.standings.count("violated"), max(factors, default=math.inf)

    return min((entry for entry in judged if not stops(entry.candidate)), key=miss, default=None)
