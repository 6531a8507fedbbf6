"""Find systems by how they are related to others: a name with a tier, a tier alone, "its predecessor", "the latter".

tier_names(names, text)                     "Otter 2 Mini" where "Otter 2" is known
relatives(text, named, names, main)         the words of a text that stand for a system
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evals.reports.claims.drafting.language.words import entries, pattern

_TIERS = "|".join(map(str, entries("tiers")))
_SMALL_TIERS = frozenset(("mini", "nano", "lite", "small", "tiny", "flash", "air", "edge"))
_TIER = re.compile(rf"(?<![\w-])(?P<tier>(?!mini|nano)(?:{_TIERS}))(?![\w-])")
_ACTS = pattern("relatives.acts")
"""What follows a tier that stands for its system: "Mini is", "Pro's", "Lite (80 MB)"."""
_PART_OF_NAME = re.compile(r"(?:[A-Z][\w.-]*|\d)\s$")
"""What stands before a tier that ends a longer name."""
_MAIN = pattern("relatives.main")
_PREDECESSOR = pattern("relatives.predecessor")
_LARGER = pattern("relatives.larger")
_SMALLER = pattern("relatives.smaller")
_LAST_TWO = re.compile(r"\b[Tt]he\s(?P<which>former|latter)\b(?!\s[A-Z])|(?P<chinese>前者|后者)")
_FAR = 400
"""Number of characters within which "the latter" has its names."""
_NAME = re.compile(
    r"(?P<family>[A-Za-z\u4e00-\u9fff][A-Za-z\u4e00-\u9fff ]*?)"
    r"(?:[ -]?[vV]?(?P<version>\d+(?:\.\d+)*)(?![\w.]))?(?P<rest>(?:[ -][\w.]+)*)"
)


@dataclass(frozen=True, slots=True)
class Relative:
    """Words that stand for a system."""

    start: int
    end: int
    subject: str
    """The ID of the subject."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """A name in parts: "Otter 2 Mini" is `otter`, (2,), `mini`."""

    family: str
    version: tuple[int, ...]
    rest: str


def tier_names(names: Iterable[str], text: str) -> list[str]:
    """Return the names in a text that are one of `names` and a tier, or a Chinese one and a variant.

    Example:
        >>> tier_names(["Otter 2", "青鸾-14B"], "Otter 2 Mini, Otter 2 Large Language Models, 青鸾-14B-Chat")
        ['Otter 2 Mini', '青鸾-14B-Chat']
    """
    matched: list[str] = []
    for name in names:
        if not re.search(rf"(?:^|[ -])(?:{_TIERS})$", name):
            ending = (
                rf"-[A-Z][A-Za-z]+(?!\w)|[ -](?:{_TIERS})"
                if re.match(r"[\u4e00-\u9fff]", name)
                else rf"[ -](?:{_TIERS})"
            )
            matched += re.findall(rf"(?<![\w-]){re.escape(name)}(?:{ending})(?![\w-]|\s[A-Z])", text)
    return list(dict.fromkeys(matched))


def is_older(words: str) -> bool:
    """Whether words stand for a predecessor, which a text mentions in passing.

    Example:
        >>> is_older("Its predecessor"), is_older("Otter 1")
        (True, False)
    """
    return _PREDECESSOR.fullmatch(words) is not None


def relatives(
    text: str, named: Sequence[tuple[int, int, str]], names: Mapping[str, str], main: str | None
) -> list[Relative]:
    """Find the words of a text that stand for a system.

    Args:
        text: the text.
        named: start, end and subject of each name in it, in order.
        names: the name of relative subject.
        main: the subject that the article is about.

    Example:
        >>> names = {"o1": "Otter 1", "o2": "Otter 2", "m": "Otter 2 Mini"}
        >>> text = "Mini is half as large. Its predecessor took 90 ms."
        >>> [(text[r.start : r.end], r.subject) for r in relatives(text, [], names, "o2")]
        [('Mini', 'm'), ('Its predecessor', 'o1')]
    """
    matched = [*_tiers(text, names), *_last_two(text, named)]
    if main is not None:
        for words, subject in _family(names, main):
            matched += [Relative(*match.span(), subject) for match in words.finditer(text)]
    taken = [(start, end) for start, end, _ in named]
    free = [
        relative
        for relative in matched
        if not any(start < relative.end and relative.start < end for start, end in taken)
    ]
    return sorted(free, key=lambda relative: relative.start)


def _tiers(text: str, names: Mapping[str, str]) -> Iterator[Relative]:
    for match in _TIER.finditer(text):
        of_tier = [subject for subject, name in names.items() if re.search(rf"[ -]{match['tier']}$", name)]
        stands_alone = text.strip() == match[0] or _ACTS.match(text, match.end())
        if len(of_tier) == 1 and stands_alone and not _PART_OF_NAME.search(text[: match.start()]):
            yield Relative(*match.span(), of_tier[0])


def _last_two(text: str, named: Sequence[tuple[int, int, str]]) -> Iterator[Relative]:
    for match in _LAST_TWO.finditer(text):
        before = [subject for start, end, subject in named if match.start() - _FAR < start and end <= match.start()]
        two = list(dict.fromkeys(reversed(before)))[:2]
        if len(two) == 2:
            yield Relative(*match.span(), two[(match["which"] or match["chinese"]) in {"former", "前者"}])


def _family(names: Mapping[str, str], main: str) -> Iterator[tuple[re.Pattern[str], str]]:
    """The words for the system that an article is about, and for its relatives."""
    yield _MAIN, main
    main_parts = _parts(names[main])
    others = {subject: _parts(name) for subject, name in names.items() if subject != main}
    kin = {
        subject: parts for subject, parts in others.items() if parts.family == main_parts.family and main_parts.family
    }
    older = [
        (parts.version, parts.rest == main_parts.rest, subject)
        for subject, parts in kin.items()
        if _is_older(parts, main_parts)
    ]
    last = [entry for entry in older if entry[0] == max(older)[0]]
    alike = [subject for _, is_alike, subject in last if is_alike] or [subject for *_, subject in last]
    if len(alike) == 1:
        yield _PREDECESSOR, alike[0]
    small = [
        subject
        for subject, parts in kin.items()
        if parts.version == main_parts.version and parts.rest.removeprefix(main_parts.rest).strip(" -") in _SMALL_TIERS
    ]
    if small:
        yield _LARGER, main
    if len(small) == 1:
        yield _SMALLER, small[0]


def _is_older(parts: _Parts, main_parts: _Parts) -> bool:
    return bool(parts.version) and (not main_parts.version or parts.version < main_parts.version)


def _parts(name: str) -> _Parts:
    match = _NAME.fullmatch(name)
    if match is None:
        return _Parts("", (), "")
    version = tuple(int(part) for part in (match["version"] or "").split(".") if part)
    return _Parts(match["family"].lower().strip(), version, (match["rest"] or "").lower().strip(" -"))
