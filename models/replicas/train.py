"""Train a bundled replica again and evaluate it: `python -m evals.models.replicas.train NAME [--out DIR] [--resume]`.

Each recipe is seeded, and the card beside its checkpoint says what its training took.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from evals.models.replicas import CHECKPOINTS

RECIPES = ("r1", "r1-moe", "r1-zero", "v2", "v3", "v3-seq2seq", "vl")
"""Each has a folder in `recipes`, whose module `train` defines `RECIPE`, `Course` and `report`."""


def recipe(name: str) -> ModuleType:
    """Import the module that trains a replica."""
    return import_module(f"evals.models.replicas.recipes.{name.replace('-', '_')}.train")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a recipe, save its checkpoint, and print the checkpoint's scores."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.models.replicas.train", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the checkpoint (default: the bundled checkpoint's)"
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run from DIR/training.pt")
    parser.add_argument(
        "--start",
        nargs="+",
        metavar="CHECKPOINT[:SHARE]",
        help="start with these weights, or with their mean, at step --at",
    )
    parser.add_argument(
        "--at", type=int, default=0, metavar="STEP", help="step of the recipe to start at, with --start"
    )
    chosen = parser.parse_args(arguments)

    from evals.models.replicas.training import loop

    module = recipe(chosen.name)
    out = chosen.out or CHECKPOINTS / chosen.name
    if chosen.start:
        parts = (checkpoint.partition(":") for checkpoint in chosen.start)
        shares = {Path(folder): float(share or 1) for folder, _, share in parts}
        loop.start_at(module.Course, module.RECIPE, shares, chosen.at, out)
    loop.train(module.Course, module.RECIPE, out, resume=chosen.resume or chosen.start is not None)
    for line in module.report(out):
        print(line)
    print(f"checkpoint: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
