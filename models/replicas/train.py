"""Train a bundled replica again, and score it: `python -m models.replicas.train NAME [--out DIR] [--resume]`.

Each recipe is seeded, and the card beside its checkpoint says what it took.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
RECIPES = {
    "r1": "r1_training",
    "r1-moe": "r1_moe_training",
    "r1-zero": "r1_zero",
    "v2": "v2",
    "v3": "v3_training",
    "v3-seq2seq": "v3_seq2seq",
    "vl": "training",
}
"""By replica the module of this folder that gives its `RECIPE`, its `Course` and its `report`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a recipe, save its checkpoint, and print what that reaches."""
    parser = argparse.ArgumentParser(prog="python -m models.replicas.train", description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: the bundled checkpoint's folder")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/training.pt")
    parser.add_argument(
        "--start", nargs="+", metavar="CHECKPOINT[:SHARE]", help="begin with these weights or their mean, at step --at"
    )
    parser.add_argument("--at", type=int, default=0, metavar="STEP", help="of the recipe; goes with --start")
    chosen = parser.parse_args(arguments)

    from models.replicas import loop

    module = import_module(f"models.replicas.{RECIPES[chosen.name]}")
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
