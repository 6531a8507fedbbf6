"""Mini math: word problems of one to four steps with worked solutions, in the format of GSM8K.

    question  "Nina has 4 boxes with 6 shells in each. She gives 9 shells to Paul. Oscar has 3 times as many shells as
              Nina has now. How many shells does Oscar have?"
    answer    "Nina has 4 * 6 = 24 shells.
              Then Nina has 24 - 9 = 15 shells.
              Oscar has 3 * 15 = 45 shells.
              #### 45"

A problem starts with a count, goes through some events and ends with a question; each event and question is one step of
arithmetic. GSM8K's calculator annotations (`<<4*6=24>>`) are omitted, because they repeat each sum. The template of a
problem is the sequence of its parts. A fifth of all templates and a fifth of all sets of numbers are held out: they
never occur in `train`, and a validation problem has a held-out template and held-out numbers.
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
"""Numbers of steps in a problem; each entry is equally likely."""
DISTRACTED = 0.2
"""Share of the problems that mention an irrelevant number."""


@dataclass(frozen=True, slots=True)
class Story:
    """An unfinished problem: its sentences, the steps of its solution, and the current count."""

    goods: str
    holder: str
    """The person whose goods the last step was about."""
    count: int
    """The number of goods that the holder has."""
    before: tuple[str, int] | None = None
    """The person with whom the last step compared the holder, and their number of goods."""
    text: tuple[str, ...] = ()
    """The sentences of the problem."""
    worked: tuple[str, ...] = ()
    """The steps of the solution."""
    parts: tuple[str, ...] = ()
    """The template: a name for each part."""

    def then(self, part: str, text: str, worked: str, count: int, **changes: object) -> Story:
        """Add a part."""
        more = {"text": (*self.text, text), "worked": (*self.worked, *([worked] if worked else [])), "count": count}
        return replace(self, **{"before": None, **changes, **more, "parts": (*self.parts, part)})  # type: ignore[arg-type]

    @property
    def subject(self) -> str:
        """The subject of the next sentence: a pronoun for the holder, or the name if a pronoun is ambiguous."""
        return self.holder if self.before else "She" if self.holder in WOMEN else "He"

    def someone_else(self, rng: Random) -> str:
        """Draw a person who is not in the last step."""
        return other(rng, NAMES, self.holder, self.before[0] if self.before else None)


class WordProblem(NamedTuple):
    """A row, with the template and the numbers that decide its split."""

    question: str
    answer: str
    template: str
    numbers: tuple[int, ...]


# Starts


def _start(rng: Random) -> Story:
    story = Story(rng.choice(GOODS), rng.choice(NAMES), rng.randint(3, 60))
    return story.then("has", f"{story.holder} has {story.count} {story.goods}.", "", story.count)


def _packed(rng: Random) -> Story:
    story = Story(rng.choice(GOODS), rng.choice(NAMES), 0)
    packs, contents, holders = rng.randint(2, 12), rng.randint(2, 12), rng.choice(HOLDERS)
    text = f"{story.holder} has {packs} {holders} with {contents} {story.goods} in each."
    worked = f"{story.holder} has {packs} * {contents} = {packs * contents} {story.goods}."
    return story.then("packed", text, worked, packs * contents)


# Events


def _gain(rng: Random, story: Story) -> Story:
    more, way = rng.randint(2, 40), rng.choice(("buys", "finds", "gets"))
    text = f"{story.subject} {way} {more} more {story.goods}."
    return story.then("gain", text, _now(story, "+", more, story.count + more), story.count + more)


def _gain_packed(rng: Random, story: Story) -> Story:
    packs, contents, holders = rng.randint(2, 6), rng.randint(2, 9), rng.choice(HOLDERS)
    text = f"{story.subject} buys {packs} {holders} with {contents} {story.goods} in each."
    worked = f"The {holders} hold {packs} * {contents} = {packs * contents} {story.goods}."
    count = story.count + packs * contents
    return story.then("gain packed", text, f"{worked}\n{_now(story, '+', packs * contents, count)}", count)


def _loss(rng: Random, story: Story) -> Story:
    less, friend = rng.randint(2, max(2, min(40, story.count - 1))), story.someone_else(rng)
    ways = ("gives {} {} to " + friend, "loses {} of the {}", "sells {} of the {}")
    text = f"{story.subject} {rng.choice(ways).format(less, story.goods)}."
    return story.then("loss", text, _now(story, "-", less, story.count - less), story.count - less)


def _now(story: Story, sign: str, number: int, count: int) -> str:
    return f"Then {story.holder} has {story.count} {sign} {number} = {count} {story.goods}."


def _times(rng: Random, story: Story) -> Story:
    factor, friend = rng.randint(2, 6), story.someone_else(rng)
    text = f"{friend} has {factor} times as many {story.goods} as {story.holder} has now."
    worked = f"{friend} has {factor} * {story.count} = {factor * story.count} {story.goods}."
    return story.then("times", text, worked, factor * story.count, holder=friend, before=(story.holder, story.count))


def _more(rng: Random, story: Story) -> Story:
    more, friend = rng.randint(2, 30), story.someone_else(rng)
    text = f"{friend} has {more} more {story.goods} than {story.holder} has now."
    worked = f"{friend} has {story.count} + {more} = {story.count + more} {story.goods}."
    return story.then("more", text, worked, story.count + more, holder=friend, before=(story.holder, story.count))


def _fewer(rng: Random, story: Story) -> Story:
    less, friend = rng.randint(2, max(2, min(30, story.count - 1))), story.someone_else(rng)
    text = f"{friend} has {less} fewer {story.goods} than {story.holder} has now."
    worked = f"{friend} has {story.count} - {less} = {story.count - less} {story.goods}."
    return story.then("fewer", text, worked, story.count - less, holder=friend, before=(story.holder, story.count))


# Questions


def _how_many(rng: Random, story: Story) -> Story:
    now = "" if story.before or len(story.parts) == 1 else rng.choice(("now", "in the end"))
    text = f"How many {story.goods} does {story.holder} have {now}".rstrip()
    return story.then("how many", f"{text}?", "", story.count, before=story.before)


def _together(rng: Random, story: Story) -> Story | None:
    if not story.before:
        return None
    friend, friend_count = story.before
    text = f"How many {story.goods} do {friend} and {story.holder} have together?"
    total = friend_count + story.count
    return story.then(
        "together", text, f"Together they have {friend_count} + {story.count} = {total} {story.goods}.", total
    )


def _price(rng: Random, story: Story) -> Story:
    price = rng.randint(2, 9)
    text = f"{story.holder} sells all of {_possessive(story)} {story.goods} for {price} dollars each."
    question = f"How much money does {story.holder} get?"
    total = story.count * price
    worked = f"{story.holder} gets {price} * {story.count} = {total} dollars."
    return story.then("price", f"{text} {question}", worked, total)


def _share(rng: Random, story: Story) -> Story | None:
    friends = [number for number in range(2, 7) if story.count % number == 0 and story.count >= 4 * number]
    if not friends:
        return None
    number = rng.choice(friends)
    text = f"{story.holder} shares all of {_possessive(story)} {story.goods} equally among {number} friends."
    question = f"How many {story.goods} does each friend get?"
    share = story.count // number
    worked = f"Each friend gets {story.count} / {number} = {share} {story.goods}."
    return story.then("share", f"{text} {question}", worked, share)


def _pack(rng: Random, story: Story) -> Story | None:
    sizes = [number for number in range(2, 7) if story.count % number == 0 and story.count >= 4 * number]
    if not sizes:
        return None
    size, holders = rng.choice(sizes), rng.choice(HOLDERS)
    text = f"{story.holder} puts {_possessive(story)} {story.goods} into {holders}, {size} in each,"
    question = f"and none are left over. How many {holders} does {story.holder} fill?"
    worked = f"{story.holder} fills {story.count} / {size} = {story.count // size} {holders}."
    return story.then("pack", f"{text} {question}", worked, story.count // size)


def _possessive(story: Story) -> str:
    return "her" if story.holder in WOMEN else "his"


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
    """Generate a problem of a split. `train` is endless; any other name is an endless split of held-out problems."""
    rng = Random(f"mini math {split} {index}")
    steps = rng.choice(STEPS)
    while True:
        story = _draw(rng, steps)
        if story and allowed(split, problem := _write(rng, story)):
            return problem


def _draw(rng: Random, steps: int) -> Story | None:
    """Draw a story; None if it has another number of steps than requested, or a count out of range."""
    story = rng.choice(STARTS)(rng)
    for _ in range(rng.randint(0, steps)):
        story = rng.choice(EVENTS)(rng, story)
        if not 1 <= story.count <= MOST:
            return None
    ended = rng.choice(ENDS)(rng, story)
    has_all_steps = ended is not None and sum(len(worked.split("\n")) for worked in ended.worked) == steps
    return ended if ended and has_all_steps and ended.count <= MOST else None


def _write(rng: Random, story: Story) -> WordProblem:
    """Write a story as a problem, sometimes with an irrelevant number."""
    text = list(story.text)
    if rng.random() < DISTRACTED:
        aside = rng.choice(ASIDES).format(who=rng.choice((*MEN, *WOMEN)), n=rng.randint(3, 60))
        text.insert(rng.choice((0, len(text) - 1)), aside)
    question = " ".join(text)
    numbers = tuple(int(word) for word in question.replace(".", " ").split() if word.isdigit())
    answer = "\n".join([*story.worked, f"#### {story.count}"])
    return WordProblem(question, answer, ", ".join(story.parts), numbers)


def allowed(split: str, problem: WordProblem) -> bool:
    """Return whether a problem belongs to a split: `train` allows nothing held out, other splits nothing else."""
    held_out = [_is_held_out(f"tale {problem.template}"), are_held_out(problem.numbers)]
    return not any(held_out) if split == "train" else all(held_out)


def are_held_out(numbers: Sequence[int]) -> bool:
    """Return whether these numbers, in any order, never occur together in `train`."""
    return _is_held_out(str(sorted(numbers)))


def _is_held_out(text: str) -> bool:
    return crc32(text.encode()) % 5 == 0
