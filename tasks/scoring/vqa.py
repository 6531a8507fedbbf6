"""VQA accuracy: score an answer against the annotators' answers, in [0, 1].

For each annotator, count how many of the others gave the answer, divide by three and limit to 1; then average over the
annotators. An answer that 1, 2, 3 or 4 of ten annotators gave scores 0.3, 0.6, 0.9 or 1. Texts are normalised before
they are compared (case, punctuation, number words, articles, contractions), by one of three rules in use. Their results
are not comparable, so each has its own name:

    accuracy                      the official scorer since 2021: texts are compared as written if all annotators agree
                                  ("Yes" is wrong if all wrote "yes"), else all texts are normalised
    accuracy-2017                 the official scorer before: the answer is always normalised; the annotators' answers
                                  only lose their punctuation, and only if they differ
    accuracy-always-normalised    all texts are always normalised, as in MMF and its descendants; never below `accuracy`

Official: GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py, at a013f00 (2021) and c4e6a0e (before),
read as Python 3. Its quirks are kept and named in comments. The official scorer distinguishes annotators by comparing
whole annotations; here they are distinguished by index, which is the same if `answer_id` is unique, as in all official
files. The formula also holds for other numbers of annotators than ten; with a single annotator every answer scores 0.
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
r"""A full stop that no digit follows. `(?!<=\d)`, meant as a look-behind, always matches: "3." becomes "3"."""
DIGIT_COMMA_DIGIT: re.Pattern[str] = re.compile(_TABLES["comma_expression"])
_CACHE_SIZE = 1 << 17
"""Number of texts whose normalised forms are cached; most answers occur with many questions."""


def accuracy(answer: str, references: Sequence[str]) -> float:
    """Score an answer as the official scorer does since 2021: nothing is normalised if all annotators agree.

    Example:
        >>> ten = ["two"] * 3 + ["2"] * 6 + ["many"]
        >>> accuracy("Two.", ten), accuracy("many", ten), accuracy("Yes", ["yes"] * 10)
        (1.0, 0.3, 0.0)
    """
    answer, references = clean(answer), [clean(text) for text in references]
    if len(set(references)) == 1:
        return agreement(answer, references)
    return agreement(normalise(answer), [normalise(text) for text in references])


def accuracy_2017(answer: str, references: Sequence[str]) -> float:
    """Score an answer as the official scorer did before 2021: annotators' answers lose at most their punctuation.

    Example:
        >>> ten = ["two"] * 3 + ["2"] * 6 + ["many"]
        >>> accuracy_2017("many.", ten), accuracy_2017("two", ["two"] * 10), accuracy_2017("Yes", ["yes"] * 10)
        (0.3, 0.0, 1.0)
    """
    references = references if len(set(references)) == 1 else [strip_punctuation(text) for text in references]
    return agreement(normalise(clean(answer)), references)


def accuracy_always_normalised(answer: str, references: Sequence[str]) -> float:
    """Score an answer with both sides normalised, whether or not the annotators agree.

    Example:
        >>> accuracy_always_normalised("Yes", ["yes"] * 10), accuracy_always_normalised("two", ["two"] * 10)
        (1.0, 1.0)
    """
    return agreement(normalise(clean(answer)), [normalise(clean(text)) for text in references])


RULES: dict[str, Callable[[str, Sequence[str]], float]] = {
    "accuracy": accuracy,
    "accuracy-2017": accuracy_2017,
    "accuracy-always-normalised": accuracy_always_normalised,
}
"""The rules by metric name. Each maps an answer and at least one annotator's answer to a fraction."""


def agreement(answer: str, references: Sequence[str]) -> float:
    """Average, over the annotators, how many of the others gave the answer, divided by three and limited to 1.

    Example:
        >>> [agreement("a", ["a"] * same + ["b"] * (10 - same)) for same in range(5)]
        [0.0, 0.3, 0.6, 0.9, 1.0]
    """
    same, annotators = references.count(answer), len(references)
    return (same * min(3, same - 1) + (annotators - same) * min(3, same)) / (3 * annotators)


@functools.lru_cache(_CACHE_SIZE)
def clean(text: str) -> str:
    """Replace line ends and tabs by spaces, and strip the ends."""
    return text.replace("\n", " ").replace("\t", " ").strip()


@functools.lru_cache(_CACHE_SIZE)
def normalise(text: str) -> str:
    """Normalise a cleaned text: punctuation, then lower case, number words, articles, contractions.

    As in the official scorer, "none" becomes "0", and a text that is an article becomes the empty string.

    Example:
        >>> normalise("The two dogs, dont!"), normalise("None"), normalise("a")
        ("2 dogs don't", '0', '')
    """
    words = (NUMBER_WORDS.get(word, word) for word in strip_punctuation(text).lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


@functools.lru_cache(_CACHE_SIZE)
def strip_punctuation(text: str) -> str:
    """Remove the punctuation of a text.

    A mark is removed if the original text has it next to a space, or has any comma between digits; otherwise it is
    replaced by a space. Then at most 32 full stops are removed: the official call passes `re.UNICODE`, which is 32, as
    the count of `re.sub`.

    Example:
        >>> [strip_punctuation(text) for text in ("black/white", "1,000", "black, white.", "3.5")]
        ['black white', '1000', 'black white', '3.5']
    """
    has_digit_comma = DIGIT_COMMA_DIGIT.search(text) is not None
    stripped = text
    for mark in PUNCTUATION:
        if mark in stripped:
            beside_space = f"{mark} " in text or f" {mark}" in text
            stripped = stripped.replace(mark, "" if has_digit_comma or beside_space else " ")
    return PERIOD.sub("", stripped, count=32)
