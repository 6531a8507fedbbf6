"""Mini RTE and mini MNLI: does one text imply another?

    rte    "Ida wanted to buy a flute, and Leo sold a kite." / "Ida bought an instrument."      1 (not entailed)
    mnli   "No owls slept in the barn." / "Some birds slept."                                   1 (neutral)
    mnli   "At least six nurses waited." / "Fewer than four nurses waited."                     2 (contradiction)

RTE tells of two people, one of whom may only have wanted to; the hypothesis is about one of them, in general or in
particular words. MNLI has three kinds of pairs: quantifiers, whose relation is found by going through all small worlds;
numbers, by comparing intervals; and one event told with and without its details. A hypothesis is drawn before its
premise and without a look at the label, which it therefore does not betray.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, product
from random import Random

from evals.tasks.mini.language.english import (
    DETAILS,
    KIND_OF,
    KINDS,
    MEANT,
    NAMES,
    OPPOSITES,
    Draft,
    Event,
    change,
    draw_event,
    noun_phrase,
    other,
    past,
    plural,
    sentence,
    slots,
    tell,
    vary,
    without,
)

# RTE: is the second text true if the first is?

DONE = ("{past}", "{past}", "managed to {do}", "remembered to {do}", "was able to {do}")
NOT_DONE = ("wanted to {do}", "did not {do}", "forgot to {do}", "refused to {do}", "hoped to {do}")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event, and whether it came about."""

    event: Event
    done: bool

    def words(self, rng: Random) -> str:
        """Say it as a clause."""
        action = vary(rng, self.event.action)
        verb = rng.choice(DONE if self.done else NOT_DONE).format(past=past(action), do=action)
        place, time = self.event.place or "", self.event.time or ""
        return " ".join(f"{self.event.agent} {verb} {noun_phrase(rng, self.event)} {place} {time}".split())


def rte(rng: Random, label: float) -> Draft:
    """Write a premise and a hypothesis that follows from it (0) or not (1)."""
    event, another = (draw_event(rng, details=rng.choice((1, 2)), actions=MEANT) for _ in range(2))
    told, aside = Occurrence(event, done=True), Occurrence(another, done=rng.random() < 0.5)
    shown = _shorten(rng, told.event)
    claims = [told, aside]
    while (
        any(implies(claim, shown) for claim in claims) == (label == 1) or claims[0].event.agent == claims[1].event.agent
    ):
        aside = replace(aside, event=replace(aside.event, agent=other(rng, NAMES, told.event.agent)))
        claims = _spoil(rng, told, aside, shown) if label == 1 else [told, aside]
    clauses = [claim.words(rng) for claim in rng.sample(claims, 2)]
    premise = sentence(rng.choice(("{}, and {}", "{}, while {}", "{}, but {}")).format(*clauses))
    orders = ("plain", "fronted", "passive", "cleft")
    return Draft((premise, tell(rng, shown, orders=orders)), f"{told.event.action} {told.event.thing}")


def implies(claim: Occurrence, shown: Event) -> bool:
    """Tell whether an event came about of which this is a shorter or more general account."""
    facts = all(getattr(shown, slot) == getattr(claim.event, slot) for slot in slots(shown) if slot != "thing")
    return claim.done and facts and shown.thing in {claim.event.thing, KIND_OF.get(claim.event.thing)}


def _shorten(rng: Random, event: Event) -> Event:
    """Leave out some of the details, and half the time say of the thing only what kind it is."""
    shorter = without(event, [detail for detail in DETAILS if rng.random() < 0.6])
    return replace(shorter, thing=KIND_OF[event.thing], quality=None) if rng.random() < 0.5 else shorter


def _spoil(rng: Random, told: Occurrence, aside: Occurrence, shown: Event) -> list[Occurrence]:
    """Change the premise in a way that mostly keeps what is shown from following."""
    way = rng.choice(("undone", "undone", "swapped", "changed", "general"))
    if way == "undone":
        return [replace(told, done=False), replace(aside, done=rng.random() < 0.9)]
    if way == "swapped":
        return [
            replace(told, event=replace(told.event, agent=aside.event.agent)),
            replace(aside, event=replace(aside.event, agent=told.event.agent)),
        ]
    if way == "general":
        return [replace(told, event=replace(told.event, thing=KIND_OF[told.event.thing], quality=None)), aside]
    slot = rng.choice([slot for slot in slots(shown) if slot != "agent"])
    return [replace(told, event=change(rng, told.event, slot)), aside]


# MNLI: entailment, neutral or contradiction?

DOINGS = ("slept", "waited", "rested", "played", "ate", "stayed")
HANDLED = ("were sold", "were washed", "were lost", "were painted", "were found", "were hidden")
BEINGS = {
    "animals": ("dogs", "horses", "cows", "cats"),
    "birds": ("owls", "ducks", "parrots", "geese"),
    "children": ("boys", "girls", "pupils", "orphans"),
    "musicians": ("singers", "drummers", "violinists", "pianists"),
}
TOPICS = {"matched": ("instrument", "tool", "piece of furniture"), "mismatched": ("garment", "vehicle", "toy")}
"""The topics of the two validation sets: those of `train` are the matched ones, to which `BEINGS` belong as well."""

VOICES = {
    "matched": ("{}", "{}", "Well, {}", "You know, {}", "As everybody knows, {}"),
    "mismatched": ("{}", "According to the report, {}", "Dear reader, {}", "As the letter shows, {}"),
}
"""How a premise begins, by genre."""

WHERE = ("in the garden", "near the gate", "in the barn", "at the station", "in the park", "on the beach")


def mnli(rng: Random, label: float, *, genre: str = "matched") -> Draft:
    """Write a premise and a hypothesis that it entails (0), leaves open (1) or contradicts (2)."""
    kind = rng.choice((_quantified, _numbered, _detailed, _detailed))
    premise = hypothesis = key = ""
    while premise == hypothesis:
        premise, hypothesis, key = kind(rng, int(label), genre)
    voice = rng.choice(VOICES[genre])
    return Draft((sentence(voice.format(premise)), sentence(hypothesis)), key)


QUANTIFIERS = ("all", "some", "no", "not all")
Clause = tuple[str, bool, bool]
"""A quantifier, whether it is about the whole group (or one part of it), and whether a place is said."""


@lru_cache
def _premises(hypothesis: Clause) -> tuple[tuple[Clause, ...], ...]:
    """Sort all clauses by whether they entail the hypothesis, leave it open or contradict it.

    Someone is of the part or only of the group, and did it at the place, elsewhere or not at all. A world is what sorts
    of someone there are in it, at least one of the part and one of the rest.
    """
    sorts = tuple(product((True, False), ("there", "elsewhere", "not")))
    worlds = [
        world for size in range(2, 7) for world in combinations(sorts, size) if len({part for part, _ in world}) == 2
    ]

    def holds(clause: Clause, world: tuple[tuple[bool, str], ...]) -> bool:
        quantifier, whole, placed = clause
        did = [doing == "there" or (doing == "elsewhere" and not placed) for part, doing in world if part or whole]
        return {"all": all(did), "some": any(did), "no": not any(did), "not all": not all(did)}[quantifier]

    found: tuple[list[Clause], ...] = ([], [], [])
    for clause in product(QUANTIFIERS, (True, False), (True, False)):
        truths = {holds(hypothesis, world) for world in worlds if holds(clause, world)}
        found[0 if truths == {True} else 2 if truths == {False} else 1].append(clause)
    return tuple(tuple(clauses) for clauses in found)


def _group(rng: Random, genre: str) -> tuple[str, str, str]:
    """Draw a group, a part of it, and what it may have done."""
    if genre == "matched" and rng.random() < 0.6:
        group, parts = rng.choice(tuple(BEINGS.items()))
        return group, rng.choice(parts), rng.choice(DOINGS)
    kind = rng.choice(TOPICS[genre])
    return plural(kind), plural(rng.choice(KINDS[kind])), rng.choice(HANDLED)


def _quantified(rng: Random, label: int, genre: str) -> tuple[str, str, str]:
    group, part, did = _group(rng, genre)
    where = rng.choice(WHERE)

    def words(clause: Clause) -> str:
        quantifier, whole, placed = clause
        return f"{quantifier} {group if whole else part} {did}{f' {where}' if placed else ''}"

    hypothesis = (rng.choice(QUANTIFIERS), rng.random() < 0.5, rng.random() < 0.5)
    premise = rng.choice(_premises(hypothesis)[label])
    return words(premise), words(hypothesis), f"{part} {did} {where}"


NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
BOUNDS = {"exactly": (0, 0), "at least": (0, 99), "at most": (-99, 0), "more than": (1, 99), "fewer than": (-99, -1)}
"""What a number word with each of these allows, relative to the number."""


def _numbered(rng: Random, label: int, genre: str) -> tuple[str, str, str]:
    _, part, did = _group(rng, genre)
    doing = f"{part} {did} {rng.choice(WHERE)}"
    hypothesis = (rng.choice(tuple(BOUNDS)), rng.randint(3, 10))
    premise = rng.choice([told for told in product(BOUNDS, range(2, 13)) if _compare(told, hypothesis) == label])
    first, second = (f"{bound} {NUMBERS[n - 1]} {doing}" for bound, n in (premise, hypothesis))
    return first, second, doing


def _compare(premise: tuple[str, int], hypothesis: tuple[str, int]) -> int:
    """Give the label of two statements of how many."""
    allowed, wanted = (
        set(range(max(0, n + BOUNDS[bound][0]), min(60, n + BOUNDS[bound][1]) + 1))
        for bound, n in (premise, hypothesis)
    )
    return 0 if allowed <= wanted else 1 if allowed & wanted else 2


def _detailed(rng: Random, label: int, genre: str) -> tuple[str, str, str]:
    """Tell one event twice: with a detail that the premise lacks (1), the contrary of one (2), or neither (0)."""
    things = tuple(thing for kind in TOPICS[genre] for thing in KINDS[kind])
    event = replace(draw_event(rng, details=rng.choice((1, 2)), things=things), agent=rng.choice(NAMES))
    said = [slot for slot in DETAILS if getattr(event, slot)]
    happened = rng.random() < 0.6
    did, premise, turned = happened, event, rng.choice(said)
    if rng.random() < 0.6:
        premise = change(rng, premise, rng.choice([slot for slot in DETAILS if slot not in said]))
    if label == 0 and not happened:
        premise = without(event, [turned])
    elif label == 1:
        premise = without(premise, [turned]) if happened else change(rng, event, turned)
    elif label == 2 and happened and rng.random() < 0.6:
        premise = _contrary(rng, premise, turned)
    elif label == 2:
        did, premise = not happened, event if happened else premise
    return _stated(rng, premise, did), _stated(rng, event, happened), f"{event.action} {event.thing}"


def _contrary(rng: Random, event: Event, detail: str) -> Event:
    """Change a detail to one that excludes it."""
    if event.quality in OPPOSITES and detail == "quality":
        return replace(event, quality=OPPOSITES[event.quality])
    return change(rng, event, detail)


def _stated(rng: Random, event: Event, positive: bool) -> str:
    action = vary(rng, event.action)
    verb = past(action) if positive else rng.choice((f"did not {action}", f"never {past(action)}"))
    thing = noun_phrase(rng, event, article="the")
    return f"{event.agent} {verb} {thing} {event.place or ''} {event.time or ''}"
