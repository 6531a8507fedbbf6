"""The small English of the mini language benchmarks: words, their forms, and events that can be told in several ways.

All tasks draw on the same few hundred words, so that a small model can learn them. An `Event` is up to six facts: who
did what to which thing, where and when. `tell` puts it into a sentence; two tellings may share neither order nor words
and say the same, or differ in one word and not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

# words

WOMEN = ("Anna", "Clara", "Emma", "Helen", "Ida", "Julia", "Laura", "Maria", "Nina", "Rosa", "Sara", "Vera")
MEN = ("Adam", "Ben", "David", "Felix", "Henry", "Jacob", "Leo", "Max", "Oscar", "Paul", "Simon", "Victor")
NAMES = WOMEN + MEN
JOBS = (
    "teacher",
    "doctor",
    "farmer",
    "baker",
    "sailor",
    "nurse",
    "driver",
    "singer",
    "pilot",
    "cook",
    "gardener",
    "judge",
)

ACTIONS = (
    *("buy", "repair", "find", "clean", "lose", "hide", "choose", "draw", "examine"),
    *("carry", "sell", "paint", "borrow", "photograph", "measure", "break"),
)
"""What is done to things; each can be done to each."""
MEANT = tuple(action for action in ACTIONS if action not in {"find", "lose", "break"})
"""What one may mean to do."""

KINDS = {
    "instrument": ("guitar", "violin", "drum", "flute"),
    "tool": ("hammer", "saw", "ladder", "shovel"),
    "piece of furniture": ("sofa", "table", "chair", "shelf"),
    "garment": ("coat", "hat", "scarf", "dress"),
    "vehicle": ("bicycle", "car", "boat", "truck"),
    "toy": ("kite", "doll", "puzzle", "ball"),
}
"""Things by what they are a kind of."""

KIND_OF = {thing: kind for kind, things in KINDS.items() for thing in things}
THINGS = tuple(KIND_OF)

COLORS = ("red", "blue", "green", "yellow", "white", "black", "brown", "gray")
QUALITIES = ("big", "small", "old", "new", "heavy", "cheap", "expensive", "beautiful", "light", "ugly")

PLACES = (
    *(
        "in the garden",
        "in the kitchen",
        "at the market",
        "at the station",
        "in the park",
        "in the library",
        "at the harbor",
    ),
    *("in the forest", "at the school", "on the beach", "in the shop", "in the museum", "on the farm", "at the hotel"),
)
OPPOSITES = {"big": "small", "old": "new", "heavy": "light", "cheap": "expensive", "beautiful": "ugly"}
OPPOSITES |= {second: first for first, second in OPPOSITES.items()}

DAYS = tuple(f"on {day}" for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"))
SEASONS = ("in spring", "in summer", "in autumn", "in winter")
TIMES = DAYS + SEASONS

SYNONYMS = {
    "buy": "purchase",
    "repair": "fix",
    "find": "discover",
    "clean": "wash",
    "lose": "misplace",
    "hide": "conceal",
    "choose": "select",
    "draw": "sketch",
    "examine": "inspect",
    "break": "smash",
    "coat": "jacket",
    "bicycle": "bike",
    "sofa": "couch",
    "shovel": "spade",
    "big": "large",
    "small": "little",
    "cheap": "inexpensive",
    "expensive": "costly",
    "beautiful": "lovely",
    "teacher": "instructor",
    "doctor": "physician",
    "in the forest": "in the woods",
    "at the harbor": "at the port",
    "in the shop": "in the store",
    "in autumn": "in the fall",
}
"""The one other word for a word."""

IRREGULAR = {
    "buy": ("bought", "bought"),
    "find": ("found", "found"),
    "lose": ("lost", "lost"),
    "hide": ("hid", "hidden"),
    "choose": ("chose", "chosen"),
    "draw": ("drew", "drawn"),
    "sell": ("sold", "sold"),
    "break": ("broke", "broken"),
    "eat": ("ate", "eaten"),
    "write": ("wrote", "written"),
    "sing": ("sang", "sung"),
    "sleep": ("slept", "slept"),
    "forget": ("forgot", "forgotten"),
}
"""Past and past participle."""


def past(verb: str) -> str:
    """Give the past tense.

    Example:
        >>> past("buy"), past("carry"), past("examine"), past("paint")
        ('bought', 'carried', 'examined', 'painted')
    """
    return IRREGULAR[verb][0] if verb in IRREGULAR else _regular_past(verb)


def participle(verb: str) -> str:
    """Give the past participle."""
    return IRREGULAR[verb][1] if verb in IRREGULAR else _regular_past(verb)


def _regular_past(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}d" if verb.endswith("e") else f"{verb}ed"


def progressive(verb: str) -> str:
    """Give the form in -ing."""
    return f"{verb[:-1]}ing" if verb.endswith("e") else f"{verb}ing"


def third(verb: str) -> str:
    """Give the third person singular of the present."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("sh", "x", "ch", "s")) else f"{verb}s"


def plural(noun: str) -> str:
    """Give the plural of a noun, of its first word where it is of several."""
    head, _, rest = noun.partition(" ")
    form = {"man": "men", "woman": "women", "child": "children", "shelf": "shelves"}.get(head, third(head))
    return f"{form} {rest}".rstrip()


def indefinite(words: str) -> str:
    """Put the indefinite article before words."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def sentence(words: str) -> str:
    """Make a sentence of words: a capital, a full stop, single spaces."""
    words = " ".join(words.split())
    return f"{words[0].upper()}{words[1:]}."


def other(rng: Random, words: tuple[str, ...], *but: str | None) -> str:
    """Draw a word that is none of some."""
    return rng.choice([word for word in words if word not in but])


def vary(rng: Random, word: str, chance: float = 0.5) -> str:
    """Replace a word by its synonym, if it has one, with a chance."""
    return SYNONYMS[word] if word in SYNONYMS and rng.random() < chance else word


# events


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what to which thing, where and when. What is None is not said."""

    agent: str | None
    """A name, or a job with its article."""
    action: str
    thing: str
    """A thing, or what it is a kind of."""
    quality: str | None = None
    place: str | None = None
    time: str | None = None


DETAILS = ("quality", "place", "time")
"""What an event need not have."""

ORDERS = ("plain", "fronted", "passive", "passive fronted", "cleft")


def draw_event(
    rng: Random, *, details: int = 3, actions: tuple[str, ...] = ACTIONS, things: tuple[str, ...] = THINGS
) -> Event:
    """Draw an event with some of its details."""
    agent = rng.choice(NAMES) if rng.random() < 0.7 else f"the {rng.choice(JOBS)}"
    event = Event(agent, rng.choice(actions), rng.choice(things))
    for detail in rng.sample(DETAILS, details):
        event = change(rng, event, detail)
    return event


def change(rng: Random, event: Event, slot: str) -> Event:
    """Change one fact of an event to another of its sort (a day to a day); what was not said is said."""
    values = {
        "agent": tuple(f"the {job}" for job in JOBS) if (event.agent or "").startswith("the ") else NAMES,
        "action": MEANT if event.action in MEANT else ACTIONS,
        "thing": THINGS,
        "quality": COLORS if event.quality in COLORS else QUALITIES if event.quality else COLORS + QUALITIES,
        "place": PLACES,
        "time": DAYS if event.time in DAYS else SEASONS if event.time else TIMES,
    }[slot]
    return replace(event, **{slot: other(rng, values, getattr(event, slot))})


def without(event: Event, unsaid: Iterable[str]) -> Event:
    """Leave out what an event says in some slots."""
    nothing: dict[str, Any] = dict.fromkeys(unsaid)
    return replace(event, **nothing)


def slots(event: Event) -> list[str]:
    """List what an event says."""
    return [slot for slot in ("agent", "action", "thing", *DETAILS) if getattr(event, slot)]


def tell(
    rng: Random, event: Event, *, orders: tuple[str, ...] = ORDERS, synonyms: float = 0.4, article: str = "a"
) -> str:
    """Put an event into a sentence.

    Args:
        rng: Chooses among the orders, and synonyms.
        event: What to tell; without an agent it is told in the passive.
        orders: The sentence patterns allowed.
        synonyms: The chance that a word is replaced by its synonym.
        article: Of the thing, `a` or `the`.

    Example:
        >>> event = Event("Anna", "buy", "guitar", "red", "at the market", "on Monday")
        >>> for order in ORDERS:
        ...     tell(Random(0), event, orders=(order,), synonyms=0)
        'Anna bought a red guitar at the market on Monday.'
        'On Monday, Anna bought a red guitar at the market.'
        'A red guitar was bought by Anna at the market on Monday.'
        'On Monday, a red guitar was bought by Anna at the market.'
        'It was Anna who bought a red guitar at the market on Monday.'
    """
    order = rng.choice(orders)
    action, agent, place, time = (
        _said(rng, word, synonyms) for word in (event.action, event.agent, event.place, event.time)
    )
    thing = noun_phrase(rng, event, synonyms=synonyms, article=article)
    front = f"{time}, " if "fronted" in order and time else ""
    tail = f"{place} {'' if front else time}"
    if "passive" in order or not agent:
        by = f"by {agent}" if agent else ""
        return sentence(f"{front} {thing} was {participle(action)} {by} {tail}")
    if order == "cleft":
        return sentence(f"it was {agent} who {past(action)} {thing} {tail}")
    return sentence(f"{front} {agent} {past(action)} {thing} {tail}")


def noun_phrase(rng: Random, event: Event, *, synonyms: float = 0.4, article: str = "a") -> str:
    """Name the thing of an event, with its quality."""
    words = f"{_said(rng, event.quality, synonyms)} {vary(rng, event.thing, synonyms)}".strip()
    return indefinite(words) if article == "a" else f"{article} {words}"


def _said(rng: Random, word: str | None, synonyms: float) -> str:
    if word and word.startswith("the "):
        return f"the {vary(rng, word[4:], synonyms)}"
    return vary(rng, word, synonyms) if word else ""


# rows


class Draft(NamedTuple):
    """A row that a maker proposes, before it is known which split may have it."""

    texts: tuple[str, ...]
    key: str
    """What the row combines: a combination belongs to `train` or to the validation splits, never to both."""
    score: float = 0.0
    """The label of STS-B; the other makers are told the label."""
