"""How often races that stop early decide wrongly, how often their intervals hold, and how many samples they save.

    python tests/benchmarks/sequential.py [--races 2000] [--gsm8k FOLDER]

prints the tables of docs/deciding-early.md. Each line simulates races of two models on a set of n samples, drawn from a
population in which the first model is better by the stated points and both differ on a fifth of the samples.

    early       share of the races that are decided before the set is finished
    wrong       share that calls the worse model better; without a difference, that calls any model better
    peeking     the same if an ordinary test at 5 % is made at each look, and believed
    holds       share of the races whose interval holds the difference at all looks: that of the population, of the set
    used        mean share of the set that is used
    fixed n     samples of a test that is made once, with 80 % power, in the set's shares; it must know the difference

Then runs with a precision: without predictions, and with those of a model that is right on the same samples as the one
that is run, or on others, or that an adversary chose who knows all values but the order.

With `--gsm8k`, the outputs that were published with GSM8K race in 100 random orders, and each predicts the other's.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from statistics import NormalDist

import numpy as np

from evals.records.sequential.random_order import random_order
from evals.statistics.sequential.capital import wagers
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.looks import looks
from evals.statistics.sequential.means import difference_sequence, mean_sequence, rescaled, sequence_estimate
from evals.statistics.sequential.races import decided
from evals.statistics.sequential.sampled import PredictedClusters, SampledClusters, sampled_clusters

LIMIT = math.log(2 / 0.05)
DIFFER = 0.2
"""Share of the samples on which two models differ."""


@dataclass(frozen=True)
class Setting:
    """A kind of race."""

    samples: int
    points: float
    clusters: int | None = None
    """Number of clusters of unequal sizes, or None for samples alone."""
    margin: float | None = None

    @property
    def name(self) -> str:
        grouped = "" if self.clusters is None else f" in {self.clusters:,} clusters"
        return f"{self.points:g} points, {self.samples:,}{grouped}{f', margin {self.margin:g}' if self.margin else ''}"

    def draw(self, rng: np.random.Generator) -> SampledClusters:
        """Draw a set in random order; the differences of a cluster are alike."""
        rate = (DIFFER + self.points / 100) / 2
        if self.clusters is None:
            draws = rng.random(self.samples)
            differences = np.where(draws < rate, 1.0, np.where(draws < DIFFER, -1.0, 0.0))
            sizes = np.ones(self.samples)
        else:
            sizes = 1 + np.bincount(
                rng.integers(0, self.clusters, self.samples - self.clusters), minlength=self.clusters
            )
            sizes = np.sort(sizes)[rng.permutation(self.clusters)].astype(float)
            alike = rng.beta(1, 1 / DIFFER - 1, self.clusters)  # how often models differ in this cluster
            wins = rng.binomial(1, rate / DIFFER, self.clusters)
            differences = (2 * wins - 1) * rng.binomial(sizes.astype(int), alike)
        return SampledClusters((differences + sizes) / 2, sizes, FiniteSet.of_sizes(sizes.astype(int).tolist()))


def excluded(both_bets, value, at, limit=LIMIT):
    """Whether a difference is excluded at each look: from below (too low to be true), and from above."""
    drawn, mean, outcomes = both_bets[0].drawn, (value + 1) / 2, []
    for higher in (True, False):
        both = np.ones(len(at), bool)
        for bets in both_bets:
            if not both.any():
                break
            won = bets.log_capital(mean, higher=higher, at=at) >= limit
            if bets.finite:  # values that are impossible
                sums, sizes = np.cumsum(drawn.sums_C)[at], np.cumsum(drawn.sizes_C)[at]
                total = drawn.drawn_from.samples
                low, high = sums / total, (sums + total - sizes) / total
                won |= (mean < low - 1e-12) if higher else (mean > high + 1e-12)
            both &= won
        outcomes.append(both)
    return outcomes


def first(hits):
    return int(np.argmax(hits)) if hits.any() else None


def race(setting, rng):
    """One race: the look at which it is decided and how, what holds, and what a test at each look would have said."""
    drawn = setting.draw(rng)
    counts = np.array(looks(len(drawn.sums_C)))
    at, truth = counts - 1, setting.points / 100
    bets = [wagers(drawn, 0.05, finite=finite) for finite in (True, False)]
    below, above = excluded(bets, 0.0, at)
    ends = {"first": first(below), "second": first(above)}
    if setting.margin is not None:
        inside = excluded(bets, -setting.margin / 100, at)[0] & excluded(bets, setting.margin / 100, at)[1]
        ends["same"] = first(inside)
    reached = {name: look for name, look in ends.items() if look is not None}
    decision = min(reached, key=reached.get) if reached else None
    look = reached[decision] if reached else len(counts) - 1
    misses = [
        np.logical_or(*((below, above) if value == 0 else excluded(bets, value, at))).any()
        for value in (truth, 2 * drawn.mean - 1)
    ]
    gaps, sizes = 2 * drawn.sums_C - drawn.sizes_C, drawn.sizes_C
    sums, squares = np.cumsum(gaps)[at], np.cumsum(gaps**2)[at]
    tests = sums / np.sqrt(np.maximum(squares - sums**2 / counts, 1e-9))
    peek = first(np.abs(tests) > 1.96)
    wrong = decision is not None and decision != "same" and (truth == 0 or decision == "second")
    return {
        "early": decision is not None and look < len(counts) - 1,
        "wrong": wrong,
        "peeking": peek is not None and (truth == 0 or tests[peek] < 0),
        "population": not misses[0], "set": not misses[1],
        "used": np.cumsum(sizes)[at][look] / setting.samples,
        "variance": float((gaps**2).mean() * len(gaps) / setting.samples),
    }  # fmt: skip


def table(settings, races, seed=0):
    print("| difference, set | early | wrong | peeking | holds (population, set) | used | fixed n |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for number, setting in enumerate(settings):
        rng = np.random.default_rng([seed, number])
        rows = [race(setting, rng) for _ in range(races)]
        mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        fixed = "-"
        if setting.points:
            needed = (1.96 + 0.8416) ** 2 * mean["variance"] / (setting.points / 100) ** 2
            fixed = f"{100 * needed / setting.samples:.0f} %"
        print(
            f"| {setting.name} | {100 * mean['early']:.0f} % | {100 * mean['wrong']:.1f} % | "
            f"{100 * mean['peeking']:.1f} % | {100 * mean['population']:.1f} %, {100 * mean['set']:.1f} % | "
            f"{100 * mean['used']:.0f} % | {fixed} |", flush=True,
        )  # fmt: skip


def shared_race(drawn, comparisons):
    """A race, of several that share the 5 %: the sign that it decides early or 0, its look, and the sign of the set."""
    alpha, counts = 0.05 / comparisons, np.array(looks(len(drawn.sums_C)))
    bets = [wagers(drawn, alpha, finite=finite) for finite in (True, False)]
    below, above = (first(hits) for hits in excluded(bets, 0.0, counts - 1, math.log(2 / alpha)))
    reached = {1: below, -1: above}
    reached = {sign: look for sign, look in reached.items() if look is not None and look < len(counts) - 1}
    sign = min(reached, key=reached.get) if reached else 0
    look = reached[sign] if reached else len(counts) - 1
    gaps = 2 * drawn.sums_C - drawn.sizes_C
    z = gaps.sum() / np.sqrt(max(float((gaps**2).sum() - gaps.sum() ** 2 / len(gaps)), 1e-9))
    whole = 0 if 2 * NormalDist().cdf(-abs(z)) >= alpha else int(np.sign(z))
    return sign, counts[look] / len(gaps), whole


def suite_table(races, seed=2):
    """Print what `check --fast` and `--against` decide of several comparisons, of which one may differ.

    early: share of the suites with a wrong early decision; with the end: the same if what is not decided early gets the
    test of the whole set, as `check --fast` does; contradicts: share in which an early decision has the other sign than
    a significant whole set; finds, whole: how often the difference is shown, and how often the whole set shows it.
    """
    print("\n| comparisons, difference of one, set | early | with the end | contradicts | finds | whole | used |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for number, (comparisons, points, n) in enumerate(
        [(1, 0, 500), (1, 0, 5_000), (5, 0, 500), (5, 0, 5_000), (5, 2, 5_000), (5, 5, 500), (5, 5, 5_000)]
    ):
        rng, rows = np.random.default_rng([seed, number]), []
        for _ in range(max(1, races // comparisons)):
            truths = [1 if points else 0] + [0] * (comparisons - 1)
            runs = [shared_race(Setting(n, points if truth else 0).draw(rng), comparisons) for truth in truths]
            rows.append((
                any(sign not in (0, truth) for (sign, _, _), truth in zip(runs, truths, strict=True)),
                any((sign or whole) not in (0, truth) for (sign, _, whole), truth in zip(runs, truths, strict=True)),
                any(sign * whole < 0 for sign, _, whole in runs),
                runs[0][0] == 1 or (runs[0][0] == 0 and runs[0][2] == 1), runs[0][2] == 1,
                float(np.mean([used for _, used, _ in runs])),
            ))  # fmt: skip
        early, end, contradicts, finds, whole, used = (
            100 * float(np.mean(column)) for column in zip(*rows, strict=True)
        )
        shown = (f"{finds:.0f} %", f"{whole:.0f} %") if points else ("-", "-")
        print(
            f"| {comparisons}, {points:g} points, {n:,} | {early:.1f} % | {end:.1f} % | {contradicts:.1f} % | "
            f"{shown[0]} | {shown[1]} | {used:.0f} % |", flush=True,
        )  # fmt: skip


SETTINGS = [
    *(Setting(n, points) for n in (500, 5_000) for points in (0, 1, 2, 5)),
    Setting(5_000, 0, clusters=1_000), Setting(5_000, 5, clusters=1_000),
    Setting(5_000, 0, margin=3), *(Setting(20_000, points) for points in (0, 1, 2, 5)),
]  # fmt: skip


def precision_table(races, seed=1):
    """Print how many samples a precision takes, and how often the interval at the stop holds the value of the set."""
    print("\n| accuracy, set, precision | holds when it stops | used | fixed n |")
    print("|---|---:|---:|---:|", flush=True)
    for number, (rate, n, points) in enumerate([(0.6, 500, 3), (0.6, 5_000, 2), (0.9, 5_000, 2), (0.6, 20_000, 2)]):
        rng, held, used = np.random.default_rng([seed, number]), [], []
        simple = rate * (1 - rate) * (1.96 / (points / 100)) ** 2
        needed = simple / (1 + simple / n)
        for _ in range(races):
            values = (rng.random(n) < rate).astype(float)
            for count in (count for count in looks(n) if count >= 0.9 * needed):  # no sequence is narrower than that
                drawn = SampledClusters(values[:count], np.ones(count), FiniteSet(n, n, 1))
                low, high = mean_sequence(drawn)
                if max(high - drawn.mean, drawn.mean - low) <= points / 100:
                    break
            held.append(low - 1e-9 <= values.mean() <= high + 1e-9)
            used.append(count / n)
        print(f"| {100 * rate:g} %, {n:,}, {points:g} points | {100 * np.mean(held):.1f} % | "
              f"{100 * np.mean(used):.0f} % | {100 * needed / n:.0f} % |", flush=True)  # fmt: skip


@dataclass(frozen=True)
class PredictedSetting:
    """A kind of run with a precision and predictions."""

    rate: float
    samples: int
    points: float
    predictor: str
    """`none`, `adversary`, or the share of the samples whose prediction is drawn anew."""
    clusters: int | None = None

    @property
    def name(self) -> str:
        grouped = "" if self.clusters is None else f" in {self.clusters:,} clusters"
        return f"{100 * self.rate:g} %, {self.samples:,}{grouped}, {self.points:g} points | {self.described}"

    @property
    def described(self) -> str:
        return self.predictor if self.predictor == "adversary" else f"{100 * float(self.predictor):g} % at random"

    def draw(self, rng):
        """Draw a set in random order, with the predictions of its clusters."""
        count = self.clusters or self.samples
        sizes = 1 + np.bincount(rng.integers(0, count, self.samples - count), minlength=count)
        sizes = rng.permutation(np.sort(sizes)).astype(float)
        alike = self.rate if self.clusters is None else rng.beta(2 * self.rate, 2 * (1 - self.rate), count)
        sums = rng.binomial(sizes.astype(int), alike).astype(float)
        if self.predictor == "adversary":  # right on one half, wrong on the other
            predictions = np.where(np.argsort(rng.permutation(count)) % 2, sums, sizes - sums)
        else:
            anew = rng.random(count) < float(self.predictor)
            predictions = np.where(anew, rng.permutation(sums / sizes) * sizes, sums)
        whole = FiniteSet.of_sizes(sizes.astype(int).tolist())
        return SampledClusters(sums, sizes, whole), PredictedClusters.of(predictions, sizes)


def predicted_run(setting, rng, *, stops=True):
    """One run: whether its sequence holds the mean at all looks, and how many samples it takes with and without."""
    drawn, predicted = setting.draw(rng)
    counts = np.array(looks(len(drawn.sums_C)))
    truth, row = drawn.mean, {}
    for name, known in (("with", predicted), ("without", None)):
        bets = wagers(drawn, 0.05, finite=True, predicted=known)
        row[f"holds {name}"] = all(
            bets.log_capital(truth, higher=higher, at=counts - 1).max() < LIMIT for higher in (True, False)
        )
        if stops:
            stop = next(count for count in counts if reach(drawn, known, count) <= setting.points / 100)
            row[name] = drawn.first(stop).samples / setting.samples
    row["correlation"] = float(np.corrcoef(drawn.sums_C / drawn.sizes_C, predicted.sums_C / drawn.sizes_C)[0, 1])
    return row


def reach(drawn, predicted, count):
    return sequence_estimate(drawn.first(count), None if predicted is None else predicted.first(count)).reach


PREDICTED = [
    *(PredictedSetting(0.6, 1_319, 3, predictor) for predictor in ("0.1", "0.3", "0.6", "1", "adversary")),
    PredictedSetting(0.9, 1_319, 2, "0.3"), PredictedSetting(0.98, 1_319, 1, "0.3"),
    PredictedSetting(0.6, 500, 4, "0.3"), PredictedSetting(0.6, 5_000, 2, "0.3"), PredictedSetting(0.6, 5_000, 2, "1"),
    *(PredictedSetting(0.6, 5_000, 3, predictor, clusters=1_000) for predictor in ("0.3", "1", "adversary")),
]  # fmt: skip


def predictor_table(runs, seed=2):
    """Print how often sequences with predictions hold at all looks, and what a tenth of the runs saves."""
    print("\n| accuracy, set, precision | predictor | correlation | holds at all looks | used with | used without |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    for number, setting in enumerate(PREDICTED):
        rng = np.random.default_rng([seed, number])
        rows = [predicted_run(setting, rng, stops=number < max(1, runs // 10)) for number in range(runs)]
        mean = {name: float(np.mean([row[name] for row in rows if name in row])) for name in rows[0]}
        print(f"| {setting.name} | {mean['correlation']:.2f} | {100 * mean['holds with']:.1f} % | "
              f"{100 * mean['with']:.0f} % | {100 * mean['without']:.0f} % |", flush=True)  # fmt: skip


def predict_each_other(values, ids, points=2, orders=100):
    """Print how many samples a precision takes of each system, with the other's values as predictions and without."""
    print("\n| GSM8K | predictor | correlation | held when it stopped | used with | used without |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    for run, predictor in permutations(values, 2):
        f, g = (np.array([values[system][id] for id in ids]) for system in (run, predictor))
        rows = []
        for seed in range(orders):
            order = random_order(ids, [""] * len(ids), seed)
            positions = list(order.positions)
            drawn = sampled_clusters(f[positions], order.starts, order.whole)
            predicted = PredictedClusters.of(g[positions], np.ones(len(ids)))
            stops = [next(count for count in looks(len(ids)) if reach(drawn, known, count) <= points / 100)
                     for known in (predicted, None)]  # fmt: skip
            low, high = mean_sequence(drawn.first(stops[0]), predicted=predicted.first(stops[0]))
            rows.append((low - 1e-9 <= f.mean() <= high + 1e-9, *stops))
        held, used, alone = np.mean(rows, axis=0)
        print(f"| {run}, {points} points | {predictor} | {np.corrcoef(f, g)[0, 1]:.2f} | {100 * held:.0f} % | "
              f"{used:,.0f} | {alone:,.0f} |", flush=True)  # fmt: skip


def gsm8k(folder, orders=100):
    """Race the outputs that were published with GSM8K, in random orders, and let each predict the other's."""
    import evals

    values = {}
    with tempfile.TemporaryDirectory() as out:
        for file in sorted((Path(folder) / "recorded").glob("*.jsonl")):
            record = evals.run(f"replay:{file}", "math/gsm8k", data=folder, out=Path(out) / file.stem)
            values[file.stem] = {row.id: row.values["accuracy"] for row in record.values()}
    ids = list(next(iter(values.values())))
    print("\n| GSM8K | whole set | decided early so, otherwise | used (mean, 90 % of the orders) |")
    print("|---|---|---:|---:|", flush=True)
    for first_system, second_system in combinations(values, 2):
        a, b = (np.array([values[system][id] for id in ids]) for system in (first_system, second_system))
        outcomes, used = [], []
        for seed in range(orders):
            order = random_order(ids, [""] * len(ids), seed)
            halves = rescaled(a, b)[list(order.positions)]
            for count in looks(len(ids)):
                drawn = sampled_clusters(halves[:count], order.starts[:count], order.whole)
                outcome = decided(*difference_sequence(drawn))
                if outcome != "undecided":
                    break
            outcomes.append(outcome)
            used.append(count)
        gap = 100 * (a.mean() - b.mean())
        whole = "first_better" if gap > 0 else "second_better"
        same = outcomes.count(whole)
        other = orders - same - outcomes.count("undecided")
        print(f"| {first_system} - {second_system} | {gap:+.1f} points | {same}, {other} of {orders} | "
              f"{np.mean(used):,.0f}, {np.quantile(used, 0.9):,.0f} |", flush=True)  # fmt: skip
    for points in (3, 2):
        predict_each_other(values, ids, points)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--races", type=int, default=2_000)
    parser.add_argument("--gsm8k", help="the folder of GSM8K, with recorded outputs of two systems in `recorded`")
    options = parser.parse_args()
    table(SETTINGS, options.races)
    precision_table(max(1, options.races // 10))
    suite_table(options.races)
    predictor_table(max(1, options.races // 2))
    if options.gsm8k:
        gsm8k(options.gsm8k)


if __name__ == "__main__":
    main()
