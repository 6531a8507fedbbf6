"""Mini MRPC, QQP, STS-B and QNLI: pairs of texts about the same event or about similar events.

Texts with the same meaning differ in order and words; texts with different meanings differ in one fact, or two people
exchange their roles.

    mrpc   "It was Anna who purchased a red guitar." / "A red guitar was bought by Anna."                      1
    qqp    "How can I fix an old bike in Rome?" / "How long does it take to repair an old bicycle in Rome?"    0
    stsb   "A man is painting a red boat." / "A woman is painting a blue boat."                                3.9
    qnli   "Where did Leo find the kite?" / "On Monday, a kite was discovered by Leo."                         1
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from evals.tasks.mini.language.english import (
    COLORS,
    DETAILS,
    JOBS,
    KIND_OF,
    MEANT,
    NAMES,
    PLACES,
    QUALITIES,
    THINGS,
    Draft,
    Event,
    change,
    draw_event,
    indefinite,
    noun_phrase,
    other,
    participle,
    past,
    plural,
    progressive,
    sentence,
    slots,
    tell,
    vary,
    without,
)

# MRPC: do two sentences of the news say the same?


def mrpc(rng: Random, label: float) -> Draft:
    """Write two sentences with the same meaning (1), or with one fact changed (0)."""
    texts, key = (_message if rng.random() < 0.3 else _report)(rng, label == 1)
    return Draft(texts, key)


def _report(rng: Random, same: bool) -> tuple[tuple[str, str], str]:
    """Describe one event in two orders."""
    event = draw_event(rng, details=rng.choice((2, 3, 3)))
    retold = event if same else change(rng, event, rng.choice(slots(event)))
    first, second = rng.sample(("plain", "fronted", "passive", "cleft"), 2)
    return (tell(rng, event, orders=(first,)), tell(rng, retold, orders=(second,))), f"{event.action} {event.thing}"


def _message(rng: Random, same: bool) -> tuple[tuple[str, str], str]:
    """Write who told whom of an event; an exchange of the two people changes no word, only the order."""
    event = replace(draw_event(rng, details=1), agent=None)
    speaker, listener = rng.sample(NAMES, 2)
    first = _message_sentence(rng, speaker, listener, event)
    if not same and rng.random() < 0.6:
        speaker, listener = listener, speaker
    elif not same:
        event = change(rng, event, rng.choice([slot for slot in slots(event) if slot != "agent"]))
    second = next(text for _ in range(100) if (text := _message_sentence(rng, speaker, listener, event)) != first)
    return (first, second), f"{event.action} {event.thing}"


def _message_sentence(rng: Random, speaker: str, listener: str, event: Event) -> str:
    news = tell(rng, event, orders=("passive",), article="the")[:-1]
    news = f"{news[0].lower()}{news[1:]}"
    active = f"{speaker} {rng.choice(('told', 'informed'))} {listener}"
    passive = f"{listener} {rng.choice(('was told by', 'was informed by', 'heard from', 'learned from'))} {speaker}"
    return sentence(f"{rng.choice((active, passive))} that {news}")


# QQP: do two questions ask the same?

CITIES = ("Paris", "London", "Rome", "Berlin", "Madrid", "Vienna", "Dublin", "Lisbon")
INTENTS = {
    "how": (
        "How can I {do} {one}{city}?",
        "What is the best way to {do} {one}{city}?",
        "How should I {do} {one}{city}?",
    ),
    "where": (
        "Where can I {do} {one}{city}?",
        "What is a good place to {do} {one}{city}?",
        "Where should I {do} {one}{city}?",
    ),
    "when": (
        "When should I {do} {one}{city}?",
        "What is the best time to {do} {one}{city}?",
        "When is it best to {do} {one}{city}?",
    ),
    "price": ("How much does it cost to {do} {one}{city}?", "What is the price for {doing} {one}{city}?"),
    "time": ("How long does it take to {do} {one}{city}?", "How much time do I need to {do} {one}{city}?"),
    "reason": (
        "Why do people {do} {many}{city}?",
        "What makes people {do} {many}{city}?",
        "For what reason do people {do} {many}{city}?",
    ),
}
"""The intents of questions, each with two or three wordings."""


def qqp(rng: Random, label: float) -> Draft:
    """Write two questions with the same meaning (1), or with different meanings (0)."""
    slots = {
        "intent": rng.choice(tuple(INTENTS)),
        "action": rng.choice(MEANT),
        "quality": rng.choice(QUALITIES),
        "thing": rng.choice(THINGS),
        "city": rng.choice(CITIES) if rng.random() < 0.7 else "",
    }
    second_slots = dict(slots)
    pool = {"intent": tuple(INTENTS), "action": MEANT, "quality": QUALITIES, "thing": THINGS, "city": CITIES}
    if label == 0:
        for part in rng.sample([part for part, value in slots.items() if value], rng.choice((1, 1, 2))):
            second_slots[part] = other(rng, pool[part], slots[part])
    first = _question(rng, slots)
    second = next(text for _ in range(100) if (text := _question(rng, second_slots)) != first)
    return Draft((first, second), f"{slots['action']} {slots['thing']}")


def _question(rng: Random, slots: dict[str, str]) -> str:
    action, quality, thing = (vary(rng, slots[part]) for part in ("action", "quality", "thing"))
    return rng.choice(INTENTS[slots["intent"]]).format(
        do=action,
        doing=progressive(action),
        one=indefinite(f"{quality} {thing}"),
        many=f"{quality} {plural(thing)}",
        city=f" in {slots['city']}" if slots["city"] else "",
    )


# STS-B: how similar are two sentences?

WEIGHTS = {"action": 1.5, "thing": 1.2, "agent": 1.0, "place": 0.8, "quality": 0.5}
"""The loss of similarity if the fact in a slot differs; the sum is 5."""
SEEN = tuple(action for action in MEANT if action not in {"choose", "borrow"})
"""Actions that an image can show."""
SHOWN = ("man", "woman", "boy", "girl", *JOBS)
KIN = (
    {"man", "boy"},
    {"woman", "girl"},
    {"man", "woman"},
    {"boy", "girl"},
    {"cook", "baker"},
    {"farmer", "gardener"},
    {"doctor", "nurse"},
)
"""Pairs of people whose difference counts half."""


def stsb(rng: Random, label: float = 0.0) -> Draft:
    """Write two captions and their similarity: 5 minus the weight of each fact that differs. `label` is ignored."""
    del label
    event = Event(rng.choice(SHOWN), rng.choice(SEEN), rng.choice(THINGS), rng.choice(COLORS), rng.choice(PLACES))
    second, score = event, 5.0
    for slot in rng.sample(tuple(WEIGHTS), rng.choice((0, 0, 1, 1, 2, 2, 3, 3, 4, 5))):
        second, loss = _differ(rng, second, slot)
        score -= loss
    return Draft(
        (_caption(rng, event), _caption(rng, second)), f"{event.action} {event.thing}", round(max(score, 0.0), 1)
    )


def _differ(rng: Random, event: Event, slot: str) -> tuple[Event, float]:
    """Change the fact in one slot, and return the loss of similarity."""
    if slot == "agent":
        agent = other(rng, SHOWN, event.agent)
        near = any({agent, event.agent} == kin for kin in KIN)
        return replace(event, agent=agent), WEIGHTS[slot] * (0.5 if near else 1)
    if slot == "thing":
        thing = other(rng, THINGS, event.thing)
        near = KIND_OF[thing] == KIND_OF[event.thing]
        return replace(event, thing=thing), WEIGHTS[slot] * (0.5 if near else 1)
    if slot == "quality" and rng.random() < 0.4:
        return replace(event, quality=None), WEIGHTS[slot] * 0.6
    pool = {"action": SEEN, "place": PLACES, "quality": COLORS}[slot]
    return replace(event, **{slot: other(rng, pool, getattr(event, slot))}), WEIGHTS[slot]


def _caption(rng: Random, event: Event) -> str:
    agent, thing = vary(rng, event.agent or ""), noun_phrase(rng, event)
    action, place = vary(rng, event.action), vary(rng, event.place or "")
    forms = (
        f"{indefinite(agent)} is {progressive(action)} {thing} {place}",
        f"{thing} is being {participle(action)} by {indefinite(agent)} {place}",
        f"{place}, {indefinite(agent)} is {progressive(action)} {thing}",
    )
    return sentence(rng.choice(forms))


# QNLI: does a sentence answer a question?


def qnli(rng: Random, label: float) -> Draft:
    """Write a question and a sentence that answers it (0), or that lacks the answer or is about another event (1)."""
    asked_slot = rng.choice(("agent", *DETAILS))
    event = replace(draw_event(rng), quality=rng.choice(COLORS))
    with_agent = asked_slot != "agent" and rng.random() < 0.6
    mentioned = {"agent"} if with_agent or rng.random() < 0.4 else set()
    answer = event
    others, more = [detail for detail in DETAILS if detail != asked_slot], rng.choice((0, 1))
    if label == 1 and rng.random() < 0.6:
        mentioned = {*mentioned, *rng.sample(others, 1 + more)} - {asked_slot}
    else:
        mentioned = {*mentioned, *rng.sample(others, more), asked_slot}
        if label != 0:
            answer = change(rng, event, rng.choice(("action", "thing", "agent" if with_agent else "thing")))
    answer = without(answer, {"agent", *DETAILS} - mentioned)
    return Draft((_asking(rng, event, asked_slot, with_agent), tell(rng, answer)), f"{event.action} {event.thing}")


def _asking(rng: Random, event: Event, asked_slot: str, with_agent: bool) -> str:
    """Ask for one fact of an event; `with_agent` says whether the question names the agent."""
    action, thing, who = vary(rng, event.action), vary(rng, event.thing), event.agent
    if asked_slot == "agent":
        return f"Who {past(action)} the {thing}?"
    if asked_slot == "quality":
        return (
            f"What color was the {thing} that {f'{who} {past(action)}' if with_agent else f'was {participle(action)}'}?"
        )
    asking = {"place": "Where", "time": "When"}[asked_slot]
    return (
        f"{asking} did {who} {action} the {thing}?" if with_agent else f"{asking} was the {thing} {participle(action)}?"
    )
