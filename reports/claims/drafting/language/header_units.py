"""The units that cells and headers of tables print."""

from __future__ import annotations

import re

from evals.reports.claims.drafting.language.units import UNITS


def printed_unit(printed: str) -> str | None:
    """Return the vocabulary's name of a unit as articles print it; None if it has none or another factor.

    Example:
        >>> printed_unit("KB"), printed_unit("sequences/second"), printed_unit("faster")
        ('kilobytes', 'items-per-second', None)
    """
    return next(
        (
            name
            for pattern, name, factor in UNITS
            if factor == 1 and (match := pattern.match(printed)) and match.end() == len(printed)
        ),
        None,
    )


def header_unit(header: str) -> str | None:
    """Return the unit that a header names: in brackets, after a comma, after "Unit:", or as its first word.

    Example:
        >>> header_unit("Power (W)"), header_unit("Time [seconds/1000 examples]"), header_unit("Hours of speech")
        ('watts', 'seconds', 'hours')
        >>> header_unit("Unit: ms/sample"), header_unit("Size (M)"), header_unit("Samples per second")
        ('milliseconds', None, None)
        >>> header_unit("us/iter"), header_unit("eff GB/s"), header_unit("TTFT ( Sec )")
        ('microseconds', 'gigabytes-per-second', 'seconds')
    """
    candidates = [match["unit"] for match in _IN_BRACKETS.finditer(header)]
    candidates += [match["unit"] for match in _AFTER_COMMA.finditer(header)]
    if match := _FIRST_WORD.match(header.strip()):
        candidates.append(match[0].rstrip(".").lower())
    candidates += [word for word in header.split() if _PER.search(word)]
    for candidate in candidates:
        first = re.split(r"[\s/,]", candidate.strip())[0]
        for words in (candidate.strip(), first, first.lower()):
            unit = printed_unit(words) if len(words) > 1 or words in "shW" else None
            is_part = "/" in candidate and words != candidate.strip() and unit in _COUNTED
            if unit not in {None, "percent", "times", "points"} and not is_part:
                return unit
    return None


_COUNTED = frozenset(("tokens", "items", "images", "sequences", "documents", "pairs", "steps"))
_PER = re.compile(
    r"^[A-Za-zµμ]{1,4}/(?:it(?:er(?:ation)?)?|s(?:ec)?|step|sample|request|query|token|image|elem|batch|example)\b"
)
"""A unit per thing as a word of a header: "us/iter", "eff GB/s"."""
_IN_BRACKETS = re.compile(r"(?<=[\s\w])[\[((]\s?(?:in\s)?(?P<unit>[^\[\]()()]{1,24}?)\s?[\]))]")
_AFTER_COMMA = re.compile(r"(?:,|\bunits?\s?[::])\s?(?P<unit>[^\s,()]{1,16})\s?$", re.I)
_FIRST_WORD = re.compile(r"(?:hours|hrs\.?|minutes|seconds|days)(?=\W|$)(?!\sper\b)", re.I)
