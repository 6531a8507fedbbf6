"""Find numbers in plain text: digits or words, what they count, their unit, range, deviation and bound.

English and Chinese: `1.3 billion`, `13亿`, `2-64`, `±0.3`, `at least 85 %`, `85%以上`, `half`, `三成`, `twice`, `3倍`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from evals.reports.claims.drafting.language.number_words import SpelledNumber, find_words
from evals.reports.claims.drafting.language.units import DATA_AFTER, UNITS, unit_around
from evals.reports.claims.drafting.language.words import entries, joined, pattern
from evals.reports.claims.language.statements import Bound

DIGITS = r"(?:\d{1,3}(?:[,{}]{1,3}\d{3})+(?![\d])|\d+)(?:\.\d+)?|(?<![\d\w])\.\d+"
_NUMBER = re.compile(
    rf"(?<![\d.])(?P<sign>(?<![\w\d)\]])[-−+]\s?)?(?P<digits>{DIGITS})(?:(?P<exponent>[eE][-+]?\d{{1,2}})(?!\w))?"
)
_ENGLISH_COUNTS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_CHINESE_COUNTS = {
    **{"万亿": 12, "千亿": 11, "百亿": 10, "十亿": 9, "千万": 7, "百万": 6, "十万": 5, "亿": 8, "万": 4, "千": 3},
}
_LETTERS = {"k": 3, "K": 3, "M": 6, "B": 9, "T": 12, "bn": 9, "mn": 6}
_COUNT = pattern("numbers.count")
_POWER = re.compile(r"\s?[×·x]\s?10\s?\^\s?\{?\s?(?P<power>\d{1,2})(?!\d)\s?\}?")
_RANGE = re.compile(rf"\s*(?P<dash>-|–|—|~|〜|～|to(?=\s)|and(?=\s)|到|至)\s*\+?(?P<upto>{DIGITS})(?![\d.]*[-–])")
_DEVIATION = re.compile(rf"\s*(?:±|\+/-|\\pm)\s*(?P<half>{DIGITS})")
_CURRENCY = {"$": "dollars", "US$": "dollars", "€": "euros", "£": "pounds", "¥": "yuan", "￥": "yuan"}
_CURRENCY_BEFORE = re.compile(r"(?P<symbol>US\$|[$€£¥￥])\s?$")
_BOUNDS_BEFORE: tuple[tuple[re.Pattern[str], Bound], ...] = tuple(
    (re.compile(joined(row["any"])), row["bound"]) for row in entries("bounds_before")
)
_BOUNDS_AFTER: tuple[tuple[re.Pattern[str], Bound], ...] = tuple(
    (re.compile(joined(row["any"])), row["bound"]) for row in entries("bounds_after")
)
_HYPHEN_NAME = re.compile(r"[A-Za-z]$")


@dataclass(frozen=True, slots=True)
class PrintedNumber:
    """A number in a text, and what it counts."""

    start: int
    """Index of its first character; a sign or currency symbol is no part of it."""
    end: int
    """Index after its last digit or word."""
    stop: int
    """Index after its unit."""
    digits: str
    """The digits without separators of thousands."""
    times: Decimal = Decimal(1)
    """The factor that the digits count."""
    unit: str | None = None
    """A unit of the vocabulary; None for a bare number."""
    noun: str = ""
    """The words that give the unit."""
    bound: Bound = "exactly"
    upto: str | None = None
    plus_minus: str | None = None
    is_word: bool = False
    """Whether it is given in words, and so implied."""
    is_negative: bool = False
    begin: int = -1
    """Index of the first character of its words of bound."""

    @property
    def value(self) -> Decimal:
        """The number in its unit."""
        return Decimal(self.digits) * self.times


def find_numbers(text: str) -> Iterator[PrintedNumber]:
    """Find the numbers of a text, in order; whether they are claims is decided elsewhere.

    Example:
        >>> [(n.digits, int(n.times), n.unit, n.bound) for n in find_numbers("V3 has at least 1.3 billion parameters.")]
        [('3', 1, None, 'exactly'), ('1.3', 1000000000, 'parameters', 'at-least')]
        >>> [(n.digits, n.upto, n.unit) for n in find_numbers("自动激活2-64个专家")]
        [('2', '64', 'experts')]
    """
    taken, numbers = 0, []
    matches: list[tuple[int, int, SpelledNumber | re.Match[str]]] = [
        *((word.start, 0, word) for word in find_words(text)),
        *((match.start(), 1, match) for match in _NUMBER.finditer(text)),
    ]
    for start, _, entry in sorted(matches, key=lambda entry: entry[:2]):
        if start < taken:
            continue
        number = _from_words(text, entry) if isinstance(entry, SpelledNumber) else _from_digits(text, entry)
        taken = number.stop if number.upto or number.plus_minus else number.end
        numbers.append(number)
    yield from _shared_units(text, numbers)


def _from_digits(text: str, match: re.Match[str]) -> PrintedNumber:
    start, end = match.start("digits"), match.end()
    digits = re.sub(r"[,{}]", "", match["digits"])
    times = Decimal(f"1{match['exponent'].lower()}") if match["exponent"] else Decimal(1)
    number = PrintedNumber(start, end, end, f"0{digits}" if digits.startswith(".") else digits, times)
    sign = (match["sign"] or "").strip()
    number = replace(number, is_negative=sign in {"-", "−"} and sign != "", begin=match.start())
    return _with_context(text, number, match.start())


def _from_words(text: str, word: SpelledNumber) -> PrintedNumber:
    number = PrintedNumber(word.start, word.end, word.end, word.digits, unit=word.unit, is_word=True, begin=word.start)
    return _with_context(text, number, word.start) if word.unit is None else _bounded(text, number, word.start)


def _with_context(text: str, number: PrintedNumber, left: int) -> PrintedNumber:
    """Read what stands around the digits: a currency, a count, a range, a deviation, a unit, a bound."""
    if currency := _CURRENCY_BEFORE.search(text, max(0, left - 4), left):
        number, left = replace(number, unit=_CURRENCY[currency["symbol"]]), currency.start()
    number = _counted(text, number)
    number = _ranged(text, number)
    if plus := re.match(r"\+(?!\s?\d|/)", text[number.stop :]):
        number = replace(number, stop=number.stop + plus.end(), bound="at-least")
    if deviation := _DEVIATION.match(text, number.stop):
        half = re.sub(r"[,{}]", "", deviation["half"])
        number = replace(number, plus_minus=half, stop=deviation.end())
    if number.unit is None:
        number = _with_unit(text, number)
    return _bounded(text, number, left)


def _counted(text: str, number: PrintedNumber) -> PrintedNumber:
    if ten := _POWER.match(text, number.end):
        stop = ten.end()
        return replace(number, times=number.times * Decimal(10) ** int(ten["power"]), end=stop, stop=stop)
    if count := _COUNT.match(text, number.end):
        power = (
            _LETTERS[count["letter"]]
            if count["letter"]
            else _ENGLISH_COUNTS[count["word"].strip(" \u00a0-\n").lower()]
            if count["word"]
            else _CHINESE_COUNTS[count["chinese"]]
        )
        stop = count.end()
        return replace(number, times=number.times * Decimal(10) ** power, end=stop, stop=stop)
    return number


def _ranged(text: str, number: PrintedNumber) -> PrintedNumber:
    if number.begin and re.match(r"[A-Za-z_]", text[number.begin - 1]):  # in1k - 88.1 %
        return number
    matched = _RANGE.match(text, number.stop)
    unit = None
    if matched is None and (shown := _unit_at(text, number.stop)):
        unit = shown
        matched = _RANGE.match(text, shown[2])
    if matched is None:
        return number
    before = text[max(0, number.begin - 30) : number.begin].lower()
    if matched["dash"] == "and" and not before.rstrip().endswith("between"):
        return number
    is_change = re.search(r"(?:from|\bby|由|从|自|了)\s*$", before) and not re.search(
        r"rang\w+ (?:in \w+ )?from\s*$", before
    )
    is_span = re.search(r"\bby\s*$", before) and matched["dash"] in {"-", "–"}
    if is_change and not is_span and matched["dash"] in {"to", "到", "至", "-", "–"}:
        return number
    upto = re.sub(r"[,{}]", "", matched["upto"])
    if Decimal(upto) < Decimal(number.digits):
        return number
    tail = _counted(text, PrintedNumber(matched.start("upto"), matched.end(), matched.end(), upto))
    times = tail.times if number.times == 1 else number.times
    if number.times != 1 and tail.times not in {1, number.times}:
        return number
    if unit is not None and matched["dash"] in {"-", "to", "至", "到"} and _unit_at(text, tail.stop) is None:
        return number
    return replace(number, upto=upto, times=times, end=tail.end, stop=tail.stop)


def _with_unit(text: str, number: PrintedNumber) -> PrintedNumber:
    more = _AND_MORE.match(text, number.stop)
    if shown := _unit_at(text, number.stop) or (_unit_at(text, more.end()) if more else None):
        unit, noun, stop, factor = shown
        if unit == "models" and number.times >= 1000 and noun.startswith("context"):
            unit = "tokens"
        elif unit == "models" and number.times >= 1_000_000:
            unit = "parameters"
        if unit == "tokens" and _EACH_SECOND.search(text[max(0, number.begin - 12) : number.begin]):
            unit = "tokens-per-second"
        if unit == "images" and _EACH_SECOND.search(text[max(0, number.begin - 12) : number.begin]):
            unit = "images-per-second"
        if noun in {"个", "名", "位"} and "专家" in text[max(0, number.begin - 16) : number.begin]:
            unit = "experts"
        return replace(number, unit=unit, noun=noun, stop=stop, times=number.times * factor)
    if (
        DATA_AFTER.match(text, number.end) is None
        and number.times == 10**9
        and text[number.end - 1 : number.end] == "B"
        and number.end - number.start > 1
    ):
        is_of_text = _TOKENS_BEFORE.search(text[max(0, number.begin - 20) : number.begin]) is not None
        return replace(number, unit="tokens" if is_of_text else "parameters", noun="B")
    return _unit_around(text, number)


_AND_MORE = re.compile(r"\s?(?:余|多(?=张|条|篇|名|位|次|家|天|(?:个)?小时|个(?!模|语|任)))")  # 7万余张图片
_TOKENS_BEFORE = re.compile(
    r"(?:token|词元)(?:总?数量?|总?量)?(?:高?达到?|为|是|约|共|超过?|[::]){0,3}\s*$", re.I
)  # token数达到5.4B
_EACH_SECOND = re.compile(r"每秒[可达能约到最高多生成处理输出了\s]{0,6}$")


def _unit_around(text: str, number: PrintedNumber) -> PrintedNumber:
    """Read what a number without a unit counts from the words around it."""
    around = unit_around(text, number.begin, number.end, times=number.times, value=number.value)
    return number if around is None else replace(number, unit=around[0], noun=around[1])


def _unit_at(text: str, place: int) -> tuple[str, str, int, Decimal] | None:
    """The unit that begins at a place: its name, its words, where they end, and their factor."""
    for words, name, factor in UNITS:
        if match := words.match(text, place):
            return name, match[0].strip(" \u00a0-\n"), match.end(), factor
    return None


def _bounded(text: str, number: PrintedNumber, left: int) -> PrintedNumber:
    """Read "over", "about", "以上" around a number."""
    window = max(0, left - 24)
    before = text[window:left]
    for words, bound in _BOUNDS_BEFORE:
        if match := words.search(before):
            word = match[0].strip().lower()
            if word.isalpha() and word.isascii() and match.start() and before[match.start() - 1].isalpha():
                continue
            return replace(number, bound=bound, begin=window + match.start())
    for place in (number.stop, number.end):
        for words, bound in _BOUNDS_AFTER:
            if match := words.match(text, place):
                return replace(number, bound=bound, stop=max(number.stop, match.end()), begin=left)
    return replace(number, begin=left)


def _shared_units(text: str, numbers: list[PrintedNumber]) -> Iterator[PrintedNumber]:
    """Give a bare number the unit of the next one, if only a joining word stands between them: "1.2 and 3.4 GB"."""
    numbers = list(_listed_units(text, list(_carried_units(text, numbers))))
    for number, following in zip(numbers, [*numbers[1:], None], strict=False):
        if following is not None and number.unit is None and following.unit is not None and not number.is_word:
            between = text[number.stop : following.begin]
            if re.fullmatch(r"\s*(?:and|or|to|/|、|和|与|及|→|->|=>|versus|vs\.?)\s*", between) and _alike(
                number, following
            ):
                yield replace(
                    number,
                    unit=following.unit,
                    noun=following.noun,
                    times=following.times if number.times == 1 else number.times,
                )
                continue
        yield number


def _listed_units(text: str, numbers: list[PrintedNumber]) -> Iterator[PrintedNumber]:
    """Give large counts of a list the unit of its last: "1.3 billion active and 6.9 billion total parameters"."""
    result: list[PrintedNumber] = []
    for number in reversed(numbers):
        following = result[-1] if result else None
        if (
            following is not None
            and number.unit is None
            and text[number.start : number.end].endswith("illion")
            and following.unit in {"parameters", "tokens"}
            and _IN_LIST.fullmatch(text[number.stop : following.begin])
        ):
            number = replace(number, unit=following.unit, noun=following.noun)
        result.append(number)
    return reversed(result)


_IN_LIST = re.compile(r"(?:\s(?:active|activated|total|live))?(?:\s?,\s?(?:and\s)?|\s(?:and|or|of)\s)")


def _carried_units(text: str, numbers: list[PrintedNumber]) -> Iterator[PrintedNumber]:
    """Give a bare count the unit of the one before it: "3.8 billion parameters, while Tern has 1.9 billion"."""
    last: PrintedNumber | None = None
    for number in numbers:
        is_bare = number.unit is None and not number.is_word
        if is_bare and last is not None and _is_elliptic(text, last, number):
            number = replace(number, unit=last.unit, noun=last.noun, times=last.times)
            is_bare = False
        if is_bare and last is not None and last.unit is not None and "\n\n" not in text[last.stop : number.start]:
            between = text[last.stop : number.begin]
            is_count = (
                number.times >= 1000
                and last.times >= 1000
                and not (number.times == 1000 and last.unit == "parameters")
                and not _IN_NAME.search(text[max(0, last.start - 3) : last.start])
                and last.unit in {"parameters", "tokens"}
                and len(between) < 120
            )
            is_second = number.times == 1 and last.unit in _CARRIED and _AND_SYSTEM.fullmatch(between) is not None
            is_second |= between.strip() == "to" and text[: last.begin].rstrip().endswith("from")
            if (is_count and not re.search(r"(?<!vs)[.。]\s", between)) or is_second:
                number = replace(number, unit=last.unit, noun=last.noun)
        is_factor = number.unit == "times" and number.is_word
        is_digit = number.unit is None and len(number.digits) < 3 and number.times == 1
        if not (is_factor or is_digit):  # "half the size of Otter 1, which had 12 billion"
            last = number
        yield number


def _is_elliptic(text: str, last: PrintedNumber, number: PrintedNumber) -> bool:
    """Whether a bare number is a second value of the unit before it: "185 tokens/s, compared with 74 for Otter 1"."""
    between = text[last.stop : number.begin]
    is_alike = Decimal("0.03") < number.value * last.times / last.value < 30 if last.value else False
    return (
        is_alike
        and number.times == 1
        and last.unit in _CARRIED | ({"dollars"} if last.times < 1 else set())
        and len(between) < 100
        and not re.search(r"(?<!vs)[.。](?:\s|$)", between)
        and _SECOND_BEFORE.search(between) is not None
        and _SECOND_AFTER.match(text, number.end) is not None
    )


_SECOND_BEFORE = pattern("numbers.second_before")


_SECOND_AFTER = re.compile(r"\s*(?:[,.;:)](?!\d)|$|\s(?:for|on|in|of|with|before|at)\b)")
_IN_NAME = re.compile(r"\w-$|[A-Za-z]$")  # before digits of a name: ChatGLM-6B
_AND_SYSTEM = re.compile(
    r"(?:\s*,)?\s*(?:and|while|whereas|versus|vs\.?|but|against)\s+[A-Z][\w. -]{1,24}\s"
    r"(?:only |just |needs |takes |has |gets )?"
)
_CARRIED = frozenset(
    [
        "tokens-per-second",
        "requests-per-second",
        "images-per-second",
        "milliseconds",
        "seconds",
        "gigabytes",
        "megabytes",
        "minutes",
        "hours",
        "layers",
    ]
)


def _alike(number: PrintedNumber, following: PrintedNumber) -> bool:
    return _HYPHEN_NAME.search(number.noun) is None and following.unit not in {None, "parameters"}
