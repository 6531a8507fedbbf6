"""Read the answer of an output, by the readers that a task file can name.

exact     the whole output                       contains  an answer that occurs in it as words of their own
letter    the label of a choice                  label     the text of a choice
number    the last number                        regex     what a pattern matches
math      the answer of a worked solution, which `tasks/math.py` reads and compares
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Sequence

from evals.tasks.files.spec import AnswerSpec
from evals.tasks.scoring.answer_texts import normalised, occurs

label_of = normalised
Matches = Callable[[str, str], list[str] | None]
"""Returns what a named pattern matches in a text; None if that takes too long."""

# MMLU-Pro, evaluate_from_api.py: extract_answer, extract_again, extract_final, in this order. Its `.*[aA]nswer:` and
# its look-ahead take quadratic time; these find the same, and read bold letters and a colon after "is" too.
_ANSWER_IS = re.compile(r"(?i:answer is):? ?\**[({]?([A-J])(?![a-z])[)}]?")
_ANSWER_COLON = re.compile(r"[aA]nswer:\s*\**[($]?([A-J])(?![a-z])")
_ALONE = re.compile(r"\b([A-J])\b")
_NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+−]?\.\d+")


def letter(text: str) -> str | None:
    r"""Return the letter that an output answers with, or None.

    The first of these that occurs: `answer is (C)`; `Answer: C`, the last one in the first line that has one; the last
    letter that stands alone.

    Example:
        >>> letter("The answer is (C)."), letter("A is wrong.\nAnswer: B"), letter("(A) or (D)"), letter("no")
        ('C', 'B', 'D', None)
    """
    if (match := _ANSWER_IS.search(text)) is not None:
        return str(match[1])
    if (match := _ANSWER_COLON.search(text)) is not None:
        end = text.find("\n", match.end())
        return str(_ANSWER_COLON.findall(text, match.start(), len(text) if end < 0 else end)[-1])
    letters = _ALONE.findall(text)
    return str(letters[-1]) if letters else None


def number(text: str) -> decimal.Decimal | None:
    """Return the last number of a text, or None.

    Example:
        >>> number("3 + 4 = 7.0 apples"), number("1,234"), number("none")
        (Decimal('7.0'), Decimal('1234'), None)
    """
    listed = _NUMBER.findall(text)
    return decimal.Decimal(listed[-1].replace(",", "").replace("−", "-")) if listed else None


def answer_of(read: str, spec: AnswerSpec, output: str, choices: Sequence[str], matches: Matches) -> str | None:
    """Return the answer that a reader finds in an output, or None.

    Args:
        read: the reader, any but `math`.
        spec: the pattern of `regex` and `letter`.
        output: the text.
        choices: the choices of `label`.
        matches: finds the pattern.
    """
    if spec.pattern is not None and read in {"regex", "letter"}:
        listed = matches("answer.pattern", output)
        chosen = (listed[0] if spec.take == "first" else listed[-1]) if listed else None
        return (chosen or "").strip() or None
    if read == "letter":
        return letter(output)
    if read == "number":
        value = number(output)
        return None if value is None else str(value)
    if read == "label":
        return _label(output, choices)
    return normalised(output) or None


def _label(output: str, choices: Sequence[str]) -> str | None:
    """Return the choice that an output is, or else the only one that its first line has."""
    text = normalised(output)
    equal = [choice for choice in choices if normalised(choice) == text]
    if equal:
        return equal[0]
    first = normalised(output.strip().partition("\n")[0])
    contained = [choice for choice in choices if normalised(choice) and occurs(normalised(choice), first)]
    return contained[0] if len(contained) == 1 else None


def is_right(read: str, answer: str | None, target: object) -> bool:
    """Return whether an answer is a right one.

    Example:
        >>> is_right("number", "7.0", "7"), is_right("exact", "red", ["Red.", "crimson"]), is_right("letter", None, "A")
        (True, True, False)
    """
    if answer is None:
        return False
    if read == "number":
        wanted = number(str(target))
        return wanted is not None and decimal.Decimal(answer) == wanted
    targets = target if isinstance(target, list) else [target]
    if read == "letter":
        return answer.upper() in targets
    wanted_texts = [normalised(str(entry)) for entry in targets]
    if read == "contains":
        return any(occurs(entry, normalised(answer)) for entry in wanted_texts if entry)
    return normalised(answer) in wanted_texts
