"""Mini retrieval: 200 drawn scenes a split with five captions each, four and four of them made of the same words.

A row, as bundled in `retrieval/validation.parquet`:

    image_id 400000, image <PNG>, captions ["A large red star, a small blue heart and a dotted green circle.",
                                            "A blue heart sits below a red star.", … five in all]

The four scenes of a group have the same things in the same places, but their colours have changed places: where one has
a red star and a blue heart, another has a blue star and a red heart. So whoever knows which words fit a picture, and
not which belong together, cannot tell the four apart.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from random import Random
from typing import NamedTuple

from evals.tasks.mini.pictures.captions import captions
from evals.tasks.mini.pictures.scenes import Scene, Thing, compose, fits
from evals.tasks.mini.vqa import PAIRS

IMAGES = 200
"""Images in each bundled split."""

FIRST_IMAGE = {"validation": 400_000, "test": 500_000}
"""Where the image ids of each bundled split begin; no scene of mini VQA has such an id."""

GROUP = 4
"""Scenes that are made of the same words."""

THINGS = (3, 3, 4, 4, 5, 6)
"""How many things are put into a scene, each entry as likely as the next."""


class Told(NamedTuple):
    """An image and what five people say of it."""

    image_id: int
    scene: Scene
    captions: tuple[str, ...]


def told(name: str) -> list[Told]:
    """Give a bundled split, `validation` or `test`."""
    first = FIRST_IMAGE[name]
    return [one for image_id in range(first, first + IMAGES, GROUP) for one in group(image_id, allowed=PAIRS)]


def group(image_id: int, *, allowed: frozenset[tuple[str, str]]) -> list[Told]:
    """Make the four scenes of a group and tell them: a function of its arguments.

    Args:
        image_id: Of the first; the others follow it.
        allowed: The (colour, shape) pairs to draw from.
    """
    rng = Random(f"mini retrieval {image_id}")
    scenes: list[Scene] = []
    while len(scenes) < GROUP:
        scene = compose(rng, things=rng.choice(THINGS), allowed=allowed, seed=image_id)
        scenes = [scene, *_recoloured(scene, rng, allowed)][:GROUP]
    rng.shuffle(scenes)
    return [
        Told(image_id + n, scene, captions(scene, Random(f"captions {image_id + n}"))) for n, scene in enumerate(scenes)
    ]


def _recoloured(scene: Scene, rng: Random, allowed: frozenset[tuple[str, str]]) -> list[Scene]:
    """Give the scenes in which three things of different shapes have exchanged their different colours."""
    chosen = rng.sample(range(len(scene.things)), 3) if len(scene.things) >= 3 else []
    colors = [scene.things[index].color for index in chosen]
    if len(set(colors)) < 3 or len({scene.things[index].shape for index in chosen}) < 3:
        return []
    found = []
    for exchanged in rng.sample([*permutations(colors)][1:], 5):
        things = list(scene.things)
        for index, color in zip(chosen, exchanged, strict=True):
            things[index] = replace(things[index], color=color)
        if _may_be(tuple(things), allowed):
            found.append(replace(scene, things=tuple(things)))
    return found


def _may_be(things: tuple[Thing, ...], allowed: frozenset[tuple[str, str]]) -> bool:
    return fits(things) and all((thing.color, thing.shape) in allowed for thing in things)
