"""Mini WNLI: to whom does a pronoun refer?

    "Anna lent Clara some money because she was poor." / "Clara was poor."    1
    "Anna lent Clara some money because she was rich." / "Clara was rich."    0

As in the Winograd schemas (Levesque et al. 2012), one word decides, not the grammar.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from evals.tasks.mini.language.english import KINDS, MEN, WOMEN, Draft, sentence


class Schema(NamedTuple):
    """A sentence about two people or things, and the reasons that fit the first or the second only."""

    words: str
    of_first: tuple[str, ...]
    of_second: tuple[str, ...]
    pool: tuple[str, ...] = ()
    """The things that the sentence can be about; empty for people."""


CONTAINERS = ("box", "basket", "suitcase", "drawer", "bag", "chest")
SIGHTS = ("wall", "tree", "tower", "house", "hedge", "church")
MOVING = (*KINDS["vehicle"], "bus", "train", "horse", "wagon")

SCHEMAS = (
    Schema(
        "{a} lent {b} some money because",
        ("was rich", "was generous", "had plenty of it"),
        ("was poor", "needed it badly", "had none left"),
    ),
    Schema(
        "{a} beat {b} at chess because",
        ("played well", "was the better player", "had practiced every day"),
        ("played badly", "was the weaker player", "made many mistakes"),
    ),
    Schema(
        "{a} carried {b} home because",
        ("was strong", "wanted to help"),
        ("was very tired", "could not walk", "was ill"),
    ),
    Schema(
        "{a} thanked {b} because",
        ("was grateful", "had received a present"),
        ("had been kind", "had brought a present"),
    ),
    Schema(
        "{a} asked {b} the way because",
        ("was lost", "was a stranger there"),
        ("knew the town well", "had a map"),
    ),
    Schema(
        "{a} comforted {b} because",
        ("was a good friend", "wanted to help"),
        ("was sad", "was crying", "had lost a ring"),
    ),
    Schema(
        "{a} apologized to {b} because",
        ("had been rude", "was sorry", "had arrived late"),
        ("was angry", "was upset", "had waited too long"),
    ),
    Schema(
        "{a} taught {b} French because",
        ("spoke it well", "was a teacher"),
        ("wanted to learn it", "was a pupil"),
    ),
    Schema(
        "{a} envied {b} because",
        ("had lost the race", "was poor"),
        ("had won the race", "was rich"),
    ),
    Schema(
        "{a} visited {b} in the hospital because",
        ("was worried", "was a good friend"),
        ("was ill", "could not walk"),
    ),
    Schema(
        "{a} paid {b} because",
        ("owed the money", "had ordered a cake"),
        ("had done the work", "had baked a cake"),
    ),
    Schema(
        "The {a} did not fit into the {b} because",
        ("was too big", "was too large", "was too wide"),
        ("was too small", "was too little", "was too narrow"),
        CONTAINERS,
    ),
    Schema(
        "The {a} overtook the {b} because", ("was fast", "was quick"), ("was slow", "had stopped"), KINDS["vehicle"]
    ),
    Schema("The {a} hid the {b} from us because", ("was tall", "was big"), ("was low", "was small"), SIGHTS),
    Schema(
        "We bought the {a} instead of the {b} because",
        ("was cheap", "was beautiful"),
        ("was expensive", "was ugly"),
        (*KINDS["piece of furniture"], *KINDS["instrument"]),
    ),
    Schema(
        "We replaced the {b} with the {a} because",
        ("was new", "was in good order"),
        ("was old", "was broken"),
        (*KINDS["tool"], *KINDS["garment"]),
    ),
)


def wnli(rng: Random, label: float) -> Draft:
    """Write a sentence with a pronoun, and a sentence with the pronoun's referent (1) or the other noun (0) instead."""
    schema = rng.choice(SCHEMAS)
    people, pronoun = rng.choice(((WOMEN, "she"), (MEN, "he")))
    pair = rng.sample(schema.pool or people, 2)
    referent = rng.randrange(2)
    cue = rng.choice((schema.of_first, schema.of_second)[referent])
    subject = pair[referent if label == 1 else 1 - referent]
    premise = f"{schema.words.format(a=pair[0], b=pair[1])} {'it' if schema.pool else pronoun} {cue}"
    return Draft((sentence(premise), sentence(f"{'the ' if schema.pool else ''}{subject} {cue}")), f"{premise}")
