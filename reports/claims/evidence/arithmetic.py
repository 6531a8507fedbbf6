"""Arithmetic within a document: what a claim's numbers must be if the others are as printed.

A claim is computed from other claims (`derive`), held against what devices can do (`checks` under a physical law), and
its percentages against the sizes of test sets (`attainable`). Every step gives an outcome and the lines that show it:

    consistent               the printed numbers agree
    nominally_inconsistent   they disagree, but numbers that round to them agree; the share of the rounding box is given
    internally_inconsistent  no numbers that round to the printed ones agree
    physically_implausible   a stated bound is broken; the ways out are listed
    na                       nothing to compute

An ambiguous claim is read in each of its ways and fails only when it fails in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evals.errors import InputError
from evals.reports.claims.language import intervals
from evals.reports.claims.language.expressions import Number, parse
from evals.reports.claims.language.intervals import ResolvedExpression
from evals.reports.claims.language.schema import Check, Claim, ClaimReading, ResolutionCheck, StatedValue
from evals.reports.claims.language.units import PLAIN, ExactInterval, Unit, figure
from evals.reports.claims.language.values import ValueTable
from evals.statistics.power import attainable_count, compare_proportions

COARSE = (1, 5, 10)
"""How many units of the last place an author may have rounded inputs to."""
SEVERITY = ("na", "consistent", "nominally_inconsistent", "physically_implausible", "internally_inconsistent")
_LAWS = {"arithmetic": "internally_inconsistent", "physical": "physically_implausible"}
_ROLES = {
    "at-least": "at least",
    "at-most": "at most",
    "above": "more than",
    "below": "less than",
    "equals": "equal to",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one kind of evidence says of a claim."""

    verdict: str
    """A word of its axis."""
    working: tuple[str, ...] = ()
    """How it comes to it, line by line."""


def check(claim: Claim, ledger: ValueTable) -> Finding:
    """Do all of a claim's arithmetic.

    Raises:
        InputError: an expression cannot be computed; the message names the claim.
    """
    try:
        steps = [*_derived(claim, ledger), *_checked(claim, ledger), *_shares(claim, ledger)]
        lines = [line for step in steps for line in step.working]
        lines += [line for each in claim.resolutions for line in _resolved(each, ledger)]
    except InputError as error:
        raise InputError(f"claim {claim.id}: {error}") from error
    verdict = most_severe([step.verdict for step in steps])
    lines += [f"way out: {way}" for way in claim.escapes if verdict not in {"na", "consistent"}]
    return Finding(verdict, tuple(lines))


def most_severe(verdicts: Sequence[str]) -> str:
    """The gravest of several outcomes.

    Example:
        >>> most_severe(["consistent", "physically_implausible"]), most_severe([])
        ('physically_implausible', 'na')
    """
    return max(verdicts, key=SEVERITY.index, default="na")


# What a claim is computed from


def _derived(claim: Claim, ledger: ValueTable) -> Iterator[Finding]:
    """Compare a claim's digits with what they are computed from, in each reading."""
    if claim.digits is None:
        if claim.derive is not None:
            resolved = ledger.resolve(claim.derive)
            yield Finding("consistent", (_comes_to(claim.derive, resolved, ledger, _unit(claim, ledger, resolved)),))
        return
    lines: list[str] = []
    found = []
    for reading in claim.readings or (None,):
        text = reading.derive if reading and reading.derive else claim.derive
        if text is None:
            lines += [f"may mean: {reading.says}"] if reading else []
            continue
        resolved = ledger.resolve(text)
        shown = _unit(reading if reading and reading.unit else claim, ledger, resolved)
        come = _comes_to(text, resolved, ledger, shown)
        lines += [come] if come not in lines else []
        target = claimed(claim, reading, ledger)
        verdict, more = _held(resolved, target, ledger, shown)
        found.append(verdict)
        heading = f"read as “{reading.says}”: " if reading else ""
        lines += [f"{heading}claimed {_range(target, shown)}: {_say(verdict)}", *more]
    if lines:
        yield Finding(min(found, key=SEVERITY.index, default="na"), tuple(lines))


def claimed(claim: Claim, reading: ClaimReading | None, ledger: ValueTable) -> ExactInterval:
    """What a claim allows in one reading."""
    own = ledger.allowed(reading if reading is not None and reading.digits is not None else claim)
    if reading is None or reading.reads is None or own is None:
        return own or ExactInterval(None, None)
    low, high = ledger.extent(ledger.resolve(reading.reads))
    return ExactInterval(low if own.low is not None else None, high if own.high is not None else None)


def _held(
    resolved: ResolvedExpression, target: ExactInterval, ledger: ValueTable, shown: Unit
) -> tuple[str, list[str]]:
    """Hold what an expression comes to against what is claimed, at each fineness of rounding."""
    ids = intervals.names(resolved.tree)
    value = ledger.at(resolved)
    meeting = {coarse: ExactInterval(*ledger.extent(resolved, coarse)).meets(target) for coarse in COARSE}
    if target.holds(value):
        return "consistent", []
    if meeting[1]:
        part = intervals.share(resolved.tree, ledger.box(ids), target.low, target.high)
        return "nominally_inconsistent", [f"{_percent(part)} of the rounding box agrees with the claim"]
    lines = []
    for coarse in COARSE[1:]:
        ends = ExactInterval(*ledger.extent(resolved, coarse))
        far = "still apart" if not meeting[coarse] else "they would meet"
        digits = "" if ledger.admits(ids, coarse) else " (the printed digits are finer)"
        lines.append(f"had the inputs been rounded to {coarse} of the last place{digits}: {_range(ends, shown)}, {far}")
    possible = any(meeting[coarse] and ledger.admits(ids, coarse) for coarse in COARSE[1:])
    return "nominally_inconsistent" if possible else "internally_inconsistent", lines


# What it is held against


def _checked(claim: Claim, ledger: ValueTable) -> Iterator[Finding]:
    """Go through a claim's checks; an escape decides nothing but says whether it is one."""
    for check in claim.checks:
        right = ledger.resolve(check.right)
        unit = ledger.units[check.unit] if check.unit else _legible(right, claim, ledger)
        says = check.says.rstrip(".") + (f" (assuming {check.assuming})" if check.assuming else "")
        if check.compare is None:
            yield Finding("na", (f"{says}: {_comes_to(check.right, right, ledger, unit)}",))
            continue
        verdict, lines = _compared(claim, check, right, ledger, unit)
        if check.role == "escape":
            way = "a way out" if verdict == "consistent" else "no way out"
            yield Finding("na", (f"{way}: {says}", *lines))
        else:
            yield Finding(verdict, (f"{says}: {_say(verdict)}", *lines))


def _compared(
    claim: Claim, check: Check, right: ResolvedExpression, ledger: ValueTable, unit: Unit
) -> tuple[str, list[str]]:
    """Decide one comparison over the box of all numbers in it."""
    text = check.left if check.left is not None else claim.id
    left = ledger.resolve(text)
    difference = intervals.added("-", left, right)
    low, high = ledger.extent(difference)
    value = ledger.at(difference)
    wanted = {
        "at-most": ExactInterval(None, Fraction(0)), "below": ExactInterval(None, Fraction(0)),
        "at-least": ExactInterval(Fraction(0), None), "above": ExactInterval(Fraction(0), None),
    }.get(check.compare or "", ExactInterval(Fraction(0), Fraction(0)))  # fmt: skip
    ours, theirs = _comes_to(text, left, ledger, unit), _comes_to(check.right, right, ledger, unit)
    sides = f"{ours}; {_ROLES[check.compare or 'equals']} {theirs}"
    strict = check.compare in {"above", "below"} and value == 0
    if (wanted.holds(value) and not strict) or (check.compare == "equals" and low <= 0 <= high):
        return "consistent", [sides]
    if ExactInterval(low, high).meets(wanted) and not (strict and low == high):
        part = intervals.share(difference.tree, ledger.box(intervals.names(difference.tree)), wanted.low, wanted.high)
        return "nominally_inconsistent", [sides, f"{_percent(part)} of the rounding box would do"]
    return _LAWS[check.law], [sides]


# Test sets


def _shares(claim: Claim, ledger: ValueTable) -> Iterator[Finding]:
    """Whether a printed percentage is a share of whole items of one of the sets (the GRIM test)."""
    if not claim.attainable:
        return
    low, high = ledger.spread(claim)
    lines, found = [], False
    for text in claim.attainable:
        items = int(ledger.at(ledger.resolve(text)))
        count = attainable_count(low, high, items)
        found |= count is not None
        what = f"{count:,} of {items:,} right" if count is not None else f"no whole number of {items:,} items"
        lines.append(f"{ledger.show(claim)} is {what} ({text})")
    yield Finding("consistent" if found else "internally_inconsistent", tuple(lines))


def _resolved(each: ResolutionCheck, ledger: ValueTable) -> Iterator[str]:
    """Say whether a test set of some size can tell two proportions apart."""
    first, second = (float(ledger.at(ledger.resolve(text))) for text in (each.first, each.second))
    items = int(ledger.at(ledger.resolve(each.items))) if each.items else None
    found = compare_proportions(first, second, items)
    heading = f"{each.says}: " if each.says else ""
    gap = f"{heading}{first:.1%} against {second:.1%}, {abs(first - second) * 100:.4g} points"
    if items is not None and found.z is not None and found.p is not None:
        told = "told apart" if found.p < 0.05 else "not told apart"
        p = f"p = {found.p:.2g}" if found.p > 1e-9 else "p < 1e-9"
        gap += f": z = {found.z:.2f}, {p} at n = {items:,} ({told} at 5 %)"
    yield gap
    yield f"significant from n = {found.n_for_significance:,} a side, unpaired; 80 % power from {found.n_for_power:,}"


# Wording


def _comes_to(text: str, resolved: ResolvedExpression, ledger: ValueTable, unit: Unit) -> str:
    """Say what an expression comes to: with the numbers put in, its value and its ends."""
    low, high = ledger.extent(resolved)
    value = figure(ledger.at(resolved), unit)
    ids = intervals.names(resolved.tree)
    if text in ids:
        return f"{text} = {ledger.show(ledger.values[text])}"
    if isinstance(parse(text), Number):
        return value
    inputs = ", ".join(f"{id} = {ledger.show(ledger.values[id])}" for id in ids)
    ends = f" ({_range(ExactInterval(low, high), unit)} with rounding)" if low != high else ""
    return f"{text} = {value}{ends}" + (f", where {inputs}" if inputs else "")


def _range(ends: ExactInterval, unit: Unit) -> str:
    if ends.is_point and ends.low is not None:
        return figure(ends.low, unit)
    if ends.low is None:
        return f"at most {figure(ends.high, unit)}" if ends.high is not None else "anything"
    if ends.high is None:
        return f"at least {figure(ends.low, unit)}"
    return f"{figure(ends.low, PLAIN if not unit.symbol else _bare(unit))} to {figure(ends.high, unit)}"


def _bare(unit: Unit) -> Unit:
    return Unit("", unit.factor, unit.dimension)


def _unit(value: StatedValue, ledger: ValueTable, resolved: ResolvedExpression) -> Unit:
    return ledger.unit(value) if value.unit else resolved.unit


def _legible(right: ResolvedExpression, claim: Claim, ledger: ValueTable) -> Unit:
    """A unit for people: the claim's own where it fits, else that of the expression."""
    own = ledger.unit(claim)
    return own if own.dimension == right.unit.dimension and own.symbol else right.unit


def _percent(part: float) -> str:
    return f"{part * 100:.1f} %" if part >= 0.001 else "less than 0.1 %"


def _say(verdict: str) -> str:
    return verdict.replace("_", " ")
