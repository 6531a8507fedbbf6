"""Scenes told in words: five captions each, as five people would write them."""

from __future__ import annotations

from collections import Counter
from random import Random

from evals.tasks.mini.images.naming import ASIDE, RELATIONS, Name
from evals.tasks.mini.images.scenes import Scene, Thing

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


def captions(scene: Scene, rng: Random) -> tuple[str, ...]:
    """Tell a scene in five different sentences, every one of them true, none of them complete.

    Args:
        scene: What to tell.
        rng: Chooses what is told and how; seed it from the image's id.
    """
    told: dict[str, None] = {}
    tellers = [_all_things, _relation, _counts, _ground, _relation]
    while len(told) < 5:
        # A sentence that came out twice is told anew, in full detail, which never runs out of orders to tell it in.
        sentence = (tellers.pop(0) if tellers else _all_things)(scene, rng)
        told[f"{sentence[0].upper()}{sentence[1:]}."] = None
    return tuple(told)


def _all_things(scene: Scene, rng: Random) -> str:
    """List everything, in any order."""
    things = rng.sample(scene.things, len(scene.things))
    lead = rng.choice(("", "there is ", "a picture of ", "the image shows "))
    return lead + _listed([_mention(thing, rng) for thing in things])


def _relation(scene: Scene, rng: Random) -> str:
    """Say where one thing is as seen from another."""
    first, second = rng.sample(scene.things, 2)
    true = [
        relation
        for relation, (across, down) in RELATIONS.items()
        if across * (first.x - second.x) + down * (first.y - second.y) >= ASIDE
    ]
    verb = rng.choice(("is", "sits", "lies"))
    return f"{_mention(first, rng)} {verb} {rng.choice(true or ['near'])} {_mention(second, rng)}"


def _counts(scene: Scene, rng: Random) -> str:
    """Count the things by shape or by colour."""
    aspect = rng.choice(("shape", "color"))
    counted = Counter(getattr(thing, aspect) for thing in scene.things)
    groups = []
    for value, number in counted.items():
        name = Name(**{aspect: value})
        groups.append(f"{NUMBERS[number]} {name.plural if number > 1 else name}")
    return _listed(groups)


def _ground(scene: Scene, rng: Random) -> str:
    """Name one or two things and what they are on."""
    things = rng.sample(scene.things, rng.choice((1, 2)))
    others = len(scene.things) - len(things)
    rest = f", with {NUMBERS[others]} other {'shape' if others == 1 else 'shapes'}" if others else ""
    return f"{_listed([_mention(thing, rng) for thing in things])} on a {scene.ground} background{rest}"


def _mention(thing: Thing, rng: Random) -> str:
    """Name a thing by its colour and shape, now and then by more."""
    size = thing.size if rng.random() < 0.5 else None
    texture = thing.texture if rng.random() < 0.5 else None
    return Name(size, texture, thing.color, thing.shape).indefinite


def _listed(words: list[str]) -> str:
    return " and ".join(", ".join(words).rsplit(", ", 1)) if len(words) > 1 else words[0]
