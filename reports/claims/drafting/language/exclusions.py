"""Find the digits that are no claims: addresses, dates, citations, references, versions, hardware, conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from evals.reports.claims.drafting.language.words import entries, joined

_EXCLUSIONS = tuple((str(row["kind"]), re.compile(joined(row["any"]), re.ASCII)) for row in entries("exclusions"))
CONDITIONS = frozenset(entries("conditions"))
"""The kinds of which the words become conditions of the claims beside them."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """A part of a text whose digits are no claim."""

    start: int
    end: int
    kind: str
    """What it is: address, date, citation, version, hardware, …"""
    words: str


def find_excluded(text: str) -> list[Excluded]:
    """Find the parts of a text whose digits are no claims, in order.

    Example:
        >>> [(part.kind, part.words) for part in find_excluded("Table 2: 5-shot scores on 8 A100 GPUs, v1.2")]
        [('reference', 'Table 2'), ('shots', '5-shot'), ('hardware', 'on 8 A100 GPUs'), ('version', 'v1.2')]
    """
    return sorted(_matches(text), key=lambda part: (part.start, -part.end))


def _matches(text: str) -> Iterator[Excluded]:
    for kind, pattern in _EXCLUSIONS:
        for match in pattern.finditer(text):
            if match.end() > match.start():
                yield Excluded(match.start(), match.end(), kind, match[0].strip(" ,;:()"))


def conditions(parts: list[Excluded], start: int, end: int) -> dict[str, str]:
    """Return the conditions that stand between two places of a text, by their kind."""
    stated: dict[str, str] = {}
    for part in parts:
        if part.kind in CONDITIONS and start <= part.start and part.end <= end:
            words = re.sub(r"^(?:on|using|with|in|over|across|在)\s+", "", part.words).strip()
            if words not in stated.get(part.kind, "").split(", "):
                stated[part.kind] = f"{stated[part.kind]}, {words}" if part.kind in stated else words
    return stated
