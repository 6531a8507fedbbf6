"""Train a bundled replica again, and score it: `python -m evals.models.replicas.train NAME [--out DIR] [--resume]`.

Each recipe is seeded, and the card beside its checkpoint says what it took.
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
"""Each has a folder of `recipes`, whose `train` gives its `RECIPE`, its `Course` and its `report`."""


def recipe(name: str) -> ModuleType:
    """Import the module that trains a replica."""
    return import_module(f"evals.models.replicas.recipes.{name.replace('-', '_')}.train")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a recipe, save its checkpoint, and print what that reaches."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.models.replicas.train", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: the bundled checkpoint's folder")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/training.pt")
    parser.add_argument(
        "--start", nargs="+", metavar="CHECKPOINT[:SHARE]", help="begin with these weights or their mean, at step --at"
    )
    parser.add_argument("--at", type=int, default=0, metavar="STEP", help="of the recipe; goes with --start")
    chosen = parser.parse_args(arguments)

    from evals.models.replicas.training import loop

    module = recipe(chosen.name)
    out = chosen.out or CHECKPOINTS / chosen.name
    if chosen.start:
        parts = (one.partition(":") for one in chosen.start)
        loop.start_at(module.Course, module.RECIPE, {Path(c): float(s or 1) for c, _, s in parts}, chosen.at, out)
    loop.train(module.Course, module.RECIPE, out, resume=chosen.resume or chosen.start is not None)
    for line in module.report(out):
        print(line)
    print(f"{out} holds the checkpoint")
    return 0


if __name__ == "__main__":
    sys.exit(main())
