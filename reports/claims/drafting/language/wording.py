"""What the words around a number say: whether it is a change, in which direction, and what it measures."""

from __future__ import annotations

import functools
import re

from evals.reports.claims.drafting.language.lexicon import (
    BENCHMARKS,
    BY_UNIT,
    CHANGES,
    DECREASE,
    INCREASE,
    METRICS,
    QuantityWords,
)
from evals.reports.claims.drafting.language.listed import listed_quantity
from evals.reports.claims.drafting.language.numbers import PrintedNumber
from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.text.passages import Passage

_CHANGE_BEFORE = pattern("wording.change_before")
_CHANGE_AFTER = pattern("wording.change_after")
_LEVEL_BEFORE = pattern("wording.level_before")
_SHARE_AFTER = re.compile(r"^\W{0,2}(?:of\b|accuracy|以上的?|的)", re.I)
_SCORE = pattern("wording.score")
_FOLLOWING = re.compile(r"^[^\d,,。;;()(]{0,24}?(?:\bon|\bin|\bfor|\bat|在)\s+(?:the\s+)?(?:[\w-]+\s)?$")
_UNKNOWN_BENCHMARK = re.compile(
    r"^[^\d,,。;;]{0,14}?\bon\s+(?:the\s+)?"
    r"(?P<name>(?:[A-Z][\w-]* ){0,2}[A-Z]?[\w-]*[Bb]ench(?![a-z])(?: v?\d(?:\.\d)?)?|"
    r"[A-Z][\w-]*[A-Z0-9][\w-]*(?:\s[A-Z]\w+)?)"
)
_REST_OF_PAIR = re.compile(r"\s?[,\u3001]\s?[-+\u2212]\d+(?:\.\d+)?\s?%\s?[))]")
_FAR = 60
_COUNTED = re.compile(
    r"\s+(?!(?:on|in|for|at|and|to|vs|versus|of|by|with|while|but|from|over|points?|percent)\b)[a-z][a-z-]{2,}"
)
"""A noun after a whole number without a unit: it counts something, and is no score."""
_TIMES_WORD = pattern("wording.times_word")
_METRIC_EQUALS = re.compile(r"(?:F1|AUC|mAP|IoU|BLEU|WER|CER|[Aa]cc(?:uracy)?|score)\s?=\s?$")
_MONEY = frozenset(("dollars", "euros", "pounds", "yuan"))
_PRICED = re.compile(r"\bcosts?\s*(?:only|just|about|around|roughly|at most|up to|as little as)?\s*$", re.I)
_PART_WORD = re.compile(
    r"(?:an?|one)[\s-](?:half|third|quarter|(?:four|fif|six|seven|eigh|nin|ten|eleven|twelf|hundred)th)", re.I
)
_PART_AFTER = re.compile(
    r"\s*(?:$|[,.;:!?)(]|(?:of|the|as|less|fewer|more|lower|higher|smaller|larger|cheaper|faster|slower|to|in|on|at|and|"
    r"for|when|with|over|compared)\b)"
)
"""What follows "a third" where it is a share, unlike "a third party"."""
_FEW = {"layers": 4, "items": 1, "tokens": 1, "experts": 1}
"""For each unit the number up to which words ("three layers") state nothing about a system."""
REAL_TIME = re.compile(r"\s?(?:倍)?\s?(?:实时|real[- ]?time\b)", re.I)
"""What follows a speed that is stated as a multiple of real time: 13x 实时."""
_FACTOR_OF = re.compile(r"\s?(?:NVIDIA\s)?(?:[A-Z]{1,3}\d{2,4}|RTX|TPU|GPU|AMD|Intel|[a-z]+_[a-z])")
"""What is counted or scaled after a factor that compares nothing: "8x H100", "1x model_size"."""


def is_change(text: str, number: PrintedNumber, clause: tuple[int, int]) -> bool:
    """Whether a number is a difference, a ratio or a relative change rather than a level.

    Example:
        >>> from evals.reports.claims.drafting.language.numbers import find_numbers
        >>> text = "accuracy rises by 5 % to 78.3 %"
        >>> [is_change(text, number, (0, len(text))) for number in find_numbers(text)]
        [True, False]
    """
    before, after = text[clause[0] : number.begin], text[number.stop : clause[1]]
    if number.unit == "times" and REAL_TIME.match(text, number.stop):
        return False
    if number.unit in {"points", "times"}:
        return not (number.unit == "points" and re.search(r"scor\w*\s(?:of\s)?$", before, re.I))
    if re.search(r"[-+−]", text[number.begin : number.start]) and number.unit == "percent":
        return True
    if number.unit is None and re.search(r"[((]\s?\+\s?$", text[: number.start][-4:]):
        return True
    if number.unit in _MONEY and _PRICED.search(before):
        return False
    if _CHANGE_AFTER.match(after):
        return number.unit is not None
    if re.search(r"\bbetween\s*$", before, re.I) or (number.upto and number.unit != "percent"):
        return False
    if _LEVEL_BEFORE.search(before) and not re.search(r"(?:by|up to)\s*$", before, re.I):
        return False
    if _CHANGE_BEFORE.search(before):
        return number.unit is not None or re.search(r"[-+−]\s?$", before) is None
    return bool(number.unit == "percent" and re.search(r"保持|retain|keeps?\b", before, re.I))


def direction(text: str, number: PrintedNumber, clause: tuple[int, int]) -> int:
    """Return 1 if the words say more, -1 if they say less, 0 if they say neither."""
    near = text[max(clause[0], number.begin - 28) : min(clause[1], number.stop + 18)]
    up, down = INCREASE.search(near), DECREASE.search(near)
    if bool(up) == bool(down):
        return 0
    return 1 if up else -1


def is_claim(passage: Passage, number: PrintedNumber) -> bool:
    """Whether a number states something: it has a unit, or stands where a score stands."""
    text, clause, sentence = passage.text.text, passage.clause(number.start), passage.sentence(number.start)
    before, after = text[clause[0] : number.begin], text[number.stop : clause[1]]
    if re.match(
        r"\W*(?:if|when your|should you|如果|若|假如)(?![a-z])", text[sentence[0] : number.start], re.I
    ) and number.unit not in {"percent", "points", "times"}:
        return False
    if number.is_word and text[: number.start].rstrip().endswith("每"):
        return False  # per million
    if number.is_word and text[number.start].isascii() and number.value <= _FEW.get(number.unit or "", 0):
        return False  # "organized in three layers", "in one language"
    if number.unit == "models" and number.is_word and (number.value <= 3 or text[number.start].isascii()):
        return False
    if number.unit == "times":
        if _is_label(text, number, clause) or _FACTOR_OF.match(text[number.stop :]):
            return False
        if number.noun == "times" and not _TIMES_WORD.match(text[number.stop :]):
            return False
        if number.is_word and text[number.start : number.end].lower() == "third":
            return bool(re.match(r"\s+of\b", text[number.stop :]))
        if number.is_word and _PART_WORD.fullmatch(text[number.start : number.end]):
            return _PART_AFTER.match(text[number.stop :]) is not None
        if number.is_word and text[number.start : number.end].lower() in {"half", "double"}:
            return not re.match(r"[\s-](?:a|an|life|year|hour|day|precision|check)\b", text[number.stop :])
        return True
    if number.unit in {"days", "hours"} and re.match(
        r"[\s-](?:trial|free|money|guarantee|support|return)", text[number.stop :]
    ):
        return False
    if number.unit is not None:
        return number.noun not in {"benchmarks", "datasets", "data sets"} or number.value > 100
    whole = "." not in number.digits
    if whole and _COUNTED.match(text[number.stop :]):
        return False
    compared = not whole and (re.search(r"\bvs\.?\s*$", text[: number.begin][-8:]) or re.match(r"\s*vs\b", after))
    if compared and re.search(r"\d\s?%", text[sentence[0] : sentence[1]]):
        return True
    scored = (
        _SCORE.search(before[-60:])
        or re.search(r"\bis\s*$", before)
        or _METRIC_EQUALS.search(before)
        or _SCORE.search(after[:20])
        or re.search(r"[::(/]\s*$", before)
    )
    if number.times != 1 or (whole and not scored and not _benchmark_after(after)):
        return False
    is_set = re.search(r"[A-Za-z]\s?=\s?$", before) and not _METRIC_EQUALS.search(before)
    if is_set or re.match(r"\s*[/%]?\s*(?:个|款|种|大|年|月|日|号|点|次)", text[number.stop :]):
        return False
    if whole and not (5 < int(number.digits[:9]) <= 100 and _SCORE.search(before[-24:])):
        return False
    return _names_score(text[sentence[0] : sentence[1]])


def _is_label(text: str, number: PrintedNumber, clause: tuple[int, int]) -> bool:
    """Whether a factor in brackets ends a few words that compare nothing, as below a video: "Wipe the table (4x)"."""
    words = text[max(clause[0], number.begin - 60) : number.begin]
    return bool(
        re.search(r"[((]\s?$", words)
        and re.match(r"\s?[))]\s*\W?\s*$", text[number.stop :])
        and len(text) < 80
        and not re.search(r"\d", words)
        and not (INCREASE.search(words) or DECREASE.search(words))
    )


@functools.lru_cache(maxsize=64)
def _names_score(text: str) -> bool:
    """Whether a sentence names a benchmark or a metric."""
    return any(words.pattern.search(text) for words in (*BENCHMARKS, *METRICS) if words.pattern is not None)


def _benchmark_after(after: str) -> QuantityWords | None:
    """The benchmark that follows a number at once: "74.4 % on GSM8K"."""
    for words in BENCHMARKS:
        assert words.pattern is not None
        if (match := words.pattern.search(after[:60])) and _FOLLOWING.match(after[: match.start()]):
            return words
    return None


def score_quantity(passage: Passage, number: PrintedNumber) -> tuple[QuantityWords | None, str]:
    """Return the benchmark or metric of a score, and where it was named."""
    text, (first, last) = passage.text.text, passage.sentence(number.start)
    clause = passage.clause(number.start)
    following = next((other.begin for other in passage.numbers if other.start > number.end), last)
    after = text[number.stop : min(last, following if following > number.stop else last)]
    if (bracket := _REST_OF_PAIR.match(text, number.stop)) and re.search(r"[((]\s?$", text[: number.begin][-3:]):
        after = text[bracket.end() : last][:_FAR]  # (41 %, +16.5 %) on B
    if (listed := listed_quantity(passage, number)) is not None:
        return listed, "named in the same order"
    if number.unit is None and (open_metric := _open_metric(text[first : number.begin])):
        benchmark = _last(text[first : number.begin])
        return _on_benchmark(open_metric, benchmark), "named in the sentence"
    if words := _benchmark_after(after):
        return words, "named after the number"
    if match := _UNKNOWN_BENCHMARK.match(after):
        name = match["name"]
        from evals.reports.claims.drafting.language.lexicon import slug

        return QuantityWords(slug(name), f"score on {name}", "quality", None, True), "named after the number"
    if (words := _last(text[first : number.begin])) is not None:
        return words, "named before the number"
    if (words := _first(text[number.stop : last])) is not None:
        return words, "named in the sentence"
    for part, where in ((text[clause[0] : clause[1]], "in the clause"), (text[first:last], "in the sentence")):
        for metric in METRICS:
            assert metric.pattern is not None
            if metric.pattern.search(part):
                return metric, f"named {where}"
    return None, ""


OPEN_METRICS = frozenset(
    (
        *("perplexity", "bleu", "rouge", "real-time-factor", "satisfaction"),
        *("frechet-distance", "psnr", "ssim", "lpips", "rmse"),
    )
)
"""Metrics that are no share."""


def _open_metric(before: str) -> QuantityWords | None:
    """The metric without an upper limit that a sentence names before a number, if it names no other metric there."""
    named = [words for words in METRICS if words.pattern is not None and words.pattern.search(before)]
    return named[0] if len(named) == 1 and named[0].id in OPEN_METRICS else None


def _on_benchmark(metric: QuantityWords, benchmark: QuantityWords | None) -> QuantityWords:
    """The metric on a data set that a sentence names: the perplexities on two sets are two quantities."""
    if benchmark is None:
        return metric
    name = benchmark.says.partition(" on ")[2] or benchmark.id
    return QuantityWords(f"{metric.id}-on-{benchmark.id}", f"{metric.says} on {name}", "quality", None, True)


def _last(text: str) -> QuantityWords | None:
    """The benchmark that is named last."""
    places = [
        (match.end(), match.end() - match.start(), words)
        for words in BENCHMARKS
        if words.pattern is not None
        for match in words.pattern.finditer(text)
    ]
    return max(places, key=lambda place: place[:2])[2] if places else None


def _first(text: str) -> QuantityWords | None:
    places = [
        (match.start(), match.start() - match.end(), words)
        for words in BENCHMARKS
        if words.pattern is not None
        for match in words.pattern.finditer(text)
    ]
    return min(places, key=lambda place: place[:2])[2] if places else None


def cost_quantity(unit: str, *texts: str) -> tuple[QuantityWords | None, str]:
    """Return the quantity of a number with a unit of cost or size, by the words of its clause, then of its sentence."""
    candidates = BY_UNIT.get(unit, ())
    for text, where in zip(texts, ("in the clause", "in the sentence", "in the heading"), strict=False):
        for words in candidates:
            if words.pattern is not None and words.pattern.pattern and words.pattern.search(text):
                return words, f"named {where}"
    return (candidates[-1], "") if candidates else (None, "")


def size_quantity(passage: Passage, number: PrintedNumber, heading: str) -> tuple[QuantityWords | None, str]:
    """Return the quantity of a number of parameters, experts or tokens, by the words that belong to this number.

    A sentence often has two of them: "16 billion parameters with 2 billion active", "12T tokens and a context of 32K".
    """
    text, (first, last) = passage.text.text, passage.sentence(number.start)
    before = max((other.stop for other in passage.numbers if other.stop <= number.begin), default=first)
    after = min((other.begin for other in passage.numbers if other.begin >= number.end), default=last)
    around = (
        _PHRASE_END.split(text[number.end : min(max(after, number.end), last)])[0][:_AROUND],
        _PHRASE_END.split(text[max(before, first, number.begin - _AROUND) : number.begin])[-1],
    )
    candidates = BY_UNIT.get(number.unit or "", ())
    if number.unit == "tokens":
        possible = [words for words in candidates if _may_be(words.id, number, text[first:last])]
        candidates = tuple(possible) if candidates[-1] in possible else (*possible, _TOKEN_COUNT)
    for part, where in ((around[0], "after the number"), (around[1], "before the number")):
        for words in candidates[:-1]:
            if words.pattern is not None and words.pattern.search(part):
                return words, f"named {where}"
    if number.unit == "tokens":
        clause = passage.clause(number.start)
        parts = (text[slice(*clause)], text[first:last], heading) if number.value < _LONG_TEXT else ()
        for words in candidates[:-1]:
            if any(words.pattern is not None and words.pattern.search(part) for part in parts):
                return words, "named in the sentence"
    return (candidates[-1], "") if candidates else (None, "")


def _may_be(quantity: str, number: PrintedNumber, sentence: str) -> bool:
    """Whether a number of tokens may be that quantity: no context has a billion, no training a few thousand."""
    if quantity == "training-tokens":
        return number.value >= _SHORT_TRAINING or re.search(r"train|训练|corpus|语料", sentence, re.I) is not None
    return number.value < _LONG_TEXT


_PHRASE_END = re.compile(r"[,;:(),;。、]|\b(?:and|with|while|of which|compared|than|or)\b|其中|而")
_AROUND = 40
"""Number of characters beside a number in which words are taken to belong to it."""
_TOKEN_COUNT = QuantityWords("token-count", "tokens that are counted", "quality")
_LONG_TEXT, _SHORT_TRAINING = 10**9, 10**6
"""Numbers of tokens: no context is as long, no training as short."""


def change_quantity(text: str, number: PrintedNumber, part: tuple[int, int]) -> QuantityWords | None:
    """Return what a change in percent or times is a change of: by the words just after it, else the nearest before it.

    Args:
        text: the text.
        number: the change.
        part: start and end of the clause or sentence in which the words are looked for.
    """
    first, last = part
    after = text[number.stop : last]
    for words in CHANGES:
        if (match := _search(words, after[:_AT_ONCE])) and match.start() <= _AT_ONCE // 2:
            return words
    before = text[first : number.begin]
    named = [
        (match.end(), -n, words)
        for n, words in enumerate((*CHANGES, *_METRIC_CHANGES))
        if words.pattern is not None
        for match in words.pattern.finditer(before)
    ]
    if named:
        return max(named, key=lambda place: place[:2])[2]
    return next((words for words in CHANGES if _search(words, after)), None)


_AT_ONCE = 24
"""Number of characters after a number in which a word is taken to belong to it: "2.3 times faster"."""
_METRIC_CHANGES = tuple(
    QuantityWords(f"{words.id}-change", f"change of {words.says}", words.kind, words.pattern)
    for words in METRICS
    if words.id not in {"accuracy", "average-score", "error-rate"}
)


def _search(words: QuantityWords, text: str) -> re.Match[str] | None:
    return None if words.pattern is None else words.pattern.search(text)
