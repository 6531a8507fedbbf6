"""Compute the candidates of a selection in turn, and stop those that are shown to be excluded (`select --fast`).

The tasks follow each other. A candidate that is below the minimum of a task is excluded at once. One that is worse than
a rival waits: it is excluded if every task that can stop early shows the same rival to be better. Candidates that are
not excluded are left as interrupted runs: whoever runs them completes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from evals.app import completion, readiness
from evals.app.early.open_runs import open_runs
from evals.app.readiness import ReadyRun
from evals.app.several import Pair
from evals.errors import EvalsError, InputError
from evals.execution import progress
from evals.execution.sequential.eligible import EarlyStop
from evals.execution.sequential.pruning import FLAG, prune
from evals.records import Record
from evals.statistics.sequential.pruning import Exclusion, PruningRules, claim_level

_EACH_BETTER = "no candidate can exclude another: there is no minimum, and each is better than the others in some cost"
_SAMPLES = "the models do not answer the same samples in one random order"


@dataclass
class PrunedRuns:
    """What became of the candidates."""

    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    """By model and task, the runs that stopped early."""
    below: set[str] = field(default_factory=set)
    """The models that are below a minimum."""
    rival: dict[str, str] = field(default_factory=dict)
    """By model that is worse than another in every task, that other model."""
    whole: dict[str, str] = field(default_factory=dict)
    """By task on which nothing could stop early, the reason."""

    @property
    def excluded(self) -> set[str]:
        """The models that need not be run further."""
        return self.below | set(self.rival)


@dataclass(frozen=True)
class _RacedTask:
    """A task on which candidates can stop early."""

    name: str
    runs: Mapping[str, tuple[ReadyRun, EarlyStop]]
    """By model."""
    minimum: float | None


def refusals(pairs: Mapping[str, Sequence[Pair]]) -> dict[str, str]:
    """Return, by task on which nothing can stop early, the reason; no model is loaded.

    Args:
        pairs: by task, the models that are to be run on it.
    """
    reasons = {}
    for task, of_task in pairs.items():
        try:
            _ready(of_task)
        except InputError as error:
            reasons[task] = str(error).removeprefix(f"{FLAG}: ").partition("; ")[0]
    return reasons


def _ready(pairs: Sequence[Pair]) -> dict[str, tuple[ReadyRun, EarlyStop]]:
    """Make the runs of a task ready. Raises `InputError` if they cannot stop early, or not side by side."""
    runs = {}
    for pair in pairs:
        if pair.refused is None:
            run = readiness.ready(pair.config)
            runs[pair.model] = (run, readiness.early_stop(run, FLAG))
    if len({(tuple(run.samples.ids), run.config.options.seed) for run, _ in runs.values()}) > 1:
        raise InputError(_SAMPLES)
    return runs


def prune_tasks(
    pairs: Mapping[str, Sequence[Pair]], minimums: Mapping[str, float], rivals: Mapping[str, Collection[str]]
) -> PrunedRuns:
    """Compute candidates until those that can be excluded are.

    Args:
        pairs: by task that can stop early, the models that are to be run on it.
        minimums: by task, the least value of its headline, a fraction.
        rivals: by model, those that exclude it if they are better in all of these tasks.

    Returns:
        What became of the candidates; an error on one task is a reason to run it in full.
    """
    pruned = PrunedRuns()
    tasks = [_RacedTask(task, _ready(of_task), minimums.get(task)) for task, of_task in pairs.items()]
    tasks = [task for task in tasks if task.runs]
    claims = len({frozenset((name, rival)) for name, others in rivals.items() for rival in others})
    claims += sum(len(task.runs) for task in tasks if task.minimum is not None)
    level = claim_level(claims)
    worse: dict[str, str] | None = None
    for task in sorted(tasks, key=lambda task: task.minimum is None):  # a minimum excludes at once
        against = rivals if worse is None else {name: [rival] for name, rival in worse.items()}
        rules = PruningRules(level, task.minimum, against)
        runs = {name: run for name, run in task.runs.items() if name not in pruned.below}
        if not rules.may_stop(runs, runs):
            if worse is None and len(runs) > 1:
                pruned.whole[task.name] = _EACH_BETTER
            worse = {}
            continue
        try:
            out = _prune(task, runs, rules, pruned)
        except EvalsError as error:  # the run itself says so again, or it is a reason to compute all samples
            pruned.whole[task.name] = str(error)
            worse = {}
            continue
        pruned.below |= {name for name, why in out.items() if not why.rival}
        worse = {name: why.rival for name, why in out.items() if why.rival}
    pruned.rival = {name: rival for name, rival in (worse or {}).items() if name not in pruned.below}
    return pruned


def _prune(
    task: _RacedTask, runs: Mapping[str, tuple[ReadyRun, EarlyStop]], rules: PruningRules, pruned: PrunedRuns
) -> dict[str, Exclusion]:
    """Compute the candidates of one task until those that can be excluded are; return these with the reason."""
    shows_bar = next(run.config.shows_bar for run, _ in runs.values())
    with ExitStack() as stack:
        opened = open_runs(stack, runs, status=lambda: "")
        complete = {name for name, run in opened.items() if run.was_complete}
        for name, run in opened.items():
            if name not in complete:
                completion.reopen(run.folder.folder)
        prefixes = {name: run.prefix for name, run in opened.items()}
        outcome = prune(
            prefixes, rules, complete=complete, show=progress.note if shows_bar else lambda text: None
        )  # fmt: skip
        for name in outcome.out:
            entry = outcome.entry(name, prefixes[name], rules.minimum)
            pruned.records[name, task.name] = opened[name].finish(entry)
    return outcome.out
