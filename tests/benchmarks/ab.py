"""How often the intervals and sequences of `ab` cover, and how often equal variants are called different.

    python tests/benchmarks/ab.py [--logs 2000]

prints the tables of docs/ab.md. Each line of the first draws logs with a known difference. `covers` is the share of
logs whose interval of the difference (of the ratio) holds the true one. `any look` is the share whose confidence
sequence holds it at 4,000 looks (100, if the rows have units), or at each row of fewer. `false alarms`: equal variants
whose p-value is at most 5 %, and whose sequence ever excludes 0. The second table draws logs with the rows that a first
log was said to need, and counts those that are decided.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evals.statistics.experiments.analysis import analyse
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


def revenue(spread):
    def draw(rng, arms, effect):
        paid = np.where(rng.random(len(arms)) < 0.05, rng.lognormal(3, spread, len(arms)), 0.0)
        return paid * (1 + effect * arms), None

    return draw


def fewer_and_larger(rng, arms, effect):
    """The variant's users buy half as often, for twice the price: the means are equal, the variances are not."""
    buys = rng.random(len(arms)) < np.where(arms, 0.025, 0.05)
    return np.where(buys, rng.lognormal(3, 1, len(arms)) * (1 + arms), 0.0) * (1 + effect * arms), None


def profit(rng, arms, effect):
    """Gains and losses about 0, of which a few are large."""
    return rng.standard_t(3, len(arms)) + effect * arms, None


def users(rng, arms, effect):
    """Users of about four rows with rates of their own; a user has one arm, that of the first row."""
    unit = rng.permutation(np.repeat(np.arange(len(arms)), rng.geometric(0.25, len(arms))))
    rate = rng.beta(1, 6, len(arms))
    return (rng.random(len(unit)) < np.clip(rate[unit] + effect * arms[unit], 0, 1)).astype(float), unit


def few_users(sizes):
    """Users of very different numbers of rows, with rates of their own; the rows come in any order."""

    def draw(rng, arms, effect):
        rows = np.minimum(sizes(rng, arms), 2_000).astype(np.int64)
        unit = rng.permutation(np.repeat(np.arange(len(arms)), rows))
        rate = rng.beta(3, 7, len(arms))
        return (rng.random(len(unit)) < np.clip(rate[unit] + effect * arms[unit], 0, 1)).astype(float), unit

    return draw


def one_giant(rng, arms):
    """In each arm one user has 300 rows, and all others have one."""
    return np.where(np.isin(np.arange(len(arms)), [np.argmax(arms), np.argmin(arms)]), 300, 1)


def pareto(rng, arms):
    return 1 + rng.pareto(1.0, len(arms))


def weekly(rng, arms, effect):
    """Users who come on many days, on which rates differ, in both variants: each row is assigned anew."""
    unit = rng.integers(0, 200, len(arms))
    day = np.arange(len(arms)) * 14 // len(arms) % 7
    rate = rng.beta(3, 12, 200)[unit] * np.where(day > 4, 1.6, 0.8)
    return (rng.random(len(arms)) < np.clip(rate + effect * arms, 0, 1)).astype(float), unit


RATING = float(np.clip(np.rint(np.random.default_rng(0).normal(3.6, 1.2, 4_000_000)), 1, 5).mean())
CASES = (
    Case("50 %, 400 rows", 400, shares(0.5), 0.1, lambda effect: 0.5 + effect),
    Case("5 %, 4,000 rows", 4_000, shares(0.05), 0.01, lambda effect: 0.05 + effect),
    Case("5 %, 4,000 rows, 90:10", 4_000, shares(0.05), 0.01, lambda effect: 0.05 + effect, share=0.1),
    Case("0.5 %, 10,000 rows", 10_000, shares(0.005), 0.002, lambda effect: 0.005 + effect),
    Case("ratings 1 to 5, 300 rows", 300, ratings, 0.2, lambda effect: RATING + effect),
    Case("0.01 %, 100,000 rows", 100_000, shares(1e-4), 3e-4, lambda effect: 1e-4 + effect),
    Case("profit about 0, 2,000 rows", 2_000, profit, 0.2, lambda effect: effect),
    Case("revenue, 5 % buy", 10_000, revenue(1), 0.2, lambda effect: 0.05 * np.exp(3.5) * (1 + effect)),
    Case("revenue, 5 % buy, 90:10", 10_000, revenue(1), 0.2, lambda effect: 0.05 * np.exp(3.5) * (1 + effect), 0.1),
    Case(
        "revenue, wide, 3,000 rows, 90:10",
        3_000,
        revenue(1.5),
        0.5,
        lambda effect: 0.05 * np.exp(4.125) * (1 + effect),
        0.1,
    ),
    Case(
        "fewer and larger, 3,000 rows, 90:10",
        3_000,
        fewer_and_larger,
        0.5,
        lambda effect: 0.05 * np.exp(3.5) * (1 + effect),
        0.1,
    ),
    Case("users with 4 rows each", 1_000, users, 0.03, lambda effect: 1 / 7 + effect),
    Case("80 users, two with 300 rows", 82, few_users(one_giant), 0.1, lambda effect: 0.3 + effect),
    Case("120 users, Pareto rows", 120, few_users(pareto), 0.1, lambda effect: 0.3 + effect),
    Case("200 users in both, weekdays", 4_000, weekly, 0.05, lambda effect: 0.2 * 7.2 / 7 + effect),
)


def cells_of(case, rng, effect):
    arms = rng.random(case.rows) < case.share
    values, units = case.draw(rng, arms, effect)
    assigned = arms if units is None or len(values) == len(arms) else arms[units]
    shift, ones = 0.0 if np.isin(values, (0, 1)).all() else float(values.mean()), np.ones(len(values))
    return OutcomeCells(
        variants=("A", "B"), segments=("",), variant_C=assigned.astype(np.int64),
        segment_C=np.zeros(len(values), np.int64), time_C=np.arange(len(values)), rows_C=ones, counts_C=ones,
        sums_C=values - shift, squares_C=(values - shift) ** 2,
        cubes_C=(values - shift) ** 3, fourths_C=(values - shift) ** 4,
        shift=shift, is_share=shift == 0.0, unit_C=units,
    )  # fmt: skip


def is_outside(looks, truth):
    """Return at which looks the sequence does not hold the true difference."""
    return (looks["difference"] - looks["below"] > truth) | (looks["difference"] + looks["above"] < truth)


def measure(case, logs, rng):
    """Return how many of the logs are covered by difference, ratio and sequence, and the two counts of false alarms."""
    counts = np.zeros(5)
    for _ in range(logs):
        for effect in (case.effect, 0.0):
            cells = cells_of(case, rng, effect)
            pair = ArmPair(cells, 1, None, cells.has_clusters)
            row, truth = compare(pair, 0.05), case.means(effect) - case.means(0.0)
            rows, most = len(cells.time_C), 100 if pair.clustered else 4_000
            times = np.linspace(0, rows - 1, min(rows, most)).astype(np.int64)
            looks = sequence_over_time(pair, times, 0.05)
            outside = bool(is_outside(looks, truth).any())
            if effect == case.effect:
                ratio = case.means(effect) / case.means(0.0) - 1 if case.means(0.0) else np.nan
                high = np.inf if row.lift.high is None else row.lift.high
                is_bounded = row.lift.low is not None
                counts[0] += row.difference.low <= truth <= row.difference.high
                counts[1] += np.nan if np.isnan(ratio) else not is_bounded or row.lift.low <= ratio <= high
                counts[2] += not outside
            else:
                counts[3] += row.p <= 0.05
                counts[4] += outside
    return counts / logs


PLANS = (
    ("50/1,000 and 62/1,000", ((50, 1_000), (62, 1_000))),
    ("450/9,000 and 30/1,000", ((450, 9_000), (30, 1_000))),
    ("400/9,000 and 60/1,000", ((400, 9_000), (60, 1_000))),
    ("10/60 and 25/60", ((10, 60), (25, 60))),
    ("50/1,000 and 71, 72 of 1,000 (Holm)", ((50, 1_000), (71, 1_000), (72, 1_000))),
)


def planned(counts, logs, rng, *, growing):
    """Return the rows that the first variant needs for a power of 80 %, and how often logs of that size decide it."""
    analysis = analyse(shares_of(counts), [rows for _, rows in counts], growing=growing, looks=False)
    needed = analysis.comparisons[0].rows_for_power
    scale = needed / (counts[0][1] + counts[1][1])
    decided = 0
    for _ in range(logs):
        drawn = [(rng.binomial(n := round(rows * scale), successes / rows), n) for successes, rows in counts]
        again = analyse(shares_of(drawn), [rows for _, rows in drawn], growing=growing, looks=False)
        decided += again.decision(again.comparisons[0]) in {"better", "worse"}
    return needed, decided / logs


def shares_of(counts):
    """Return one cell of successes and one of failures for each variant."""
    sums = np.array([part for successes, rows in counts for part in (successes, 0)], float)
    sizes = np.array([part for successes, rows in counts for part in (successes, rows - successes)], float)
    zeros = np.zeros(len(sums), np.int64)
    return OutcomeCells(
        variants=tuple("ABCDE"[: len(counts)]), segments=("",), variant_C=np.repeat(np.arange(len(counts)), 2),
        segment_C=zeros, time_C=zeros, rows_C=sizes, counts_C=sizes, sums_C=sums, squares_C=sums, cubes_C=sums,
        fourths_C=sums, shift=0.0, is_share=True,
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=2_000, help="logs of each kind")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the kinds whose names contain a text")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        "| log | difference covers | ratio covers | sequence covers at any look | false alarms, one look | any look |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for number, case in enumerate(CASES):
        if options.only not in case.name:
            continue
        rng = np.random.default_rng([options.seed, number])
        print(
            f"| {case.name} | "
            + " | ".join(
                "–" if np.isnan(value) else f"{100 * value:.1f} %" for value in measure(case, options.logs, rng)
            )
            + " |",
            flush=True,
        )
    if options.only:
        return
    print("\n| first log | rows needed | found | rows needed, growing | found |\n|---|---:|---:|---:|---:|")
    rng = np.random.default_rng(options.seed)
    for name, counts in PLANS:
        cells = [part for growing in (False, True) for part in planned(counts, options.logs, rng, growing=growing)]
        print(f"| {name} | {cells[0]:,} | {100 * cells[1]:.1f} % | {cells[2]:,} | {100 * cells[3]:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
