"""Units and exact intervals.

Units are those of `reports/claims/facts/vocabulary.yaml`, reduced to a factor and the exponents of base units. Interval
ends are fractions, so whether two intervals touch is decided exactly. (Binary intervals such as mpmath.iv widen 78.35
and report an overlap where two intervals only touch. The unit library pint takes longer to import than the whole of
`check --paper` takes to run.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from evals.errors import InputError, UnknownName

_NUMBER = r"[0-9]{1,40}(?:\.[0-9]{1,40})?"
_FACTOR = re.compile(
    rf"\s*(?P<top>{_NUMBER}(?:[eE][+-]?[0-9]{{1,2}})?)(?:\s*/\s*(?P<below>{_NUMBER}))?(?![0-9.])\s*\*?\s*(?P<rest>.*)"
)
_PART = re.compile(r"(?P<name>[^\s*/^]+)(?:\^(?P<power>-?[0-9]))?")
Dimension = Mapping[str, int]
"""Exponents of base units; empty for plain numbers."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure in terms of base units."""

    symbol: str
    """The symbol printed after a number; empty for plain numbers."""
    factor: Fraction
    """The size of the unit in base units."""
    dimension: Dimension


PLAIN = Unit("", Fraction(1), {})
POINTS = Unit("pp", Fraction(1, 100), {})
"""Percentage points: the unit of a difference of two percentages."""


@dataclass(frozen=True, slots=True)
class ExactInterval:
    """A closed interval in base units with exact ends; an end of None is unbounded."""

    low: Fraction | None
    high: Fraction | None

    def meets(self, other: ExactInterval) -> bool:
        """Whether two intervals overlap. Intervals that share only one end do not, unless one of them is a point.

        Example:
            >>> ExactInterval(Fraction(1), Fraction(2)).meets(ExactInterval(Fraction(2), Fraction(3)))
            False
            >>> ExactInterval(Fraction(2), Fraction(2)).meets(ExactInterval(Fraction(2), None))
            True
        """
        lows = [end for end in (self.low, other.low) if end is not None]
        highs = [end for end in (self.high, other.high) if end is not None]
        if not lows or not highs:
            return True
        low, high = max(lows), min(highs)
        return low < high or (low == high and (self.is_point or other.is_point))

    def holds(self, value: Fraction) -> bool:
        """Whether the interval contains a number, ends included."""
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)

    @property
    def is_point(self) -> bool:
        """Whether the interval is a single number."""
        return self.low is not None and self.low == self.high


class Units:
    """The units of a vocabulary, by name.

    Example:
        >>> units = Units({"bytes": ("B", "8 bit"), "seconds": ("s", "second"), "percent": ("%", "0.01")})
        >>> units["byte/second"].factor, dict(units["byte/second"].dimension), units["percent"].factor
        (Fraction(8, 1), {'bit': 1, 'second': -1}, Fraction(1, 100))
    """

    def __init__(self, definitions: Mapping[str, tuple[str, str]]) -> None:
        """Store the definitions.

        Args:
            definitions: for each unit its symbol and its definition (`8 bit`: a factor and units). A name that occurs
                in definitions only is a base unit.
        """
        self._definitions = definitions
        self._known: dict[str, Unit] = {}

    def __getitem__(self, text: str) -> Unit:
        """Return a unit, or a product of units written with `*`, `/` and `^`. Raises `UnknownName`."""
        if text not in self._known:
            self._known[text] = self._read(text, ())
        return self._known[text]

    def _read(self, text: str, inside: tuple[str, ...]) -> Unit:
        if text in self._definitions and text not in inside:
            symbol, meaning = self._definitions[text]
            return Unit(symbol, *self._reduce(meaning, (*inside, text)))
        return Unit(text, *self._reduce(text, inside))

    def _reduce(self, text: str, inside: tuple[str, ...]) -> tuple[Fraction, Dimension]:
        factor, rest = Fraction(1), text.strip()
        if leading := _FACTOR.fullmatch(rest):
            top, below, rest = Fraction(leading["top"]), Fraction(leading["below"] or 1), leading["rest"]
            if not top or not below:
                raise InputError(f"unit {text!r}: its factor is zero or divides by zero")
            factor = top / below
        powers: dict[str, int] = {}
        for sign, part in _factors(rest):
            match = _PART.fullmatch(part)
            if not match:
                raise InputError(f"unit {text!r}: cannot read {part!r}")
            power = sign * int(match["power"] or 1)
            unit_factor, dimension = self._factor(match["name"], inside)
            factor *= unit_factor**power
            for base, exponent in dimension.items():
                powers[base] = powers.get(base, 0) + power * exponent
        return factor, {base: power for base, power in powers.items() if power}

    def _factor(self, name: str, inside: tuple[str, ...]) -> tuple[Fraction, Dimension]:
        """Reduce one unit name, singular or plural; a name that occurs in definitions only is a base unit."""
        key = next((key for key in (name, f"{name}s") if key in self._definitions), None)
        if key is not None and key not in inside:
            unit = self._read(key, inside)
            return unit.factor, unit.dimension
        if key is None and not inside:
            raise UnknownName("unit", name, self._definitions)
        return Fraction(1), {name: 1}


def _factors(text: str) -> list[tuple[int, str]]:
    """Split a product or quotient of units into its parts, each with the sign of its exponent."""
    parts = [part for part in re.split(r"\s*([*/])\s*|\s+", text) if part]
    factors, sign = [], 1
    for part in parts:
        if part in "*/":
            sign = -1 if part == "/" else 1
        else:
            factors.append((sign, part))
            sign = 1
    return factors


def spell(dimension: Dimension) -> str:
    """Write a dimension as text (`byte/s`); empty for plain numbers."""
    above = "*".join(_power(base, power) for base, power in sorted(dimension.items()) if power > 0)
    below = "".join("/" + _power(base, -power) for base, power in sorted(dimension.items()) if power < 0)
    return (above or "1") + below if above or below else ""


def _power(base: str, power: int) -> str:
    return base if power == 1 else f"{base}^{power}"


def last_place(digits: str) -> Fraction:
    """Return the value of one unit of the last printed place.

    Example:
        >>> last_place("0.80"), last_place("120")
        (Fraction(1, 100), Fraction(1, 1))
    """
    return Fraction(1, 10 ** len(digits.partition(".")[2]))


def is_multiple(digits: str, coarse: int) -> bool:
    """Whether printed digits are a multiple of `coarse` units of the last place, so may have been rounded to it.

    Example:
        >>> is_multiple("120", 10), is_multiple("65", 10), is_multiple("65", 5)
        (True, False, True)
    """
    return (Fraction(digits) / last_place(digits)) % coarse == 0


def format_value(value: Fraction | float, unit: Unit = PLAIN) -> str:
    """Format a value given in base units, with four significant digits and the symbol of the unit.

    Example:
        >>> format_value(Fraction(2222, 10000), Unit("%", Fraction(1, 100), {})), format_value(1.5)
        ('22.22 %', '1.5')
        >>> format_value(17_500_000_000, PLAIN), format_value(3150336)
        ('17.5 billion', '3,150,336')
    """
    amount = float(value / unit.factor)
    return f"{_digits(amount)} {unit.symbol}".strip()


def format_range(ends: ExactInterval, unit: Unit = PLAIN) -> str:
    """Format an interval given in base units, with the unit once.

    Example:
        >>> format_range(ExactInterval(Fraction(3), None)), format_range(ExactInterval(Fraction(1), Fraction(2)))
        ('at least 3', '1 to 2')
    """
    if ends.is_point and ends.low is not None:
        return format_value(ends.low, unit)
    if ends.low is None:
        return f"at most {format_value(ends.high, unit)}" if ends.high is not None else "anything"
    if ends.high is None:
        return f"at least {format_value(ends.low, unit)}"
    without_symbol = Unit("", unit.factor, unit.dimension) if unit.symbol else PLAIN
    return f"{format_value(ends.low, without_symbol)} to {format_value(ends.high, unit)}"


_LARGE = {6: "million", 9: "billion", 12: "trillion"}


def _digits(amount: float) -> str:
    if amount == int(amount) and 1e4 <= abs(amount) < 1e8:
        return f"{amount:,.0f}"
    if abs(amount) >= 1e6:
        thousands = (len(f"{abs(amount):.0f}") - 1) // 3 * 3
        word = _LARGE.get(thousands)
        return f"{amount / 10**thousands:.4g}" + (f" {word}" if word else f"e{thousands}")
    return f"{amount:,.0f}" if abs(amount) >= 1e4 else f"{amount:.4g}"
