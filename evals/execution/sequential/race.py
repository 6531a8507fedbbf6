"""Several models on the same samples: compute them in turn until it is decided which is better, or all are finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evals.execution.sequential.prefix import PrefixRun
from evals.records.sequential.entry import PairLooks, SequentialEntry
from evals.records.sequential.random_order import RandomOrder
from evals.statistics.clusters import Floats
from evals.statistics.sequential.differences import shared_level
from evals.statistics.sequential.races import PairInterval, RaceStanding, decided, pair_level, standing

FLAG = "--until-decided"


@dataclass(frozen=True)
class RaceOutcome:
    """How a race ended."""

    models: tuple[str, ...]
    """All models, in the order of the command."""
    last: RaceStanding
    """The standing at the last look."""
    looks: Mapping[str, int]
    """By model: the number of looks in which it took part."""
    used: Mapping[str, int]
    """By model: the number of samples of its last look."""
    out: Mapping[str, PairInterval]
    """By model that is out: the pair that shows it, with the better model as the first."""
    margin: float | None
    """Differences up to this one count as none, a fraction."""
    history: Sequence[PairInterval]
    """All pairs at all looks, in their order."""

    @property
    def best(self) -> str | None:
        """The model that is shown to be the best, or None."""
        return self.last.remaining[0] if len(self.last.remaining) == 1 else None

    @property
    def tied(self) -> tuple[str, ...]:
        """The models that remain and are shown to be the same within the margin; empty if they are not."""
        return self.last.remaining if self.last.tied else ()

    def entry(self, model: str, run: PrefixRun) -> SequentialEntry:
        """Return what the run of a model states about the race: of two models, both state the same but their samples.

        Args:
            model: the model.
            run: its samples.
        """
        pair = self._pair(model)
        if len(self.models) == 2 or model in self.out:
            decision = decided(pair.low, pair.high, self.margin)
        else:
            decision = "within_margin" if self.tied else "undecided" if self.best is None else "first_better"
        return SequentialEntry(
            rule="until-decided", target=self.margin, looks=self.looks[model], used=self.used[model],
            of=run.order.whole.samples, decision=decision, low=pair.low, high=pair.high, difference=pair.difference,
            clusters=run.order.whole.clusters, largest=run.order.whole.largest, ids=run.digest(),
            models=[pair.first, pair.second] if len(self.models) == 2 else [*self.models],
            pair=[pair.first, pair.second], best=self.best, tied=[*self.tied],
            history=[looks_of(shown, self.history) for shown in self._shown()],
        )  # fmt: skip

    def _shown(self) -> list[PairInterval]:
        """Return the pairs that say how the race went: for each model but the best of the remaining, one."""
        if len(self.models) == 2:
            return [*self.last.pairs]
        remaining = self.last.remaining
        ahead = {
            name: sum(pair.seen_from(name).difference for pair in self.last.pairs if name in (pair.first, pair.second))
            for name in remaining
        }
        leader = max(remaining, key=lambda name: ahead[name])
        of_leader = [pair.seen_from(leader) for pair in self.last.pairs if leader in (pair.first, pair.second)]
        by_model = {pair.second: pair for pair in of_leader if pair.second in remaining} | dict(self.out)
        return [by_model[name] for name in self.models if name != leader]

    def _pair(self, model: str) -> PairInterval:
        """Return the pair that says most about a model: what put it out, or of the last look the closest one."""
        if len(self.models) == 2:
            (pair,) = self.last.pairs
            return pair
        if model in self.out:
            return self.out[model]
        pairs = [pair.seen_from(model) for pair in self.last.pairs if model in (pair.first, pair.second)]
        return min(pairs, key=lambda pair: pair.low)


def looks_of(pair: PairInterval, history: Sequence[PairInterval]) -> PairLooks:
    """Return a pair of models at all looks in which both took part.

    Args:
        pair: the pair, at any look.
        history: all pairs at all looks, in their order.

    Example:
        >>> looks = [PairInterval("a", "b", 0.1, -0.2, 0.4, 16), PairInterval("a", "b", 0.2, 0.1, 0.3, 24)]
        >>> shown = looks_of(looks[1].seen_from("b"), looks)
        >>> shown.first, shown.samples, shown.difference, shown.low
        ('b', [16, 24], [-0.1, -0.2], [-0.4, -0.3])
    """
    names = {pair.first, pair.second}
    seen = [entry.seen_from(pair.first) for entry in history if {entry.first, entry.second} == names]
    return PairLooks(
        first=pair.first, second=pair.second, samples=[entry.samples for entry in seen],
        difference=[entry.difference for entry in seen], low=[entry.low for entry in seen],
        high=[entry.high for entry in seen],
    )  # fmt: skip


@dataclass
class RaceProgress:
    """What is shown while a race goes on."""

    show: Callable[[str], object] = field(default=lambda text: None)
    """Called with a line about a model that is out."""
    text: str = ""
    """The interval of the closest pair at the last look."""


class RaceEntrant(Protocol):
    """One side of a race: a run that is computed, or the records of an earlier one."""

    @property
    def order(self) -> RandomOrder:
        """The random order of its samples."""

    @property
    def looks(self) -> Sequence[int]:
        """Numbers of clusters after which the race looks."""

    def advance(self, clusters: int) -> None:
        """Compute what is missing of the first clusters."""

    def values(self, clusters: int) -> Floats:
        """Return the values of the samples of the first clusters, in their order."""

    def drop_unfinished(self) -> None:
        """Remove the samples after the last look that is complete."""


def run_race(
    runs: Mapping[str, RaceEntrant], *, margin: float | None, progress: RaceProgress, races: int = 1
) -> RaceOutcome:
    """Compute the models in turn from look to look, until the race is decided or the set is finished.

    Looks that were made before an interruption are made again: their samples are on disk.

    Args:
        runs: two models or more, by name; all have the same samples in the same order.
        margin: differences up to this one count as none, a fraction; None decides only which model is better.
        progress: what is shown meanwhile.
        races: number of races that share the 5 %, so that all decisions hold together.

    Returns:
        How the race ended. Each run holds the samples of whole looks.
    """
    level = shared_level(races, pair_level(len(runs)))
    remaining = tuple(runs)
    number_of, used, out = dict[str, int](), dict[str, int](), dict[str, PairInterval]()
    history: list[PairInterval] = []
    order, counts = runs[remaining[0]].order, runs[remaining[0]].looks
    for number, clusters in enumerate(counts, start=1):
        for name in remaining:
            runs[name].advance(clusters)
            number_of[name], used[name] = number, order.end(clusters)
        values = {name: runs[name].values(clusters) for name in remaining}
        now = standing(values, order.starts[:clusters], order.whole, level=level, margin=margin)
        out |= now.out
        history += now.pairs
        progress.text = _text(now)
        for name, pair in now.out.items():
            progress.show(
                f"{name} is out after {pair.samples:,} samples: {pair.first} is better by {100 * pair.low:.1f} to "
                f"{100 * pair.high:.1f} points"
            )
        remaining = now.remaining
        if now.is_decided:
            break
    for run in runs.values():
        run.drop_unfinished()
    return RaceOutcome(tuple(runs), last=now, looks=number_of, used=used, out=out, margin=margin, history=history)


def _text(now: RaceStanding) -> str:
    """Describe the pair that is closest to a decision that is still open."""
    pair = min(now.pairs, key=lambda pair: abs(pair.difference))
    spread = f"{100 * pair.difference:+.1f} points ({100 * pair.low:+.1f} to {100 * pair.high:+.1f})"
    return f"{pair.first} - {pair.second}: {spread}"
