"""Shares of a whole, and products of an amount and its number or price, where a sentence gives all their numbers.

Of the 5,000 samples, 4,850 were correct (97 %)
540 of 900 conversations, or 60 %
256 GPUs for 500 hours, 128,000 GPU hours in all
Each of 8 nodes serves 150 requests per second, 1,200 requests per second in total
1,000 hours at $0.24 per hour cost $240
$250 a month, or $3,000 a year
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evals.reports.claims.drafting.language.numbers import PrintedNumber
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.relations.levels import interval
from evals.reports.claims.drafting.text.passages import Passage
from evals.reports.claims.language.files import vocabulary_units
from evals.reports.claims.language.sources.articles import SourcePlace
from evals.reports.claims.language.units import last_place

_MEASURED = frozenset(("percent", "points", "times", "milliseconds", "seconds", "dollars", "euros", "yuan", "pounds"))
"""Units of values that are no counts, so that one is no part of another."""
_BEFORE_WHOLE = re.compile(r"(?:^|\W)(?:out of|of|on|among)\s(?:the|these|all|our|its)?\s*$|在\s?$", re.I)
_PART_OF = re.compile(r"\s(?:[a-z-]+\s){0,2}?(?:out )?of\s(?:the|all|our|its|these)?\s?(?:about\s)?", re.I)
_OF_WHICH = re.compile(r"[^\d.;。]{0,30}[,,]\s?(?:of which|其中)[^\d.;。]{0,12}", re.I)
_BRACKET, _BRACKET_END = re.compile(r"[^\d;。]{0,60}[((]\s?$"), re.compile(r"\s?[))]")
_PHRASE = re.compile(
    r"[^\d;。]{0,40}[,,]\s?(?:(?:or|i\.e\.|that is|which is|thus),?\s(?:about\s)?|"
    r"即为?|约?占比?为?|占总数的?|比例为?|准确率为?|正确率为?)$",
    re.I,
)
_PHRASE_END = re.compile(r"\s*(?:$|[.,;,。;)]|of (?:all|them|the (?:total|time|cases))\b|of it\b)")
_OF_THE = re.compile(r"\s+of\s(?:the|all|our|these)\s(?:[a-z]+\s)?")
_ALONE = re.compile(r"\s?(?:[a-z-]+\s?){0,2}[,(]\s?(?:or |i\.e\. )?$")
_SLACK = 2
"""How many of its last places a share must be off: some are cut off instead of rounded."""


def propose_counted(passage: Passage, claims: Mapping[SourcePlace, Proposal]) -> None:
    """Give the shares and products of a text their formula, and those that fail theirs.

    Args:
        passage: the text.
        claims: the claims of the article, by the place of their number.
    """
    text = passage.text.text
    for first, last in passage.sentences:
        numbers = [number for number in passage.numbers if first <= number.start < last]
        for index, number in enumerate(numbers):
            claim = claims.get(passage.text.span(number.start, number.end))
            if claim is None or claim.derive or claim.upto is not None or claim.bound != "exactly":
                continue
            if claim.unit == "percent" and not claim.is_negative:
                for part, whole in _parts(text[first:last], first, numbers, index):
                    if _share(claim, part, whole):
                        break
        for product in _products(text[first:last]):
            claim = claims.get(passage.text.span(first + product.place[0], first + product.place[1]))
            if claim is not None and not claim.derive and claim.bound == "exactly" and claim.upto is None:
                _hold_product(claim, product)


def _parts(
    sentence: str, start: int, numbers: Sequence[PrintedNumber], index: int
) -> Iterator[tuple[PrintedNumber, PrintedNumber]]:
    """Yield the part and the whole that a share is said of."""

    def between(first: PrintedNumber, second: PrintedNumber) -> str:
        return sentence[first.stop - start : second.begin - start]

    if index == 0:
        return
    share, last = numbers[index], numbers[index - 1]
    joint, after = between(last, share), sentence[share.stop - start :]
    is_bracket = _BRACKET.fullmatch(joint) is not None and _BRACKET_END.match(after) is not None
    is_joined = is_bracket or (_PHRASE.fullmatch(joint) is not None and _PHRASE_END.match(after) is not None)
    if is_joined and index > 1:
        if _PART_OF.fullmatch(between(numbers[index - 2], last)):
            yield numbers[index - 2], last
        elif _OF_WHICH.fullmatch(between(numbers[index - 2], last)):
            yield last, numbers[index - 2]
        for whole in numbers[: index - 1]:
            head, link = sentence[: whole.begin - start], between(whole, last)
            is_whole = _BEFORE_WHOLE.search(head) is not None and head[-1:] != "在"
            if is_whole or re.match(r"[^,，。;；\d]{0,12}[中里][,，]?[^,，。;；\d]{0,12}$", link):
                yield last, whole
    if index + 1 < len(numbers) and _ALONE.fullmatch(joint) and _OF_THE.fullmatch(between(share, numbers[index + 1])):
        yield last, numbers[index + 1]


def _share(claim: Proposal, part: PrintedNumber, whole: PrintedNumber) -> bool:
    """Hold a share against its part and whole; returns whether they can be meant."""
    if {part.unit, whole.unit} & _MEASURED or len({part.unit, whole.unit} - {None, "items"}) > 1:
        return False
    if any(number.upto or number.bound not in {"exactly"} for number in (part, whole)):
        return False
    (low, high), (least, most) = _ends(part), _ends(whole)
    if not 0 < low <= least or int(whole.value) < 10:
        return False
    _hold(
        claim,
        f"{_plain(part.value)} / {_plain(whole.value)}",
        low / most,
        high / least,
        says=f"the share of {part.digits} in {whole.digits}",
        slack=_SLACK,
    )
    return True


def _ends(number: PrintedNumber) -> tuple[Fraction, Fraction]:
    half = last_place(number.digits) / 2 * Fraction(number.times)
    is_count = number.times == 1 and "." not in number.digits
    value = Fraction(number.value)
    return (value, value) if is_count else (value - half, value + half)


def _plain(value: object) -> str:
    return f"{float(str(value)):.12g}"


def _hold(claim: Proposal, expression: str, low: Fraction, high: Fraction, *, says: str, slack: int = 0) -> None:
    """Propose a formula that fits, or one that fails clearly; one that fits only by rounding cannot be written."""
    least, most = interval(claim)
    nominal = (low + high) / 2
    margin = (most - least) * slack
    if least <= nominal <= most:
        claim.derive = expression
        claim.grounds.append(f"is {says}")
    elif high < least - margin or most + margin < low:
        if re.search(r"\de", expression):
            return
        claim.derive = expression
        claim.grounds.append(f"is not {says}")
        claim.confidence = round(claim.confidence * 0.9, 2)


def _hold_product(claim: Proposal, product: _Computed) -> None:
    """Hold an amount against a product of two printed numbers, in its own unit."""
    unit = vocabulary_units()[claim.unit or "number"]
    if unit.factor != 1 and unit.dimension != {"second": 1}:
        return
    expression = product.expression if unit.factor == 1 else f"{product.expression} * {int(unit.factor)} second"
    value = product.value * unit.factor
    _hold(claim, expression, value, value, says="the product of the numbers before it")


@dataclass(frozen=True, slots=True)
class _Computed:
    place: tuple[int, int]
    """Where the digits of the product stand in the sentence."""
    expression: str
    value: Fraction


_N = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_MONEY = r"(?P<currency>[$€£¥¥])"
_UNIT = r"(?P<unit>GPU[- ]hour|hour|minute|request|image|page|call|month|seat|user|question)"
_PRICED = rf"{_MONEY}\s?(?P<price>{_N})\s(?:per|an?|/)\s?{_UNIT}"
_COUNT = rf"(?P<count>{_N})\s(?P<million>million\s)?(?P=unit)s?"
_PAID = rf"(?P=currency)\s?(?P<product>{_N})(?!\s?(?:per\b|an?\b|/|million|billion|[kKM]\b|[\d.,]*\d))"
_GPU_HOURS = re.compile(
    rf"(?P<count>{_N})\s(?:[A-Z]\w+\s)?(?:GPUs?|[AH][12]00s?|cards|TPUs?|nodes)\sfor\s(?P<each>{_N})\shours,"
    rf"\s(?:or\s|i\.e\.\s)?(?P<product>{_N})\s(?:GPU|card|TPU|node)[- ]hours(?:\sin\s(?:all|total))?"
)
_EACH = re.compile(
    rf"(?:\b[Ee]ach\sof\s(?:our\s|the\s)?(?P<count>{_N})\s[a-z]+\s[a-z]+\s(?P<each>{_N})\s(?P<noun>[a-z]+(?:\sper\s[a-z]+)?),"
    rf"\s(?:or\s)?(?P<product>{_N})\s(?P=noun)\s(?:in\s(?:all|total)|together|overall)|"
    rf"(?<![\d.,])(?P<count_2>{_N})\s[a-z]+\swith\s(?P<each_2>{_N})\s(?P<noun_2>[a-z]+(?:\sper\s[a-z]+)?)\seach\s[a-z]+\s"
    rf"(?P<product_2>{_N})\s(?P=noun_2)(?:\s(?:in\s(?:all|total)|together|overall))?|"
    rf"每(?:张卡|台\w{{0,6}}|个\w{{0,4}})每秒(?:可?处理|生成|完成)\s?(?P<each_3>{_N})\s?个(?P<noun_3>\w{{2,5}})"
    rf"[,,]\s?(?P<count_3>{_N})\s?[张台个]"
    rf"\w{{0,5}}每秒共(?:可?处理|生成|完成)\s?(?P<product_3>{_N})\s?个(?P=noun_3))"
)
_YEAR = re.compile(
    rf"{_MONEY}\s?(?P<each>{_N})\s(?:a|per|/)\s?month,\s(?:i\.e\.|that is|which is)\s"
    rf"(?P=currency)\s?(?P<product>{_N})\s(?:a|per|/)\s?year"
)
_PRODUCT_FORMS = (
    re.compile(
        rf"{_COUNT.replace('(?P=unit)', _UNIT)}[^\d.;]{{0,40}}?\s(?:at|for)\s{_PRICED.replace(_UNIT, '(?P=unit)')}"
        rf"[^\d.;]{{0,20}}?\s(?:costs?|pays?|is|are|=|comes? to|amounts? to)\s(?:only\s)?{_PAID}"
    ),
    re.compile(
        rf"\b[Aa]t\s{_PRICED},\s{_COUNT}[^\d.;]{{0,30}}?\s(?:costs?|is|are|=|comes? to|amounts? to)\s(?:only\s)?{_PAID}"
    ),
)
_MILLIONS = re.compile(
    rf"(?P<count>{_N})\s(?P<scale>million|billion)\s(?P<kind>(?:input|output)\s)?tokens\b[^.;$€£]{{0,50}}?\s(?:at|for)\s"
    rf"{_MONEY}\s?(?P<price>{_N})\s(?:per|a|/)\s?million(?:\s(?P=kind)?tokens)?[^\d.;]{{0,20}}?\s"
    rf"(?:costs?|pays?|is|are|=|comes? to)\s{_PAID}"
)


def _products(sentence: str) -> Iterator[_Computed]:
    """Yield what a sentence computes as a product, each with its expression."""
    for match in _GPU_HOURS.finditer(sentence):
        yield _times(match.span("product"), match["count"], match["each"])
    for match in _EACH.finditer(sentence):
        suffix = "" if match["count"] else "_2" if match["count_2"] else "_3"
        yield _times(match.span(f"product{suffix}"), match[f"count{suffix}"], match[f"each{suffix}"])
    for match in _YEAR.finditer(sentence):
        yield _times(match.span("product"), match["each"], "12")
    for form in _PRODUCT_FORMS:
        for match in form.finditer(sentence):
            yield _times(match.span("product"), match["count"], match["price"], 10**6 if match["million"] else 1)
    for match in _MILLIONS.finditer(sentence):
        yield _times(match.span("product"), match["count"], match["price"], 1000 if match["scale"] == "billion" else 1)


def _times(place: tuple[int, int], count: str, amount: str, factor: int = 1) -> _Computed:
    """The product of two printed numbers; a price is exact, and so is a count."""
    count, amount = count.replace(",", ""), amount.replace(",", "")
    value = Fraction(count) * Fraction(amount) * factor
    return _Computed(place, f"{count} * {amount}" + (f" * {factor}" if factor != 1 else ""), value)
