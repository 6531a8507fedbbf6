"""Mini RTE and mini MNLI: does one text imply another?

    rte    "Ida wanted to buy a flute, and Leo sold a kite." / "Ida bought an instrument."      1 (not entailed)
    mnli   "No owls slept in the barn." / "Some birds slept."                                   1 (neutral)
    mnli   "At least six nurses waited." / "Fewer than four nurses waited."                     2 (contradiction)

RTE's premise is about two people, one of whom may only have wanted to act; the hypothesis is about one of them, in
general or specific words. MNLI has three kinds of pairs: quantifiers, whose relation is found by enumerating all small
worlds; numbers, by comparing intervals; and one event with and without its details. A hypothesis is drawn before its
premise and independently of the label, so it does not reveal the label.
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
    """An event, and whether it happened."""

    event: Event
    happened: bool

    def words(self, rng: Random) -> str:
        """Write it as a clause."""
        action = vary(rng, self.event.action)
        verb = rng.choice(DONE if self.happened else NOT_DONE).format(past=past(action), do=action)
        place, time = self.event.place or "", self.event.time or ""
        return " ".join(f"{self.event.agent} {verb} {noun_phrase(rng, self.event)} {place} {time}".split())


def rte(rng: Random, label: float) -> Draft:
    """Write a premise and a hypothesis that follows from it (0) or not (1)."""
    event, another = (draw_event(rng, details=rng.choice((1, 2)), actions=MEANT) for _ in range(2))
    main, aside = Occurrence(event, happened=True), Occurrence(another, happened=rng.random() < 0.5)
    hypothesis = _shorten(rng, main.event)
    premises = [main, aside]
    while (
        any(implies(premise, hypothesis) for premise in premises) == (label == 1)
        or premises[0].event.agent == premises[1].event.agent
    ):
        aside = replace(aside, event=replace(aside.event, agent=other(rng, NAMES, main.event.agent)))
        premises = _spoil(rng, main, aside, hypothesis) if label == 1 else [main, aside]
    clauses = [premise.words(rng) for premise in rng.sample(premises, 2)]
    text = sentence(rng.choice(("{}, and {}", "{}, while {}", "{}, but {}")).format(*clauses))
    orders = ("plain", "fronted", "passive", "cleft")
    return Draft((text, tell(rng, hypothesis, orders=orders)), f"{main.event.action} {main.event.thing}")


def implies(premise: Occurrence, hypothesis: Event) -> bool:
    """Return whether the premise happened and the hypothesis is a shorter or more general description of it."""
    facts = all(
        getattr(hypothesis, slot) == getattr(premise.event, slot) for slot in slots(hypothesis) if slot != "thing"
    )
    return premise.happened and facts and hypothesis.thing in {premise.event.thing, KIND_OF.get(premise.event.thing)}


def _shorten(rng: Random, event: Event) -> Event:
    """Remove some of the details, and replace the thing by its kind with probability 0.5."""
    shorter = without(event, [detail for detail in DETAILS if rng.random() < 0.6])
    return replace(shorter, thing=KIND_OF[event.thing], quality=None) if rng.random() < 0.5 else shorter


def _spoil(rng: Random, main: Occurrence, aside: Occurrence, hypothesis: Event) -> list[Occurrence]:
    """Change the premise so that the hypothesis mostly does not follow from it any more."""
    way = rng.choice(("undone", "undone", "swapped", "changed", "general"))
    if way == "undone":
        return [replace(main, happened=False), replace(aside, happened=rng.random() < 0.9)]
    if way == "swapped":
        return [
            replace(main, event=replace(main.event, agent=aside.event.agent)),
            replace(aside, event=replace(aside.event, agent=main.event.agent)),
        ]
    if way == "general":
        return [replace(main, event=replace(main.event, thing=KIND_OF[main.event.thing], quality=None)), aside]
    slot = rng.choice([slot for slot in slots(hypothesis) if slot != "agent"])
    return [replace(main, event=change(rng, main.event, slot)), aside]


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
"""The topics of the two validation sets. `train` has the matched topics, to which `BEINGS` belongs too."""

VOICES = {
    "matched": ("{}", "{}", "Well, {}", "You know, {}", "As everybody knows, {}"),
    "mismatched": ("{}", "According to the report, {}", "Dear reader, {}", "As the letter shows, {}"),
}
"""Patterns of premises, by genre."""

WHERE = ("in the garden", "near the gate", "in the barn", "at the station", "in the park", "on the beach")


def mnli(rng: Random, label: float, *, genre: str = "matched") -> Draft:
    """Write a premise and a hypothesis: entailment (0), neutral (1) or contradiction (2)."""
    kind = rng.choice((_quantified, _numbered, _detailed, _detailed))
    premise = hypothesis = key = ""
    while premise == hypothesis:
        premise, hypothesis, key = kind(rng, int(label), genre)
    voice = rng.choice(VOICES[genre])
    return Draft((sentence(voice.format(premise)), sentence(hypothesis)), key)


QUANTIFIERS = ("all", "some", "no", "not all")
Clause = tuple[str, bool, bool]
"""A quantifier, whether it is about the whole group (else about a part of it), and whether it names a place."""


@lru_cache
def _premises(hypothesis: Clause) -> tuple[tuple[Clause, ...], ...]:
    """Sort all clauses by their relation to the hypothesis: entailment, neutral, contradiction.

    An individual belongs to the part or to the rest of the group, and acted at the place, elsewhere or not at all. A
    world is a set of such kinds of individuals, with at least one in the part and one in the rest.
    """
    sorts = tuple(product((True, False), ("there", "elsewhere", "not")))
    worlds = [
        world for size in range(2, 7) for world in combinations(sorts, size) if len({part for part, _ in world}) == 2
    ]

    def holds(clause: Clause, world: tuple[tuple[bool, str], ...]) -> bool:
        quantifier, is_about_group, placed = clause
        did = [
            doing == "there" or (doing == "elsewhere" and not placed) for part, doing in world if part or is_about_group
        ]
        return {"all": all(did), "some": any(did), "no": not any(did), "not all": not all(did)}[quantifier]

    by_label: tuple[list[Clause], ...] = ([], [], [])
    for clause in product(QUANTIFIERS, (True, False), (True, False)):
        truths = {holds(hypothesis, world) for world in worlds if holds(clause, world)}
        by_label[0 if truths == {True} else 2 if truths == {False} else 1].append(clause)
    return tuple(tuple(clauses) for clauses in by_label)


def _group(rng: Random, genre: str) -> tuple[str, str, str]:
    """Draw a group, a part of it, and an action."""
    if genre == "matched" and rng.random() < 0.6:
        group, parts = rng.choice(tuple(BEINGS.items()))
        return group, rng.choice(parts), rng.choice(DOINGS)
    kind = rng.choice(TOPICS[genre])
    return plural(kind), plural(rng.choice(KINDS[kind])), rng.choice(HANDLED)


def _quantified(rng: Random, label: int, genre: str) -> tuple[str, str, str]:
    group, part, did = _group(rng, genre)
    where = rng.choice(WHERE)

    def words(clause: Clause) -> str:
        quantifier, is_about_group, placed = clause
        return f"{quantifier} {group if is_about_group else part} {did}{f' {where}' if placed else ''}"

    hypothesis = (rng.choice(QUANTIFIERS), rng.random() < 0.5, rng.random() < 0.5)
    premise = rng.choice(_premises(hypothesis)[label])
    return words(premise), words(hypothesis), f"{part} {did} {where}"


NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
BOUNDS = {"exactly": (0, 0), "at least": (0, 99), "at most": (-99, 0), "more than": (1, 99), "fewer than": (-99, -1)}
"""The range of counts that each phrase allows, relative to its number."""


def _numbered(rng: Random, label: int, genre: str) -> tuple[str, str, str]:
    _, part, did = _group(rng, genre)
    doing = f"{part} {did} {rng.choice(WHERE)}"
    hypothesis = (rng.choice(tuple(BOUNDS)), rng.randint(3, 10))
    premises = [bounded for bounded in product(BOUNDS, range(2, 13)) if _compare(bounded, hypothesis) == label]
    premise = rng.choice(premises)
    first, second = (f"{bound} {NUMBERS[n - 1]} {doing}" for bound, n in (premise, hypothesis))
    return first, second, doing


def _compare(premise: tuple[str, int], hypothesis: tuple[str, int]) -> int:
    """Return the label of two bounded counts."""
    premise_counts, hypothesis_counts = (
        set(range(max(0, n + BOUNDS[bound][0]), min(60, n + BOUNDS[bound][1]) + 1))
        for bound, n in (premise, hypothesis)
    )
    if premise_counts <= hypothesis_counts:
        return 0
    return 1 if premise_counts & hypothesis_counts else 2


def _detailed(rng: Random, label: int, genre: str) -> tuple[str, str, str]:
    """Describe an event twice: the hypothesis adds a detail (1), contradicts one (2), or does neither (0)."""
    things = tuple(thing for kind in TOPICS[genre] for thing in KINDS[kind])
    event = replace(draw_event(rng, details=rng.choice((1, 2)), things=things), agent=rng.choice(NAMES))
    details = [slot for slot in DETAILS if getattr(event, slot)]
    happened = rng.random() < 0.6
    did, premise, detail = happened, event, rng.choice(details)
    if rng.random() < 0.6:
        premise = change(rng, premise, rng.choice([slot for slot in DETAILS if slot not in details]))
    if label == 0 and not happened:
        premise = without(event, [detail])
    elif label == 1:
        premise = without(premise, [detail]) if happened else change(rng, event, detail)
    elif label == 2 and happened and rng.random() < 0.6:
        premise = _contrary(rng, premise, detail)
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
