"""How often intervals with predictions cover the value of the whole set, and what the predictions gain.

    python tests/benchmarks/predictions.py [--draws 1000] [--seed 0] [--of RUN --predictor RUN]

Draws random parts of a set and estimates the whole from each: of simulated sets, or of two finished runs of one split,
where the outputs of one model predict those of the other. Prints coverage of the 95 % intervals and the median gain.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from evals import records  # noqa: E402
from evals.statistics.predictions import post_stratified, strata  # noqa: E402

SETTINGS = (
    # items, part, share of right items, share of items whose prediction is drawn anew, items of a cluster
    (300, 60, 0.5, 0.1, 1),
    (300, 60, 0.8, 0.3, 1),
    (300, 60, 0.95, 0.3, 1),
    (300, 60, 0.5, 1.0, 1),
    (1000, 200, 0.5, 0.1, 1),
    (1000, 200, 0.8, 0.3, 1),
    (1000, 200, 0.95, 0.1, 1),
    (1000, 200, 0.8, 1.0, 1),
    (5000, 500, 0.5, 0.1, 1),
    (5000, 500, 0.8, 0.3, 1),
    (5000, 500, 0.98, 0.3, 1),
    (1000, 200, 0.8, 0.3, 5),
    (1000, 400, 0.5, 0.1, 5),
    (5000, 500, 0.8, 0.3, 5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of", type=Path)
    parser.add_argument("--predictor", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print("| set | part | right | predictions | items of a cluster | covered | median gain |")
    print("| ---: | ---: | ---: | :--- | ---: | ---: | ---: |")
    if arguments.of is not None:
        by_run = [_headlines(folder) for folder in (arguments.of, arguments.predictor)]
        ids = sorted(by_run[0])
        values, predictions = (np.array([headlines[id] for id in ids]) for headlines in by_run)
        for part in (50, 100, 200, 400):
            row = measure(rng, arguments.draws, part, lambda: (values, predictions, np.array(ids)))
            correlation = np.corrcoef(values, predictions)[0, 1]
            print(f"| {len(ids):,} | {part} | {values.mean():.1%} | correlation {correlation:.2f} | 1 | {row}")
        return
    for items, part, right, anew, size in SETTINGS:
        row = measure(rng, arguments.draws, part, lambda s=(items, right, anew, size): simulated(rng, *s))
        print(f"| {items:,} | {part} | {right:.0%} | {anew:.0%} at random | {size} | {row}", flush=True)


def measure(rng, draws, part, population) -> str:
    """Estimate the mean of a set from `draws` random parts, of a set drawn anew for each."""
    covered, gains = 0, []
    for _ in range(draws):
        values, predictions, clusters = population()
        groups = strata(predictions, part)
        chosen = rng.choice(len(values), part, replace=False)
        estimate = post_stratified(
            values[chosen], groups[chosen], np.bincount(groups).tolist(), [str(name) for name in clusters[chosen]]
        )
        if estimate is None:  # a group without an item of the part
            continue
        covered += estimate.low - 1e-9 <= values.mean() <= estimate.high + 1e-9
        gains.append(estimate.gain)
    return f"{covered / len(gains):.1%} | {np.median(gains):.2f} |"


def simulated(rng, items, right, anew, size):
    """Draw a set: values, predictions, and names of clusters whose rates of right items differ."""
    rates = np.full(items, right) if size == 1 else np.repeat(rng.beta(2 * right, 2 - 2 * right, items // size), size)
    values = (rng.random(items) < rates) * 1.0
    predictions = np.where(rng.random(items) < anew, rng.random(items) < right, values)
    return values, predictions.astype(float), np.arange(items) // size


def _headlines(folder: Path) -> dict[str, float]:
    record = records.load(folder)
    return {row.id: row.values[record.finished().headline] for row in record.values()}


if __name__ == "__main__":
    main()
