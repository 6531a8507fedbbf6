"""Counting and yes/no questions. Each family refuses questions whose answer is ambiguous."""

from __future__ import annotations

from random import Random

from evals.tasks.mini.images.naming import (
    RELATIONS,
    VALUES,
    Name,
    Query,
    QuestionFamily,
    SceneAnswer,
    ahead,
    anyone,
    both,
    describe,
    group,
    only,
    two,
)
from evals.tasks.mini.images.open_questions import overlap
from evals.tasks.mini.images.scenes import Scene, Thing


def count(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask how many things a name fits; the name may fit none, if one of its attributes was altered."""

    def propose(scene: Scene, rng: Random) -> Query:
        everything = rng.random() < 0.12
        return Query("count", (Name() if everything else group(scene, rng, (1, 1, 2), altered=0.3),))

    def answer(scene: Scene, query: Query) -> SceneAnswer:
        return SceneAnswer(str(sum(query.names[0].fits(thing) for thing in scene.things)))

    return QuestionFamily("number", weight, phrasings, propose, answer)


def exists(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask whether there is a thing that a name fits."""

    def propose(scene: Scene, rng: Random) -> Query:
        return Query("exists", (group(scene, rng, (1, 2, 2, 3), altered=0.5),))

    def answer(scene: Scene, query: Query) -> SceneAnswer:
        return _truth(any(query.names[0].fits(thing) for thing in scene.things), only(scene, query.names[0]))

    return QuestionFamily("yes/no", weight, phrasings, propose, answer)


def has(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask whether a thing has a colour, size or texture."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        attribute = rng.choice(("color", "color", "size", "texture"))
        return _proposed("has", attribute, scene, rng)

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        thing = only(scene, query.names[0])
        return _truth(query.word in {thing.color, thing.size, thing.texture}, thing) if thing else None

    return QuestionFamily("yes/no", weight, phrasings, propose, answer)


def has_shape(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask whether a thing has a shape."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        return _proposed("has shape", "shape", scene, rng)

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        thing = only(scene, query.names[0])
        return _truth(thing.shape == query.word, thing) if thing else None

    return QuestionFamily("yes/no", weight, phrasings, propose, answer)


def _proposed(family: str, attribute: str, scene: Scene, rng: Random) -> Query | None:
    """Name a thing without one attribute, and propose a value of the attribute: the true one with probability 0.5."""
    choice = anyone(scene, rng, attribute)
    if choice is None:
        return None
    thing, name = choice
    value = getattr(thing, attribute) if rng.random() < 0.5 else rng.choice(VALUES[attribute])
    return Query(family, (name,), value)


def relation(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask whether a thing is left of (right of, above, below) another."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        pair = two(scene, rng)
        return Query("relation", pair, rng.choice(tuple(RELATIONS))) if pair else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        pair = both(scene, query)
        gap = ahead(*pair, RELATIONS[query.word]) if pair else None
        return _truth(gap > 0, pair[0]) if pair and gap is not None else None

    return QuestionFamily("yes/no", weight, phrasings, propose, answer)


def same(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask whether two things have the same colour or size."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        attribute = rng.choice(("color", "size"))
        pair = two(scene, rng, attribute)
        return Query("same", pair, attribute) if pair else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        pair = both(scene, query)
        return _truth(getattr(pair[0], query.word) == getattr(pair[1], query.word)) if pair else None

    return QuestionFamily("yes/no", weight, phrasings, propose, answer)


def layers(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask which of two overlapping things is in front."""

    def propose(scene: Scene, rng: Random) -> Query | None:
        pair = overlap(scene.things)
        if pair is None:
            return None
        first, second = (describe(scene, thing, rng) for thing in rng.sample(pair, 2))
        return Query("layers", (first, second)) if first and second else None

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        pair, named = overlap(scene.things), both(scene, query)
        return _truth(named == pair, named[0]) if pair and named and set(named) == set(pair) else None

    return QuestionFamily("yes/no", weight, phrasings, propose, answer)


def more(weight: float, *phrasings: str) -> QuestionFamily:
    """Ask whether there are more of one kind than of another; a tie is not asked about."""

    def propose(scene: Scene, rng: Random) -> Query:
        attribute = rng.choice(("color", "shape", "texture"))
        present = dict.fromkeys(getattr(thing, attribute) for thing in scene.things)
        first = rng.choice(tuple(present))
        others = [value for value in VALUES[attribute] if value != first and (value in present or rng.random() < 0.3)]
        second = rng.choice(others or [VALUES[attribute][0]])
        return Query("more", (Name(**{attribute: first}), Name(**{attribute: second})))

    def answer(scene: Scene, query: Query) -> SceneAnswer | None:
        first, second = (sum(name.fits(thing) for thing in scene.things) for name in query.names)
        return _truth(first > second) if first != second else None

    return QuestionFamily("yes/no", weight, phrasings, propose, answer)


def _truth(value: bool, about: Thing | None = None) -> SceneAnswer:
    return SceneAnswer("yes" if value else "no", about.box if about else None)
