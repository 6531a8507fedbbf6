"""Mini math: word problems of one to four steps with worked solutions, in the format of GSM8K.

    question  "Nina has 4 boxes with 6 shells in each. She gives 9 shells to Paul. Oscar has 3 times as many shells as
              Nina has now. How many shells does Oscar have?"
    answer    "Nina has 4 * 6 = 24 shells.
              Then Nina has 24 - 9 = 15 shells.
              Oscar has 3 * 15 = 45 shells.
              #### 45"

A problem begins with a count, goes through some events and ends in a question; each event and question is one step of
arithmetic. GSM8K's calculator marks (`<<4*6=24>>`) are left out: they say each sum twice. A problem's template is the
sequence of its parts, and its numbers are taken together: a fifth of the templates and a fifth of the numbers never
occur in `train`, and both in validation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple
from zlib import crc32

from evals.tasks.mini.language.english import MEN, NAMES, WOMEN, other

GOODS = (
    *("apples", "marbles", "books", "stamps", "eggs", "cookies", "shells", "coins", "stickers", "pencils", "flowers"),
    *("cards", "buttons", "candles", "lemons", "balloons"),
)
HOLDERS = ("boxes", "bags", "baskets", "drawers")
MOST = 250
"""The largest number in a problem."""
STEPS = (1, 1, 2, 2, 3, 3, 4)
"""How many steps problems have, each entry as likely as the next."""
DISTRACTED = 0.2
"""Share of the problems that mention a number which does not matter."""


@dataclass(frozen=True, slots=True)
class Story:
    """A problem so far: what has been told and worked out, and who has how much at this point."""

    goods: str
    holder: str
    """Whose goods the last step was about."""
    count: int
    """How many the holder has."""
    before: tuple[str, int] | None = None
    """Who was compared with in the last step, and how many they have."""
    told: tuple[str, ...] = ()
    worked: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    """The template: a name for each part."""

    def then(self, part: str, told: str, worked: str, count: int, **changes: object) -> Story:
        """Add a part."""
        more = {"told": (*self.told, told), "worked": (*self.worked, *([worked] if worked else [])), "count": count}
        return replace(self, **{"before": None, **changes, **more, "parts": (*self.parts, part)})  # type: ignore[arg-type]

    @property
    def subject(self) -> str:
        """How the next sentence names the holder: by a pronoun where that can be nobody else."""
        return self.holder if self.before else "She" if self.holder in WOMEN else "He"

    def someone_else(self, rng: Random) -> str:
        """Draw a person not yet met."""
        return other(rng, NAMES, self.holder, self.before[0] if self.before else None)


class WordProblem(NamedTuple):
    """A row, with what decides which split may have it."""

    question: str
    answer: str
    template: str
    numbers: tuple[int, ...]


# How a problem begins


def _start(rng: Random) -> Story:
    tale = Story(rng.choice(GOODS), rng.choice(NAMES), rng.randint(3, 60))
    return tale.then("has", f"{tale.holder} has {tale.count} {tale.goods}.", "", tale.count)


def _packed(rng: Random) -> Story:
    tale = Story(rng.choice(GOODS), rng.choice(NAMES), 0)
    packs, each, holders = rng.randint(2, 12), rng.randint(2, 12), rng.choice(HOLDERS)
    told = f"{tale.holder} has {packs} {holders} with {each} {tale.goods} in each."
    worked = f"{tale.holder} has {packs} * {each} = {packs * each} {tale.goods}."
    return tale.then("packed", told, worked, packs * each)


# What happens


def _gain(rng: Random, tale: Story) -> Story:
    more, way = rng.randint(2, 40), rng.choice(("buys", "finds", "gets"))
    told = f"{tale.subject} {way} {more} more {tale.goods}."
    return tale.then("gain", told, _now(tale, "+", more, tale.count + more), tale.count + more)


def _gain_packed(rng: Random, tale: Story) -> Story:
    packs, each, holders = rng.randint(2, 6), rng.randint(2, 9), rng.choice(HOLDERS)
    told = f"{tale.subject} buys {packs} {holders} with {each} {tale.goods} in each."
    worked = f"The {holders} hold {packs} * {each} = {packs * each} {tale.goods}."
    count = tale.count + packs * each
    return tale.then("gain packed", told, f"{worked}\n{_now(tale, '+', packs * each, count)}", count)


def _loss(rng: Random, tale: Story) -> Story:
    less, friend = rng.randint(2, max(2, min(40, tale.count - 1))), tale.someone_else(rng)
    ways = ("gives {} {} to " + friend, "loses {} of the {}", "sells {} of the {}")
    told = f"{tale.subject} {rng.choice(ways).format(less, tale.goods)}."
    return tale.then("loss", told, _now(tale, "-", less, tale.count - less), tale.count - less)


def _now(tale: Story, sign: str, number: int, count: int) -> str:
    return f"Then {tale.holder} has {tale.count} {sign} {number} = {count} {tale.goods}."


def _times(rng: Random, tale: Story) -> Story:
    factor, friend = rng.randint(2, 6), tale.someone_else(rng)
    told = f"{friend} has {factor} times as many {tale.goods} as {tale.holder} has now."
    worked = f"{friend} has {factor} * {tale.count} = {factor * tale.count} {tale.goods}."
    return tale.then("times", told, worked, factor * tale.count, holder=friend, before=(tale.holder, tale.count))


def _more(rng: Random, tale: Story) -> Story:
    more, friend = rng.randint(2, 30), tale.someone_else(rng)
    told = f"{friend} has {more} more {tale.goods} than {tale.holder} has now."
    worked = f"{friend} has {tale.count} + {more} = {tale.count + more} {tale.goods}."
    return tale.then("more", told, worked, tale.count + more, holder=friend, before=(tale.holder, tale.count))


def _fewer(rng: Random, tale: Story) -> Story:
    less, friend = rng.randint(2, max(2, min(30, tale.count - 1))), tale.someone_else(rng)
    told = f"{friend} has {less} fewer {tale.goods} than {tale.holder} has now."
    worked = f"{friend} has {tale.count} - {less} = {tale.count - less} {tale.goods}."
    return tale.then("fewer", told, worked, tale.count - less, holder=friend, before=(tale.holder, tale.count))


# How it ends


def _how_many(rng: Random, tale: Story) -> Story:
    now = "" if tale.before or len(tale.parts) == 1 else rng.choice(("now", "in the end"))
    told = f"How many {tale.goods} does {tale.holder} have {now}".rstrip()
    return tale.then("how many", f"{told}?", "", tale.count, before=tale.before)


def _together(rng: Random, tale: Story) -> Story | None:
    if not tale.before:
        return None
    friend, theirs = tale.before
    told = f"How many {tale.goods} do {friend} and {tale.holder} have together?"
    total = theirs + tale.count
    return tale.then("together", told, f"Together they have {theirs} + {tale.count} = {total} {tale.goods}.", total)


def _price(rng: Random, tale: Story) -> Story:
    price = rng.randint(2, 9)
    told = f"{tale.holder} sells all of {_own(tale)} {tale.goods} for {price} dollars each. How much money does"
    told = f"{told} {tale.holder} get?"
    total = tale.count * price
    return tale.then("price", told, f"{tale.holder} gets {price} * {tale.count} = {total} dollars.", total)


def _share(rng: Random, tale: Story) -> Story | None:
    friends = [number for number in range(2, 7) if tale.count % number == 0 and tale.count >= 4 * number]
    if not friends:
        return None
    number = rng.choice(friends)
    told = (
        f"{tale.holder} shares all of {_own(tale)} {tale.goods} equally among {number} friends. How many {tale.goods}"
    )
    each = tale.count // number
    worked = f"Each friend gets {tale.count} / {number} = {each} {tale.goods}."
    return tale.then("share", f"{told} does each friend get?", worked, each)


def _pack(rng: Random, tale: Story) -> Story | None:
    sizes = [number for number in range(2, 7) if tale.count % number == 0 and tale.count >= 4 * number]
    if not sizes:
        return None
    size, holders = rng.choice(sizes), rng.choice(HOLDERS)
    told = f"{tale.holder} puts {_own(tale)} {tale.goods} into {holders}, {size} in each, and none are left over."
    worked = f"{tale.holder} fills {tale.count} / {size} = {tale.count // size} {holders}."
    return tale.then("pack", f"{told} How many {holders} does {tale.holder} fill?", worked, tale.count // size)


def _own(tale: Story) -> str:
    return "her" if tale.holder in WOMEN else "his"


STARTS: tuple[Callable[[Random], Story], ...] = (_start, _start, _packed)
EVENTS: tuple[Callable[[Random, Story], Story], ...] = (_gain, _gain, _gain_packed, _loss, _loss, _times, _more, _fewer)
ENDS: tuple[Callable[[Random, Story], Story | None], ...] = (
    _how_many,
    _how_many,
    _how_many,
    _together,
    _price,
    _share,
    _pack,
)

ASIDES = (
    "{who} is {n} years old.",
    "It is {n} degrees outside.",
    "{who} lives in house number {n}.",
    "The shop closes in {n} minutes.",
    "{who} has {n} cousins.",
)


def problem(split: str, index: int) -> WordProblem:
    """Give a problem of a split: `train` is endless, and so is any other name."""
    rng = Random(f"mini math {split} {index}")
    steps = rng.choice(STEPS)
    while True:
        tale = _draw(rng, steps)
        if tale and allowed(split, found := _write(rng, tale)):
            return found


def _draw(rng: Random, steps: int) -> Story | None:
    """Draw a tale of so many steps; None where this try had another number of them, or one that is out of range."""
    tale = rng.choice(STARTS)(rng)
    for _ in range(rng.randint(0, steps)):
        tale = rng.choice(EVENTS)(rng, tale)
        if not 1 <= tale.count <= MOST:
            return None
    ended = rng.choice(ENDS)(rng, tale)
    done = ended is not None and sum(len(worked.split("\n")) for worked in ended.worked) == steps
    return ended if ended and done and ended.count <= MOST else None


def _write(rng: Random, tale: Story) -> WordProblem:
    """Write a tale down, sometimes with a number that does not matter."""
    told = list(tale.told)
    if rng.random() < DISTRACTED:
        aside = rng.choice(ASIDES).format(who=rng.choice((*MEN, *WOMEN)), n=rng.randint(3, 60))
        told.insert(rng.choice((0, len(told) - 1)), aside)
    question = " ".join(told)
    numbers = tuple(int(word) for word in question.replace(".", " ").split() if word.isdigit())
    answer = "\n".join([*tale.worked, f"#### {tale.count}"])
    return WordProblem(question, answer, ", ".join(tale.parts), numbers)


def allowed(split: str, found: WordProblem) -> bool:
    """Tell whether a split may have a problem: neither its template nor its numbers may be of the other kind."""
    held_out = [_is_held_out(f"tale {found.template}"), are_held_out(found.numbers)]
    return not any(held_out) if split == "train" else all(held_out)


def are_held_out(numbers: Sequence[int]) -> bool:
    """Tell whether these numbers, in any order, never come together in `train`."""
    return _is_held_out(str(sorted(numbers)))


def _is_held_out(text: str) -> bool:
    return crc32(text.encode()) % 5 == 0
