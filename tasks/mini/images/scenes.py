"""The scenes of the mini benchmarks, and how they are composed; `drawing` draws them, `captions` describes them.

A scene is a few things on a tinted background: circles, stars, hearts, ... of ten colours, two sizes and three
textures, some of them partly behind another. All functions depend on their arguments only; random draws come from a
`random.Random` that the caller seeds from an id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 96
"""Width and height of a drawn scene, in pixels."""

COLORS = {
    "red": (212, 38, 38),
    "orange": (246, 134, 22),
    "yellow": (248, 214, 36),
    "green": (44, 158, 66),
    "blue": (36, 88, 214),
    "purple": (136, 54, 184),
    "pink": (246, 128, 184),
    "brown": (122, 76, 42),
    "gray": (140, 140, 142),
    "black": (34, 34, 36),
}
GROUNDS = {
    "white": (248, 248, 248),
    "gray": (206, 206, 208),
    "blue": (200, 222, 250),
    "green": (206, 238, 202),
    "yellow": (252, 244, 190),
    "pink": (252, 216, 228),
}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross", "heart")
SIZES = ("small", "large")
TEXTURES = ("solid", "striped", "dotted")
RADII = {"small": (7, 9), "large": (14, 16)}
"""Range of the radius of the circle around a thing, by size, in pixels. The wide gap makes sizes unambiguous."""

GAP = 3
"""Minimum number of pixels between the circles around two things that do not overlap."""

COVERED = (0.10, 0.35)
"""Range of the share of a thing that the one in front hides: visible, but not so much that the shape is lost."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape of a scene."""

    shape: str
    color: str
    size: str
    texture: str
    x: int
    """Centre, in pixels from the left."""
    y: int
    """Centre, in pixels from the top."""
    radius: int
    """Radius of the circle around it, in pixels."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, in pixels, right and bottom excluded."""
        points = outline(self.shape)
        xs, ys = [x for x, _ in points], [y for _, y in points]
        left, right = math.floor(self.x + self.radius * min(xs)), math.ceil(self.x + self.radius * max(xs))
        top, bottom = math.floor(self.y + self.radius * min(ys)), math.ceil(self.y + self.radius * max(ys))
        return max(left, 0), max(top, 0), min(right, SIDE), min(bottom, SIDE)


@dataclass(frozen=True, slots=True)
class Scene:
    """Things on a background, painted in order: a later thing is in front of an earlier one."""

    ground: str
    things: tuple[Thing, ...]
    seed: int
    """Seed of the irrelevant details: the marks, the gradient, the shade of each colour, the slant of the stripes."""


def distance(a: Thing, b: Thing) -> float:
    """Return the distance of two centres, in pixels."""
    return math.hypot(a.x - b.x, a.y - b.y)


# Composition


def compose(rng: Random, *, things: int, allowed: frozenset[tuple[str, str]], seed: int) -> Scene:
    """Draw a scene at random.

    Args:
        rng: the source of randomness.
        things: number of things to place; a crowded scene may get one or two fewer, but at least two.
        allowed: the (colour, shape) pairs to draw from, without those that the split holds out.
        seed: the value of `Scene.seed`.
    """
    ground = rng.choice(tuple(GROUNDS))
    pairs = sorted(pair for pair in allowed if pair[0] != ground)
    scene = Scene(ground, (), seed)
    overlapping = rng.random() < 0.5
    for index in range(things):
        thing = _imagine(rng, pairs)
        placed = _place_overlapping(scene, thing, rng) if overlapping and index == 1 else None
        scene = placed or _place_apart(scene, thing, rng) or scene
    return scene


def edit(scene: Scene, rng: Random, allowed: frozenset[tuple[str, str]]) -> Scene:
    """Change one detail of a scene at random, so that some answers change.

    Returns:
        The new scene, or `scene` itself if the drawn change is not possible.
    """
    kind = rng.choice(
        ("color", "shape", "color and shape", "texture", "size", "move", "move", "add", "remove", "ground")
    )
    if kind == "ground":
        free = [ground for ground in GROUNDS if ground not in {scene.ground, *(thing.color for thing in scene.things)}]
        return replace(scene, ground=rng.choice(free)) if free else scene
    pairs = sorted(pair for pair in allowed if pair[0] != scene.ground)
    if kind == "add":
        return (_place_apart(scene, _imagine(rng, pairs), rng) if len(scene.things) < 6 else None) or scene
    index = rng.randrange(len(scene.things))
    if kind == "remove":
        return replace(scene, things=_without(scene, index)) if len(scene.things) > 2 else scene
    return _alter(scene, index, kind, rng, pairs) or scene


def _alter(scene: Scene, index: int, kind: str, rng: Random, pairs: list[tuple[str, str]]) -> Scene | None:
    """Change one attribute or the position of a thing; None if the result breaks a rule of `fits`."""
    thing = scene.things[index]
    other = _imagine(rng, pairs)
    if kind == "move":
        rest = replace(scene, things=_without(scene, index))
        return _place_apart(rest, thing, rng)
    changed = {
        "color": replace(thing, color=other.color),
        "shape": replace(thing, shape=other.shape),
        "color and shape": replace(thing, color=other.color, shape=other.shape),
        "texture": replace(thing, texture=other.texture),
        "size": replace(thing, size=other.size, radius=other.radius),
    }[kind]
    things = (*scene.things[:index], changed, *scene.things[index + 1 :])
    return replace(scene, things=things) if fits(things) and (changed.color, changed.shape) in pairs else None


def _imagine(rng: Random, pairs: Sequence[tuple[str, str]]) -> Thing:
    """Draw the attributes of a thing; its position is drawn later."""
    color, shape = rng.choice(pairs)
    size = rng.choice(("small", "large"))
    texture = rng.choice(TEXTURES)
    return Thing(shape, color, size, texture, x=0, y=0, radius=rng.randint(*RADII[size]))


def _place_apart(scene: Scene, thing: Thing, rng: Random) -> Scene | None:
    """Add a thing where it touches no other; None if forty tries find no position."""
    reach = thing.radius + 1
    for _ in range(40):
        placed = replace(thing, x=rng.randint(reach, SIDE - reach), y=rng.randint(reach, SIDE - reach))
        if all(distance(placed, other) >= placed.radius + other.radius + GAP for other in scene.things):
            return replace(scene, things=(*scene.things, placed))
    return None


def _place_overlapping(scene: Scene, thing: Thing, rng: Random) -> Scene | None:
    """Add a thing in front of the last one; None if it fails or is larger, and so would hide too much."""
    back = scene.things[-1]
    if thing.radius > back.radius:
        return None
    reach = thing.radius + 1
    for _ in range(24):
        angle, apart = rng.uniform(0, math.tau), rng.uniform(0.6, 0.95) * (thing.radius + back.radius)
        x, y = back.x + round(apart * math.cos(angle)), back.y + round(apart * math.sin(angle))
        placed = replace(thing, x=x, y=y)
        if reach <= x <= SIDE - reach and reach <= y <= SIDE - reach and fits((*scene.things, placed)):
            return replace(scene, things=(*scene.things, placed))
    return None


def fits(things: tuple[Thing, ...]) -> bool:
    """Return whether every two things are apart, or overlap as `COVERED` allows and differ in colour."""
    for index, back in enumerate(things):
        for front in things[index + 1 :]:
            if distance(front, back) >= front.radius + back.radius + GAP:
                continue
            if front.color == back.color or not COVERED[0] <= hidden(back, front) <= COVERED[1]:
                return False
    return True


def _without(scene: Scene, index: int) -> tuple[Thing, ...]:
    return scene.things[:index] + scene.things[index + 1 :]


@lru_cache(maxsize=4096)
def hidden(back: Thing, front: Thing) -> float:
    """Return the share of `back` that `front` covers, in [0, 1], counted in pixels."""
    if distance(front, back) >= front.radius + back.radius:
        return 0.0
    from PIL import ImageChops

    below, above = silhouette(back), silhouette(front)
    both = ImageChops.multiply(below, above)
    return both.histogram()[255] / below.histogram()[255]


def silhouette(thing: Thing) -> Image:
    """Return the mask of a thing, including hidden parts: mode L, `SIDE` x `SIDE` pixels, 255 inside."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).polygon(corners(thing, thing.radius), fill=255)
    return mask


def corners(thing: Thing, radius: float, scale: int = 1) -> list[tuple[int, int]]:
    """Return the corners of a thing with the given radius, on a canvas enlarged by `scale`."""
    return [
        (round((thing.x + radius * x) * scale), round((thing.y + radius * y) * scale)) for x, y in outline(thing.shape)
    ]


@lru_cache(maxsize=16)
def outline(shape: str) -> tuple[tuple[float, float], ...]:
    """Return the corners of a shape inside the unit circle; y points down."""
    turn = [math.tau * step / 40 for step in range(40)]
    arm = 0.34  # half the width of a cross's bar
    outlines: dict[str, Callable[[], tuple[tuple[float, float], ...]]] = {
        "circle": lambda: tuple((math.cos(a), math.sin(a)) for a in turn),
        "square": lambda: ((-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)),
        "triangle": lambda: ((0.0, -0.98), (0.98, 0.78), (-0.98, 0.78)),
        "diamond": lambda: ((0.0, -1.0), (0.78, 0.0), (0.0, 1.0), (-0.78, 0.0)),
        "star": lambda: tuple(
            _polar(1.0 if step % 2 == 0 else 0.46, math.tau * step / 10 - math.pi / 2) for step in range(10)
        ),
        "cross": lambda: (
            *((-arm, -0.98), (arm, -0.98), (arm, -arm), (0.98, -arm), (0.98, arm), (arm, arm)),
            *((arm, 0.98), (-arm, 0.98), (-arm, arm), (-0.98, arm), (-0.98, -arm), (-arm, -arm)),
        ),
        "heart": lambda: tuple(
            (
                math.sin(a) ** 3,
                -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16 - 0.08,
            )
            for a in turn
        ),
    }
    return outlines[shape]()


def _polar(radius: float, angle: float) -> tuple[float, float]:
    return radius * math.cos(angle), radius * math.sin(angle)
