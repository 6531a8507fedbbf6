"""Mini CoLA and mini SST-2: single sentences.

CoLA: ten phenomena. In each, two words must agree (`the boys` and `are`); every word is as frequent in unacceptable
sentences as in acceptable ones, so no single word reveals the label. SST-2: half of the opinions reverse the meaning of
their word ("far from clever"), and of two opposite opinions the one in the main clause counts.

    cola   "The boys near the lamp is tired."                                              0
    sst2   "although the plot is far from clever , the acting could not be less dull ."    1
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from evals.tasks.mini.language.english import (
    COLORS,
    JOBS,
    MEN,
    NAMES,
    PLACES,
    THINGS,
    TIMES,
    WOMEN,
    Draft,
    indefinite,
    other,
    participle,
    past,
    plural,
    progressive,
    sentence,
    third,
)

# CoLA: is it grammatical?

PEOPLE = ("boy", "girl", "man", "woman", "child", *JOBS)
STATES = ("tired", "hungry", "happy", "ready", "late", "busy", "quiet")
DOINGS = ("sleep", "sing", "work", "laugh", "wait", "dance")
NEED_OBJECT = ("repair", "examine", "buy", "carry", "borrow", "measure", "find")
"""Verbs that need an object; some of the other `ACTIONS` are possible without one."""
NO_OBJECT = ("sleep", "arrive", "smile", "laugh", "wait", "cough", "appear")
COMPARED = {
    "tall": "taller",
    "old": "older",
    "young": "younger",
    "strong": "stronger",
    "fast": "faster",
    "rich": "richer",
}
WITH_TO = ("hopes", "wants", "plans", "decided", "refused", "agreed")
WITH_ING = ("enjoys", "avoids", "finished", "dislikes", "kept", "imagined")


def cola(rng: Random, label: float) -> Draft:
    """Write a sentence that is acceptable (1) or has one error (0)."""
    phenomenon = rng.choice(PHENOMENA)
    words, key = phenomenon(rng, label == 1)
    if words.startswith(("what ", "did ")):
        return Draft((f"{sentence(words)[:-1]}?",), key)
    if rng.random() < 0.25:
        words = f"{rng.choice(NAMES)} {rng.choice(('said', 'thinks', 'knows', 'believes'))} that {words}"
    return Draft((sentence(words),), key)


def _agreement(rng: Random, good: bool) -> tuple[str, str]:
    many = rng.random() < 0.5
    noun, thing = rng.choice(PEOPLE), rng.choice(THINGS)
    subject = plural(noun) if many else noun
    near = f"near the {rng.choice((thing, plural(thing)))}" if rng.random() < 0.6 else ""
    if rng.random() < 0.6:
        state = rng.choice(STATES)
        verb = rng.choice((("is", "are"), ("was", "were"), ("seems", "seem")))[many == good]
        return f"the {subject} {near} {verb} {state}", f"{noun} {state}"
    doing = rng.choice(DOINGS)
    return f"the {subject} {near} {(third(doing), doing)[many == good]} {rng.choice(PLACES)}", f"{noun} {doing}"


def _determiner(rng: Random, good: bool) -> tuple[str, str]:
    many = rng.random() < 0.5
    determiner = rng.choice((("this", "that", "every", "another"), ("these", "those", "several", "many"))[many])
    thing, verb = rng.choice(THINGS), rng.choice(NEED_OBJECT)
    noun = plural(thing) if many == good else thing
    return f"{rng.choice(NAMES)} {past(verb)} {determiner} {noun} {rng.choice(PLACES)}", f"{verb} {thing}"


def _reflexive(rng: Random, good: bool) -> tuple[str, str]:
    kinds = (
        ("boy", "man", "king", *MEN),
        ("girl", "woman", "queen", *WOMEN),
        ("boys", "men", "girls", "women", "doctors"),
    )
    kind = rng.randrange(3)
    reflexive = ("himself", "herself", "themselves")[kind if good else (kind + rng.choice((1, 2))) % 3]
    who, verb = rng.choice(kinds[kind]), rng.choice(("hurt", "blamed", "admired", "washed", "described", "saw"))
    subject = who if who in NAMES else f"the {who}"
    return f"{subject} {verb} {reflexive} {rng.choice(TIMES + PLACES)}", f"{who} {verb}"


def _auxiliary(rng: Random, good: bool) -> tuple[str, str]:
    kind, thing, verb = rng.randrange(3), rng.choice(THINGS), rng.choice(NEED_OBJECT)
    auxiliary = rng.choice((("has", "had"), ("will", "must"), ("is", "was"))[kind])
    form = (participle, str, progressive)[kind if good else (kind + rng.choice((1, 2))) % 3](verb)
    return f"{rng.choice(NAMES)} {auxiliary} {form} {indefinite(thing)} {rng.choice(PLACES)}", f"{verb} {thing}"


def _order(rng: Random, good: bool) -> tuple[str, str]:
    color, thing, verb = rng.choice(COLORS), rng.choice(THINGS), rng.choice(NEED_OBJECT)
    preposition, article, place = rng.choice(PLACES).split(" ", 2)
    pieces = [[rng.choice(NAMES), past(verb)], ["the", color, thing], [preposition, article, place]]
    if not good:
        piece, start = rng.choice(((0, 0), (1, 0), (1, 1), (2, 0), (2, 1)))
        pieces[piece][start : start + 2] = reversed(pieces[piece][start : start + 2])
    return " ".join(" ".join(piece) for piece in pieces), f"{color} {thing}"


def _object(rng: Random, good: bool) -> tuple[str, str]:
    needs = rng.random() < 0.5
    verb, thing = rng.choice(NEED_OBJECT if needs else NO_OBJECT), rng.choice(THINGS)
    object_ = f"the {thing}" if needs == good else ""
    return f"{rng.choice(NAMES)} {past(verb)} {object_} {rng.choice(PLACES + TIMES)}", f"{verb} {thing}"


def _question(rng: Random, good: bool) -> tuple[str, str]:
    gap = rng.random() < 0.5
    verb, thing = rng.choice(NEED_OBJECT), rng.choice(THINGS)
    object_ = f"the {thing}" if gap != good else ""
    return (
        f"{'what did' if gap else 'did'} {rng.choice(NAMES)} {verb} {object_} {rng.choice(PLACES + TIMES)}",
        f"{verb} {thing}",
    )


def _complement(rng: Random, good: bool) -> tuple[str, str]:
    bare = rng.random() < 0.5
    first, doing = rng.choice(WITH_TO if bare else WITH_ING), rng.choice(DOINGS)
    second = f"to {doing}" if bare == good else progressive(doing)
    return f"{rng.choice(NAMES)} {first} {second} {rng.choice(PLACES)}", f"{first} {doing}"


def _comparison(rng: Random, good: bool) -> tuple[str, str]:
    more = rng.random() < 0.5
    quality, name = rng.choice(tuple(COMPARED)), rng.choice(NAMES)
    middle = COMPARED[quality] if more else f"as {quality}"
    return f"{name} is {middle} {'than' if more == good else 'as'} {other(rng, NAMES, name)}", f"{name} {quality}"


def _case(rng: Random, good: bool) -> tuple[str, str]:
    subject = rng.random() < 0.5
    pronoun = rng.choice((("he", "him"), ("she", "her"), ("they", "them")))[subject != good]
    name, state = rng.choice(NAMES), rng.choice(STATES)
    if subject:
        return f"{name} was {state} when {pronoun} arrived {rng.choice(PLACES)}", f"{name} {state}"
    return f"{name} was {state} and met {pronoun} {rng.choice(PLACES)}", f"{name} {state}"


Phenomenon = Callable[[Random, bool], tuple[str, str]]
PHENOMENA: tuple[Phenomenon, ...] = (
    *(_agreement, _agreement, _determiner, _reflexive, _auxiliary, _order),
    *(_object, _question, _complement, _comparison, _case),
)
"""Generators of a sentence and its key; agreement is listed twice, so it is twice as frequent."""


# SST-2: is the opinion positive?

ASPECTS = (
    "film",
    "movie",
    "story",
    "plot",
    "acting",
    "music",
    "ending",
    "script",
    "cast",
    "dialogue",
    "humor",
    "romance",
)
POSITIVE = (
    *("brilliant", "charming", "funny", "moving", "gripping", "clever", "wonderful", "delightful"),
    *("fresh", "superb", "touching", "witty", "thrilling", "graceful"),
)
NEGATIVE = (
    *("dull", "boring", "awful", "clumsy", "tedious", "weak", "predictable", "silly"),
    *("dreadful", "shallow", "lifeless", "messy", "tiresome", "stale"),
)
PRAISE = (
    *(
        "the {aspect} is {word}",
        "the {aspect} is truly {word}",
        "i found the {aspect} {word}",
        "the {aspect} feels {word}",
    ),
    *(
        "one remembers the {word} {aspect}",
        "the {aspect} is more {word} than expected",
        "for once the {aspect} is {word}",
    ),
)
"""Patterns that keep the meaning of their word."""
REVERSAL = (
    *("the {aspect} is not {word}", "the {aspect} is never {word}", "the {aspect} is anything but {word}"),
    *("the {aspect} is far from {word}", "there is nothing {word} about the {aspect}", "the {aspect} is hardly {word}"),
    *("the {aspect} could not be less {word}", "nobody will call the {aspect} {word}"),
)
"""Patterns that reverse the meaning of their word."""
CONTRAST = (
    *("although {lesser} , {main} .", "{lesser} , but {main} .", "{main} , even though {lesser} ."),
    *("{lesser} ; still , {main} .", "{main} , and it matters little that {lesser} ."),
)
"""Patterns of two opposite opinions, of which the one in the main clause counts."""


def sst2(rng: Random, label: float) -> Draft:
    """Write an opinion of a film, positive (1) or negative (0), in the lower case and loose punctuation of SST-2."""
    good = label == 1
    first, second = rng.sample(ASPECTS, 2)
    main, key = _opinion(rng, first, good)
    style = rng.random()
    if style < 0.35:
        return Draft((f"{main} .",), key)
    if style < 0.5:
        return Draft((f"{main} and {_opinion(rng, second, good)[0]} .",), key)
    return Draft((rng.choice(CONTRAST).format(main=main, lesser=_opinion(rng, second, not good)[0]),), key)


def _opinion(rng: Random, aspect: str, good: bool) -> tuple[str, str]:
    reversed_ = rng.random() < 0.5
    word = rng.choice(POSITIVE if good != reversed_ else NEGATIVE)
    pattern = rng.choice(REVERSAL if reversed_ else PRAISE)
    return pattern.format(aspect=aspect, word=word), f"{aspect} {word}"
