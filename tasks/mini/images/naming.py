"""Names of things in questions and captions: by size, texture, colour and shape, with no more words than needed.

A question is a value, `Query`, before it is put into words. For another scene the same query may have another answer,
as in a complementary pair, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from evals.tasks.mini.images.scenes import COLORS, SHAPES, SIZES, TEXTURES, Scene, Thing

ASPECTS = ("size", "texture", "color", "shape")
"""The properties of things, in the order of English adjectives."""

VALUES = {"size": SIZES, "texture": TEXTURES, "color": tuple(COLORS), "shape": SHAPES}

SIDES = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}
"""Words for the sides of an image, with the direction (right and down are positive)."""

RELATIONS = {"to the left of": (-1, 0), "to the right of": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Words for the position of one thing relative to another, with the direction."""

ASIDE = 10
"""Minimum distance in pixels, along a direction, of two centres between which a relation is stated."""


@dataclass(frozen=True, slots=True)
class Name:
    """A description of things; an attribute that is None is not mentioned."""

    size: str | None = None
    texture: str | None = None
    color: str | None = None
    shape: str | None = None

    def fits(self, thing: Thing) -> bool:
        """Return whether all mentioned attributes are those of a thing."""
        return (
            (self.shape is None or self.shape == thing.shape)
            and (self.color is None or self.color == thing.color)
            and (self.texture is None or self.texture == thing.texture)
            and (self.size is None or self.size == thing.size)
        )

    def __str__(self) -> str:
        words = (self.size, self.texture, self.color, self.shape or "object")
        return " ".join(word for word in words if word)

    @property
    def plural(self) -> str:
        """The name in the plural."""
        if self.shape is None:
            return f"{self}s".replace("object", "shape")
        return f"{self}es" if self.shape == "cross" else f"{self}s"

    @property
    def indefinite(self) -> str:
        """The name with its indefinite article."""
        return f"{'an' if str(self)[0] in 'aeiou' else 'a'} {self}"


@dataclass(frozen=True, slots=True)
class Query:
    """A question before it is put into words."""

    family: str
    names: tuple[Name, ...] = ()
    word: str = ""
    """What the question is about: a side, a relation, an attribute, or the value that a yes/no question proposes."""


@dataclass(frozen=True, slots=True)
class SceneAnswer:
    """The true answer to a query about one scene."""

    text: str
    region: tuple[int, int, int, int] | None = None
    """Box of the thing that the question is about (left, top, right, bottom, in pixels); None if there is none."""


@dataclass(frozen=True, slots=True)
class QuestionFamily:
    """One kind of question."""

    answer_type: str
    weight: float
    """Its relative frequency among the families of its answer type."""
    phrasings: tuple[str, ...]
    """Templates over `{a}`, `{b}` (names), `{some}`, `{others}` (plurals), `{one}` (with its article) and `{word}`."""
    propose: Callable[[Scene, Random], Query | None]
    """Draws a query about a scene; returns None if the draw failed."""
    answer: Callable[[Scene, Query], SceneAnswer | None]
    """Answers a query; returns None if the answer is ambiguous, or if a name fits no thing or more than one."""


def only(scene: Scene, name: Name) -> Thing | None:
    """Return the thing that a name fits; None if it fits no thing or more than one."""
    fitting = [thing for thing in scene.things if name.fits(thing)]
    return fitting[0] if len(fitting) == 1 else None


def describe(scene: Scene, thing: Thing, rng: Random, *, without: tuple[str, ...] = ()) -> Name | None:
    """Name a thing so that the name fits no other thing; None if its attributes do not distinguish it.

    Args:
        scene: the scene in which the name must be unique.
        thing: the thing to name.
        rng: chooses the attributes; the shape is mostly the first.
        without: attributes that the question asks for, which the name must not reveal.
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
    """Return the two things that a query names; None if a name is not unique."""
    first, second = (only(scene, name) for name in query.names)
    return (first, second) if first and second else None


def group(scene: Scene, rng: Random, sizes: tuple[int, ...], altered: float) -> Name:
    """Draw a name that fits any number of things: some attributes of one thing, of which one may be altered.

    Args:
        scene: the scene.
        rng: makes the choices.
        sizes: numbers of attributes in the name; each entry is equally likely.
        altered: the probability, in [0, 1], that one attribute is drawn again, so that the name may fit no thing.
    """
    thing = rng.choice(scene.things)
    aspects = rng.sample(ASPECTS, rng.choice(sizes))
    name = replace(Name(), **{aspect: getattr(thing, aspect) for aspect in aspects})
    if rng.random() < altered:
        aspect = rng.choice(aspects)
        name = replace(name, **{aspect: rng.choice(VALUES[aspect])})
    return name


def along(thing: Thing, way: tuple[int, int]) -> int:
    """Return the coordinate of a thing's centre along a direction, in pixels."""
    return thing.x * way[0] + thing.y * way[1]


def ahead(first: Thing, second: Thing, way: tuple[int, int]) -> int | None:
    """Return by how many pixels the first thing is farther along a direction; None if they are too close to say."""
    gap = along(first, way) - along(second, way)
    return gap if abs(gap) >= ASIDE else None
