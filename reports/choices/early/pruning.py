"""Candidates that stop early (`select --fast`): which may exclude which, why one has stopped, and whether that holds.

A candidate may stop early for two reasons, each shown by a sequence that holds at every look:

    below a minimum    its value on the whole set is below `--min`, so no interval of the whole set can lie above it
    dominated          it is worse than a rival in every task, on the whole set and on samples like these, and the
                       rival costs no more in anything that the Pareto front compares (`covers`)

So with a probability of at least 95 % the choice and the Pareto front are those that complete runs give. If the rival
is itself excluded in the end, it excludes nothing: then the candidate is run in full (`unjustified`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evals.errors import counted
from evals.records.sequential.entry import SequentialEntry
from evals.reports.choices.measurements import TOKENS, ModelCandidate
from evals.reports.choices.requirements import COSTS, Requirement, measured, printed
from evals.reports.rendering.formatting import one_line
from evals.schema import Metric

if TYPE_CHECKING:
    from evals.reports.choices.selection import Selection

NAMES = {"price": "price", "latency": "latency", "memory": "peak memory"}


@dataclass(frozen=True)
class StoppedCandidates:
    """What was stopped early for a selection, and what was not."""

    stopped: frozenset[str] = frozenset()
    """The models whose runs stopped early."""
    whole: Mapping[str, str] = field(default_factory=dict)
    """By task that was run in full, why nothing could stop early on it."""
    asked: bool = False
    """Whether models were to stop early."""


def stops(candidate: ModelCandidate) -> dict[str, SequentialEntry]:
    """Return, by task, what the runs of a candidate that stopped early state about it."""
    entries = {task: run.finished().stopped for task, run in candidate.runs.items()}
    return {task: entry for task, entry in entries.items() if entry is not None}


def covers(rival: ModelCandidate, candidate: ModelCandidate, whole: Collection[str]) -> bool:
    """Return whether a rival is nowhere worse than a candidate, apart from the tasks on which both race.

    Then a candidate that is worse in those can neither be chosen nor be on the Pareto front, as long as the rival can
    be chosen; and the costs that the front compares are the same with it and without it.

    Args:
        rival: the candidate that is to be better.
        candidate: the one that is to be excluded.
        whole: the tasks that were run in full.
    """
    for task in whole:
        a, b = rival.quality.get(task), candidate.quality.get(task)
        if a is None or b is None or _signed(a) < _signed(b):
            return False
    for name in COSTS:
        a, b = rival.measured(name), candidate.measured(name)
        if (a is None) != (b is None):  # nobody knows who costs less
            return False
        if a is not None and b is not None and (a.unit != b.unit or b.value < a.value):
            return False
    if TOKENS in {rival.price_of, candidate.price_of} or rival.price_of != candidate.price_of:
        return False  # the price of tokens is known after the last answer only
    return candidate.in_turn or not rival.in_turn


def _signed(value: Metric) -> float:
    return -value.value if value.higher_is_better is False else value.value


def rivals(
    candidates: Sequence[ModelCandidate], limits: Sequence[Requirement], whole: Collection[str]
) -> dict[str, list[str]]:
    """Return, by model, those that exclude it if they are better in all tasks that are not run in full.

    Args:
        candidates: the models with what was measured before the other tasks are run.
        limits: the limits of costs; a model that is not shown to keep them excludes no other.
        whole: the tasks that were run in full.
    """
    fit = [
        entry for entry in candidates if all(limit.standing(entry.measured(limit.name)) == "kept" for limit in limits)
    ]
    return {
        entry.model: [rival.model for rival in fit if rival is not entry and covers(rival, entry, whole)]
        for entry in candidates
    }


def unjustified(selection: Selection) -> list[str]:
    """Return the models that stopped early because of a rival that, in the end, does not exclude them.

    Args:
        selection: a selection with runs that stopped early.
    """
    by_model = {judged.candidate.model: judged for judged in selection.candidates}

    def holds(model: str) -> bool:
        candidate, seen = by_model[model].candidate, {model}
        whole = [task for task in selection.criteria.tasks if task not in stops(candidate)]
        rival = model
        while True:
            entries = stops(by_model[rival].candidate)
            if any(entry.decision == "below_minimum" for entry in entries.values()):
                return True  # and so is everything that is worse
            rival = next((entry.pair[0] for entry in entries.values()), "")
            if rival in seen or rival not in by_model:
                return False
            seen.add(rival)
            if not stops(by_model[rival].candidate):
                return not by_model[rival].excluded and covers(by_model[rival].candidate, candidate, whole)

    return [model for model, judged in by_model.items() if stops(judged.candidate) and not holds(model)]


def reason(candidate: ModelCandidate, headlines: Mapping[str, str]) -> str:
    """Say why a candidate has stopped early.

    Args:
        candidate: a candidate with at least one run that stopped early.
        headlines: by task, the name of its headline metric.
    """
    entries = stops(candidate)
    low = {task: entry for task, entry in entries.items() if entry.decision == "below_minimum"}
    if low:
        return "; ".join(
            f"{_after(entry)}: {task} {headlines[task]} is shown to be below {printed(entry.target or 0.0, 'fraction')}"
            f", {_value(candidate, task)}"
            for task, entry in low.items()
        )
    shown = [
        f"{_after(entry)}: {one_line(entry.pair[0], 60)} is shown to be better in {task} {headlines[task]} by "
        f"{_points(entry)}"
        for task, entry in entries.items()
    ]
    costs = [NAMES[name] for name in COSTS if candidate.measured(name) is not None]
    whole = [f"{task} {headlines[task]}" for task in candidate.quality if task not in entries]
    no_better = " and ".join([*whole, *costs])
    return "; ".join([*shown, *([f"and {candidate.name} is no better in {no_better}"] if no_better else [])])


def _after(entry: SequentialEntry) -> str:
    return f"after {entry.used:,} of {counted(entry.of, 'sample')}"


def _value(candidate: ModelCandidate, task: str) -> str:
    entry = stops(candidate)[task]
    value = candidate.quality[task]
    return measured(Metric(value.value, entry.low, entry.high, value.n))


def _points(entry: SequentialEntry) -> str:
    low, high, difference = (100 * (end or 0.0) for end in (entry.low, entry.high, entry.difference))
    return f"{difference:.1f} points ({low:.1f} to {high:.1f})"


def notes(selection: Selection) -> Iterator[str]:
    """Say what stopping early has saved, how far it can be trusted, and which tasks were run in full."""
    entries = [entry for judged in selection.candidates for entry in stops(judged.candidate).values()]
    if entries:
        names = sum(bool(stops(judged.candidate)) for judged in selection.candidates)
        saved = sum(entry.of - entry.used for entry in entries)
        yield (
            f"--fast stopped {counted(names, 'candidate')} early; {counted(saved, 'answer')} of these runs "
            f"{'was' if saved == 1 else 'were'} not computed, and the same command without --fast computes them. That "
            "complete runs would choose otherwise, or leave one of them on the Pareto front, happens in at most 5 of "
            "100 selections. Values of candidates that stopped are of the samples that they computed."
        )
    elif selection.fast.asked and len(selection.fast.whole) < len(selection.criteria.tasks):
        yield "--fast saved nothing: in the end all candidates have all samples."
    for task, why in selection.fast.whole.items():
        yield f"--fast stopped nothing early on {task}: {why}."
