r"""The answer of a text that states none: the last value of its last sentences.

Sentences are read from the end. In a sentence, a marked value (``$…$``, bold) wins over an expression in plain text,
which wins over a number; a number that is only part of an expression, a word or a unit is never read alone. Sentences
that only remark on the answer ("This is about 4.47.") are passed over while others state a value.

All functions are pure and read the end of the text, so they take time linear in its length.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from evals.tasks.scoring.math_spans import bolds, is_value, spans
from evals.tasks.scoring.math_values import QUANTITY, MathText, expression_at, last_match, runs, signed

TAIL = 6_000
"""Characters at the end of a text that are read; a longer solution concludes in them too."""
MAX_SENTENCES = 60

ConclusionHow = Literal["span", "expression", "word", "last-number"]


class Conclusion(NamedTuple):
    """The value of a sentence, and what it is."""

    text: str
    how: ConclusionHow


_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\\!)[\"')*]*\s+(?=[\"'(*$\\]*[A-Z0-9\\$])|[。！？]|\n+|,?\s(?=(?:and )?(?:we )?check\b)"
)
_REMARK = re.compile(
    r"[\s(*_]*(?:note|(?:and )?(?:we )?check|this (?:is|gives|means|follows|was|took)|that is|these|there (?:were|was)"
    r"|because|since|verif|recall|remember|which"
    r"|it (?:follows|is easy)|i hope|hope|the other|here|where|in other words|or about|approximately|if you"
    r"|let me know)\b",
    re.IGNORECASE,
)
_CUE = re.compile(r"\b(?:thus|therefore|hence|so|finally|conclude|final|there (?:are|is))\b", re.IGNORECASE)
_CONDITION = re.compile(r"[\s*_]*(?:since|because|if|when|let|with|for|given|as|where|using)\b", re.IGNORECASE)
_IS = re.compile(r"(?:\b(?:is|are|equals?|be|was|were|becomes|gives|get|obtain|have)|:)\s+(?=[^\s])")
_NUMERAL_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_NUMERAL = re.compile(rf"\b(?:{'|'.join(_NUMERAL_WORDS)})\b", re.IGNORECASE)
_NAME = re.compile(
    r"\b(?:is|was|are|be)\s+(?:in |on |to |the |an? )?(?P<name>[A-Z][\w'-]+|\(?[A-Z]\)?|[a-z]+)[\s.)\"'*]*\Z"
)
_NO_NAME = re.compile(
    r"(?:correct|right|wrong|done|it|nothing|true|false|not|so|here|there|good|possible|impossible|easy|clear|enough|positive|negative|equal)\Z"
)
_CUT_OFF_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_BARE = re.compile(r"[\s>|#]*(?:[-*•]\s+)?(?=\S)")
_ASSIGNED = re.compile(r"\s*[A-Za-z]\s*=\s*(?=[^=]*\Z)")
_RANGE = re.compile(r"-?[$€£¥]?[0-9]+(?:[.,][0-9]+)*(?:\s*[-/]\s*[$€£¥]?[0-9]+(?:[.,][0-9]+)*)+\s*%?")
"""Numbers between hyphens or slashes: a range, a date or steps rather than a value; the last number counts."""


def conclude(text: str) -> Conclusion | None:
    r"""Read the answer of a text that states none.

    Example:
        >>> conclude("Therefore the distance is $2\\sqrt{5}$. This is about 4.47.").text
        '2\\sqrt{5}'
        >>> conclude("so 3 of them are left, and 9 - 5 = 20-18")
        Conclusion(text='18', how='last-number')
        >>> conclude("We get 52_8."), conclude("The serial number is AZYUK2A.").how
        (Conclusion(text='52_8', how='expression'), 'word')
    """
    text = _CUT_OFF_BOX.sub("", text[-TAIL:])
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()][-MAX_SENTENCES:]
    if not sentences:
        return None
    last = sentences[-1]
    named = _named(last)
    for passed_over in (_REMARK, None):
        for sentence in reversed(sentences):
            if passed_over and passed_over.match(sentence) and sentence is not sentences[0]:
                continue
            for read in (_whole, _marked, _plain):
                if conclusion := read(sentence):
                    return conclusion
            if sentence is last and named:
                return named
    return named


def _whole(sentence: str) -> Conclusion | None:
    """Read a sentence or line that is nothing but a value."""
    bare = _BARE.match(sentence)
    start = bare.end() if bare else 0
    if re.fullmatch(r"\s*[A-Za-z]\s*\.?\s*", sentence):
        return None
    value = expression_at(sentence, start)
    if (
        value is None
        or sentence[value.end :].strip(" .|*`")
        or _is_number(value.text)
        or _RANGE.fullmatch(value.text)
        or _calculates(value.text)
    ):
        return None
    return Conclusion(value.text, "expression") if re.search(r"[0-9\\√∞πA-Za-z]", value.text) else None


def _marked(sentence: str) -> Conclusion | None:
    """Read the last span of mathematics or bold value, unless the sentence goes on from it to another number."""
    marked = [*(span for span in spans(sentence) if _is_answer(span.text)), *_bold_values(sentence)]
    if not marked:
        return None
    value = max(marked, key=lambda span: span.start)
    after = sentence[value.end :]
    if _CONDITION.match(sentence) and (later := _plain(after)):
        return later
    if later_number := re.search(r"(?:\bis|\bare|=|\bhas|\bhave|\bmakes?|\bleaves)\s+\$?(?=[0-9])", after):
        return _plain(after[later_number.start() :])
    return Conclusion(value.text, "span")


def _is_answer(text: str) -> bool:
    return (bool(text) and not re.fullmatch(r"\s*(?:[A-Za-z]|\\[A-Za-z]+|[A-Z]{2,4})\s*", text)) or text.strip() in (
        "\\pi",
        "\\infty",
        "\\emptyset",
    )


def _bold_values(sentence: str) -> list[MathText]:
    values = list[MathText]()
    for bold in bolds(sentence):
        marked = spans(bold.text)
        if marked and _is_answer(marked[-1].text):
            values.append(MathText(marked[-1].text, bold.start, bold.end))
        elif is_value(bold.text) or re.fullmatch(r"\(?[A-Z]\)?|[A-Z][a-z]+", bold.text):
            values.append(MathText(bold.text.strip("$"), bold.start, bold.end))
        elif QUANTITY.match(bold.text.lstrip("$€£¥-")) and not re.match(r"[0-9]+[.):]", bold.text):
            values.append(MathText(signed_number(bold.text) or bold.text, bold.start, bold.end))
    return values


def _plain(sentence: str) -> Conclusion | None:
    """Read the last expression of a sentence in plain text; a list only where the sentence ends in it."""
    listed = _listed(sentence)
    if listed:
        return Conclusion(listed, "expression")
    for run in reversed(runs(sentence)):
        last_part = (
            re.split(r"(?<![<>!=])=(?!=)", run.text)[-1].strip()
            if _ASSIGNED.match(run.text) or _calculates(run.text)
            else run.text
        )
        if _is_number(last_part) or _RANGE.fullmatch(last_part):
            number = last_match(QUANTITY, sentence[: run.end])
            if number and number.end() == run.end:
                return Conclusion(signed(number), "last-number")
            number = last_match(QUANTITY, run.text)
            if number:
                return Conclusion(signed(number), "last-number")
        if last_part:
            return Conclusion(last_part, "expression")
    return None


def _listed(sentence: str) -> str | None:
    """Return the list of values, joined by "and", "or" or commas, that ends a sentence after its verb."""
    for verb in reversed(list(_IS.finditer(sentence))):
        value = expression_at(sentence, verb.end())
        if value is None:
            continue
        closed = not sentence[value.end :].strip(" .!\"'`*)")
        single = expression_at(sentence, verb.end(), lists=False)
        if closed and single and not _is_number(value.text) and re.search(r"[0-9\\√∞πA-Za-z]", value.text):
            return value.text if not _RANGE.fullmatch(value.text) else None
        return None
    return None


def _calculates(text: str) -> bool:
    """Return whether an equation only has numbers: ``9 * 2 = 18``."""
    return "=" in text and not re.search(r"[A-Za-z\\<>]", text)


def _is_number(text: str) -> bool:
    number = QUANTITY.fullmatch(_ASSIGNED.sub("", text).strip().lstrip("-+$€£¥ ").removeprefix("\\$"))
    return number is not None


def signed_number(text: str) -> str | None:
    """Return the first number of a text with its sign, or None."""
    number = QUANTITY.search(text)
    return signed(number) if number else None


def _named(sentence: str) -> Conclusion | None:
    """Read a name or a numeral in words that a sentence without numbers ends in."""
    if re.fullmatch(r"\s*(?:[A-Z]|[A-Z][a-z]{2,20})[\s.]*", sentence) and sentence.strip(" .") not in (
        "Done",
        "I",
        "A",
    ):
        return Conclusion(sentence.strip(" .\n"), "word")
    numeral = last_match(_NUMERAL, sentence)
    if numeral and _CUE.search(sentence) and not re.search("[0-9]", sentence):
        return Conclusion(numeral[0].lower(), "word")
    name = _NAME.search(sentence)
    if name is None or _NO_NAME.match(name["name"]) or re.search(r"[$\\]", sentence):
        return None
    if name["name"][0].isupper() or _CUE.search(sentence):
        return Conclusion(name["name"].strip("()"), "word")
    return None
