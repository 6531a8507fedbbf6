"""The restricted English of the mini language benchmarks: words, their forms, and events that sentences describe.

All tasks use the same few hundred words, so that a small model can learn them. An `Event` is up to six facts: who did
what to which thing, where and when. `tell` describes it in a sentence; two sentences with other words in another order
may mean the same, and two that differ in one word may not.
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
"""Actions on things; every action is possible with every thing."""
MEANT = tuple(action for action in ACTIONS if action not in {"find", "lose", "break"})
"""Actions that a person may do intentionally."""

KINDS = {
    "instrument": ("guitar", "violin", "drum", "flute"),
    "tool": ("hammer", "saw", "ladder", "shovel"),
    "piece of furniture": ("sofa", "table", "chair", "shelf"),
    "garment": ("coat", "hat", "scarf", "dress"),
    "vehicle": ("bicycle", "car", "boat", "truck"),
    "toy": ("kite", "doll", "puzzle", "ball"),
}
"""Things by their kind."""

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
"""The synonym of each word that has one."""

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
"""Past tense and past participle of irregular verbs."""


def past(verb: str) -> str:
    """Return the past tense.

    Example:
        >>> past("buy"), past("carry"), past("examine"), past("paint")
        ('bought', 'carried', 'examined', 'painted')
    """
    return IRREGULAR[verb][0] if verb in IRREGULAR else _regular_past(verb)


def participle(verb: str) -> str:
    """Return the past participle."""
    return IRREGULAR[verb][1] if verb in IRREGULAR else _regular_past(verb)


def _regular_past(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}d" if verb.endswith("e") else f"{verb}ed"


def progressive(verb: str) -> str:
    """Return the form in -ing."""
    return f"{verb[:-1]}ing" if verb.endswith("e") else f"{verb}ing"


def third(verb: str) -> str:
    """Return the third person singular of the present tense."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("sh", "x", "ch", "s")) else f"{verb}s"


def plural(noun: str) -> str:
    """Return the plural of a noun; of several words, the first is put into the plural."""
    head, _, rest = noun.partition(" ")
    form = {"man": "men", "woman": "women", "child": "children", "shelf": "shelves"}.get(head, third(head))
    return f"{form} {rest}".rstrip()


def indefinite(words: str) -> str:
    """Put the indefinite article before words."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def sentence(words: str) -> str:
    """Make a sentence: a capital letter, a full stop, single spaces."""
    words = " ".join(words.split())
    return f"{words[0].upper()}{words[1:]}."


def other(rng: Random, words: tuple[str, ...], *but: str | None) -> str:
    """Draw a word other than those in `but`."""
    return rng.choice([word for word in words if word not in but])


def vary(rng: Random, word: str, chance: float = 0.5) -> str:
    """Replace a word by its synonym, if it has one, with probability `chance`."""
    return SYNONYMS[word] if word in SYNONYMS and rng.random() < chance else word


# events


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what to which thing, where and when. A fact that is None is not mentioned."""

    agent: str | None
    """A name, or a job with its article."""
    action: str
    thing: str
    """A thing, or its kind."""
    quality: str | None = None
    place: str | None = None
    time: str | None = None


DETAILS = ("quality", "place", "time")
"""The optional facts of an event."""

ORDERS = ("plain", "fronted", "passive", "passive fronted", "cleft")


def draw_event(
    rng: Random, *, details: int = 3, actions: tuple[str, ...] = ACTIONS, things: tuple[str, ...] = THINGS
) -> Event:
    """Draw an event with this number of details."""
    agent = rng.choice(NAMES) if rng.random() < 0.7 else f"the {rng.choice(JOBS)}"
    event = Event(agent, rng.choice(actions), rng.choice(things))
    for detail in rng.sample(DETAILS, details):
        event = change(rng, event, detail)
    return event


def change(rng: Random, event: Event, slot: str) -> Event:
    """Change one fact of an event to another of the same sort (a day to a day); a missing fact is added."""
    values = {
        "agent": tuple(f"the {job}" for job in JOBS) if (event.agent or "").startswith("the ") else NAMES,
        "action": MEANT if event.action in MEANT else ACTIONS,
        "thing": THINGS,
        "quality": COLORS if event.quality in COLORS else QUALITIES if event.quality else COLORS + QUALITIES,
        "place": PLACES,
        "time": DAYS if event.time in DAYS else SEASONS if event.time else TIMES,
    }[slot]
    return replace(event, **{slot: other(rng, values, getattr(event, slot))})


def without(event: Event, removed: Iterable[str]) -> Event:
    """Remove the facts in some slots from an event."""
    nothing: dict[str, Any] = dict.fromkeys(removed)
    return replace(event, **nothing)


def slots(event: Event) -> list[str]:
    """List the slots of an event that hold a fact."""
    return [slot for slot in ("agent", "action", "thing", *DETAILS) if getattr(event, slot)]


def tell(
    rng: Random, event: Event, *, orders: tuple[str, ...] = ORDERS, synonyms: float = 0.4, article: str = "a"
) -> str:
    """Describe an event in a sentence.

    Args:
        rng: chooses the order and the synonyms.
        event: the event; without an agent the sentence is in the passive.
        orders: the allowed sentence patterns.
        synonyms: the probability that a word is replaced by its synonym.
        article: the article of the thing, `a` or `the`.

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
        _vary_noun(rng, word, synonyms) for word in (event.action, event.agent, event.place, event.time)
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
    """Return the noun phrase for the thing of an event, with its quality."""
    words = f"{_vary_noun(rng, event.quality, synonyms)} {vary(rng, event.thing, synonyms)}".strip()
    return indefinite(words) if article == "a" else f"{article} {words}"


def _vary_noun(rng: Random, word: str | None, synonyms: float) -> str:
    """Vary a word, or the noun after "the "; a missing word becomes the empty string."""
    if word and word.startswith("the "):
        return f"the {vary(rng, word[4:], synonyms)}"
    return vary(rng, word, synonyms) if word else ""


# rows


class Draft(NamedTuple):
    """A proposed row, before it is assigned to a split."""

    texts: tuple[str, ...]
    key: str
    """The combination that the row uses: a combination belongs to `train` or to the validation splits, not to both."""
    score: float = 0.0
    """The label of STS-B; the generators of the other tasks get the label as an argument."""
