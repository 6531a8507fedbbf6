"""Read answers to MMMU's questions as its official script does.

https://github.com/MMMU-Benchmark/MMMU, commit bb0b95a, mmmu/utils/eval_utils.py: `parse_multi_choice_response`,
`parse_open_response`, `normalize_str`, `eval_open`. There are two differences. Where the script draws a letter at
random, there is no answer. Of an output of over `MAX_CHARACTERS`, which takes the script quadratic time, only the end
is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MAX_CHARACTERS: Final = 20_000
"""Longest output that is read whole; the answers of the benchmark are a letter, a number or a phrase."""
_TRIVIAL = frozenset({":", ",", ".", "!", "?", ";", "'"})
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_SENTENCE = re.compile(r"\.\s(?=[A-Z])|\n")
# Of the script, with (?<!\d) before digits: no match is lost, and a long number takes linear time.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:(?<!\d)\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


def letter_of(output: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the choice that an output answers with, or None.

    The last letter in brackets; else the last that stands between spaces; else, of an output of over five words, the
    choice whose text comes last in it.

    Args:
        output: the text.
        choices: the texts of the choices; their letters are A, B, C, ….

    Example:
        >>> letter_of("(A) or rather (B).", ["red", "blue"]), letter_of("B", ["red", "blue"])
        ('B', 'B')
        >>> letter_of("The colour of it is a blue.", ["red", "blue"]), letter_of("blue", ["red", "blue"])
        ('B', None)
    """
    text = output[-MAX_CHARACTERS:]
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    letters = [chr(ord("A") + index) for index in range(len(choices))]
    for form in ("({})", " {} "):
        places = {text.rfind(form.format(letter)): letter for letter in letters if form.format(letter) in text}
        if places:
            return places[max(places)]
    if len(text.split()) <= 5:
        return None
    by_text = [(text.lower().rfind(choice.lower()), -index) for index, choice in enumerate(choices)]
    place, index = max(by_text, default=(-1, 0))  # of choices at one place, the first
    return letters[-index] if place >= 0 else None


def open_answers(output: str) -> list[str | float]:
    """Return what an output may mean as the answer of an open question: texts in small letters, and numbers.

    Example:
        >>> sorted(map(str, open_answers("So the result is 12.5 dollars.")))
        ['12.5', '12.5 dollars']
    """
    responses = _key_responses(output[-MAX_CHARACTERS:])
    texts = [*responses, *(number for text in responses for pattern in _NUMBERS for number in pattern.findall(text))]
    return list(dict.fromkeys(value for text in texts for value in _normalised(text)))


def is_open_right(answers: Sequence[str | float], targets: Sequence[str]) -> bool:
    """Return whether one of the answers is a right one: it contains the text, or equals the number to two decimals.

    Example:
        >>> is_open_right(open_answers("It is by Claude Monet."), ["Monet"]), is_open_right(open_answers("13"), ["1"])
        (True, False)
    """
    wanted = [value for target in targets for value in _normalised(target)]
    return any(
        any(isinstance(value, str) and value in answer for value in wanted)
        if isinstance(answer, str)
        else answer in wanted
        for answer in answers
    )


def _key_responses(output: str) -> list[str]:
    """Return the ends of the sentences that state something, or the whole output."""
    response = output.strip().strip(".").lower()
    sentences = _SENTENCE.split(response)
    responses = []
    for index, sentence in enumerate(sentences):
        indicators = (*_INDICATORS, "=") if index == len(sentences) - 1 else _INDICATORS
        ends = [sentence.split(indicator)[-1].strip() for indicator in indicators if indicator in sentence]
        shortest = ""
        for end in ends:  # an empty end counts as none yet, as in the script
            if not shortest or len(end) < len(shortest):
                shortest = end
        if shortest and shortest not in _TRIVIAL:
            responses.append(shortest)
    return responses or [response]


def _normalised(text: str) -> list[str | float]:
    """Return a number rounded to two decimals, or a text in small letters; a single letter with a space beside it."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lowered = text.lower()
        return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]
