"""What an answer is worth by VQA's accuracy: a text and what the annotators said, to a fraction.

For each annotator, how many of the others said the same, divided by three and at most 1; then the mean over all. So if
1, 2, 3 or 4 of ten say it, it is worth 0.3, 0.6, 0.9 or 1. Before texts are compared they are normalised (case, marks,
number words, articles, contractions), by one of three rules that are in use. Their numbers are not comparable, so each
has a name of its own:

    accuracy                      the official scorer since 2021: texts as they are written where all annotators agree
                                  ("Yes" is wrong if all say "yes"), else all normalised
    accuracy-2017                 the official scorer before: the answer always normalised; the annotators' answers only
                                  lose their marks, and only where they differ
    accuracy-always-normalised    all normalised always, as in MMF and its descendants; never below `accuracy`

Official: GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py, at a013f00 (2021) and c4e6a0e (before),
read as Python 3. Its quirks are kept, and named where they are. It tells annotators apart by all that is recorded of
them; here they are told apart by their place, which is the same where `answer_id` is theirs alone, as in all official
files. The same formula serves other numbers of annotators than ten; a single one makes every answer worth 0.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evals import data

_TABLES = data.read_json(Path(__file__).with_name("vqa_tables.json"), dict[str, Any])
PUNCTUATION: list[str] = _TABLES["punctuation"]
NUMBER_WORDS: dict[str, str] = _TABLES["number_words"]
ARTICLES: list[str] = _TABLES["articles"]
CONTRACTIONS: dict[str, str] = _TABLES["contractions"]
PERIOD: re.Pattern[str] = re.compile(_TABLES["period_expression"])
r"""A full stop without a digit after it. `(?!<=\d)`, meant to look behind, always holds: "3." becomes "3"."""
DIGIT_COMMA_DIGIT: re.Pattern[str] = re.compile(_TABLES["comma_expression"])
_REMEMBERED = 1 << 17
"""Texts whose forms are kept; a question's answers are mostly those of many others."""


def accuracy(answer: str, given: Sequence[str]) -> float:
    """Score an answer as the official scorer does since 2021: nothing is normalised where all annotators agree.

    Example:
        >>> ten = ["two"] * 3 + ["2"] * 6 + ["many"]
        >>> accuracy("Two.", ten), accuracy("many", ten), accuracy("Yes", ["yes"] * 10)
        (1.0, 0.3, 0.0)
    """
    answer, given = clean(answer), [clean(text) for text in given]
    if len(set(given)) == 1:
        return agreement(answer, given)
    return agreement(normalise(answer), [normalise(text) for text in given])


def accuracy_2017(answer: str, given: Sequence[str]) -> float:
    """Score an answer as the official scorer did before 2021: annotators' answers lose their marks at most.

    Example:
        >>> ten = ["two"] * 3 + ["2"] * 6 + ["many"]
        >>> accuracy_2017("many.", ten), accuracy_2017("two", ["two"] * 10), accuracy_2017("Yes", ["yes"] * 10)
        (0.3, 0.0, 1.0)
    """
    given = given if len(set(given)) == 1 else [without_marks(text) for text in given]
    return agreement(normalise(clean(answer)), given)


def accuracy_always_normalised(answer: str, given: Sequence[str]) -> float:
    """Score an answer with both sides normalised, whether annotators agree or not.

    Example:
        >>> accuracy_always_normalised("Yes", ["yes"] * 10), accuracy_always_normalised("two", ["two"] * 10)
        (1.0, 1.0)
    """
    return agreement(normalise(clean(answer)), [normalise(clean(text)) for text in given])


RULES: dict[str, Callable[[str, Sequence[str]], float]] = {
    "accuracy": accuracy,
    "accuracy-2017": accuracy_2017,
    "accuracy-always-normalised": accuracy_always_normalised,
}
"""The rules by the names of their metrics: from an answer and the annotators' answers, at least one, to a fraction."""


def agreement(answer: str, given: Sequence[str]) -> float:
    """Average, over the annotators, how many of the others gave the answer, divided by three and at most 1.

    Example:
        >>> [agreement("a", ["a"] * same + ["b"] * (10 - same)) for same in range(5)]
        [0.0, 0.3, 0.6, 0.9, 1.0]
    """
    same, people = given.count(answer), len(given)
    return (same * min(3, same - 1) + (people - same) * min(3, same)) / (3 * people)


@functools.lru_cache(_REMEMBERED)
def clean(text: str) -> str:
    """Make line ends and tabs spaces, and strip."""
    return text.replace("\n", " ").replace("\t", " ").strip()


@functools.lru_cache(_REMEMBERED)
def normalise(text: str) -> str:
    """Normalise a cleaned text: marks, then lower case, number words, articles, contractions.

    Kept from the official scorer: "none" becomes "0", and a text that is an article becomes nothing.

    Example:
        >>> normalise("The two dogs, dont!"), normalise("None"), normalise("a")
        ("2 dogs don't", '0', '')
    """
    words = (NUMBER_WORDS.get(word, word) for word in without_marks(text).lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


@functools.lru_cache(_REMEMBERED)
def without_marks(text: str) -> str:
    """Take the marks out of a text.

    A mark goes where it stands next to a space, or if any comma stands between digits; else it becomes a space. Whether
    is asked of the text as it came, for each mark. Then go at most 32 full stops: the official call passes
    `re.UNICODE`, which is 32, where `re.sub` takes a count.

    Example:
        >>> without_marks("black/white"), without_marks("1,000"), without_marks("black, white."), without_marks("3.5")
        ('black white', '1000', 'black white', '3.5')
    """
    joined = DIGIT_COMMA_DIGIT.search(text) is not None
    left = text
    for mark in PUNCTUATION:
        if mark in left:
            beside_space = f"{mark} " in text or f" {mark}" in text
            left = left.replace(mark, "" if joined or beside_space else " ")
    return PERIOD.sub("", left, count=32)
