"""Propose what follows from a product: the size of weights, tokens in a day, the price of many tokens.

A sentence must hold the factors: "7 billion parameters, so its weights take 14 GB in FP16"; "1,200 tokens per second,
or 104 million a day"; "$0.50 per million tokens, so 40 million tokens cost $20". A product that does not fit by more
than its factors leave open is held against the claim; where the sentence does not say that one follows from the other,
the claim has a way out, and is open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.relations.levels import Level, interval

_WEIGHTS = re.compile(r"\bweights?\b|\bcheckpoints?\b|model files?|权重|参数文件", re.I)
_FORMATS: tuple[tuple[re.Pattern[str], Fraction], ...] = (
    (
        re.compile(r"(?<![A-Za-z0-9])(?:fp32|float32|32[- ]?bit|single[- ]precision)(?![A-Za-z0-9])|32\s?位", re.I),
        Fraction(4),
    ),
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?:fp16|bf16|b?float16|16[- ]?bit|half[- ]precision)(?![A-Za-z0-9])|16\s?位|半精度", re.I
        ),
        Fraction(2),
    ),
    (re.compile(r"(?<![A-Za-z0-9])(?:fp8|int8|8[- ]?bit)(?![A-Za-z0-9])|8\s?(?:位|比特)", re.I), Fraction(1)),
    (re.compile(r"(?<![A-Za-z0-9])(?:int4|fp4|nf4|4[- ]?bit)(?![A-Za-z0-9])|4\s?(?:位|比特)", re.I), Fraction(1, 2)),
)
_ANY_FORMAT = re.compile(r"\b(?:q\d_\w+|gptq|awq|gguf|mixed[- ]precision|int[23]|[236][- ]bit|fp6)\b|混合精度", re.I)
"""Formats whose size is not plain, so that nothing follows."""
_GIBI = Fraction(2**30, 10**9)
_DAY = re.compile(
    r"\W{0,3}(?:tokens?|requests?|images?|词元|个)?[\s\w]{0,8}?(?:per day|a day|/\s?day|daily|each day)\b", re.I
)
_DAY_BEFORE = re.compile(r"(?:每天|每日|一天)[^\d,。;]{0,8}$")
_PER_MILLION = re.compile(
    r"\W{0,6}(?:per|/|for every|every)\s?(?:1\s?)?(?P<count>million|M|1M|thousand|K|1K|1,?000)\s?(?:tokens?|词元)", re.I
)
_PER_MILLION_BEFORE = re.compile(r"(?:每|/)\s?(?P<count>百万|千|万)\s?(?:个\s?)?(?:tokens?|词元)[^\d,。;]{0,8}$", re.I)
_COUNTS = {"million": 6, "m": 6, "1m": 6, "百万": 6, "thousand": 3, "k": 3, "1k": 3, "1000": 3, "千": 3, "万": 4}
_FOLLOWS = re.compile(
    r"\b(?:so|therefore|thus|hence|i\.e\.|which (?:is|means|makes|gives)|that is|equals?|or)\b|"
    r"[=\u2248]|即|相当于|因此|所以|也就是|等于",
    re.I,
)
_SLACK = Fraction(1, 5)
"""How far a product may be off before it is held against a claim: rounding, overhead, other tables of weights."""
_LOSSLESS = 2
"""Number of bytes of a parameter from which weights are stored without scales, so that more is too much too."""


@dataclass(frozen=True, slots=True)
class _Product:
    """What a claim should be, by other values."""

    text: str
    """The expression."""
    low: Fraction
    high: Fraction
    says: str


def propose_product(claim: Proposal, known: Sequence[Level], source: str) -> None:
    """Propose that a value is the product of others of its sentence.

    Args:
        claim: a value of the text.
        known: the values of the article.
        source: the source of the article.
    """
    if claim.derive or claim.compares or claim.upto is not None or claim.bound not in {"exactly", "about"}:
        return
    sentence = source[claim.sentence[0] : claim.sentence[1]]
    beside = [
        level
        for level in known
        if level.table is None and level.id != claim.id and claim.sentence[0] <= level.span[0] < claim.sentence[1]
    ]
    value = next((level for level in known if level.id == claim.id), None)
    if value is None:
        return
    if set(value.unit.dimension) == {"bit"}:
        _weights(claim, beside, sentence)
    elif claim.unit in {"tokens", "items", "images"}:
        _per_day(claim, value, beside, source)
    elif claim.unit in {"dollars", "euros", "yuan", "pounds"}:
        _cost(claim, beside, source)


def _weights(claim: Proposal, beside: Sequence[Level], sentence: str) -> None:
    sizes = [level for level in beside if level.quantity == "parameters" and level.is_plain]
    formats = {size for words, size in _FORMATS if words.search(sentence)}
    others = [level for level in beside if set(level.unit.dimension) == {"bit"}]
    if len(sizes) != 1 or len(formats) != 1 or others or _ANY_FORMAT.search(sentence):
        return
    if sizes[0].subject != claim.subject:
        return
    size, width = sizes[0], formats.pop()
    expected = _Product(
        f"{size.id} * {_plain(width)} byte/parameter",
        size.low * 8 * width,
        size.high * 8 * width,
        "the size of its weights",
    )
    low, high = interval(claim)
    if _meets(expected, low, high):
        _fit(claim, expected)
        return
    middle = (low + high) / (expected.low + expected.high)
    is_small = middle < 1 - _SLACK
    if not is_small and (middle < (1 + _SLACK) * _GIBI or width < _LOSSLESS or not _WEIGHTS.search(sentence)):
        return
    way_out = None if _WEIGHTS.search(sentence) else "weights that are partly elsewhere, or in another format"
    _fail(claim, expected, way_out)
    claim.readings = [
        {"says": "in gigabytes"},
        {"says": "in gibibytes", "derive": f"({expected.text}) / 1.0737"},
    ]


def _per_day(claim: Proposal, value: Level, beside: Sequence[Level], source: str) -> None:
    after, before = source[claim.span[1] : claim.span[1] + 40], source[max(0, claim.span[0] - 24) : claim.span[0]]
    if not (_DAY.match(after) or _DAY_BEFORE.search(before)):
        return
    claim.quantity, claim.quantity_says = f"{claim.unit}-per-day", f"{claim.unit} in a day"
    rates = [
        level for level in beside if level.unit.dimension == {**value.unit.dimension, "second": -1} and level.is_plain
    ]
    if len(rates) != 1 or rates[0].subject != claim.subject:
        return
    rate = rates[0]
    day = _Product(f"{rate.id} * 86400 second", rate.low * 86400, rate.high * 86400, "what its rate gives in a day")
    _hold(claim, day, _is_stated_to_follow(claim, rate, source), "a rate that is not kept all day")


def _cost(claim: Proposal, beside: Sequence[Level], source: str) -> None:
    prices = [(level, power) for level in beside if (power := _per_tokens_of(level.span, source))]
    tokens = [level for level in beside if level.unit.dimension == {"token": 1} and level.is_plain]
    amounts = [level for level in beside if level.unit.dimension == prices[0][0].unit.dimension] if prices else []
    if len(prices) != 1 or len(tokens) != 1 or len(amounts) != 1 or _per_tokens_of(claim.span, source):
        return
    (price, power_of_ten), count = prices[0], tokens[0]
    factor = Fraction(10) ** power_of_ten
    total = _Product(
        f"{price.id} * {count.id} / ({10**power_of_ten} token)",
        price.low * count.low / factor,
        price.high * count.high / factor,
        "the price of so many tokens",
    )
    _hold(claim, total, _is_stated_to_follow(claim, price, source), "other charges, or another price of some tokens")


def _per_tokens_of(span: tuple[int, int], source: str) -> int | None:
    """The power of ten of the tokens that a price is for; None if it is no price of tokens."""
    match = _PER_MILLION.match(source, span[1]) or _PER_MILLION_BEFORE.search(source[max(0, span[0] - 30) : span[0]])
    return None if match is None else _COUNTS[match["count"].lower().replace(",", "")]


def _is_stated_to_follow(claim: Proposal, level: Level, source: str) -> bool:
    """Whether the text says that the claim follows from a value before it."""
    return level.span[1] <= claim.span[0] and _FOLLOWS.search(source[level.span[1] : claim.span[0]]) is not None


def _hold(claim: Proposal, product: _Product, follows: bool, way_out: str) -> None:
    low, high = interval(claim)
    if _meets(product, low, high):
        _fit(claim, product)
    elif abs((low + high) / (product.low + product.high) - 1) > _SLACK:
        _fail(claim, product, None if follows else way_out)


def _meets(product: _Product, low: Fraction, high: Fraction) -> bool:
    return product.low <= high and low <= product.high


def _fit(claim: Proposal, product: _Product) -> None:
    claim.derive = product.text
    claim.grounds.append(f"is {product.says}")


def _fail(claim: Proposal, product: _Product, way_out: str | None) -> None:
    claim.derive = product.text
    claim.escapes = [way_out] if way_out else []
    claim.grounds.append(f"is not {product.says}")
    claim.confidence = round(claim.confidence * 0.9, 2)


def _plain(value: Fraction) -> str:
    return f"{float(value):g}"
