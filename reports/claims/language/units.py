"""Units, and numbers as what they stand for.

A printed number stands for everything that rounds to it: "78.3" is 78.25 to 78.35. Ends are fractions: nothing is
rounded on the way, so whether two intervals touch is exact, where binary intervals (mpmath.iv) enclose 78.35 from
outside and call intervals that touch in one point overlapping. Units are those of
`reports/claims/facts/vocabulary.yaml`, reduced to
a factor and exponents over base units; a library of units (pint) takes longer to start than all of `check --paper` has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from evals.errors import InputError, UnknownName

_FACTOR = re.compile(r"\s*(?P<top>[0-9.]+(?:[eE][+-]?[0-9]+)?)(?:\s*/\s*(?P<below>[0-9.]+))?\s*\*?\s*(?P<rest>.*)")
_PART = re.compile(r"(?P<name>[^\s*/^]+)(?:\^(?P<power>-?[0-9]+))?")
Dimension = Mapping[str, int]
"""Exponents of base units; empty for plain numbers."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure, reduced."""

    symbol: str
    """As it is printed after a number; empty for plain numbers."""
    factor: Fraction
    """How many base units it is."""
    dimension: Dimension


PLAIN = Unit("", Fraction(1), {})


@dataclass(frozen=True, slots=True)
class ExactInterval:
    """All that a number may be, in base units; None where there is no bound."""

    low: Fraction | None
    high: Fraction | None

    def meets(self, other: ExactInterval) -> bool:
        """Whether the two have more in common than one end; a single number must lie inside or on an end.

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
        """Whether a number lies inside or on an end."""
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)

    @property
    def is_point(self) -> bool:
        """Whether it is a single number."""
        return self.low is not None and self.low == self.high


class Units:
    """The units of a vocabulary.

    Example:
        >>> units = Units({"bytes": ("B", "8 bit"), "seconds": ("s", "second"), "percent": ("%", "0.01")})
        >>> units["byte/second"].factor, dict(units["byte/second"].dimension), units["percent"].factor
        (Fraction(8, 1), {'bit': 1, 'second': -1}, Fraction(1, 100))
    """

    def __init__(self, definitions: Mapping[str, tuple[str, str]]) -> None:
        """Take each unit's symbol and what it is: a factor and units; what only definitions name is a base unit."""
        self._definitions = definitions
        self._known: dict[str, Unit] = {}

    def __getitem__(self, text: str) -> Unit:
        """Read a unit, or units joined by `*`, `/` and `^`. Raises `UnknownName`."""
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
        if match := _FACTOR.fullmatch(rest):
            factor, rest = Fraction(match["top"]) / Fraction(match["below"] or 1), match["rest"]
        powers: dict[str, int] = {}
        for sign, part in _factors(rest):
            found = _PART.fullmatch(part)
            if not found:
                raise InputError(f"unit {text!r}: cannot read {part!r}")
            power = sign * int(found["power"] or 1)
            own, dimension = self._factor(found["name"], inside)
            factor *= own**power
            for base, exponent in dimension.items():
                powers[base] = powers.get(base, 0) + power * exponent
        return factor, {base: power for base, power in powers.items() if power}

    def _factor(self, name: str, inside: tuple[str, ...]) -> tuple[Fraction, Dimension]:
        """Reduce one name, in the singular or the plural; one that is only used in its own definition is a base."""
        key = next((key for key in (name, f"{name}s") if key in self._definitions), None)
        if key is not None and key not in inside:
            known = self._read(key, inside)
            return known.factor, known.dimension
        if key is None and not inside:
            raise UnknownName("unit", name, self._definitions)
        return Fraction(1), {name: 1}


def _factors(text: str) -> list[tuple[int, str]]:
    """Split a product or quotient of units: each part with the sign of its exponent."""
    parts = [part for part in re.split(r"\s*([*/])\s*|\s+", text) if part]
    found, sign = [], 1
    for part in parts:
        if part in "*/":
            sign = -1 if part == "/" else 1
        else:
            found.append((sign, part))
            sign = 1
    return found


def spell(dimension: Dimension) -> str:
    """Write base units with their exponents: `byte/s`; nothing for plain numbers."""
    above = "*".join(_power(base, power) for base, power in sorted(dimension.items()) if power > 0)
    below = "".join("/" + _power(base, -power) for base, power in sorted(dimension.items()) if power < 0)
    return (above or "1") + below if above or below else ""


def _power(base: str, power: int) -> str:
    return base if power == 1 else f"{base}^{power}"


def last_place(digits: str) -> Fraction:
    """The value of one unit of the last printed place.

    Example:
        >>> last_place("0.80"), last_place("120")
        (Fraction(1, 100), Fraction(1, 1))
    """
    return Fraction(1, 10 ** len(digits.partition(".")[2]))


def admits(digits: str, coarse: int) -> bool:
    """Whether printed digits may have been rounded to so many units of the last place: 120 to tens, 65 to fives.

    Example:
        >>> admits("120", 10), admits("65", 10), admits("65", 5)
        (True, False, True)
    """
    return (Fraction(digits) / last_place(digits)) % coarse == 0


def figure(value: Fraction | float, measure: Unit = PLAIN) -> str:
    """Print a value, given in base units, with four significant digits.

    Example:
        >>> figure(Fraction(2222, 10000), Unit("%", Fraction(1, 100), {})), figure(1.5)
        ('22.22 %', '1.5')
        >>> figure(17_500_000_000, PLAIN), figure(3150336)
        ('17.5 billion', '3,150,336')
    """
    amount = float(value / measure.factor)
    return f"{_digits(amount)} {measure.symbol}".strip()


_LARGE = {6: "million", 9: "billion", 12: "trillion"}


def _digits(amount: float) -> str:
    if amount == int(amount) and 1e4 <= abs(amount) < 1e8:
        return f"{amount:,.0f}"
    if abs(amount) >= 1e6:
        thousands = (len(f"{abs(amount):.0f}") - 1) // 3 * 3
        word = _LARGE.get(thousands)
        return f"{amount / 10**thousands:.4g}" + (f" {word}" if word else f"e{thousands}")
    return f"{amount:,.0f}" if abs(amount) >= 1e4 else f"{amount:.4g}"
