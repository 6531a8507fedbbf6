"""Questions with open answers: what, where, which. Each family refuses questions whose answer is ambiguous."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from evals.tasks.mini.images.naming import (
    SIDES,
    Name,
    Query,
    QuestionFamily,
    SceneAnswer,
    ahead,
    along,
    anyone,
    both,
    describe,
    only,
)
from evals.tasks.mini.images.scenes import SIDE, Scene, Thing, distance, hidden

FARTHEST = 7
"""Minimum distance in pixels by which the leftmost (topmost, ...) thing must be ahead of the next."""

NEARER = 1.35
"""Minimum ratio of the distances of the second nearest thing and the nearest."""


def aspect(weight: float, attribute: str, *phrasings: str) -> QuestionFamily:
    """Ask for an attribute of a thing that is named by its other attributes."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        choice = anyone(scene, rng, attribute)
        return Query(attribute, (choice[1],)) if choice else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        thing = only(scene, query.names[0])
        return SceneAnswer(getattr(thing, attribute), thing.box) if thing else None

    return QuestionFamily("other", weight, phrasings, propose, answer)


def ground(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask for the colour of the background."""
    return QuestionFamily(
        "other", weight, phrasings, lambda scene, rng: Query("ground"), lambda scene, _: SceneAnswer(scene.ground)
    )


def where(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask in which part of the image a thing is."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        choice = anyone(scene, rng)
        return Query("where", (choice[1],)) if choice else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        thing = only(scene, query.names[0])
        region = _region(thing) if thing else None
        return SceneAnswer(region, thing.box) if thing and region else None

    return QuestionFamily("other", weight, phrasings, propose, answer)


def _region(thing: Thing) -> str | None:
    """Name the part of the image in which a thing is; None between two parts."""
    across, down = _third(thing.x), _third(thing.y)
    if across is None or down is None:
        return None
    words = {-1: "top", 0: "", 1: "bottom"}[down], {-1: "left", 0: "", 1: "right"}[across]
    return " ".join(word for word in words if word) or "center"


def _third(position: int) -> int | None:
    """Return -1, 0 or 1 for the first, middle and last part of a side; None between them."""
    offset = position - SIDE // 2
    if abs(offset) <= 9:
        return 0
    return None if abs(offset) < 17 else (1 if offset > 0 else -1)


def edge(weight: float, attribute: str, *phrasings: str) -> QuestionFamily:
    """Ask for an attribute of the thing that is farthest to one side."""

    def propose(scene: Scene, rng: Random) -> Query:
        return Query(f"edge {attribute}", (), rng.choice(tuple(SIDES)))

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        way = SIDES[query.word]
        second, first = sorted(scene.things, key=lambda thing: along(thing, way))[-2:]
        clear = along(first, way) - along(second, way) >= FARTHEST
        return SceneAnswer(getattr(first, attribute), first.box) if clear else None

    return QuestionFamily("other", weight, phrasings, propose, answer)


def nearest(weight: float, attribute: str, *phrasings: str) -> QuestionFamily:
    """Ask for an attribute of the thing that is nearest to another."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        choice = anyone(scene, rng)
        return Query(f"nearest {attribute}", (choice[1],)) if choice and len(scene.things) > 2 else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        thing = only(scene, query.names[0])
        if thing is None or len(scene.things) < 3:
            return None
        others = (other for other in scene.things if other is not thing)
        first, second, *_ = sorted(others, key=lambda other: distance(thing, other))
        clear = distance(thing, second) >= NEARER * distance(thing, first)
        return SceneAnswer(getattr(first, attribute), first.box) if clear else None

    return QuestionFamily("other", weight, phrasings, propose, answer)


@lru_cache(maxsize=256)
def overlap(things: tuple[Thing, ...]) -> tuple[Thing, Thing] | None:
    """Return the pair of things that overlap, the front one first; None if there is no such pair or more than one."""
    pairs = [
        (front, back) for index, back in enumerate(things) for front in things[index + 1 :] if hidden(back, front) > 0
    ]
    return pairs[0] if len(pairs) == 1 else None


def layer(weight: float, position: str, *phrasings: str) -> QuestionFamily:
    """Name one of two overlapping things and ask for the shape of the other, which is `in front` or `behind`."""
    index = ("in front", "behind").index(position)

    def propose(scene: Scene, rng: Random) -> Query | None:
        pair = overlap(scene.things)
        name = describe(scene, pair[1 - index], rng) if pair else None
        return Query(position, (name,)) if name else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        pair = overlap(scene.things)
        if pair is None or only(scene, query.names[0]) != pair[1 - index]:
            return None
        return SceneAnswer(pair[index].shape, pair[index].box)

    return QuestionFamily("other", weight, phrasings, propose, answer)


def which_size(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask which of two shapes is larger, or smaller."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        pair = _two_shapes(scene, rng)
        return Query("which size", pair, rng.choice(("larger", "smaller"))) if pair else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        pair = both(scene, query)
        if pair is None or pair[0].size == pair[1].size:
            return None
        larger, smaller = pair if pair[0].size == "large" else pair[::-1]
        chosen = larger if query.word == "larger" else smaller
        return SceneAnswer(chosen.shape, chosen.box)

    return QuestionFamily("other", weight, phrasings, propose, answer)


def which_side(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask which of two shapes is closer to a side."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        pair = _two_shapes(scene, rng)
        return Query("which side", pair, rng.choice(tuple(SIDES))) if pair else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        pair = both(scene, query)
        gap = ahead(*pair, SIDES[query.word]) if pair else None
        if pair is None or gap is None:
            return None
        chosen = pair[0] if gap > 0 else pair[1]
        return SceneAnswer(chosen.shape, chosen.box)

    return QuestionFamily("other", weight, phrasings, propose, answer)


def _two_shapes(scene: Scene, rng: Random) -> tuple[Name, Name] | None:
    """Name two things by their shapes only."""
    shapes = dict.fromkeys(thing.shape for thing in scene.things)
    names = [name for name in (Name(shape=shape) for shape in shapes) if only(scene, name)]
    return (names.pop(rng.randrange(len(names))), rng.choice(names)) if len(names) > 1 else None
