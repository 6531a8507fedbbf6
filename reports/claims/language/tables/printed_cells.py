"""Read the text of a table's cell: number, bold, deviation, interval, unit, count of a total."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from evals.errors import InputError, shorten
from evals.reports.claims.language.statements import Bound

_MAX_DIGITS = 50
"""Limit on the digits of a number, as in other claims."""
_NOTHING = re.compile(r"[^0-9A-Za-z]*|:[a-z_]+:|n/?a|nan|none|tb[da]\s?\\?%?|oom|yes|no|x", re.IGNORECASE)
"""A cell without a number: empty, a dash, a tick, `n/a`, `OOM`, `TBD%`."""
_APOSTROPHES = re.compile(r"(?<=[0-9])['’](?=[0-9]{3}(?![0-9]))")
"""Thousands apart by apostrophes, as in Switzerland: `1'612`."""
_NUMBER = r"[+-]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
_DASH = r"\s*(?:,|;|–|—|to|-)\s*"
_CELL = re.compile(
    rf"(?P<bound>[<>≤≥~≈]|<=|>=)?\s*\$?(?P<digits>{_NUMBER})\s*(?P<count>[kKMBT](?![A-Za-z]))?"
    rf"(?:\s*/\s*(?P<total>[0-9][0-9,]{{0,40}}))?"
    rf"\s*(?P<unit_before>[A-Za-zµ%×$][A-Za-zµ%/^0-9]*)?"
    rf"(?:\s*(?:±|\+/-|\\pm)\s*(?P<deviation>{_NUMBER}))?"
    rf"(?:\s*[\[(]\s*(?P<low>{_NUMBER})\s*%?{_DASH}(?P<high>{_NUMBER})\s*%?\s*[\])])?"
    rf"\s*(?P<unit_after>[A-Za-zµ%×$][A-Za-zµ%/^0-9]*)?"
    r"(?:\s*\((?P<remark>[^()]*)\))?"
)
_MARKS = re.compile(r"[†‡*§¶^]+$|^[†‡*§¶]+")
_BOUNDS: dict[str, Bound] = {
    **{"<": "below", ">": "above", "≤": "at-most", "<=": "at-most", "≥": "at-least", ">=": "at-least"},
    **{"~": "about", "≈": "about"},
}
_COUNTS = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_DURATION = re.compile(r"(?:(?P<h>[0-9]{1,4})\s?h\s?)?(?:(?P<m>[0-9]{1,4})\s?m(?:in)?\s?)?(?P<s>[0-9]{1,4})\s?s")
"""Hours, minutes and seconds: `1h05m12s`, `2m23s`; at least two of them."""
_SPACED = re.compile(r"[0-9]{1,3}(?:[ \u2009\u202f][0-9]{3})+")
"""Thousands apart by spaces: `28 388`."""
_BOLD = re.compile(r"\*\*(.+?)\*\*|__(.+?)__|<b>(.+?)</b>|\\textbf\{(.+?)\}")
_UNDERLINED = re.compile(r"<u>(.+?)</u>|\\underline\{(.+?)\}")


@dataclass(frozen=True, slots=True)
class PrintedCell:
    """What a cell prints."""

    text: str
    """The cell as it stands in the file."""
    digits: str
    """The number, without thousands separators and plus sign."""
    bound: Bound = "exactly"
    """How the number is meant: `above` for `>80 GB`, `about` for `~80`."""
    bold: bool = False
    underlined: bool = False
    count: int = 1
    """The factor of a letter after the digits: 1,000,000,000 for `671B`."""
    total: int | None = None
    """The number after a slash: 100 for `87/100`."""
    unit: str | None = None
    """The unit after the number, if one is printed."""
    deviation: str | None = None
    """The digits after ±."""
    low: str | None = None
    high: str | None = None
    """The ends of a printed interval."""

    @property
    def value(self) -> Fraction:
        """The printed number, without its unit and factor."""
        return Fraction(self.digits)


def read_cell(text: str) -> PrintedCell | None:
    """Read the text of a cell.

    Args:
        text: the cell as printed, with Markdown or LaTeX marks of bold.

    Returns:
        What it prints, without a remark in brackets; None if it has none: empty, a dash, a tick, `OOM`.

    Raises:
        InputError: it is no number.

    Example:
        >>> cell = read_cell("**92.0 ± 0.3**")
        >>> cell.digits, cell.bold, cell.deviation
        ('92.0', True, '0.3')
        >>> read_cell("87/100").total, read_cell("1,024 ms").digits, read_cell("78.3 [77.1, 79.5]").high
        (100, '1024', '79.5')
        >>> read_cell("28 388").digits, read_cell("1'612 items/s").digits
        ('28388', '1612')
        >>> read_cell("2m23s").digits, read_cell("2m23s").unit, read_cell("4k").count
        ('143', 's', 1000)
        >>> read_cell("–"), read_cell("OOM"), read_cell("TBD"), read_cell("TBD %")
        (None, None, None, None)
        >>> read_cell(">80 GB").bound, read_cell("47.2 (+12.6)").digits
        ('above', '47.2')
    """
    plain = _UNDERLINED.sub(_content, _BOLD.sub(_content, text)).strip()
    plain = _MARKS.sub("", plain.replace("−", "-").replace("\u00a0", " ")).strip()
    plain = _APOSTROPHES.sub("", plain)
    if _SPACED.fullmatch(plain):
        plain = re.sub(r"\s", "", plain)
    if _NOTHING.fullmatch(plain):
        return None
    if (duration := _DURATION.fullmatch(plain)) and (duration["h"] or duration["m"]):
        hours, minutes, seconds = (int(duration[part] or 0) for part in "hms")
        total = str(3600 * hours + 60 * minutes + seconds)
        return PrintedCell(text, total, bold=_BOLD.search(text) is not None, unit="s")
    match = _CELL.fullmatch(plain)
    if match is None or re.search(rf"[0-9]{{{_MAX_DIGITS + 1}}}", plain):
        raise InputError(
            f"{shorten(text)} is no number; write '92.0', '**92.0**', '92.0 ± 0.3', '92.0 [90.1, 93.7]', '0.8 s', "
            "'>80 GB' or '-', and leave out a column of dates or words"
        )
    ends = [None if match[end] is None else _digits(match[end]) for end in ("low", "high")]
    return PrintedCell(
        text=text,
        digits=_digits(match["digits"]),
        bound=_BOUNDS.get(match["bound"] or "", "exactly"),
        bold=_BOLD.search(text) is not None,
        underlined=_UNDERLINED.search(text) is not None,
        count=_COUNTS.get(match["count"] or "", 1),
        total=int(match["total"].replace(",", "")) if match["total"] else None,
        unit=match["unit_before"] or match["unit_after"],
        deviation=None if match["deviation"] is None else _digits(match["deviation"]),
        low=ends[0],
        high=ends[1],
    )


def _content(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None)


def _digits(text: str) -> str:
    plain = text.replace(",", "").removeprefix("+")
    return plain.replace(".", "0.", 1) if plain.lstrip("-").startswith(".") else plain
