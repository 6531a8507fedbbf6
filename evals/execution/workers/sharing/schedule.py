"""Decide which of several runs a free worker computes next: a rule without processes.

Models are loaded as rarely as possible: a worker stays with its model as long as a run of that model has a window for
it, and before it loads another model it helps with the last batches of its own. The models are spread over the workers,
those with the largest weights first. A worker loads a model for a run that has begun only if that takes less time than
the run will still take without it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from evals.execution.workers.leases import Work


@dataclass(frozen=True)
class Candidate:
    """A run that a free worker could compute; the candidates are in the order in which they should begin."""

    model: Hashable
    """Equal for runs that use the same loaded model."""
    workers: int = 0
    """Number of its workers."""
    work: Work | None = None
    """None if it has not begun."""
    load_seconds: float = 0.0
    """Time in which a worker has loaded the model, 0 if that is not known yet."""


def choose(
    loaded: Hashable | None,
    candidates: Sequence[Candidate],
    *,
    may_begin: bool = True,
    refused: AbstractSet[int] = frozenset(),
) -> int | None:
    """Choose a run for a free worker.

    Args:
        loaded: the model that the worker has loaded, or None.
        candidates: the runs that are not complete.
        may_begin: whether another run may begin.
        refused: positions of the candidates that the worker cannot compute, since a worker died at its place with them.

    Returns:
        The position of the run, or None if the worker is not needed now.

    Example:
        >>> large, small = Candidate("8B", workers=1, work=Work(5, can_join=True)), Candidate("1B")
        >>> choose(None, [large, small])  # each model begins
        1
        >>> choose("8B", [large, small])  # but a worker stays with its model
        0
        >>> choose("1B", [Candidate("8B", workers=1, work=Work(0, True, seconds=20), load_seconds=60)])
    """
    usable = {at: run for at, run in enumerate(candidates) if at not in refused}
    begun = {at: run.work for at, run in usable.items() if run.work is not None and run.work.any}
    waiting = [at for at, run in usable.items() if run.work is None and may_begin]
    same = {at for at, run in usable.items() if loaded is not None and run.model == loaded}
    without = [at for at in begun if not candidates[at].workers]
    if without:
        return min(without, key=lambda at: (at not in same, at))
    worth_loading = [at for at, work in begun.items() if at in same or work.seconds > candidates[at].load_seconds]
    in_use = {run.model for run in candidates if run.workers}

    def most(positions: Sequence[int], amount: Callable[[Work], float]) -> int:
        return max(positions, key=lambda at: (amount(begun[at]) / candidates[at].workers, -candidates[at].workers, -at))

    def windows(positions: Sequence[int]) -> list[int]:
        return [at for at in positions if begun[at].windows > 0]

    if stay := windows([at for at in begun if at in same]):
        return most(stay, lambda work: work.windows)
    for at in waiting:
        if at in same:
            return at
    if tails := [at for at in begun if at in same]:
        return most(tails, lambda work: work.seconds)
    for at in waiting:
        if candidates[at].model not in in_use:
            return at
    if helped := windows(worth_loading):
        return most(helped, lambda work: work.windows)
    if waiting:
        return waiting[0]
    return most(worth_loading, lambda work: work.seconds) if worth_loading else None
