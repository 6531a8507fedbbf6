r"""The answer of a text that states none: the last value of its last sentences.

Sentences are read from the end. In a sentence, a marked value (``$…$``, bold) wins over an expression in plain text,
which wins over a number; a number that is only part of an expression, a word or a unit is never read alone. Sentences
that only remark on the answer ("This is about 4.47.") are passed over while others state a value.

All functions are pure and read the end of the text, so they take time linear in its length.
"""

from __future__ import annotations

import re

from evals.metrics.math_quantities import NUMERAL, numeral
from evals.tasks.scoring.math_reading.doubts import doubts, refuses
from evals.tasks.scoring.math_reading.prose import (
    Conclusion,
    before_circumstances,
    is_number,
    main_part,
    prose_value,
    result_of,
)
from evals.tasks.scoring.math_reading.spans import bolds, is_value, on_one_line, spans
from evals.tasks.scoring.math_reading.values import QUANTITY, MathText, expression_at, last_match, signed

TAIL = 6_000
"""Characters at the end of a text that are read; a longer solution concludes in them too."""
MAX_SENTENCES = 60

_NEXT = r"(?=[\"'(*$\\]*[A-Z0-9\\$])"
_SENTENCE_END = re.compile(
    rf"(?<=[.!?])(?<!\\!)[\"')*]*\s+{_NEXT}|(?:(?<=[.!?]\$)|(?<=[.!?]\\\)))\s+(?=[A-Z$\\])"
    rf"|(?:(?<=[.!?]\$\$)|(?<=[.!?]\\\]))\s*(?=[A-Z$\\])|[。！？]|\n+|,?\s(?=(?:and )?(?:we )?check\b)"
)
_REMARK = re.compile(
    r"[\s(*_]*(?:note|(?:and )?(?:we )?check|this (?:is|gives|was|took)(?= (?:about|approximately|roughly|nearly))"
    r"|verif|recall|remember|i hope|hope|the other|here|or about|approximately|if you|let me know)\b",
    re.IGNORECASE,
)
_CUE = re.compile(r"\b(?:thus|therefore|hence|so|finally|conclude|final|there (?:are|is))\b", re.IGNORECASE)
_CONCLUDES = re.compile(r"\b(?:thus|therefore|hence|so|finally|answer)\b", re.IGNORECASE)
_GIVES = re.compile(
    r"\b(?:is|are|takes?|costs?|equals?|needs?|makes?|has|have|earns?|get|gets) (?:her |him |them |only )?\Z"
)
_CONDITION = re.compile(r"[\s*_]*(?:since|because|if|when|let|with|for|given|as|where|using)\b", re.IGNORECASE)
_STATES_ANOTHER = re.compile(r"(?:\bis|\bare|=|\bhas|\bhave|\bmakes?|\bleaves)\s+\$?(?=[0-9])")
_NAME = re.compile(
    r"\b(?:is|was|are|be)\s+(?:in |on |to |the |an? )?(?P<name>[A-Z][\w'-]+|\(?[A-Z]\)?|[a-z]+)[\s.)\"'*]*\Z"
)
_NO_NAME = re.compile(
    r"(?:correct|right|wrong|done|it|nothing|true|false|not|so|here|there|good|possible|impossible|easy|clear|enough|positive|negative|equal)\Z"
)
_PLAIN = r"\$?-?[0-9][0-9,]*(?:\.[0-9]+)?\$?"
_DENIED = re.compile(
    rf"(?:\bnot|n't|n’t|\bnever|\bcannot)(?: be| equal(?: to)?| exactly)* {_PLAIN}(?=[\s.,;!]|\Z)"
    rf"|\b(?:is|are|be|was|were) (?:less|greater|more|fewer|smaller|larger|bigger) than {_PLAIN}(?=[\s.,;!]|\Z)"
    rf"|(?<![\w.,$-]){_PLAIN} (?:is|was) (?:wrong|incorrect|impossible|not (?:right|correct|possible|the answer))\b"
    rf"|\b(?:answer|result|value|x|n)\b[^.,;\n]{{0,30}}? (?:is|be) (?:at least|at most|no (?:more|less"
    rf"|fewer) than|up to|over|under)"
    rf" {_PLAIN}(?=[\s.,;!]|\Z)"
    rf"|\b[Bb]etween {_PLAIN} and {_PLAIN}(?=[\s.,;!]|\Z)"
)
"""Numbers that a text denies or only bounds a value with: "not 12", "less than 2", "12 is wrong"."""
_NO_SOLUTION = re.compile(
    r"[\s*_]*(?:(?:so|thus|therefore|hence),? )?(?:there (?:is|are) |(?:the|this) (?:equation|system|inequality"
    r"|problem) has )?"
    r"no (?:real |integer |such )?solutions?\b(?! (?:other|besides|except))",
    re.IGNORECASE,
)
_CHANCES = re.compile(
    r"((?:probability|chances?|odds|likelihood)\b[^.\n]{0,80}?\b[0-9]{1,4}) (?:in"
    r"|out of) ([0-9]{1,5})(?=[.,!]?\s*(?:\n|\Z))",
    re.IGNORECASE,
)
"""A probability in words: 3 in 4."""
_EITHER = re.compile(r"\b[Ee]ither (?=[-$\\]*[0-9])")
_CUT_OFF_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_DRAWING = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL)
_LINE_START = re.compile(r"[\s>|#]*(?:[-*•]\s+)?(?=\S)")
_NO_ANSWER = re.compile(r"\s*\(?(?:[A-Za-z]|\\[A-Za-z]+|[A-Z]{2,4})(?:, ?[A-Za-z])*\)?\s*")
"""Names of variables, points and tuples of them; a letter is an answer only where something says so."""
_UNIT = re.compile(r"\s*\\(?:text|mathrm|mbox)\s*\{[^{}]*\}(?:\^\{?[0-9]\}?)?\s*")
_CONSTANTS = ("\\pi", "\\infty", "\\emptyset")


def conclude(text: str) -> Conclusion | None:
    r"""Read the answer of a text that states none.

    Example:
        >>> conclude("Therefore the distance is $2\\sqrt{5}$. This is about 4.47.").text
        '2\\sqrt{5}'
        >>> conclude("She picks **12** apples, of which **3** are red.").text
        '12'
        >>> conclude("We get 52_8."), conclude("The serial number is AZYUK2A.").how
        (Conclusion(text='52_8', how='expression'), 'word')
    """
    text = on_one_line(_CUT_OFF_BOX.sub("", _DRAWING.sub("", text[-TAIL:])))
    text = _EITHER.sub("", _DENIED.sub(lambda denied: " " * len(denied[0]), text))
    text = _CHANCES.sub(r"\1/\2", text)
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()][-MAX_SENTENCES:]
    sentences = [sentence for sentence in _stated(sentences) if not doubts(sentence)]
    if not sentences:
        return None
    last = sentences[-1]
    if _NO_SOLUTION.match(last):
        return Conclusion("no solution", "word")
    value_in_words = _value_in_words(last)
    for passed_over in (_REMARK, None):
        for sentence in reversed(sentences):
            if passed_over and passed_over.match(sentence) and sentence is not sentences[0]:
                continue
            for reader in (_line_value, _marked_value, prose_value):
                if conclusion := reader(sentence):
                    return conclusion
            if sentence is last and value_in_words:
                return value_in_words
    return value_in_words


def _stated(sentences: list[str]) -> list[str]:
    """Return the sentences from which an answer may be read: after "I cannot solve this", only those that conclude."""
    refusals = [number for number, sentence in enumerate(sentences) if refuses(sentence)]
    return (
        [sentence for sentence in sentences[refusals[-1] + 1 :] if _CONCLUDES.search(sentence)]
        if refusals
        else sentences
    )


def _line_value(sentence: str) -> Conclusion | None:
    """Read a sentence or line that is nothing but a value."""
    line_start = _LINE_START.match(sentence)
    start = line_start.end() if line_start else 0
    if re.fullmatch(r"\s*[A-Za-z]\s*\.?\s*", sentence):
        return None
    value = expression_at(sentence, start)
    if value is None or sentence[value.end :].strip(" .|*`") or is_number(value.text):
        return None
    text = result_of(value.text)
    return Conclusion(text, "expression") if re.search(r"[0-9\\√∞πA-Za-z]", text) and not is_number(text) else None


def _marked_value(sentence: str) -> Conclusion | None:
    """Read the last span of mathematics or bold value, unless the sentence goes on from it to another number."""
    marked = [span for span in spans(sentence) if _is_answer(span.text) and not _is_unit(sentence, span)]
    marked = sorted([*marked, *_bold_values(sentence)], key=_start)
    if not marked:
        return None
    main_clause = [value for value in marked if value.end <= len(main_part(sentence))]
    value = before_circumstances(sentence, main_clause or marked)[-1]
    after = sentence[value.end :]
    if _CONDITION.match(sentence) and (later_value := prose_value(after)):
        return later_value
    if re.fullmatch(r"[A-Z][a-z]+", value.text) and (later_value := prose_value(after)):
        return later_value
    if another := _STATES_ANOTHER.search(after):
        return prose_value(after[another.start() :])
    return Conclusion(value.text, "span")


def _start(value: MathText) -> int:
    return value.start


def _is_answer(text: str) -> bool:
    return (bool(text) and not _NO_ANSWER.fullmatch(text)) or text.strip() in _CONSTANTS


def _is_unit(sentence: str, span: MathText) -> bool:
    r"""Return whether a span only has the unit of the number before it: ``14 $\text{cm}^2$``."""
    return bool(_UNIT.fullmatch(span.text)) and sentence[: span.start].rstrip()[-1:].isdigit()


def _bold_values(sentence: str) -> list[MathText]:
    values = list[MathText]()
    for bold in bolds(sentence):
        marked = spans(bold.text)
        if marked and _is_answer(marked[-1].text):
            values.append(MathText(marked[-1].text, bold.start, bold.end))
        elif is_value(bold.text) or re.fullmatch(r"\(?[A-Z]\)?|[A-Z][a-z]+", bold.text):
            values.append(MathText(bold.text.strip("$"), bold.start, bold.end))
        elif QUANTITY.match(bold.text.lstrip("$€£¥₹-")) and not re.match(r"[0-9]+[.):]", bold.text):
            values.append(MathText(signed_number(bold.text) or bold.text, bold.start, bold.end))
    return values


def signed_number(text: str) -> str | None:
    """Return the first number of a text with its sign, or None."""
    number = QUANTITY.search(text)
    return signed(number) if number else None


def _value_in_words(sentence: str) -> Conclusion | None:
    """Read a name or a numeral in words that a sentence without numbers ends in."""
    if re.fullmatch(r"\s*(?:[A-Z]|[A-Z][a-z]{2,20})[\s.]*", sentence) and sentence.strip(" .") not in (
        "Done",
        "I",
        "A",
    ):
        return Conclusion(sentence.strip(" .\n"), "word")
    in_words = last_match(NUMERAL, sentence)
    concludes = _CUE.search(sentence) or (in_words and _GIVES.search(sentence[: in_words.start()]))
    if in_words and concludes and not re.search("[0-9]", sentence):
        if numeral(in_words[0]) is None:
            return None  # part of a longer word or numeral
        return Conclusion(in_words[0].lower(), "word")
    name = _NAME.search(sentence)
    if name is None or _NO_NAME.match(name["name"]) or re.search(r"[$\\]", sentence):
        return None
    if name["name"][0].isupper() or _CUE.search(sentence):
        return Conclusion(name["name"].strip("()"), "word")
    return None
