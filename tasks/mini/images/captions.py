"""Write captions of scenes: five each, as five people would write them."""

from __future__ import annotations

from collections import Counter
from random import Random

from evals.tasks.mini.images.naming import ASIDE, RELATIONS, Name
from evals.tasks.mini.images.scenes import Scene, Thing

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


def captions(scene: Scene, rng: Random) -> tuple[str, ...]:
    """Describe a scene in five different sentences; each is true and incomplete.

    Args:
        scene: the scene to describe.
        rng: chooses the contents and the words; seed it from the image's id.
    """
    sentences: dict[str, None] = {}
    writers = [_all_things, _relation, _counts, _ground, _relation]
    while len(sentences) < 5:
        # A repeated sentence is replaced by a list of all things, which has enough different orders.
        sentence = (writers.pop(0) if writers else _all_things)(scene, rng)
        sentences[f"{sentence[0].upper()}{sentence[1:]}."] = None
    return tuple(sentences)


def _all_things(scene: Scene, rng: Random) -> str:
    """List all things, in random order."""
    things = rng.sample(scene.things, len(scene.things))
    lead = rng.choice(("", "there is ", "a picture of ", "the image shows "))
    return lead + _listed([_mention(thing, rng) for thing in things])


def _relation(scene: Scene, rng: Random) -> str:
    """State the position of one thing relative to another."""
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
    """Name one or two things and the background."""
    things = rng.sample(scene.things, rng.choice((1, 2)))
    others = len(scene.things) - len(things)
    rest = f", with {NUMBERS[others]} other {'shape' if others == 1 else 'shapes'}" if others else ""
    return f"{_listed([_mention(thing, rng) for thing in things])} on a {scene.ground} background{rest}"


def _mention(thing: Thing, rng: Random) -> str:
    """Name a thing by its colour and shape, sometimes also by its size or texture."""
    size = thing.size if rng.random() < 0.5 else None
    texture = thing.texture if rng.random() < 0.5 else None
    return Name(size, texture, thing.color, thing.shape).indefinite


def _listed(words: list[str]) -> str:
    return " and ".join(", ".join(words).rsplit(", ", 1)) if len(words) > 1 else words[0]
