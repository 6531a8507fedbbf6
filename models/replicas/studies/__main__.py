"""Run a study: `python -m evals.models.replicas.studies NAME [--seeds 0 1 2 3 4] [--tasks T …] [--out DIR]`.

Every training prints a line when it has ended; one that has a row in the folder is not repeated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from evals.models.replicas.studies import RESULTS, STUDIES
from evals.models.replicas.studies.training import Arm, Training, read_rows, write_rows

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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="default: 0 1 2 3 4")
    parser.add_argument("--tasks", nargs="+", help="train on these tasks only; default: all of the study")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the CSV files")
    chosen = parser.parse_args(arguments)
    if PILOT_SEED in chosen.seeds:
        parser.error(f"seed {PILOT_SEED} chooses the learning rates, and must not be used for anything else")

    import torch

    torch.set_num_threads(1)
    study = import_module(f"evals.models.replicas.studies.{chosen.name}")
    known = sorted({arm.task for arm in study.arms(PILOT_SEED)})
    for task in chosen.tasks or ():
        if task not in known:
            parser.error(f"{chosen.name} has no task {task!r}; it has {', '.join(known)}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    pilots, results = chosen.out / f"{chosen.name}-rates.csv", chosen.out / f"{chosen.name}.csv"
    tried = {(*key(row), row["rate"]) for row in read_rows(pilots)}
    done = {(*key(row), row["seed"]) for row in read_rows(results)}
    for arm in _asked(study.arms(PILOT_SEED), chosen.tasks):
        rates = [rate for rate in study.rates(arm) if (*arm.key, f"{rate:g}") not in tried]
        write_rows(pilots, _shown(study.train(replace(arm, rate=rate)) for rate in rates))
    for seed in chosen.seeds:
        missing = [arm for arm in _asked(study.arms(seed), chosen.tasks) if (*arm.key, str(seed)) not in done]
        placed = [replace(arm, rate=chosen_rate(arm, read_rows(pilots))) for arm in missing]
        write_rows(results, _shown(map(study.train, placed)))
    print(f"{len(read_rows(results))} trainings: {results}")
    return 0


def _shown(trainings: Iterable[Training]) -> Iterator[Training]:
    """Print a line for each training when it has ended."""
    for training in trainings:
        row = training.row()
        place = f"{row['arm']}, {row['task']}, batch {row['batch']}, seed {row['seed']}, rate {row['rate']}"
        print(f"{place}: {training.flops / 1e12:.2f} TFLOP, {row['quality']}, {row['seconds']} s", flush=True)
        yield training


def _asked(arms: Sequence[Arm], tasks: Sequence[str] | None) -> list[Arm]:
    return [arm for arm in arms if tasks is None or arm.task in tasks]


if __name__ == "__main__":
    sys.exit(main())
