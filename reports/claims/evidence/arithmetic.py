"""Check a claim against the arithmetic of its own document.

A claim is compared with the value computed from other claims (`derive`), with explicit checks (`checks`: arithmetic, or
physical limits of devices), and its percentage with the sizes of test sets (`attainable`). Each step gives a word and
the lines that explain it:

    consistent               the printed numbers agree, or numbers that round to them do: for a sum, a difference or an
                             average any, for a ratio at least a tenth of the narrower interval
    nominally_inconsistent   they disagree, but the edges of what rounds to them touch; the working gives the share of
                             all combinations of such numbers in which they agree
    internally_inconsistent  no numbers that round to the printed ones agree
    physically_implausible   a physical limit is broken
    open                     one of these two holds as stated, but not under another assumption: a way out exists
    na                       there is nothing to compare

An ambiguous claim has several readings and fails only if it fails in all of them. A value that is only computed, and
printed nowhere, is shown and compared with nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evals.errors import InputError, shorten
from evals.reports.claims.language import intervals, trees
from evals.reports.claims.language.expressions import Number, parse
from evals.reports.claims.language.schema import Check, Claim, ClaimReading, ResolutionCheck
from evals.reports.claims.language.statements import StatedValue
from evals.reports.claims.language.trees import Node, ResolvedExpression
from evals.reports.claims.language.units import POINTS, ExactInterval, Unit, format_range, format_value, spell
from evals.reports.claims.language.values import ValueTable
from evals.statistics.power import attainable_count, compare_proportions

COARSE = (5, 10)
"""Coarser rounding steps, in units of the last place, that the inputs of a computation may have been rounded to."""
SEVERITY = ("na", "consistent", "open", "nominally_inconsistent", "physically_implausible", "internally_inconsistent")
_AVERTIBLE = {"internally_inconsistent", "physically_implausible"}
"""The words that become `open` if a way out exists."""
_EDGE = Fraction(1, 10)
"""The part of an interval that must be shared for a ratio to be consistent; if less is shared, only the edges touch."""
_ROUNDING_BOX = "the values that round to the printed numbers"
_LAWS = {"arithmetic": "internally_inconsistent", "physical": "physically_implausible"}
_COMPARISONS = {
    "at-least": "at least",
    "at-most": "at most",
    "above": "more than",
    "below": "less than",
    "equals": "equal to",
}
_SIGNS = {
    "at-most": ExactInterval(None, Fraction(0)),
    "below": ExactInterval(None, Fraction(0)),
    "at-least": ExactInterval(Fraction(0), None),
    "above": ExactInterval(Fraction(0), None),
    "equals": ExactInterval(Fraction(0), Fraction(0)),
}
"""What the difference left - right must be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one kind of evidence shows about a claim."""

    verdict: str
    """A word of the axis."""
    working: tuple[str, ...] = ()
    """Lines that explain the word."""
    averts: bool = False
    """Whether it is a way out: an assumption, other than the document's, under which a failed check passes."""


def check(claim: Claim, table: ValueTable) -> Finding:
    """Run all arithmetic of a claim.

    Args:
        claim: the claim.
        table: the values of its document.

    Raises:
        InputError: an expression cannot be computed; the message names the claim.
    """
    try:
        steps = [*_check_derivation(claim, table), *_run_checks(claim, table), *_check_shares(claim, table)]
        steps += _check_interval(claim, table)
        lines = [line for step in steps for line in step.working]
        lines += [line for entry in claim.resolutions for line in _resolution_lines(entry, table)]
    except InputError as error:
        raise InputError(f"claim {claim.id}: {error}") from error
    verdict = most_severe([step.verdict for step in steps])
    lines += [f"way out: {way}" for way in claim.escapes if verdict not in {"na", "consistent"}]
    if verdict in _AVERTIBLE and (claim.escapes or any(step.averts for step in steps)):
        lines.append(f"{_words(verdict)} as stated, but a way out exists")
        verdict = "open"
    return Finding(verdict, tuple(lines))


def most_severe(verdicts: Sequence[str]) -> str:
    """Return the most severe of several words of arithmetic.

    Example:
        >>> most_severe(["consistent", "physically_implausible"]), most_severe([])
        ('physically_implausible', 'na')
    """
    return max(verdicts, key=SEVERITY.index, default="na")


# The value computed from other claims


def _check_derivation(claim: Claim, table: ValueTable) -> Iterator[Finding]:
    """Compare a claim's digits with the value computed from other claims, in each reading."""
    if claim.digits is None:
        if claim.derive is not None:
            resolved = table.resolve(claim.derive)
            yield Finding("na", (_computation(claim.derive, resolved, table, _unit(claim, table, resolved)),))
        return
    lines: list[str] = []
    verdicts = []
    for reading in claim.readings or (None,):
        text = reading.derive if reading and reading.derive else claim.derive
        if text is None:
            lines += [f"may mean: {reading.says}"] if reading else []
            continue
        resolved = table.resolve(text)
        _require_dimension(reading.unit or claim.unit if reading else claim.unit, resolved, table)
        unit = _unit(reading if reading and reading.unit else claim, table, resolved)
        computation = _computation(text, resolved, table, unit)
        lines += [computation] if computation not in lines else []
        target = claimed(claim, reading, table)
        verdict, explanation = _compare_with_target(resolved, target, table, unit)
        verdicts.append(verdict)
        heading = f"read as “{reading.says}”: " if reading else ""
        lines += [f"{heading}claimed {format_range(target, unit)}: {_words(verdict)}", *explanation]
    if lines:
        yield Finding(min(verdicts, key=SEVERITY.index, default="na"), tuple(lines))


def _require_dimension(name: str | None, resolved: ResolvedExpression, table: ValueTable) -> None:
    """Refuse a formula that computes another kind of thing than the claim states; a bare number counts anything."""
    if name is None or resolved.bare:
        return
    stated, computed = table.units[name].dimension, resolved.unit.dimension
    if stated != computed and (computed or {"second", "bit"} & {*stated}):
        kinds = spell(computed) or "a plain number", spell(stated) or "a plain number"
        raise InputError(
            f"its formula gives {kinds[0]}, and the claim is in {name} ({kinds[1]}); mend 'derive' or 'unit'"
        )


def claimed(claim: Claim, reading: ClaimReading | None, table: ValueTable) -> ExactInterval:
    """Return the interval of values that a claim allows in one of its readings."""
    allowed = table.allowed(reading if reading is not None and reading.digits is not None else claim)
    if reading is None or reading.reads is None or allowed is None:
        return allowed or ExactInterval(None, None)
    low, high = table.range_of(table.resolve(reading.reads))
    return ExactInterval(low if allowed.low is not None else None, high if allowed.high is not None else None)


def _compare_with_target(
    resolved: ResolvedExpression, target: ExactInterval, table: ValueTable, unit: Unit
) -> tuple[str, list[str]]:
    """Compare a computed value with the claimed interval, for each rounding step of the inputs."""
    ids = trees.names(resolved.tree)
    fine = ExactInterval(*table.range_of(resolved))
    if target.holds(table.nominal(resolved)):
        return "consistent", []
    if fine.meets(target):
        if _is_linear(resolved.tree) or _shared_part(fine, target) >= _EDGE:
            return "consistent", [f"the numbers were rounded: {format_range(fine, unit)} allows it"]
        share = intervals.volume_share(resolved.tree, table.box(ids), target.low, target.high)
        return "nominally_inconsistent", [f"{_percent(share)} of {_ROUNDING_BOX} agree with the claim"]
    lines, possible = [], False
    for coarse in COARSE:
        try:
            wide = ExactInterval(*table.range_of(resolved, coarse))
        except InputError:  # so coarse that a divisor may be zero
            continue
        meets, plausible = wide.meets(target), table.could_be_rounded(ids, coarse)
        possible |= meets and plausible
        digits = "" if plausible else " (the printed digits are finer)"
        lines.append(
            f"if the inputs were rounded to {coarse} units of the last place{digits}: {format_range(wide, unit)}, "
            f"which {'agrees' if meets else 'still disagrees'}"
        )
    return "nominally_inconsistent" if possible else "internally_inconsistent", lines


def _is_linear(tree: Node) -> bool:
    """Whether a tree adds names with constant factors: a sum, a difference, an average."""
    match tree.kind:
        case "number" | "name":
            return True
        case "+" | "-" | "neg":
            return all(map(_is_linear, tree.parts))
        case "*":
            return all(map(_is_linear, tree.parts)) and any(not trees.names(part) for part in tree.parts)
        case "/":
            return _is_linear(tree.parts[0]) and not trees.names(tree.parts[1])
    return False


def _shared_part(first: ExactInterval, second: ExactInterval) -> Fraction:
    """The part of the narrower of two intervals that meet which lies in the other."""
    lows = [end for end in (first.low, second.low) if end is not None]
    highs = [end for end in (first.high, second.high) if end is not None]
    widths = [end.high - end.low for end in (first, second) if end.low is not None and end.high is not None]
    narrower = min(widths, default=Fraction(0))
    return (min(highs) - max(lows)) / narrower if narrower and lows and highs else Fraction(1)


# Explicit checks


def _run_checks(claim: Claim, table: ValueTable) -> Iterator[Finding]:
    """Evaluate a claim's checks; a check of role `escape` has no verdict, its lines say whether it is a way out."""
    for check in claim.checks:
        right = table.resolve(check.right)
        unit = _in_points(table.units[check.unit] if check.unit else _legible_unit(right, claim, table), right)
        says = check.says.rstrip(".") + (f" (assuming {check.assuming})" if check.assuming else "")
        if check.compare is None:
            yield Finding("na", (f"{says}: {_computation(check.right, right, table, unit)}",))
            continue
        verdict, lines = _evaluate(claim, check, right, table, unit)
        if check.role == "escape":
            averts = verdict in {"consistent", "nominally_inconsistent"}
            yield Finding("na", (f"{'a way out' if averts else 'no way out'}: {says}", *lines), averts)
        else:
            yield Finding(verdict, (f"{says}: {_words(verdict)}", *lines))


def _evaluate(
    claim: Claim, check: Check, right: ResolvedExpression, table: ValueTable, unit: Unit
) -> tuple[str, list[str]]:
    """Decide one comparison over the box of all numbers that occur in it."""
    comparison = check.compare or "equals"
    text = check.left if check.left is not None else claim.id
    left = table.resolve(text)
    difference = trees.combine("-", left, right)
    low, high = table.range_of(difference)
    value = table.nominal(difference)
    allowed = _SIGNS[comparison]
    sides = (
        f"{_computation(text, left, table, unit)}; {_COMPARISONS[comparison]} "
        f"{_computation(check.right, right, table, unit)}"
    )
    touches = comparison in {"above", "below"} and value == 0
    if (allowed.holds(value) and not touches) or (comparison == "equals" and low <= 0 <= high):
        return "consistent", [sides]
    if ExactInterval(low, high).meets(allowed) and not (touches and low == high):
        box = table.box(trees.names(difference.tree))
        share = intervals.volume_share(difference.tree, box, allowed.low, allowed.high)
        return "nominally_inconsistent", [sides, f"{_percent(share)} of {_ROUNDING_BOX} pass"]
    return _LAWS[check.law], [sides]


# Test sets


def _check_shares(claim: Claim, table: ValueTable) -> Iterator[Finding]:
    """Whether a printed percentage is a whole number of items of one of the test sets (the GRIM test)."""
    if not claim.attainable or table.unit(claim).dimension:
        return
    low, high = table.rounding_range(claim)
    lines, is_attainable = [], False
    for text in claim.attainable:
        size = table.nominal(table.resolve(text))
        if size.denominator != 1 or size < 1:
            raise InputError(
                f"claim {claim.id}: attainable: {shorten(text)} is {float(size):g}; a test set has 1 item or more"
            )
        items = int(size)
        count = attainable_count(low, high, items)
        is_attainable |= count is not None
        description = f"{count:,} of {items:,} right" if count is not None else f"no whole number of {items:,} items"
        lines.append(f"{table.show(claim)} is {description} ({text})")
    yield Finding("consistent" if is_attainable else "internally_inconsistent", tuple(lines))


def _check_interval(claim: Claim, table: ValueTable) -> list[Finding]:
    """Whether a printed interval contains its value."""
    if claim.interval is None or claim.digits is None:
        return []
    low, high = map(Fraction, claim.interval)
    contains = low <= Fraction(claim.digits) <= high
    ends = f"the interval {claim.interval[0]} to {claim.interval[1]}"
    line = f"{ends} {'contains' if contains else 'does not contain'} {table.show(claim)}"
    return [Finding("consistent" if contains else "internally_inconsistent", (line,))]


def _resolution_lines(entry: ResolutionCheck, table: ValueTable) -> Iterator[str]:
    """Describe whether a test set of some size can distinguish two proportions."""
    first, second = (float(table.nominal(table.resolve(text))) for text in (entry.first, entry.second))
    items = int(table.nominal(table.resolve(entry.items))) if entry.items else None
    power = compare_proportions(first, second, items)
    heading = f"{entry.says}: " if entry.says else ""
    line = f"{heading}{first:.1%} against {second:.1%}, {abs(first - second) * 100:.4g} points"
    if items is not None and power.z is not None and power.p is not None:
        significant = "significant" if power.p < 0.05 else "not significant"
        p = f"p = {power.p:.2g}" if power.p > 1e-9 else "p < 1e-9"
        line += f": z = {power.z:.2f}, {p} at n = {items:,} ({significant} at 5 %)"
    yield line
    yield f"significant from n = {power.n_for_significance:,} a side, unpaired; 80 % power from {power.n_for_power:,}"


# Wording


def _computation(text: str, resolved: ResolvedExpression, table: ValueTable, unit: Unit) -> str:
    """Write out a computation: the expression, its value, its range with rounding, and its inputs."""
    low, high = table.range_of(resolved)
    value = format_value(table.nominal(resolved), unit)
    ids = trees.names(resolved.tree)
    if text in ids:
        return f"{text} = {table.show(table.entries[text])}"
    if isinstance(parse(text), Number) and low == high:
        return value
    inputs = ", ".join(f"{id} = {table.show(table.entries[id])}" for id in ids if id in table.entries)
    ends = f" ({format_range(ExactInterval(low, high), unit)} with rounding)" if low != high else ""
    return f"{text} = {value}{ends}" + (f", where {inputs}" if inputs else "")


def _unit(value: StatedValue, table: ValueTable, resolved: ResolvedExpression) -> Unit:
    """The unit of a value, or that of its computation; a difference of percentages is always in points."""
    return _in_points(table.unit(value) if value.unit else resolved.unit, resolved)


def _in_points(unit: Unit, resolved: ResolvedExpression) -> Unit:
    return POINTS if unit.symbol == "%" and resolved.unit == POINTS else unit


def _legible_unit(right: ResolvedExpression, claim: Claim, table: ValueTable) -> Unit:
    """The claim's unit if it has the dimension of the expression, else the unit of the expression."""
    unit = table.unit(claim)
    return unit if unit.dimension == right.unit.dimension and unit.symbol else right.unit


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %" if share >= 0.001 else "less than 0.1 %"


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")
