"""Mini retrieval: 200 drawn scenes a split with five captions each, in groups of four that use the same words.

A row, as bundled in `retrieval/validation.parquet`:

    image_id 400000, image <PNG>, captions ["A large red star, a small blue heart and a dotted green circle.",
                                            "A blue heart sits below a red star.", … five in all]

The four scenes of a group have the same things at the same positions, but their colours are exchanged: where one has a
red star and a blue heart, another has a blue star and a red heart. A model that knows which words fit an image, but not
which of them belong together, cannot tell the four apart.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from random import Random
from typing import NamedTuple

from evals.tasks.mini.images.captions import captions
from evals.tasks.mini.images.scenes import Scene, Thing, compose, fits
from evals.tasks.mini.vqa import PAIRS

IMAGES = 200
"""Images in each bundled split."""

FIRST_IMAGE = {"validation": 400_000, "test": 500_000}
"""First image id of each bundled split; the ranges do not overlap with those of mini VQA."""

GROUP = 4
"""Number of scenes that use the same words."""

THINGS = (3, 3, 4, 4, 5, 6)
"""Numbers of things in a scene; each entry is equally likely."""


class CaptionedScene(NamedTuple):
    """A scene with its five captions."""

    image_id: int
    scene: Scene
    captions: tuple[str, ...]


def split(name: str) -> list[CaptionedScene]:
    """Return a bundled split, `validation` or `test`."""
    first = FIRST_IMAGE[name]
    return [item for image_id in range(first, first + IMAGES, GROUP) for item in group(image_id, allowed=PAIRS)]


def group(image_id: int, *, allowed: frozenset[tuple[str, str]]) -> list[CaptionedScene]:
    """Make the four scenes of a group with their captions; the result depends on the arguments only.

    Args:
        image_id: the id of the first scene; the other three have the next ids.
        allowed: the (colour, shape) pairs to draw from.
    """
    rng = Random(f"mini retrieval {image_id}")
    scenes: list[Scene] = []
    while len(scenes) < GROUP:
        scene = compose(rng, things=rng.choice(THINGS), allowed=allowed, seed=image_id)
        scenes = [scene, *_recoloured(scene, rng, allowed)][:GROUP]
    rng.shuffle(scenes)
    return [
        CaptionedScene(image_id + n, scene, captions(scene, Random(f"captions {image_id + n}")))
        for n, scene in enumerate(scenes)
    ]


def _recoloured(scene: Scene, rng: Random, allowed: frozenset[tuple[str, str]]) -> list[Scene]:
    """Return the scenes in which three things of different shapes have exchanged their different colours."""
    chosen = rng.sample(range(len(scene.things)), 3) if len(scene.things) >= 3 else []
    colors = [scene.things[index].color for index in chosen]
    if len(set(colors)) < 3 or len({scene.things[index].shape for index in chosen}) < 3:
        return []
    recoloured = []
    for exchanged in rng.sample([*permutations(colors)][1:], 5):
        things = list(scene.things)
        for index, color in zip(chosen, exchanged, strict=True):
            things[index] = replace(things[index], color=color)
        if _is_allowed(tuple(things), allowed):
            recoloured.append(replace(scene, things=tuple(things)))
    return recoloured


def _is_allowed(things: tuple[Thing, ...], allowed: frozenset[tuple[str, str]]) -> bool:
    return fits(things) and all((thing.color, thing.shape) in allowed for thing in things)
