"""Train a bundled replica again: `python -m models.replicas.train vl [--out DIR] [--resume]`.

Each recipe is seeded and says in its card what it took. The weights come out the same on one kind of machine and nearly
so on another; the scores come out within their intervals.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
RECIPES = {
    "r1": ("models.replicas.r1", "models.replicas.r1_training"),
    "vl": ("models.replicas.vl", "models.replicas.training"),
}
"""By replica: the module with its recipe, and the one that runs it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a recipe and save its checkpoint."""
    parser = argparse.ArgumentParser(prog="python -m models.replicas.train", description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: the bundled checkpoint's folder")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/training.pt")
    chosen = parser.parse_args(arguments)

    recipe, training = (importlib.import_module(module) for module in RECIPES[chosen.name])
    out = chosen.out or CHECKPOINTS / chosen.name
    training.train(recipe.Recipe(), out, resume=chosen.resume)
    print(f"{out} holds the checkpoint")
    return 0


if __name__ == "__main__":
    sys.exit(main())
