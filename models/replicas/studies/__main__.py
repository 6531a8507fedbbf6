"""Run a study: `python -m evals.models.replicas.studies NAME [--seeds 0 1 2 3 4] [--tasks T …] [--out DIR]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from evals.models.replicas.studies import RESULTS, STUDIES
from evals.models.replicas.studies.training import Arm, read_rows, write_rows

PILOT_SEED = 100
"""The seed of the trainings that choose learning rates; it is used for nothing else."""


def key(row: Mapping[str, str]) -> tuple[str, ...]:
    """Return what identifies the arm of a row, as `Arm.key`."""
    return row["arm"], row["task"], row["batch"]


def chosen_rate(arm: Arm, pilots: Sequence[Mapping[str, str]]) -> float:
    """Choose the learning rate of an arm that did best in its pilot trainings.

    With a target the least compute is best, or without reaching it the highest quality; of losses the lowest, of shares
    the highest.
    """

    def cost(row: Mapping[str, str]) -> tuple[float, ...]:
        if arm.study == "batch_size":
            return (float(row["quality"]),)
        if row["reached"] == "1":
            return 0.0, float(row["flops"])
        return 1.0, -float(row["quality"])

    return float(min((row for row in pilots if key(row) == arm.key), key=cost)["rate"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose learning rates on a pilot seed, then train with every seed; trainings that have a row are not repeated."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.models.replicas.studies", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("name", choices=STUDIES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--tasks", nargs="+", help="train on these tasks only")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the CSV files")
    chosen = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)
    study = import_module(f"evals.models.replicas.studies.{chosen.name}")
    pilots, results = chosen.out / f"{chosen.name}-rates.csv", chosen.out / f"{chosen.name}.csv"
    tried = {(*key(row), row["rate"]) for row in read_rows(pilots)}
    done = {(*key(row), row["seed"]) for row in read_rows(results)}
    for arm in _asked(study.arms(PILOT_SEED), chosen.tasks):
        rates = [rate for rate in study.rates(arm) if (*arm.key, f"{rate:g}") not in tried]
        write_rows(pilots, (study.train(replace(arm, rate=rate)) for rate in rates))
    for seed in chosen.seeds:
        missing = [arm for arm in _asked(study.arms(seed), chosen.tasks) if (*arm.key, str(seed)) not in done]
        write_rows(results, (study.train(replace(arm, rate=chosen_rate(arm, read_rows(pilots)))) for arm in missing))
    return 0


def _asked(arms: Sequence[Arm], tasks: Sequence[str] | None) -> list[Arm]:
    return [arm for arm in arms if tasks is None or arm.task in tasks]


if __name__ == "__main__":
    sys.exit(main())
