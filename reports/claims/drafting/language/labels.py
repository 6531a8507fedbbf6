"""Numbers that name a setting, a part or a kind of input, and state nothing about a system."""

from __future__ import annotations

import re

from evals.reports.claims.drafting.language.numbers import PrintedNumber

_SCALES = re.compile(r"(?:\s?\([^()]*\))?(?:\s?(?:,|and|or|to|&)\s?\d+\s?[x×](?:\s?\([^()]*\))?)*\s(?:\w+\s)?scales?\b")
"""What follows a factor that is the size of an experiment: "across 1x and 10x scales"."""
_AT = re.compile(r"\bat\s(?:both\s)?$")
_LEVEL_BEFORE = re.compile(r"\b(?:severity|level|step|stage|phase|grade|tier)(?:\s(?:level\s)?|~|\u00a0)$", re.I)
_GROUPS = re.compile(r"(?:\)|\b(?:RDF|entity|relation|knowledge|graph|fact|training|preference))\s$", re.I)
"""What stands before "triples" that are groups of three, and no verb."""
_INPUTS = re.compile(
    r"(?:utterance|clip|audio|video|recording|segment|speech|song|snippet|excerpt|window|chunk|sample)s?\b", re.I
)
"""Inputs of which a length is printed before: "a 3-second utterance"."""
_LENGTH = re.compile(r"-(?:seconds?|s|sec|minutes?|min)\s$")


def is_label(text: str, number: PrintedNumber) -> bool:
    """Whether a number names a setting, a part or an input rather than stating a value.

    Example:
        >>> from evals.reports.claims.drafting.language.numbers import find_numbers
        >>> text = "A 3-second utterance, a 0-parameter estimate: 2x faster across 1x and 10x scales."
        >>> [number.digits for number in find_numbers(text) if not is_label(text, number)]
        ['2']
    """
    before, after = text[max(0, number.start - 40) : number.start], text[number.end : number.end + 80]
    if number.unit == "times":
        if number.is_word:
            return text[number.start : number.end].lower() == "triples" and _GROUPS.search(before) is not None
        is_unchanged = number.value == 1 and number.upto is None and _AT.search(before) is not None
        return is_unchanged or _SCALES.match(text[number.stop : number.stop + 80]) is not None
    if number.unit == "parameters":
        return number.value == 0 and after.startswith("-")
    if number.unit in {"seconds", "minutes"} and (length := _LENGTH.match(f"{text[number.end : number.stop]} ")):
        return bool(length) and _INPUTS.match(text[number.stop :].lstrip()) is not None
    return number.stop == number.end and _LEVEL_BEFORE.search(before) is not None
