"""How often `select --fast` gives another choice than complete runs, and what it saves.

    python tests/benchmarks/selections.py [--selections 200]

prints the table of docs/choosing.md. Each line simulates selections among candidates of the stated accuracies and
costs: with the rules of `--fast`, and with complete runs.

    other      share of the selections whose choice, or whose Pareto front of accuracy and cost, is another one
    stopped    mean number of candidates that stop early
    used       mean share of the answers that are computed
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evals.reports.choices.front import dominators
from evals.statistics.intervals import mean_intervals
from evals.statistics.sequential.capital import wagers
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.looks import looks
from evals.statistics.sequential.means import rescaled
from evals.statistics.sequential.pruning import claim_level
from evals.statistics.sequential.sampled import SampledClusters


def beyond(drawn, mean, at, alpha, *, higher, kinds):
    """Whether the sequences of all kinds show at each look that the mean is higher, or lower, than a value."""
    shown = np.ones(len(at), bool)
    sums, sizes, total = np.cumsum(drawn.sums_C)[at], np.cumsum(drawn.sizes_C)[at], drawn.drawn_from.samples
    for finite in kinds:
        won = wagers(drawn, alpha, finite=finite).log_capital(mean, higher=higher, at=at) >= math.log(2 / alpha)
        if finite:  # values that are impossible
            won |= sums / total > mean + 1e-12 if higher else (sums + total - sizes) / total < mean - 1e-12
        shown &= won
    return shown


@dataclass(frozen=True)
class Selections:
    """A kind of selection among candidates."""

    name: str
    samples: int
    accuracies: tuple[float, ...]
    costs: tuple[float, ...]
    """What each candidate costs, one number; lower is better."""
    minimum: float | None = None

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw which samples each candidate answers right: on most of them by a difficulty that all share."""
        shared, alone = rng.random(self.samples), rng.random((len(self.accuracies), self.samples))
        luck = np.where(rng.random(self.samples) < 0.7, shared, alone)
        return (luck < np.array(self.accuracies)[:, None]).astype(float)

    def rivals(self, name: int) -> list[int]:
        return [other for other, cost in enumerate(self.costs) if other != name and cost <= self.costs[name]]

    def keeps(self, values: np.ndarray) -> bool:
        """Whether a complete run is shown to keep the minimum."""
        if self.minimum is None:
            return True
        (ends,) = mean_intervals([values], [str(n) for n in range(len(values))])
        return ends is not None and ends[0] >= self.minimum


def choice(setting, right, left_out=()):
    """The best candidates that are shown to keep the minimum, and the Pareto front of accuracy and cost."""
    kept = [name for name, values in enumerate(right) if name not in left_out and setting.keeps(values)]
    means = {name: right[name].mean() for name in kept}
    points = [(means[name], -setting.costs[name]) for name in kept]
    front = [name for name, others in zip(kept, dominators(points), strict=True) if not others]
    return [name for name in kept if means[name] == max(means.values())], front


def pruned(setting, right):
    """By candidate that stops: the look, and the rival; None for one below the minimum. The rules of `--fast`."""
    n, names = setting.samples, range(len(right))
    counts = looks(n)[:-1]
    at, whole, sizes = np.array(counts) - 1, FiniteSet(n, n, 1), np.ones(n)
    pairs = [(a, b) for a, b in combinations(names, 2) if b in setting.rivals(a) or a in setting.rivals(b)]
    claims = len(pairs) + (len(right) if setting.minimum is not None else 0)
    alpha = 1 - claim_level(claims)
    hits = {}
    if setting.minimum is not None:
        for name in names:
            drawn = SampledClusters(right[name], sizes, whole)
            hits[name, None] = beyond(drawn, setting.minimum, at, alpha, higher=False, kinds=(True,))
    for a, b in pairs:
        drawn = SampledClusters(rescaled(right[a], right[b]), sizes, whole)
        for better, worse, higher in ((a, b, True), (b, a, False)):
            if better in setting.rivals(worse):
                hits[worse, better] = beyond(drawn, 0.5, at, alpha, higher=higher, kinds=(True, False))
    out = {}
    for look in range(len(counts)):
        now = {}
        for (name, rival), shown in hits.items():
            if name not in out and rival not in out and shown[look]:
                now.setdefault(name, (look, rival))
        out |= now
    return {name: (counts[look], rival) for name, (look, rival) in out.items()}


def select_once(setting, rng):
    """One selection with `--fast` and one with complete runs."""
    right = setting.draw(rng)
    out = pruned(setting, right)
    kept = [name for name in range(len(right)) if name not in out and setting.keeps(right[name])]
    again = [name for name in out if not justified(name, out, kept)]  # `select` runs these in full
    out = {name: why for name, why in out.items() if name not in again}
    same = choice(setting, right, out) == choice(setting, right)
    used = sum(out[name][0] if name in out else setting.samples for name in range(len(right)))
    return {"same": same, "stopped": len(out), "used": used / right.size}


def justified(name, out, kept):
    while name in out:
        name = out[name][1]
    return name is None or name in kept


SELECTIONS = [
    Selections("5 equal", 1_000, (0.7,) * 5, (1, 1, 1, 1, 1)),
    Selections("5 equal, minimum at their accuracy", 1_000, (0.7,) * 5, (1, 2, 3, 4, 5), minimum=0.7),
    Selections("5 equal, minimum at their accuracy", 5_000, (0.7,) * 5, (1, 2, 3, 4, 5), minimum=0.7),
    Selections("5, each 5 points apart", 1_000, (0.8, 0.75, 0.7, 0.65, 0.6), (1, 1, 1, 1, 1)),
    Selections("5, each 5 points apart", 5_000, (0.8, 0.75, 0.7, 0.65, 0.6), (1, 1, 1, 1, 1)),
    Selections("5, each 5 points apart, the better the dearer", 1_000, (0.8, 0.75, 0.7, 0.65, 0.6), (5, 4, 3, 2, 1)),
    Selections("5, each 5 points apart, minimum 73 %", 1_000, (0.8, 0.75, 0.7, 0.65, 0.6), (5, 4, 3, 2, 1), 0.73),
    Selections("2 near, 4 far", 5_000, (0.8, 0.79, 0.6, 0.6, 0.5, 0.4), (2, 1, 2, 2, 2, 2)),
    Selections("2 equal", 1_000, (0.7,) * 2, (1, 1)),
    Selections("2 equal, minimum at their accuracy", 300, (0.7,) * 2, (1, 1), minimum=0.7),
]  # fmt: skip


def table(selections, seed=2):
    """Print how often a selection with `--fast` gives another choice or Pareto front, and what it saves."""
    print("| candidates | samples | other choice or front | stopped early | used |")
    print("|---|---:|---:|---:|---:|", flush=True)
    for number, setting in enumerate(SELECTIONS):
        rng = np.random.default_rng([seed, number])
        rows = [select_once(setting, rng) for _ in range(selections)]
        mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        print(f"| {setting.name} | {setting.samples:,} | {100 * (1 - mean['same']):.1f} % | {mean['stopped']:.1f} of "
              f"{len(setting.accuracies)} | {100 * mean['used']:.0f} % |", flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--selections", type=int, default=200)
    table(parser.parse_args().selections)


if __name__ == "__main__":
    main()
