"""Train a bundled replica again, and score it: `python -m models.replicas.train vl [--out DIR] [--resume]`.

Each recipe is seeded, and the card beside its checkpoint says what it took.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
RECIPES = ("vl",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a recipe, save its checkpoint, and print what that reaches on the bundled splits."""
    parser = argparse.ArgumentParser(prog="python -m models.replicas.train", description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: the bundled checkpoint's folder")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/training.pt")
    chosen = parser.parse_args(arguments)

    from models.replicas import exam, training, vl
    from tasks.mini.vqa import split

    out = chosen.out or CHECKPOINTS / chosen.name
    training.train(vl.Recipe(), out, resume=chosen.resume)
    for name in ("validation", "test"):
        result = exam.sit(out, split(name))
        print(f"{name}: {result.seeing}; flat images: {result.blind}")
    print(f"{out} holds the checkpoint")
    return 0


if __name__ == "__main__":
    sys.exit(main())
