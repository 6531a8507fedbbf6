"""The values of a document's claims and of the public facts, by id, as intervals.

    table = ValueTable(document, record, vocabulary)
    table.allowed(claim)                the interval of values that the claim allows, including its bound
    table.resolve("B-65 / B-68")        the expression over the printed numbers that it depends on
    table.box(["B-65"], coarse=5)       the interval of each number, if it was rounded to multiples of five

A printed number represents every value that rounds to it: "78.3" means 78.25 to 78.35. A value that is computed from
others (`derive`) is resolved to the printed numbers that it depends on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from evals.errors import InputError
from evals.reports.claims.language import intervals, literals, trees
from evals.reports.claims.language.expressions import parse, references
from evals.reports.claims.language.facts import Fact, PublicRecord, Vocabulary
from evals.reports.claims.language.intervals import Ends
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.statements import StatedValue
from evals.reports.claims.language.trees import ResolvedExpression
from evals.reports.claims.language.units import PLAIN, ExactInterval, Unit, Units, format_value, is_multiple, last_place

MARGIN = Fraction(1, 10)
"""Relative margin of the bound `about` for a claim that states no margin."""
MAX_STEPS = 20
"""Limit on the claims through which a claim is computed, one from the other."""


class ValueTable:
    """The values of one document and of the public facts, by id."""

    def __init__(self, document: Document, record: PublicRecord, vocabulary: Vocabulary) -> None:
        """Index claims and facts; values are computed on demand."""
        facts = {fact.id: fact for fact in record.facts}
        self.entries: Mapping[str, Claim | Fact] = {**facts, **{claim.id: claim for claim in document.claims}}
        self.units = Units({name: (unit.symbol, unit.is_) for name, unit in vocabulary.units.items()})
        self.claims = frozenset(claim.id for claim in document.claims)
        self._resolving: list[str] = []

    def unit(self, value: StatedValue) -> Unit:
        """Return the unit of a value; plain numbers if it has none."""
        return self.units[value.unit] if value.unit else PLAIN

    def rounding_range(self, value: StatedValue, coarse: int = 1) -> Ends:
        """Return the interval of the values that round to the digits, in base units.

        Args:
            value: a value with digits.
            coarse: the rounding step in units of the last place; 0 ignores rounding.
        """
        scale = Fraction(value.times) * self.unit(value).factor
        digits = value.digits or "0"
        rounded = value.printed is not None and not value.exact
        half = last_place(digits) * coarse / 2 if rounded else Fraction(0)
        if value.plus_minus is not None and coarse:
            half = max(half, Fraction(value.plus_minus))
        low, high = Fraction(digits) - half, Fraction(value.upto or digits) + half
        if value.interval is not None and coarse:
            low, high = min(low, *map(Fraction, value.interval)), max(high, *map(Fraction, value.interval))
        return low * scale, high * scale

    def printed_value(self, value: StatedValue) -> Fraction:
        """Return the number that the digits print, in base units; the middle of a range."""
        low, high = self.rounding_range(value, coarse=0)
        return (low + high) / 2

    def allowed(self, value: StatedValue) -> ExactInterval | None:
        """Return the interval that a value allows, including bound and margin; None if it is not a number.

        Raises:
            InputError: the value is computed from others and cannot be computed.
        """
        if value.digits is None and value.derive is None:
            return None
        if value.digits is None:
            resolved = self.resolve(value.derive or "")
            low, high, point = *self.range_of(resolved), self.nominal(resolved)
        else:
            (low, high), point = self.rounding_range(value), self.printed_value(value)
        match value.bound:
            case "at-least" | "above":
                return ExactInterval(low, None)
            case "at-most" | "below":
                return ExactInterval(None, high)
            case "about":
                margin = Fraction(value.margin) * self.unit(value).factor if value.margin else abs(point) * MARGIN
                return ExactInterval(min(low, point - margin), max(high, point + margin))
        return ExactInterval(low, high)

    def resolve(self, text: str) -> ResolvedExpression:
        """Parse an expression and replace computed values until only printed numbers remain.

        Raises:
            InputError: the text cannot be parsed, units do not match, or a claim is computed from itself.
        """
        try:
            return trees.resolve(parse(text), self._look_up, self.units)
        except InputError as error:
            raise error if repr(text)[1:-1] in str(error) else InputError(f"expression {text!r}: {error}") from error

    def _look_up(self, id: str) -> Unit | ResolvedExpression:
        if id not in self.entries:
            raise InputError(f"{id} is not a claim or fact")
        value = self.entries[id]
        if value.digits is not None:
            return self.unit(value)
        if value.derive is None:
            raise InputError(f"{id} has no number")
        if id in self._resolving or len(self._resolving) > MAX_STEPS:
            raise InputError(f"{' needs '.join([*self._resolving, id])}: a claim cannot be computed from itself")
        self._resolving.append(id)
        try:
            resolved = self.resolve(value.derive)
        finally:
            self._resolving.pop()
        return ResolvedExpression(resolved.tree, self.unit(value) if value.unit else resolved.unit)

    def inputs(self, text: str) -> list[str]:
        """List the claims and facts that an expression names, each once."""
        return list(dict.fromkeys(reference.id for reference in references(parse(text))))

    def box(self, ids: Iterable[str], coarse: int = 1) -> dict[str, Ends]:
        """Return the interval of each printed number, with a rounding step of `coarse` units of the last place.

        A number that is stated with `about` has its margin, and a number written in an expression its own precision.
        """
        return {id: self._ends(id, coarse) for id in ids}

    def _ends(self, id: str, coarse: int) -> Ends:
        if id not in self.entries:
            return literals.interval(id)
        value = self.entries[id]
        low, high = self.rounding_range(value, coarse)
        if value.bound == "about" and (allowed := self.allowed(value)) is not None:
            low, high = min(low, allowed.low or low), max(high, allowed.high or high)
        return low, high

    def range_of(self, resolved: ResolvedExpression, coarse: int = 1) -> Ends:
        """Return the smallest and largest value of an expression over the rounding intervals of its inputs.

        Raises:
            InputError: a divisor can be zero.
        """
        try:
            return intervals.range_over_box(resolved.tree, self.box(trees.names(resolved.tree), coarse))
        except ZeroDivisionError as error:
            raise InputError(f"no value: {error}") from error

    def nominal(self, resolved: ResolvedExpression) -> Fraction:
        """Return the value of an expression with every number as printed.

        Raises:
            InputError: a divisor is zero.
        """
        printed = {
            id: self.printed_value(self.entries[id]) if id in self.entries else literals.printed(id)
            for id in trees.names(resolved.tree)
        }
        try:
            return intervals.bounded(Fraction(intervals.evaluate(resolved.tree, printed)))
        except ZeroDivisionError as error:
            raise InputError(f"no value: {error}") from error

    def could_be_rounded(self, ids: Iterable[str], coarse: int) -> bool:
        """Whether every printed number is a multiple of `coarse` units of its last place."""
        values = [self.entries[id] for id in ids if id in self.entries]
        rounded = [value.printed for value in values if value.printed is not None and not value.exact]
        return all(is_multiple(digits, coarse) for digits in rounded if digits is not None)

    def show(self, value: StatedValue) -> str:
        """Format a value with the digits of its document, or with the number that they count (`times`)."""
        if value.digits is None and value.derive is not None:
            resolved = self.resolve(value.derive)
            return format_value(self.nominal(resolved), self.unit(value) if value.unit else resolved.unit)
        if value.digits is None:
            return ", ".join(value.value or ())
        ends = [value.digits, value.upto] if value.upto else [value.digits]
        unit = self.unit(value)
        if value.times == 1:
            return f"{' to '.join(ends)} {unit.symbol}".strip()
        return " to ".join(format_value(Fraction(end) * Fraction(value.times) * unit.factor, unit) for end in ends)
