"""How questions and captions name things: by size, texture, colour and shape, no more than needed.

A question is a value, `Query`, before it is put into words. Asked of another scene it may have another answer, which is
what a complementary pair is, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from evals.tasks.mini.images.scenes import COLORS, SHAPES, SIZES, TEXTURES, Scene, Thing

ASPECTS = ("size", "texture", "color", "shape")
"""What tells things apart, in the order in which English says it."""

VALUES = {"size": SIZES, "texture": TEXTURES, "color": tuple(COLORS), "shape": SHAPES}

SIDES = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}
"""Words for the sides of a picture, with the way there (right and down are positive)."""

RELATIONS = {"to the left of": (-1, 0), "to the right of": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Words for where one thing is as seen from another, with the way there."""

ASIDE = 10
"""Pixels by which one centre must be farther left (right, ...) than another before anyone says so."""


@dataclass(frozen=True, slots=True)
class Name:
    """A description of things; what is None is not said."""

    size: str | None = None
    texture: str | None = None
    color: str | None = None
    shape: str | None = None

    def fits(self, thing: Thing) -> bool:
        """Tell whether all that is said is true of a thing."""
        return (
            (self.shape is None or self.shape == thing.shape)
            and (self.color is None or self.color == thing.color)
            and (self.texture is None or self.texture == thing.texture)
            and (self.size is None or self.size == thing.size)
        )

    def __str__(self) -> str:
        said = (self.size, self.texture, self.color, self.shape or "object")
        return " ".join(word for word in said if word)

    @property
    def plural(self) -> str:
        """The name of several."""
        if self.shape is None:
            return f"{self}s".replace("object", "shape")
        return f"{self}es" if self.shape == "cross" else f"{self}s"

    @property
    def indefinite(self) -> str:
        """The name with its article."""
        return f"{'an' if str(self)[0] in 'aeiou' else 'a'} {self}"


@dataclass(frozen=True, slots=True)
class Query:
    """A question before it is put into words."""

    family: str
    names: tuple[Name, ...] = ()
    word: str = ""
    """What the question turns on: a side, a relation, an aspect, or the value that a yes/no question proposes."""


@dataclass(frozen=True, slots=True)
class SceneAnswer:
    """The truth about a query in one scene."""

    text: str
    region: tuple[int, int, int, int] | None = None
    """Box of the thing that the question is about (left, top, right, bottom, in pixels); None where there is none."""


@dataclass(frozen=True, slots=True)
class QuestionFamily:
    """One kind of question."""

    answer_type: str
    weight: float
    """How often it is proposed among the families of its answer type."""
    phrasings: tuple[str, ...]
    """Templates over `{a}`, `{b}` (names), `{some}`, `{others}` (plurals), `{one}` (with its article) and `{word}`."""
    propose: Callable[[Scene, Random], Query | None]
    """Makes a query about a scene; None where chance led nowhere."""
    answer: Callable[[Scene, Query], SceneAnswer | None]
    """Answers a query; None where two people could see it differently, or a name fits no thing, or two."""


def only(scene: Scene, name: Name) -> Thing | None:
    """Give the one thing that a name fits, or None."""
    found = [thing for thing in scene.things if name.fits(thing)]
    return found[0] if len(found) == 1 else None


def describe(scene: Scene, thing: Thing, rng: Random, *, without: tuple[str, ...] = ()) -> Name | None:
    """Name a thing so that the name fits no other; None where its other aspects do not tell it apart.

    Args:
        scene: Where it must be told apart.
        thing: What to name.
        rng: Chooses the aspects; the shape comes first mostly, as nouns do.
        without: Aspects that the question asks for and so must not give away.
    """
    aspects = [aspect for aspect in ASPECTS if aspect not in without]
    rng.shuffle(aspects)
    if "shape" in aspects and rng.random() < 0.75:
        aspects.remove("shape")
        aspects.insert(0, "shape")
    name = Name()
    for aspect in aspects:
        name = replace(name, **{aspect: getattr(thing, aspect)})
        if only(scene, name) and rng.random() < 0.85:
            return name
    return name if only(scene, name) else None


def anyone(scene: Scene, rng: Random, *without: str) -> tuple[Thing, Name] | None:
    """Choose a thing and name it."""
    thing = rng.choice(scene.things)
    name = describe(scene, thing, rng, without=without)
    return (thing, name) if name else None


def two(scene: Scene, rng: Random, *without: str) -> tuple[Name, Name] | None:
    """Choose two things and name them."""
    first, second = rng.sample(scene.things, 2)
    a, b = describe(scene, first, rng, without=without), describe(scene, second, rng, without=without)
    return (a, b) if a and b else None


def both(scene: Scene, query: Query) -> tuple[Thing, Thing] | None:
    """Give the two things that a query names, or None."""
    first, second = (only(scene, name) for name in query.names)
    return (first, second) if first and second else None


def group(scene: Scene, rng: Random, sizes: tuple[int, ...], altered: float) -> Name:
    """Name any number of things by some aspects of one that is there; one aspect may be altered, and then none may be.

    Args:
        scene: Whose things.
        rng: Chooses.
        sizes: How many aspects to say, each entry as likely as the next.
        altered: How often, in 0 to 1, one of them is drawn anew.
    """
    thing = rng.choice(scene.things)
    aspects = rng.sample(ASPECTS, rng.choice(sizes))
    name = replace(Name(), **{aspect: getattr(thing, aspect) for aspect in aspects})
    if rng.random() < altered:
        aspect = rng.choice(aspects)
        name = replace(name, **{aspect: rng.choice(VALUES[aspect])})
    return name


def along(thing: Thing, way: tuple[int, int]) -> int:
    """Give how far along a way a thing's centre is, in pixels."""
    return thing.x * way[0] + thing.y * way[1]


def ahead(first: Thing, second: Thing, way: tuple[int, int]) -> int | None:
    """Give by how many pixels the first is farther along a way (negative: less far); None where it is too close."""
    gap = along(first, way) - along(second, way)
    return gap if abs(gap) >= ASIDE else None
