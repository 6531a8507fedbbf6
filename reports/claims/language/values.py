"""The numbers of a document and of the facts beside it, by id, as what they may be.

ledger = Ledger(document, record, vocabulary)
ledger.allowed(claim)                   Interval: what the claim allows, its bound included
ledger.resolve("B-65 / B-68")           Resolved: a tree over the printed numbers behind it
ledger.box(["B-65"], coarse=5)          what each may be, if it was rounded to fives
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from evals.errors import InputError
from evals.reports.claims.language import intervals
from evals.reports.claims.language.expressions import parse, references
from evals.reports.claims.language.intervals import Ends, ResolvedExpression
from evals.reports.claims.language.schema import Claim, Document, Fact, PublicRecord, StatedValue, Vocabulary
from evals.reports.claims.language.units import PLAIN, ExactInterval, Unit, Units, admits, figure, last_place

MARGIN = Fraction(1, 10)
"""How far off `about` reaches, as a share of the number, where the claim gives no margin of its own."""
_DEEPEST = 20


class ValueTable:
    """Numbers by id; what a claim computes from others is followed down to what is printed."""

    def __init__(self, document: Document, record: PublicRecord, vocabulary: Vocabulary) -> None:
        """Take a document's claims and the facts; nothing is computed before it is asked for."""
        facts = {fact.id: fact for fact in record.facts}
        self.values: Mapping[str, Claim | Fact] = {**facts, **{claim.id: claim for claim in document.claims}}
        self.units = Units({name: (unit.symbol, unit.is_) for name, unit in vocabulary.units.items()})
        self.claims = frozenset(claim.id for claim in document.claims)
        self._following: list[str] = []

    def unit(self, value: StatedValue) -> Unit:
        """The unit of a value; plain numbers where none is given."""
        return self.units[value.unit] if value.unit else PLAIN

    def spread(self, value: StatedValue, coarse: int = 1) -> Ends:
        """All that the digits of a value may stand for, in base units, if so many units of the last place are one."""
        scale = Fraction(value.times) * self.unit(value).factor
        digits = value.digits or "0"
        rounded = value.printed is not None and not value.exact
        half = last_place(digits) * coarse / 2 if rounded else Fraction(0)
        ends = (Fraction(digits) - half) * scale, (Fraction(value.upto or digits) + half) * scale
        return ends[0], ends[1]

    def point(self, value: StatedValue) -> Fraction:
        """The number that a value's digits are, in base units; of a range its middle."""
        low, high = self.spread(value, coarse=0)
        return (low + high) / 2

    def allowed(self, value: StatedValue) -> ExactInterval | None:
        """All that a value allows, bound and margin included; None for one that is no number.

        Raises:
            InputError: a computed value cannot be computed.
        """
        if value.digits is None and value.derive is None:
            return None
        if value.digits is None:
            resolved = self.resolve(value.derive or "")
            low, high, point = *self.extent(resolved), self.at(resolved)
        else:
            (low, high), point = self.spread(value), self.point(value)
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
        """Read an expression down to printed numbers.

        Raises:
            InputError: it cannot be read, units do not fit, or claims are computed from each other.
        """
        try:
            return intervals.resolve(parse(text), self._lookup, self.units)
        except InputError as error:
            raise error if repr(text)[1:-1] in str(error) else InputError(f"expression {text!r}: {error}") from error

    def _lookup(self, name: str) -> Unit | ResolvedExpression:
        if name not in self.values:
            raise InputError(f"{name} is no claim or fact")
        value = self.values[name]
        if value.digits is not None:
            return self.unit(value)
        if value.derive is None:
            raise InputError(f"{name} has no number")
        if name in self._following or len(self._following) > _DEEPEST:
            raise InputError(f"{' needs '.join([*self._following, name])}: a claim cannot be computed from itself")
        self._following.append(name)
        try:
            found = self.resolve(value.derive)
        finally:
            self._following.pop()
        return ResolvedExpression(found.tree, self.unit(value) if value.unit else found.unit)

    def inputs(self, text: str) -> list[str]:
        """The claims and facts that an expression names, each once."""
        return list(dict.fromkeys(reference.id for reference in references(parse(text))))

    def box(self, ids: Iterable[str], coarse: int = 1) -> dict[str, Ends]:
        """What each number may be."""
        return {id: self.spread(self.values[id], coarse) for id in ids}

    def extent(self, resolved: ResolvedExpression, coarse: int = 1) -> Ends:
        """What an expression may come to. Raises `InputError` where a divisor may be zero."""
        try:
            return intervals.extent(resolved.tree, self.box(intervals.names(resolved.tree), coarse))
        except ZeroDivisionError as error:
            raise InputError(f"no value: {error}") from error

    def at(self, resolved: ResolvedExpression) -> Fraction:
        """What an expression comes to with the numbers as printed."""
        try:
            value = intervals.compute(
                resolved.tree, {id: self.point(self.values[id]) for id in intervals.names(resolved.tree)}
            )
        except ZeroDivisionError as error:
            raise InputError(f"no value: {error}") from error
        return Fraction(value)

    def admits(self, ids: Iterable[str], coarse: int) -> bool:
        """Whether each printed number may have been rounded to so many units of its last place."""
        rounded = [value.printed for id in ids if (value := self.values[id]).printed is not None and not value.exact]
        return all(admits(digits, coarse) for digits in rounded if digits is not None)

    def show(self, value: StatedValue) -> str:
        """Print a value: the digits as its document has them, or what they count where it has words for that."""
        if value.digits is None and value.derive is not None:
            resolved = self.resolve(value.derive)
            return figure(self.at(resolved), self.unit(value) if value.unit else resolved.unit)
        if value.digits is None:
            return ", ".join(value.value or ())
        ends = [value.digits, value.upto] if value.upto else [value.digits]
        if value.times == 1:
            return f"{' to '.join(ends)} {self.unit(value).symbol}".strip()
        unit = self.unit(value)
        return " to ".join(figure(Fraction(end) * Fraction(value.times) * unit.factor, unit) for end in ends)
