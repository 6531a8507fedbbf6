r"""The final answer of a worked solution: where a model states it, and its text.

A model that was asked to end in ``#### n`` (GSM8K) or ``\boxed{...}`` (MATH) does so only sometimes. `extract_strict`
reads the asked form and nothing else; `extract_flexible` reads whatever states an answer. Both take the *last* answer
that the model gives, because models recite examples before they answer:

    output -> outputs (strip_thinking, cut_run_on) -> doubts (without_retracted)
           -> extract_strict, extract_flexible -> Answer
           -> normal.normalise, evals.metrics.math_grader

`read_output` does all of it for one output. `statements` finds statements. `conclusions` reads the value of a
text that states none, with `prose` in sentences of plain text. All read values with `spans` and
`values`. All functions are pure and take time linear in the length of the text: a model may write megabytes of
braces.

Sources: openai/grade-school-math `dataset.py` @3101c7d (the form ``#### n``); hendrycks/math
`modeling/math_equivalence.py` @985bdc1 (the last box).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from evals.errors import UnknownName
from evals.metrics.math_notation import elements as elements_of
from evals.metrics.math_notation import sides
from evals.metrics.math_symbols import TEXT, tidy
from evals.tasks.scoring.math_reading.conclusions import conclude
from evals.tasks.scoring.math_reading.doubts import without_retracted
from evals.tasks.scoring.math_reading.outputs import cut_run_on, strip_thinking
from evals.tasks.scoring.math_reading.prose import ConclusionHow
from evals.tasks.scoring.math_reading.spans import spans
from evals.tasks.scoring.math_reading.statements import (
    AnswerStatement,
    last_a_line,
    last_box,
    last_colon,
    last_hash,
    last_hash_line,
    last_phrase,
    last_single_box,
)
from evals.tasks.scoring.math_reading.values import CHARACTERS

How = Literal["boxed", "####", "answer-is", "A:"] | ConclusionHow


@dataclass(frozen=True)
class Answer:
    """An answer as the model wrote it, and how it was read."""

    text: str
    r"""The answer without the words around it: ``18``, ``-3/4``, ``\frac{\pi}{2}``."""
    how: How
    """The form that stated it; ``span``, ``expression``, ``word`` or ``last-number`` where nothing stated one."""


@dataclass(frozen=True)
class ExtractedAnswers:
    """The answers that were read from one output."""

    strict: Answer | None
    """The answer in the requested form."""
    flexible: Answer | None
    """The answer in any form."""
    ran_on: bool
    """Whether the model went on with another question after its answer."""


def read_output(output: str, form: str, elements: int = 1) -> ExtractedAnswers:
    r"""Read the answer of an output, without its thinking and without the text after the answer.

    An answer in the requested form wins over others, so an answer that is right by the strict rule is right by all.

    Args:
        output: the output of a model.
        form: the requested form of the answer, `####` or `boxed`.
        elements: number of elements of the gold answer, which may stand in so many boxes.

    Example:
        >>> read_output("<think>18?</think>9 * 2 = 18\n#### 18\n\nQuestion: next", "####").flexible.text
        '18'
    """
    text, finished_thinking = strip_thinking(output)
    text, ran_on = cut_run_on(text)
    if not finished_thinking:
        return ExtractedAnswers(None, None, ran_on=False)
    text = without_retracted(text)
    strict = extract_strict(text, form)
    flexible = extract_flexible(text, elements)
    if strict and flexible and flexible.how == "boxed" and flexible.text.endswith(f" or {strict.text}"):
        strict = None  # two boxes are no answer in the requested form
    if strict is not None and (flexible is None or flexible.how != strict.how):
        flexible = strict
    return ExtractedAnswers(strict, flexible, ran_on)


def extract_strict(text: str, form: str) -> Answer | None:
    r"""Read the last answer given in the form that was asked for.

    Args:
        text: the output of a model, without thinking and run-on text; or a gold solution.
        form: ``####`` for ``#### n``, ``boxed`` for ``\boxed{...}``, ``A:`` for a line ``A: n``.

    Returns:
        The answer, or None where that form is absent, empty or cut off.

    Raises:
        UnknownName: there is no such form.

    Example:
        >>> extract_strict("9 * 2 = $18\n#### 2,125", "####")
        Answer(text='2,125', how='####')
        >>> extract_strict("so it is \\boxed{\\frac{1}{2}}.", "boxed").text
        '\\frac{1}{2}'
        >>> extract_strict("The answer is 18.", "####") is None
        True
    """
    if form not in _STRICT:
        raise UnknownName("form of answer", form, _STRICT)
    how, find = _STRICT[form]
    statement = find(text.translate(CHARACTERS))
    return Answer(statement.text, how) if statement else None


def extract_flexible(text: str, elements: int = 1) -> Answer | None:
    r"""Read the answer in whatever form the model states it.

    The last ``\boxed{...}`` or ``#### value`` counts, whichever comes later; without them the last "the answer is
    value" or line ``A: value``; without those the last value of the text (`conclusions.conclude`).

    Args:
        text: the output of a model, without thinking and run-on text.
        elements: number of elements of the gold answer; so many boxes with one element each are one answer.

    Returns:
        The answer, or None where the text gives no value.

    Example:
        >>> extract_flexible("The answer is $18 every day at the market...")
        Answer(text='18', how='answer-is')
        >>> extract_flexible("Therefore the distance is $2\\sqrt{5}$.")
        Answer(text='2\\sqrt{5}', how='span')
        >>> extract_flexible("so 3 of them are left, and 9 * 2 = 18 a day")
        Answer(text='18', how='last-number')
        >>> extract_flexible("Here, of course, is nothing.") is None
        True
    """
    text = _CALCULATOR.sub("", _END_OF_PROOF.sub("", text.translate(CHARACTERS)))
    text = _RUPEES.sub("₹", _VULGAR.sub(_fraction, text))
    deliberate: list[tuple[AnswerStatement | None, How]] = [
        (last_box(text, elements), "boxed"),
        (last_hash_line(text), "####"),
    ]
    in_words: list[tuple[AnswerStatement | None, How]] = [(last_phrase(text), "answer-is"), (last_a_line(text), "A:")]
    for statements in (deliberate, in_words):
        candidates = [(statement, how) for statement, how in statements if statement]
        if candidates:
            statement, how = max(candidates)
            return Answer(_value_in_sentence(statement.text) if how == "boxed" else statement.text, how)
    conclusion = conclude(_APPROXIMATION.sub("", text))
    return Answer(conclusion.text, conclusion.how) if conclusion else None


def _value_in_sentence(content: str) -> str:
    r"""Return the value of a box that holds a sentence, ``\text{Tom has 30 marbles}``; any other content as it is."""
    sentence = TEXT.sub(r"\1", content)
    if "\\" in sentence or not _VERB.search(sentence) or not re.search("[0-9]", sentence):
        return content
    conclusion = conclude(sentence)
    return conclusion.text if conclusion else content


def _fraction(sign: re.Match[str]) -> str:
    """Write ``½`` as 1/2; after a number it makes a mixed number."""
    before = sign.string[sign.start() - 1 : sign.start()]
    top, _, bottom = unicodedata.normalize("NFKC", sign[0].strip()).partition("\u2044")
    return f"{' ' if sign[0][0] == ' ' or before.isdigit() else ''}{top}/{bottom}"


def asked_quantities(problem: str) -> frozenset[str]:
    r"""Return the mathematical expressions that a problem asks for, without spaces and braces.

    An equation is an answer only if a name stands on its left (`evals.metrics.math_notation.value_of`), because
    ``x+y = 5`` may as well be a condition. Where the problem asks for the left side, its right side is the answer.

    Example:
        >>> sorted(asked_quantities("If $x+y=5$ and $x = 2$, what is $x - y$?"))
        ['x-y']
    """
    quantities = set[str]()
    for span in spans(problem):
        before = problem[: span.start]
        sentence_ends = list(_SENTENCE_END.finditer(before))
        sentence = before[sentence_ends[-1].end() :] if sentence_ends else before
        if "=" not in span.text and _QUESTION.search(sentence):
            quantities.add(_undressed(span.text))
    quantities |= {_undressed(asked[1]) for asked in _PLAINLY_ASKED.finditer(problem)}
    quantities |= {asked[1].casefold() for asked in _COUNTED_IN.finditer(problem)}
    return frozenset(quantities)


def asked_value(answer: str, quantities: frozenset[str]) -> str:
    """Return the value that an answer gives to a quantity of the problem; any other answer as it is.

    Args:
        answer: the answer as it was read, one equation or several.
        quantities: what `asked_quantities` returned for the problem.

    Example:
        >>> asked_value("x=2, x-y=-1", frozenset({"x-y"})), asked_value("3x-1=2", frozenset({"x"}))
        ('-1', '3x-1=2')
        >>> asked_value("5 dozen", asked_quantities("How many dozen eggs are there?"))
        '5'
    """
    counted = _COUNT.fullmatch(answer)
    if counted and counted[2] in quantities:
        return counted[1]
    if not quantities or "=" not in answer:
        return answer
    equations = elements_of(tidy(answer))
    for equation in reversed(equations if all("=" in equation for equation in equations) else []):
        first, *others = sides(equation)
        if others and others[-1] and _undressed(first) in quantities:
            return others[-1]
    return answer


def _undressed(expression: str) -> str:
    return _DRESS.sub("", tidy(expression))


_QUESTION = re.compile(
    r"\b(?:find|what|compute|determine|evaluate|how|calculate|simplify|express|value|enter|give|expand|sum|product)\b"
    r"|\A\s*(?:Question:)?\s*\Z",
    re.IGNORECASE,
)
_PLAINLY_ASKED = re.compile(r"\b(?:[Ff]ind|[Cc]ompute|[Ww]hat is) ([A-Za-z](?: ?[-+*/] ?[A-Za-z]){1,4})(?=[.?\s]|\Z)")
_COUNTED_IN = re.compile(r"\b(?:how many|in) (dozen|hundred|thousand|million)s?\b", re.IGNORECASE)
_COUNT = re.compile(r"(\$?[0-9][0-9,.]*) (dozen|hundred|thousand|million)s?")
_SENTENCE_END = re.compile(r"[.?!]\$?\s+(?=[A-Z])")
_DRESS = re.compile(r"\\(?:left|right|displaystyle|big|Big|bigl|bigr)(?![A-Za-z])|[\s{}.,;?]")
"""What the same expression may be written with or without."""
_VERB = re.compile(r"\b(?:has|have|is|are|was|were|will|gets?|earns?|makes?|needs?|costs?|takes?|there)\b")
_VULGAR = re.compile(r" ?[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
_RUPEES = re.compile(r"\b(?:Rs\.?|INR) ?(?=[0-9])")
_END_OF_PROOF = re.compile(r"\$?\\(?:blacksquare|qed|square)(?![A-Za-z])\$?|[■□∎]|\bQ\.?E\.?D\b\.?")
_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}(?:>>|\Z)")
"""GSM8K's marks of calculations, ``<<9*2=18>>``."""

_APPROXIMATION = re.compile(
    r"(?:,|\s\()?\s(?:or|which is|that is|i\.e\.,?)\s(?:approximately|about|roughly|around)\s\$?-?[0-9.,]*[0-9]\$?\)?"
)
"""A remark that gives an exact value as a decimal besides: ``\\frac{14}{3}, or about 4.67``."""

_STRICT: Mapping[str, tuple[How, Callable[[str], AnswerStatement | None]]] = {
    "####": ("####", last_hash),
    "boxed": ("boxed", last_single_box),
    "A:": ("A:", last_colon),
}
