"""What the text says of numbers in a table: values, differences, ratios, ranks.

A difference or ratio is compared with the intervals of the values that round to the printed ones; it agrees if one
combination of them does. Percent and percentage points are two units: "10.3 % better" for 78.2 and 88.5 is the
difference in points; in percent it is 13.2 %.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evals.reports.claims.evidence.tables.grid import GridColumn, GridValue
from evals.reports.claims.language.intervals import Ends
from evals.reports.claims.language.tables.models import TextRelation
from evals.reports.claims.language.units import ExactInterval, Unit, format_value

_PERCENT = Unit("%", Fraction(1, 100), {})
_ERRORS = re.compile(r"\berrors?\b|\bmistakes?\b|error rate|错误|误差", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TextValue:
    """A number that the text states."""

    allowed: ExactInterval
    """The values that it allows, in base units."""
    shown: str
    """The number as printed, with its unit."""
    unit: str
    """The name of its unit: `percent`, `points`, `times`, or a unit of the column's dimension."""
    is_negative: bool = False
    says: str = ""
    """The sentence and the quote of the claim."""


@dataclass(frozen=True, slots=True)
class TextFinding:
    """Whether the cells agree with the text."""

    verdict: str
    line: str


def compare_value(stated: TextValue, cell: GridValue, column: GridColumn) -> TextFinding:
    """Compare a value of the text with its cell; either may be rounded more coarsely, and the text may be cut.

    Example:
        >>> cell = GridValue("T1r1-1", Fraction("92.04"), Fraction(1, 200))
        >>> percent = GridColumn("SST-2", Unit("%", Fraction(1, 100), {}))
        >>> def said(low, high): return ExactInterval(Fraction(low) / 100, Fraction(high) / 100)
        >>> compare_value(TextValue(said("91.95", "92.05"), "92.0 %", "percent"), cell, percent).verdict
        'consistent'
        >>> compare_value(TextValue(said("92.05", "92.15"), "92.1 %", "percent"), cell, percent).verdict
        'internally_inconsistent'
    """
    factor = column.unit.factor
    low, high = (end * factor for end in cell.ends)
    allowed, value = stated.allowed, cell.value * factor
    agrees = allowed.holds(value)
    if not agrees and allowed.low is not None and allowed.high is not None and high - low > allowed.high - allowed.low:
        agrees = low <= (allowed.low + allowed.high) / 2 <= high
    line = f"the text says {stated.shown} {'as' if agrees else 'against'} {column.show(cell)} in {cell.id}"
    if not agrees and _is_cut(allowed, (low, high)):
        return TextFinding("open", f"{line}; it may be cut to these digits rather than rounded")
    return TextFinding(_word(agrees), line)


def _is_cut(allowed: ExactInterval, cell: Ends) -> bool:
    """Whether the text gives fewer digits than the cell, and they are those of the cell, cut off."""
    if allowed.low is None or allowed.high is None or cell[1] - cell[0] >= allowed.high - allowed.low:
        return False
    printed, width = (allowed.low + allowed.high) / 2, allowed.high - allowed.low
    value = (cell[0] + cell[1]) / 2
    return printed <= value < printed + width if printed >= 0 else printed - width < value <= printed


def compare_pair(
    stated: TextValue,
    relation: TextRelation | None,
    cell: GridValue,
    other: GridValue,
    column: GridColumn,
) -> TextFinding:
    """Compare a difference or ratio of the text with two cells.

    Args:
        stated: the number of the text.
        relation: what it is; by default a ratio in times, a relative difference in percent, else a difference.
        cell: the value of the claim's subject.
        other: the value that it is compared with.
        column: the column of both.

    Example:
        >>> percent = GridColumn("MMLU", Unit("%", Fraction(1, 100), {}), direction="higher")
        >>> cells = GridValue("a", Fraction("88.5"), Fraction(1, 20)), GridValue("b", Fraction("78.2"), Fraction(1, 20))
        >>> ten = ExactInterval(Fraction(1025, 10000), Fraction(1035, 10000))
        >>> compare_pair(TextValue(ten, "10.3 points", "points"), None, *cells, percent).verdict
        'consistent'
        >>> compare_pair(TextValue(ten, "10.3 %", "percent"), None, *cells, percent).verdict
        'nominally_inconsistent'
    """
    kind = _kind(stated, relation, column)
    ways = {form: _ways(form, cell, other, column, is_loss=relation == "worse") for form in _FORMS}
    if stated.is_negative:  # the plain difference of a cost: -0.5 s
        factor = column.unit.factor
        raw = (cell.ends[0] - other.ends[1]) * factor, (cell.ends[1] - other.ends[0]) * factor
        ways["difference"].append((*raw, f"{cell.id} - {other.id}"))
    readings = ways[kind]
    if not readings:
        return TextFinding("na", f"{_shown(cell, other, column)}: not computed, as a divisor may be zero")
    shown = "; ".join(f"{text} = {_range((low, high), kind, column)}" for low, high, text in readings)
    line = f"{shown}, where {_shown(cell, other, column)}; the text says {stated.shown}"
    if _meets_any(stated.allowed, readings):
        return TextFinding("consistent", line)
    if kind == "relative-difference" and column.is_percent and _meets_any(stated.allowed, ways["difference"]):
        line += ", which is the difference in percentage points: percent and points are two units"
        return TextFinding("nominally_inconsistent", line)
    is_closed = None not in (stated.allowed.low, stated.allowed.high)
    if (
        is_closed
        and column.is_percent
        and kind == "difference"
        and _meets_any(stated.allowed, ways["relative-difference"])
    ):
        line += ", which is the difference in percent of the other value: percent and points are two units"
    return TextFinding("internally_inconsistent", line)


_FORMS: tuple[TextRelation, ...] = ("difference", "relative-difference", "ratio", "error-reduction")


def _kind(stated: TextValue, relation: TextRelation | None, column: GridColumn) -> TextRelation:
    """What a number is, by its relation, its unit and its words."""
    if relation in _FORMS:
        return relation
    if stated.unit in {"times", "×"}:
        return "ratio"
    if stated.unit in {"percent", "%"}:
        is_of_errors = column.direction == "higher" and column.is_percent and _ERRORS.search(stated.says)
        return "error-reduction" if is_of_errors else "relative-difference"
    return "difference"


def _ways(
    form: TextRelation, cell: GridValue, other: GridValue, column: GridColumn, *, is_loss: bool
) -> list[tuple[Fraction, Fraction, str]]:
    """The ways to compute how much better (or worse) a value is: the ends in base units, and how it is written."""
    is_lower = column.direction == "lower"
    if form == "ratio":
        first, second = (other, cell) if is_lower != is_loss else (cell, other)
        ways = [_quotient(first, second)]
        if column.direction != "higher":  # half the time, or twice as fast
            ways.append(_quotient(second, first))
        return [way for way in ways if way is not None]
    first, second = (other, cell) if is_lower else (cell, other)
    low, high, text = first.ends[0] - second.ends[1], first.ends[1] - second.ends[0], f"{first.id} - {second.id}"
    if form == "difference":
        factor = column.unit.factor
        ways = [(low * factor, high * factor, text)]
    elif form == "error-reduction" and column.is_percent and not is_lower:
        errors = [(100 - value.ends[1], 100 - value.ends[0]) for value in (cell, other)]
        ways = _relative(errors[0], errors[1], lower=True, text=f"1 - (100 - {cell.id}) / (100 - {other.id})")
    else:
        ways = _relative(cell.ends, other.ends, lower=is_lower, text=f"({text}) / {other.id}")
        quotient = _quotient(other, cell)
        if is_lower and quotient is not None:  # 20 % faster
            ways.append((quotient[0] - 1, quotient[1] - 1, f"{quotient[2]} - 1"))
    return [(-way[1], -way[0], f"-({way[2]})") for way in ways if way] if is_loss else [way for way in ways if way]


def _relative(r: Ends, o: Ends, *, lower: bool, text: str) -> list[tuple[Fraction, Fraction, str] | None]:
    """The relative change from o to r, positive where r is better; empty where o may be zero."""
    if o[0] <= 0:
        return []
    low, high = r[0] / (o[1] if r[0] >= 0 else o[0]) - 1, r[1] / (o[0] if r[1] >= 0 else o[1]) - 1
    return [(-high, -low, text) if lower else (low, high, text)]


def _quotient(first: GridValue, second: GridValue) -> tuple[Fraction, Fraction, str] | None:
    """The range of a quotient; None where a side may be zero or negative."""
    a, b = first.ends, second.ends
    return (a[0] / b[1], a[1] / b[0], f"{first.id} / {second.id}") if a[0] > 0 and b[0] > 0 else None


def _meets(allowed: ExactInterval, ends: Ends) -> bool:
    """Whether two closed intervals have a common value."""
    return (allowed.low is None or allowed.low <= ends[1]) and (allowed.high is None or ends[0] <= allowed.high)


def _meets_any(allowed: ExactInterval, ways: Sequence[tuple[Fraction, Fraction, str]]) -> bool:
    return any(_meets(allowed, (low, high)) for low, high, _ in ways)


def _range(ends: Ends, kind: TextRelation, column: GridColumn) -> str:
    """Format the range of a computed number in its unit."""
    if kind == "ratio":
        unit = Unit("times", Fraction(1), {})
    elif kind == "difference":
        unit = column.difference
    else:
        unit = _PERCENT
    if ends[0] == ends[1]:
        return format_value(ends[0], unit)
    return f"{format_value(ends[0], Unit('', unit.factor, unit.dimension))} to {format_value(ends[1], unit)}"


def _shown(cell: GridValue, other: GridValue, column: GridColumn) -> str:
    return f"{cell.id} = {column.show(cell)} and {other.id} = {column.show(other)}"


def check_rank(
    cell: GridValue, others: Sequence[GridValue], column: GridColumn, *, place: int, same_level: Fraction = Fraction(0)
) -> TextFinding:
    """Check the place of a value in the order of its column; equal values share their places.

    Example:
        >>> column = GridColumn("SST-2", direction="higher")
        >>> values = [GridValue(f"T1r{n}-1", Fraction(v)) for n, v in enumerate((90, 92, 97))]
        >>> check_rank(values[1], [values[0], values[2]], column, place=2).verdict
        'consistent'
        >>> check_rank(values[1], [values[0], values[2]], column, place=1).line
        'T1r1-1 = 92 is place 2 of 3, not 1: T1r2-1 = 97 is better'
    """
    if column.direction is None:
        return TextFinding("na", f"which direction of {column.name} is better is not stated")
    sign = -1 if column.direction == "lower" else 1
    leads = [(sign * (other.value - cell.value), other) for other in others]
    ahead = [other for lead, other in leads if lead > same_level]
    level = [other for lead, other in leads if abs(lead) <= same_level]
    first, last = len(ahead) + 1, len(ahead) + len(level) + 1
    of = f"{cell.id} = {column.show(cell)} is place {first}{f' to {last}' if level else ''} of {len(others) + 1}"
    if first <= place <= last:
        return TextFinding("consistent", of)
    line = f"{of}, not {place}"
    if place < first:
        line += f": {', '.join(f'{other.id} = {column.show(other)}' for other in ahead)} {_are(ahead)} better"
    return TextFinding("internally_inconsistent", line)


def check_better(
    cell: GridValue,
    others: Sequence[GridValue],
    column: GridColumn,
    *,
    worse: bool = False,
    same_level: Fraction = Fraction(0),
) -> Iterator[TextFinding]:
    """Check that a value is better (or worse) than others; printed values that are equal may differ unrounded.

    Example:
        >>> column = GridColumn("Latency", direction="lower")
        >>> values = [GridValue(f"T1r{n}-1", Fraction(v)) for n, v in enumerate((120, 240))]
        >>> [finding.verdict for finding in check_better(values[1], values[:1], column)]
        ['internally_inconsistent']
    """
    if column.direction is None:
        yield TextFinding("na", f"which direction of {column.name} is better is not stated")
        return
    sign = (-1 if column.direction == "lower" else 1) * (-1 if worse else 1)
    word = "worse" if worse else "better"
    for other in others:
        lead = sign * (cell.value - other.value)
        values = f"{cell.id} = {column.show(cell)} and {other.id} = {column.show(other)}"
        if lead > 0:
            yield TextFinding("consistent", f"in {column.name}, {values}: {word}")
        elif -lead <= same_level or lead == 0:
            yield TextFinding(
                "consistent", f"in {column.name}, {values}: equal as printed, and rounding may hide the order"
            )
        else:
            yield TextFinding("internally_inconsistent", f"in {column.name}, {values}: not {word}")


def _are(items: Sequence[object]) -> str:
    return "is" if len(items) == 1 else "are"


def _word(agrees: bool) -> str:
    return "consistent" if agrees else "internally_inconsistent"
