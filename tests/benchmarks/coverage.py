"""Coverage of the 95 % intervals and type I error of the tests at 5 %, by simulation, before and after.

    python tests/benchmarks/coverage.py [--runs 1000] [--seed 0] [--only means|timings|tests]

"before" is what version 0.2 computed: percentiles of a bootstrap of the clusters or of two levels, and McNemar's test
even where questions share an image. "after" calls the suite. A simulated cluster has a success rate from a beta
distribution, whose variance gives the correlation within clusters (ICC); a simulated process has a factor of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from evals.statistics import exact_tests, paired  # noqa: E402
from evals.statistics.bootstrap import cluster_bootstrap  # noqa: E402
from evals.statistics.intervals import mean_intervals, wilson  # noqa: E402
from evals.timing import statistics  # noqa: E402

RESAMPLES = 1_000
MEANS = (
    # clusters, sizes, mean, ICC
    (2, (5, 5), 0.5, 0.5),
    (3, (5, 5), 0.5, 0.8),
    (3, (100, 100), 0.5, 0.8),
    (4, (5, 5), 0.5, 0.8),
    (6, (5, 5), 0.5, 0.8),
    (6, (1, 10), 0.5, 0.9),
    (12, (1, 10), 0.5, 0.8),
    (29, (1, 10), 0.5, 0.8),
    (3, (20, 20), 0.6, 0.1),
    (4, (5, 40), 0.6, 0.2),
    (5, (20, 20), 0.6, 0.3),
    (6, (5, 40), 0.7, 0.3),
    (6, (1, 10), 0.7, 0.5),
    (6, (100, 100), 0.8, 0.3),
    (6, (100, 100), 0.95, 0.3),
    (3, (5, 5), 0.6, 0.1),
    (3, (5, 5), 0.9, 0.5),
    (3, (100, 100), 0.97, 0.05),
    (4, (100, 100), 0.8, 0.5),
    (6, (1, 10), 0.6, 0.6),
    (20, (100, 100), 0.97, 0.3),
    (30, (1, 10), 0.95, 0.3),
    (10, (1, 10), 0.7, 0.3),
    (180, (1, 10), 0.02, 0.3),
    (180, (1, 10), 0.98, 0.6),
    (180, (1, 10), 0.02, 0.9),
    (180, (1, 10), 0.5, 0.5),
    (1000, (1, 10), 0.7, 0.3),
    (200, (1, 1), 0.7, 0.5),
    (200, (1, 1), 0.98, 0.5),
)
PAIRS = (
    # clusters, sizes, share of discordant pairs, ICC of their sign
    (100, (1, 10), 0.2, 0.1),
    (100, (5, 5), 0.3, 0.3),
    (40, (1, 10), 0.3, 0.9),
    (300, (1, 10), 0.02, 0.5),
    (12, (1, 10), 0.3, 0.5),
    (6, (5, 20), 0.3, 0.2),
    (200, (1, 1), 0.1, 0.5),
)
TIMINGS = ((3, 10, 0.05), (3, 10, 0.2), (5, 30, 0.05))
"""Processes, repetitions and the spread of repetitions; the spread of processes is 5 %."""
PROCESS_EFFECT = 0.05
Generator = np.random.Generator
Clusters = tuple[np.ndarray, list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("means", "timings", "tests"), help="one part of the table")
    arguments = parser.parse_args()
    print("| what | where | before | after |\n|---|---|---|---|")
    for part in (means, timings, tests):
        if arguments.only in (None, part.__name__):
            part(arguments)


def means(arguments: argparse.Namespace) -> None:
    for setting in MEANS:
        clusters, (least, most), mean, icc = setting
        sizes = f"{clusters} clusters of {least}" + (f" to {most}" if most > least else "")
        before, after = shares(arguments, lambda rng, setting=setting: covered_mean(rng, *setting))
        print(f"| accuracy covers | {sizes}, p = {mean}, ICC {icc} | {before} | {after} |", flush=True)


def timings(arguments: argparse.Namespace) -> None:
    for processes, repetitions, spread in TIMINGS:
        where = f"{processes} processes x {repetitions}, repetitions {100 * spread:g} %"
        for name, covered in (("median", covered_level), ("ratio", covered_ratio), ("p95", covered_level)):
            statistic = "p95" if name == "p95" else "median"
            draw = (processes, repetitions, spread, statistic)
            before, after = shares(arguments, lambda rng, draw=draw, covered=covered: covered(rng, *draw))
            print(f"| timing {name} covers | {where} | {before} | {after} |", flush=True)


def tests(arguments: argparse.Namespace) -> None:
    for setting in PAIRS:
        clusters, (least, most), discordant, icc = setting
        sizes = f"{clusters} clusters of {least}" + (f" to {most}" if most > least else "")
        before, after = shares(arguments, lambda rng, setting=setting: rejected(rng, *setting))
        print(
            f"| test of equality rejects | {sizes}, {discordant} differ, ICC {icc} | {before} | {after} |", flush=True
        )


def shares(arguments: argparse.Namespace, run: Callable[[Generator], tuple[bool | None, bool | None]]) -> list[str]:
    """Repeat a simulation, and print the share of both outcomes; an outcome of None is "no interval"."""
    outcomes = [run(np.random.default_rng([arguments.seed, n])) for n in range(arguments.runs)]
    texts = []
    for column in zip(*outcomes, strict=True):
        known = [outcome for outcome in column if outcome is not None]
        texts.append(f"{100 * sum(known) / len(known):.1f} %" if len(known) > 0.5 * len(column) else "no interval")
    return texts


def clustered(rng: Generator, clusters: int, sizes: tuple[int, int], mean: float, icc: float) -> Clusters:
    """Draw right and wrong answers, and the names of their clusters."""
    counts = rng.integers(sizes[0], sizes[1] + 1, clusters)
    weight = (1 - icc) / icc
    rates = rng.beta(mean * weight, (1 - mean) * weight, clusters)
    names = np.repeat(np.arange(clusters), counts)
    return (rng.random(len(names)) < rates[names]) * 1.0, [str(name) for name in names]


def covered_mean(
    rng: Generator, clusters: int, sizes: tuple[int, int], mean: float, icc: float
) -> tuple[bool | None, bool | None]:
    right, names = clustered(rng, clusters, sizes, mean, icc)
    (before,) = cluster_bootstrap([right], names, resamples=RESAMPLES)
    low, high = before or wilson(right.mean() * len(set(names)), len(set(names)))
    (after,) = mean_intervals([right], names)
    return low <= mean <= high, after is not None and after[0] <= mean <= after[1]


def timed(rng: Generator, processes: int, repetitions: int, spread: float) -> np.ndarray:
    effects = PROCESS_EFFECT * rng.standard_normal((processes, 1))
    return np.exp(effects + spread * rng.standard_normal((processes, repetitions)))


def two_levels(rng: Generator, processes: int, repetitions: int) -> np.ndarray:
    """Draw the indices of version 0.2: processes, and repetitions of each."""
    picked = rng.integers(0, processes, (RESAMPLES, processes, 1))
    within = rng.integers(0, repetitions, (RESAMPLES, processes, repetitions))
    return (picked * repetitions + within).reshape(RESAMPLES, -1)


def covered_level(
    rng: Generator, processes: int, repetitions: int, spread: float, statistic: str
) -> tuple[bool | None, bool | None]:
    values = timed(rng, processes, repetitions, spread)
    of = statistics.REDUCTIONS[statistic]
    normal = 1.6448536 if statistic == "p95" else 0.0
    truth = float(np.exp(normal * np.hypot(PROCESS_EFFECT, spread)))
    low, high = np.quantile(of(values.ravel()[two_levels(rng, processes, repetitions)]), [0.025, 0.975])
    after = statistics.estimate(statistic, values.tolist()).interval()
    return bool(low <= truth <= high), None if after is None else after[0] <= truth <= after[1]


def covered_ratio(
    rng: Generator, processes: int, repetitions: int, spread: float, statistic: str
) -> tuple[bool | None, bool | None]:
    first, second = (timed(rng, processes, repetitions, spread) for _ in range(2))
    of = statistics.REDUCTIONS[statistic]
    drawn = two_levels(rng, processes, repetitions)
    low, high = np.quantile(of(first.ravel()[drawn]) / of(second.ravel()[drawn]), [0.025, 0.975])
    pairs = np.stack([first, second], axis=-1).tolist()
    after = statistics.ratio(statistic, [[tuple(pair) for pair in group] for group in pairs]).interval()
    return bool(low <= 1 <= high), None if after is None else after[0] <= 1 <= after[1]


def rejected(
    rng: Generator, clusters: int, sizes: tuple[int, int], discordant: float, icc: float
) -> tuple[bool | None, bool | None]:
    wins, names = clustered(rng, clusters, sizes, 0.5, icc)
    differ = rng.random(len(wins)) < discordant
    a, b = np.where(differ, wins, 1.0), np.where(differ, 1 - wins, 1.0)
    return exact_tests.mcnemar(a, b) < 0.05, paired.difference(a, b, names).p_value() < 0.05


if __name__ == "__main__":
    main()
