"""Candidates of a selection on the same samples: compute them in turn, and stop those that are shown to be excluded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from evals.execution.sequential.prefix import PrefixRun
from evals.execution.sequential.race import looks_of
from evals.records.sequential.entry import SequentialEntry
from evals.statistics.sequential.pruning import Exclusion, PruningRules, exclusions
from evals.statistics.sequential.races import PairInterval

FLAG = "--fast"


@dataclass
class PrunedTask:
    """How the candidates of a selection went on one task."""

    out: dict[str, Exclusion] = field(default_factory=dict)
    """By candidate that has stopped, the reason."""
    looks: dict[str, int] = field(default_factory=dict)
    """By candidate, the number of looks in which it took part."""
    history: list[PairInterval] = field(default_factory=list)
    """All pairs that were compared, at all looks."""

    def entry(self, name: str, run: PrefixRun, minimum: float | None) -> SequentialEntry:
        """Return what the run of a candidate that has stopped states about it.

        Args:
            name: the candidate.
            run: its samples.
            minimum: the least value of the mean.
        """
        why, whole = self.out[name], run.order.whole
        stated = SequentialEntry(
            rule="fast", looks=self.looks[name], used=why.samples, of=whole.samples, decision="below_minimum",
            target=minimum, low=why.low, high=why.high, clusters=whole.clusters, largest=whole.largest,
            ids=run.digest(),
        )  # fmt: skip
        if why.rival:
            shown = PairInterval(why.rival, name, why.value, why.low, why.high, why.samples)
            stated.decision, stated.target, stated.difference = "first_better", None, why.value
            stated.models, stated.pair, stated.best = [why.rival, name], [why.rival, name], why.rival
            stated.history = [looks_of(shown, self.history)]
        return stated


def prune(
    runs: Mapping[str, PrefixRun],
    rules: PruningRules,
    *,
    complete: Collection[str] = (),
    show: Callable[[str], object] = lambda text: None,
) -> PrunedTask:
    """Compute candidates in turn from look to look, until none of those that remain may be excluded.

    Candidates that are not excluded are not computed to the end here.

    Args:
        runs: by name; all have the same samples in the same order.
        rules: what may stop a candidate.
        complete: the candidates whose runs are finished: nothing would be saved, so they are not excluded.
        show: receives a line about each candidate that stops.

    Returns:
        What became of the candidates. Each of their runs holds the samples of whole looks.
    """
    outcome, remaining = PrunedTask(), list(runs)
    order, counts = runs[remaining[0]].order, runs[remaining[0]].looks
    for number, clusters in enumerate(counts[:-1], start=1):  # at the last look nothing is saved any more
        if not rules.may_stop([name for name in remaining if name not in complete], remaining):
            break
        for name in remaining:
            runs[name].advance(clusters)
            outcome.looks[name] = number
        values = {name: runs[name].values(clusters) for name in remaining}
        out, pairs = exclusions(values, order.starts[:clusters], order.whole, rules)
        outcome.history += pairs
        for name, why in out.items():
            if name not in complete:
                outcome.out[name] = why
                remaining.remove(name)
                show(f"{name} stops after {why.samples:,} of {order.whole.samples:,} samples: {_reason(why)}")
    for name in outcome.out:
        runs[name].drop_unfinished()
    return outcome


def _reason(why: Exclusion) -> str:
    ends = f"{100 * why.low:.1f} to {100 * why.high:.1f}"
    return f"{why.rival} is better by {ends} points" if why.rival else f"below the minimum ({ends} %)"
