"""Say in one sentence why a claim has its verdict, from the working of the kind of evidence that decides it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evals.reports.claims.language.tables.expansion import CellClaim
from evals.reports.claims.output.explanation import MEANINGS
from evals.reports.claims.verdicts import AXES, Assessment, headline_words
from evals.reports.rendering.formatting import visible

_LONGEST = 240
"""Limit on the characters of a sentence."""
_FAILED = r": (?:internally inconsistent|physically implausible|nominally inconsistent)$"
_DECISIVE: Mapping[str, str] = {
    "internally_inconsistent": rf"^within the document: .* against |{_FAILED}| is printed| against ",
    "physically_implausible": _FAILED,
    "nominally_inconsistent": _FAILED,
    "open": _FAILED,
    "contradicted_by_public_record": r" against ",
    "contradicted_by_other_document": r" against ",
    "differs": r" beside | against ",
    "supported": r" as ",
    "partially_supported": r" as ",
    "checked_and_consistent": r": consistent$",
}
"""For each headline, what the line of the working that decides has in it."""
_RECORD = re.compile(
    r"(?P<stated>.+?) (?P<word>against|as|beside) (?P<fact>.+): (?P<topic>[^:]+): (?P=fact) \[(?P<source>.*)\]"
)
_OF_ANOTHER = re.compile(
    r"no record of this release or protocol; of another: (?P<topic>[^:]+): (?P<fact>.+?) \[(?P<source>.*)\]"
)
_NOT_STATED = re.compile(r".*: (?P<word>absent|unreadable) \[(?P<source>.*)\]")
_UNTESTABLE = re.compile(r"(?P<why>[a-z]+): (?P<needs>.*)")
_NOTHING_NAMED = "no measurement is named that would show it"
_NOTHING_GIVEN = "no run, published score or public record here shows it"
"""Why nothing is said of a claim for which nobody named a test; a reader can give what would (`--evidence`)."""
_VERBS = {
    "against": "stated {stated}, on record {fact}",
    "beside": "stated {stated}, elsewhere {fact}",
    "as": "on record too: {fact}",
}


def reason(assessment: Assessment) -> str:
    """Return a sentence of at most 240 characters; the working has the rest.

    Args:
        assessment: a claim with its findings.
    """
    headline, vector = assessment.headline, assessment.vector
    axis = next((axis for axis in AXES if headline in headline_words({axis: vector[axis]})), None)
    working: Sequence[str] = getattr(assessment, axis).working if axis else ()
    if working and working[0] == _NOTHING_NAMED:
        return _sentence(_NOTHING_GIVEN)
    if axis is None or not working:
        return _sentence(MEANINGS[headline])
    pattern = re.compile(_DECISIVE.get(headline, ""))
    number = next((number for number, line in enumerate(working) if pattern.search(line)), 0)
    if axis == "arithmetic":
        if isinstance(assessment.claim, CellClaim):  # its most severe line comes first
            return _sentence(working[0])
        return _sentence(_computed(working, number, headline))
    return _sentence(_compared(working[number]) if axis != "measurement" else _unmeasured(working[0], headline))


def _computed(working: Sequence[str], number: int, headline: str) -> str:
    """A line of arithmetic, joined with the computation that it is about."""
    line = re.sub(rf"{_FAILED}|: consistent$", "", working[number])
    if line.startswith(("claimed ", "read as ")) and number:
        line = f"{working[number - 1].partition(', where')[0]}; {line}"
    elif line != working[number]:
        verbs = {"checked_and_consistent": "this holds", "open": "this fails, though a way out exists"}
        following = working[number + 1] if number + 1 < len(working) else ""
        comparison = following.partition(", where")[0].replace("; ", ", must be ", 1)
        line = f"{verbs.get(headline, 'this fails')}: {line}{f': {comparison}' if comparison else ''}"
    return line


def _compared(line: str) -> str:
    """A line about the public record, or about another document.

    Example:
        >>> _compared("12 layers against 61 layers: v3 layers: 61 layers [its configuration]")
        'stated 12 layers, on record 61 layers (v3 layers) [its configuration]'
        >>> _compared("C-1: v2 exists: absent [the index]")
        'not stated in what was read: the index'
    """
    if record := _RECORD.fullmatch(line):
        comparison = _VERBS[record["word"]].format(**record.groupdict())
        return f"{comparison} ({record['topic']}) [{record['source']}]"
    if other := _OF_ANOTHER.fullmatch(line):
        return f"the record has another release or protocol: {other['fact']} ({other['topic']}) [{other['source']}]"
    if missing := _NOT_STATED.fullmatch(line):
        is_absent = missing["word"] == "absent"
        return (
            f"{'not stated in what was read' if is_absent else 'what may state it was not read'}: {missing['source']}"
        )
    return line


def _unmeasured(line: str, headline: str) -> str:
    """What a measurement shows, or why there is none.

    Example:
        >>> _unmeasured("plan: the future", "not_testable_here"), _unmeasured("which split", "underspecified")
        ('no run can show it (plan); it would need: the future', 'left open: which split')
    """
    untestable = _UNTESTABLE.fullmatch(line)
    if headline == "underspecified":
        return f"left open: {line}"
    if headline == "not_testable_here" and untestable:
        return f"no run can show it ({untestable['why']}); it would need: {untestable['needs']}"
    if headline == "not_a_factual_claim":
        return "it states no fact" + (f": it is {untestable['why']}" if untestable else "")
    return f"it {line}" if line.startswith("would ") else line


def _sentence(text: str) -> str:
    r"""Write a text as a sentence on one line, cut at the end of a word.

    Example:
        >>> _sentence("a b " * 80)[-4:], _sentence("two\nlines (interval)")
        ('a b…', 'Two lines.')
    """
    line = " ".join(visible(re.sub(r" \((?:set|interval|attribution|digits)\)", "", text), limit=10_000).split())
    line = line[:1].upper() + line[1:]
    if len(line) > _LONGEST:
        return line[:_LONGEST].rpartition(" ")[0].rstrip(",;:") + "…"
    return line if line.endswith((".", "…", "?", "!")) else f"{line}."
