"""Several runs of one task and several questions about them: compute each run until its questions are answered.

A race (`race`) asks one question about all of its models. Here each question is about some of the runs, for example
whether one model is better than another, and whether a model is better than its own blind control.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evals.execution.sequential.prefix import PrefixRun
from evals.records.sequential.random_order import RandomOrder
from evals.statistics.clusters import Floats


@dataclass(frozen=True)
class RunQuestion:
    """What some runs are computed for."""

    runs: tuple[str, ...]
    """The names of the runs."""
    is_answered: Callable[[Sequence[Floats], RandomOrder, int], bool]
    """Whether their values answer it: the values of each run in random order, the order, the number of clusters."""


@dataclass(frozen=True)
class Answers:
    """What runs were computed until their questions were answered."""

    needed: Mapping[str, int]
    """By run, the number of clusters that its questions needed."""
    answered: Sequence[int | None]
    """By question, the number of clusters that answered it before the set was finished; None if none did."""


def answer(runs: Mapping[str, PrefixRun], questions: Sequence[RunQuestion]) -> Answers:
    """Compute runs from look to look, each until all questions about it are answered, or to its end.

    Looks that were made before an interruption are made again: their samples are on disk. A run that is not complete
    at the end holds the samples of whole looks.

    Args:
        runs: runs of the same samples in the same order, by name; each has a question.
        questions: what is asked.
    """
    some = next(iter(runs.values()))
    answered, needed = dict[int, int](), dict.fromkeys(runs, 0)
    for clusters in some.looks:
        remaining = [number for number in range(len(questions)) if number not in answered]
        for name in dict.fromkeys(name for number in remaining for name in questions[number].runs):
            runs[name].advance(clusters)
            needed[name] = clusters
        if clusters == some.order.whole.clusters:
            break
        for number in remaining:
            values = [runs[name].values(clusters) for name in questions[number].runs]
            if questions[number].is_answered(values, some.order, clusters):
                answered[number] = clusters
        if len(answered) == len(questions):
            break
    for run in runs.values():
        run.drop_unfinished()
    return Answers(needed, [answered.get(number) for number in range(len(questions))])
