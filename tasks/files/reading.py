"""Read the answer of an output, by the readers that a task file can name.

exact     the whole output                       contains  an answer that occurs in it as words of their own
letter    the letter of a choice                 label     the text of a choice
number    the last number                        regex     what a pattern matches
mmmu      as MMMU's script: `evals.tasks.scoring.mmmu`
math      the answer of a worked solution, which `tasks/math.py` reads and compares
"""

from __future__ import annotations

import decimal
import functools
import re
from collections.abc import Callable, Sequence

from evals.tasks.files.spec import AnswerSpec
from evals.tasks.scoring.answer_texts import normalised, occurs

Matches = Callable[[str, str], list[str] | None]
"""Returns what a named pattern matches in a text; None if that takes too long."""

# MMLU-Pro, evaluate_from_api.py: extract_answer, extract_again, extract_final, in this order. Its `.*[aA]nswer:` and
# its look-ahead take quadratic time; these find the same, and read bold letters and a colon after "is" too.
_ANSWER_IS = r"(?i:answer is):? ?\**[({]?(LETTER)(?![a-z])[)}]?"
_ANSWER_COLON = r"[aA]nswer:\s*\**[($]?(LETTER)(?![a-z])"
_ALONE = r"\b(LETTER)\b"
_NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+−]?\.\d+")


def letter(text: str, letters: str = "ABCDEFGHIJ") -> str | None:
    r"""Return the letter that an output answers with, or None.

    The first of these that occurs: `answer is (C)`; `Answer: C`, the last one in the first line that has one; the last
    letter that stands alone.

    Args:
        text: the output.
        letters: the letters of the choices; no other is read, such as the I of "I think".

    Example:
        >>> letter("The answer is (C)."), letter("A is wrong.\nAnswer: B"), letter("(A) or (D)"), letter("no")
        ('C', 'B', 'D', None)
        >>> letter("A, I think", "ABCD")
        'A'
    """
    answer_is, answer_colon, alone = _letter_patterns(letters)
    if (match := answer_is.search(text)) is not None:
        return str(match[1])
    if (match := answer_colon.search(text)) is not None:
        end = text.find("\n", match.end())
        return str(answer_colon.findall(text, match.start(), len(text) if end < 0 else end)[-1])
    standing = alone.findall(text)
    return str(standing[-1]) if standing else None


@functools.lru_cache(maxsize=64)
def _letter_patterns(letters: str) -> tuple[re.Pattern[str], ...]:
    """Compile the patterns for some letters."""
    group = f"[{re.escape(letters)}]"
    return tuple(re.compile(form.replace("LETTER", group)) for form in (_ANSWER_IS, _ANSWER_COLON, _ALONE))


def a_number(text: str) -> decimal.Decimal | None:
    """Return the number of a text that has one and no other.

    Example:
        >>> a_number("$1,200"), a_number("3/4"), a_number("seven")
        (Decimal('1200'), None, None)
    """
    return number(text) if len(_NUMBER.findall(text)) == 1 else None


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
        read: the reader, any but `math` and `mmmu`.
        spec: the pattern of `regex` and `letter`.
        output: the text.
        choices: the choices of `label`, or the labels of `letter`.
        matches: finds the pattern.
    """
    if spec.pattern is not None and read in {"regex", "letter"}:
        listed = matches("answer.pattern", output)
        chosen = (listed[0] if spec.take == "first" else listed[-1]) if listed else None
        return (chosen or "").strip() or None
    if read == "letter":
        return letter(output, "".join(choices) or "ABCDEFGHIJ")
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


def is_right(read: str, answer: str | None, targets: Sequence[str]) -> bool:
    """Return whether an answer is one of the right ones.

    Example:
        >>> is_right("number", "7.0", ["7"]), is_right("exact", "red", ["Red.", "b"]), is_right("letter", None, ["A"])
        (True, True, False)
    """
    if answer is None:
        return False
    if read == "number":
        return any(decimal.Decimal(answer) == number(entry) for entry in targets)
    if read == "letter":
        return answer.upper() in targets
    wanted_texts = [normalised(entry) for entry in targets]
    if read == "contains":
        return any(occurs(entry, normalised(answer)) for entry in wanted_texts if entry)
    return normalised(answer) in wanted_texts
