"""Measure how much of an attention map is on the object that the question is about.

    python tests/benchmarks/vqa_attention.py [--model vl] [--split validation] [--questions 100] [--layers 3 --heads 0]

On mini VQA the generator knows which thing a question is about and which share of each cell it takes. Printed are the
mean mass of the map on that thing, the thing's mean share of the area (what a map that knows nothing would have), their
ratio, and, as a control that the question matters, the mass on the same things when another question about the same
picture is asked that is not about them. Intervals are 95 %, by resampling whole pictures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from evals import registry  # noqa: E402
from evals.models.attention import VisualAttentionMapper  # noqa: E402
from evals.statistics.bootstrap import percentile_interval, resampled_weights  # noqa: E402
from evals.tasks.mini.images.drawing import draw  # noqa: E402
from evals.tasks.mini.images.scenes import SIDE, silhouette  # noqa: E402
from evals.tasks.mini.vqa import split  # noqa: E402


class Look(NamedTuple):
    """One question about a thing that is known."""

    image: int
    mass: float
    area: float
    elsewhere: float
    """Mass on the thing when the picture's other questions are asked, which are not about it; nan where none is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="vl")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--layers", type=int, nargs="+")
    parser.add_argument("--heads", type=int, nargs="+")
    arguments = parser.parse_args()
    registry.discover()
    mapper = VisualAttentionMapper.load(arguments.model)
    looks = measure(mapper, arguments.split, arguments.questions, arguments.layers, arguments.heads)
    print(f"{arguments.model}, {arguments.split}, layers {arguments.layers or 'all'}, heads {arguments.heads or 'all'}")
    report(looks)


def measure(mapper, name: str, count: int, layers=None, heads=None) -> list[Look]:
    looks: list[Look] = []
    for sheet in split(name):
        things = [(thing.box, thing) for thing in sheet.scene.things]
        about = {question: dict(things).get(question.region) for question in sheet.questions}
        if len(looks) >= count or not any(about.values()):
            continue
        picture = draw(sheet.scene)
        seen = {q: mapper.generate_attention(picture, q.text, layers=layers, heads=heads) for q in about}
        for question, thing in about.items():
            if thing is None:
                continue
            cells = len(seen[question].regions_RC)
            shares = np.asarray(silhouette(thing).reduce(SIDE // cells), np.float32).reshape(-1) / 255
            others = [seen[other].mass(shares) for other, its in about.items() if its not in (None, thing)]
            elsewhere = float(np.mean(others)) if others else float("nan")
            looks.append(Look(sheet.image_id, seen[question].mass(shares), float(shares.mean()), elsewhere))
    return looks[:count]


def report(looks: list[Look]) -> None:
    mass, area, elsewhere = (np.array([getattr(look, name) for look in looks]) for name in Look._fields[1:])
    images = [str(look.image) for look in looks]
    asked = ~np.isnan(elsewhere)
    weights = np.concatenate(list(resampled_weights(images, "attention")))
    ratio = (weights @ mass) / (weights @ area)
    print(f"{len(looks)} questions about a known thing, {len(set(images))} pictures")
    show("mass of the map on it", mass.mean(), (weights @ mass) / weights.sum(axis=1))
    show("its share of the area", area.mean(), (weights @ area) / weights.sum(axis=1))
    show("ratio of the two", mass.mean() / area.mean(), ratio, unit="x", scale=1)
    show(
        f"mass, others asked ({asked.sum()})", elsewhere[asked].mean(),
        (weights[:, asked] @ elsewhere[asked]) / weights[:, asked].sum(axis=1),
    )  # fmt: skip
    difference = (weights[:, asked] @ (mass - elsewhere)[asked]) / weights[:, asked].sum(axis=1)
    show("what the question adds", (mass - elsewhere)[asked].mean(), difference)


def show(name: str, value: float, resampled: np.ndarray, unit: str = "%", scale: float = 100) -> None:
    low, high = percentile_interval(resampled) or (float("nan"), float("nan"))
    print(f"  {name:<26} {scale * value:6.2f} {unit}   {scale * low:.2f} to {scale * high:.2f}")


if __name__ == "__main__":
    main()
