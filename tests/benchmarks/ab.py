"""How often the intervals and sequences of `ab` cover, and how often equal variants are called different.

    python tests/benchmarks/ab.py [--logs 2000]

prints the table of docs/ab.md. Each line draws logs with a known difference. `covers` is the share of logs whose
interval of the difference (of the ratio) holds the true one. `any look` is the share whose confidence sequence holds it
at every row from its beginning to the end. `false alarms`: equal variants whose p-value is at most
5 %, and whose sequence ever excludes 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evals.statistics.experiments.cells import OutcomeCells
from evals.statistics.experiments.comparison import ArmPair, compare
from evals.statistics.experiments.looks import sequence_over_time


@dataclass(frozen=True)
class Case:
    """A kind of log: how many rows, how they are shared, and what is drawn for each."""

    name: str
    rows: int
    draw: Callable
    """From a generator, the arms (N,) and an effect, the outcomes (N,) and their units or None."""
    effect: float
    means: Callable
    """From an effect, the mean of the variant; that of the baseline is the variant's without effect."""
    share: float = 0.5


def shares(rate):
    return lambda rng, arms, effect: ((rng.random(len(arms)) < rate + effect * arms).astype(float), None)


def ratings(rng, arms, effect):
    values = np.clip(np.rint(rng.normal(3.6, 1.2, len(arms))), 1, 5)
    return values + effect * arms, None


def revenue(rng, arms, effect):
    return np.where(rng.random(len(arms)) < 0.05, rng.lognormal(3, 1, len(arms)), 0.0) * (1 + effect * arms), None


def users(rng, arms, effect):
    """Users of about four rows with rates of their own; a user has one arm, that of the first row."""
    unit = rng.permutation(np.repeat(np.arange(len(arms)), rng.geometric(0.25, len(arms))))
    rate = rng.beta(1, 6, len(arms))
    return (rng.random(len(unit)) < np.clip(rate[unit] + effect * arms[unit], 0, 1)).astype(float), unit


RATING = float(np.clip(np.rint(np.random.default_rng(0).normal(3.6, 1.2, 4_000_000)), 1, 5).mean())
CASES = (
    Case("50 %, 400 rows", 400, shares(0.5), 0.1, lambda effect: 0.5 + effect),
    Case("5 %, 4,000 rows", 4_000, shares(0.05), 0.01, lambda effect: 0.05 + effect),
    Case("5 %, 4,000 rows, 90:10", 4_000, shares(0.05), 0.01, lambda effect: 0.05 + effect, share=0.1),
    Case("0.5 %, 10,000 rows", 10_000, shares(0.005), 0.002, lambda effect: 0.005 + effect),
    Case("ratings 1 to 5, 300 rows", 300, ratings, 0.2, lambda effect: RATING + effect),
    Case("revenue, 5 % buy", 10_000, revenue, 0.2, lambda effect: 0.05 * np.exp(3.5) * (1 + effect)),
    Case("users with 4 rows each", 1_000, users, 0.03, lambda effect: 1 / 7 + effect),
)


def cells_of(case, rng, effect):
    arms = rng.random(case.rows) < case.share
    values, units = case.draw(rng, arms, effect)
    assigned = arms if units is None else arms[units]
    shift, ones = 0.0 if np.isin(values, (0, 1)).all() else float(values.mean()), np.ones(len(values))
    return OutcomeCells(
        variants=("A", "B"), segments=("",), variant_C=assigned.astype(np.int64),
        segment_C=np.zeros(len(values), np.int64), time_C=np.arange(len(values)), rows_C=ones, counts_C=ones,
        sums_C=values - shift, squares_C=(values - shift) ** 2,
        cubes_C=(values - shift) ** 3, deviations_C=np.abs(values - shift),
        shift=shift, is_share=shift == 0.0, unit_C=units,
    )  # fmt: skip


def measure(case, logs, rng):
    """Return how many of the logs are covered by difference, ratio and sequence, and the two counts of false alarms."""
    counts = np.zeros(5)
    for _ in range(logs):
        for effect in (case.effect, 0.0):
            cells = cells_of(case, rng, effect)
            pair = ArmPair(cells, 1, None, cells.has_clusters)
            row, truth = compare(pair, 0.05), case.means(effect) - case.means(0.0)
            looks = sequence_over_time(pair, np.unique(cells.time_C), 0.05)
            outside = bool((np.abs(looks["difference"] - truth) > looks["half"]).any())
            if effect == case.effect:
                ratio = case.means(effect) / case.means(0.0) - 1
                high = np.inf if row.lift.high is None else row.lift.high
                counts[0] += row.difference.low <= truth <= row.difference.high
                counts[1] += row.lift.low is None or row.lift.low <= ratio <= high
                counts[2] += not outside
            else:
                counts[3] += row.p <= 0.05
                counts[4] += outside
    return counts / logs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=2_000, help="logs of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(
        "| log | difference covers | ratio covers | sequence covers at any look | false alarms, one look | any look |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for case in CASES:
        print(
            f"| {case.name} | "
            + " | ".join(f"{100 * value:.1f} %" for value in measure(case, options.logs, rng))
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
