r"""The value that a sentence in plain text gives: ``She earns 4 * 5 = 20 dollars in 3 days.`` gives 20.

The result of a calculation wins over other numbers. Otherwise the last expression counts, except for numbers of
circumstances: "100 dollars over 5 years" gives 100. A number inside a longer expression is never read alone.

All functions are pure. They read one sentence of at most a few thousand characters.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from evals.metrics.math_notation import EQUALS
from evals.tasks.scoring.math_reading.values import QUANTITY, MathText, expression_at, last_match, runs, signed

ConclusionHow = Literal["span", "expression", "word", "last-number"]


class Conclusion(NamedTuple):
    """The value of a sentence, and what it is."""

    text: str
    how: ConclusionHow


_ASIDE = re.compile(
    r",? (?:because|of which|of whom|such that|whose|whereas|while)\b|, who\b"
    r"|,? with (?=\S{1,12} (?:\w+ )?(?:left|remaining|to spare))"
    r"|,? (?:which (?:is|was)|i\.e\.,?) (?=\S{1,12} [^.,]{0,40}\b(?:than)\b)"
    r"|(?<=[0-9a-z]):(?= [A-Z][a-z]+ (?:is|has|was|gets|had)\b)"
)
"""What begins a clause after the main clause, which has the value."""
_PREPOSITION = re.compile(
    r"\b(?:in|over|after|within|during|for(?! an? )|than|per|before|at(?! most| least)"
    r"|on|by the|when|among|with(?= (?:\\?\$|his|her|their|our))"
    r"|to(?= (?!(?:be|an?|the|our|find|obtain|get|give|yield|finish|reach|see)\b)[a-z])|out of|each of"
    r"|(?<![%f] )of (?:the|his|her|its|their|these|those))\b"
)
_GOAL = re.compile(
    r"\A[^.,;]{0,8}\bmore\b[^.,;]{0,40} to (?:have|reach|get|make)\b"
    r"|\bbefore (?:he|she|it|they|reaching)\b|\bat the end of\b"
)
"""What leads from an amount to the goal it serves: "35 more stickers to have 100"."""
_CLAUSE = re.compile(
    r"[,;:=()]|\b(?:and|or|so|then|but|which|that|is|are|was|were|be|has|have|had|will|would|can|could|must|should"
    r"|needs?|gives?|gets?|makes?|pays?|costs?|earns?|leaves?|leads?|equals?|becomes?|wants?|takes?|spends?|contains?"
    r"|ends?|yields?|find|obtain|substitute|total of)\b"
)
"""What begins another clause, or another statement in the same clause."""
_INTRODUCED = re.compile(
    r"(?:\b(?:is|are|equals?|becomes?|leaves?|makes?|gives?|gets?)(?: (?:about|now|only|still|just))?|=) ?\Z"
)
"""What comes before a number that is the subject's value."""
_VERB = re.compile(r"(?:\b(?:is|are|equals?|be|was|were|becomes|gives|get|obtain|have)|:)\s+(?=[^\s])")
_REMARK_AT_END = re.compile(r"(?<=[\w%°$*])\s\((?=[^()]*[A-Za-z]{2})[^()]*\)(?=[\s.!*]*\Z)")
_REMARK = re.compile(r"(?<=[a-z]) \((?=[^()]*\b(?:of|each|per|at)\b)[^()]{0,60}[0-9][^()]{0,60}\)(?= [a-z])")
_SUBJECT = re.compile(
    r"\s*(?:(?:so|thus|therefore|hence),? )?(?P<value>\\?\$?[0-9][0-9,.]*(?: [a-z]+)?) (?:is|are|was) (?:the"
    r"|our|her|his|their)"
    r" (?:total|number|answer|amount|cost|price|sum|final|value|result|age)\b",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"\b[aA] (?=\\?[$€£¥₹]?[0-9])")
_TIMES = re.compile(r"(?:(?<=[0-9)%])|\A) ?[xX] ?(?=\\?[$€£¥₹(]?[0-9(.])")
_UNIT = re.compile(r"(?<=[0-9]) ?(?:[a-z]{2,5}|[a-z]{1,7}illion|hundred|thousand)\b|\\\$")
_VARIABLE = re.compile(r"\s*[A-Za-z]\s*=(?!=)")
_SOLUTIONS = re.compile(
    r"(?<![+*/^=-] )(?<![\w.+*/^=-])(?P<solutions>(?P<name>[A-Za-z]) ?= ?[^\s=]{1,40}"
    r"(?:,? (?:or|and) (?P=name) ?= ?[^\s=]{1,40})+?)[.!]?\s*\Z"
)
"""Several values of one variable: ``x = 5 or x = -3``."""
_HAS_SUBSTANCE = re.compile(r"[0-9\\√∞πA-Za-z]")


def prose_value(sentence: str) -> Conclusion | None:
    r"""Read the value of a sentence in plain text; a list only where the sentence ends in it.

    Example:
        >>> prose_value("So they scored 4+5=9 points in the 40 minutes.")
        Conclusion(text='9', how='last-number')
        >>> prose_value("That is 100 dollars in total over 5 years.").text, prose_value("We get 52_8.").text
        ('100', '52_8')
        >>> prose_value("The solutions are 5 and -3.").text, prose_value("It takes from 10-18 days.").text
        ('5 and -3', '10-18')
    """
    sentence = _REMARK.sub(lambda remark: " " * len(remark[0]), _without_remark(sentence))
    if (subject := _SUBJECT.match(sentence)) and (value := prose_value(subject["value"])):
        return value
    if values := _list_at_end(sentence):
        return Conclusion(values, "expression")
    expressions = runs(_ARTICLE.sub(lambda article: " " * len(article[0]), sentence))
    for expression in reversed(_up_to_the_value(sentence, expressions)):
        text = result_of(expression.text)
        if is_number(text):
            number = last_match(QUANTITY, sentence[: expression.end])
            if number is None or number.end() != expression.end:
                number = last_match(QUANTITY, expression.text)
            if number:
                return Conclusion(signed(number), "last-number")
        if text:
            return Conclusion(text, "expression")
    return None


def _without_remark(sentence: str) -> str:
    """Replace the remark in brackets that ends a sentence after a number; the result of a calculation is no remark."""
    remark = _REMARK_AT_END.search(sentence)
    if remark is None or not last_match(QUANTITY, sentence[: remark.start()]):
        return sentence
    if any("=" in expression.text and _gives_a_result(expression.text) for expression in runs(remark[0])):
        return sentence
    return sentence[: remark.start()] + " " * len(remark[0]) + sentence[remark.end() :]


def main_part(sentence: str) -> str:
    """Return a sentence without the clauses that only explain its value.

    Example:
        >>> main_part("He can buy 400 because 400 is greater than 300.")
        'He can buy 400'
    """
    aside = _ASIDE.search(sentence)
    return sentence[: aside.start()] if aside else sentence


def before_circumstances(sentence: str, values: list[MathText]) -> list[MathText]:
    """Return the values up to the last one that is no circumstance of the value before it.

    A circumstance follows a preposition in the same clause: ``5 years`` in "100 dollars in total over 5 years".
    """
    while len(values) > 1:
        currency = sentence.startswith("$", values[-1].start)
        between = sentence[values[-2].end : values[-1].start + currency]
        if not _GOAL.search(between) and (not _PREPOSITION.search(between) or _CLAUSE.search(between)):
            break
        values = values[:-1]
    return values


def result_of(text: str) -> str:
    """Return the last side of a calculation or an assignment; any other expression as it is.

    Example:
        >>> result_of("x = 9 * 2 = 18"), result_of("$3 x 4 = $12"), result_of("3x - 1 = 2")
        ('18', '$12', '3x - 1 = 2')
    """
    if not _gives_a_result(text):
        return text
    result = EQUALS.split(text)[-1].strip()
    for opening, closing in ("()", "[]"):
        while result.endswith(closing) and result.count(closing) > result.count(opening):
            result = result[:-1].rstrip()
    return result


def is_number(text: str) -> bool:
    """Return whether a text is a number, with a sign of currency or after ``x =``."""
    number = _VARIABLE.sub("", text).strip().lstrip("-+$€£¥₹ ").removeprefix("\\$")
    return QUANTITY.fullmatch(number) is not None


def _gives_a_result(text: str) -> bool:
    """Return whether an equation has nothing but numbers, after at most one variable: ``9 * 2 = 18``, ``x = 18``."""
    if "=" not in text or re.search("[<>]", text):
        return False
    without_variable = _VARIABLE.sub("", text)
    if _VARIABLE.match(text) and "=" not in without_variable:
        return True
    return not re.search(r"[A-Za-z\\]", _UNIT.sub("", _TIMES.sub("*", without_variable)))


def _up_to_the_value(sentence: str, expressions: list[MathText]) -> list[MathText]:
    """Return the expressions up to the one that is the value of the sentence."""
    results = [number for number, expression in enumerate(expressions) if _is_result(sentence, expression)]
    if results:
        later = expressions[results[-1] + 1 :]
        if not any(_INTRODUCED.search(sentence[: expression.start]) for expression in later):
            return expressions[: results[-1] + 1]
    main_clause = [expression for expression in expressions if expression.end <= len(main_part(sentence))]
    return before_circumstances(sentence, main_clause or expressions)


def _is_result(sentence: str, expression: MathText) -> bool:
    """Return whether an expression ends in the result of a calculation: ``4+5=9``, "2 each for 3 = 6"."""
    is_right_side = "=" not in expression.text and sentence[: expression.start].rstrip(" $-").endswith("=")
    return is_right_side or ("=" in expression.text and _gives_a_result(expression.text))


def _list_at_end(sentence: str) -> str | None:
    """Return the list of values, joined by "and", "or" or commas, that ends a sentence."""
    solutions = _SOLUTIONS.search(sentence)
    if solutions:
        return solutions["solutions"]
    for verb in reversed(list(_VERB.finditer(sentence))):
        value = expression_at(sentence, verb.end())
        if value is None:
            continue
        ends_here = not sentence[value.end :].strip(" .!\"'`*)")
        first_value = expression_at(sentence, verb.end(), lists=False)
        if ends_here and first_value and not is_number(value.text) and _HAS_SUBSTANCE.search(value.text):
            return result_of(value.text)
        return None
    return None
