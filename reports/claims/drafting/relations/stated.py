"""Hold a change against the two values that its own sentence gives for it, by the words between the numbers.

    falls from 42 s to 28 s, a reduction of 33 %
    28 s instead of 42 s (33 % less)
    2.1 GB, half of the 4.2 GB of Otter 1
    22 % fewer errors (2.1 % against 2.7 %)

What the values measure and whose they are need not be known: between the pair and the change stand only words that say
that the one is the change of the other, so that nothing else can be meant. Where another word stands between, or the
change is said of something else ("a 33 % reduction in memory"), nothing is proposed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from evals.reports.claims.drafting.language.numbers import PrintedNumber
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.relations.formulas import Formula, Target, fits, stated_formulas
from evals.reports.claims.drafting.relations.levels import Level
from evals.reports.claims.drafting.relations.phrases import (
    AFTER_NAME,
    CHANGED_TO,
    CHANGES_BY,
    COMPARED,
    FROM,
    INSTEAD,
    JOINT,
    LEFT_BEHIND,
    NAME_END,
    OF_TWO,
    ON_AVERAGE,
    THAN,
    TO,
    ends_phrase,
)
from evals.reports.claims.drafting.text.passages import Passage
from evals.reports.claims.language.files import vocabulary_units
from evals.reports.claims.language.sources.articles import SourcePlace
from evals.reports.claims.language.units import last_place

_LONGEST_LINK = 60
"""Number of characters between two values of a pair, or between a change and the value that it is compared with."""


def propose_stated(passage: Passage, claims: Mapping[SourcePlace, Proposal], known: Mapping[str, Level]) -> None:
    """Give the changes of a text the formula of the two values that their sentence gives for them.

    Args:
        passage: the text.
        claims: the claims of the article, by the place of their number.
        known: the values of the article, by ID.
    """
    for first, last in passage.sentences:
        numbers = [number for number in passage.numbers if first <= number.start < last]
        numbers = [
            number
            for number in numbers
            if passage.text.span(number.start, number.end) in claims or not _ends_name(passage, number)
        ]
        if len(numbers) < 3:
            continue
        masked = _masked(passage, (first, last), numbers)
        for index, number in enumerate(numbers):
            claim = claims.get(passage.text.span(number.start, number.end))
            if claim is None or not claim.is_change or claim.derive or claim.between or claim.upto is not None:
                continue
            if claim.unit not in {"percent", "points", "times"} or claim.bound in {"at-most", "below"}:
                continue
            pairs = [
                pair
                for numbered in _pairs(masked, numbers, index, sentence=(first, last))
                if (pair := _operands(passage, claims, known, numbered)) is not None
            ]
            _propose(claim, _words_around(passage.text.text[:last], numbers, index), pairs)


def _ends_name(passage: Passage, number: PrintedNumber) -> bool:
    """Whether a bare number stands behind a name that it may be part of: "Kestrel 2"."""
    before = passage.text.text[max(0, number.start - 20) : number.start]
    return number.unit is None and number.times == 1 and NAME_END.search(before) is not None


def _pairs(
    text: str, numbers: Sequence[PrintedNumber], index: int, *, sentence: tuple[int, int]
) -> Iterator[tuple[PrintedNumber, PrintedNumber]]:
    """Yield the new and the old value that the words around a change name as its own."""
    change = numbers[index]
    after = text[change.stop : sentence[1]]
    if index >= 2:
        first, second = numbers[index - 2 : index]
        is_joined = _joins(text[second.stop : change.begin])
        if is_joined and ends_phrase(after, text[sentence[0] : change.begin]):
            yield from _linked(text, sentence[0], first, second)
            if _are_of_two(text[sentence[0] : change.begin], *_places(sentence[0], first, second)):
                yield first, second
                yield second, first
    if index + 2 < len(numbers):
        first, second = numbers[index + 1 : index + 3]
        between = text[change.stop : first.begin]
        if _is_aside(between, text[second.stop : sentence[1]]):
            yield from _linked(text, sentence[0], first, second)
    if 1 <= index < len(numbers) - 1:
        first, second = numbers[index - 1], numbers[index + 1]
        before, between = text[first.stop : change.begin], text[change.stop : second.begin]
        if CHANGES_BY.search(before) and THAN.fullmatch(between) and len(between) < _LONGEST_LINK:
            yield first, second
        elif FROM.search(text[sentence[0] : first.begin]) and JOINT.fullmatch(before) and TO.fullmatch(between):
            yield second, first


def _masked(passage: Passage, sentence: tuple[int, int], numbers: Sequence[PrintedNumber]) -> str:
    """The text with each name of its sentence, and each number that is part of one, as a word without digits."""
    text = list(passage.text.text)
    for mention in passage.mentions:
        if sentence[0] <= mention.start < sentence[1]:
            text[mention.start : mention.end] = "X" * (mention.end - mention.start)
    for number in passage.numbers:
        if sentence[0] <= number.start < sentence[1] and number not in numbers:
            text[number.start : number.end] = "X" * (number.end - number.start)
    for part in passage.excluded:
        text[part.start : part.end] = "X" * (part.end - part.start)
    return "".join(text)


def _linked(
    text: str, start: int, first: PrintedNumber, second: PrintedNumber
) -> Iterator[tuple[PrintedNumber, PrintedNumber]]:
    """Yield the new and the old one of two values, if the words between them compare them."""
    link = text[first.stop : second.begin]
    if len(link) > _LONGEST_LINK or re.search(r"\d", link):
        return
    head = text[start : first.begin]
    is_first_old = (
        (FROM.search(head) is not None and TO.fullmatch(link) is not None)
        or (COMPARED.search(head) is not None and ", " in link)
        or re.fullmatch(r"\s*(?:→|->|=>)\s*", link) is not None
        or CHANGED_TO.fullmatch(link) is not None
    )
    if is_first_old:
        yield second, first
    elif INSTEAD.fullmatch(link) or LEFT_BEHIND.fullmatch(link):
        yield first, second


def _places(start: int, *numbers: PrintedNumber) -> list[tuple[int, int]]:
    return [(number.start - start, number.stop - start) for number in numbers]


def _are_of_two(text: str, first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether a sentence names two systems for two values, one for each and in the same words."""
    marked = f"{text[: first[0]]}\0{text[first[1] : second[0]]}\0{text[second[1] :]}"
    match = OF_TWO.search(marked)
    if match is None:
        return False
    pairs = (("first", "second"), ("this", "that"), ("of", "other"), ("eins", "zwei"))
    return any(match[a] != match[b] or "XX" in (match[a] or "") for a, b in pairs if match[a])


def _joins(between: str) -> bool:
    """Whether the words between a pair and a change say that it is theirs, if need be after a comma or bracket."""
    if name := AFTER_NAME.match(between):
        between = between[name.end() :]
    if _OF_ANOTHER.search(between):
        return False
    if JOINT.fullmatch(between):
        return True
    tail = re.search(r"(?:[,;:(,;:(]|\s[–—-]\s)[^,;:(,;:(]*$", between)
    is_open = tail is None or len(between) > 2 * _LONGEST_LINK or re.search(r"(?<![\w-])\d", between[: tail.start()])
    if tail is None or is_open or _OTHER.search(between[: tail.start()]):
        return False
    return re.search(r"[\w=≈~/+((-]", tail[0]) is not None and JOINT.fullmatch(tail[0]) is not None


_OF_ANOTHER = re.compile(r"[是为]\s?X+\s?的\s*$")
_OTHER = re.compile(r"\b(?:and|or|but|while|whereas|with|which|as|plus)\b|而|并|且|同时|以及|但", re.I)
"""Words before a comma after which another thing may change."""


def _is_aside(between: str, rest: str) -> bool:
    """Whether the pair behind a change is set beside it: "22 % fewer than A (2.1 against 2.7)", ", from 3 to 5"."""
    if re.search(r"\d", between) or len(between) > _LONGEST_LINK:
        return False
    if re.search(r"[((]\s?(?:from )?[$€£¥]?$", between):
        return re.match(r"[^\d((]{0,30}[))]", rest) is not None and not _OTHER.search(between)
    return _FROM_ASIDE.fullmatch(between) is not None


_FROM_ASIDE = re.compile(r"(?:\s(?:in size|in total))?[,,::]?\s?(?:from|由|从)\s?[$€£¥]?", re.I)


def _words_around(text: str, numbers: Sequence[PrintedNumber], index: int) -> tuple[str, str]:
    """The words before and behind a change: from the value before it, up to the one behind it."""
    first = numbers[index - 1].stop if index else 0
    last = numbers[index + 1].begin if index + 1 < len(numbers) else len(text)
    change = numbers[index]
    return text[max(first, change.begin - 40) : change.start], text[change.stop : min(last, change.stop + 40)]


def _operands(
    passage: Passage,
    claims: Mapping[SourcePlace, Proposal],
    known: Mapping[str, Level],
    pair: tuple[PrintedNumber, PrintedNumber],
) -> tuple[Level, Level] | None:
    """The values of a pair: claims of the draft, or their digits if one is none; None if they differ in kind."""
    if any(number.upto or number.plus_minus or number.bound not in {"exactly", "about"} for number in pair):
        return None
    proposals = [claims.get(passage.text.span(number.start, number.end)) for number in pair]
    if any(proposal is not None and proposal.is_change for proposal in proposals):
        return None
    levels = [known.get(proposal.id) if proposal is not None else None for proposal in proposals]
    first, second = levels
    if first is not None and second is not None:
        is_one_kind = first.unit.dimension == second.unit.dimension and first.quantity == second.quantity
        return (first, second) if is_one_kind else None
    units = {number.unit for number in pair}
    if units & {"times", "points"} or (len(units) != 1 and units != {None, "items"}):
        return None
    return _literal(passage, pair[0]), _literal(passage, pair[1])


def _literal(passage: Passage, number: PrintedNumber) -> Level:
    """A number that is no claim, as a value whose name is its digits."""
    unit = vocabulary_units()["number" if number.unit in {None, "items"} else number.unit]
    factor = Fraction(number.times) * unit.factor
    value, half = Fraction(number.digits) * factor, last_place(number.digits) / 2 * factor
    text = f"{float(value):.12g}"
    name = text if Fraction(text) == value and "e" not in text else ""
    return Level(name, None, None, unit, value - half, value + half, span=passage.text.span(number.start, number.end))


def _propose(claim: Proposal, words: tuple[str, str], pairs: Sequence[tuple[Level, Level]]) -> None:
    """Give a change the formula of its pair, or all that it may mean if it fits none."""
    target, failing = Target.of(claim), []
    for new, old in pairs:
        if not new.id or not old.id or min(new.low, old.low) <= 0 or new.low == old.low:
            return
        is_share = new.unit.dimension == {} and new.unit.factor == Fraction(1, 100)
        if claim.unit == "points" and not is_share:
            return
        for formula in stated_formulas(claim, new, old, *words, is_share=is_share):
            if fits(target, formula, new, old):
                _propose_fit(claim, formula, new, old)
                return
            failing.append((formula, new, old))
    if not failing or ON_AVERAGE.search(claim.words):
        return
    first, new, old = failing[0]
    claim.derive = first.text(new.id, old.id)
    claim.readings = [_reading(claim, *meaning) for meaning in failing]
    claim.grounds.append("the sentence gives two values for it, which do not give it")
    claim.confidence = round(claim.confidence * 0.9, 2)
    _imply(claim)


def _propose_fit(claim: Proposal, formula: Formula, new: Level, old: Level) -> None:
    """Propose a formula; digits that are no claims must give it as printed, as no formula can round them."""
    if not (new.id[0].isalpha() or Target.of(claim).holds_middle(formula, new, old)):
        claim.grounds.append(f"is {formula.says} of values that round to those its sentence gives")
        claim.is_settled = True
        return
    claim.derive = formula.text(new.id, old.id)
    claim.readings = [_reading(claim, formula, new, old)] if formula.adds_one else []
    claim.grounds.append(f"is {formula.says} of the two values that its sentence gives for it")
    _imply(claim)


def _reading(claim: Proposal, formula: Formula, new: Level, old: Level) -> dict[str, str]:
    reads = {"reads": f"{claim.id} + 1"} if formula.adds_one else {}
    return {"says": formula.says, **reads, "derive": formula.text(new.id, old.id)}


def _imply(claim: Proposal) -> None:
    """Let a number in words be about its value."""
    if claim.is_implied and claim.bound == "exactly":
        claim.bound = "about"
